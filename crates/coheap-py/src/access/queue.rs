//! The operations of a queue, alone and inside a block.
//!
//! What always holds: the items that a block puts become visible at its end, and the items that it
//! takes are acked at its end. An operation waits for one slice; without a slice it does not wait.

use coheap_core::Result;
use coheap_core::ReturnReason;
use coheap_core::{Lease, Queue};

use super::Access;
use super::Access::{Alone, Inside};
use crate::waiting::Slice;

impl Access<'_> {
    /// Puts an item at the back.
    #[inline(always)]
    pub(crate) fn queue_put(self, queue: &Queue, item: &[u8], wait: Option<Slice>) -> Result<()> {
        match (self, wait) {
            (Alone(context), None) => queue.put(context, item),
            (Alone(context), Some(slice)) if slice.is_last => {
                queue.put_wait(context, Some(slice.until), item)
            }
            (Alone(context), Some(Slice { started, until, .. })) => {
                queue.put_until(context, started, until, item)
            }
            (Inside(block), None) => block.on(queue).put(item),
            (Inside(block), Some(Slice { started, until, .. })) => {
                block.on(queue).put_until(started, until, item)
            }
        }
    }

    /// Puts the first of some items at the back, and as many of the others as one change takes with
    /// it, and returns how many.
    pub(crate) fn queue_put_many(self, queue: &Queue, items: &[&[u8]]) -> Result<usize> {
        match (self, items.first()) {
            (Alone(context), _) => queue.put_many(context, items),
            (Inside(block), Some(first)) => block.on(queue).put(first).map(|()| 1),
            (Inside(_), None) => Ok(0),
        }
    }

    /// Takes the item at the front on lease, and replaces `out` by its bytes.
    #[inline(always)]
    pub(crate) fn queue_lease(
        self,
        queue: &Queue,
        out: &mut Vec<u8>,
        wait: Option<Slice>,
    ) -> Result<Lease> {
        match (self, wait) {
            (Alone(context), None) => queue.lease(context, out),
            (Alone(context), Some(slice)) if slice.is_last => {
                queue.lease_wait(context, Some(slice.until), out)
            }
            (Alone(context), Some(Slice { started, until, .. })) => {
                queue.lease_until(context, started, until, out)
            }
            (Inside(block), None) => block.on(queue).get(out),
            (Inside(block), Some(Slice { started, until, .. })) => {
                block.on(queue).get_until(started, until, out)
            }
        }
    }
    /// Says that a lease is done, or gives it back.
    pub(crate) fn queue_end(self, queue: &Queue, lease: &Lease, is_done: bool) -> Result<()> {
        match (self, is_done) {
            (Alone(context), true) => queue.ack(context, lease),
            (Alone(context), false) => queue.nack(context, lease, Some(ReturnReason::Nacked)),
            (Inside(block), true) => block.on(queue).ack(lease),
            (Inside(block), false) => block.on(queue).nack(lease),
        }
    }
}
