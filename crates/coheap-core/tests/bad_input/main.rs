//! What is not a heap, or not ours, or not right any more: an error that says why, and not a byte
//! is written.
//!
//! Each damaged heap is opened in a child, which may not end by a signal; before and after, all
//! files of its folder are compared byte by byte.

#[path = "../support/mod.rs"]
mod support;
mod arguments;
mod files;
mod owners;
mod specimen;
