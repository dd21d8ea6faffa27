//! What can be claimed: a name in a scope, held by one process, or by as many as it has slots.
//!
//! What always holds: any Unicode text is a name; two names are never one file or one socket. The
//! name of the file begins with what is readable of the name, and a hash tells it from all others.
//!
//! Not here: where the files are (`folder`).

use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Result};
use crate::os::user;

/// The longest name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;
/// The most slots of a name.
pub const MAX_SLOTS: u32 = 4096;
/// How much of a name its file shows.
const READABLE: usize = 40;

/// Who competes for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The processes of one user.
    User,
    /// All processes of the machine.
    Machine,
}

/// A name that can be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    text: String,
    scope: Scope,
    slots: Option<u32>,
    file: String,
}

impl Name {
    /// Returns the name that one process holds at a time.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] if it is empty or longer than 255 bytes.
    pub fn single(text: &str, scope: Scope) -> Result<Self> {
        Self::new(text, scope, None)
    }

    /// Returns the name that `count` processes hold at a time, each a slot of it.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] as [`single`](Self::single); [`Error::BadArgument`] if `count` is not a
    /// number from 1 to 4096.
    pub fn with_slots(text: &str, scope: Scope, count: u32) -> Result<Self> {
        if !(1..=MAX_SLOTS).contains(&count) {
            return Err(Error::BadArgument("the number of slots is not from 1 to 4096"));
        }
        Self::new(text, scope, Some(count))
    }

    fn new(text: &str, scope: Scope, slots: Option<u32>) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::BadName("is empty"));
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(Error::BadName("is longer than 255 bytes"));
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        let readable: String =
            text.chars().take(READABLE).map(|one| if plain(one) { one } else { '_' }).collect();
        let kind = if slots.is_some() { "slots" } else { "single" };
        let file = format!("{readable}.{:032x}.{kind}", xxh3_128(text.as_bytes()));
        Ok(Self { text: text.to_owned(), scope, slots, file })
    }

    /// Returns the name as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns who competes for it.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns how many slots it has. `None`: one process holds it at a time.
    pub fn slots(&self) -> Option<u32> {
        self.slots
    }

    /// Returns the name of its file.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Returns what its sockets have in their names, which have little room.
    pub(super) fn tag(&self) -> String {
        let kind = self.file.rsplit('.').next().unwrap_or_default();
        let hash = xxh3_128(self.text.as_bytes());
        match self.scope {
            Scope::User => format!("coheap.{}.{hash:032x}.{kind}", user()),
            Scope::Machine => format!("coheap.machine.{hash:032x}.{kind}"),
        }
    }
}

/// Returns the kind of a name by the name of its file: whether it has slots. `None`: not a file of
/// ours.
pub(super) fn has_slots(file: &str) -> Option<bool> {
    match file.rsplit('.').next() {
        Some("single") => Some(false),
        Some("slots") => Some(true),
        _ => None,
    }
}
