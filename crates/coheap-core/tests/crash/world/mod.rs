//! A world to die in: a heap in a known state, operations to try on it, children to die of them.
//!
//! A parent process makes a heap, brings it into a start state and keeps a picture of its bytes.
//! For each experiment it puts the picture back and forks a child, which attaches by itself, runs
//! one operation and dies where it is told. Then the parent recovers, walks the whole heap and
//! compares what every object holds.
//!
//! What always holds: the picture is put back only while no child lives; everything that an
//! experiment needs to know of a child comes through one shared page.

pub(crate) mod picture;
pub(crate) mod child;
pub(crate) mod stage;
pub(crate) mod snapshot;
pub(crate) mod judge;
pub(crate) mod states;
pub(crate) mod operation;
pub(crate) mod kinds;
pub(crate) mod drivers;
