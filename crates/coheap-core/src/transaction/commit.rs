//! The end of a transaction: everything is prepared, then one change applies it.
//!
//! ```text
//! build long values -> take all turns -> validate -> make room (changes that keep state) -> ONE change -> release
//! ```
//!
//! What always holds: every error comes before the first store of the one change.
//!
//! Not here: the writes that are applied, which the overlay of each kind knows.

use super::touched::TouchedObjects;
use crate::allocator;
use crate::error::{Error, Result};
use crate::journal::{Change, Context, Held, MAX_WORDS};
use crate::objects::cell::{Long, Overwrite};
use crate::objects::estate;
use crate::objects::ledger::record::check_membership;
use crate::objects::overlay::{Needs, Turns, Wakes};
use crate::objects::wait::ring;

/// Applies all writes as one change.
pub(super) fn commit(context: &Context, touched: &mut TouchedObjects) -> Result<()> {
    let mut turns = Turns::new();
    touched.overlays().for_each(|overlay| overlay.turns(context, &mut turns));
    if turns.is_empty() {
        return Ok(());
    }
    let (mut long, mut has_built) = (Long::new(context), false);
    let wakes = loop {
        if let Some(wakes) = apply(context, touched, &turns, has_built)? {
            break wakes;
        }
        estate::or_after_sweep(context, || {
            let mut overlays = touched.overlays();
            long.build_with(|build| overlays.try_for_each(|overlay| overlay.build_long(build)))
        })?;
        has_built = true;
    };
    for (handle, reason, count) in wakes {
        ring(context.region(), handle.key(), reason, count);
    }
    Ok(())
}

/// Applies all writes with the turns held, and returns who is to be woken. `None`: long values are to
/// be built before.
fn apply(
    context: &Context,
    touched: &mut TouchedObjects,
    turns: &Turns,
    has_built: bool,
) -> Result<Option<Wakes>> {
    estate::or_after_sweep(context, || {
        let held = context.hold_all(turns)?;
        // Once this process has left, its locks and promises may belong to others: asked with the
        // turns held, for these are taken and settled under them.
        check_membership(context)?;
        let mut needs = prepare(&held, touched, Overwrite::IfShort)?;
        if needs.has_long && !has_built {
            return Ok(None);
        }
        match ensure(context, &mut needs) {
            Err(full @ Error::HeapFull { .. }) => {
                // Without room for new blocks, values go into the old ones, which saves more words.
                needs = prepare(&held, touched, Overwrite::IfItFits)?;
                if needs.words > MAX_WORDS {
                    return Err(full);
                }
                ensure(context, &mut needs)?;
            }
            other => other?,
        }
        let mut change = Change::begin(&held, needs.words)?;
        touched.overlays().try_for_each(|overlay| overlay.apply(&mut change))?;
        change.commit();
        let mut wakes = Wakes::new();
        touched.overlays().for_each(|overlay| overlay.wakes(context.region(), &mut wakes));
        Ok(Some(wakes))
    })
}

/// Returns what the change needs, the turns being held.
fn prepare(held: &Held<'_>, touched: &mut TouchedObjects, overwrite: Overwrite) -> Result<Needs> {
    let mut needs = Needs { overwrite, ..Needs::default() };
    touched.overlays_mut().try_for_each(|overlay| overlay.prepare(held, &mut needs))?;
    Ok(needs)
}

fn ensure(context: &Context, needs: &mut Needs) -> Result<()> {
    if needs.rooms.is_empty() { Ok(()) } else { allocator::ensure_all(context, &mut needs.rooms) }
}
