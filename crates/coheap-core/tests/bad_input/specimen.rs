//! A heap in a folder of its own, to be damaged, and a look at whether anything was written.
//!
//! What always holds: nobody is attached when a test damages it; each attempt to open it is made by
//! a child of its own, so that no trial can end the test or touch the next one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use coheap_core::error::Error;
use coheap_core::heap::{Heap, Options};

use crate::support::child::{End, alarm, fork};
use crate::support::objects::{map, mutex, queue, value};
use crate::support::page::Page;
use crate::support::privilege::Folder;

/// A named heap that nobody is attached to.
#[derive(Debug)]
pub(crate) struct Specimen {
    pub(crate) folder: Folder,
}

/// What is known of a file: length, mode, owner, fingerprint of the bytes, blocks.
type Look = (u64, u32, u32, u64, u64);

impl Specimen {
    pub(crate) fn new() -> Self {
        let specimen = Self { folder: Folder::new("bad") };
        let mut maker = fork(|| {
            let heap = Heap::open(&specimen.options()).expect("a new heap");
            map(&heap, "map");
            queue(&heap, "queue");
            mutex(&heap, "mutex");
            let total = value(&heap, "value");
            heap.with(|context| total.add(context, 5)).expect("a sum");
            heap.close().expect("left");
            0
        });
        maker.must_succeed();
        specimen
    }

    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new("heap");
        options.folder = Some(self.folder.path().to_owned());
        options.max_bytes = Some(1 << 20);
        options
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.options().path().expect("a good name")
    }

    /// The files that belong to the heap beside its data.
    pub(crate) fn beside(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).expect("a listing");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| *path != self.path()).collect()
    }

    /// The file with the heap's bytes, open behind the engine's back.
    pub(crate) fn file(&self) -> File {
        OpenOptions::new().read(true).write(true).open(self.path()).expect("the data file")
    }

    /// Writes a word into the data file.
    pub(crate) fn put(&self, at: usize, word: u64) {
        self.file().write_all_at(&word.to_le_bytes(), at as u64).expect("written");
    }

    /// Reads a word of the data file.
    pub(crate) fn word(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        self.file().read_exact_at(&mut bytes, at as u64).expect("read");
        u64::from_le_bytes(bytes)
    }

    fn look(&self) -> BTreeMap<OsString, Look> {
        let entries = fs::read_dir(self.folder.path()).expect("a listing");
        let row = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.expect("an entry");
            let meta = fs::symlink_metadata(entry.path()).expect("metadata");
            let bytes = if meta.is_file() { fs::read(entry.path()) } else { Ok(Vec::new()) };
            let print = bytes.map_or(0, |bytes| fingerprint(&bytes));
            (entry.file_name(), (meta.len(), meta.mode(), meta.uid(), print, meta.blocks()))
        };
        entries.map(row).collect()
    }

    /// Opens the heap in a child of its own. Answers the child's error, `None` if it could use the
    /// heap; panics when it is killed, or when it was refused and something was written.
    pub(crate) fn open(&self) -> Option<String> {
        self.open_with(|| Heap::open(&self.options()))
    }

    /// As [`open`](Self::open), in the child's own way.
    pub(crate) fn open_with(&self, open: impl FnOnce() -> Result<Heap, Error>) -> Option<String> {
        let page = Page::new(65);
        let before = self.look();
        let mut child = fork(|| {
            alarm(10);
            let said = match open().and_then(|heap| heap.with(|_| Ok(()))) {
                Ok(()) => return 0,
                Err(error) => error.to_string(),
            };
            page.set_text(0, &said);
            1
        });
        match child.wait() {
            End::Exit(0) => None,
            End::Exit(1) => {
                assert_eq!(before, self.look(), "something was written");
                Some(page.text(0))
            }
            other => panic!("the child ended by {other:?}"),
        }
    }

    /// Asserts that the heap is refused, with `part` in what is said.
    pub(crate) fn assert_refused(&self, part: &str) {
        let said = self.open().unwrap_or_else(|| panic!("not refused ({part})"));
        assert!(said.contains(part), "{said:?} does not say {part:?}");
    }

    /// Asserts that the heap can be used.
    pub(crate) fn assert_good(&self) {
        assert_eq!(self.open(), None);
    }
}

fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(17, |print, chunk| {
        let word = chunk.iter().fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
        (print ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    })
}
