//! Queues: both ends, leases in all their ends, and waiting where there is nothing to wait for.
//!
//! A victim takes its own leases in `prepare`, so that dying before the operation gives them back
//! with one more attempt, and dying after it does not.

use std::rc::Rc;

use coheap_core::error::{Error, Result};
use coheap_core::journal::Context;
use coheap_core::objects::kinds::OfHandle as _;
use coheap_core::objects::queue::{self, ReturnReason};
use coheap_core::objects::{Directory, Queue, estate, ledger};
use coheap_core::os;

use super::{KEY, Mark, NAMELESS, NAMES, Reading, Row, Subject, Victims, find, is_free};
use crate::world::operation::{Operation, State};
use crate::world::snapshot::{Content, Snapshot};
use crate::world::stage::{Stage, int};
use crate::world::states::{DIRECTORIES, LEDGERS, full, state};

const QUEUE: &[&str] = &["queue"];
const BOUNDED: &[&str] = &["work"];

/// An item; some are long.
pub(crate) fn item(number: u32) -> Vec<u8> {
    if number % 4 == 3 { vec![b'0' + (number % 10) as u8; 40] } else { int(i64::from(number)) }
}

pub(crate) fn fill_queue(stage: &Stage, put: u32, got: u32) {
    let context = stage.context();
    for number in 0..put {
        stage.queue.put(&context, &item(number)).expect("room");
    }
    for _ in 0..got {
        stage.queue.get(&context, &mut Vec::new()).expect("an item");
    }
}

pub(crate) fn return_items(stage: &Stage) {
    fill_queue(stage, 6, 0);
    let context = stage.context();
    let lease = |_| stage.queue.lease(&context, &mut Vec::new()).expect("an item");
    let leases: Vec<_> = (0..4).map(lease).collect();
    for (lease, why) in
        leases.iter().zip([Some(ReturnReason::Nacked), None, Some(ReturnReason::Dropped)])
    {
        stage.queue.nack(&context, lease, why).expect("a lease");
    }
}

const QUEUES: &[State] = &[
    state("empty", |_| {}),
    state("one", |stage| fill_queue(stage, 1, 0)),
    state("30, segment used up", |stage| fill_queue(stage, 30, 0)),
    state("head at the seam", |stage| fill_queue(stage, 32, 30)),
    state("head before a long item", |stage| fill_queue(stage, 5, 3)),
    state("larger segment due", |stage| fill_queue(stage, 60, 0)),
    state("items came back, one leased", return_items),
    state("closed", |stage| {
        fill_queue(stage, 2, 0);
        stage.queue.close(&stage.context()).expect("a queue");
    }),
    full(|stage| {
        fill_queue(stage, 30, 0);
        stage.fill_up();
    }),
];

pub(crate) fn fill_work(stage: &Stage, count: u32) {
    let context = stage.context();
    for number in 0..count {
        stage.work.put(&context, &item(number)).expect("a place");
    }
}

/// Of the queue with limits: 4 items, 2 attempts.
const WORK: &[State] = &[
    state("no place left", |stage| fill_work(stage, 4)),
    state("last attempt due", |stage| {
        fill_work(stage, 3);
        stage.leave_dead(|context| stage.work.lease(context, &mut Vec::new()).map(|_| ()));
        estate::sweep(&stage.context()).expect("a recovery");
    }),
    state("one failed", |stage| {
        fill_work(stage, 3);
        for _ in 0..2 {
            let context = stage.context();
            let lease = stage.work.lease(&context, &mut Vec::new()).expect("an item");
            stage.work.nack(&context, &lease, Some(ReturnReason::Nacked)).expect("a lease");
        }
    }),
];

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

fn nack(
    stage: &Stage,
    queue: &Queue,
    context: &Context,
    reason: Option<ReturnReason>,
) -> Result<()> {
    queue.nack(context, &stage.leases.borrow()[0], reason)
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

const OPERATIONS: &[Operation] = &[
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
        &["Queue::len", "Queue::is_empty", "Queue::leased", "Queue::is_closed", "Queue::limits"],
        "questions",
        QUEUES,
        QUEUE,
        |stage, context| {
            stage.queue.len(context)?;
            stage.queue.is_empty(context)?;
            stage.queue.leased(context)?;
            stage.queue.limits(context)?;
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
    Operation::new(&["Directory::get_or_create"], "queue", DIRECTORIES, NAMES, |_, context| {
        let recipe = queue::Recipe { limit: 3, max_attempts: 1 };
        Directory.get_or_create(context, "new", &recipe).map(|_| ())
    }),
    Operation::new(&["Directory::remove"], "queue", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "queue")
    }),
    Operation::new(&["Directory::remove"], "bounded queue", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "work")
    }),
    Operation::new(&["ledger::create"], "queue", LEDGERS, NAMELESS, |_, context| {
        ledger::create(context, &queue::Recipe { limit: 3, max_attempts: 1 }).map(|_| ())
    }),
];

pub(crate) const ROW: Row = Row {
    operations: OPERATIONS,
    find: find::<Queue>,
    look,
    read: Reading::Nothing("what waits in a queue is seen by taking it, which the writer does"),
    write: &[put, get],
};

fn look(subject: &Subject<'_>, victims: &Victims<'_>) -> Result<Content> {
    let Subject { context, name, handle } = *subject;
    let queue = Queue::of(handle);
    let leased = queue.leased(context)?;
    let closed = queue.is_closed(context)?;
    let len = queue.len(context)?;
    let failed = queue
        .failed(context)?
        .into_iter()
        .map(|failed| (failed.value, failed.attempts, format!("{:?}", failed.reason)))
        .collect();
    let mut waiting = Vec::new();
    loop {
        let mut item = Vec::new();
        let attempt = if victims.is_full {
            queue.get(context, &mut item).map(|()| 0)
        } else {
            queue.lease(context, &mut item).and_then(|lease| {
                queue.ack(context, &lease)?;
                Ok(lease.attempt)
            })
        };
        match attempt {
            Ok(attempt) => waiting.push((item, attempt)),
            Err(Error::Empty | Error::ShutDown) => break,
            Err(other) => return Err(other),
        }
    }
    assert_eq!(len, waiting.len() as u64, "{name} counts its items");
    Ok(Content::Queue { waiting, leased, failed, closed })
}

fn put(subject: &Subject<'_>) -> Result<Option<Mark>> {
    if !subject.has_room() || !is_free(subject.region(), subject.handle.second_turn) {
        return Ok(None);
    }
    Queue::of(subject.handle).put(subject.context, KEY)?;
    Ok(Some(Mark::Item))
}

fn get(subject: &Subject<'_>) -> Result<Option<Mark>> {
    if !subject.has_room() || !is_free(subject.region(), subject.handle.turn) {
        return Ok(None);
    }
    let mut item = Vec::new();
    Queue::of(subject.handle).get(subject.context, &mut item)?;
    Ok(Some(Mark::Taken(item)))
}
