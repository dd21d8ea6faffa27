//! Making the files of a named heap.
//!
//! What always holds: a heap is used with the life and birth file that its own creation made. A
//! file that has their name already is left alone: another user may have made it, who could then
//! hold or free every byte.

use std::path::{Path, PathBuf};

use super::Heap;
use super::create::{self, Birth};
use super::files::{Options, birth_path, life_path};
use crate::error::{Error, Result};
use crate::os::{self, HeapFile};

/// How often a creation takes another uuid because a file has the name already.
const UUIDS: u32 = 8;

/// Creates the files. If another process is faster, its heap is used.
pub(super) fn make(options: &Options, path: &Path) -> Result<()> {
    make_with(options, path, || Ok([os::random_u64()?, os::random_u64()?]))
}

/// As [`make`], with uuids of the caller's choice.
fn make_with(
    options: &Options,
    path: &Path,
    mut uuid: impl FnMut() -> Result<[u64; 2]>,
) -> Result<()> {
    let flags = if options.temporary { create::TEMPORARY } else { 0 };
    for _ in 0..UUIDS {
        if make_once(options, path, &Birth { uuid: uuid()?, flags })? {
            return Ok(());
        }
    }
    Err(Error::Os { call: "linkat", code: 17 })
}

/// Returns `false` if another file has the name of the life or birth file.
fn make_once(options: &Options, path: &Path, birth: &Birth) -> Result<bool> {
    let folder = options.folder();
    let max_bytes = options.max_bytes.unwrap_or_else(Heap::default_max_bytes);
    let region = create::fill(HeapFile::unnamed_in(&folder)?, max_bytes, birth)?;
    let mut names = Names { published: Vec::with_capacity(2) };
    for beside in [life_path(path, &region), birth_path(path, &region)] {
        if !names.publish(&HeapFile::unnamed_in(&folder)?, beside)? {
            return Ok(false);
        }
    }
    if region.file().publish(path)? {
        names.keep();
    }
    Ok(true)
}

/// Names that are removed again unless the heap gets its own.
#[derive(Debug)]
struct Names {
    published: Vec<PathBuf>,
}

impl Names {
    /// Returns `false` if another file has the name.
    fn publish(&mut self, file: &HeapFile, path: PathBuf) -> Result<bool> {
        let is_new = file.publish(&path)?;
        if is_new {
            self.published.push(path);
        }
        Ok(is_new)
    }

    fn keep(mut self) {
        self.published.clear();
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for path in &self.published {
            // The creation has failed, or another heap has the name: no caller is left for this.
            let _ = HeapFile::unlink(path);
        }
    }
}

#[cfg(all(test, not(any(loom, miri, sim))))]
mod tests {
    use std::fs;

    use super::*;

    /// Goal: a life or birth file that somebody else made first is neither used nor removed.
    /// Method: such a file lies there for the first uuid; the heap is made with the second.
    #[test]
    fn a_file_that_was_there_first_costs_another_uuid() {
        let folder =
            std::env::temp_dir().join(format!("coheap-test-{:x}", os::random_u64().unwrap()));
        for what in ["life", "birth"] {
            fs::create_dir(&folder).expect("a new folder");
            let options = Options {
                folder: Some(folder.clone()),
                max_bytes: Some(1 << 20),
                ..Options::new("heap")
            };
            let path = options.path().expect("a good name");
            let strange =
                |uuid: u64| path.with_file_name(format!(".coheap-{uuid:016x}{uuid:016x}.{what}"));
            fs::write(strange(1), "somebody else's").expect("written");
            let mut uuids = 1..;
            let mut next = || Ok([uuids.start, uuids.next().unwrap_or(0)]);
            make_with(&options, &path, &mut next).expect("a heap with another uuid");
            let heap = Heap::open(&options).expect("the heap");
            assert_eq!(heap.uuid(), [2, 2], "{what}");
            assert_eq!(fs::read(strange(1)).expect("still there"), b"somebody else's");
            assert_eq!(fs::read_dir(&folder).expect("a listing").count(), 4, "{what}");
            // With every uuid taken, creation fails, and nothing is left of it.
            heap.unlink().expect("unlinked");
            heap.close().expect("closed");
            let refused = make_with(&options, &path, || Ok([1, 1]));
            assert_eq!(refused, Err(Error::Os { call: "linkat", code: 17 }));
            assert_eq!(fs::read_dir(&folder).expect("a listing").count(), 1, "{what}");
            fs::remove_dir_all(&folder).expect("removed");
        }
    }
}
