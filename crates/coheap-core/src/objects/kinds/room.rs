//! Room that living objects can do without, in a heap that is full.
//!
//! What always holds: an object that another thread holds, or locked for a transaction, is left out.

use super::AnyObject;
use crate::allocator;
use crate::error::{Error, Result};
use crate::journal::Context;
use crate::memory::layout::Object;
use crate::objects::husk;
use crate::objects::husk::Portion;

/// Makes every object give back what it can do without, and returns whether that was anything. No turn
/// may be held.
///
/// # Errors
///
/// [`Error::Interrupted`], [`Error::Corrupt`].
#[cold]
pub(crate) fn make_room(context: &Context) -> Result<bool> {
    let region = context.region();
    let mut has_given = false;
    for at in allocator::headers(context)? {
        let generation = region.at::<Object>(at)?.generation.acquire();
        // Even: no object lives there.
        if generation % 2 == 0 {
            continue;
        }
        // Only maps keep what they could do without.
        let Ok(AnyObject::Map(map)) = AnyObject::find(context, at, generation) else { continue };
        match context.waiting_until(0, |context| map.give_room(context)) {
            Ok(given) => has_given |= given,
            Err(
                Error::Busy { .. } | Error::WouldBlock | Error::ObjectGone | Error::InTransaction,
            ) => {}
            Err(other) => return Err(other),
        }
    }
    if has_given {
        husk::dismantle_within(context, &mut Portion::whole())?;
        allocator::reclaim(context)?;
    }
    Ok(has_given)
}
