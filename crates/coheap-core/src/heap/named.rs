//! Heaps with a name: files that unrelated programs find.
//!
//! What always holds: the data file appears under its name complete, after its life and birth
//! files. A process does not attach to a file that has lost its name.

use std::path::Path;
use std::sync::Arc;

use super::files::{Options, birth_path, life_path, unlink_files};
use super::{Files, Heap, create, publish, registry};
use crate::error::{Error, Result};
use crate::memory::layout::DIRECTORY_TURN;
use crate::os::HeapFile;

pub(super) fn open(options: &Options) -> Result<Heap> {
    const TRIES: u32 = 100;
    let path = options.path()?;
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
            if let Some(heap) = attach(&path)? {
                return Ok(heap);
            }
        } else if !options.create {
            return Err(Error::NoSuchName);
        } else {
            publish::make(options, &path)?;
        }
    }
    Err(Error::Os { call: "open", code: 11 })
}

/// Attaches to the file with a name. Returns `None` if the file lost its name meanwhile.
fn attach(path: &Path) -> Result<Option<Heap>> {
    let data = match HeapFile::open(path) {
        Ok(data) => data,
        Err(Error::Os { code: 2, .. }) => return Ok(None),
        Err(other) => return Err(other),
    };
    let id = data.id()?;
    let region = create::map_checked(data)?;
    let life = match registry::life_file(id, &life_path(path, &region)) {
        Ok(life) => life,
        // The life file is removed just before the data file.
        Err(Error::Os { code: 2, .. }) if region.file().ownership()?.links == 0 => return Ok(None),
        Err(Error::Os { code: 2, .. }) => return Err(Error::NotAHeap("its life file is missing")),
        Err(other) => return Err(other),
    };
    let birth = match registry::open_own(&birth_path(path, &region)) {
        Ok(birth) => Arc::new(birth),
        Err(Error::Os { code: 2, .. }) if region.file().ownership()?.links == 0 => return Ok(None),
        Err(Error::Os { code: 2, .. }) => return Err(Error::NotAHeap("its birth file is missing")),
        Err(other) => return Err(other),
    };
    let files = Files { region: Arc::new(region), life, birth };
    let heap = Heap::attach(files, Some(path.to_owned()))?;
    let is_named = heap.with(|context| {
        let _held = context.hold(DIRECTORY_TURN)?;
        Ok(context.region().file().ownership()?.links > 0)
    })?;
    if !is_named {
        heap.close()?;
        return Ok(None);
    }
    registry::remember(id, &heap);
    Ok(Some(heap))
}

impl Heap {
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
            unlink_files(&path, context.region())
        })
    }
}
