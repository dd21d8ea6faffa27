//! The address of a heap, for a process that did not inherit the heap.
//!
//! It names a member that has the heap open, and the member's descriptors of the three files.
//! Another process of the same user opens these while that member lives.
//!
//! What always holds: a process that is already attached is found by the uuid, before any file is
//! opened. Closing a life file that is in use would drop the life bytes of the whole process.

use super::files::check_private;
use super::{Files, Heap, create, registry};
use crate::error::{Error, Result};
use crate::os::{HeapFile, PrivateMutex};

/// The address of a heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The heap's own name.
    pub uuid: [u64; 2],
    /// A member.
    pub pid: u32,
    /// Its descriptors of the data, life and birth file.
    pub descriptors: [u32; 3],
    /// Their inodes, so that other files are not mistaken for them.
    pub inodes: [u64; 3],
}

impl Heap {
    /// Returns the heap's own name: no other heap has it.
    pub fn uuid(&self) -> [u64; 2] {
        let header = self.region().header();
        [header.uuid[0].get(), header.uuid[1].get()]
    }

    /// Returns the address at which others find the heap while this process is attached. A heap
    /// with a name is better found by its name.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when a descriptor was closed by user code.
    pub fn address(&self) -> Result<Address> {
        let files = self.files();
        let mut inodes = [0; 3];
        for (inode, file) in inodes.iter_mut().zip(files) {
            *inode = file.inode()?;
        }
        let descriptors = files.map(|file| file.number().unsigned_abs());
        Ok(Address { uuid: self.uuid(), pid: std::process::id(), descriptors, inodes })
    }

    /// Returns the heap with this uuid, if this process is attached to it.
    pub fn attached(uuid: [u64; 2]) -> Option<Self> {
        registry::with_uuid(uuid).filter(|heap| !heap.shared.is_closed())
    }

    /// Attaches to the heap at an address. If this process is attached already, returns that heap.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchHeap`] when the member of the address has ended or denies access; else as
    /// [`open`](Self::open).
    pub fn at(address: &Address) -> Result<Self> {
        static ONE_BY_ONE: PrivateMutex<()> = PrivateMutex::new(());
        let _elected = ONE_BY_ONE.lock();
        let files = match registry::with_uuid(address.uuid) {
            Some(heap) if !heap.shared.is_closed() => return Ok(heap),
            // The heap was closed, but its files are still open: they must not be opened twice.
            Some(closed) => closed.shared.files(),
            None => open_files(address)?,
        };
        Self::attach(files, None)
    }
}

fn open_files(address: &Address) -> Result<Files> {
    let gone = || Error::NoSuchHeap { pid: address.pid };
    let _opening = registry::opening();
    let mut files = Vec::with_capacity(3);
    for (number, inode) in address.descriptors.into_iter().zip(address.inodes) {
        let found = HeapFile::inode_of_process(address.pid, number);
        if found.map_err(|_| gone())? != inode {
            return Err(gone());
        }
        files.push(HeapFile::open_of_process(address.pid, number).map_err(|_| gone())?);
    }
    let Ok([data, life, birth]) = <[HeapFile; 3]>::try_from(files) else { return Err(gone()) };
    let region = create::map_checked(data)?;
    for file in [&life, &birth] {
        check_private(&file.ownership()?)?;
    }
    let found = &region.header().uuid;
    if [found[0].get(), found[1].get()] != address.uuid {
        return Err(gone());
    }
    Ok(Files::new(region, life, birth))
}
