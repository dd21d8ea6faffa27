//! The states that operations start from: empty, one, at each growth threshold, full.
//!
//! What always holds: a state is built by the parent (or by children that are dead by then)
//! before the picture is taken; `full` states leave no room for a single block more.

use coheap_core::Typed as _;
use coheap_core::error::Result;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::{Context, recovery};
use coheap_core::objects::Handle;
use coheap_core::objects::Reference;
use coheap_core::objects::parcel::{self, Parcel};
use coheap_core::objects::queue::ReturnReason;
use coheap_core::objects::{Directory, estate, ledger, map, queue, value};

use super::operation::State;
use super::stage::{Stage, int};

const ROOMY: u64 = 4 << 20;
const LARGE: u64 = 16 << 20;
const TINY: u64 = 1 << 20;

const fn state(name: &'static str, build: fn(&Stage)) -> State {
    State { name, max_bytes: ROOMY, build }
}

const fn large(name: &'static str, build: fn(&Stage)) -> State {
    State { name, max_bytes: LARGE, build }
}

const fn full(build: fn(&Stage)) -> State {
    State { name: "full", max_bytes: TINY, build }
}

pub(crate) const FRESH: &[State] = &[state("fresh", |_| {})];

pub(crate) const VALUES: &[State] = &[
    state("inline", |stage| set_text(stage, b"short")),
    state("block", |_| {}),
    state("large", |stage| set_text(stage, &[b'l'; 20_000])),
    full(Stage::fill_up),
];

fn set_text(stage: &Stage, bytes: &[u8]) {
    stage.text.set(&stage.context(), bytes).expect("room");
}

/// Key and value of an entry; some are long.
pub(crate) fn entry(number: u32) -> (Vec<u8>, Vec<u8>) {
    let mut key = format!("k{number:04}").into_bytes();
    if number % 4 == 3 {
        key.extend_from_slice(&[b'-'; 20]);
    }
    let value = if number % 3 == 2 { vec![b'v'; 40] } else { int(i64::from(number)) };
    (key, value)
}

fn fill_map(stage: &Stage, count: u32) {
    let context = stage.context();
    for number in 0..count {
        let (key, value) = entry(number);
        stage.map.set(&context, &key, &value).expect("room");
    }
}

fn thin_map(stage: &Stage, count: u32, removed: std::ops::Range<u32>) {
    fill_map(stage, count);
    let context = stage.context();
    for number in removed {
        stage.map.remove(&context, &entry(number).0, &mut Vec::new()).expect("an entry");
    }
}

pub(crate) const MAPS: &[State] = &[
    state("empty", |_| {}),
    state("one", |stage| fill_map(stage, 1)),
    state("8, positions used up", |stage| fill_map(stage, 8)),
    state("12, index at its limit", |stage| fill_map(stage, 12)),
    state("16 less 6, to be packed", |stage| thin_map(stage, 16, 4..10)),
    state("9 of 20 removed at the front", |stage| thin_map(stage, 20, 0..9)),
    state("12 less 3, index to be swept", |stage| thin_map(stage, 12, 2..5)),
    full(|stage| {
        fill_map(stage, 8);
        stage.fill_up();
    }),
    State {
        name: "full and 16 less 6, to be squeezed",
        max_bytes: TINY,
        build: |stage| {
            thin_map(stage, 16, 4..10);
            stage.fill_up();
        },
    },
];

/// Thresholds of thousands of stores: for a few operations.
pub(crate) const LARGE_MAPS: &[State] = &[
    large("256, last doubling", |stage| fill_map(stage, 256)),
    large("512, first segment full", |stage| fill_map(stage, 512)),
    large("600 less 250, to be packed", |stage| thin_map(stage, 1024, 100..400)),
    large("1536, index to be split", |stage| fill_map(stage, 1536)),
    large("4096, segments to be doubled", |stage| fill_map(stage, 4096)),
];

/// An item; some are long.
pub(crate) fn item(number: u32) -> Vec<u8> {
    if number % 4 == 3 { vec![b'0' + (number % 10) as u8; 40] } else { int(i64::from(number)) }
}

fn fill_queue(stage: &Stage, put: u32, got: u32) {
    let context = stage.context();
    for number in 0..put {
        stage.queue.put(&context, &item(number)).expect("room");
    }
    for _ in 0..got {
        stage.queue.get(&context, &mut Vec::new()).expect("an item");
    }
}

fn return_items(stage: &Stage) {
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

pub(crate) const QUEUES: &[State] = &[
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

fn fill_work(stage: &Stage, count: u32) {
    let context = stage.context();
    for number in 0..count {
        stage.work.put(&context, &item(number)).expect("a place");
    }
}

/// Of the queue with limits: 4 items, 2 attempts.
pub(crate) const WORK: &[State] = &[
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

fn lock_and_die(stage: &Stage) {
    stage.leave_dead(|context| stage.mutex.lock(context, None).map(|_| ()));
}

pub(crate) const MUTEXES: &[State] = &[
    state("free", |_| {}),
    state("held by a living process", |stage| {
        stage.mutex.lock(&stage.context(), None).expect("a free lock");
    }),
    state("holder dead", lock_and_die),
    state("holder dead and settled", |stage| {
        lock_and_die(stage);
        estate::sweep(&stage.context()).expect("a recovery");
    }),
    state("used as a signal", |stage| {
        let context = stage.context();
        stage.mutex.lock(&context, None).expect("a free lock");
        stage.mutex.unlock_for_another(&context).expect("a held lock");
    }),
];

fn add_names(stage: &Stage, count: u32) {
    let context = stage.context();
    for number in 0..count {
        let name = format!("n{number}");
        Directory.get_or_create(&context, &name, &value::Recipe::of(b"x")).expect("room");
    }
}

fn fill_all(stage: &Stage) {
    fill_map(stage, 12);
    return_items(stage);
    fill_work(stage, 3);
    let context = stage.context();
    let lease = stage.work.lease(&context, &mut Vec::new()).expect("an item");
    stage.work.nack(&context, &lease, Some(ReturnReason::Nacked)).expect("a lease");
}

/// Of the directory: seven objects are there anyway.
pub(crate) const DIRECTORIES: &[State] = &[
    state("7", |_| {}),
    state("8, positions used up", |stage| add_names(stage, 1)),
    state("12, index at its limit", |stage| add_names(stage, 5)),
    state("7, filled", fill_all),
    full(|stage| {
        fill_all(stage);
        stage.fill_up();
    }),
];

fn make_nameless(stage: &Stage) {
    let context = stage.context();
    let (map, reference) = ledger::create(&context, &map::Recipe).expect("room");
    map.set(&context, b"key", &[b'v'; 40]).expect("room");
    stage.references.borrow_mut().push(reference);
}

/// A process that died with a reference it inherited, a map and a queue of its own, and a lease.
fn dead_with_references(stage: &Stage) {
    make_nameless(stage);
    stage.leave_dead(|context| {
        let (map, _) = ledger::create(context, &map::Recipe)?;
        for number in 0..12 {
            let (key, value) = entry(number);
            map.set(context, &key, &value)?;
        }
        let recipe = queue::Recipe { limit: 0, max_attempts: 0 };
        let (queue, _) = ledger::create(context, &recipe)?;
        queue.put(context, &item(3))?;
        queue.lease(context, &mut Vec::new())?;
        let Handle { at, generation, .. } = map.handle();
        ledger::claim(context, at, generation).map(|_| ())
    });
}

/// Of objects without a name: the parent has none, or one that children inherit.
pub(crate) const LEDGERS: &[State] = &[
    state("none", |_| {}),
    state("one of the parent's", make_nameless),
    state("one, and those of the dead", dead_with_references),
    full(|stage| {
        make_nameless(stage);
        stage.fill_up();
    }),
];

/// A value that refers to the parent's object and to a new one that nothing else will keep.
pub(crate) fn pack_two(stage: &Stage, context: &Context) -> Result<(Parcel, Vec<u8>)> {
    let (_, new) = ledger::create(context, &map::Recipe)?;
    let known = stage.references.borrow().first().map_or(new.handle(), Reference::handle);
    let places = [new.handle(), known].map(|handle| (handle.at, handle.generation));
    let mut bytes = b"\x06\x05value".to_vec();
    let parcel = parcel::pack(context, &mut bytes, &places)?;
    ledger::release(context, &new)?;
    Ok((parcel, bytes))
}

fn store_parcels(stage: &Stage) {
    make_nameless(stage);
    let context = stage.context();
    let pack = || pack_two(stage, &context).expect("room").1;
    stage.map.set(&context, b"key", &pack()).expect("room");
    stage.map.set(&context, b"other", &pack()).expect("room");
    stage.queue.put(&context, &pack()).expect("room");
    stage.text.set(&context, &pack()).expect("room");
}

/// Of values that refer to objects.
pub(crate) const PARCELS: &[State] = &[
    state("none", |_| {}),
    state("one in each", store_parcels),
    state("one in each, one of the dead", |stage| {
        store_parcels(stage);
        stage.leave_dead(|context| {
            let (_, bytes) = pack_two(stage, context)?;
            stage.map.set(context, b"key", &bytes)?;
            pack_two(stage, context)?;
            stage.queue.lease(context, &mut Vec::new()).map(|_| ())
        });
    }),
    full(|stage| {
        store_parcels(stage);
        stage.fill_up();
    }),
];

/// Of transactions, which touch a bit of everything.
pub(crate) const ALL: &[State] = &[
    state("empty", |_| {}),
    state("filled", fill_all),
    state("thresholds", |stage| {
        fill_map(stage, 12);
        fill_queue(stage, 30, 0);
    }),
    full(|stage| {
        fill_all(stage);
        stage.fill_up();
    }),
];

fn dead_with_leases(stage: &Stage) {
    fill_queue(stage, 6, 0);
    fill_work(stage, 3);
    stage.leave_dead(|context| {
        let lease = stage.work.lease(context, &mut Vec::new())?;
        stage.work.nack(context, &lease, Some(ReturnReason::Nacked))?;
        stage.work.lease(context, &mut Vec::new())?;
        for _ in 0..2 {
            stage.queue.lease(context, &mut Vec::new())?;
        }
        Ok(())
    });
}

fn recover_only(stage: &Stage) {
    let context = stage.context();
    let member = context.member();
    let swept = recovery::sweep(member.census(), Some(member.incarnation()), 0, 1);
    assert_eq!(swept, Ok(1), "one process is dead");
}

/// A process that died in the middle of something, store number `at`.
#[cfg(feature = "failpoints")]
fn dead_at(stage: &Stage, at: u64, work: impl FnOnce(&Context) -> Result<()>) {
    stage.leave_dead(|context| {
        coheap_core::os::failpoint::arm(at);
        work(context)
    });
}

#[cfg(not(feature = "failpoints"))]
fn dead_at(stage: &Stage, _: u64, work: impl FnOnce(&Context) -> Result<()>) {
    stage.leave_dead(work);
}

/// Of recovery and settlement: who died, and how.
pub(crate) const DEATHS: &[State] = &[
    state("nobody died", |_| {}),
    state("dead with leases", dead_with_leases),
    state("dead with leases, recovered", |stage| {
        dead_with_leases(stage);
        recover_only(stage);
    }),
    state("dead with references", dead_with_references),
    state("dead in a change", |stage| {
        fill_map(stage, 8);
        dead_at(stage, 40, |context| stage.map.set(context, b"half", &[b'h'; 40]).map(|_| ()));
    }),
    state("dead with a husk", |stage| {
        fill_map(stage, 100);
        dead_at(stage, 60, |context| stage.map.clear(context));
    }),
    state("dead in a transaction", |stage| {
        fill_work(stage, 2);
        stage.leave_dead(|_| {
            let mut transaction =
                coheap_core::transaction::Transaction::begin(stage.context(), None)?;
            transaction.on(&stage.map).set(b"half", b"done")?;
            transaction.on(&stage.work).get(&mut Vec::new())?;
            transaction.on(&stage.work).put(b"promised")?;
            stage.transaction.replace(Some(transaction));
            Ok(())
        });
    }),
];
