//! The states that operations on no kind in particular start from, and how states are made.
//!
//! What always holds: a state is built by the parent (or by children that are dead by then)
//! before the picture is taken; `full` states leave no room for a single block more.
//!
//! Not here: the states that objects of a kind start from (`kinds`).

use coheap_core::Typed as _;
use coheap_core::error::Result;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::{Context, recovery};
use coheap_core::memory::layout::ARENA_COUNT;
use coheap_core::objects::parcel::{self, Parcel};
use coheap_core::objects::queue::ReturnReason;
use coheap_core::objects::{Directory, Handle, Reference, estate, ledger, map, queue, value};

use super::kinds::map::{entry, fill_map};
use super::kinds::queue::{fill_queue, fill_work, item, return_items};
use super::operation::State;
use super::stage::Stage;

pub(crate) const ROOMY: u64 = 4 << 20;
const LARGE: u64 = 16 << 20;
pub(crate) const TINY: u64 = 1 << 20;

pub(crate) const fn state(name: &'static str, build: fn(&Stage)) -> State {
    State { name, max_bytes: ROOMY, build }
}

pub(crate) const fn large(name: &'static str, build: fn(&Stage)) -> State {
    State { name, max_bytes: LARGE, build }
}

pub(crate) const fn tiny(name: &'static str, build: fn(&Stage)) -> State {
    State { name, max_bytes: TINY, build }
}

pub(crate) const fn full(build: fn(&Stage)) -> State {
    State { name: "full", max_bytes: TINY, build }
}

pub(crate) const FRESH: &[State] = &[state("fresh", |_| {})];

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

/// A process that died with a map of its own that is taken apart in several portions.
fn dead_with_a_large_map(stage: &Stage) {
    stage.leave_dead(|context| {
        let (map, _) = ledger::create(context, &map::Recipe)?;
        let pairs = (0..300u32).map(|number| (number.to_le_bytes(), [b'v'; 24])).collect();
        map.set_many(context, &pairs).map(|_| ())
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
    state("dead with a large map", dead_with_a_large_map),
    state("dead with a large map, taken apart in part", |stage| {
        dead_with_a_large_map(stage);
        let context = stage.context();
        estate::sweep_in_passing(&context).expect("a recovery");
        context.member().due().take_work();
        let arena = context.region().arena(context.index() % ARENA_COUNT);
        assert_ne!(arena.husks.get(), 0, "something is left");
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
