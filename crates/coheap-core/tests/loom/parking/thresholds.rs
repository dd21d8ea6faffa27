//! Notifications: one that is counted reaches one thread, whoever leaves, comes late or dies.
//!
//! A maker that dies is one that stores the old threshold again before its change ends, as the undo
//! of a journal does.

use coheap_core::memory::layout::Turn;
use coheap_core::memory::{Region, Word};
use coheap_core::sync::parking::threshold::{self, Left, Thresholds};
use coheap_core::sync::parking::{Manner, Parked, Reason};
use coheap_core::sync::turn;
use loom::sync::Arc;
use loom::thread;

use super::super::{explore, new_turn, owner, take};
use super::{KEY, Stage, who};

/// A condition: two thresholds under a turn.
pub(crate) struct Condition {
    pub(crate) stage: Stage,
    turn: Turn,
    notified: Word,
    pulsed: Word,
}

impl Condition {
    pub(crate) fn new(rows: usize) -> Arc<Self> {
        let [notified, pulsed] = super::zeros();
        Arc::new(Self { stage: Stage::new(rows), turn: new_turn(), notified, pulsed })
    }

    pub(crate) fn of(&self) -> Thresholds<'_> {
        let (sequence, notified) = (&self.turn.sequence, &self.notified);
        Thresholds { sequence, notified, pulsed: &self.pulsed }
    }

    pub(crate) fn park(&self, row: u32) -> Parked {
        self.stage.park(row, Reason::Notification)
    }

    /// Counts in a change; `dies`: before the commit, so that a recovery undoes it.
    pub(crate) fn notify(&self, count: u32, dies: bool) {
        take(&self.turn, owner(7));
        turn::open(&self.turn);
        let round = self.turn.sequence.get();
        let old = self.notified.get();
        let new = threshold::count(&self.stage, KEY, old, round, count);
        Region::store(&self.notified, new);
        if dies {
            Region::store(&self.notified, old);
        }
        turn::close(&self.turn);
        turn::give(&self.turn, owner(7));
        if !dies {
            threshold::ring_notified(&self.stage, KEY, new);
        }
    }

    fn is_notified(&self, parked: &Parked) -> bool {
        self.of().is_notified(&self.stage, parked).expect("no change is open")
    }
}

pub(crate) fn spawn<T: 'static>(
    condition: &Arc<Condition>,
    work: impl FnOnce(&Condition) -> T + 'static,
) -> thread::JoinHandle<T> {
    let condition = Arc::clone(condition);
    thread::spawn(move || work(&condition))
}

/// The first of two threads leaves while a change counts one of them. Returns whether each was
/// notified, once what is owed is passed on.
fn leave_beside_a_change(returns: bool, dies: bool) -> (Left, bool) {
    let condition = Condition::new(2);
    let parked = [0, 1].map(|row| condition.park(row));
    let maker = spawn(&condition, move |condition| condition.notify(1, dies));
    let left = threshold::leave(&condition.stage, condition.of(), &parked[0], returns);
    maker.join().expect("no thread panics");
    // The next change passes on what was left.
    condition.notify(0, false);
    (left, condition.is_notified(&parked[1]))
}

/// Goal: a notification is neither lost nor doubled, although the first who waits leaves.
#[test]
fn a_notification_beside_a_leaver_reaches_exactly_one() {
    explore(4, || {
        let (left, other) = leave_beside_a_change(true, false);
        assert_ne!(left == Left::Notified, other, "{left:?}");
    });
}

/// Goal: who was notified and cannot return passes the notification on.
#[test]
fn who_cannot_return_keeps_no_notification() {
    explore(4, || {
        let (left, other) = leave_beside_a_change(false, false);
        assert!(left != Left::Notified && other, "{left:?}");
    });
}

/// Goal: a notification of a change that is undone reaches nobody, whoever left meanwhile, and the
/// next one reaches one.
#[test]
fn an_undone_notification_reaches_nobody() {
    explore(4, || {
        let (left, other) = leave_beside_a_change(true, true);
        assert!(left != Left::Notified && !other, "{left:?}");
    });
    explore(4, || {
        let condition = Condition::new(2);
        let parked = [0, 1].map(|row| condition.park(row));
        let maker = spawn(&condition, |condition| {
            condition.notify(1, true);
            condition.notify(1, false);
        });
        let left = threshold::leave(&condition.stage, condition.of(), &parked[0], true);
        maker.join().expect("no thread panics");
        condition.notify(0, false);
        assert_ne!(left == Left::Notified, condition.is_notified(&parked[1]), "{left:?}");
    });
}

/// Goal: the change that passes a notification on may be undone, and the next one passes it on.
#[test]
fn what_is_passed_on_survives_an_undone_change() {
    explore(3, || {
        let condition = Condition::new(2);
        let parked = [0, 1].map(|row| condition.park(row));
        condition.notify(1, false);
        let maker = spawn(&condition, |condition| condition.notify(0, true));
        let left = threshold::leave(&condition.stage, condition.of(), &parked[0], false);
        assert_eq!(left, Left::Owing);
        maker.join().expect("no thread panics");
        condition.notify(0, false);
        assert!(condition.is_notified(&parked[1]));
        condition.notify(0, false);
        assert!(parked[0].state(&condition.stage).0 & 0xf == 0, "its cell is free");
    });
}

/// Goal: who registers beside a change that counts another is not notified by it, and is counted by
/// the next one.
/// Method: two draw tickets; the later one publishes its tag first.
#[test]
fn a_late_registration_is_not_taken_for_a_notified_one() {
    explore(3, || {
        let condition = Condition::new(2);
        let late = spawn(&condition, |condition| {
            let mut parked = condition.park(0);
            loop {
                match condition.of().is_passed(&condition.stage, &parked) {
                    Some(false) => break,
                    None => thread::yield_now(),
                    Some(true) => {
                        let (stage, of) = (&condition.stage, condition.of());
                        if threshold::leave(stage, of, &parked, true) == Left::Notified {
                            return None;
                        }
                        parked = condition.park(0);
                    }
                }
            }
            Some(parked)
        });
        let other = Parked::publish(
            &condition.stage,
            1,
            who(1),
            KEY,
            Reason::Notification,
            Manner::default(),
        )
        .expect("room");
        condition.notify(1, false);
        let late = late.join().expect("no thread panics");
        let first = late.is_none_or(|late| condition.is_notified(&late));
        assert_ne!(first, condition.is_notified(&other));
        condition.notify(1, false);
        assert!(condition.is_notified(&other));
        assert!(late.is_none_or(|late| condition.is_notified(&late)));
    });
}
