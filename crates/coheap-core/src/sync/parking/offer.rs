//! Locks on the table: taking, waiting, letting go, and offers to who waits.
//!
//! Letting go rings the thread that came first, and whoever comes by may be faster: that is quick,
//! and unfair. So now and then the lock is *offered*: its word names the row, which accepts by an
//! exact swap. Offers cost the time until the thread runs, so they are rationed: after one that took
//! some time there is none for sixteen times as long.
//!
//! What always holds: the word changes by exact swaps only. Letting go never waits and takes no turn.
//! Who offers looks whether the thread has left, after the swap; who leaves looks at the word, after
//! changing its cell: so no offer is made to nobody.
//!
//! Not here: dead holders, and strict locks that were marked: a caller decides on them.

use super::bell;
use super::cell::{Parked, Seen};
use super::tag::{Key, Reason};
use super::word::{Holder, LockWord, MARK, SHARED, STRICT, WAITERS};
use super::{Lot, Who, ring};
use crate::defect::{Mistake, defect};
use crate::memory::{Region, Word};

const MILLISECOND: u64 = 1_000_000;
/// Shortest time between two offers of a lock, in nanoseconds.
const BETWEEN: u64 = MILLISECOND;
/// How many times as long as an offer took there is no other one.
const RATION: u64 = 16;
/// What an offer counts as at most, in nanoseconds: the note of when it was made is a hint.
const LONGEST: u64 = 100 * MILLISECOND;

/// A lock of an object: two words of its header.
///
/// A wait: `take`; if another holds it, `Waiter::park`; then, in a loop, `Waiter::hush`, `take`, and
/// `announce` the word that it answered with; sleep only if that succeeded. The end is
/// `leave_with_it` or `leave_without`, and `Waiter::end`.
#[derive(Debug, Clone, Copy)]
pub struct Lock<'a> {
    /// Its owner word.
    pub word: &'a Word,
    /// When it may be offered again and which cell was rung last: see [`Handing`]. `None`: it is
    /// never offered here, as a transaction lock, which is offered under the turn only.
    pub handing: Option<&'a Word>,
    /// Its object.
    pub key: Key,
    /// What threads that wait for it are registered for.
    pub reason: Reason,
}

/// The result of an attempt to take a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// The caller holds it. The field is the word before.
    Yes(LockWord),
    /// A thread holds it.
    Held(LockWord),
    /// It is offered to another thread.
    Offered(LockWord),
    /// A holder died, and the lock is strict.
    Refused(LockWord),
    /// The word is that of another object: the caller's handle is stale.
    Gone,
}

/// What became of a lock that was let go where others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// Its word had changed.
    Not,
    /// A thread was offered it, and woken.
    Offered,
    /// It is free.
    Free,
}

/// A header word that is a hint: bits 0..45 a time in units of 4 us, bits 45..64 a cell plus one.
///
/// The time says from when on the lock may be offered again; while it is offered, since when. A
/// wrong value costs time only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handing(u64);

impl Handing {
    const CELL: u32 = 45;
    const UNIT: u64 = 4_000;

    fn new(time: u64, cell: Option<u32>) -> Self {
        let cell = cell.map_or(0, |cell| u64::from(cell) + 1);
        let time = (time / Self::UNIT) & ((1 << Self::CELL) - 1);
        Self(time | cell << Self::CELL)
    }

    fn time(self) -> u64 {
        (self.0 & ((1 << Self::CELL) - 1)) * Self::UNIT
    }

    fn cell(self) -> Option<u32> {
        ((self.0 >> Self::CELL) as u32).checked_sub(1)
    }
}

impl<'a> Lock<'a> {
    /// Takes the lock if nobody holds it. Who waits leaves an offer to another row alone until it
    /// lapses; who only tries takes it.
    pub fn take<L: Lot>(&self, lot: &L, me: Who, is_try: bool, now: u64) -> Took {
        loop {
            let seen = LockWord(self.word.after_change());
            match seen.holder() {
                Holder::Thread(_) => return Took::Held(seen),
                _ if !seen.is_of(self.key) && !defect(Mistake::TakeAnyGeneration) => {
                    return Took::Gone;
                }
                Holder::Offered(row)
                    if row != me.row && !is_try && !seen.has_lapsed(now / MILLISECOND) =>
                {
                    return Took::Offered(seen);
                }
                _ if seen.has(STRICT) && seen.has(MARK) => return Took::Refused(seen),
                holder => {
                    if self.swap(seen, seen.held_by(me)) {
                        self.check_own(lot, me);
                        if matches!(holder, Holder::Offered(_)) {
                            self.note_accepted(now);
                        }
                        return Took::Yes(seen);
                    }
                }
            }
        }
    }

    /// Takes the lock if it is nobody's and there is nothing to tell of it, whoever waits for it.
    #[inline]
    pub fn take_free<L: Lot>(&self, lot: &L, me: Who) -> bool {
        let seen = LockWord(self.word.get());
        let is_plain = seen.is_nobodys() && seen.is_of(self.key) && !seen.has(MARK);
        let is_taken = is_plain && self.swap(seen, seen.held_by(me));
        if is_taken {
            self.check_own(lot, me);
        }
        is_taken
    }

    /// As [`take`](Self::take) by a thread that does not wait, but where another one waits and it is
    /// time for an offer, that one is offered the lock. The caller has the object's turn. Returns
    /// whether it holds the lock now.
    pub fn take_fairly<L: Lot>(&self, lot: &L, me: Who, now: u64) -> bool {
        let seen = LockWord(self.word.after_change());
        if seen.has(WAITERS) && seen.holder() == Holder::Nobody {
            let first = self.first_to_offer(lot, now).filter(|first| first.who.row != me.row);
            let passed = first.map(|first| self.offer(lot, seen, seen, &first, now));
            if passed == Some(Passed::Offered) {
                return false;
            }
        }
        // An offer to another one stands until it lapses.
        matches!(self.take(lot, me, false, now), Took::Yes(_))
    }

    /// Says in the word that the caller, whose tag is published, may sleep. Returns `false` if the
    /// word has changed: take it, or look again.
    pub fn announce(&self, seen: LockWord) -> bool {
        self.swap(seen, LockWord(seen.0 | WAITERS))
    }

    /// Ends a wait of a thread that holds the lock now.
    pub fn leave_with_it<L: Lot>(&self, lot: &L, parked: &Parked) {
        parked.leave(lot);
    }

    /// Ends a wait without the lock. Returns `true` if the lock was just being offered: then the
    /// caller holds it.
    pub fn leave_without<L: Lot>(&self, lot: &L, parked: &Parked) -> bool {
        if !parked.is_own() {
            return false;
        }
        parked.leave(lot);
        let me = parked.who;
        loop {
            let seen = LockWord(self.word.after_change());
            let is_offered = seen.holder() == Holder::Offered(me.row) && seen.is_of(self.key);
            if is_offered && !defect(Mistake::LeaveOfferBehind) {
                if self.swap(seen, seen.held_by(me)) {
                    self.check_own(lot, me);
                    self.note_accepted(lot.now());
                    return true;
                }
                continue;
            }
            // This thread may have heard the only ring, and not have taken the lock.
            if seen.has(WAITERS) && seen.holder() == Holder::Nobody {
                ring::ring(lot, self.key, self.reason, 1);
            }
            return false;
        }
    }

    /// Lets go of the lock. Returns `false` if `me` does not hold it.
    #[inline]
    pub fn release<L: Lot>(&self, lot: &L, me: Who) -> bool {
        self.let_go(lot, me, 0)
    }

    /// Lets go of the lock for the thread that was seen to hold it, living or dead. Returns `false`
    /// if that one does not hold it any more. The caller has the object's turn and has compared the
    /// generation under it.
    pub fn release_for<L: Lot>(&self, lot: &L, holder: Who) -> bool {
        self.let_go(lot, holder, SHARED)
    }

    /// Lets go of the lock of a dead thread. The caller has the object's turn and has compared the
    /// generation under it. Returns `false` if that one does not hold it any more.
    pub fn release_of_dead<L: Lot>(&self, lot: &L, holder: Who) -> bool {
        self.let_go(lot, holder, 0)
    }

    /// Takes the lock over from a dead holder, and marks it if `is_marked`. The caller has the
    /// object's turn and has compared the generation under it. Returns `false` if the word has
    /// changed.
    pub fn take_over(&self, seen: LockWord, me: Who, is_marked: bool) -> bool {
        let mark = if is_marked { MARK } else { 0 };
        self.swap(seen, LockWord(seen.held_by(me).0 | WAITERS | mark))
    }

    /// Marks the lock, or takes the mark away, if the caller holds it.
    pub fn mark(&self, me: Who, is_marked: bool) {
        loop {
            let seen = LockWord(self.word.acquire());
            let marked = LockWord(seen.without(MARK).0 | if is_marked { MARK } else { 0 });
            if !seen.is_held_by(me) || self.swap(seen, marked) {
                return;
            }
        }
    }

    fn let_go<L: Lot>(&self, lot: &L, who: Who, flags: u64) -> bool {
        loop {
            let seen = LockWord(self.word.acquire());
            if seen.holder() != Holder::Thread(who) {
                return false;
            }
            let free = LockWord(seen.let_go(self.key).0 | flags);
            let is_done = if free.has(WAITERS) {
                self.pass_on(lot, seen, free)
            } else {
                self.swap(seen, free)
            };
            if is_done {
                return true;
            }
        }
    }

    /// Lets go of a lock that others may wait for. Returns `false` if the word has changed.
    #[cold]
    fn pass_on<L: Lot>(&self, lot: &L, seen: LockWord, free: LockWord) -> bool {
        let now = lot.now();
        let passed = match self.first_to_offer(lot, now) {
            Some(first) => self.offer(lot, seen, free, &first, now),
            None if self.swap(seen, free) => Passed::Free,
            None => Passed::Not,
        };
        if passed == Passed::Free {
            self.ring_next(lot, free, now);
        }
        passed != Passed::Not
    }

    /// Changes the word from `seen` to an offer to a thread, and rings that one. If it does not sleep,
    /// it has left, or looks by itself, or is stopped: the offer is withdrawn, and the word is `free`.
    fn offer<L: Lot>(
        &self,
        lot: &L,
        seen: LockWord,
        free: LockWord,
        first: &Seen,
        now: u64,
    ) -> Passed {
        let offered = free.offered_to(first.who.row, self.key, now / MILLISECOND);
        if !self.swap(seen, offered) {
            return Passed::Not;
        }
        self.note(Handing::new(now, None));
        let is_woken = ring::ring_cell(lot, first) == Some(bell::Rung::Woken);
        if is_woken || !self.swap(offered, free) { Passed::Offered } else { Passed::Free }
    }

    /// Returns the thread that waits first of those that are not about to look, if it is time to
    /// offer the lock to it.
    fn first_to_offer<L: Lot>(&self, lot: &L, now: u64) -> Option<Seen> {
        let mut first = None;
        if self.may_offer(now) {
            ring::in_order(lot, self.key, self.reason, |seen| {
                let is_waiting =
                    seen.key.generation == self.key.generation && seen.state.is_waiting();
                let bell = lot.bell(seen.who.row).filter(|_| is_waiting);
                first = bell.filter(|bell| !bell::is_up(bell)).map(|_| seen);
                first.is_none()
            });
        }
        first
    }

    /// Rings the next thread, unless the one that was rung last is about to look. The lock was let go
    /// before: who looks now sees it. Takes `WAITERS` down if nobody waits.
    fn ring_next<L: Lot>(&self, lot: &L, free: LockWord, now: u64) {
        let handing = self.handing();
        let last = handing.and_then(Handing::cell);
        if last.is_some_and(|cell| ring::is_about_to_look(lot, cell, self.key, self.reason, now)) {
            return;
        }
        let rung = ring::ring(lot, self.key, self.reason, 1);
        if let Some(handing) = handing {
            self.note(Handing::new(handing.time(), rung.last));
        }
        let is_lowered = !rung.is_anybody && self.swap(free, free.without(WAITERS));
        if is_lowered && ring::is_anybody(lot, self.key, self.reason) {
            self.raise_again();
            ring::ring(lot, self.key, self.reason, 1);
        }
    }

    /// The bit was taken down, and somebody waits after all.
    fn raise_again(&self) {
        loop {
            let seen = LockWord(self.word.acquire());
            if self.announce(seen) {
                return;
            }
        }
    }

    fn handing(&self) -> Option<Handing> {
        self.handing.map(|word| Handing(word.get()))
    }

    fn may_offer(&self, now: u64) -> bool {
        self.handing().is_some_and(|handing| now >= handing.time())
    }

    fn note(&self, handing: Handing) {
        if let Some(word) = self.handing {
            Region::store(word, handing.0);
        }
    }

    fn note_accepted(&self, now: u64) {
        if let Some(handing) = self.handing() {
            let took = now.saturating_sub(handing.time()).min(LONGEST);
            let pause = took.saturating_mul(RATION).max(BETWEEN);
            self.note(Handing::new(now.saturating_add(pause), handing.cell()));
        }
    }

    /// In a paranoid build: a word that says that `me` holds it is a lock of this object. A removal
    /// swaps the word just after the generation, and sees who has taken the lock before.
    #[inline(always)]
    pub fn check_own<L: Lot>(&self, lot: &L, me: Who) {
        paranoid!(
            lot.generation(self.key.at)
                .is_some_and(|now| now.wrapping_sub(self.key.generation) <= 1)
                || LockWord(self.word.acquire()).holder() != Holder::Thread(me),
            "row {} has a lock of another object than {:?}",
            me.row,
            self.key
        );
    }

    fn swap(&self, seen: LockWord, new: LockWord) -> bool {
        Region::compare_exchange(self.word, seen.0, new.0).is_ok()
    }
}
