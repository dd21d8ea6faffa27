//! Integrity walk.
