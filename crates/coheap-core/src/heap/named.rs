//! Heaps with a name: files that unrelated programs find.
//!
//! What always holds: the data file appears under its name complete, after its life and birth
//! files. A process does not attach to a file that has lost its name.

use std::path::Path;

use super::files::{Options, unlink_files};
use super::{Heap, find, publish, registry, sweep, temporary};
use crate::error::{Error, Result};
use crate::memory::layout::DIRECTORY_TURN;
use crate::os::HeapFile;

/// `deadline`: see [`Heap::open_until`]; `None` waits as long as it takes.
pub(super) fn open(options: &Options, deadline: Option<u64>) -> Result<Heap> {
    const TRIES: u32 = 100;
    let path = options.path()?;
    let mut is_swept = false;
    for _ in 0..TRIES {
        let found = match HeapFile::identify(&path) {
            Ok((id, _)) => Some(id),
            Err(Error::Os { code: 2, .. }) => None,
            Err(other) => return Err(other),
        };
        if let Some(id) = found {
            if let Some(heap) = registry::attached(id) {
                return Ok(heap);
            }
            if let Some(heap) = attach(&path, deadline)? {
                return Ok(heap);
            }
        } else if !options.create {
            return Err(Error::NoSuchName);
        } else {
            if !is_swept {
                sweep::sweep(&options.folder());
                is_swept = true;
            }
            if let Some(heap) = publish::make(options, &path)? {
                return Ok(heap);
            }
        }
    }
    Err(Error::Os { call: "open", code: 11 })
}

/// Attaches to the file with a name. Returns `None` if the file lost its name meanwhile, or was that
/// of a temporary heap that has ended.
fn attach(path: &Path, deadline: Option<u64>) -> Result<Option<Heap>> {
    let Some(files) = find::files(path)? else { return Ok(None) };
    if temporary::end_if_left(&files, path, deadline)? {
        return Ok(None);
    }
    let id = files.region.file().id()?;
    let heap = Heap::attach(files.clone(), Some(path.to_owned()))?;
    let joined = heap
        .with(|context| context.until(deadline, || temporary::join_found(context, &files, path)));
    if joined != Ok(true) {
        heap.close()?;
        return joined.map(|_| None);
    }
    registry::remember(id, &heap);
    Ok(Some(heap))
}

impl Heap {
    /// Removes what dead processes have left in a folder of heaps: the files of heaps that are gone, and
    /// temporary heaps that nobody has open. Each creation of a heap does so, too. What cannot be read or
    /// removed stays. `None` is the folder where heaps are made.
    pub fn remove_orphans(folder: Option<&Path>) {
        let options = Options { folder: folder.map(Path::to_path_buf), ..Options::new("any") };
        sweep::sweep(&options.folder());
    }

    /// Removes the name of a heap. Attached processes continue to use it; no other process finds
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::Os`]; [`Error::Closed`].
    pub fn unlink(&self) -> Result<()> {
        let Some(path) = self.path().cloned() else { return Ok(()) };
        self.with(|context| {
            let _held = context.hold(DIRECTORY_TURN)?;
            unlink_files(&path, &self.shared.files())
        })
    }
}
