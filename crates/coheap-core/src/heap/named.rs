//! Heaps with a name: files that unrelated programs find.
//!
//! What always holds: the data file appears under its name complete, after its life and birth
//! files. A process does not attach to a file that has lost its name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::create::{self, Birth};
use super::{Files, Heap, registry};
use crate::error::{Error, Result};
use crate::memory::Region;
use crate::memory::layout::DIRECTORY_TURN;
use crate::os::{self, HeapFile};

/// Options for opening or creating a named heap.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name: no slash, no NUL, at most 200 bytes.
    pub name: String,
    /// The folder of the files; `None` for the system's folder for shared memory.
    pub folder: Option<PathBuf>,
    /// The limit of a new heap in bytes; `None` for half of the machine's memory.
    pub max_bytes: Option<u64>,
    /// Whether to create the heap if it does not exist.
    pub create: bool,
    /// Whether a new heap ends with its last member.
    pub temporary: bool,
}

impl Options {
    /// Returns the default options for a heap with this name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { name, folder: None, max_bytes: None, create: true, temporary: false }
    }

    fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| PathBuf::from("/dev/shm"))
    }

    /// Returns the path of the data file.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`].
    pub fn path(&self) -> Result<PathBuf> {
        let name = self.name.as_str();
        if name.is_empty() {
            return Err(Error::BadName("is empty"));
        }
        if name.len() > 200 {
            return Err(Error::BadName("is longer than 200 bytes"));
        }
        if name.contains(['/', '\0']) {
            return Err(Error::BadName("contains a slash or a NUL"));
        }
        let path = self.folder().join(format!("coheap.{name}"));
        // Absolute, because pickled handles are opened in processes with another current folder.
        Ok(std::path::absolute(&path).unwrap_or(path))
    }
}

/// Returns the default limit: half of the machine's memory, from 1 MiB to 1 TiB.
pub(super) fn default_max_bytes() -> u64 {
    (os::memory_bytes() / 2).clamp(1 << 20, 1 << 40)
}

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
            make(options, &path)?;
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

/// Creates the files. If another process is faster, its heap is used.
fn make(options: &Options, path: &Path) -> Result<()> {
    let folder = options.folder();
    let birth = Birth {
        uuid: [os::random_u64()?, os::random_u64()?],
        flags: if options.temporary { create::TEMPORARY } else { 0 },
    };
    let max_bytes = options.max_bytes.unwrap_or_else(default_max_bytes);
    let region = create::fill(HeapFile::unnamed_in(&folder)?, max_bytes, &birth)?;
    let beside = [life_path(path, &region), birth_path(path, &region)];
    let published = beside
        .iter()
        .try_for_each(|path| HeapFile::unnamed_in(&folder)?.publish(path).map(|_| ()))
        .and_then(|()| region.file().publish(path));
    if published != Ok(true) {
        beside.iter().try_for_each(|path| HeapFile::unlink(path))?;
    }
    published.map(|_| ())
}

fn life_path(path: &Path, region: &Region) -> PathBuf {
    beside(path, region, "life")
}

fn birth_path(path: &Path, region: &Region) -> PathBuf {
    beside(path, region, "birth")
}

fn beside(path: &Path, region: &Region, what: &str) -> PathBuf {
    let [first, second] = &region.header().uuid;
    path.with_file_name(format!(".coheap-{:016x}{:016x}.{what}", first.get(), second.get()))
}

/// Removes the names of the files. Attached processes continue to use the heap.
pub(super) fn unlink_files(path: &Path, region: &Region) -> Result<()> {
    let is_same = match HeapFile::identify(path) {
        Ok((id, _)) => id == region.file().id()?,
        Err(_) => false,
    };
    if is_same {
        HeapFile::unlink(path)?;
    }
    HeapFile::unlink(&life_path(path, region))?;
    HeapFile::unlink(&birth_path(path, region))
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
