//! How operations are run that are done to no kind of object in particular, a file for each subject.
//!
//! What always holds: a driver says what it does in its variant, and asserts nothing about the
//! heap: that is the business of the snapshots.

pub(crate) mod directory;
pub(crate) mod ledger;
pub(crate) mod long;
pub(crate) mod parcel;
pub(crate) mod transaction;
pub(crate) mod room;
pub(crate) mod membership;
pub(crate) mod pages;
