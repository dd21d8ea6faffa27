//! The claims of this process: its locks on the files of names, and its sockets.
//!
//! A process that opened the file of a name twice and closed it once would lose its lock, so there is
//! one descriptor for each name, and the threads of a process are kept apart here.
//!
//! What always holds:
//!
//! - A name is held by two things: a lock on a byte of its file, and a socket (`witness`). Each alone
//!   keeps all others out, and whoever has both holds it. The file is the one that has the name *after*
//!   the lock was taken.
//! - A child that was forked begins with an empty table. It does not look into its copy of the
//!   parent's, which another thread may have been changing.
//!
//! Not here: waiting (`mod`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::file::{FileId, HeapFile};
use super::super::record::{self, Conflict, Range, Strength};
use super::Request;
use super::folder::Folder;
use super::forked::{self, Listed};
use super::holder::{self, Holder, Owner};
use super::name::Name;
use super::witness::{self, Bound, Probe};
use crate::error::{Error, Result};
use crate::os::{PrivateGuard, PrivateMutex, generation};

/// The byte whose shared lock says that a name has no slots; the byte after it, that it has one.
const COUNTS: u64 = 1 << 20;

static TABLE: PrivateMutex<Table> = PrivateMutex::new(Table {
    generation: 0,
    entries: Vec::new(),
    resting: None,
    probe: Probe::new(),
});
static LAST: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Table {
    /// The process that the entries belong to.
    generation: u64,
    entries: Vec<Entry>,
    /// The file of the name that was given back last, without a lock: who takes it again and again
    /// need not open it each time.
    resting: Option<Entry>,
    probe: Probe,
}

/// A file of a name with the slots that this process holds. Sockets are closed before the file.
#[derive(Debug)]
pub(super) struct Entry {
    tag: String,
    name: Name,
    path: String,
    is_inherited: bool,
    /// Whether nothing but this process in its preferred place will use the descriptor.
    may_rest: bool,
    /// Length of the file in bytes when it was opened.
    len: u64,
    kept: Vec<Kept>,
    _listed: Option<Listed>,
    file: Arc<HeapFile>,
}

/// A slot that this process holds.
#[derive(Debug)]
struct Kept {
    key: u64,
    slot: u32,
    witness: Option<(Option<Listed>, HeapFile)>,
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    /// This process holds a slot: its key in this table, and its number. Children inherit the file
    /// with it, if they shall.
    Held(u64, u32, Option<Arc<HeapFile>>),
    /// Another one does.
    Taken(Holder),
}

/// Returns the table of this process.
fn table() -> PrivateGuard<'static, Table> {
    let mut table = TABLE.lock();
    let own = generation();
    if table.generation != own {
        // What a child should not have it has closed already (`forked`); what it inherits, it keeps.
        std::mem::forget(std::mem::take(&mut table.entries));
        std::mem::forget(table.resting.take());
        std::mem::forget(std::mem::replace(&mut table.probe, Probe::new()));
        table.generation = own;
    }
    table
}

/// Attempts once to hold a name. `is_described`: whoever holds it is described whole, and held it
/// when the description was complete.
pub(super) fn attempt(request: &Request, is_described: bool) -> Result<Attempt> {
    const TRIES: u32 = 1000;
    let mut table = table();
    let Table { entries, resting, probe, .. } = &mut *table;
    let tag = request.name.tag();
    // What this process has lost, others may hold.
    entries.retain(|entry| entry.tag != tag || entry.is_held());
    for _ in 0..TRIES {
        let mut known = None;
        for (at, entry) in entries.iter().enumerate() {
            if entry.tag == tag && entry.has_its_name()? {
                known = Some(at);
            }
        }
        let done = match known {
            Some(at) => entries[at].extend(request, probe, is_described)?,
            None => {
                // Closed before the file is opened once more, for this would end a lock.
                let rested = resting.take_if(|entry| entry.tag == tag);
                let mut entry = match rested.filter(|entry| entry.is_ready_for(request)) {
                    Some(entry) => entry,
                    None => Entry::open(request, &Folder::open(request.name.scope())?, &tag)?,
                };
                let done = entry.extend(request, probe, is_described)?;
                if matches!(done, Some(Attempt::Held(..))) {
                    entries.push(entry);
                }
                done
            }
        };
        if let Some(done) = done {
            return Ok(done);
        }
    }
    Err(Error::Os { call: "fcntl", code: libc::EAGAIN })
}

/// Whether this process still holds what has this key.
pub(super) fn is_held(key: u64) -> bool {
    let table = table();
    let found = table.entries.iter().find_map(|entry| Some((entry, entry.slot_of(key)?)));
    found.is_some_and(|(entry, slot)| entry.holds(slot))
}

/// Gives back what has this key. Returns whether this process held it.
pub(super) fn release(key: u64) -> Result<bool> {
    let mut table = table();
    let Table { entries, resting, .. } = &mut *table;
    let Some(at) = entries.iter().position(|entry| entry.slot_of(key).is_some()) else {
        return Ok(false);
    };
    let is_last = entries[at].kept.len() == 1;
    let done = entries[at].give_back(key);
    if is_last {
        let entry = entries.swap_remove(at);
        if done == Ok(true) && entry.may_rest {
            *resting = Some(entry);
        }
    }
    done
}

/// Lets the program that replaces this one by `exec` keep what has this key.
pub(super) fn keep_over_exec(key: u64) -> Result<()> {
    for entry in table().entries.iter().filter(|entry| entry.slot_of(key).is_some()) {
        entry.file.keep_over_exec()?;
        for (_, socket) in entry.kept.iter().filter_map(|kept| kept.witness.as_ref()) {
            socket.keep_over_exec()?;
        }
    }
    Ok(())
}

/// Calls `look` with the file of a name, if it is there. A file that this process has a claim on is
/// not opened once more.
pub(super) fn look_at<T>(
    folder: &Folder,
    file: &str,
    look: impl FnOnce(&HeapFile) -> Result<T>,
) -> Result<Option<T>> {
    let table = table();
    for entry in table.entries.iter().filter(|entry| entry.name.file() == file) {
        if folder.leads_to(file, &entry.file)? {
            return look(&entry.file).map(Some);
        }
    }
    folder.existing(file)?.map(|opened| look(&opened.0)).transpose()
}

impl Entry {
    /// Opens the file of a name.
    fn open(request: &Request, folder: &Folder, tag: &str) -> Result<Self> {
        let (mut file, len) = folder.file(request.name.file())?;
        if request.survives_exec {
            // Programs use low numbers as they like. Nothing is locked yet that this could unlock.
            file = file.moved_up()?;
        }
        let is_inherited = request.is_inherited;
        let _listed = (!is_inherited).then(|| forked::close_in_children(&file));
        let (tag, name, kept) = (tag.to_owned(), request.name.clone(), Vec::new());
        let path = folder.path_of(name.file());
        let may_rest = folder.is_preferred() && !is_inherited && !request.survives_exec;
        let file = Arc::new(file);
        Ok(Self { tag, name, path, is_inherited, may_rest, len, kept, _listed, file })
    }

    /// Whether a file that rested can serve a request.
    fn is_ready_for(&self, request: &Request) -> bool {
        let is_plain = !request.is_inherited && !request.survives_exec;
        is_plain && self.name == request.name && self.file.is_open()
    }

    /// Whether the path of the file leads to it.
    fn has_its_name(&self) -> Result<bool> {
        Ok(FileId::at(&self.path)? == self.file.opened())
    }

    fn owner(&self) -> record::Owner {
        if self.is_inherited { record::Owner::Description } else { record::Owner::Process }
    }

    fn slot_of(&self, key: u64) -> Option<u32> {
        self.kept.iter().find(|kept| kept.key == key).map(|kept| kept.slot)
    }

    fn is_held(&self) -> bool {
        self.kept.iter().any(|kept| self.holds(kept.slot))
    }

    /// Whether the kernel still has the lock of a slot for this process.
    fn holds(&self, slot: u32) -> bool {
        if self.is_inherited {
            return is_inherited_lock(&self.file, slot);
        }
        let own = std::process::id().cast_signed();
        let range = Range::byte(slot.into());
        let found = record::conflict(&self.file, record::Owner::Description, range);
        self.file.is_open() && matches!(found, Ok(Some(Conflict { pid, .. })) if pid == own)
    }

    /// Attempts to hold one more slot. `None`: things changed meanwhile, so it has to be attempted
    /// again.
    fn extend(
        &mut self,
        request: &Request,
        probe: &mut Probe,
        is_described: bool,
    ) -> Result<Option<Attempt>> {
        self.agree_on_count(&request.name)?;
        let mut taken = None;
        for slot in 0..request.name.slots().unwrap_or(1) {
            if self.kept.iter().any(|kept| kept.slot == slot) {
                taken = taken.or(Some((Owner::Process(std::process::id()), slot)));
                continue;
            }
            let byte = Range::byte(slot.into());
            if !record::take(&self.file, self.owner(), Strength::Exclusive, byte)? {
                continue;
            }
            // Until here the file may have been removed, and another one made.
            if !self.has_its_name()? {
                self.leave(slot)?;
                return Ok(None);
            }
            match witness::bind(&request.name, slot, probe) {
                Ok(Bound::Own(socket)) => return Ok(Some(self.keep(slot, socket))),
                Ok(Bound::Taken(pid)) => {
                    self.leave(slot)?;
                    taken = Some((pid.map_or(Owner::Hidden, Owner::Process), slot));
                }
                Err(error) => {
                    self.leave(slot)?;
                    return Err(error);
                }
            }
        }
        self.find_holder(request, taken, is_described)
    }

    fn keep(&mut self, slot: u32, socket: Option<HeapFile>) -> Attempt {
        self.len = holder::note(&self.file, self.len, self.name.text(), slot);
        let key = LAST.fetch_add(1, Ordering::Relaxed);
        let witness = socket.map(|socket| {
            let listed = (!self.is_inherited).then(|| forked::close_in_children(&socket));
            (listed, socket)
        });
        self.kept.push(Kept { key, slot, witness });
        Attempt::Held(key, slot, self.is_inherited.then(|| Arc::clone(&self.file)))
    }

    fn leave(&self, slot: u32) -> Result<()> {
        record::give_back(&self.file, self.owner(), Range::byte(slot.into()))
    }

    fn give_back(&mut self, key: u64) -> Result<bool> {
        let Some(at) = self.kept.iter().position(|kept| kept.key == key) else { return Ok(false) };
        let slot = self.kept[at].slot;
        let was_held = self.holds(slot);
        if let Some((listed, socket)) = self.kept.swap_remove(at).witness {
            drop(listed);
            witness::stop(socket);
        }
        // Where the file is closed with the last slot, this ends a lock of this process, too.
        if was_held && self.kept.is_empty() && self.may_rest {
            record::give_back(&self.file, self.owner(), Range { start: 0, len: 0 })?;
        } else if was_held && (self.is_inherited || !self.kept.is_empty()) {
            self.leave(slot)?;
        }
        Ok(was_held)
    }

    /// Returns who holds a slot. `taken` is one that is not found in the file.
    fn find_holder(
        &self,
        request: &Request,
        taken: Option<(Owner, u32)>,
        is_described: bool,
    ) -> Result<Option<Attempt>> {
        let count = request.name.slots().unwrap_or(1);
        let all = Range { start: 0, len: count.into() };
        let mut found = record::conflict(&self.file, self.owner(), all)?;
        if count > 1 && is_described && found.is_some() {
            found = self.oldest_holder(count)?;
        }
        let (owner, slot) = match (found, taken) {
            (Some(found), _) => (owner_of(found), found.start as u32),
            (None, Some(taken)) => taken,
            // Whoever held it gave it back meanwhile.
            (None, None) => return Ok(None),
        };
        if !is_described {
            let pid = if let Owner::Process(pid) = owner { Some(pid) } else { None };
            return Ok(Some(Attempt::Taken(Holder { pid, ..Holder::default() })));
        }
        let holder = Holder::of(owner, &self.file, slot);
        // What was read of a process is that of the holder only if it is the holder still.
        let range = Range::byte(slot.into());
        if found.is_some() && record::conflict(&self.file, self.owner(), range)? != found {
            return Ok(None);
        }
        Ok(Some(Attempt::Taken(holder)))
    }

    /// Returns the lock of the slot that has been held longest, by what its holder noted.
    fn oldest_holder(&self, count: u32) -> Result<Option<Conflict>> {
        let mut oldest = None;
        for slot in 0..count {
            if let Some(found) =
                record::conflict(&self.file, self.owner(), Range::byte(slot.into()))?
            {
                let since = holder::noted_since(&self.file, slot);
                if oldest.is_none_or(|(before, _)| since < before) {
                    oldest = Some((since, found));
                }
            }
        }
        Ok(oldest.map(|(_, found)| found))
    }

    /// All who use the slots of a name have to mean the same number of them.
    fn agree_on_count(&self, name: &Name) -> Result<()> {
        let (Some(wanted), Some(known)) = (name.slots(), self.name.slots()) else { return Ok(()) };
        if wanted != known {
            return Err(Error::OtherSlots { found: known, wanted });
        }
        let own = COUNTS + u64::from(wanted);
        record::take(&self.file, self.owner(), Strength::Shared, Range::byte(own))?;
        let below = Range { start: COUNTS, len: own - COUNTS };
        for others in [below, Range { start: own + 1, len: 0 }] {
            if let Some(found) = record::conflict(&self.file, self.owner(), others)? {
                let found = (found.start - COUNTS) as u32;
                return Err(Error::OtherSlots { found, wanted });
            }
        }
        Ok(())
    }
}

/// Whether the lock of an inherited claim is held, by whomsoever has the file.
pub(super) fn is_inherited_lock(file: &HeapFile, slot: u32) -> bool {
    let found = record::conflict(file, record::Owner::Process, Range::byte(slot.into()));
    file.is_open() && matches!(found, Ok(Some(Conflict { pid: -1, .. })))
}

/// Returns how many slots the processes mean that hold some. 0: none is held.
pub(super) fn count_in(file: &HeapFile) -> Result<u32> {
    let counts = Range { start: COUNTS, len: 0 };
    let found = record::conflict(file, record::Owner::Description, counts)?;
    Ok(found.map_or(0, |found| (found.start - COUNTS) as u32))
}

/// Returns whom the kernel names as the owner of a lock.
pub(super) fn owner_of(conflict: Conflict) -> Owner {
    match conflict.pid {
        -1 => Owner::Heirs,
        pid => {
            u32::try_from(pid).ok().filter(|pid| *pid != 0).map_or(Owner::Hidden, Owner::Process)
        }
    }
}
