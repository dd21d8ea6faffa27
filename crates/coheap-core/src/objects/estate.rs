//! Phase two of recovery: everything that a dead process owned is returned.
//!
//! Recovery leaves the slot of a dead process as an estate: leased items, places promised to its
//! transactions, references to objects, and, on its rows, pending blocks and husks. Any process may
//! settle an estate by ordinary small changes. It holds no lock between them, so it may die
//! anywhere.
//!
//! What always holds: a slot becomes free only when its list is empty.

use crate::allocator::{self, span};
use crate::defect::{Mistake, defect};
use crate::error::{Error, Result};
use crate::journal::{Context, recovery};
use crate::memory::Region;
use crate::memory::layout::SLOT_TURNS;
use crate::objects::ledger::record::ReturnReason;
use crate::objects::{husk, kinds, ledger};
use crate::os;
use crate::sync::holder::{self, Holder};
use crate::sync::life::{State, StateWord};
use crate::sync::parking::table::watch;
use crate::sync::parking::word::{Holder as LockHolder, LockWord, MARK, STRICT};
use crate::sync::parking::{Key, Reason, bell};
use crate::sync::wait::PARTS;
use crate::sync::{Incarnation, Owner};

/// A result like "empty" is not returned if the last check of all slots is older than this, in
/// nanoseconds.
const FRESH: u64 = 20_000_000;

/// How old the last check may be if something was found, but dead processes may hold more.
const SELDOM: u64 = 50_000_000;

/// Recovers all dead processes, settles every estate, and returns how many processes were
/// recovered.
pub fn sweep(context: &Context) -> Result<u32> {
    let member = context.member();
    let recovered = recovery::sweep(member.census(), Some(member.incarnation()), 0, 1)?;
    settle_all(context)?;
    Ok(recovered)
}

/// As [`sweep`], without waiting for a turn: an estate that needs one stays as it is.
pub fn sweep_in_passing(context: &Context) -> Result<()> {
    ledger::settle_due(context)?;
    context.waiting_until(0, |context| sweep(context).map(|_| ()))
}

/// Sweeps unless a sweep took place within the last 20 ms, and returns whether it did.
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
        Error::HeapFull { .. } => {
            sweep(context)?;
            husk::dismantle_abandoned(context)?;
            let done = match context.retried(&mut *operation) {
                Err(Error::HeapFull { .. }) if kinds::room::make_room(context)? => {
                    context.retried(&mut *operation)
                }
                other => other,
            };
            match done {
                Err(error) if span::trim_for(context, &error)? => context.retried(operation),
                other => other,
            }
        }
        other => Err(other),
    }
}

/// Checks a part of the slots, as a ticker.
pub fn tick(context: &Context, part: u32) -> Result<()> {
    ring_the_forgotten(context.region());
    let member = context.member();
    recovery::sweep(member.census(), Some(member.incarnation()), part, PARTS)?;
    ledger::settle_due(context)?;
    context.waiting_until(0, |context| settle_part(context, part, PARTS))?;
    context.in_passing(|| span::trim_if_due(context, u64::MAX))
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
        context.in_passing(|| settle(context, dead))?;
    }
    Ok(())
}

/// Settles the estate of the process whose slot this process has taken over.
pub(crate) fn settle_adopted(context: &Context) -> Result<()> {
    settle_list(context, context.member().incarnation(), ReturnReason::Died)
}

/// Settles the property of this process, which has begun to leave, and all estates. What needs a
/// turn that somebody keeps beyond `until` is left for others to settle.
pub fn leave(context: &Context, until: u64) -> Result<()> {
    let me = context.member().incarnation();
    if context.done_until(until, || settle_list(context, me, ReturnReason::Dropped))? {
        context.member().note_settled();
    }
    context.done_until(until, || sweep(context).map(|_| ()))?;
    context.done_until(until, || allocator::drain_all(context))?;
    Ok(())
}

/// Settles every estate.
pub fn settle_all(context: &Context) -> Result<()> {
    settle_part(context, 0, 1)
}

/// Settles the estates of a part of the slots. One that needs a turn for which the caller may not
/// wait stays as it is.
fn settle_part(context: &Context, part: u32, parts: u32) -> Result<()> {
    let mut has_settled = false;
    for index in (part..context.region().real_slots()).step_by(parts as usize) {
        let slot = context.region().slot(index);
        let word = StateWord(slot.state.acquire());
        let owner = Incarnation { slot: index, epoch: word.epoch() };
        match word.state() {
            State::Estate => unless_busy(settle(context, owner))?,
            State::Leaving if slot.leases.get() != 0 => {
                unless_busy(settle_list(context, owner, ReturnReason::Dropped))?;
            }
            _ => continue,
        }
        has_settled = true;
    }
    if has_settled {
        unless_busy(husk::dismantle_abandoned(context))?;
        allocator::tidy(context)?;
    }
    Ok(())
}

fn unless_busy(done: Result<()>) -> Result<()> {
    match done {
        Err(Error::Busy { .. }) => Ok(()),
        other => other,
    }
}

/// Settles one estate and frees its slot.
pub fn settle(context: &Context, dead: Incarnation) -> Result<()> {
    if !defect(Mistake::FreeSlotWithLeases) {
        settle_list(context, dead, ReturnReason::Died)?;
    }
    let _held = context.hold(SLOT_TURNS + dead.slot)?;
    let slot = context.region().slot(dead.slot);
    if slot.leases.get() == 0 || defect(Mistake::FreeSlotWithLeases) {
        let estate = StateWord::new(dead.epoch, State::Estate, None).0;
        let free = StateWord::new(dead.epoch, State::Free, None).0;
        let _ = Region::compare_exchange(&slot.state, estate, free);
    }
    Ok(())
}

/// Settles all records of a process that is dead or leaving. A turn that is missing for one of them
/// keeps only that one back.
///
/// # Errors
///
/// [`Error::Busy`] when some are left, because the caller may not wait any longer.
fn settle_list(context: &Context, owner: Incarnation, reason: ReturnReason) -> Result<()> {
    let mut stuck = Vec::new();
    loop {
        match ledger::settle_next(context, owner, reason, &stuck) {
            Ok(true) => {}
            Ok(false) => break,
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
    stuck.first().map_or(Ok(()), |turn| Err(Error::Busy { turn: *turn }))
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
