//! The named heaps that this process is attached to.
//!
//! Opening a life file twice and closing one descriptor would drop the life bytes of the whole
//! process. A file that is in use here is therefore found by its identity, which is read without
//! opening the file, and its one descriptor is shared.
//!
//! What always holds:
//!
//! - One thread at a time is between the two ends of a fork. The slot that is prepared for a child
//!   is found in the heap by the next child that starts, which can only be that child.
//! - The lists are locked from the one end to the other: a child's copies are whole.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Arc, Weak};

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

/// All heaps that a fork copies, and whether forks are watched.
static ALL: PrivateMutex<All> = PrivateMutex::new(All { heaps: Vec::new(), is_watched: false });

#[derive(Debug)]
struct All {
    heaps: Vec<Weak<Shared>>,
    is_watched: bool,
}

/// Registers the heap, so that every fork of this process takes a slot in it for the child.
pub(super) fn watch_forks(heap: &Heap) {
    let mut all = ALL.lock();
    if !all.is_watched {
        // A child that another thread forks between the two calls registers the hooks once more:
        // twice does no harm, and never does.
        os::on_fork(expect_children, leave_to_children);
        all.is_watched = true;
    }
    all.heaps.retain(|known| known.strong_count() > 0);
    all.heaps.push(Arc::downgrade(&heap.shared));
}

/// Returns the heaps with this uuid whose files this process has open; the one it is attached to
/// comes first.
pub(super) fn with_uuid(uuid: [u64; 2]) -> Option<Heap> {
    let heaps = all().into_iter().map(|shared| Heap { shared });
    heaps.filter(|heap| heap.uuid() == uuid).min_by_key(|heap| heap.shared.is_closed())
}

fn all() -> Vec<Arc<Shared>> {
    ALL.lock().heaps.iter().filter_map(Weak::upgrade).collect()
}

static FORK: PrivateMutex<()> = PrivateMutex::new(());

/// What a thread holds while it forks, in the order in which it lets go.
struct Forking {
    /// The process that forks: its child has a copy of all this, which is not its own.
    generation: u64,
    lists: (PrivateGuard<'static, Vec<Known>>, PrivateGuard<'static, All>),
    fork: PrivateGuard<'static, ()>,
}

thread_local! {
    /// The fork that the calling thread is in. A child has a copy, which it must not drop.
    static FORKING: Cell<Option<ManuallyDrop<Forking>>> = const { Cell::new(None) };
}

/// Takes what the calling thread holds for a fork, if it is in one.
fn take_forking() -> Option<ManuallyDrop<Forking>> {
    FORKING.take().filter(|forking| forking.generation == os::generation())
}

/// Called before a fork.
extern "C" fn expect_children() {
    let forking = take_forking().unwrap_or_else(|| {
        let (fork, _here) = (FORK.lock(), os::stay());
        all().iter().for_each(Shared::expect_child);
        let (generation, lists) = (os::generation(), (KNOWN.lock(), ALL.lock()));
        ManuallyDrop::new(Forking { generation, lists, fork })
    });
    FORKING.set(Some(forking));
}

/// Called after a fork, in the parent: the child has its own copy of the slot's lock.
extern "C" fn leave_to_children() {
    let Some(forking) = take_forking() else { return };
    let Forking { lists, fork, .. } = ManuallyDrop::into_inner(forking);
    drop(lists);
    all().iter().for_each(|shared| drop(shared.unborn.lock().take()));
    drop(fork);
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
