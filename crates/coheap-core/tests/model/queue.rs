//! A queue against a deque, with what came back before it and what is leased beside it.
//!
//! Not here: attempts and their limit, which the crash sweep counts.

use std::collections::VecDeque;

use coheap_core::check::check;
use coheap_core::error::Error;
use coheap_core::objects::Directory;
use coheap_core::objects::queue::ReturnReason;
use proptest::prelude::*;

use crate::hold;
use crate::support::objects::{bounded_queue, heap};

#[derive(Debug, Clone)]
enum QueueOp {
    Put(usize, u8),
    Get,
    Lease,
    Ack(prop::sample::Index),
    /// Whether the attempt counts.
    GiveBack(prop::sample::Index, bool),
}

fn queue_op() -> impl Strategy<Value = QueueOp> {
    prop_oneof![
        4 => (prop_oneof![4 => 1usize..16, 4 => 16usize..300, 1 => 5000usize..40_000], any::<u8>())
            .prop_map(|(len, fill)| QueueOp::Put(len, fill)),
        3 => Just(QueueOp::Get),
        2 => Just(QueueOp::Lease),
        1 => any::<prop::sample::Index>().prop_map(QueueOp::Ack),
        1 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(index, counts)| QueueOp::GiveBack(index, counts)),
    ]
}

fn run_queue_ops(ops: &[QueueOp], limit: u64) {
    let heap = heap(64);
    let queue = bounded_queue(&heap, "queue", limit, 0);
    let mut chain = VecDeque::new();
    let mut returned = VecDeque::new();
    let mut leased = Vec::new();
    let mut out = Vec::new();
    heap.with(|context| {
        for op in ops {
            match op {
                QueueOp::Put(len, fill) => {
                    let item = vec![*fill; *len];
                    let is_full = limit != 0 && chain.len() as u64 >= limit;
                    let expected = if is_full { Err(Error::Full) } else { Ok(()) };
                    assert_eq!(queue.put(context, &item), expected);
                    if !is_full {
                        chain.push_back(item);
                    }
                }
                QueueOp::Get => {
                    let expected = returned.pop_front().or_else(|| chain.pop_front());
                    let got = queue.get(context, &mut out);
                    assert_eq!(got.is_ok().then(|| out.clone()), expected);
                }
                QueueOp::Lease => {
                    let expected = returned.pop_front().or_else(|| chain.pop_front());
                    match queue.lease(context, &mut out) {
                        Ok(lease) => leased.push((lease, out.clone())),
                        Err(Error::Empty) => {}
                        Err(other) => return Err(other),
                    }
                    if expected.is_some() {
                        assert_eq!(leased.last().map(|lease| lease.1.clone()), expected);
                    }
                }
                QueueOp::Ack(index) if !leased.is_empty() => {
                    let (lease, _) = leased.remove(index.index(leased.len()));
                    queue.ack(context, &lease)?;
                    assert_eq!(queue.ack(context, &lease), Err(Error::LeaseLost));
                }
                QueueOp::GiveBack(index, counts) if !leased.is_empty() => {
                    let (lease, item) = leased.remove(index.index(leased.len()));
                    queue.nack(context, &lease, counts.then_some(ReturnReason::Nacked))?;
                    if *counts {
                        returned.push_back(item);
                    } else {
                        returned.push_front(item);
                    }
                }
                QueueOp::Ack(_) | QueueOp::GiveBack(..) => {}
            }
            assert_eq!(queue.len(context)?, (chain.len() + returned.len()) as u64);
            assert_eq!(queue.leased(context)?, leased.len() as u64);
        }
        check(context)?;
        Directory.remove(context, "queue")?;
        for (lease, _) in &leased {
            assert_eq!(queue.ack(context, lease), Err(Error::ObjectGone));
        }
        check(context)?;
        Ok(())
    })
    .expect("no operation fails");
}

pub(crate) fn holds() {
    let limit = prop_oneof![Just(0u64), 1u64..200];
    hold(&(prop::collection::vec(queue_op(), 1..800), limit), |(ops, limit)| {
        run_queue_ops(&ops, limit);
    });
}
