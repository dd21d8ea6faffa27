//! A heap in use for long, by processes that are killed all the time: what it costs comes back to what
//! it was.
//!
//! Some processes store, read, pass on and remove values of 1 byte to 64 MiB, the logarithm of whose
//! lengths is random. One after the other is killed and replaced. At the end of each round all objects
//! are removed and the free memory is given back: then the memory in use, the committed and the allocated
//! memory, rows and descriptors must be what they were after the first round, and the heap whole.
//!
//! `COHEAP_SOAK_SECONDS` says how long it runs; `COHEAP_SEED` repeats the dice (not the kernel's
//! schedule).
//!
//! Not here: which answers are possible (`tests/churn`), and exact books (`tests/torture`).

#[path = "../support/mod.rs"]
mod support;
mod figures;
mod goods;
mod worker;

use std::time::{Duration, Instant};

use coheap_core::error::Error;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::heap::{Heap, Options};
use coheap_core::memory::layout::CHUNK_COUNT;
use coheap_core::objects::{ledger, map};
use figures::Figures;
use goods::Goods;
use support::child::{Child, End, alarm, fork};
use support::privilege::Folder;
use support::random::Random;
use worker::{Field, Tally};

const MAX_BYTES: u64 = 192 << 20;
/// Processes that work at the same time.
const WORKERS: usize = 5;
/// Most threads of each.
const THREADS: u64 = 2;
/// Rows that there are from the beginning: more than ever work at once, with the dead that nobody has
/// settled yet.
const ROWS: usize = 64;
/// Lines of waiting threads beside the buckets: more than so few threads ever use.
const LINES: u32 = 4096;
/// Objects that there are at once in the beginning: more than ever later, with the headers that threads
/// keep ready.
const OBJECTS: u64 = 600;
/// The length of a round in a long run.
const ROUND: Duration = Duration::from_secs(30);
/// Fewest rounds after the first one.
const LEAST_ROUNDS: u32 = 3;

/// Makes all tables as large as they get, which stay so: the rows of threads, those of the span map, the
/// chunks of journals, the lines of waiting threads, and the spans of headers, which never serve anything
/// else again.
fn widen(heap: &Heap) {
    let region = heap.region();
    (0..CHUNK_COUNT).for_each(|chunk| region.commit_chunk(chunk).expect("pages"));
    region.commit_lines(0, LINES).expect("pages");
    let all = std::sync::Barrier::new(ROWS);
    std::thread::scope(|scope| {
        for _ in 0..ROWS {
            scope.spawn(|| {
                heap.context().expect("a row");
                all.wait();
            });
        }
    });
    heap.with(|context| {
        let all: Vec<_> = (0..OBJECTS)
            .map(|_| ledger::create(context, &map::Recipe))
            .collect::<Result<_, Error>>()?;
        all.iter().try_for_each(|(_, reference)| ledger::release(context, reference))
    })
    .expect("room");
    let everything = support::objects::map(heap, "everything");
    let bytes = vec![1; 1 << 20];
    let full = heap.with(|context| {
        (0..MAX_BYTES)
            .try_for_each(|key| everything.set(context, &key.to_le_bytes(), &bytes).map(drop))
    });
    assert!(matches!(full, Err(Error::HeapFull { .. })), "{full:?}");
}

fn spawn(field: &Field<'_>, dice: &mut Random) -> Child {
    let mut own = dice.split();
    fork(|| {
        alarm(300);
        field.work(1 + own.below(THREADS), &mut own)
    })
}

/// Lets processes work for so long, and kills one after the other. Returns how many were killed.
fn round(field: &Field<'_>, dice: &mut Random, duration: Duration) -> u64 {
    field.tally.set_stop(false);
    let mut workers: Vec<Child> = (0..WORKERS).map(|_| spawn(field, dice)).collect();
    let begin = Instant::now();
    let mut killed = 0;
    while begin.elapsed() < duration {
        // So that the workers get somewhere before one of them dies.
        std::thread::sleep(Duration::from_micros(dice.below(200_000)));
        let victim = &mut workers[dice.below(WORKERS as u64) as usize];
        assert_eq!(victim.has_ended(), None, "a worker ended by itself");
        assert_eq!(victim.kill(), End::Signal(libc::SIGKILL));
        killed += 1;
        *victim = spawn(field, dice);
    }
    field.tally.set_stop(true);
    workers.iter_mut().for_each(Child::must_succeed);
    killed
}

fn soak(usual_seconds: u64) {
    let _alone = support::alone();
    let seconds = std::env::var("COHEAP_SOAK_SECONDS").map_or(usual_seconds, |text| {
        text.trim().parse().expect("COHEAP_SOAK_SECONDS is a number of seconds")
    });
    let whole = Duration::from_secs(seconds);
    let mut dice = Random::for_run("soak");
    let folder = Folder::new("soak");
    let options = Options {
        folder: Some(folder.path().to_owned()),
        max_bytes: Some(MAX_BYTES),
        ..Options::new("soak")
    };
    let heap = Heap::open(&options).expect("a heap");
    let (goods, tally) = (Goods::new(), Tally::new());
    let rounds = (seconds / ROUND.as_secs()).max(u64::from(LEAST_ROUNDS) + 1) as u32;
    let begin = Instant::now();
    widen(&heap);
    Figures::of_emptied(&heap);
    let mut killed = 0;
    let mut base = None;
    for number in 0..rounds {
        let field = Field::new(&heap, &goods, &tally);
        killed += round(&field, &mut dice, whole / rounds);
        let figures = Figures::of_emptied(&heap);
        let [operations, ..] = tally.sums();
        let when = format!(
            "round {number} of {rounds}, {:.0} s, {operations} operations, {killed} kills",
            begin.elapsed().as_secs_f64()
        );
        support::say(&format!("soak: {when}: {figures:?}"));
        figures.assert_as(*base.get_or_insert(figures), &when);
    }
    let [operations, refused, stored] = tally.sums();
    support::say(&format!(
        "soak: {operations} operations in {:.1} s, {refused} of them refused for want of room, {} MiB \
         stored, {killed} kills; {:?}",
        begin.elapsed().as_secs_f64(),
        stored >> 20,
        heap.stats().expect("figures")
    ));
    assert!(operations > 100 * seconds, "the processes do something");
}

/// Goal: whatever is stored and removed for long, and whoever dies over it, nothing stays in use.
/// Method: see the head of this file, for some seconds.
#[test]
fn some_seconds_of_use_leave_nothing_behind() {
    soak(20);
}

/// Goal: as above, for the long run.
/// Method: twenty minutes.
#[test]
#[ignore = "takes minutes: make soak"]
fn twenty_minutes_of_use_leave_nothing_behind() {
    soak(1200);
}
