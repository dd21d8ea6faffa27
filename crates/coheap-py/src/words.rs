//! What Python calls the kinds of objects: its own words for those of the engine.
//!
//! What always holds: each kind has one word, which is the name of its class, so a message names
//! what the reader can look up.
//!
//! Not here: the words of the engine and of the Rust face (`Kind::noun`).

use coheap_core::Kind;

/// The class of objects of a kind.
pub(crate) const fn class_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "Value",
        Kind::Map => "Dict",
        Kind::Queue => "WorkQueue",
        Kind::Mutex => "Lock",
        Kind::RecursiveMutex => "RLock",
    }
}

/// An object of a kind, with its article.
pub(crate) fn one_of(kind: Kind) -> String {
    let name = class_name(kind);
    // As it is spoken: an RLock, an Event.
    let article = if name.starts_with(['A', 'E', 'I', 'O', 'R']) { "an" } else { "a" };
    format!("{article} {name}")
}
