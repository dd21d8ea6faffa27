//! Names that one process holds: by real processes, and against those who remove, squat and imitate.
//!
//! What always holds: each test has a name of its own, whose file goes with it; tests that mount or
//! change the user do so in a child.
//! Not here: the command line and the faces, which have their own tests.

mod attacks;
mod deaths;
mod places;
mod removed;
mod scene;
mod seconds;
mod slots;
mod storm;
#[path = "../support/mod.rs"]
mod support;
