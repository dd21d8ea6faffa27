//! The kinds of objects, a folder each.
//!
//! What always holds: what only one kind has stands in its folder; the floor around it asks all
//! kinds the same questions. The table of kinds is in `kind.rs`, on the ground.
//!
//! Not here: what every object has, such as its header, its cells and the record of a reference.

pub mod value;
pub mod map;
pub mod queue;
pub mod mutex;
