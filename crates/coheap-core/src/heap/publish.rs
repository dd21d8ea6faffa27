//! Making the files of a named heap.
//!
//! What always holds: a heap is used with the life and birth file that its own creation made. A
//! file that has their name already is left alone: another user may have made it, who could then
//! hold or free every byte. The creator is a member, and holds its life byte, before any of the
//! files has a name.

use std::path::{Path, PathBuf};

use super::create::{self, Birth};
use super::files::{Beside, Options};
use super::{Files, Heap, registry, temporary};
use crate::error::{Error, Result};
use crate::os::{self, HeapFile};

/// How often a creation takes another uuid because a file has the name already.
const UUIDS: u32 = 8;

/// Creates a heap. Returns `None` if another process was faster.
pub(super) fn make(options: &Options, path: &Path) -> Result<Option<Heap>> {
    make_with(options, path, || Ok([os::random_u64()?, os::random_u64()?]))
}

/// As [`make`], with uuids of the caller's choice.
fn make_with(
    options: &Options,
    path: &Path,
    mut uuid: impl FnMut() -> Result<[u64; 2]>,
) -> Result<Option<Heap>> {
    let temporary = if options.temporary { create::TEMPORARY } else { 0 };
    let flags = temporary | u64::from(options.note) << create::NOTE;
    for _ in 0..UUIDS {
        match make_once(options, path, &Birth { uuid: uuid()?, flags })? {
            Made::Heap(heap) => return Ok(Some(heap)),
            Made::NameIsTaken => return Ok(None),
            Made::UuidIsTaken => {}
        }
    }
    Err(Error::Os { call: "linkat", code: 17 })
}

enum Made {
    Heap(Heap),
    /// Another heap has the name.
    NameIsTaken,
    /// Another file has the name of the life or birth file.
    UuidIsTaken,
}

fn make_once(options: &Options, path: &Path, birth: &Birth) -> Result<Made> {
    let folder = options.folder();
    let max_bytes = options.max_bytes.unwrap_or_else(Heap::default_max_bytes);
    let region = create::fill(HeapFile::unnamed_in(&folder)?, max_bytes, birth)?;
    let (life, birth) = (HeapFile::unnamed_in(&folder)?, HeapFile::unnamed_in(&folder)?);
    let files = Files::new(region, life, birth);
    let data = files.region.file().id()?;
    registry::adopt(data, &files.life);
    let heap = Heap::attach(files.clone(), Some(path.to_owned()))?;
    heap.with(|context| {
        temporary::join(&files.region, context.member().incarnation());
        Ok(())
    })?;
    let (beside, mut names) = (Beside::of(path, &files.region), Names::default());
    let folder = path.parent().unwrap_or(path);
    // In this order: a life file without a held byte belongs to no heap that is being made.
    let made = if !names.publish(&files.life, beside.life(folder))?
        || !names.publish(&files.birth, beside.birth(folder))?
    {
        Made::UuidIsTaken
    } else if !files.region.file().publish(path)? {
        Made::NameIsTaken
    } else {
        names.keep();
        registry::remember(data, &heap);
        return Ok(Made::Heap(heap));
    };
    drop(names);
    heap.close()?;
    Ok(made)
}

/// Names that are removed again unless the heap gets its own.
#[derive(Debug, Default)]
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
            let strange = |uuid: u64| {
                path.with_file_name(format!(".coheap.heap.{uuid:016x}{uuid:016x}.{what}"))
            };
            fs::write(strange(1), "somebody else's").expect("written");
            let mut uuids = 1..;
            let mut next = || Ok([uuids.start, uuids.next().unwrap_or(0)]);
            let made = make_with(&options, &path, &mut next).expect("a heap with another uuid");
            let heap = made.expect("nobody was faster");
            assert_eq!(heap.uuid(), [2, 2], "{what}");
            assert_eq!(fs::read(strange(1)).expect("still there"), b"somebody else's");
            assert_eq!(fs::read_dir(&folder).expect("a listing").count(), 4, "{what}");
            // With every uuid taken, creation fails, and nothing is left of it.
            heap.unlink().expect("unlinked");
            heap.close().expect("closed");
            let refused = make_with(&options, &path, || Ok([1, 1]));
            assert!(matches!(refused, Err(Error::Os { call: "linkat", code: 17 })), "{refused:?}");
            assert_eq!(fs::read_dir(&folder).expect("a listing").count(), 1, "{what}");
            fs::remove_dir_all(&folder).expect("removed");
        }
    }
}
