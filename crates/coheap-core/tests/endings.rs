//! How things end: an object that is removed, a lease or a commit that a death cuts off, a process
//! that closes, a journal that is damaged.
//!
//! Real processes: each child is forked, does one thing, and ends or is killed by its failpoint.

mod support;

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coheap_core::Typed as _;
use coheap_core::check::check;
use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::heap::floors::{ContextFloors as _, HeapFloors as _};
use coheap_core::journal::Context;
use coheap_core::memory::Region;
use coheap_core::objects::queue::ReturnReason;
use coheap_core::objects::{Directory, Map, Queue, estate, ledger};
use coheap_core::objects::{map, queue};
use coheap_core::os::failpoint;
use coheap_core::sync::row::{RowWord, State};
use coheap_core::transaction::Transaction;
use support::child::{End, fork};
use support::{sleepers, until};

/// Runs `act` in a child, which gets through or is killed by its failpoint. Answers whether it got
/// through.
fn in_child(act: impl FnOnce()) -> bool {
    let end = fork(|| {
        act();
        0
    })
    .wait();
    assert!(matches!(end, End::Exit(0) | End::Signal(libc::SIGKILL)), "the child: {end:?}");
    end == End::Exit(0)
}

/// Runs `act` in a child that dies before store number `die_at`. Answers whether it got through.
fn until_store(heap: &Heap, die_at: u64, act: impl FnOnce(&Rc<Context>)) -> bool {
    in_child(|| {
        let context = heap.context().expect("a context");
        failpoint::arm(die_at);
        act(&context);
        failpoint::disarm();
    })
}

fn heap() -> Heap {
    Heap::anonymous(4 << 20).expect("an anonymous heap")
}

fn queue(heap: &Heap) -> Queue {
    let recipe = queue::Recipe { limit: 0, max_attempts: 1 };
    heap.with(|context| Directory.get_or_create(context, "queue", &recipe)).expect("a queue")
}

fn map(heap: &Heap) -> Map {
    heap.with(|context| Directory.get_or_create(context, "map", &map::Recipe)).expect("a map")
}

/// Goal: a queue is removed whole or not at all.
/// Method: kill the remover before each of its stores; the queue has all items, or is gone.
#[test]
fn removing_a_queue_happens_whole_or_not_at_all() {
    let mut has_survived = false;
    for die_at in 0.. {
        assert!(die_at < 2_000, "the remover never got through");
        let heap = heap();
        let (queue, map) = (queue(&heap), map(&heap));
        for item in 1..4u8 {
            heap.with(|context| queue.put(context, &[item; 40])).expect("a put");
        }
        in_child(|| {
            let context = heap.context().expect("a context");
            failpoint::arm(die_at);
            Directory.remove(&context, "queue").expect("a removal");
            failpoint::disarm();
            heap.with(|context| map.set(context, b"done", b"yes")).expect("a note");
        });
        heap.with(estate::sweep).expect("a sweep");
        heap.with(check).expect("a whole heap");
        match heap.with(|context| queue.len(context)) {
            Ok(count) => assert_eq!(count, 3, "death before store {die_at}"),
            Err(error) => assert_eq!(error, Error::ObjectGone),
        }
        has_survived = heap.with(|context| map.contains(context, b"done")).expect("an answer");
        if has_survived {
            break;
        }
    }
    assert!(has_survived);
}

/// Goal: an item whose lessee died is there again, once and in its place.
/// Method: kill the lessee before each of its stores; then everything can be taken in order.
#[test]
fn a_lease_happens_whole_or_not_at_all() {
    let mut out = Vec::new();
    let has_survived = (0..2_000).any(|die_at| {
        let heap = heap();
        let recipe = queue::Recipe { limit: 0, max_attempts: 0 };
        let queue = heap
            .with(|context| Directory.get_or_create(context, "patient", &recipe))
            .expect("a queue");
        for item in 1..4u8 {
            heap.with(|context| queue.put(context, &[item; 40])).expect("a put");
        }
        let has_survived = until_store(&heap, die_at, |context| {
            queue.lease(context, &mut Vec::new()).expect("a lease");
        });
        heap.with(estate::sweep).expect("a sweep");
        heap.with(check).expect("a whole heap");
        for item in 1..4u8 {
            let taken = heap.with(|context| queue.get(context, &mut out));
            assert_eq!((taken, &out[..]), (Ok(()), &[item; 40][..]), "death before store {die_at}");
        }
        assert_eq!(heap.with(|context| queue.get(context, &mut out)), Err(Error::Empty));
        has_survived
    });
    assert!(has_survived, "the lessee never got through");
}

/// Goal: who reads without a turn never puts something from before a death together with something
/// from after it.
/// Method: note the sequence and the entries; a child changes one word, and is killed before each of
/// its stores; once it is recovered, the sequence has moved if the entries differ.
#[test]
fn a_change_that_outlives_its_writer_moves_the_sequence() {
    let has_survived = (0..100).any(|die_at| {
        let heap = heap();
        let map = map(&heap);
        heap.with(|context| map.set(context, b"key", b"before")).expect("a write");
        let entries = || heap.with(|context| map.snapshot(context)).expect("entries").to_vec();
        let (before, sequence) = (entries(), heap.sequence(&map).expect("no open change"));
        let has_survived = until_store(&heap, die_at, |context| {
            map.set(context, b"key", b"after!").expect("a write");
        });
        heap.with(estate::sweep).expect("a sweep");
        let is_the_same = entries() == before;
        let seems_the_same = heap.is_unchanged(&map, sequence);
        assert!(is_the_same || !seems_the_same, "death before store {die_at}: {:?}", entries());
        assert!(!is_the_same || !has_survived);
        has_survived
    });
    assert!(has_survived, "the writer never got through");
}

/// A way to take an item, and a way to put the last one.
type Taking = fn(&Rc<Context>, &Queue) -> Result<(), Error>;

const TAKINGS: [Taking; 5] = [
    |context, queue| queue.get(context, &mut Vec::new()),
    |context, queue| queue.get_wait(context, None, &mut Vec::new()),
    |context, queue| queue.lease(context, &mut Vec::new()).map(drop),
    |context, queue| queue.lease_wait(context, None, &mut Vec::new()).map(drop),
    |context, queue| {
        let mut transaction = Transaction::begin(Rc::clone(context), None)?;
        transaction.on(queue).get(&mut Vec::new())?;
        transaction.commit()
    },
];

const PUTTINGS: [Taking; 3] = [
    |context, queue| queue.put(context, b"last"),
    |context, queue| queue.put_many(context, &[b"last"]).map(drop),
    |context, queue| {
        let mut transaction = Transaction::begin(Rc::clone(context), None)?;
        transaction.on(queue).put(b"last")?;
        transaction.commit()
    },
];

/// Goal: who hears that a queue is closed and done has not missed what was put before.
/// Method: for each way to take and to put: one thread takes until it hears that the queue is
/// closed, another puts one item and closes, some time after the first began; over and over, with a
/// queue that had an item before, so that its chain is there.
#[test]
fn the_item_that_is_put_before_a_close_is_never_missed() {
    const LONG: Duration = Duration::from_millis(400);
    let heap = heap();
    for (taking, putting) in (0..TAKINGS.len()).flat_map(|t| [(t, 0), (t, 1), (t, 2)]) {
        let began = Instant::now();
        let mut rounds = 0;
        while began.elapsed() < LONG {
            rounds += 1;
            let (queue, reference) = heap
                .with(|context| ledger::create(context, &queue::Recipe::default()))
                .expect("room for a queue");
            meet(&heap, &queue, TAKINGS[taking], PUTTINGS[putting], rounds);
            heap.with(|context| ledger::release(context, &reference)).expect("released");
        }
        assert!(rounds > 1, "way {taking}, {putting}: a single round took {:?}", began.elapsed());
    }
}

/// One thread takes from a queue into which another puts the last item.
fn meet(heap: &Heap, queue: &Queue, take: Taking, put: Taking, round: u32) {
    let first = heap.with(|context| {
        queue.put(context, b"first")?;
        queue.get(context, &mut Vec::new())
    });
    first.expect("one item");
    let begins = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| {
            let context = heap.context().expect("a context");
            begins.store(true, Ordering::SeqCst);
            loop {
                match take(&context, queue) {
                    Err(Error::Empty) => {}
                    other => return other,
                }
            }
        });
        while !begins.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        (0..round % 64 * 16).for_each(|_| std::hint::spin_loop());
        let context = heap.context().expect("a context");
        put(&context, queue).expect("room");
        queue.close(&context).expect("a queue");
        assert_eq!(taker.join().expect("no panic"), Ok(()), "round {round}");
    });
}

/// Goal: a commit that saves more words than a journal has room for at first is whole or nothing.
/// Method: kill it before some of its stores, over all of its length.
#[test]
fn a_large_commit_happens_whole_or_not_at_all() {
    const KEYS: u8 = 120;
    let has_survived = (0..20_000).step_by(97).any(|die_at| {
        let heap = heap();
        let map = map(&heap);
        let has_survived = until_store(&heap, die_at, |context| {
            let mut transaction = Transaction::begin(Rc::clone(context), None).expect("begun");
            for key in 0..KEYS {
                transaction.on(&map).set(&[key; 3], b"value").expect("a write");
            }
            transaction.commit().expect("a commit");
        });
        heap.with(estate::sweep).expect("a sweep");
        heap.with(check).expect("a whole heap");
        let len = heap.with(|context| map.len(context)).expect("a length");
        let is_whole = len == u64::from(KEYS);
        assert!(is_whole || len == 0 && !has_survived, "death before store {die_at}: {len} keys");
        has_survived
    });
    assert!(has_survived, "the commit never got through");
}

/// Goal: what one commit removes from a map is not overwritten by what it inserts.
/// Method: kill a commit that does both before each of its stores; nothing or all has happened.
#[test]
fn a_commit_that_removes_and_inserts_is_whole_or_nothing() {
    let pair = |key: u8| (vec![key], vec![key; 12]);
    let has_survived = (0..2_000).any(|die_at| {
        let heap = heap();
        let map = map(&heap);
        for (key, value) in [pair(1), pair(2)] {
            heap.with(|context| map.set(context, &key, &value)).expect("a write");
        }
        let has_survived = until_store(&heap, die_at, |context| {
            let mut transaction = Transaction::begin(Rc::clone(context), None).expect("begun");
            let (removed, (key, value)) = (pair(2).0, pair(3));
            transaction.on(&map).remove(&removed, &mut Vec::new()).expect("a removal");
            transaction.on(&map).set(&key, &value).expect("a write");
            transaction.commit().expect("a commit");
        });
        heap.with(estate::sweep).expect("a sweep");
        heap.with(check).expect("a whole heap");
        let found = heap.with(|context| map.snapshot(context)).expect("a snapshot").to_vec();
        let is_after = found == [pair(1), pair(3)];
        let is_before = found == [pair(1), pair(2)];
        assert!(is_after || is_before && !has_survived, "death before store {die_at}: {found:?}");
        has_survived
    });
    assert!(has_survived, "the commit never got through");
}

/// Goal: a dead process's damaged journal is an error for everyone, again and again, and not a
/// wait without end.
#[test]
fn a_damaged_journal_is_an_error_each_time() {
    let heap = heap();
    let map = map(&heap);
    heap.with(|context| map.set(context, b"key", b"value")).expect("a write");
    let damaged = (0..200).find_map(|die_at| {
        in_child(|| {
            let context = heap.context().expect("a context");
            failpoint::arm(die_at);
            map.set(&context, b"other", b"value").expect("a write");
            failpoint::disarm();
        });
        let row =
            (0..heap.region().real_rows()).find(|row| heap.region().context(*row).saved.get() > 1);
        if row.is_none() {
            heap.with(estate::sweep).expect("a sweep");
        }
        row
    });
    let row = damaged.expect("a death inside a change");
    Region::store(&heap.region().first_saved(row, 0).at, 0xffff_ffff_fff8);
    for _ in 0..3 {
        let answer = heap.with(|context| map.set(context, b"third", b"value"));
        assert!(matches!(answer, Err(Error::Corrupt(_))), "{answer:?}");
    }
}

/// Goal: a reader without a turn, who began before a change that a death cut off, looks again.
/// Method: kill a writer before each of its stores; where it died with the sequence odd, the
/// sequence is even and higher afterwards than before the change.
#[test]
fn a_sequence_that_was_open_at_a_death_has_moved_on() {
    let heap = heap();
    let map = map(&heap);
    heap.with(|context| map.set(context, b"key", b"value")).expect("a write");
    let sequence = &heap.region().turn(map.handle().turn).sequence;
    let mut were_open = 0;
    for die_at in 0..60 {
        let before = sequence.get();
        in_child(|| {
            let context = heap.context().expect("a context");
            failpoint::arm(die_at);
            map.set(&context, b"key", &[die_at as u8 + 1; 9]).expect("a write");
            failpoint::disarm();
        });
        let was_open = sequence.get() & 1 == 1;
        heap.with(estate::sweep).expect("a sweep");
        let after = sequence.get();
        assert!(after & 1 == 0 && after >= before, "{before} became {after}");
        assert!(!was_open || after > before, "death before store {die_at}: still {after}");
        were_open += u32::from(was_open);
    }
    assert!(were_open > 3, "only {were_open} deaths inside a change");
}

/// Goal: a single write that waited for a transaction is not taken for one afterwards.
#[test]
fn who_waited_for_a_transaction_is_no_transaction() {
    let heap = heap();
    let map = map(&heap);
    let (locked, is_locked) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let context = heap.context().expect("a context");
            let mut transaction = Transaction::begin(context, None).expect("a transaction");
            transaction.on(&map).set(b"a", b"b").expect("a write");
            locked.send(heap.context().expect("a context").index()).expect("a listener");
            until("the other one sleeps", || sleepers(&heap) > 0);
            transaction.commit().expect("a commit");
        });
        is_locked.recv().expect("a transaction");
        heap.with(|context| map.set(context, b"x", b"y")).expect("a write");
    });
    let age = heap.with(|context| Ok(context.row().age.get()));
    assert_eq!(age, Ok(0));
}

/// Goal: a process that closes leaves no rows behind, not even those of threads that still run.
#[test]
fn a_process_that_closes_leaves_no_rows() {
    let heap = heap();
    for _ in 0..5 {
        let has_ended = in_child(|| {
            let other = heap.clone();
            let (ready, is_ready) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                other.context().expect("a context");
                ready.send(()).expect("a listener");
                loop {
                    std::thread::park();
                }
            });
            is_ready.recv().expect("a thread");
            heap.close().expect("a close");
        });
        assert!(has_ended);
        heap.with(estate::sweep).expect("a sweep");
    }
    // Threads of this very process that fork meanwhile, for other tests, have rows of their own.
    let own = heap.context().expect("a context").member().slot();
    let region = heap.region();
    let mut rows = (0..region.real_rows()).map(|row| RowWord(region.context(row).state.get()));
    assert!(rows.all(|word| word.state() == State::Free || word.is_of(own)));
}

/// Goal: what is prepared for a child before a fork is that child's, whoever else forks meanwhile.
#[test]
fn threads_that_fork_at_once_have_a_child_each() {
    let heap = heap();
    let map = map(&heap);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let add = || heap.with(|context| map.add(context, b"children", 1));
                    assert!(in_child(|| assert!(add().is_ok())));
                }
            });
        }
    });
    let sum = heap.with(|context| map.add(context, b"children", 0)).expect("a sum");
    assert_eq!(sum, 100);
}

/// Goal: closing is not dying: a lease that was open then counts as dropped.
#[test]
fn a_lease_open_at_close_counts_as_dropped() {
    let heap = heap();
    let queue = queue(&heap);
    heap.with(|context| queue.put(context, b"item")).expect("a put");
    in_child(|| {
        heap.with(|context| queue.lease(context, &mut Vec::new())).expect("a lease");
        heap.close().expect("a close");
    });
    let failed = heap.with(|context| queue.failed(context)).expect("a list");
    assert_eq!((failed.len(), failed[0].attempts, failed[0].reason), (1, 1, ReturnReason::Dropped));
    assert_eq!(heap.region().header().tally.returned.get(), 0);
}

/// Goal: a death while pages come or go leaves none behind that no span has.
/// Method: kill a process before each of its stores while it gives memory back, takes some of it again
/// and lets the heap grow. After a sweep and a trim, as many bytes are in use, and the files have as
/// many pages beside those of the committed spans, as if nobody had died.
#[test]
fn a_death_while_pages_come_or_go_leaves_none_behind() {
    let (mut least, mut has_survived) = (None, false);
    for die_at in [u64::MAX].into_iter().chain(0..) {
        assert!(die_at == u64::MAX || die_at < 2_000, "it never got through");
        let heap = Heap::anonymous(8 << 20).expect("an anonymous heap");
        let map = map(&heap);
        let set = |context: &Context, quarters: usize| {
            map.set(context, b"key", &vec![7; quarters << 18]).expect("room");
        };
        heap.with(|context| {
            set(context, 4);
            map.clear(context)
        })
        .expect("room that is free");
        has_survived = until_store(&heap, die_at, |context| {
            heap.trim().expect("trimmed");
            set(context, 2);
            set(context, 10);
        });
        heap.with(estate::sweep).expect("a sweep");
        heap.with(|context| map.clear(context)).expect("cleared");
        heap.trim().expect("trimmed");
        heap.with(check).expect("a heap that is whole");
        let stats = heap.stats().expect("figures");
        let beside = stats.allocated_bytes - stats.committed_bytes;
        let (used, least) = *least.get_or_insert((stats.used_bytes, beside));
        assert!(
            stats.used_bytes <= used + (128 << 10),
            "store {die_at}: {stats:?}, usually {used}"
        );
        assert!(beside <= least + (64 << 10), "store {die_at}: {beside} bytes, usually {least}");
        if has_survived && die_at != u64::MAX {
            break;
        }
    }
    assert!(has_survived);
}
