//! The named heaps that this process is attached to.
//!
//! Opening a life file twice and closing one descriptor would drop the life bytes of the whole
//! process. A file that is in use here is therefore found by its identity, which is read without
//! opening the file, and its one descriptor is shared.
//!
//! What always holds: one thread at a time is between the two ends of a fork. The slot that is
//! prepared for a child is found in the heap by the next child that starts, which can only be that
//! child.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use super::files::{Beside, check_private};
use super::{Heap, Shared};
use crate::error::{Error, Result};
use crate::os::{self, FileId, HeapFile, PrivateGuard, PrivateMutex};

#[derive(Debug)]
struct Known {
    data: FileId,
    heap: Weak<Shared>,
    life: Weak<HeapFile>,
}

static KNOWN: PrivateMutex<Vec<Known>> = PrivateMutex::new(Vec::new());

fn known() -> PrivateGuard<'static, Vec<Known>> {
    let mut known = KNOWN.lock();
    known.retain(|known| known.life.strong_count() > 0);
    known
}

/// While it is held, no other thread opens and closes life files to see whether they are in use.
pub(super) fn opening() -> impl Sized {
    known()
}

/// Returns the heap with this data file, if the process is attached to it.
pub(super) fn attached(data: FileId) -> Option<Heap> {
    let known = known();
    let shared = known.iter().find(|known| known.data == data)?.heap.upgrade()?;
    (!shared.is_closed()).then_some(Heap { shared })
}

/// Returns the life file of a heap: the descriptor in use, or a new one.
pub(super) fn life_file(data: FileId, path: &Path) -> Result<Arc<HeapFile>> {
    let mut known = known();
    let in_use =
        known.iter().find(|known| known.data == data).and_then(|known| known.life.upgrade());
    if let Some(life) = in_use {
        return Ok(life);
    }
    let life = Arc::new(open_own(path)?);
    known.retain(|known| known.data != data);
    known.push(Known { data, heap: Weak::new(), life: Arc::downgrade(&life) });
    Ok(life)
}

/// Enters the life file of a heap that is being made.
pub(super) fn adopt(data: FileId, life: &Arc<HeapFile>) {
    known().push(Known { data, heap: Weak::new(), life: Arc::downgrade(life) });
}

/// Keeps the pairs whose life file is missing, or is the caller's own and nobody holds a byte of it.
pub(super) fn retain_unused(folder: &Path, pairs: &mut Vec<Beside>) {
    // While it is locked, no thread begins to use a file that is opened and closed here. What was
    // in use before, by whatever library of this process, has a descriptor.
    let _known = known();
    match HeapFile::all_open() {
        Some(open) => pairs.retain(|pair| is_unused(&pair.life(folder), &open).unwrap_or(false)),
        None => pairs.clear(),
    }
}

fn is_unused(path: &Path, open: &[FileId]) -> Result<bool> {
    match HeapFile::identify(path) {
        Err(Error::Os { code: 2, .. }) => return Ok(true),
        Err(other) => return Err(other),
        Ok((id, _)) if open.contains(&id) => return Ok(false),
        Ok(_) => {}
    }
    Ok(!os::life::is_any_held(&open_own(path)?)?)
}

/// All heaps that a fork copies.
static ALL: PrivateMutex<Vec<Weak<Shared>>> = PrivateMutex::new(Vec::new());

/// Registers the heap, so that every fork of this process takes a slot in it for the child.
pub(super) fn watch_forks(heap: &Heap) {
    static HOOK: OnceLock<()> = OnceLock::new();
    HOOK.get_or_init(|| os::on_fork(expect_children, leave_to_children));
    let mut all = ALL.lock();
    all.retain(|known| known.strong_count() > 0);
    all.push(Arc::downgrade(&heap.shared));
}

/// Returns the heaps with this uuid whose files this process has open; the one it is attached to
/// comes first.
pub(super) fn with_uuid(uuid: [u64; 2]) -> Option<Heap> {
    let all: Vec<_> = ALL.lock().iter().filter_map(Weak::upgrade).collect();
    let heaps = all.into_iter().map(|shared| Heap { shared });
    heaps.filter(|heap| heap.uuid() == uuid).min_by_key(|heap| heap.shared.is_closed())
}

fn for_all(act: impl Fn(&Arc<Shared>)) {
    let all: Vec<_> = ALL.lock().iter().filter_map(Weak::upgrade).collect();
    all.iter().for_each(act);
}

static FORK: PrivateMutex<()> = PrivateMutex::new(());

thread_local! {
    /// The locks that the calling thread holds while it forks. A child has a copy, which it must
    /// not drop.
    static FORKING: Cell<Option<ManuallyDrop<PrivateGuard<'static, ()>>>> =
        const { Cell::new(None) };
}

/// Called before a fork.
extern "C" fn expect_children() {
    FORKING.set(Some(ManuallyDrop::new(FORK.lock())));
    for_all(Shared::expect_child);
}

/// Called after a fork, in the parent: the child has its own copy of the slot's lock.
extern "C" fn leave_to_children() {
    for_all(|shared| drop(shared.unborn.lock().take()));
    drop(FORKING.take().map(ManuallyDrop::into_inner));
}

/// Registers the heap, so that `attached` finds it.
pub(super) fn remember(data: FileId, heap: &Heap) {
    for known in known().iter_mut().filter(|known| known.data == data) {
        known.heap = Arc::downgrade(&heap.shared);
    }
}

/// Opens a file beside a heap's data file, which must belong to the calling user, too.
pub(super) fn open_own(path: &Path) -> Result<HeapFile> {
    // Checked before the file is opened: closing a life file that is in use would drop life bytes.
    let (_, owner) = HeapFile::identify(path)?;
    check_private(&owner)?;
    let file = HeapFile::open(path)?;
    // Another file may have got the name meanwhile.
    check_private(&file.ownership()?)?;
    Ok(file)
}
