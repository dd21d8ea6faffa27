//! The scenes: what a process dies in while others wait.
//!
//! What always holds: who waits can go on after the death, by itself or with what the holder or the
//! helper does then.

use std::cell::RefCell;
use std::rc::Rc;

use coheap_core::error::{Error, Result};
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::memory::Region;
use coheap_core::memory::layout::{LINE_TAGS, Object};
use coheap_core::objects::queue::ReturnReason;
use coheap_core::objects::{Directory, Handle, Lockable, ledger, map};
use coheap_core::os;
use coheap_core::sync::parking::table::waiter::Waiter;
use coheap_core::sync::parking::word::WAITERS;
use coheap_core::sync::parking::{Key, Manner, Parked, Reason, Who, want};
use coheap_core::sync::row::RowWord;
use coheap_core::transaction::Transaction;
use coheap_core::{Typed as _, objects::Lease};

use super::scene::Meanwhile::{FirstLeaves, HolderActs, OthersCome};
use super::scene::{Scene, Wait};
use crate::world::kinds::queue::fill_work;
use crate::world::stage::Stage;

/// How long a victim waits, in nanoseconds: some of its slices.
const SHORT: u64 = 12_000_000;

fn lock(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    stage.mutex.lock(context, Some(deadline))?;
    stage.mutex.unlock(context)
}

fn get(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    stage.queue.get_wait(context, Some(deadline), &mut Vec::new())
}

fn put(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    stage.work.put_wait(context, Some(deadline), b"put")
}

fn join(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    stage.queue.join(context, Some(deadline))
}

fn join_work(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    stage.work.join(context, Some(deadline))
}

/// Locks the map for a transaction.
fn enter(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    let mut transaction = Transaction::begin(Rc::clone(context), None)?;
    transaction.lock_until(Lockable::of(&stage.map), os::now(), deadline)?;
    transaction.commit()
}

/// Waits until no transaction has the map.
fn write(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    context
        .waiting_until(deadline, |context| stage.map.set(context, b"written", b"yes"))
        .map(|_| ())
}

/// When a wait began that has slept for long already: no short slice hides that nobody rings.
fn long_ago() -> u64 {
    os::now() - 10_000_000_000
}

fn lock_long(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    stage.mutex.lock_until(context, long_ago(), deadline)?;
    stage.mutex.unlock(context)
}

fn get_long(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    let lease = stage.queue.lease_until(context, long_ago(), deadline, &mut Vec::new())?;
    stage.queue.ack(context, &lease)
}

fn put_long(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    stage.work.put_until(context, long_ago(), deadline, b"put")
}

fn join_long(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    stage.queue.join_until(context, long_ago(), deadline)
}

fn enter_long(stage: &Stage, context: &Rc<Context>, deadline: u64) -> Result<()> {
    let mut transaction = Transaction::begin(Rc::clone(context), None)?;
    transaction.lock_until(Lockable::of(&stage.map), long_ago(), deadline)?;
    transaction.commit()
}

fn hold_lock(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    stage.mutex.lock(context, Some(os::now())).map(|_| ())
}

fn unlock(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    stage.mutex.unlock(context)
}

/// As `unlock`, and the lock was not offered for long: it may be offered.
fn unlock_in_time(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    let object = context.region().at::<Object>(stage.mutex.handle().at)?;
    Region::store(&object.handing, 0);
    stage.mutex.unlock(context)
}

/// The lock is not offered in the next minute.
fn offer_seldom(stage: &Stage) {
    let at = stage.mutex.handle().at;
    let object = stage.region().at::<Object>(at).expect("a lock");
    Region::store(&object.handing, (os::now() + 60_000_000_000) / 4_000);
}

fn lock_shortly(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    lock(stage, context, os::now() + SHORT)
}

fn get_shortly(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    get(stage, context, os::now() + SHORT)
}

fn begin(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    let mut transaction = Transaction::begin(Rc::clone(context), None)?;
    transaction.on(&stage.map).set(b"key", b"value")?;
    transaction.on(&stage.map).lock()?;
    stage.transaction.replace(Some(transaction));
    Ok(())
}

fn abort(stage: &Stage, _: &Rc<Context>) -> Result<()> {
    stage.transaction.take().expect("a transaction").abort();
    Ok(())
}

fn put_one(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    stage.queue.put(context, b"item")
}

fn put_if_empty(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    if stage.queue.is_empty(context)? { put_one(stage, context) } else { Ok(()) }
}

fn get_if_full(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    match stage.work.check_room(context, 1) {
        Err(Error::Full) => stage.work.get(context, &mut Vec::new()),
        other => other,
    }
}

/// Does whatever is left to do with the items of the queue.
fn finish_all(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    match stage.queue.get(context, &mut Vec::new()) {
        Err(Error::Empty | Error::ShutDown) => Ok(()),
        other => other,
    }
}

fn lease_one(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    let lease = stage.queue.lease(context, &mut Vec::new())?;
    stage.leases.replace(vec![lease]);
    Ok(())
}

fn leased(stage: &Stage) -> Lease {
    stage.leases.borrow()[0]
}

fn fill_one(stage: &Stage) {
    stage.queue.put(&stage.context(), b"item").expect("room");
}

fn fill_both(stage: &Stage) {
    fill_one(stage);
    fill_work(stage, 4);
}

fn remove(name: &str, context: &Context) -> Result<()> {
    match Directory.remove(context, name) {
        Err(Error::NoSuchName) => Ok(()),
        other => other,
    }
}

fn close_if_open(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    if stage.queue.is_closed(context)? { Ok(()) } else { stage.queue.close(context) }
}

/// Everything that a process can own, and a thread of it that waits.
fn own_everything(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    hold_lock(stage, context)?;
    lease_one(stage, context)?;
    let (_, reference) = ledger::create(context, &map::Recipe)?;
    stage.references.borrow_mut().push(reference);
    let (heap, work) = (stage.heap.clone(), stage.work);
    std::thread::spawn(move || heap.with(|context| work.put_wait(context, None, b"never")));
    let sleeps = |row: u32| context.region().context(row).sleeps_on.get() != 0;
    crate::support::until("a thread waits", || (0..context.region().real_rows()).any(sleeps));
    Ok(())
}

thread_local! {
    /// The waits of a victim that has begun several.
    static WAITER: RefCell<Option<Waiter>> = const { RefCell::new(None) };
}

fn waiter_of(context: &Context) -> Waiter {
    let epoch = RowWord(context.row().state.get()).epoch();
    Waiter::new(Who { row: context.index(), epoch })
}

/// Waits as often as a line has tags.
fn park_seven(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    let Handle { at, generation, .. } = stage.queue.handle();
    let waiter = waiter_of(context);
    for _ in 0..LINE_TAGS {
        let manner = Manner { is_looker: true, ..Manner::default() };
        waiter.park(context.region(), Key { at, generation }, Reason::Done, manner);
    }
    WAITER.set(Some(waiter));
    Ok(())
}

/// Waits once more, and leaves.
fn park_eighth(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    let region = context.region();
    let Handle { at, generation, .. } = stage.queue.handle();
    let wants = &region.at::<Object>(at)?.wants;
    let waiter = WAITER.take().unwrap_or_else(|| waiter_of(context));
    let parked = waiter.park(region, Key { at, generation }, Reason::Item, Manner::default());
    want::raise(wants, Reason::Item);
    want::leave(region, wants, &parked.expect("room"));
    Ok(())
}

/// As many waits at once as take a block of cells and a line of tags.
fn park_many(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    let region = context.region();
    let waiter = waiter_of(context);
    let Handle { at, generation, .. } = stage.queue.handle();
    let wants = &region.at::<Object>(at)?.wants;
    let park = |_| {
        let parked = waiter.park(region, Key { at, generation }, Reason::Item, Manner::default());
        want::raise(wants, Reason::Item);
        parked.expect("room")
    };
    let all: Vec<Parked> = (0..9).map(park).collect();
    for parked in all {
        want::leave(region, wants, &parked);
        waiter.end(region, parked, false);
    }
    assert!(waiter.close(region));
    Ok(())
}

const GETS: &[Wait] = &[get, get];
const LOCKS: &[Wait] = &[lock, lock];
// Two of those who wait for long are the tickers; a third one sleeps for seconds unless it is rung.
const LONG_GETS: &[Wait] = &[get_long, get_long, get_long];
const LONG_LOCKS: &[Wait] = &[lock_long, lock_long, lock_long];
const LONG_ENTERS: &[Wait] = &[enter_long, enter_long, enter_long];
const GONE: &[&str] = &["ObjectGone"];
const DIED: &[&str] = &["Interrupted"];

/// Rings: something is made that others wait for.
const RINGS: &[Scene] = &[
    Scene::new("Queue::put", "others come meanwhile", GETS, put_one)
        .prepared(|stage, context| {
            // Room is pending, so that the put is short; then it seems that somebody waits.
            put_one(stage, context)?;
            stage.queue.get(context, &mut Vec::new())?;
            let object = context.region().at::<Object>(stage.queue.handle().at)?;
            want::raise(&object.wants, Reason::Item);
            Ok(())
        })
        .late()
        .meanwhile(OthersCome)
        .refilled(put_if_empty),
    Scene::new("Queue::put", "two wait for an item", GETS, put_one).refilled(put_if_empty),
    Scene::new("Queue::put_many", "two wait for an item", GETS, |stage, context| {
        stage.queue.put_many(context, &[b"one", b"two", b"three"]).map(|_| ())
    })
    .refilled(put_if_empty),
    Scene::new("Queue::get", "one waits for a place", &[put], |stage, context| {
        stage.work.get(context, &mut Vec::new())
    })
    .from(fill_both)
    .refilled(get_if_full),
    Scene::new("Queue::ack", "one waits until all is done", &[join], |stage, context| {
        stage.queue.ack(context, &leased(stage))
    })
    .from(fill_one)
    .prepared(lease_one)
    .refilled(finish_all),
    Scene::new("Queue::nack", "one waits for an item", &[get], |stage, context| {
        stage.queue.nack(context, &leased(stage), Some(ReturnReason::Nacked))
    })
    .from(fill_one)
    .prepared(lease_one),
    Scene::new("Queue::close", "two wait for an item", GETS, |stage, context| {
        stage.queue.close(context)
    })
    .refilled(close_if_open)
    .answered(&["ShutDown"]),
    Scene::new(
        "Transaction::commit",
        "others wait for the map",
        &[enter, write, get],
        |stage, _| stage.transaction.take().expect("a transaction").commit(),
    )
    .prepared(|stage, context| {
        begin(stage, context)?;
        let mut transaction = stage.transaction.borrow_mut();
        transaction.as_mut().expect("a transaction").on(&stage.queue).put(b"item")
    })
    .refilled(put_if_empty),
    Scene::new("Transaction::abort", "others wait for the map", &[enter, enter, write], abort)
        .prepared(begin),
];

/// Offers: a lock is let go while others wait for it.
const OFFERS: &[Scene] = &[
    Scene::new("Mutex::unlock", "offered to the first of two", LOCKS, unlock).prepared(hold_lock),
    Scene::new("Mutex::unlock", "too soon for an offer", LOCKS, unlock)
        .from(offer_seldom)
        .prepared(hold_lock),
    Scene::new("Mutex::unlock", "the first one leaves", LOCKS, unlock)
        .prepared(hold_lock)
        .meanwhile(FirstLeaves)
        .answered(DIED),
    Scene::new("Mutex::unlock_for_another", "one waits", &[lock], |stage, context| {
        stage.mutex.unlock_for_another(context)
    })
    .beside(hold_lock, |stage, context| match unlock(stage, context) {
        Err(Error::NotOwner) => Ok(()),
        other => other,
    }),
    Scene::new("Mutex::lock", "offered to another one", LOCKS, |stage, context| {
        stage.mutex.unlock(context)?;
        lock_shortly(stage, context)
    })
    .prepared(hold_lock),
    Scene::new("Mutex::lock", "held by a living thread", &[lock], lock_shortly)
        .beside(hold_lock, unlock),
    Scene::new("Transaction::try_lock", "others wait for the map", &[enter, enter], {
        |stage, context| {
            abort(stage, context)?;
            begin(stage, context)
        }
    })
    .prepared(begin)
    .awake(),
    Scene::new("Mutex::unlock", "others come who were announced", LOCKS, unlock)
        .prepared(|stage, context| {
            hold_lock(stage, context)?;
            let object = context.region().at::<Object>(stage.mutex.handle().at)?;
            Region::raise(&object.mutex, WAITERS);
            Ok(())
        })
        .late()
        .meanwhile(OthersCome),
];

/// Parking: the victim waits itself.
const PARKS: &[Scene] = &[
    Scene::new("Mutex::lock", "parks, then another one", &[lock], lock_shortly)
        .beside(hold_lock, unlock)
        .late(),
    Scene::new("Mutex::lock", "parks behind another one", &[lock], lock_shortly)
        .beside(hold_lock, unlock_in_time),
    Scene::new("Mutex::lock", "let go meanwhile", &[lock], lock_shortly)
        .beside(hold_lock, unlock)
        .late()
        .meanwhile(HolderActs),
    Scene::new("Queue::get_wait", "parks before another one", &[get], get_shortly)
        .late()
        .refilled(put_if_empty),
    Scene::new("Queue::get_wait", "an item comes meanwhile", &[get], get_shortly)
        .beside(|_, _| Ok(()), put_one)
        .late()
        .meanwhile(HolderActs)
        .refilled(put_if_empty),
    Scene::new("Queue::put_wait", "parks behind another one", &[put], |stage, context| {
        put(stage, context, os::now() + SHORT)
    })
    .from(fill_both)
    .refilled(get_if_full),
    Scene::new("Queue::join", "parks before another one", &[join], |stage, context| {
        join(stage, context, os::now() + SHORT)
    })
    .from(fill_one)
    .late()
    .refilled(finish_all),
    Scene::new("Transaction::lock_until", "let go meanwhile", &[enter, write], |stage, context| {
        enter(stage, context, os::now() + SHORT)
    })
    .beside(begin, abort)
    .late()
    .meanwhile(HolderActs),
    Scene::new("Transaction::lock_until", "parks behind others", &[enter, write], {
        |stage, context| enter(stage, context, os::now() + SHORT)
    })
    .beside(begin, abort),
    Scene::new("Waiter::park", "a block and a line", &[get], park_many).refilled(put_if_empty),
    Scene::new("Waiter::park", "another one adds a line", &[get], park_eighth)
        .beside(|_, _| Ok(()), park_eighth)
        .prepared(park_seven)
        .late()
        .meanwhile(HolderActs)
        .refilled(put_if_empty),
    Scene::new("Queue::lease_until", "as a ticker", &[get], |stage, context| {
        let until = os::now() + 5 * SHORT;
        let lease = stage.queue.lease_until(context, long_ago(), until, &mut Vec::new())?;
        stage.queue.ack(context, &lease)
    })
    .refilled(put_if_empty),
    Scene::new("Mutex::lock_until", "as a ticker", &[lock], |stage, context| {
        stage.mutex.lock_until(context, long_ago(), os::now() + 5 * SHORT)?;
        unlock(stage, context)
    })
    .beside(hold_lock, unlock),
];

/// Ends: an object is removed, or a process leaves, while others wait.
const ENDS: &[Scene] = &[
    Scene::new("Directory::remove", "a lock that two wait for", LOCKS, |_, context| {
        remove("mutex", context)
    })
    .prepared(hold_lock)
    .answered(GONE),
    Scene::new("Directory::remove", "a lock that is offered", LOCKS, |stage, context| {
        unlock(stage, context)?;
        remove("mutex", context)
    })
    .prepared(hold_lock)
    .answered(GONE),
    Scene::new("Directory::remove", "a queue that two wait for", GETS, |_, context| {
        remove("queue", context)
    })
    .refilled(|_, context| remove("queue", context))
    .answered(GONE),
    Scene::new("Directory::remove", "a full queue", &[put, join_work], |_, context| {
        remove("work", context)
    })
    .from(fill_both)
    .refilled(|_, context| remove("work", context))
    .answered(GONE),
    Scene::new("Heap::close", "with all that it owns", &[lock, get], |stage, _| stage.heap.close())
        .from(fill_both)
        .prepared(own_everything),
    Scene::new("Heap::close", "in a transaction", &[enter, write], |stage, _| stage.heap.close())
        .prepared(begin),
];

/// The same beside those who have waited for long, whom only a ring wakes soon.
const LONG: &[Scene] = &[
    Scene::new("Queue::put", "three wait for long", LONG_GETS, |stage, context| {
        put_one(stage, context)
    })
    .refilled(put_if_empty),
    Scene::new("Queue::get", "three wait for long", &[put_long, put_long, put_long], {
        |stage, context| stage.work.get(context, &mut Vec::new())
    })
    .from(fill_both)
    .refilled(get_if_full),
    Scene::new("Queue::ack", "three wait for long", &[join_long, join_long, join_long], {
        |stage, context| stage.queue.ack(context, &leased(stage))
    })
    .from(fill_one)
    .prepared(lease_one)
    .refilled(finish_all),
    Scene::new("Queue::close", "three wait for long", LONG_GETS, |stage, context| {
        stage.queue.close(context)
    })
    .refilled(close_if_open)
    .answered(&["ShutDown"]),
    Scene::new("Queue::get_wait", "before three who wait for long", LONG_GETS, get_shortly)
        .late()
        .refilled(put_if_empty),
    Scene::new("Mutex::unlock", "three wait for long", LONG_LOCKS, unlock).prepared(hold_lock),
    Scene::new("Mutex::unlock", "three wait for long, no offer", LONG_LOCKS, unlock)
        .from(offer_seldom)
        .prepared(hold_lock),
    Scene::new("Mutex::lock", "before three who wait for long", LONG_LOCKS, lock_shortly)
        .beside(hold_lock, unlock)
        .late(),
    Scene::new("Transaction::abort", "three wait for long", LONG_ENTERS, abort).prepared(begin),
    Scene::new("Directory::remove", "a queue, three wait for long", LONG_GETS, |_, context| {
        remove("queue", context)
    })
    .refilled(|_, context| remove("queue", context))
    .answered(GONE),
    Scene::new("Directory::remove", "a lock, three wait for long", LONG_LOCKS, |_, context| {
        remove("mutex", context)
    })
    .prepared(hold_lock)
    .answered(GONE),
    Scene::new("Heap::close", "three wait for long", LONG_LOCKS, |stage, _| stage.heap.close())
        .from(fill_both)
        .prepared(own_everything),
];

pub(super) fn all() -> Vec<Scene> {
    let long = LONG.iter().map(|scene| scene.awake());
    [RINGS, OFFERS, PARKS, ENDS].concat().into_iter().chain(long).collect()
}
