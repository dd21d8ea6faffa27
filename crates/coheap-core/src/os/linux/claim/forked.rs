//! What a forked child does with the descriptors of its parent's claims: it closes them at once.
//!
//! A claim is not the child's, and a socket that the child had would keep its name after the parent's
//! death. The list is one of plain words, so that the handler of a fork may read it whatever the
//! other threads of the parent were doing.
//!
//! What always holds: a descriptor is closed only if it still names the file that was listed. What
//! finds no room in the list stays open in the child, where it holds nothing (`witness`).

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use super::super::file::HeapFile;

const CELLS: usize = 256;

#[derive(Debug)]
struct Cell {
    /// The descriptor, or -1.
    number: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

static LISTED: [Cell; CELLS] = [const {
    Cell { number: AtomicI32::new(-1), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
}; CELLS];
static IS_PREPARED: AtomicBool = AtomicBool::new(false);

/// An entry of the list; dropping it takes it out.
#[derive(Debug)]
pub(super) struct Listed(Option<usize>);

/// Has the next child of this process close the file. The caller is the only thread that lists.
pub(super) fn close_in_children(file: &HeapFile) -> Listed {
    if !IS_PREPARED.swap(true, Ordering::Relaxed) {
        super::super::fork::in_child(close_listed);
    }
    let Some(opened) = file.opened() else { return Listed(None) };
    let free = LISTED.iter().position(|cell| cell.number.load(Ordering::Relaxed) == -1);
    if let Some(cell) = free.map(|at| &LISTED[at]) {
        cell.device.store(opened.device(), Ordering::Relaxed);
        cell.inode.store(opened.inode(), Ordering::Relaxed);
        cell.number.store(file.number(), Ordering::Release);
    }
    Listed(free)
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(at) = self.0 {
            LISTED[at].number.store(-1, Ordering::Release);
        }
    }
}

/// Runs in a forked child, where it may call little else than the system.
extern "C" fn close_listed() {
    for cell in &LISTED {
        let number = cell.number.swap(-1, Ordering::Acquire);
        if number == -1 {
            continue;
        }
        // SAFETY: `stat` is plain numbers; all zero is a valid value.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer is a valid `stat` that outlives the call.
        let is_open = unsafe { libc::fstat(number, &raw mut stat) } == 0;
        let device = cell.device.load(Ordering::Relaxed);
        let is_same = stat.st_dev == device && stat.st_ino == cell.inode.load(Ordering::Relaxed);
        if is_open && is_same {
            // SAFETY: it is the child's copy of a descriptor that nothing in the child uses.
            unsafe { libc::close(number) };
        }
    }
}
