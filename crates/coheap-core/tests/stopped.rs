//! A process that is stopped in the middle of a change: what others can do beside it, and how long
//! they wait.
//!
//! What always holds: nobody waits longer than he said, nobody who waits keeps what others need,
//! and what gives something back does not wait at all.
//!
//! Not here: the death of such a process, for which the crash sweep is there.

mod support;

use std::time::{Duration, Instant};

use coheap_core::Context;
use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::heap::floors::{ContextFloors, HeapFloors as _};
use coheap_core::memory::layout::{
    ARENA_COUNT, ARENA_TURNS, DIRECTORY_TURN, Object, SLOT_TURNS, SPAN_TURN,
};
use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{
    Directory, Lockable, Map, Mutex, Queue, Typed, Value, estate, ledger, map,
};
use coheap_core::os;
use coheap_core::sync::Patience;
use coheap_core::sync::owner::WAITERS;
use coheap_core::sync::parking::{Reason, want};
use coheap_core::transaction::Transaction;

use support::child::{Child, End, die, fork, signal};
use support::objects::{self, heap, integer, settle_and_check};
use support::page::Page;
use support::{alone, in_milliseconds, sleepers, until};

/// How long an operation may wait here, in milliseconds, and what it may take in all.
const BRIEF: u64 = 100;
const AT_MOST: Duration = Duration::from_secs(5);

/// A child that is stopped while it holds a turn.
fn stopped(heap: &Heap, turn: u32) -> Child {
    let child = fork(|| {
        let done = heap.with(|context| {
            let held = context.hold(turn)?;
            signal(std::process::id() as i32, libc::SIGSTOP);
            drop(held);
            Ok(())
        });
        done.map_or(1, |()| 0)
    });
    until("the child is stopped", || child.state() == 'T');
    child
}

fn go_on(mut child: Child) {
    child.signal(libc::SIGCONT);
    child.must_succeed();
}

/// Runs an operation that may wait for a short time, and returns what it answers.
fn briefly<T>(heap: &Heap, operation: impl FnOnce(&Context) -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let until = in_milliseconds(BRIEF);
    let answer = heap.with(|context| context.waiting_until(until, operation));
    assert!(started.elapsed() < AT_MOST, "it took {:?}", started.elapsed());
    answer
}

struct World {
    heap: Heap,
    map: Map,
    queue: Queue,
    value: Value,
}

impl World {
    fn new() -> Self {
        let heap = heap(16);
        let map = objects::map(&heap, "map");
        let queue = objects::bounded_queue(&heap, "queue", 100, 0);
        let value = objects::value(&heap, "number");
        let world = Self { heap, map, queue, value };
        world.fill().expect("room");
        world
    }

    fn fill(&self) -> Result<()> {
        self.heap.with(|context| {
            (0..50u8).try_for_each(|key| self.map.set(context, &[key], b"value").map(|_| ()))?;
            (0..50u8).try_for_each(|item| self.queue.put(context, &[item]))
        })
    }

    /// The operations that need the turn of an object, with the names that a failure shows.
    fn of_the_map(&self) -> Vec<(&'static str, Result<()>)> {
        let (heap, map) = (&self.heap, self.map);
        let mut out = Vec::new();
        vec![
            ("set", briefly(heap, |it| map.set(it, b"key", b"value").map(drop))),
            ("add", briefly(heap, |it| map.add(it, b"number", 1).map(drop))),
            ("remove", briefly(heap, |it| map.remove(it, &[1], &mut out).map(drop))),
            ("clear", briefly(heap, |it| map.clear(it))),
            (
                "set_default",
                briefly(heap, |it| {
                    map.set_default(it, b"new", b"value", &mut Vec::new()).map(drop)
                }),
            ),
            ("add_many", briefly(heap, |it| map.add_many(it, &[(b"number", 1)]))),
            ("removal", briefly(heap, |it| Directory.remove(it, "map"))),
            ("transaction", self.transact(Lockable::of(&map))),
        ]
    }

    fn of_the_queue(&self) -> Vec<(&'static str, Result<()>)> {
        let (heap, queue) = (&self.heap, self.queue);
        vec![
            ("put", briefly(heap, |it| queue.put(it, b"item"))),
            ("put_many", briefly(heap, |it| queue.put_many(it, &[b"item"]).map(drop))),
            ("get", briefly(heap, |it| queue.get(it, &mut Vec::new()))),
            ("lease", briefly(heap, |it| queue.lease(it, &mut Vec::new()).map(drop))),
            ("len", briefly(heap, |it| queue.len(it).map(drop))),
        ]
    }

    fn transact(&self, object: Lockable) -> Result<()> {
        let context = self.heap.context()?;
        let mut transaction = Transaction::begin(context, None)?;
        transaction.lock_until(object, os::now(), in_milliseconds(BRIEF))
    }
}

/// Goal: nobody waits longer than he said for a process that is stopped in a change of an object,
/// and everything works once it goes on.
/// Method: a child stops itself with the turn of a map; each operation on the map may wait 100 ms.
/// All answer that somebody else is at it, or that the time is up, and the other objects work.
#[test]
fn a_wait_for_a_stopped_process_ends_in_time() {
    let _alone = alone();
    let world = World::new();
    let child = stopped(&world.heap, world.map.handle().turn);
    for (operation, answer) in world.of_the_map() {
        let is_late = matches!(answer, Err(Error::Busy { .. } | Error::TimedOut));
        assert!(is_late, "{operation} answers {answer:?}");
    }
    for (operation, answer) in world.of_the_queue() {
        assert_eq!(answer, Ok(()), "{operation} on another object");
    }
    briefly(&world.heap, |context| world.value.set(context, &integer(7))).expect("another object");
    go_on(child);
    for (operation, answer) in world.of_the_map() {
        let is_done = answer == Ok(()) || operation == "transaction";
        assert!(is_done, "{operation} answers {answer:?}");
    }
    settle_and_check(&world.heap);
}

/// Goal: a time-out of a queue holds, too, when a process is stopped with one of its ends.
/// Method: as above, with each end; a get that waits 100 ms is told `Empty`, a put into the full
/// queue `Full`, and a join that it timed out.
#[test]
fn a_time_out_of_a_queue_holds_beside_a_stopped_process() {
    let _alone = alone();
    let world = World::new();
    let handle = world.queue.handle();
    let empty = objects::queue(&world.heap, "empty");
    let full = objects::bounded_queue(&world.heap, "full", 1, 0);
    world.heap.with(|context| full.put(context, b"item")).expect("room");
    for turn in [handle.turn, handle.second_turn] {
        let child = stopped(&world.heap, turn);
        let started = Instant::now();
        let deadline = || Some(in_milliseconds(BRIEF));
        let answers = world.heap.with(|context| {
            let mut out = Vec::new();
            let get = world.queue.get_wait(context, deadline(), &mut out);
            let join = world.queue.join(context, deadline());
            let put = world.queue.put_wait(context, deadline(), b"item");
            Ok([get, join, put])
        });
        assert!(started.elapsed() < AT_MOST, "it took {:?}", started.elapsed());
        let answers = answers.expect("a context");
        let late = [Error::Empty, Error::TimedOut, Error::Full];
        for (answer, late) in answers.into_iter().zip(late) {
            assert!(answer == Ok(()) || answer == Err(late), "{answer:?}");
        }
        go_on(child);
    }
    for turn in [empty.handle().turn, empty.handle().second_turn] {
        let child = stopped(&world.heap, turn);
        let answer = world
            .heap
            .with(|context| empty.get_wait(context, Some(in_milliseconds(BRIEF)), &mut Vec::new()));
        assert_eq!(answer, Err(Error::Empty));
        go_on(child);
    }
    settle_and_check(&world.heap);
}

/// Goal: the time-outs of locks hold while a process is stopped in a change of the object, also where
/// the lock's holder is dead, so that it has to be taken over under the turn.
/// Method: a child dies with a lock, or in a transaction; another one stops itself with the turn.
#[test]
fn a_time_out_of_a_lock_holds_beside_a_stopped_process() {
    let _alone = alone();
    let world = World::new();
    let heap = &world.heap;
    let lock = objects::mutex(heap, "lock");
    let died = fork(|| {
        heap.with(|context| lock.lock(context, None)).expect("free");
        let context = heap.context().expect("room");
        let mut transaction = Transaction::begin(context, None).expect("none is open");
        assert_eq!(transaction.try_lock(Lockable::of(&world.map)), Ok(true));
        die()
    })
    .wait();
    assert_eq!(died, End::Signal(libc::SIGKILL));
    for turn in [lock.handle().turn, world.map.handle().turn] {
        let child = stopped(heap, turn);
        let started = Instant::now();
        if turn == lock.handle().turn {
            assert_eq!(heap.with(|context| lock.try_lock(context)), Ok(None));
            let until = in_milliseconds(BRIEF);
            assert_eq!(heap.with(|it| lock.lock(it, Some(until))), Err(Error::TimedOut));
        } else {
            let late = world.transact(Lockable::of(&world.map));
            assert!(matches!(late, Err(Error::TimedOut | Error::Busy { .. })), "{late:?}");
        }
        assert!(started.elapsed() < AT_MOST, "it took {:?}", started.elapsed());
        go_on(child);
    }
    let taken = heap.with(|context| lock.lock(context, Some(in_milliseconds(5_000))));
    assert!(matches!(taken, Ok(Acquired::OwnerDied(_))), "{taken:?}");
    heap.with(|context| lock.unlock(context)).expect("held");
    assert_eq!(world.transact(Lockable::of(&world.map)), Ok(()));
    settle_and_check(heap);
}

/// Goal: a lock that is let go while the one that came first is stopped comes to the next one in
/// some milliseconds, and not when a ticker looks.
/// Method: three children wait so long that they sleep for seconds; the first one is stopped; the
/// lock is let go. The median of seven rounds.
#[test]
fn a_lock_passes_over_a_stopped_process() {
    let _alone = alone();
    let heap = heap(4);
    let lock = objects::mutex(&heap, "lock");
    let mut waits: Vec<u64> = (0..7).map(|_| passed_over(&heap, lock)).collect();
    println!("WAITS {waits:?}");
    waits.sort_unstable();
    assert!(waits[3] < 25_000_000, "{waits:?} ns");
}

/// Three children that wait, one after the other, for so long that they sleep for seconds. The first
/// one is stopped then.
fn three_that_wait(heap: &Heap, wait: impl Fn(&Context) -> Result<()>) -> [Child; 3] {
    let children = [1, 2, 3].map(|number| {
        let child = fork(|| heap.with(&wait).map_or(1, |()| 0));
        until("the child waits", || sleepers(heap) == number);
        child
    });
    std::thread::sleep(Duration::from_millis(150));
    children[0].signal(libc::SIGSTOP);
    until("the first one is stopped", || children[0].state() == 'T');
    children
}

/// Goal: an item comes to one who waits and is not stopped, also where a stopped one came first and
/// stays stopped.
/// Method: three children wait for an item each; the first one is stopped; two items are put.
#[test]
fn an_item_passes_over_a_stopped_process() {
    let _alone = alone();
    let heap = heap(4);
    let queue = objects::queue(&heap, "queue");
    let get = |context: &Context| queue.get_wait(context, None, &mut Vec::new());
    let [first, mut second, mut third] = three_that_wait(&heap, get);
    let put = || heap.with(|context| queue.put(context, b"item")).expect("room");
    put();
    put();
    assert_eq!(second.wait_for(AT_MOST), Some(End::Exit(0)));
    assert_eq!(third.wait_for(AT_MOST), Some(End::Exit(0)));
    put();
    go_on(first);
}

/// Returns after how many nanoseconds another one than the stopped one has the lock.
fn passed_over(heap: &Heap, lock: Mutex) -> u64 {
    let page = Page::new(1);
    heap.with(|context| lock.lock(context, None)).expect("free");
    let [first, mut second, mut third] = three_that_wait(heap, |context| {
        lock.lock(context, None)?;
        page.replace(0, 0, os::now());
        lock.unlock(context)
    });
    let begin = os::now();
    heap.with(|context| lock.unlock(context)).expect("held");
    second.must_succeed();
    third.must_succeed();
    go_on(first);
    page.get(0) - begin
}

/// Goal: who waits has said so before it looks: what is made after its look is rung for.
/// Method: a child is stopped with the end of an empty queue, so a look of a thread that waits does
/// not end before that goes on; the want-bit is read meanwhile.
#[test]
fn who_looks_has_said_that_it_waits() {
    let _alone = alone();
    let heap = heap(4);
    let empty = objects::queue(&heap, "empty");
    let object: &Object = heap.region().at(empty.handle().at).expect("a header");
    let turn = heap.region().turn(empty.handle().turn);
    let child = stopped(&heap, empty.handle().turn);
    assert!(!want::is_wanted(&object.wants, Reason::Item));
    std::thread::scope(|scope| {
        let get = || heap.with(|context| empty.get_wait(context, None, &mut Vec::new()));
        let waiter = scope.spawn(get);
        until("it sleeps in a look", || turn.owner.get() & WAITERS != 0);
        let is_wanted = want::is_wanted(&object.wants, Reason::Item);
        go_on(child);
        heap.with(|context| empty.put(context, b"item")).expect("room");
        assert_eq!(waiter.join().expect("calm"), Ok(()));
        assert!(is_wanted, "it looks, and has not said that it waits");
    });
    settle_and_check(&heap);
}

/// Goal: a thread that waits for a turn holds no other one.
/// Method: a child is stopped with the turns of the allocator; a thread inserts a long value, for
/// which it needs a block, and waits. Meanwhile the map can be changed by others.
#[test]
fn who_waits_for_room_does_not_keep_the_object() {
    let _alone = alone();
    let world = World::new();
    // The longest that is not built before the turn of the map is taken.
    let long = vec![b'x'; 8192];
    let child = stopped(&world.heap, SPAN_TURN);
    std::thread::scope(|scope| {
        let waiter = scope
            .spawn(|| world.heap.with(|context| world.map.set(context, b"long", &long).map(drop)));
        for round in 0..200u8 {
            let answer = briefly(&world.heap, |context| {
                world.map.set(context, &[round % 50], b"other").map(drop)
            });
            assert_eq!(answer, Ok(()), "round {round}");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!waiter.is_finished(), "there is no room while the child is stopped");
        go_on(child);
        assert_eq!(waiter.join().expect("calm"), Ok(()));
    });
    settle_and_check(&world.heap);
}

/// Goal: with the allocator or the directory stopped, no operation waits longer than it said, and
/// none is done by halves.
/// Method: each turn of the allocator, and the directory's; a value that needs a block, an object
/// that is made and one that is found.
#[test]
fn a_stopped_allocator_delays_only_who_needs_it() {
    let _alone = alone();
    let world = World::new();
    let long = vec![b'x'; 3000];
    let arenas = (0..ARENA_COUNT).map(|arena| ARENA_TURNS + arena);
    for turn in arenas.chain([SPAN_TURN, DIRECTORY_TURN]) {
        let child = stopped(&world.heap, turn);
        let grow = |context: &Context| {
            for number in 0..200u8 {
                world.map.set(context, &[b'n', number], &long)?;
            }
            Ok(())
        };
        let answers = [
            briefly(&world.heap, grow),
            briefly(&world.heap, |context| {
                Directory.get_or_create(context, "another", &map::Recipe).map(drop)
            }),
            briefly(&world.heap, |context| Directory.get::<Map>(context, "map").map(drop)),
        ];
        for answer in answers {
            assert!(matches!(answer, Ok(()) | Err(Error::Busy { .. })), "{answer:?}");
        }
        go_on(child);
        settle_and_check(&world.heap);
        world.heap.with(|context| world.map.clear(context)).expect("room");
    }
}

/// Goal: what gives something back does not wait, and is done once the turn is free.
/// Method: with a child stopped in the turns of the object, the last reference to a map is released,
/// a lease is returned, and a transaction that took an item and a place is dropped. After the child
/// went on, the next operation of this process has done all of it.
#[test]
fn what_gives_back_does_not_wait() {
    let _alone = alone();
    let world = World::new();
    let heap = &world.heap;
    let limit = objects::bounded_queue(heap, "two", 2, 0);
    let made = heap.with(|context| {
        limit.put(context, b"first")?;
        let lease = world.queue.lease(context, &mut Vec::new())?;
        Ok((ledger::create(context, &map::Recipe)?, lease))
    });
    let ((map, reference), lease) = made.expect("room");
    let handles = [map.handle(), limit.handle(), world.queue.handle()];
    let before = heap.with(|context| world.queue.len(context)).expect("a queue");
    let mut transaction =
        Transaction::begin(heap.context().expect("a context"), None).expect("no other one");
    transaction.on(&limit).get(&mut Vec::new()).expect("an item");
    transaction.on(&limit).put(b"second").expect("a place");
    let turns = handles.iter().flat_map(|handle| [handle.turn, handle.second_turn]);
    let children: Vec<Child> = turns
        .collect::<std::collections::BTreeSet<u32>>()
        .into_iter()
        .map(|turn| stopped(heap, turn))
        .collect();
    let started = Instant::now();
    heap.with(|context| {
        ledger::release(context, &reference)?;
        world.queue.nack(context, &lease, None)
    })
    .expect("no wait");
    drop(transaction);
    assert!(started.elapsed() < AT_MOST, "it took {:?}", started.elapsed());
    assert_eq!(heap.with(|context| map.len(context)), Ok(0), "it is not gone yet");
    children.into_iter().for_each(go_on);
    // The children have inherited the reference.
    heap.with(estate::sweep).expect("a sweep");
    heap.with(|context| {
        assert_eq!(map.len(context), Err(Error::ObjectGone));
        assert_eq!(world.queue.len(context)?, before + 1);
        assert_eq!((limit.len(context)?, limit.leased(context)?), (1, 0));
        assert_eq!(limit.put_many(context, &[b"a", b"b", b"c"])?, 2, "the place is free");
        Ok(())
    })
    .expect("a heap");
    settle_and_check(heap);
}

/// Goal: a process that leaves, or dies, beside one that is stopped in a queue goes nevertheless, and
/// only what belongs to that queue stays on lease until the stopped one goes on.
/// Method: a child has leases of two queues, one before and one after the other in its list, and
/// closes the heap or is killed, while another child is stopped with the turn of one of the queues.
#[test]
fn who_leaves_beside_a_stopped_process_gives_back_the_rest() {
    let _alone = alone();
    for (is_killed, first) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let heap = heap(16);
        let queues = ["first", "second"].map(|name| objects::bounded_queue(&heap, name, 0, 0));
        let order = [queues[first], queues[1 - first]];
        assert_ne!(order[0].handle().turn, order[1].handle().turn);
        heap.with(|context| order.iter().try_for_each(|queue| queue.put(context, b"job")))
            .expect("room");
        let page = Page::new(2);
        let mut leaver = fork(|| {
            let lease = |queue: &Queue| {
                heap.with(|context| queue.lease(context, &mut Vec::new())).map(drop)
            };
            let leased = order.iter().try_for_each(lease);
            page.set(0, 1);
            until("somebody is stopped", || page.get(1) == 1);
            let started = Instant::now();
            let closed = if is_killed { die() } else { heap.close() };
            i32::from(leased.is_err() || closed.is_err() || started.elapsed() > AT_MOST)
        });
        until("both jobs are leased", || page.get(0) == 1);
        let stopped = stopped(&heap, order[0].handle().turn);
        page.set(1, 1);
        let end = leaver.wait_for(AT_MOST);
        assert!(end == Some(if is_killed { End::Signal(libc::SIGKILL) } else { End::Exit(0) }));
        let lease = |queue: Queue, milliseconds: u64| {
            let until = in_milliseconds(milliseconds);
            heap.with(|context| queue.lease_wait(context, Some(until), &mut Vec::new()))
        };
        let refused = lease(order[0], BRIEF).map(drop);
        assert_eq!(refused, Err(Error::Empty), "somebody is at it");
        lease(order[1], 5_000).expect("nobody is at the other one");
        go_on(stopped);
        lease(order[0], 5_000).expect("the job is there again");
        settle_and_check(&heap);
    }
}

/// Goal: a process that was stopped in a change does not keep others from forking.
/// Method: a child is stopped with the turn of an object that this process refers to; a fork of this
/// process ends in time, and so does its child, which uses another object that it inherited.
#[test]
fn a_fork_does_not_wait_for_a_stopped_process() {
    let _alone = alone();
    let world = World::new();
    let heap = &world.heap;
    let made = heap.with(|context| {
        Ok([ledger::create(context, &map::Recipe)?, ledger::create(context, &map::Recipe)?])
    });
    let [(blocked, _), (free, _)] = made.expect("room");
    assert_ne!(blocked.handle().turn, free.handle().turn);
    let child = stopped(heap, blocked.handle().turn);
    let started = Instant::now();
    let mut other = fork(|| {
        let done = heap.with(|context| free.set(context, b"key", b"value"));
        i32::from(done != Ok(true))
    });
    assert!(started.elapsed() < AT_MOST, "it took {:?}", started.elapsed());
    other.must_succeed();
    go_on(child);
    settle_and_check(heap);
}

/// Goal: a child has what its parent refers to, also if a process is stopped in the object while it is
/// forked; the object ends with the last of them, whoever that is.
/// Method: a child is stopped with the turn of a map. The process forks a child, which forks another
/// one. The three give their references up one after the other, in all orders, by a release or by
/// their end; only the last one finds the map free, and reads it before.
#[test]
fn a_child_shares_what_its_parent_could_not_count() {
    const ORDERS: [[u64; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    const TURN: usize = 0;
    const FREE: usize = 1;
    let _alone = alone();
    for (order, ends) in ORDERS.iter().flat_map(|order| [(order, false), (order, true)]) {
        let heap = heap(16);
        let made = heap.with(|context| {
            let (map, reference) = ledger::create(context, &map::Recipe)?;
            map.set(context, b"key", b"value")?;
            Ok((map, reference))
        });
        let (map, reference) = made.expect("room");
        let stopped = stopped(&heap, map.handle().turn);
        let page = Page::new(2);
        let give_up = |number: u64| {
            until("it is its turn", || order.get(page.get(TURN) as usize) == Some(&number));
            if order[2] == number {
                until("the map is free", || page.get(FREE) == 1);
                let read = heap.with(|context| map.get(context, b"key", &mut Vec::new()));
                assert_eq!(read, Ok(true), "{order:?}");
            }
            if number == 0 || !ends {
                heap.with(|context| ledger::release(context, &reference)).expect("no wait");
            }
            page.add(TURN, 1);
        };
        let free_the_map = || {
            until("one is left", || page.get(TURN) == 2);
            go_on(stopped);
            page.set(FREE, 1);
        };
        let mut child = fork(|| {
            heap.context().expect("a member");
            let grandchild = fork(|| {
                give_up(2);
                0
            });
            give_up(1);
            // It may end later, on its own.
            std::mem::forget(grandchild);
            0
        });
        if order[2] == 0 {
            free_the_map();
            give_up(0);
        } else {
            give_up(0);
            free_the_map();
        }
        child.must_succeed();
        until("the map has ended", || {
            heap.with(estate::sweep).expect("a sweep");
            heap.with(|context| map.len(context)) == Err(Error::ObjectGone)
        });
        settle_and_check(&heap);
    }
}

/// Goal: a call that puts many items puts them all, also where others have the turns of the
/// allocator in its midst.
/// Method: threads set and remove long values; a queue without a limit gets 3,000 long items at once.
#[test]
fn many_items_are_put_beside_a_busy_allocator() {
    let _alone = alone();
    let heap = heap(64);
    let map = objects::map(&heap, "map");
    let queue = objects::queue(&heap, "queue");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let items: Vec<Vec<u8>> = (0..3_000u32).map(|number| vec![number as u8; 100]).collect();
    let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
    std::thread::scope(|scope| {
        for thread in 0..20u8 {
            let (heap, is_over) = (&heap, &is_over);
            scope.spawn(move || {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    heap.with(|context| {
                        map.set(context, &[thread], &[thread; 100])?;
                        map.remove(context, &[thread], &mut Vec::new())
                    })
                    .expect("room");
                }
            });
        }
        for _ in 0..10 {
            let put = heap.with(|context| queue.put_many(context, &items));
            assert_eq!(put, Ok(items.len()));
            heap.with(|context| {
                (0..items.len()).try_for_each(|_| queue.get(context, &mut Vec::new()))
            })
            .expect("all of them");
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    settle_and_check(&heap);
}

/// Goal: a signal ends a wait for a turn that has a deadline, and nothing was changed.
/// Method: a thread waits for the turn of a stopped child and is signalled until it answers.
#[test]
fn a_signal_interrupts_a_wait_for_a_turn() {
    extern "C" fn nothing(_: libc::c_int) {}
    let _alone = alone();
    let world = World::new();
    // SAFETY: the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
    let child = stopped(&world.heap, world.map.handle().turn);
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let world = &world;
        let waiter = scope.spawn(move || {
            // SAFETY: the thread lives until it is joined below.
            sender.send(unsafe { libc::pthread_self() }).expect("a receiver");
            let heap = &world.heap;
            let until = in_milliseconds(60_000);
            heap.with(|context| {
                context.waiting_until(until, |context| world.map.set(context, b"key", b"value"))
            })
        });
        let thread = receiver.recv().expect("a thread");
        until("the wait is over", || {
            // SAFETY: the thread is joined after this.
            unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
            waiter.is_finished()
        });
        assert_eq!(waiter.join().expect("calm"), Err(Error::Interrupted));
    });
    go_on(child);
    assert_eq!(
        world.heap.with(|context| world.map.contains(context, b"key")),
        Ok(false),
        "nothing was changed"
    );
}

/// Goal: a process that is stopped in the list of a dead process's property, or of one that leaves,
/// keeps nobody from looking for the dead, from attaching and from leaving.
/// Method: the list of a dead process has a lease and a reference; a child is stopped with the turn of
/// that slot. Sweeps, ticks, new members and closes go on beside it. Then all of it is there again.
#[test]
fn a_list_that_somebody_is_stopped_in_is_left_alone() {
    let _alone = alone();
    let heap = heap(16);
    let queue = objects::bounded_queue(&heap, "queue", 0, 0);
    heap.with(|context| queue.put(context, b"job")).expect("room");
    let page = Page::new(1);
    let mut dead = fork(|| {
        let done = heap.with(|context| {
            queue.lease(context, &mut Vec::new())?;
            ledger::create(context, &map::Recipe)?;
            page.set(0, 1 + u64::from(context.member().slot()));
            Ok(())
        });
        assert_eq!(done, Ok(()));
        die()
    });
    dead.wait();
    let slot = (page.get(0) - 1) as u32;
    let stopped = stopped(&heap, SLOT_TURNS + slot);
    let started = Instant::now();
    for part in 0..4 {
        briefly(&heap, |context| estate::tick(context, part % 2, &Patience::new(None)))
            .expect("a tick");
        briefly(&heap, estate::sweep_in_passing).expect("a sweep");
        let mut member = fork(|| {
            let used = heap.with(|context| queue.put(context, b"another"));
            i32::from(used.is_err() || heap.close().is_err())
        });
        member.must_succeed();
    }
    assert!(started.elapsed() < AT_MOST, "it took {:?}", started.elapsed());
    go_on(stopped);
    heap.with(estate::sweep).expect("a sweep");
    assert_eq!(heap.with(|context| queue.len(context)), Ok(5));
    settle_and_check(&heap);
}
