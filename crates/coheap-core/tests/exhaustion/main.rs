//! No room: in the heap, in the file system, under a limit of the process, in a table.
//!
//! What is promised: an error that says so, nothing changed, never SIGBUS; a full heap can be
//! emptied and is then as large as before.

#[path = "../support/mod.rs"]
mod support;
mod full;
mod limits;
mod passes;
mod room;
mod rows;
mod tables;
mod trim;
