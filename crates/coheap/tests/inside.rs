//! Operations on an object itself inside the block of a transaction: refused, with nothing changed.
//!
//! What always holds: none of them is half of a transaction, whatever the block did before and however
//! it ends.
//!
//! Not here: what the operations of a transaction do (`coheap-core`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use coheap::{Error, Heap, Map, Mutex, Queue, Result, Tx, Value, WorkQueue};

/// An object of each kind, with something in it.
struct World {
    heap: Heap,
    map: Map<String, i64>,
    value: Value<i64>,
    mutex: Mutex<i64>,
    queue: Queue<i64>,
    jobs: WorkQueue<i64>,
}

impl World {
    fn new() -> Self {
        let heap = Heap::anonymous(1 << 20).unwrap();
        let (map, value) = (heap.map("map").unwrap(), heap.value("value", &1).unwrap());
        let (mutex, queue) = (heap.mutex("mutex", &1).unwrap(), heap.queue("queue").unwrap());
        let jobs = heap.work_queue("jobs").unwrap();
        map.set("key", &1).unwrap();
        queue.put(&1).unwrap();
        jobs.put(&1).unwrap();
        Self { heap, map, value, mutex, queue, jobs }
    }

    /// Asserts that every object holds what it held in the beginning.
    fn assert_unchanged(&self) {
        assert_eq!(self.map.snapshot().unwrap(), [("key".to_owned(), 1)]);
        assert_eq!(self.value.get().unwrap(), 1);
        assert_eq!(self.mutex.holder().unwrap(), None);
        assert_eq!(self.mutex.lock().unwrap().get().unwrap(), 1);
        assert_eq!(self.queue.len().unwrap(), 1);
        assert_eq!((self.jobs.len().unwrap(), self.jobs.leased().unwrap()), (1, 0));
        assert!(self.jobs.failed().unwrap().is_empty());
    }

    /// Tries every operation on an object itself.
    fn try_everything(&self) -> Vec<(&'static str, Result<()>)> {
        let Self { map, value, mutex, queue, jobs, heap } = self;
        let short = Duration::from_millis(1);
        vec![
            ("Map::get", map.get("key").map(drop)),
            ("Map::contains_key", map.contains_key("key").map(drop)),
            ("Map::set", map.set("key", &2).map(drop)),
            ("Map::remove", map.remove("key").map(drop)),
            ("Map::add", map.add("key", 2).map(drop)),
            ("Map::compare_and_set", map.compare_and_set("key", Some(&1), None).map(drop)),
            ("Map::update_with", map.update_with("key", |_| 2).map(drop)),
            ("Map::pop_last", map.pop_last().map(drop)),
            ("Map::len", map.len().map(drop)),
            ("Map::is_empty", map.is_empty().map(drop)),
            ("Map::snapshot", map.snapshot().map(drop)),
            ("Map::clear", map.clear()),
            ("Value::get", value.get().map(drop)),
            ("Value::set", value.set(&2)),
            ("Value::add", value.add(2).map(drop)),
            ("Value::compare_exchange", value.compare_exchange(&1, &2).map(drop)),
            ("Mutex::lock", mutex.lock().map(drop)),
            ("Mutex::lock_timeout", mutex.lock_timeout(short).map(drop)),
            ("Mutex::try_lock", mutex.try_lock().map(drop)),
            ("Mutex::recover", mutex.recover().map(drop)),
            ("Mutex::holder", mutex.holder().map(drop)),
            ("Queue::put", queue.put(&2)),
            ("Queue::try_put", queue.try_put(&2)),
            ("Queue::put_many", queue.put_many(&[2, 3]).map(drop)),
            ("Queue::get", queue.get().map(drop)),
            ("Queue::get_timeout", queue.get_timeout(short).map(drop)),
            ("Queue::try_get", queue.try_get().map(drop)),
            ("Queue::len", queue.len().map(drop)),
            ("Queue::maxsize", queue.maxsize().map(drop)),
            ("Queue::close", queue.close()),
            ("WorkQueue::put", jobs.put(&2)),
            ("WorkQueue::put_many", jobs.put_many(&[2, 3]).map(drop)),
            ("WorkQueue::get", jobs.get().map(drop)),
            ("WorkQueue::get_timeout", jobs.get_timeout(short).map(drop)),
            ("WorkQueue::len", jobs.len().map(drop)),
            ("WorkQueue::leased", jobs.leased().map(drop)),
            ("WorkQueue::maxsize", jobs.maxsize().map(drop)),
            ("WorkQueue::max_attempts", jobs.max_attempts().map(drop)),
            ("WorkQueue::failed", jobs.failed().map(drop)),
            ("WorkQueue::close", jobs.close()),
            ("WorkQueue::join", jobs.join(Some(short))),
            ("Heap::transaction", heap.transaction(|_| Ok(()))),
        ]
    }
}

/// Goal: every operation on an object itself is refused inside of a block, and changes nothing.
/// Method: all of them, in a block that did nothing, one that read, one that wrote and one that put;
/// each block commits, and then one aborts.
#[test]
fn an_operation_beside_the_transaction_is_refused() {
    type Before = fn(&World, &mut Tx) -> Result<()>;
    let befores: [(&str, Before); 4] = [
        ("nothing", |_, _| Ok(())),
        ("a read", |world, tx| tx.get(&world.map, "key").map(drop)),
        ("a write", |world, tx| tx.write(&world.value, &1)),
        ("an addition", |world, tx| tx.add(&world.map, "key", 0)),
    ];
    for (before, act) in befores {
        for commits in [true, false] {
            let world = World::new();
            let done = world.heap.transaction(|tx| {
                act(&world, tx)?;
                for (what, answer) in world.try_everything() {
                    let is_refused = matches!(answer, Err(Error::InTransaction));
                    assert!(is_refused, "{what} after {before}: {answer:?}");
                }
                if commits { Ok(()) } else { Err(Error::OtherHeap) }
            });
            assert_eq!(done.is_ok(), commits, "{before}: {done:?}");
            world.assert_unchanged();
        }
    }
}

/// Goal: the error says what happened, that nothing was changed, and what to do.
#[test]
fn the_refusal_says_what_to_do() {
    let world = World::new();
    let refused = world.heap.transaction(|_| world.map.add("key", 1));
    let text = refused.unwrap_err().to_string();
    for part in ["a transaction of this thread is open", "nothing was changed", "methods of `tx`"] {
        assert!(text.contains(part), "{text}");
    }
}

/// Goal: a sum that was read in a transaction and changed beside it is not lost.
#[test]
fn no_update_is_lost_between_the_transaction_and_its_own_thread() {
    let world = World::new();
    let done = world.heap.transaction(|tx| {
        let now = tx.get(&world.map, "key")?.unwrap();
        tx.set(&world.map, "key", &(now + 1))?;
        // The block goes on all the same.
        assert!(world.map.add("key", 10).is_err());
        Ok(now)
    });
    assert_eq!(done.unwrap(), 1);
    assert_eq!(world.map.get("key").unwrap(), Some(2));
}

/// Goal: what gives back works inside of a block, and other threads and heaps are none of its business.
#[test]
fn others_are_not_refused() {
    let world = World::new();
    let other = World::new();
    let lease = world.jobs.get().unwrap();
    let guard = world.mutex.lock().unwrap();
    world
        .heap
        .transaction(|tx| {
            tx.set(&world.map, "key", &2)?;
            other.map.set("key", &2)?;
            std::thread::scope(|scope| {
                let put = scope.spawn(|| world.queue.put(&2));
                put.join().unwrap()
            })?;
            world.heap.map::<String, i64>("map").map(drop)?;
            assert!(world.heap.map::<String, i64>("new").is_err(), "created inside");
            assert_eq!(world.heap.names()?.len(), 5);
            Ok(())
        })
        .unwrap();
    assert_eq!(other.map.get("key").unwrap(), Some(2));
    let mut given_back = Some((lease, guard));
    world
        .heap
        .transaction(|_| {
            drop(given_back.take());
            Ok(())
        })
        .unwrap();
    assert_eq!(world.mutex.holder().unwrap(), None);
    assert_eq!((world.jobs.len().unwrap(), world.jobs.leased().unwrap()), (1, 0));
}

/// Goal: a lease that is acked beside the transaction is not lost: it returns to its queue.
#[test]
fn a_refused_ack_gives_the_job_back() {
    let world = World::new();
    let mut lease = Some(world.jobs.get().unwrap());
    let done = world.heap.transaction(|_| lease.take().unwrap().ack());
    assert!(matches!(done, Err(Error::InTransaction)), "{done:?}");
    assert_eq!((world.jobs.len().unwrap(), world.jobs.leased().unwrap()), (1, 0));
    let lease = world.jobs.get().unwrap();
    world.heap.transaction(|tx| tx.ack(&lease)).unwrap();
    assert_eq!((world.jobs.len().unwrap(), world.jobs.leased().unwrap()), (0, 0));
}

/// Goal: a block that panics leaves no transaction open behind it.
#[test]
fn a_panic_ends_the_transaction() {
    let world = World::new();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = world.heap.transaction(|tx| -> Result<()> {
            tx.set(&world.map, "key", &2)?;
            panic!("a block that panics")
        });
    }));
    assert!(caught.is_err());
    world.assert_unchanged();
}
