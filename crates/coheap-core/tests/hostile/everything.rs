//! One of each object, and every operation there is.
//!
//! What an operation answers does not matter here: a flipped byte of a value is another value.
//! What matters is that it answers.

use coheap_core::Typed as _;
use coheap_core::allocator;
use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::queue::Lease;
use coheap_core::objects::{Directory, Map, Mutex, Queue, Value, estate};
use coheap_core::objects::{map, value};
use coheap_core::transaction::Transaction;

use crate::support::child::{End, die, fork};
use crate::support::in_milliseconds;
use crate::support::objects::{bounded_queue, integer, map, mutex, queue, value};

/// Handles to everything.
#[derive(Debug)]
pub(crate) struct Objects {
    small: Map,
    large: Map,
    number: Value,
    text: Value,
    lock: Mutex,
    jobs: Queue,
    tries: Queue,
    lease: Lease,
}

impl Objects {
    /// Where their headers are.
    pub(crate) fn headers(&self) -> [u64; 7] {
        let Self { small, large, number, text, lock, jobs, tries, .. } = self;
        let first = [small.handle(), large.handle(), number.handle(), text.handle()];
        let [a, b, c, d] = first.map(|handle| handle.at);
        [a, b, c, d, lock.handle().at, jobs.handle().at, tries.handle().at]
    }
}

/// Fills a heap with one of each, in each shape it can have.
pub(crate) fn make(heap: &Heap) -> Objects {
    let (small, large) = (map(heap, "small"), map(heap, "large"));
    let (number, text) = (value(heap, "number"), value(heap, "text"));
    let (lock, jobs, tries) =
        (mutex(heap, "lock"), queue(heap, "jobs"), bounded_queue(heap, "tries", 50, 1));
    let mut out = Vec::new();
    let lease = heap.with(|context| {
        for (index, len) in [3, 15, 16, 40, 300, 5000, 20_000, 8].into_iter().enumerate() {
            small.set(context, &[index as u8; 20], &vec![index as u8; len])?;
            small.set(context, &[index as u8], &integer(len as i64))?;
        }
        small.remove(context, &[2; 20], &mut out)?;
        for index in 0..1700u64 {
            large.set(context, &index.to_le_bytes(), &integer(index as i64))?;
        }
        for index in 100..140u64 {
            large.remove(context, &index.to_le_bytes(), &mut out)?;
        }
        text.set(context, &[7; 3000])?;
        number.set(context, &integer(5))?;
        for index in 0..40u8 {
            jobs.put(context, &vec![index; 1 + usize::from(index) * 9])?;
            tries.put(context, &[index; 30])?;
        }
        let back = jobs.lease(context, &mut out)?;
        let failed = tries.lease(context, &mut out)?;
        tries.nack(context, &failed, Some(coheap_core::objects::queue::ReturnReason::Nacked))?;
        let lease = jobs.lease(context, &mut out)?;
        jobs.nack(context, &back, None)?;
        Ok(lease)
    });
    Objects { small, large, number, text, lock, jobs, tries, lease: lease.expect("room for all") }
}

/// A process dies with two leases and a promise, which whoever passes has to settle.
pub(crate) fn leave_an_estate(open: impl FnOnce() -> Heap, objects: &Objects) {
    let mut child = fork(|| {
        let heap = open();
        let mut out = Vec::new();
        let leased = heap.with(|context| {
            objects.jobs.lease(context, &mut out)?;
            objects.tries.lease(context, &mut out)
        });
        leased.expect("two leases");
        let context = heap.context().expect("attached");
        let mut transaction = Transaction::begin(context, None).expect("a transaction");
        transaction.on(&objects.jobs).put(&[1; 20]).expect("a promise");
        die()
    });
    assert_eq!(child.wait(), End::Signal(libc::SIGKILL));
}

/// What is run, in this order.
pub(crate) const NAMES: [&str; 12] = [
    "read",
    "check",
    "sweep",
    "map",
    "value",
    "queue",
    "lock",
    "directory",
    "transaction",
    "clear",
    "reclaim",
    "second check",
];

type Group<'a> = &'a dyn Fn(&Context) -> Result<()>;

/// Runs everything. `note` hears the number of each group, and whether it got through.
pub(crate) fn run(heap: &Heap, objects: &Objects, note: &mut dyn FnMut(usize, bool)) {
    let groups: [Group<'_>; 12] = [
        &|context| read(objects, context),
        &|context| check(context).map(|_| ()),
        &|context| estate::sweep(context).map(|_| ()),
        &|context| change_maps(objects, context),
        &|context| change_values(objects, context),
        &|context| change_queues(objects, context),
        &|context| take_lock(objects, context),
        &|context| change_directory(context),
        &|_| transact(heap, objects),
        &|context| clear(objects, context),
        &|context| allocator::reclaim(context),
        &|context| check(context).map(|_| ()),
    ];
    for (number, group) in groups.iter().enumerate() {
        note(number, false);
        if heap.with(|context| group(context)).is_ok() {
            note(number, true);
        }
    }
}

/// Goes on whatever the answer is: each operation is to be tried. Answers the last error.
fn all(steps: &mut [&mut dyn FnMut() -> Result<()>]) -> Result<()> {
    let mut answer = Ok(());
    for step in steps {
        answer = step().and(answer);
    }
    answer
}

fn read(objects: &Objects, context: &Context) -> Result<()> {
    let Objects { small, large, number, text, .. } = objects;
    let (mut one, mut two, mut three, mut four) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    all(&mut [
        &mut || small.get(context, &[5; 20], &mut one).map(|_| ()),
        &mut || small.get(context, b"nothing", &mut two).map(|_| ()),
        &mut || large.contains(context, &1000u64.to_le_bytes()).map(|_| ()),
        &mut || small.snapshot(context).map(|_| ()),
        &mut || large.scan(context, 0, 500).map(|_| ()),
        &mut || large.len(context).map(|_| ()),
        &mut || number.get(context, &mut three),
        &mut || text.get(context, &mut four),
        &mut || Directory.names(context).map(|_| ()),
        &mut || objects.tries.failed(context).map(|_| ()),
        &mut || objects.jobs.len(context).map(|_| ()),
        &mut || objects.lock.holder(context).map(|_| ()),
    ])
}

fn change_maps(objects: &Objects, context: &Context) -> Result<()> {
    let Objects { small, large, .. } = objects;
    let (mut out, mut key, mut value) = (Vec::new(), Vec::new(), Vec::new());
    all(&mut [
        &mut || small.set(context, &[3; 20], &[9; 41]).map(|_| ()),
        &mut || small.set(context, &[3; 20], &[9; 9000]).map(|_| ()),
        &mut || small.set(context, b"a new key of the small map", &[1; 100]).map(|_| ()),
        &mut || small.compare_and_set(context, b"x", None, Some(b"y")).map(|_| ()),
        &mut || small.add(context, &[1], 5).map(|_| ()),
        &mut || (0..64).try_for_each(|n| small.set(context, &[n, n], b"growth").map(|_| ())),
        &mut || small.remove(context, &[6; 20], &mut out).map(|_| ()),
        &mut || large.pop_last(context, &mut key, &mut value).map(|_| ()),
        &mut || large.last(context, &mut Vec::new(), &mut Vec::new()).map(|_| ()),
        &mut || large.remove_last(context, &1999u64.to_le_bytes(), &[1]).map(|_| ()),
        &mut || large.add(context, &1500u64.to_le_bytes(), 1).map(|_| ()),
        &mut || (0..40).try_for_each(|n| large.set(context, &[n, 1, 1], b"growth").map(|_| ())),
    ])
}

fn change_values(objects: &Objects, context: &Context) -> Result<()> {
    let Objects { number, text, .. } = objects;
    all(&mut [
        &mut || number.add(context, 1).map(|_| ()),
        &mut || text.set(context, &[8; 2999]),
        &mut || text.set(context, b"short"),
        &mut || number.set(context, &[1; 400]),
        &mut || text.compare_and_set(context, b"short", &[3; 3000]).map(|_| ()),
    ])
}

fn change_queues(objects: &Objects, context: &Context) -> Result<()> {
    let Objects { jobs, tries, lease, .. } = objects;
    let (mut one, mut two, mut three) = (Vec::new(), Vec::new(), Vec::new());
    let now = Some(in_milliseconds(0));
    all(&mut [
        // It is the lease of another process: the answer is that it is lost.
        &mut || match jobs.ack(context, lease) {
            Err(Error::LeaseLost) => Ok(()),
            other => other,
        },
        &mut || jobs.put(context, b"short"),
        &mut || jobs.put(context, &[1; 333]),
        &mut || jobs.put_many(context, &[b"a", &[2; 100]]).map(|_| ()),
        &mut || (0..4).try_for_each(|_| jobs.get(context, &mut one)),
        &mut || {
            let lease = jobs.lease(context, &mut two)?;
            jobs.ack(context, &lease)
        },
        &mut || {
            let lease = tries.lease_wait(context, now, &mut three)?;
            tries.nack(context, &lease, None)
        },
        &mut || tries.put_wait(context, now, &[1; 20]),
        &mut || jobs.join(context, now).or(Ok(())),
        &mut || jobs.leased(context).map(|_| ()),
        &mut || tries.close(context),
    ])
}

fn take_lock(objects: &Objects, context: &Context) -> Result<()> {
    objects.lock.lock(context, Some(in_milliseconds(5)))?;
    objects.lock.unlock(context)
}

fn change_directory(context: &Context) -> Result<()> {
    all(&mut [
        &mut || Directory.get::<Map>(context, "large").map(|_| ()),
        &mut || Directory.get_or_create(context, "new", &map::Recipe).map(|_| ()),
        &mut || Directory.get_or_create(context, "newer", &value::Recipe::of(&[1; 99])).map(|_| ()),
        &mut || Directory.remove(context, "new"),
        &mut || Directory.remove(context, "tries"),
    ])
}

fn transact(heap: &Heap, objects: &Objects) -> Result<()> {
    let mut tx = Transaction::begin(heap.context()?, None)?;
    let mut out = Vec::new();
    tx.on(&objects.small).add(&[1], 1)?;
    tx.on(&objects.large).set(b"key", &[1; 50])?;
    tx.on(&objects.text).set(&[1; 60])?;
    tx.on(&objects.jobs).get(&mut out)?;
    tx.on(&objects.jobs).put(&[1; 70])?;
    tx.commit()
}

fn clear(objects: &Objects, context: &Context) -> Result<()> {
    all(&mut [
        &mut || objects.large.clear(context),
        &mut || objects.small.clear(context),
        &mut || match Directory.remove(context, "jobs") {
            Err(Error::NoSuchName) => Ok(()),
            other => other,
        },
    ])
}
