//! Transactions that wait: for locks until a time, for queues while they hold nothing; and what
//! they give back.
//!
//! One process; death in the middle is the business of the crash sweep and of torture.

mod support;

use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::objects::Lockable;
use coheap_core::objects::{Directory, Map, Queue, Recipe, Value, map, mutex, queue, value};
use coheap_core::os;
use coheap_core::transaction::Transaction;

use support::{sleepers, until};

struct World {
    heap: Heap,
    maps: [Map; 2],
    value: Value,
    queue: Queue,
}

fn make<R: Recipe>(heap: &Heap, name: &str, recipe: &R) -> R::Object {
    heap.with(|context| Directory.get_or_create(context, name, recipe)).expect("an object")
}

impl World {
    fn new() -> Self {
        let heap = Heap::anonymous(64 << 20).expect("an anonymous heap");
        let maps = ["first", "second"].map(|name| make(&heap, name, &map::Recipe));
        let value = make(&heap, "value", &value::Recipe::of(b"number"));
        let queue = make(&heap, "queue", &queue::Recipe { limit: 40, max_attempts: 3 });
        Self { heap, maps, value, queue }
    }

    fn begin(&self) -> Transaction {
        let context = self.heap.context().expect("a context");
        Transaction::begin(context, None).expect("no other transaction")
    }
}

/// Goal: who may not wait is told that a lock is taken, who may wait comes back in time, and both
/// have the lock to the end once they got it.
#[test]
fn a_lock_is_tried_or_waited_for_until_a_time() {
    let world = World::new();
    let [first, second] = world.maps;
    let things = [Lockable::of(&first), Lockable::of(&world.value)];
    let barrier = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = world.begin();
            for thing in things {
                assert_eq!(other.try_lock(thing), Ok(true));
                assert_eq!(other.try_lock(thing), Ok(true), "it has it");
            }
            barrier.wait();
            barrier.wait();
            other.commit().expect("a commit");
            barrier.wait();
        });
        let mut transaction = world.begin();
        barrier.wait();
        transaction.on(&second).set(b"kept", b"yes").expect("free");
        for thing in things {
            assert_eq!(transaction.try_lock(thing), Ok(false));
            let started = os::now();
            let until = started + 20_000_000;
            assert_eq!(transaction.lock_until(thing, started, until), Err(Error::TimedOut));
            assert!(os::now() >= until);
        }
        assert_eq!(transaction.doom(), None, "to come back in time is no end");
        barrier.wait();
        barrier.wait();
        for thing in things {
            let started = os::now();
            assert_eq!(transaction.lock_until(thing, started, started + 1_000_000_000), Ok(()));
        }
        transaction.on(&first).set(b"key", b"value").expect("locked");
        transaction.commit().expect("a commit");
    });
    for map in world.maps {
        assert_eq!(world.heap.with(|context| map.len(context)), Ok(1));
    }
}

/// Goal: a single write that waited for a transaction leaves the object to everybody.
/// Method: once it is done, another write may not wait at all.
#[test]
fn a_single_write_leaves_the_object_to_everybody() {
    let world = World::new();
    let map = &world.maps[0];
    let mut transaction = world.begin();
    transaction.on(map).set(b"key", b"first").expect("free");
    std::thread::scope(|scope| {
        let write = || world.heap.with(|context| map.set(context, b"key", b"second"));
        let writer = scope.spawn(write);
        until("it waits", || sleepers(&world.heap) == 1);
        transaction.commit().expect("a commit");
        writer.join().expect("calm").expect("room");
        let at_once = |context: &coheap_core::Context| {
            context.waiting_until(0, |it| map.set(it, b"key", b"third"))
        };
        assert!(world.heap.with(at_once).is_ok());
    });
}

/// Goal: a transaction waits for queues while it holds nothing, and never otherwise.
#[test]
fn what_holds_nothing_may_wait_for_a_queue() {
    let world = World::new();
    let queue = &world.queue;
    let mut out = Vec::new();
    let mut get = |transaction: &mut Transaction| {
        let started = os::now();
        transaction.on(queue).get_until(started, started + 1_000_000, &mut out)
    };
    let mut transaction = world.begin();
    assert!(transaction.holds_nothing());
    assert_eq!(get(&mut transaction), Err(Error::Empty));
    assert_eq!(transaction.doom(), None);
    world.heap.with(|context| queue.put(context, b"item")).expect("a put");
    get(&mut transaction).expect("an item");
    assert!(!transaction.holds_nothing());
    assert_eq!(get(&mut transaction), Err(Error::WouldBlock));
    assert_eq!(transaction.commit(), Err(Error::Doomed(Box::new(Error::WouldBlock))));
    world.heap.with(|context| assert_eq_len(context, queue, 1)).expect("it came back");

    for number in 1..=40 {
        world.heap.with(|context| queue.put(context, &[number])).expect("a place");
    }
    let mut transaction = world.begin();
    let started = os::now();
    let put = transaction.on(queue).put_until(started, started + 1_000_000, b"more");
    assert_eq!(put, Err(Error::Full));
    // The first one is the one that came back, which has no place.
    for _ in 0..2 {
        world.heap.with(|context| queue.get(context, &mut Vec::new())).expect("an item");
    }
    transaction.on(queue).put_until(started, started, b"more").expect("a place");
    let put = transaction.on(queue).put_until(started, started, b"more");
    assert_eq!(put, Err(Error::WouldBlock));
}

fn assert_eq_len(
    context: &coheap_core::journal::Context,
    queue: &Queue,
    expected: u64,
) -> Result<()> {
    assert_eq!(queue.len(context)?, expected);
    assert_eq!(queue.leased(context)?, 0);
    Ok(())
}

/// Goal: an item that a transaction gives back goes back with the commit, and the attempt counts;
/// without a commit it does not.
#[test]
fn a_job_given_back_counts_with_the_commit() {
    let world = World::new();
    let queue = &world.queue;
    let mut out = Vec::new();
    world.heap.with(|context| queue.put(context, b"job")).expect("a put");
    let mut transaction = world.begin();
    let lease = transaction.on(queue).get(&mut out).expect("an item");
    transaction.on(queue).nack(&lease).expect("taken here");
    assert_eq!(transaction.on(queue).nack(&lease), Err(Error::LeaseLost));
    assert_eq!(transaction.on(queue).ack(&lease), Err(Error::LeaseLost));
    transaction.abort();
    for attempt in 1..=2 {
        let mut transaction = world.begin();
        let lease = transaction.on(queue).get(&mut out).expect("an item");
        assert_eq!(lease.attempt, attempt);
        let savepoint = transaction.savepoint();
        transaction.on(queue).nack(&lease).expect("taken here");
        transaction.roll_back_to(savepoint).expect("a way back");
        transaction.on(queue).nack(&lease).expect("taken here");
        transaction.commit().expect("a commit");
        world.heap.with(|context| assert_eq_len(context, queue, 1)).expect("it is back");
    }
    let lease = world.heap.with(|context| queue.lease(context, &mut out)).expect("an item");
    let mut transaction = world.begin();
    transaction.on(queue).nack(&lease).expect("held");
    transaction.commit().expect("a commit");
    let failed = world.heap.with(|context| queue.failed(context)).expect("a list");
    assert_eq!(failed.len(), 1, "that was the third and last");
    world.heap.with(|context| check(context).map(|_| ())).expect("a whole heap");
}

/// Goal: who waits for a queue or a lock without wanting anything leaves it as it was.
#[test]
fn to_wait_for_something_takes_nothing() {
    let world = World::new();
    let queue = &world.queue;
    let soon = || os::now() + 1_000_000;
    let mutex = make(&world.heap, "lock", &mutex::Recipe::default());
    world
        .heap
        .with(|context| {
            assert_eq!(queue.wait_until_ready(context, os::now(), soon()), Err(Error::Empty));
            queue.wait_until_roomy(context, os::now(), soon())?;
            queue.put(context, b"job")?;
            queue.wait_until_ready(context, os::now(), soon())?;
            let lease = queue.lease(context, &mut Vec::new())?;
            assert_eq!(lease.attempt, 1);
            queue.ack(context, &lease)?;
            mutex.wait_until_free(context, os::now(), soon())?;
            assert_eq!(mutex.holder(context)?, None);
            assert_eq!(mutex.depth(context), Ok(0));
            mutex.lock(context, None)?;
            assert_eq!(mutex.depth(context), Ok(1));
            assert!(mutex.lock_again(context)?);
            assert_eq!(mutex.depth(context), Ok(2));
            Ok(())
        })
        .expect("all of it");
    let waited = std::thread::scope(|scope| {
        let wait = || world.heap.with(|it| mutex.wait_until_free(it, os::now(), soon()));
        scope.spawn(wait).join().expect("calm")
    });
    assert_eq!(waited, Err(Error::TimedOut));
}
