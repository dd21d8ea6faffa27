//! The heaps with a name: which there are, what is in them, and how they are removed.
//!
//! What always holds: whoever looks at a heap is a member of it for that time, as any program that opens it.
//! A temporary heap that its last member has left ends when it is looked at.
//!
//! Not here: what the files of a heap are called (`coheap_core::heap`).

pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod stat;

use std::path::{Path, PathBuf};

use coheap_core::{Error, Heap, Options};

use crate::failure::Failure;

fn options(folder: Option<&Path>, name: &str) -> Options {
    let folder = folder.map(Path::to_path_buf);
    Options { folder, create: false, ..Options::new(name) }
}

/// The folder of the heaps.
fn folder_of(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = options(asked, "any").path()?;
    Ok(path.parent().unwrap_or(&path).to_path_buf())
}

fn open(folder: Option<&Path>, name: &str) -> Result<Heap, Error> {
    Heap::open(&options(folder, name))
}

/// Says why a heap cannot be opened.
fn refused(name: &str, error: &Error) -> Failure {
    Failure::Failed(format!("heap {name:?}: {error}"))
}

/// How many other processes have a heap open.
fn others(members: u64) -> u64 {
    members.saturating_sub(1)
}
