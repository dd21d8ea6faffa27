//! Words that lead back: each loop that follows a list, takes one apart, or repeats until there is
//! room, comes to an end.
//!
//! The sweeps of this program put any word anywhere; these tests put the worst word where a loop
//! is, in a heap of its own, and know the answer.
//!
//! What always holds: the damage is done by a child, which SIGALRM ends if a loop does not.

use coheap_core::Typed as _;
use coheap_core::allocator::reclaim;
use coheap_core::check::check;
use coheap_core::error::{Error, Result};
use coheap_core::heap::floors::{ContextFloors as _, HeapFloors as _};
use coheap_core::heap::{Heap, Options};
use coheap_core::journal::Context;
use coheap_core::kind::Kind;
use coheap_core::memory::layout::{
    ARENA_COUNT, ARENA_ROWS, Husk, MapRoot, MutexRoot, Object, ParcelHead, QueueBody, QueueRoot,
    QueueSegment, Record, SLOT_COUNT,
};
use coheap_core::memory::{Region, Word};
use coheap_core::objects::queue::ReturnReason;
use coheap_core::objects::{Directory, Map, Queue, Reference, ledger, map, parcel};

use crate::support::alone;
use crate::support::child::{End, alarm, be_quiet, die, fork, limit_memory};
use crate::support::objects::{bounded_queue, heap, map, queue, value};
use crate::support::privilege::Folder;

/// What one child may take, in seconds.
const SECONDS: u32 = 10;
/// More memory than a small heap can want.
const MEMORY: u64 = 256 << 20;
/// What a child exits with when the heap was found damaged, was fine, or refused otherwise.
const DAMAGED: i32 = 3;
const FINE: i32 = 4;
const OTHER: i32 = 5;

/// Runs a test in a process of its own, which does not come back to the harness: each later fork of
/// a process that has a damaged heap open looks at that heap.
fn apart(test: impl FnOnce()) {
    let _alone = alone();
    let mut child = fork(|| {
        alarm(5 * SECONDS);
        test();
        0
    });
    child.must_succeed();
}

fn status(answer: Result<()>) -> i32 {
    match answer {
        Err(Error::Corrupt(_)) => DAMAGED,
        Ok(()) => FINE,
        Err(_) => OTHER,
    }
}

/// Runs something in a child of its own, and returns how the child ended.
fn end_of(act: impl FnOnce() -> Result<()>) -> End {
    let mut child = fork(|| {
        be_quiet();
        alarm(SECONDS);
        limit_memory(MEMORY);
        status(act())
    });
    child.wait()
}

/// Asserts that something ends, in a child of its own, because it finds the heap damaged.
fn is_damaged(what: &str, act: impl FnOnce() -> Result<()>) {
    assert_eq!(end_of(act), End::Exit(DAMAGED), "{what}");
}

/// Asserts that something ends, in a child of its own, whatever it finds.
fn ends(what: &str, act: impl FnOnce() -> Result<()>) {
    let end = end_of(act);
    assert!(matches!(end, End::Exit(DAMAGED | FINE | OTHER)), "{what}: {end:?}");
}

/// The slots that have records, which are those of processes that own something.
fn owners(region: &Region) -> impl Iterator<Item = u32> {
    (0..SLOT_COUNT).filter(|slot| region.slot(*slot).leases.get() != 0)
}

/// The first record of the only process that has some.
fn first_record(region: &Region) -> &Record {
    let slot = owners(region).next().expect("a slot with records");
    region.at(region.slot(slot).leases.get()).expect("a record")
}

/// The words of a record that have a meaning, with their names.
fn words_of(record: &Record) -> [(&'static str, &Word); 6] {
    let Record { next, previous, object, generation, cell: _, state, serial } = record;
    [
        ("next", next),
        ("previous", previous),
        ("object", object),
        ("generation", generation),
        ("state", state),
        ("serial", serial),
    ]
}

/// What a word of a record may become.
fn wrong_words(region: &Region, record: &Record, old: u64) -> Vec<u64> {
    let own = region.offset_of(record);
    let signed = 1 << Record::SIGNED;
    vec![0, 1, u64::MAX, own, own + 64, old ^ 1, old ^ 2, old ^ signed, old ^ Record::REFERENCE]
}

/// How many words a record has that may be wrong, and how many wrong words each may get.
const WORDS: usize = 6;
const WRONG: usize = 9;

/// Puts one wrong word into the first record.
fn damage_record(region: &Region, word: usize, wrong: usize) -> (&'static str, u64) {
    let record = first_record(region);
    let (name, word) = words_of(record)[word];
    let new = wrong_words(region, record, word.get())[wrong];
    Region::store(word, new);
    (name, new)
}

fn own_two(context: &Context) -> Result<[Reference; 2]> {
    let (_, first) = ledger::create(context, &map::Recipe)?;
    Ok([first, ledger::create(context, &map::Recipe)?.1])
}

/// Goal: whatever word of a record is wrong, its owner can close the heap.
/// Method: each word of the first of two records gets each of some wrong words; close.
#[test]
fn a_process_with_a_wrong_record_can_close() {
    apart(|| {
        for (word, wrong) in (0..WORDS).flat_map(|word| (0..WRONG).map(move |wrong| (word, wrong)))
        {
            let heap = heap(1);
            let closes = || {
                heap.with(|context| own_two(context).map(drop))?;
                damage_record(heap.region(), word, wrong);
                heap.close()
            };
            ends(&format!("word {word}, {wrong}"), closes);
        }
    });
}

/// Goal: whatever word of a dead process's record is wrong, whoever opens the heap by its name is
/// told or goes on.
/// Method: as above, but the owner dies; two processes open the heap, sweep it and close it.
#[test]
fn a_heap_with_a_wrong_record_of_the_dead_can_be_opened() {
    apart(|| {
        for (word, wrong) in (0..WORDS).flat_map(|word| (0..WRONG).map(move |wrong| (word, wrong)))
        {
            let folder = Folder::new("circles");
            let path = Some(folder.path().to_owned());
            let new = Options::new("records");
            let options = Options { folder: path, max_bytes: Some(1 << 20), ..new };
            let mut owner = fork(|| {
                let heap = Heap::open(&options).expect("a small heap");
                heap.with(|context| own_two(context).map(drop)).expect("room");
                damage_record(heap.region(), word, wrong);
                die()
            });
            assert_eq!(owner.wait(), End::Signal(libc::SIGKILL));
            for _ in 0..2 {
                ends(&format!("word {word}, {wrong}"), || {
                    let heap = Heap::open(&options)?;
                    heap.sweep().and(heap.close())
                });
            }
        }
    });
}

/// Goal: a record on the list of a slot that does not say so is damage, for its owner and for the
/// heirs.
/// Method: take the signature away; close, and sweep after a death.
#[test]
fn a_record_without_a_signature_is_damage() {
    apart(|| {
        let heap = heap(1);
        let spoil = || {
            heap.with(|context| own_two(context).map(drop))?;
            let state = &first_record(heap.region()).state;
            Region::store(state, state.get() ^ 1 << Record::SIGNED);
            Ok(())
        };
        is_damaged("close", || spoil().and_then(|()| heap.close()));
        let heap = crate::support::objects::heap(1);
        let mut owner = fork(|| {
            heap.with(|context| own_two(context).map(drop)).expect("room");
            let state = &first_record(heap.region()).state;
            Region::store(state, state.get() ^ 1 << Record::SIGNED);
            die()
        });
        owner.wait();
        is_damaged("sweep", || heap.sweep().map(drop));
        is_damaged("sweep again", || heap.sweep().map(drop));
    });
}

/// Goal: a list of references that leads in a circle is damage for a forked child, which looks for
/// its own record in it, however many records the slot says it has.
#[test]
fn a_circle_of_references_is_damage_for_a_child() {
    apart(|| {
        let heap = heap(1);
        let [first, _] = heap.with(own_two).expect("room");
        is_damaged("release of an inherited reference", || {
            heap.with(|context| {
                let slot = context.region().slot(context.member().slot());
                let last = slot.leases.get();
                Region::store(&context.region().at::<Record>(last)?.next, last);
                Region::store(&slot.lease_count, u64::MAX);
                ledger::release(context, &first)
            })
        });
    });
}

/// Goal: a chain of parcels that leads in a circle is damage for whoever releases them.
/// Method: a process packs two and dies; the last leads to itself, then to the first.
#[test]
fn a_circle_of_parcels_is_damage() {
    apart(|| {
        for circle in ["of one", "of two"] {
            let heap = heap(1);
            let (object, _reference) =
                heap.with(|context| ledger::create(context, &map::Recipe)).expect("room");
            let target = (object.handle().at, object.handle().generation);
            leave_behind(&heap, |context| {
                parcel::pack(context, &mut vec![1; 20], &[target])?;
                parcel::pack(context, &mut vec![2; 20], &[target])?;
                let region = context.region();
                let second: &ParcelHead = region.at(region.control(context.index()).built.get())?;
                let first: &ParcelHead = region.at(second.next.get())?;
                let end = if circle == "of one" { first } else { second };
                Region::store(&first.next, region.offset_of(end));
                Ok(())
            });
            is_damaged(circle, || take_apart(&heap));
            is_damaged(circle, || heap.with(check).map(drop));
        }
    });
}

/// Goal: a chain of husks that leads in a circle is damage for whoever takes them apart.
/// Method: a process dies with a husk of a map, of which nothing is left, that leads to itself.
#[test]
fn a_circle_of_husks_is_damage() {
    const INDEX: u64 = 2;
    apart(|| {
        let heap = heap(1);
        let text = value(&heap, "text");
        leave_behind(&heap, |context| {
            text.set(context, &[0; size_of::<Husk>()])?;
            let region = context.region();
            let object: &Object = region.at(text.handle().at)?;
            let at = object.root_as::<MutexRoot>().cell[1].get();
            let husk: &Husk = region.at(at)?;
            husk.parts.iter().for_each(|word| Region::store(word, 0));
            Region::store(&husk.next, at);
            Region::store(&husk.info, (Kind::Map as u64) << 16 | INDEX << 8);
            Region::store(&region.control(context.index()).husks, at);
            Ok(())
        });
        is_damaged("take apart", || take_apart(&heap));
    });
}

/// Wants more room than there can be, which takes apart what the dead have left.
fn take_apart(heap: &Heap) -> Result<()> {
    let books = map(heap, "books");
    heap.with(|context| books.set(context, b"key", &vec![1; 2 << 20])).map(drop)
}

/// A process does something and is killed.
fn leave_behind(heap: &Heap, act: impl FnOnce(&Context) -> Result<()>) {
    let mut child = fork(|| {
        heap.with(act).expect("room");
        die()
    });
    assert_eq!(child.wait(), End::Signal(libc::SIGKILL));
}

fn body_of<'a>(context: &'a Context, queue: &Queue) -> Result<&'a QueueBody> {
    let object: &Object = context.region().at(queue.handle().at)?;
    Ok(context.region().at(object.root_as::<QueueRoot>().body.get())?)
}

/// Takes items until there is none, or an error.
fn get_all(context: &Context, queue: &Queue) -> Result<()> {
    loop {
        match queue.get(context, &mut Vec::new()) {
            Ok(()) => {}
            Err(Error::Empty) => return Ok(()),
            Err(other) => return Err(other),
        }
    }
}

/// Leases items until there is none, or an error.
fn lease_all(context: &Context, queue: &Queue) -> Result<()> {
    loop {
        match queue.lease(context, &mut Vec::new()) {
            Ok(_) => {}
            Err(Error::Empty) => return Ok(()),
            Err(other) => return Err(other),
        }
    }
}

/// What may be done with a queue, by name, and ends with an error if its chain or list is a circle.
type Taking = (&'static str, fn(&Context, &Queue) -> Result<()>);

const TAKINGS: [Taking; 4] = [
    ("get", get_all),
    ("lease", lease_all),
    ("remove", |context, _| Directory.remove(context, "jobs")),
    ("check", |context, _| check(context).map(drop)),
];

/// Goal: the chain of a queue that leads in a circle is damage for whoever takes the items, takes
/// the queue apart, or checks it.
/// Method: the first of two segments leads to itself.
#[test]
fn a_circle_of_segments_is_damage() {
    apart(|| {
        for (what, taking) in TAKINGS {
            let heap = heap(1);
            let jobs = queue(&heap, "jobs");
            heap.with(|context| {
                (0..100).try_for_each(|_| jobs.put(context, &[1; 20]))?;
                let at = body_of(context, &jobs)?.head_segment.get();
                Region::store(&context.region().at::<QueueSegment>(at)?.next, at);
                Ok(())
            })
            .expect("room");
            is_damaged(what, || heap.with(|context| taking(context, &jobs)));
        }
    });
}

/// Goal: a list of returned items that leads in a circle is damage: items that were taken or are on
/// lease are not taken again, for ever.
/// Method: the last of three returned items leads to the first.
#[test]
fn a_circle_of_returned_items_is_damage() {
    apart(|| {
        for (what, taking) in TAKINGS {
            let heap = heap(1);
            let jobs = queue(&heap, "jobs");
            give_back_three(&heap, &jobs).expect("three items");
            heap.with(|context| {
                let body = body_of(context, &jobs)?;
                let last: &Record = context.region().at(body.returned_last.get())?;
                Region::store(&last.next, body.returned.get());
                Ok(())
            })
            .expect("three items came back");
            is_damaged(what, || heap.with(|context| taking(context, &jobs)));
        }
    });
}

/// Goal: as the test before, for items that were given up.
#[test]
fn a_circle_of_failed_items_is_damage() {
    apart(|| {
        let heap = heap(1);
        let tries = bounded_queue(&heap, "tries", 0, 1);
        give_back_three(&heap, &tries).expect("three items");
        heap.with(|context| {
            let body = body_of(context, &tries)?;
            let last: &Record = context.region().at(body.failed_last.get())?;
            Region::store(&last.next, body.failed.get());
            Ok(())
        })
        .expect("three items failed");
        is_damaged("failed", || heap.with(|context| tries.failed(context).map(drop)));
        is_damaged("check", || heap.with(check).map(drop));
        is_damaged("remove", || heap.with(|context| Directory.remove(context, "tries")));
    });
}

/// Puts three items, leases them and returns them.
fn give_back_three(heap: &Heap, queue: &Queue) -> Result<()> {
    heap.with(|context| {
        (0..3).try_for_each(|_| queue.put(context, &[1; 20]))?;
        let lease = |_| queue.lease(context, &mut Vec::new());
        let leases = (0..3).map(lease).collect::<Result<Vec<_>>>()?;
        let nack = |lease| queue.nack(context, lease, Some(ReturnReason::Nacked));
        leases.iter().try_for_each(nack)
    })
}

/// Goal: chains of blocks that lead in a circle do not give blocks for ever, and are not returned
/// for ever.
/// Method: a pending block that leads to itself: return all of them. A free block, and a span of an
/// arena, that lead to themselves: fill the heap.
#[test]
fn a_circle_of_blocks_is_damage_or_a_full_heap() {
    apart(|| {
        let fill = |heap: &Heap| {
            let books = map(heap, "books");
            let set = |number: u64| {
                let value = vec![1; 20 + number as usize % 3000];
                heap.with(|context| books.set(context, &number.to_le_bytes(), &value)).map(drop)
            };
            (0..1_000_000).try_for_each(set)
        };
        let heap = heap(1);
        fill_a_little(&heap);
        let spoil = |context: &Context| {
            let pending = &context.region().control(context.index()).pending;
            let block = pending.iter().map(Word::get).find(|block| *block != 0).expect("a block");
            Region::store(context.region().at(block).expect("a block"), block);
        };
        ends("reclaim", || {
            heap.with(|context| {
                fill_a_little(&heap);
                spoil(context);
                reclaim(context)
            })
        });
        is_damaged("check", || heap.with(check).map(drop));
        for links in [false, true] {
            let heap = crate::support::objects::heap(1);
            fill_a_little(&heap);
            heap.with(|context| {
                reclaim(context)?;
                each_partial(context.region(), |index| {
                    let span = context.region().span(index)?;
                    match (links, span.free.get()) {
                        (true, _) => Region::store(&span.links, (index + 1) << 32 | (index + 1)),
                        (false, 0) => {}
                        (false, block) => Region::store(context.region().at(block)?, block),
                    }
                    Ok(())
                })
            })
            .expect("a whole heap");
            ends("fill", || fill(&heap));
            is_damaged("check", || heap.with(check).map(drop));
        }
    });
}

/// Calls `act` with the first span of each list of an arena.
fn each_partial(region: &Region, mut act: impl FnMut(u64) -> Result<()>) -> Result<()> {
    for arena in 0..ARENA_COUNT {
        for class in 0..ARENA_ROWS {
            if let Some(index) = region.arena(arena).partial[class].get().checked_sub(1) {
                act(index)?;
            }
        }
    }
    Ok(())
}

/// Sets some entries and removes every second one.
fn fill_a_little(heap: &Heap) {
    let books = map(heap, "books");
    heap.with(|context| {
        for number in 0..200u64 {
            books.set(context, &number.to_le_bytes(), &[1; 100])?;
        }
        for number in (0..200u64).step_by(2) {
            books.remove(context, &number.to_le_bytes(), &mut Vec::new())?;
        }
        Ok(())
    })
    .expect("room");
}

/// Goal: a map that says it has removed entries where it has none is not packed for ever in a full
/// heap.
/// Method: fill the heap, then set the number of living entries to 0; insert as many again.
#[test]
fn a_wrong_number_of_entries_does_not_pack_for_ever() {
    apart(|| {
        let heap = heap(1);
        let [books, filler] = ["books", "filler"].map(|name| map(&heap, name));
        let set = |map: &Map, number: u64, len: usize| {
            heap.with(|context| map.set(context, &number.to_le_bytes(), &vec![1; len])).map(drop)
        };
        (0..300).try_for_each(|number| set(&books, number, 8)).expect("room");
        for len in [5000, 500, 50, 8] {
            assert!(
                (0..).try_for_each(|number| set(&filler, number << 8 | len as u64, len)).is_err()
            );
        }
        let object: &Object = heap.region().at(books.handle().at).expect("a map");
        Region::store(&object.root_as::<MapRoot>().live, 0);
        ends("insert", || (300..3000).try_for_each(|number| set(&books, number, 8)));
    });
}
