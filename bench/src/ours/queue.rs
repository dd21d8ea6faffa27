//! A queue of the heap, plain or with leases.
//!
//! Each call finds the thread's context anew, as a call of the typed face does, and what is taken
//! comes in a vector of its own. Both ends wait without a deadline.

use coheap_core::{Directory, Heap, Queue, QueueRecipe};

/// A queue of bytes.
pub struct OurQueue {
    /// The heap it is in.
    pub heap: Heap,
    queue: Queue,
}

impl OurQueue {
    /// The queue of this name, for at most `limit` items.
    pub fn new(heap: &Heap, name: &str, limit: u64) -> Self {
        let recipe = QueueRecipe { limit, max_attempts: 0 };
        let queue =
            heap.with(|context| Directory.get_or_create(context, name, &recipe)).expect("a queue");
        Self { heap: heap.clone(), queue }
    }

    /// Puts an item, waiting for a place.
    #[inline]
    pub fn put(&self, item: &[u8]) {
        self.heap.with(|context| self.queue.put_wait(context, None, item)).expect("put");
    }

    /// Takes an item, waiting for one.
    #[inline]
    pub fn get(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.heap.with(|context| self.queue.get_wait(context, None, &mut out)).expect("got");
        out
    }

    /// Takes an item on lease, waiting for one, and says that it is done.
    #[inline]
    pub fn lease_and_ack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.heap
            .with(|context| {
                let lease = self.queue.lease_wait(context, None, &mut out)?;
                self.queue.ack(context, &lease)
            })
            .expect("leased and acked");
        out
    }
}
