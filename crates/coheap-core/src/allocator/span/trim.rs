//! Pages of free spans, given back to the system: at once when somebody asks for it, and by itself when
//! much has been free for some time.
//!
//! Some of what is free becomes *unreal* first, so that nobody takes it, and a hole afterwards. After a
//! death between, whoever settles it gives the pages back that are left (`grow`).
//!
//! Who reads without a turn may look at spans that were freed meanwhile. It sees zeros there, and
//! repeats, as after any change. But where a file system with a limit has no page left, the look itself
//! would be a SIGBUS. So in such a place only what was free for half a second is given back, which is
//! longer than a look takes, and nothing while a member is stopped, perhaps in a look.
//!
//! Not here: how holes get pages again (`grow`).

use std::time::Duration;

use super::grow::{end_unreal, settle_unreal, withdraw};
use super::{CLAIM_WORDS, Use, bins, claim, free_with_pages};
use crate::error::{Error, Result};
use crate::journal::{Change, Context};
use crate::memory::Region;
use crate::memory::layout::{SPAN_BYTES, SPAN_TURN};
use crate::os;

/// How long spans of a place with a limit are free before they are given back, in nanoseconds.
const GRACE: u64 = 500_000_000;
/// Most spans that are given back at a time.
const PIECE: u64 = 1024;
/// So many are given back by who has freed few: 2 MiB, which takes less than a millisecond.
const PORTION: u64 = 128;
/// Shorter free runs are left alone unless somebody asks.
const SHORT: u64 = 8;
/// How often somebody looks how much is free, and how long it must have been free, in nanoseconds.
const LOOK: u64 = 500_000_000;
const WINDOW: u64 = 2_000_000_000;
/// What has been free for a window goes within this time, in nanoseconds: two windows, and some looks.
pub const GOES_WITHIN: u64 = 6_000_000_000;
/// So many spans may be free without being given back: 16 MiB.
const SLACK: u64 = (16 << 20) / SPAN_BYTES;
/// So many are given back at once: 256 MiB.
const HUGE: u64 = (256 << 20) / SPAN_BYTES;

/// Gives the pages of all free spans back to the system, and returns how many bytes. In a place with a
/// limit it waits for half a second, if some were freed just now. No turn may be held.
///
/// # Errors
///
/// [`Error::Interrupted`](crate::Error::Interrupted), [`Error::Corrupt`](crate::Error::Corrupt); what
/// was given back stays so.
pub fn trim(context: &Context) -> Result<u64> {
    let given = give_back(context, 0, 1, u64::MAX)?;
    // Who died before they were committed has left them.
    withdraw(context, context.region().span_limit())?;
    if free_with_pages(context.region()) == 0 || !context.region().can_run_out() {
        return Ok(given);
    }
    // The rough clock is late by up to ten milliseconds.
    std::thread::sleep(Duration::from_nanos(GRACE + 20_000_000));
    Ok(given + give_back(context, 0, 1, u64::MAX)?)
}

/// Gives the pages of all free spans back if the place of the heap refused pages elsewhere, such as
/// those of an overflow chunk, for which these are enough. Returns whether it did.
///
/// # Errors
///
/// As [`trim`].
pub(crate) fn trim_for(context: &Context, refused: &Error) -> Result<bool> {
    let free = free_with_pages(context.region()).saturating_mul(SPAN_BYTES);
    match refused {
        Error::HeapFull { wanted, system: Some(system), .. } => {
            Ok(*wanted <= free && system.file_limit.is_none() && trim(context)? > 0)
        }
        _ => Ok(false),
    }
}

/// Gives pages back if much has been free for some seconds, or very much is. It looks twice a second. A
/// thread that has freed so many spans since it gave back some gives back twice as many, and a portion:
/// who comes by does not do all that the large structure of another one leaves. Returns whether anything
/// was given back.
#[inline]
pub fn trim_if_due(context: &Context, freed: u64) -> Result<bool> {
    let map = &context.region().header().spans;
    let now = os::now_roughly();
    let last = map.looked.get();
    let is_due = now.abs_diff(last) >= LOOK || is_very_much(context.region(), now);
    if is_due && Region::compare_exchange(&map.looked, last, now).is_ok() {
        return look(context, now, freed.saturating_mul(2).saturating_add(PORTION));
    }
    Ok(false)
}

/// Returns whether so much is free that it goes back when it has been for some seconds.
pub fn is_much_free(region: &Region) -> bool {
    free_with_pages(region) > kept(region)
}

/// How many spans may be free without being given back.
fn kept(region: &Region) -> u64 {
    SLACK.max(region.used_spans() / 4)
}

#[cold]
fn look(context: &Context, now: u64, most: u64) -> Result<bool> {
    let region = context.region();
    let map = &region.header().spans;
    let free = free_with_pages(region);
    let is_over = now.abs_diff(map.window_began.get()) > WINDOW;
    let least = least_of(map.window.get()).min(free);
    let keep = kept(region);
    if is_over && least.saturating_sub(keep) <= most {
        Region::swap(&map.window_began, now);
        Region::swap(&map.window, 0);
    }
    let goes = match () {
        () if is_over && least > keep => least - keep,
        () if is_very_much(region, now) && free > region.used_spans() => free - keep,
        () => return Ok(false),
    };
    if now.abs_diff(map.trimmed.get()) > WINDOW {
        Region::swap(&map.trimmed, now);
    }
    give_back(context, free - goes, SHORT, most).map(|given| given > 0)
}

/// Returns whether so much is free that it goes back without delay. What went back moments ago goes on
/// to, unless some was wanted again.
fn is_very_much(region: &Region, now: u64) -> bool {
    let map = &region.header().spans;
    let (trimmed, free) = (map.trimmed.get(), free_with_pages(region));
    match now.abs_diff(trimmed) > WINDOW {
        true => free > HUGE,
        // The clock is rough: what grew at that moment had grown before.
        false => free > 2 * SLACK && map.grown.get() <= trimmed,
    }
}

/// Notes that spans were taken: a window knows the fewest that were free. The turn is held.
pub(super) fn note(region: &Region) {
    let window = &region.header().spans.window;
    let free = free_with_pages(region);
    if free < least_of(window.get()) {
        Region::store(window, free + 1);
    }
}

/// Returns the fewest spans that were free in a window, as its word says.
fn least_of(window: u64) -> u64 {
    window.checked_sub(1).unwrap_or(u64::MAX)
}

/// Gives pages back until only `keep` spans that nobody uses have any, from runs of at least `shortest`
/// spans. It ends when these were `most` spans.
fn give_back(context: &Context, keep: u64, shortest: u64, most: u64) -> Result<u64> {
    let region = context.region();
    let mut before = u64::MAX;
    if region.can_run_out() {
        before = os::now_roughly().saturating_sub(GRACE);
        if !context.member().census().all_run() {
            return Ok(0);
        }
    }
    settle_unreal(context, context.index())?;
    let mut left = most;
    while left > 0
        && let Some((first, spans)) = take_piece(context, keep, shortest, before, left)?
    {
        let bytes = spans * SPAN_BYTES;
        let punched = context.apart(bytes, || region.decommit_data(first, spans));
        end_unreal(context, context.index(), Use::Hole)?;
        punched?;
        left = left.saturating_sub(spans);
    }
    Ok((most - left).saturating_mul(SPAN_BYTES))
}

/// Makes up to `limit` spans that were free `before` a time the context's unreal run: its first span and
/// its length. `None`: no more are to be given back.
fn take_piece(
    context: &Context,
    keep: u64,
    shortest: u64,
    before: u64,
    limit: u64,
) -> Result<Option<(u64, u64)>> {
    let held = context.hold(SPAN_TURN)?;
    let region = context.region();
    let header = region.header();
    let most = free_with_pages(region).saturating_sub(keep).min(PIECE.min(limit));
    let frontier = header.spans.frontier.get();
    let is_old = header.spans.lowered.get() <= before;
    let beyond = if is_old { region.committed_spans().saturating_sub(frontier) } else { 0 };
    let beyond = (frontier, beyond);
    let longest = bins::longest_before(region, &header.free_runs, before)?.unwrap_or((frontier, 0));
    let (first, spans) = if longest.1 > beyond.1 { longest } else { beyond };
    let spans = spans.min(most);
    if spans < shortest {
        return Ok(None);
    }
    let mut change = Change::begin(&held, CLAIM_WORDS + 1)?;
    claim(&mut change, first, Use::Unreal(spans))?;
    change.set(&context.control().unreal, first + 1);
    change.commit();
    Ok(Some((first, spans)))
}
