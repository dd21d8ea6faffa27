//! Phase two of recovery: everything that a dead process owned is returned.
//!
//! Recovery leaves the slot of a dead process as an estate: leased items, places promised to its
//! transactions, references to objects, and, on its rows, pending blocks and husks. Any process may
//! settle an estate by ordinary small changes. It holds no lock between them, so it may die
//! anywhere. Who looks for the dead on the way does a small portion; who would hear that the heap is
//! full goes on to the end, and a ticker while it has nothing else to do.
//!
//! What always holds: a slot becomes free only when its list is empty.
//!
//! Not here: how husks and parcels of the dead are taken apart (`husk::remains`).

use crate::allocator::{self, span};
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::{Context, recovery};
use crate::memory::Region;
use crate::memory::layout::{ARENA_COUNT, ARENA_TURNS, SLOT_TURNS};
use crate::objects::husk::{Portion, remains};
use crate::objects::ledger::record::ReturnReason;
use crate::objects::{kinds, ledger};
use crate::os;
use crate::sync::holder::{self, Holder};
use crate::sync::life::{State, StateWord};
use crate::sync::parking::table::watch;
use crate::sync::parking::word::{Holder as LockHolder, LockWord, MARK, STRICT};
use crate::sync::parking::{Key, Reason, bell};
use crate::sync::wait::PARTS;
use crate::sync::{Incarnation, Owner, Patience};

/// A result like "empty" is not returned if the last check of all slots is older than this, in
/// nanoseconds.
const FRESH: u64 = 20_000_000;

/// How old the last check may be if something was found, but dead processes may hold more.
const SELDOM: u64 = 50_000_000;

/// How long a ticker goes on with the work of the dead at a time, in nanoseconds: a twentieth of its
/// slice.
const SPELL: u64 = 4_000_000;

/// Recovers all dead processes, settles every estate, and returns how many processes were
/// recovered.
pub fn sweep(context: &Context) -> Result<u32> {
    let recovered = recover_all(context)?;
    settle_all(context)?;
    Ok(recovered)
}

fn recover_all(context: &Context) -> Result<u32> {
    let member = context.member();
    recovery::sweep(member.census(), Some(member.incarnation()), 0, 1)
}

/// Recovers all dead processes, and settles a small portion of their estates, without waiting for a
/// turn: an estate that needs one stays as it is.
pub fn sweep_in_passing(context: &Context) -> Result<()> {
    ledger::settle_due(context)?;
    context.waiting_until(0, |context| {
        recover_all(context)?;
        settle_some(context)
    })
}

/// Goes on with what this process is due to do: it gives back what it owes, and does a small portion of
/// the large work that it has left. No turn may be held.
#[cold]
pub(crate) fn settle_due(context: &Context) -> Result<()> {
    ledger::settle_due(context)?;
    if context.member().due().take_work() && !defect(Mistake::ForgetWork) {
        context.in_passing(|| settle_some(context))?;
    }
    Ok(())
}

/// Does a small portion of what the dead have left.
fn settle_some(context: &Context) -> Result<()> {
    let mut portion = match defect(Mistake::SmallDoesAll) {
        true => Portion::whole(),
        false => Portion::small(),
    };
    let is_left = settle_portion(context, 0, 1, &mut portion)?;
    // Where nothing could be done, a turn is missing, and those who look for the dead go on.
    if is_left && portion.is_begun() {
        context.member().due().note_work();
    }
    Ok(())
}

/// Sweeps in passing unless a sweep took place within the last 20 ms, and returns whether it did.
pub fn sweep_if_due(context: &Context) -> Result<bool> {
    let swept = &context.region().header().swept;
    let (last, now) = (swept.get(), os::now());
    let is_due = now.abs_diff(last) > FRESH && !defect(Mistake::NeverLookForDead);
    if is_due && Region::compare_exchange(swept, last, now).is_ok() {
        sweep_in_passing(context)?;
        return Ok(true);
    }
    Ok(false)
}

/// Sweeps unless a sweep took place within the last 50 ms, for callers that run often.
#[inline]
pub(crate) fn sweep_seldom(context: &Context) -> Result<()> {
    let last = context.region().header().swept.get();
    if os::now_roughly().abs_diff(last) > SELDOM {
        sweep_if_due(context)?;
    }
    Ok(())
}

/// Runs an operation again if it found no item, no place or no room, and dead processes may hold
/// what it needs. No turn may be held.
#[inline(always)]
pub(crate) fn or_after_sweep<T>(
    context: &Context,
    mut operation: impl FnMut() -> Result<T>,
) -> Result<T> {
    match operation() {
        // First, in an arm of its own: the space of an error is not copied then.
        Ok(done) => Ok(done),
        Err(error) => after_sweep(context, error, &mut operation),
    }
}

/// Runs an operation again that ended with `error`, as far as that helps.
#[cold]
#[inline(never)]
fn after_sweep<T>(
    context: &Context,
    error: Error,
    operation: &mut dyn FnMut() -> Result<T>,
) -> Result<T> {
    let error = match error {
        Error::Busy { turn } => match context.run_again(turn, operation) {
            Err(error) => error,
            done => return done,
        },
        error => error,
    };
    match error {
        Error::Empty | Error::Full if sweep_if_due(context)? => context.retried(operation),
        // No waiter polls for room, and the estates of the dead may be the only room there is.
        Error::HeapFull { .. } => with_room_of_the_dead(context, operation),
        other => Err(other),
    }
}

/// Runs an operation that found no room again after each portion of what the dead, and others, have
/// left; then once more after living objects have given back what they can do without.
///
/// # Errors
///
/// [`Error::Busy`] when the time is over and something is left; else those of the operation.
fn with_room_of_the_dead<T>(
    context: &Context,
    operation: &mut dyn FnMut() -> Result<T>,
) -> Result<T> {
    recover_all(context)?;
    let mut portion = Portion::small();
    let mut full = loop {
        let is_left = settle_portion(context, 0, 1, &mut portion)?;
        match context.retried(&mut *operation) {
            Err(full @ Error::HeapFull { .. }) if !(is_left && portion.is_begun()) => break full,
            Err(Error::HeapFull { .. }) => {}
            other => return other,
        }
        if context.kept.waiting.deadline().is_some_and(|end| os::now() >= end) {
            // The caller looks whether a signal came or its time is over, and comes back.
            return Err(Error::Busy { turn: ARENA_TURNS + context.index() % ARENA_COUNT });
        }
        portion = portion.next();
    };
    if kinds::room::make_room(context)? {
        match context.retried(&mut *operation) {
            Err(error) => full = error,
            done => return done,
        }
    }
    if span::trim_for(context, &full)? { context.retried(operation) } else { Err(full) }
}

/// Checks a part of the slots, as a ticker, and goes on with the work of the dead until the thread is
/// wanted: until its bell is rung or its wait is over.
pub fn tick(context: &Context, part: u32, patience: &Patience) -> Result<()> {
    ring_the_forgotten(context.region());
    let member = context.member();
    recovery::sweep(member.census(), Some(member.incarnation()), part, PARTS)?;
    ledger::settle_due(context)?;
    let spell = os::now().saturating_add(SPELL);
    let until = patience.deadline().map_or(spell, |deadline| deadline.min(spell));
    context.waiting_until(0, |context| {
        let mut portion = Portion::small();
        while settle_portion(context, part, PARTS, &mut portion)? && portion.is_begun() {
            if bell::is_up(context.region().bell(context.index())) || os::now() >= until {
                break;
            }
            portion = Portion::small();
        }
        Ok::<(), Error>(())
    })?;
    context.in_passing(|| span::trim_if_due(context, u64::MAX).map(|_| ()))
}

/// Recovers the process of an owner of a lock that was found gone, and settles its estate.
pub(crate) fn bury(context: &Context, owner: Owner) -> Result<()> {
    let member = context.member();
    let Holder::Dead(dead) = holder::look(member.census(), owner, "owner of a lock")? else {
        return Ok(());
    };
    recovery::recover(member.census(), Some(member.incarnation()), dead)?;
    let word = StateWord(context.region().slot(dead.slot).state.acquire());
    if word.state() == State::Estate && word.epoch() == dead.epoch {
        context.in_passing(|| settle_some(context))?;
    }
    Ok(())
}

/// Settles the estate of the process whose slot this process has taken over.
pub(crate) fn settle_adopted(context: &Context) -> Result<()> {
    let own = context.member().incarnation();
    settle_list(context, own, ReturnReason::Died, &mut Portion::whole()).map(|_| ())
}

/// Settles the property of this process, which has begun to leave, and a small portion of all estates.
/// What is left at `until`, or needs a turn that somebody keeps beyond it, is left for others to settle.
pub fn leave(context: &Context, until: u64) -> Result<()> {
    let me = context.member().incarnation();
    let due = context.member().due();
    due.take_work();
    let mut is_settled = false;
    let mut portion = Portion::small();
    while !is_settled
        && context.done_until(until, || {
            is_settled = settle_list(context, me, ReturnReason::Dropped, &mut portion)?;
            Ok(())
        })?
    {
        portion = portion.next();
        if os::now() >= until {
            break;
        }
    }
    if is_settled {
        context.member().note_settled();
    }
    // What this process was alone to have is large.
    let has_large = due.take_work();
    context.done_until(until, || {
        recover_all(context)?;
        let mut portion = Portion::small();
        while settle_portion(context, 0, 1, &mut portion)?
            && (has_large && portion.is_begun() && os::now() < until)
        {
            portion = portion.next();
        }
        Ok(())
    })?;
    context.done_until(until, || allocator::drain_all(context))?;
    Ok(())
}

/// Settles every estate, and takes apart what the dead and others have left.
pub fn settle_all(context: &Context) -> Result<()> {
    settle_portion(context, 0, 1, &mut Portion::whole()).map(|_| ())
}

/// Does a portion of what the dead have left, the estates of a part of the slots first, and returns
/// whether that was not all. An estate that needs a turn for which the caller may not wait stays as it
/// is.
fn settle_portion(context: &Context, part: u32, parts: u32, portion: &mut Portion) -> Result<bool> {
    let mut is_left = false;
    for index in (part..context.region().real_slots()).step_by(parts as usize) {
        let slot = context.region().slot(index);
        let word = StateWord(slot.state.acquire());
        let owner = Incarnation { slot: index, epoch: word.epoch() };
        // The first estate may be very large, and the next one have what somebody waits for.
        let mut share = portion.half();
        let done = match word.state() {
            State::Estate => settle_within(context, owner, &mut share),
            State::Leaving if slot.leases.get() != 0 => {
                settle_list(context, owner, ReturnReason::Dropped, &mut share)
            }
            _ => continue,
        };
        portion.spend_as(&share);
        is_left |= match done {
            Err(Error::Busy { .. }) => true,
            done => !done?,
        };
    }
    let has_remains = remains::go_on(context, portion)?;
    allocator::tidy(context)?;
    Ok(is_left | has_remains)
}

/// Settles one estate and frees its slot, for tests.
#[cfg(feature = "floors")]
pub fn settle(context: &Context, dead: Incarnation) -> Result<()> {
    settle_within(context, dead, &mut Portion::whole()).map(|_| ())
}

/// Settles a portion of one estate, and frees its slot once nothing is left. Returns whether that is so.
fn settle_within(context: &Context, dead: Incarnation, portion: &mut Portion) -> Result<bool> {
    if !defect(Mistake::FreeSlotWithLeases)
        && !settle_list(context, dead, ReturnReason::Died, portion)?
    {
        return Ok(false);
    }
    let _held = context.hold(SLOT_TURNS + dead.slot)?;
    let slot = context.region().slot(dead.slot);
    if slot.leases.get() == 0 || defect(Mistake::FreeSlotWithLeases) {
        let estate = StateWord::new(dead.epoch, State::Estate, None).0;
        let free = StateWord::new(dead.epoch, State::Free, None).0;
        let _ = Region::compare_exchange(&slot.state, estate, free);
    }
    Ok(true)
}

/// Settles a portion of the records of a process that is dead or leaving, and returns whether none is
/// left. A turn that is missing for one of them keeps only that one back.
///
/// # Errors
///
/// [`Error::Busy`] when some are left, because the caller may not wait any longer.
fn settle_list(
    context: &Context,
    owner: Incarnation,
    reason: ReturnReason,
    portion: &mut Portion,
) -> Result<bool> {
    let mut stuck = Vec::new();
    while portion.allows() {
        match ledger::settle_next(context, owner, reason, &stuck, portion) {
            Ok(true) => {}
            Ok(false) => {
                return stuck.first().map_or(Ok(true), |turn| Err(Error::Busy { turn: *turn }));
            }
            // Without the turn of the list, and where no other record can be tried, nothing is done.
            Err(Error::Busy { turn })
                if turn == SLOT_TURNS + owner.slot || stuck.contains(&turn) =>
            {
                return Err(Error::Busy { turn });
            }
            Err(Error::Busy { turn }) => stuck.push(turn),
            Err(other) => return Err(other),
        }
    }
    Ok(false)
}

/// Rings some of those whose thing is there, in rotation over all ticks: who was rung for it may be
/// stopped.
fn ring_the_forgotten(region: &Region) {
    let now = os::now();
    let milliseconds = now / 1_000_000;
    let mut served: Vec<(Key, Reason)> = Vec::new();
    for seen in watch::tick(region) {
        if served.contains(&(seen.key, seen.reason)) {
            continue;
        }
        let is_free = |word: LockWord| match word.holder() {
            LockHolder::Nobody => true,
            LockHolder::Offered(_) => word.has_lapsed(milliseconds),
            LockHolder::Thread(_) => false,
        };
        let is_refused = |word: LockWord| word.has(STRICT) && word.has(MARK);
        let (is_there, is_for_one) = match kinds::living(region, seen.key) {
            None => (true, false),
            Some((object, shape)) => match seen.reason {
                Reason::Lock => {
                    let word = LockWord(object.mutex.acquire());
                    (is_free(word), !is_refused(word))
                }
                Reason::Transaction => (is_free(LockWord(object.lock.acquire())), true),
                reason => {
                    let is_there = shape.seems_there(region, object, reason);
                    (is_there, matches!(reason, Reason::Item | Reason::Place | Reason::Permit))
                }
            },
        };
        if is_there {
            // Where one takes it, one is rung, and rings the next if more is there. Who raised its
            // bell may be stopped before the wake; who does not hear it may be stopped, too.
            let is_heard = bell::ring_row(region, seen.who.row, now);
            if is_heard && is_for_one && !seen.manner.is_looker {
                served.push((seen.key, seen.reason));
            }
        }
    }
}
