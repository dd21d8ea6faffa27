//! How each operation of the engine is run, one file for each kind of thing it is done to.
//!
//! What always holds: a driver says what it does in its variant, and asserts nothing about the
//! heap: that is the business of the snapshots.

pub(crate) mod value;
pub(crate) mod map;
pub(crate) mod queue;
pub(crate) mod mutex;
pub(crate) mod directory;
pub(crate) mod ledger;
pub(crate) mod parcel;
pub(crate) mod transaction;
pub(crate) mod room;
pub(crate) mod membership;
