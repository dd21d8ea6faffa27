//! What must hold when a round is over and nobody works any more.
//!
//! - A sweep settles all the dead; the integrity walk then accounts for every block.
//! - Nothing is on lease or reserved, every lock can be taken within 100 ms, every value is whole.
//! - Of the items that were put, each was delivered, is there, or went with a thread that died while
//!   it took one.
//!
//! What always holds: the audit runs in a process of its own, so that a damaged heap ends nobody else.

use coheap_core::check::{Report, check};
use coheap_core::error::Error;
use coheap_core::heap::Heap;
use coheap_core::kind::Kind;
use coheap_core::objects::{Directory, Lockable, Map, Mutex, Queue, Value, estate, map, parcel};
use coheap_core::os;
use coheap_core::transaction::Transaction;

use crate::answers;
use crate::hand::{Hand, Subject, subject};
use crate::item::{self, Home};
use crate::site::Site;
use crate::support::random::Random;

/// Within this time every lock can be taken, in nanoseconds.
const SOON: u64 = 100_000_000;
/// What each step of the audit may take.
const STEP: u64 = 10_000_000_000;
/// Blocks of an empty heap: they belong to the directory.
const EMPTY_BLOCKS: u64 = 4;

/// Audits the heap; after the last round, empties it.
pub(crate) fn audit(site: &Site, dice: Random, is_last: bool) {
    let mut hand = Hand::new(site, 0, dice);
    let swept = hand.call("sweep", Home::default(), STEP, answers::NONE, estate::sweep);
    must(&hand, "sweep", Home::default(), swept);
    walk(&hand, "check after the round");
    let all = hand
        .call("names", Home::default(), STEP, answers::NONE, |context| Directory.names(context));
    let all = must(&hand, "names", Home::default(), all);
    for (name, kind) in &all {
        match kind {
            Kind::Map => audit_map(&hand, &find(&hand, name)),
            Kind::Queue => {
                let found = find(&hand, name);
                audit_queue(&mut hand, &found);
            }
            Kind::Value => audit_value(&hand, &find(&hand, name)),
            Kind::Mutex => audit_lock(&hand, &find::<Mutex>(&hand, name)),
            Kind::RecursiveMutex => {
                let found: Subject<coheap_core::objects::RecursiveMutex> = find(&hand, name);
                let lock = found.object.mutex();
                audit_lock(&hand, &Subject { object: lock, home: found.home, is_kept: true });
            }
        }
    }
    walk(&hand, "check after the audit");
    if is_last {
        empty(&hand, &all);
    }
}

/// Removes everything: nothing may be left but the directory.
fn empty(hand: &Hand<'_>, all: &[(String, Kind)]) {
    for (name, _) in all {
        let removed = hand.call("last remove", Home::default(), STEP, answers::NONE, |context| {
            Directory.remove(context, name)
        });
        must(hand, "last remove", Home::default(), removed);
    }
    // What ended threads have left to take apart is taken apart when somebody needs the room.
    let whole = vec![0x80; hand.heap.max_bytes() as usize + 1];
    let filled = hand.call("too large", Home::default(), STEP, answers::NONE, |context| {
        let map = Directory.get_or_create(context, "last", &map::Recipe)?;
        let full = map.set(context, b"key", &whole);
        Directory.remove(context, "last").and(full)
    });
    if !matches!(filled, Err(Error::HeapFull { .. })) {
        hand.find("too large", Home::default(), &format!("{filled:?}"));
    }
}

/// What is wrong with a heap that the audit has emptied, for the last member. What this thread freed
/// in passing, while it forked, ends with its next operation; what the audit's row had from an earlier
/// thread ends when the audit's own process is swept.
pub(crate) fn last_look(heap: &Heap) -> Option<String> {
    let report = heap.with(|context| {
        estate::sweep(context)?;
        Directory.get_or_create(context, "last", &map::Recipe)?;
        Directory.remove(context, "last")?;
        parcel::let_go(context)?;
        check(context)
    });
    match report {
        Ok(report) if report.objects == 0 && report.blocks <= EMPTY_BLOCKS => None,
        other => Some(format!("the heap should be empty: {other:?}")),
    }
}

fn find<T: coheap_core::objects::Typed>(hand: &Hand<'_>, name: &str) -> Subject<T> {
    let found = hand
        .call("find", Home::default(), STEP, answers::NONE, |context| Directory.get(context, name));
    subject(must(hand, "find", Home::default(), found), true)
}

/// The answer, which must not be an error here.
fn must<T>(hand: &Hand<'_>, act: &str, home: Home, answer: Result<T, Error>) -> T {
    answer
        .unwrap_or_else(|error| hand.find(act, home, &format!("in the audit: {error} ({error:?})")))
}

fn walk(hand: &Hand<'_>, act: &str) -> Report {
    let report = hand.call(act, Home::default(), STEP, answers::NONE, check);
    must(hand, act, Home::default(), report)
}

fn audit_map(hand: &Hand<'_>, on: &Subject<Map>) {
    let all =
        hand.call("snapshot", on.home, STEP, answers::NONE, |context| on.object.snapshot(context));
    hand.read_entries("snapshot", on, &must(hand, "snapshot", on.home, all));
    audit_transaction_lock(hand, on.home, Lockable::of(&on.object));
}

fn audit_value(hand: &Hand<'_>, on: &Subject<Value>) {
    let mut out = Vec::new();
    let got =
        hand.call("read", on.home, STEP, answers::NONE, |context| on.object.get(context, &mut out));
    must(hand, "read", on.home, got);
    hand.read_born("read", on.home, item::open(&out).1);
    audit_transaction_lock(hand, on.home, Lockable::of(&on.object));
    let lock = on.object.lock_beside().mutex();
    audit_lock(hand, &Subject { object: lock, home: on.home, is_kept: true });
}

/// No transaction is left that holds the object.
fn audit_transaction_lock(hand: &Hand<'_>, home: Home, object: Lockable) {
    let heap = hand.heap.clone();
    let locked = hand.judge("transaction lock", home, SOON, answers::NONE, || {
        let mut block = Transaction::begin(heap.context()?, None)?;
        let now = os::now();
        block.lock_until(object, now, now + SOON)
    });
    must(hand, "transaction lock", home, locked);
}

fn audit_lock(hand: &Hand<'_>, on: &Subject<Mutex>) {
    let until = os::now() + SOON;
    let locked = hand.call("last lock", on.home, SOON, answers::NONE, |context| {
        on.object.lock(context, Some(until))
    });
    must(hand, "last lock", on.home, locked);
    let unlocked =
        hand.call("last unlock", on.home, STEP, answers::NONE, |context| on.object.unlock(context));
    must(hand, "last unlock", on.home, unlocked);
}

fn audit_queue(hand: &mut Hand<'_>, on: &Subject<Queue>) {
    let queue = on.object;
    let leased = hand.call("leased", on.home, STEP, answers::NONE, |context| queue.leased(context));
    let leased = must(hand, "leased", on.home, leased);
    if leased != 0 {
        hand.find("leased", on.home, &format!("{leased} items are on lease, and nobody lives"));
    }
    let failed = hand.read_failed(on);
    let failed = must(hand, "failed", on.home, failed);
    let mut there = Vec::new();
    let mut out = Vec::new();
    loop {
        let nothing = answers::EMPTY | answers::SHUT_DOWN;
        let got =
            hand.call("last get", on.home, STEP, nothing, |context| queue.get(context, &mut out));
        match got {
            Ok(()) => there.push(hand.read("last get", on.home, item::open(&out).1)),
            Err(Error::Empty | Error::ShutDown) => break,
            Err(other) => must(hand, "last get", on.home, Err(other)),
        }
    }
    for serial in &there {
        let account = hand.books().accounts.deliver(hand.books(), *serial);
        hand.agree("last get", on.home, account);
    }
    // Nothing is reserved: who waits for the end of all work need not wait.
    let until = os::now() + SOON;
    let joined = hand.call("last join", on.home, SOON, answers::NONE, |context| {
        queue.join(context, Some(until))
    });
    must(hand, "last join", on.home, joined);
    there.extend(failed);
    let missing = hand.books().accounts.missing(on.home, &there);
    let excused = hand.books().accounts.taken_by_the_dead();
    if missing.len() as u64 > excused {
        let what = format!("the items {missing:?} are lost; {excused} may have gone with the dead");
        hand.find("audit", on.home, &what);
    }
}
