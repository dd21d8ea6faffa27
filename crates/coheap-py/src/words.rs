//! The Python names of the kinds of objects.
//!
//! What always holds: each kind has one name, which is the name of its class, so that a reader of a
//! message can look it up.
//!
//! Not here: the nouns of the engine and of the Rust face (`Kind::noun`).

use coheap_core::Kind;

/// Returns the name of the class of a kind.
pub(crate) const fn class_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "Value",
        Kind::Map => "Dict",
        Kind::Queue => "WorkQueue",
        Kind::Mutex => "Lock",
        Kind::RecursiveMutex => "RLock",
    }
}

/// Returns the name of the class of a kind, with its article.
pub(crate) fn one_of(kind: Kind) -> String {
    let name = class_name(kind);
    // As it is pronounced: an RLock, an Event.
    let article = if name.starts_with(['A', 'E', 'I', 'O', 'R']) { "an" } else { "a" };
    format!("{article} {name}")
}
