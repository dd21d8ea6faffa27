//! Queues: both ends, leases in all their ends, and waiting where there is nothing to wait for.
//!
//! A victim takes its own leases in `prepare`, so that dying before the operation gives them back
//! with one more attempt, and dying after it does not.

use std::rc::Rc;

use coheap_core::error::Result;
use coheap_core::journal::Context;
use coheap_core::objects::Queue;
use coheap_core::objects::queue::ReturnReason;
use coheap_core::os;

use crate::world::operation::Operation;
use crate::world::snapshot::{Content, Snapshot};
use crate::world::stage::Stage;
use crate::world::states::{QUEUES, WORK, item};

const QUEUE: &[&str] = &["queue"];
const BOUNDED: &[&str] = &["work"];

fn take_lease(stage: &Stage, queue: &Queue, context: &Context) -> Result<()> {
    let lease = queue.lease(context, &mut Vec::new())?;
    stage.leases.replace(vec![lease]);
    Ok(())
}

fn lease_one(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    take_lease(stage, &stage.queue, context)
}

fn lease_work(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    take_lease(stage, &stage.work, context)
}

fn nack(stage: &Stage, queue: &Queue, context: &Context, why: Option<ReturnReason>) -> Result<()> {
    queue.nack(context, &stage.leases.borrow()[0], why)
}

fn batch(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| item(100 + number)).collect()
}

fn put_batch(queue: &Queue, context: &Context, count: u32) -> Result<()> {
    let items = batch(count);
    let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
    queue.put_many(context, &items).map(|_| ())
}

/// A batch is put one item after the other: a death leaves the first few.
fn prefixes(before: &Snapshot, after: &Snapshot) -> Vec<Snapshot> {
    let mut between = Vec::new();
    for (name, content) in after {
        let (Content::Queue { waiting: long, .. }, Some(Content::Queue { waiting: short, .. })) =
            (content, before.get(name))
        else {
            continue;
        };
        for len in short.len()..long.len() {
            let mut state = after.clone();
            if let Some(Content::Queue { waiting, .. }) = state.get_mut(name) {
                waiting.truncate(len);
            }
            between.push(state);
        }
    }
    between
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(&["Queue::put"], "short", QUEUES, QUEUE, |stage, context| {
        stage.queue.put(context, b"new")
    }),
    Operation::new(&["Queue::put"], "long", QUEUES, QUEUE, |stage, context| {
        stage.queue.put(context, &[b'n'; 100])
    }),
    Operation::new(&["Queue::put"], "bounded", WORK, BOUNDED, |stage, context| {
        stage.work.put(context, b"new")
    }),
    Operation::new(&["Queue::put_many"], "3", QUEUES, QUEUE, |stage, context| {
        put_batch(&stage.queue, context, 3)
    })
    .stepwise(prefixes),
    Operation::new(&["Queue::put_many"], "40, over segments", QUEUES, QUEUE, |stage, context| {
        put_batch(&stage.queue, context, 40)
    })
    .stepwise(prefixes),
    Operation::new(&["Queue::put_many"], "bounded", WORK, BOUNDED, |stage, context| {
        put_batch(&stage.work, context, 3)
    })
    .stepwise(prefixes),
    Operation::new(&["Queue::get"], "one", QUEUES, QUEUE, |stage, context| {
        stage.queue.get(context, &mut Vec::new())
    }),
    Operation::new(&["Queue::get"], "bounded", WORK, BOUNDED, |stage, context| {
        stage.work.get(context, &mut Vec::new())
    }),
    Operation::new(&["Queue::get_wait"], "no time", QUEUES, QUEUE, |stage, context| {
        stage.queue.get_wait(context, Some(os::now()), &mut Vec::new())
    }),
    Operation::new(&["Queue::put_wait"], "no time", QUEUES, QUEUE, |stage, context| {
        stage.queue.put_wait(context, Some(os::now()), b"new")
    }),
    Operation::new(&["Queue::put_wait"], "bounded, no time", WORK, BOUNDED, |stage, context| {
        stage.work.put_wait(context, Some(os::now()), b"new")
    }),
    Operation::new(&["Queue::lease"], "one", QUEUES, QUEUE, |stage, context| {
        stage.queue.lease(context, &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Queue::lease"], "bounded", WORK, BOUNDED, |stage, context| {
        stage.work.lease(context, &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Queue::lease_wait"], "no time", QUEUES, QUEUE, |stage, context| {
        stage.queue.lease_wait(context, Some(os::now()), &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Queue::lease_until"], "no time", QUEUES, QUEUE, |stage, context| {
        let now = os::now();
        stage.queue.lease_until(context, now, now, &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Queue::put_until"], "bounded, no time", WORK, BOUNDED, |stage, context| {
        let now = os::now();
        stage.work.put_until(context, now, now, b"new")
    }),
    Operation::new(&["Queue::wait_until_ready"], "no time", QUEUES, QUEUE, |stage, context| {
        let now = os::now();
        stage.queue.wait_until_ready(context, now, now)
    }),
    Operation::new(&["Queue::wait_until_roomy"], "no time", WORK, BOUNDED, |stage, context| {
        let now = os::now();
        stage.work.wait_until_roomy(context, now, now)
    }),
    Operation::new(&["Queue::ack"], "one", QUEUES, QUEUE, |stage, context| {
        stage.queue.ack(context, &stage.leases.borrow()[0])
    })
    .prepared(lease_one),
    Operation::new(&["Queue::ack"], "bounded", WORK, BOUNDED, |stage, context| {
        stage.work.ack(context, &stage.leases.borrow()[0])
    })
    .prepared(lease_work),
    Operation::new(&["Queue::nack"], "on purpose", QUEUES, QUEUE, |stage, context| {
        nack(stage, &stage.queue, context, Some(ReturnReason::Nacked))
    })
    .prepared(lease_one),
    Operation::new(&["Queue::nack"], "not counted", QUEUES, QUEUE, |stage, context| {
        nack(stage, &stage.queue, context, None)
    })
    .prepared(lease_one),
    Operation::new(&["Queue::nack"], "bounded, on purpose", WORK, BOUNDED, |stage, context| {
        nack(stage, &stage.work, context, Some(ReturnReason::Nacked))
    })
    .prepared(lease_work),
    Operation::new(&["Queue::nack"], "bounded, dropped", WORK, BOUNDED, |stage, context| {
        nack(stage, &stage.work, context, Some(ReturnReason::Dropped))
    })
    .prepared(lease_work),
    Operation::new(&["Queue::close"], "open or closed", QUEUES, QUEUE, |stage, context| {
        stage.queue.close(context)
    }),
    Operation::new(&["Queue::join"], "no time", QUEUES, QUEUE, |stage, context| {
        stage.queue.join(context, Some(os::now()))
    }),
    Operation::new(&["Queue::join_until"], "no time", QUEUES, QUEUE, |stage, context| {
        let now = os::now();
        stage.queue.join_until(context, now, now)
    }),
    Operation::new(
        &["Queue::len", "Queue::is_empty", "Queue::leased", "Queue::is_closed"],
        "questions",
        QUEUES,
        QUEUE,
        |stage, context| {
            stage.queue.len(context)?;
            stage.queue.is_empty(context)?;
            stage.queue.leased(context)?;
            stage.queue.is_closed(context).map(|_| ())
        },
    ),
    Operation::new(
        &["Queue::failed", "Queue::check_room"],
        "questions",
        WORK,
        BOUNDED,
        |stage, context| {
            stage.work.failed(context)?;
            stage.work.check_room(context, 1)
        },
    ),
];
