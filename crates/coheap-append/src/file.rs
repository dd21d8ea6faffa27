//! A file that several processes append to, each call whole or absent.
//!
//! What always holds:
//!
//! - **File.1** Bytes are appended, and cut off, only while the lock of the file is held, and only
//!   while the path leads to that file: who finds another one there opens it and begins again.
//! - **File.2** The record of a call is complete in the sidecar before its first byte is written.
//! - **File.3** Whoever takes the lock judges the last record first, and cuts off an unfinished call.
//! - **File.4** Nothing is cut off that the record does not show to be a part of the call.
//!
//! Not here: what the bytes mean (`style`, `csv`).

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use coheap_core::system;
use coheap_core::system::appending::{self, FileLock, FileState};

use crate::error::{Error, Result};
use crate::look::{Look, look};
use crate::place::{MAX_REPLACEMENTS, Made, folder_of, id_of, lock, refuse_strange, sidecar_of};
use crate::record::{Outcome, Record};

/// How a file is appended to.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether an unfinished call can be taken back. It takes a sidecar beside the file.
    pub atomic: bool,
    /// Whether a call returns only when its bytes are on the disk.
    pub fsync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { atomic: true, fsync: false }
    }
}

/// Something that was found in a file and that its owner may want to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An unfinished call was cut off.
    Removed {
        /// The file.
        path: PathBuf,
        /// Length of the file before that call, and now.
        at: u64,
        /// Bytes that were cut off.
        bytes: u64,
    },
    /// A call is not as it was planned: another program has written there. Nothing was cut off.
    Foreign {
        /// The file.
        path: PathBuf,
        /// Where the call began.
        at: u64,
        /// Bytes that the call would have had.
        planned: u64,
    },
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Removed { path, at, bytes } => write!(
                f,
                "a process died while it appended to `{}`: {bytes} bytes of its unfinished call \
                 were cut off at byte {at}; its call did not return, so append the rows again",
                path.display()
            ),
            Self::Foreign { path, at, planned } => write!(
                f,
                "another program has written to `{}` where a call of {planned} bytes began at byte \
                 {at}; nothing was cut off; look there for a row that is not whole, and let all \
                 programs append with coheap",
                path.display()
            ),
        }
    }
}

/// A file that is appended to, by its path.
#[derive(Debug)]
pub struct SharedFile {
    path: PathBuf,
    options: Options,
    open: Option<Open>,
    events: VecDeque<Event>,
    bytes: Vec<u8>,
}

/// A sidecar, and where it is.
type Sidecar = (File, PathBuf);

/// The descriptors of a process.
#[derive(Debug)]
struct Open {
    generation: u64,
    id: (u64, u64),
    data: File,
    sidecar: Option<Sidecar>,
    /// What goes with a first call that fails.
    made: Made,
    /// Where our last call ended: what has this length is whole.
    whole_at: Option<u64>,
    /// The longest file that this process may write.
    limit: u64,
    /// When that, and the name of the sidecar, were looked at.
    looked_at: u64,
}

/// The file, locked and whole; dropping it lets go.
#[derive(Debug)]
pub struct Held<'a> {
    file: &'a mut SharedFile,
    len: u64,
    is_known: bool,
}

/// How long is believed what changes seldom, in nanoseconds.
const SELDOM: u64 = 100_000_000;

impl SharedFile {
    /// Returns the file at `path`, which is not touched yet.
    pub fn new(path: impl Into<PathBuf>, options: Options) -> Self {
        let (path, events, bytes) = (path.into(), VecDeque::new(), Vec::new());
        Self { path, options, open: None, events, bytes }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes what was found, oldest first.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// Looks at the file, waiting for a call that is being written. Nothing is changed or created.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] while another process keeps the lock, and what the system refuses.
    pub fn look(&self) -> Result<Look> {
        look(&self.path)
    }

    /// Waits for the file's lock, opens or creates the file, and cuts off an unfinished call.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] while another process keeps the lock, and what the system refuses.
    pub fn hold(&mut self) -> Result<Held<'_>> {
        for _ in 0..MAX_REPLACEMENTS {
            let generation = system::generation();
            if self.open.as_ref().is_none_or(|open| open.generation != generation) {
                self.open = Some(Open::new(&self.path, self.options, generation)?);
            }
            let Some(open) = &mut self.open else { continue };
            lock(&open.data, FileLock::Alone, &self.path)?;
            let state = match open.state_if_current(&self.path) {
                Ok(Some(state)) => state,
                // Replaced, moved or removed: closing it also lets its lock go.
                Ok(None) => {
                    self.open = None;
                    continue;
                }
                Err(error) => {
                    appending::unlock_file(&open.data);
                    return Err(error);
                }
            };
            let mut held = Held { file: self, len: state.len, is_known: false };
            held.settle()?;
            return Ok(held);
        }
        let error = io::Error::from(ErrorKind::NotFound);
        Err(Error::Os { call: "keep hold of", path: self.path.clone(), error })
    }

    /// Cuts off an unfinished call, if there is one, and returns what was found.
    ///
    /// # Errors
    ///
    /// As [`hold`](Self::hold); a file that is not there is not created.
    pub fn repair(&mut self) -> Result<Vec<Event>> {
        // Not there: `open` says so.
        appending::open_for_reading(&self.path).map_err(Error::os("open", &self.path))?;
        drop(self.hold()?);
        Ok(self.take_events())
    }

    /// Closes the file; the next call opens it again.
    pub fn close(&mut self) {
        self.open = None;
    }
}

impl Open {
    fn new(path: &Path, options: Options, generation: u64) -> Result<Self> {
        refuse_strange(path)?;
        let opened = appending::open_for_appending(path).map_err(Error::os("open", path));
        let (data, is_new) = opened?;
        let mut made = Made { data: is_new, sidecar: false };
        match Self::look_around(path, options, &data, &mut made) {
            Ok((id, sidecar)) => Ok(Self {
                generation,
                id,
                data,
                sidecar,
                made,
                whole_at: None,
                limit: u64::MAX,
                looked_at: 0,
            }),
            Err(error) => {
                if is_new && appending::try_lock_file(&data, FileLock::Alone).unwrap_or(false) {
                    made.withdraw(&data, path);
                }
                Err(error)
            }
        }
    }

    /// Returns which file was opened, and its sidecar.
    fn look_around(
        path: &Path,
        options: Options,
        data: &File,
        made: &mut Made,
    ) -> Result<((u64, u64), Option<Sidecar>)> {
        let state = appending::state_of_file(data).map_err(Error::os("look at", path))?;
        if !state.is_file {
            return Err(Error::NotAFile(path.to_owned()));
        }
        if let Some(system) = appending::network_of(data).map_err(Error::os("look at", path))? {
            return Err(Error::Network { path: path.to_owned(), system });
        }
        if !options.atomic {
            return Ok((id_of(state), None));
        }
        let beside = sidecar_of(path);
        match appending::open_sidecar(&beside, data) {
            Ok((sidecar, is_new)) => {
                made.sidecar = is_new;
                Ok((id_of(state), Some((sidecar, beside))))
            }
            Err(error) => Err(Error::NoSidecar { path: beside, error }),
        }
    }

    /// The state of the file, if the path still leads to it, and the sidecar has a name. Somebody who
    /// removes that is noticed a tenth of a second later: until then a death may leave a part.
    fn state_if_current(&mut self, path: &Path) -> Result<Option<FileState>> {
        let state = appending::state_of_path(path).map_err(Error::os("look at", path))?;
        let Some(state) = state.filter(|state| id_of(*state) == self.id) else { return Ok(None) };
        let now = system::now_roughly();
        let is_due = now.saturating_sub(self.looked_at) > SELDOM;
        if let Some((sidecar, path)) = self.sidecar.as_ref().filter(|_| is_due) {
            let beside = appending::state_of_file(sidecar).map_err(Error::os("look at", path))?;
            if !beside.has_name {
                return Ok(None);
            }
        }
        if is_due {
            (self.limit, self.looked_at) = (appending::file_limit(), now);
        }
        Ok(Some(state))
    }
}

impl Held<'_> {
    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Returns the length of the file, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether nothing is in the file.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether the file ends where a call ended: nobody else has written since.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Returns which file it is: inode and device.
    pub fn id(&self) -> (u64, u64) {
        self.open().id
    }

    /// Returns when the file was last written to, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn modified(&self) -> Result<i64> {
        appending::modified(&self.open().data).map_err(Error::os("look at", &self.file.path))
    }

    /// Sets when the file was last written to.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn set_modified(&self, moment: SystemTime) -> Result<()> {
        self.open().data.set_modified(moment).map_err(Error::os("set the time of", &self.file.path))
    }

    /// Reads from `offset` until the buffer is full or the file ends, and returns how many bytes.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        appending::read_file_at(&self.open().data, offset, buffer)
            .map_err(Error::os("read", &self.file.path))
    }

    /// Appends all bytes, or none. `label` is the encoding of the file.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when nothing was appended; [`Error::Torn`] when a part was and could not be
    /// taken back.
    pub fn append(&mut self, payload: &[u8], label: &str) -> Result<()> {
        if payload.is_empty() {
            return Ok(());
        }
        let done = self.append_whole(payload, label);
        let made = std::mem::take(&mut self.open_mut().made);
        if done.is_err() {
            made.withdraw(&self.open().data, &self.file.path);
        }
        done
    }

    fn append_whole(&mut self, payload: &[u8], label: &str) -> Result<()> {
        let (base, planned) = (self.len, payload.len() as u64);
        if base.saturating_add(planned) > self.open().limit {
            let error = io::Error::from(ErrorKind::FileTooLarge);
            return Err(Error::os("append to", &self.file.path)(error));
        }
        self.note(base, payload, label)?;
        let written = self.write(payload)?;
        // Another program may have appended between our look at the length and our write.
        let end = self.open_mut().data.stream_position().unwrap_or(base + planned);
        self.len = end;
        if end != base + planned && written == 1 {
            // Without it the next writer would think that the call is not as planned.
            let _ = self.note(end.saturating_sub(planned), payload, label);
        }
        self.is_known = true;
        let is_new = base == 0;
        let open = self.open_mut();
        open.whole_at = Some(end);
        if self.file.options.fsync {
            self.sync(is_new)?;
        }
        Ok(())
    }

    /// Writes all bytes and returns how many writes it took. After an error none are there.
    fn write(&mut self, payload: &[u8]) -> Result<usize> {
        let (base, mut done, mut writes) = (self.len, 0, 0);
        while done < payload.len() {
            let error = match self.open_mut().data.write(&payload[done..]) {
                Ok(count) if count > 0 => {
                    done += count;
                    writes += 1;
                    continue;
                }
                Ok(_) => io::Error::from(ErrorKind::WriteZero),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err(self.take_back(base, done as u64, error));
        }
        Ok(writes)
    }

    /// Cuts off `written` bytes from `base` on, if nothing else is there, and says what happened.
    fn take_back(&mut self, base: u64, written: u64, error: io::Error) -> Error {
        let path = self.file.path.clone();
        let data = &self.open().data;
        let is_ours = appending::state_of_file(data).is_ok_and(|now| now.len == base + written);
        if written == 0 || (is_ours && data.set_len(base).is_ok()) {
            return Error::Os { call: "append to", path, error };
        }
        Error::Torn { path, written, error }
    }

    /// Notes a call in the sidecar.
    fn note(&mut self, base: u64, payload: &[u8], label: &str) -> Result<()> {
        self.note_for(self.id().0, base, payload, label)
    }

    fn note_for(&mut self, inode: u64, base: u64, payload: &[u8], label: &str) -> Result<()> {
        let SharedFile { open, bytes, options, .. } = &mut *self.file;
        let Some(Open { sidecar: Some((sidecar, path)), limit, .. }) = open else {
            return Ok(());
        };
        Record::note(bytes, inode, base, payload, label);
        if bytes.len() as u64 > *limit {
            return Err(Error::os("write", path)(io::Error::from(ErrorKind::FileTooLarge)));
        }
        let mut noted = appending::write_file_at(sidecar, 0, bytes);
        if options.fsync {
            noted = noted.and_then(|()| sidecar.sync_data());
        }
        noted.map_err(Error::os("write", path))
    }

    /// Has the bytes on the disk, and the names of a new file and its sidecar.
    fn sync(&self, is_new: bool) -> Result<()> {
        let path = &self.file.path;
        let failed = Error::os("have on the disk", path);
        let mut done = self.open().data.sync_data();
        if is_new {
            let folder = folder_of(path);
            done = done.and_then(|()| File::open(folder)?.sync_all());
        }
        done.map_err(failed)
    }

    /// Judges the last record and cuts off an unfinished call.
    fn settle(&mut self) -> Result<()> {
        let len = self.len;
        let open = self.open();
        if open.whole_at == Some(len) {
            self.is_known = true;
            return Ok(());
        }
        let path = self.file.path.clone();
        let Some((sidecar, beside)) = &open.sidecar else { return Ok(()) };
        let record = Record::read(sidecar).map_err(Error::os("read", beside))?;
        let Some(record) = record.filter(|record| record.inode == open.id.0) else {
            return Ok(());
        };
        let (at, planned) = (record.base, record.planned);
        match record.outcome(&open.data, len).map_err(Error::os("read", &path))? {
            Outcome::Whole => self.is_known = len == record.end(),
            Outcome::Unfinished => {
                open.data.set_len(at).map_err(Error::os("cut", &path))?;
                self.len = at;
                self.file.events.push_back(Event::Removed { path, at, bytes: len - at });
            }
            Outcome::Foreign => {
                self.file.events.push_back(Event::Foreign { path, at, planned });
                // Told once: a record of no file at all.
                self.note_for(0, len, &[], "")?;
            }
        }
        Ok(())
    }

    #[expect(clippy::expect_used, reason = "`hold` opens the file first")]
    fn open(&self) -> &Open {
        self.file.open.as_ref().expect("a held file is open")
    }

    #[expect(clippy::expect_used, reason = "`hold` opens the file first")]
    fn open_mut(&mut self) -> &mut Open {
        self.file.open.as_mut().expect("a held file is open")
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(open) = &self.file.open {
            appending::unlock_file(&open.data);
        }
    }
}
