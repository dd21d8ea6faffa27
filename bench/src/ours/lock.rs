//! A lock of the heap.
//!
//! Each call finds the thread's context anew, as a call of the typed face does; a pair finds it
//! once, for the typed face's guard keeps it. Not here: what
//! happens to the lock of a process that dies, which `figures::handover` measures.

use coheap_core::{Acquired, Directory, Heap, Mutex, MutexRecipe};

/// A lock that tells when its holder died.
pub struct OurLock {
    /// The heap it is in.
    pub heap: Heap,
    lock: Mutex,
}

impl OurLock {
    /// The lock of this name.
    pub fn new(heap: &Heap, name: &str) -> Self {
        let lock = heap
            .with(|context| Directory.get_or_create(context, name, &MutexRecipe::around(&[1])))
            .expect("a lock");
        Self { heap: heap.clone(), lock }
    }

    /// Takes the lock. Answers whether its last holder died.
    #[inline]
    pub fn lock(&self) -> bool {
        let acquired = self.heap.with(|context| self.lock.lock(context, None)).expect("locked");
        acquired != Acquired::Clean
    }

    /// Lets the lock go.
    #[inline]
    pub fn unlock(&self) {
        self.heap.with(|context| self.lock.unlock(context)).expect("unlocked");
    }

    /// Takes the lock and lets it go, as the typed face's guard does.
    #[inline]
    pub fn pair(&self) {
        let context = self.heap.context().expect("attached");
        self.lock.lock(&context, None).expect("locked");
        self.lock.unlock(&context).expect("unlocked");
    }

    /// Which process has it.
    pub fn holder(&self) -> Option<u32> {
        let holder = self.heap.with(|context| self.lock.holder(context)).expect("looked");
        holder.map(|holder| holder.pid)
    }
}
