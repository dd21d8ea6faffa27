//! What a lock tells of its holder: how often it has it, since when, and that it died.
//!
//! What always holds: a death that nobody was told of is told to the next who takes the lock; a
//! strict lock is refused to everybody until it is recovered.

use coheap_core::Kind;
use coheap_core::Typed as _;
use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::layout::Object;
use coheap_core::objects::RecursiveMutex;
use coheap_core::objects::mutex::{Acquired, Traits};
use coheap_core::objects::recursive_mutex;
use coheap_core::objects::{Directory, Mutex, mutex, value};
use coheap_core::os;
use coheap_core::sync::parking::table::waiter::Waiter;
use coheap_core::sync::parking::{Key, Manner, Reason, Who, bell};

use crate::support::child::{End, fork};
use crate::support::objects::{heap, mutex, object, value};
use crate::support::{alone, in_milliseconds};

fn strict(heap: &Heap, name: &str) -> Mutex {
    let recipe = mutex::Recipe { is_strict: true, ..Default::default() };
    object(heap, name, &recipe).expect("a lock")
}

/// A child takes the lock `times` times, then dies. Answers its process id.
fn die_with(heap: &Heap, lock: Mutex, times: u32) -> u32 {
    let mut child = fork(|| {
        heap.with(|context| {
            lock.lock(context, None)?;
            for _ in 1..times {
                assert!(lock.lock_again(context)?);
            }
            Ok(())
        })
        .map_or(1, |()| 0)
    });
    let pid = child.pid() as u32;
    assert_eq!(child.wait(), End::Exit(0));
    pid
}

fn try_lock(heap: &Heap, lock: Mutex) -> Result<Option<Acquired>, Error> {
    heap.with(|context| lock.try_lock(context))
}

/// Goal: a lock that was taken again is let go as often, by its holder alone.
/// Method: three times in one thread, beside another thread that tries; then the same once more
/// around a lock that a child died with, having taken it twice.
#[test]
fn a_lock_taken_again_is_let_go_as_often() {
    let _alone = alone();
    let heap = heap(4);
    let lock = value(&heap, "number").lock_beside().mutex();
    let other = || {
        let beside = || (try_lock(&heap, lock), heap.with(|context| lock.leave(context)));
        std::thread::scope(|scope| scope.spawn(beside).join().expect("calm"))
    };
    for was_left in [false, true] {
        heap.with(|context| {
            let first = if was_left {
                Acquired::OwnerDied(die_with(&heap, lock, 2))
            } else {
                assert_eq!(lock.lock_again(context), Ok(false));
                Acquired::Clean
            };
            assert_eq!(lock.lock(context, Some(in_milliseconds(5_000))), Ok(first));
            assert_eq!(lock.lock_again(context), Ok(true));
            assert_eq!(lock.lock_again(context), Ok(true));
            for _ in 0..3 {
                assert_eq!(other(), (Ok(None), Err(Error::NotOwner)));
                lock.leave(context)?;
            }
            assert_eq!(lock.leave(context), Err(Error::NotOwner));
            assert_eq!(lock.holder(context), Ok(None));
            Ok(())
        })
        .expect("a lock");
    }
    assert_eq!(other().0, Ok(Some(Acquired::Clean)));
}

/// Goal: who holds a lock, and since when, can be asked by others.
/// Method: a thread takes it at a known time and says its own numbers.
#[test]
fn a_holder_can_be_asked_for() {
    let _alone = alone();
    let heap = heap(4);
    let lock = mutex(&heap, "lock");
    let before = os::now();
    heap.with(|context| lock.lock(context, None)).expect("free");
    let holder = || heap.with(|context| lock.holder(context)).expect("a lock").expect("held");
    assert_eq!(holder().pid, std::process::id());
    assert_eq!(holder().thread, Some(os::thread_id()));
    assert_eq!(holder().since, None);
    heap.with(|context| lock.note_time(context)).expect("a lock");
    let since = holder().since.expect("noted");
    // The rough clock and the unit of the note together are less than 20 ms late.
    assert!(since <= os::now() && since + 20_000_000 > before, "{before} {since}");
    heap.with(|context| lock.unlock(context)).expect("held");
    heap.with(|context| lock.lock(context, None)).expect("free");
    assert_eq!(holder().since, None, "the time of the last holder");
}

/// Goal: a death is told again when the one who was told gives the lock back marked.
/// Method: a child dies with the lock; it is taken and given back twice, then taken for good.
#[test]
fn a_mark_that_is_put_back_is_told_again() {
    let _alone = alone();
    let heap = heap(4);
    let lock = mutex(&heap, "lock");
    let pid = die_with(&heap, lock, 1);
    for _ in 0..3 {
        assert_eq!(try_lock(&heap, lock), Ok(Some(Acquired::OwnerDied(pid))));
        heap.with(|context| lock.unlock_marked(context, pid)).expect("held");
    }
    assert_eq!(heap.with(|context| lock.unlock_marked(context, pid)), Err(Error::NotOwner));
    assert_eq!(heap.with(|context| lock.recover(context)), Ok(true));
    assert_eq!(heap.with(|context| lock.recover(context)), Ok(false));
    assert_eq!(try_lock(&heap, lock), Ok(Some(Acquired::Clean)));
    assert_eq!(heap.with(|context| lock.recover(context)), Ok(false));
    assert_eq!(try_lock(&heap, lock), Ok(None), "recovery let a living holder's lock go");
}

/// Goal: a strict lock whose holder died is nobody's until it is recovered.
/// Method: a child dies with it; trying and waiting, here and in another child, are refused; then
/// it is recovered, once with the mark set and once before anybody looked.
#[test]
fn a_strict_lock_is_refused_until_it_is_recovered() {
    let _alone = alone();
    let heap = heap(4);
    let lock = strict(&heap, "lock");
    let traits = heap.with(|context| lock.traits(context));
    assert_eq!(traits, Ok(Traits { typecode: 0, is_strict: true }));
    let pid = die_with(&heap, lock, 1);
    let refusal = Error::OwnerDied { pid };
    for _ in 0..2 {
        assert_eq!(try_lock(&heap, lock), Err(refusal.clone()));
        let waited = heap.with(|context| lock.lock(context, Some(in_milliseconds(5_000))));
        assert_eq!(waited, Err(refusal.clone()));
        assert_eq!(heap.with(|context| lock.holder(context)), Ok(None));
        let mut child = fork(|| i32::from(try_lock(&heap, lock) != Err(refusal.clone())));
        assert_eq!(child.wait(), End::Exit(0));
    }
    assert_eq!(heap.with(|context| lock.recover(context)), Ok(true));
    assert_eq!(try_lock(&heap, lock), Ok(Some(Acquired::Clean)));
    heap.with(|context| lock.unlock(context)).expect("held");
    die_with(&heap, lock, 1);
    assert_eq!(heap.with(|context| lock.recover(context)), Ok(true));
    assert_eq!(try_lock(&heap, lock), Ok(Some(Acquired::Clean)));
}

/// Goal: names keep the kinds of locks apart, and what a number was made as.
/// Method: each is made, then asked for as another.
#[test]
fn a_name_is_one_kind_of_lock() {
    let _alone = alone();
    let heap = heap(4);
    strict(&heap, "plain");
    object(&heap, "again", &recursive_mutex::Recipe::default()).expect("room");
    let number = value::Recipe { bytes: &[1], typecode: b'd' };
    let number = object(&heap, "number", &number).expect("room");
    let wrong = |found, wanted| Err(Error::WrongKind { found, wanted });
    let plain = heap.with(|context| Directory.get::<RecursiveMutex>(context, "plain"));
    assert_eq!(plain.map(|_| ()), wrong(Kind::Mutex, Kind::RecursiveMutex));
    let again = heap.with(|context| Directory.get::<Mutex>(context, "again"));
    assert_eq!(again.map(|_| ()), wrong(Kind::RecursiveMutex, Kind::Mutex));
    let value = heap.with(|context| Directory.get::<Mutex>(context, "number"));
    assert_eq!(value.map(|_| ()), wrong(Kind::Value, Kind::Mutex));
    let traits = heap.with(|context| number.lock_beside().mutex().traits(context));
    assert_eq!(traits, Ok(Traits { typecode: b'd', is_strict: false }));
    for name in ["plain", "again", "number"] {
        heap.with(|context| Directory.remove(context, name)).expect("it is there");
    }
    heap.with(coheap_core::check::check).expect("a whole heap");
}

/// Goal: whoever waits for a lock and looks whether its holder lives leaves that to another one.
/// Method: a thread waits until its time is up, beside a row that no thread has; nobody lets go of the
/// lock, so only who leaves can have rung that row.
#[test]
fn who_stops_watching_a_lock_rings_the_next() {
    let _alone = alone();
    let heap = heap(4);
    let region = heap.region();
    let lock = mutex(&heap, "lock");
    heap.with(|context| lock.lock(context, None)).expect("free");
    let handle = lock.handle();
    let who = Who { row: 9, epoch: 1 };
    while region.real_rows() <= who.row {
        region.grow_rows(region.real_rows()).expect("memory");
    }
    let next = Waiter::new(who);
    next.hush(region);
    let key = Key { at: handle.at, generation: handle.generation };
    next.park(region, key, Reason::Lock, Manner::default()).expect("room");
    let wait = || heap.with(|context| lock.lock(context, Some(in_milliseconds(500))));
    let late = std::thread::scope(|scope| scope.spawn(wait).join().expect("calm"));
    assert_eq!(late, Err(Error::TimedOut));
    assert!(bell::is_up(region.bell(who.row)), "the next one is not rung");
    let object: &Object = region.at(handle.at).expect("a header");
    let now = (os::now() / 1_000_000) as u32;
    let age = now.wrapping_sub(object.watch.get() as u32);
    assert!(age > 100_000, "the watch is not vacant: {age} ms");
}
