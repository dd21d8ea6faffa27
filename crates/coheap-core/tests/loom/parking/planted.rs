//! Planted mistakes of the parking table: each is a step left out, and its model must fail.
//!
//! `tests/loom/planted.rs` runs them and reads what they say.

use coheap_core::memory::Region;
use coheap_core::sync::parking::offer::{Lock, Took};
use coheap_core::sync::parking::threshold::{self, Left};
use coheap_core::sync::parking::word::{LockWord, WAITERS};
use coheap_core::sync::parking::{Lot, Reason, bell, ring, want};
use coheap_core::sync::turn;

use super::super::{explore, owner, take};
use super::bell::Shop;
use super::offers::Door;
use super::thresholds::Condition;
use super::{KEY, bell as shops, offers, thresholds, who};

/// A bit that is up already is left alone: a maker that lowers it at that moment is not seen.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_bit_that_is_up_is_not_raised() {
    explore(3, || {
        let shop = Shop::new(3);
        want::raise(&shop.wants, Reason::Item);
        let getter = shops::spawn(&shop, |shop| {
            let parked = shop.stage.park(1, Reason::Item);
            if !want::is_wanted(&shop.wants, Reason::Item) {
                want::raise(&shop.wants, Reason::Item);
            }
            while !shop.looks_and_gets(1) {
                bell::sleep(&shop.stage.bells[1], u64::MAX);
                bell::hush(&shop.stage.bells[1]);
            }
            want::leave(&shop.stage, &shop.wants, &parked);
        });
        want::made(&shop.stage, &shop.wants, KEY, Reason::Item, 1);
        shop.put(0, 1);
        getter.join().expect("no thread panics");
    });
}

/// The bit is taken down without a second look at the bucket.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_bit_is_lowered_without_another_look() {
    explore(3, || {
        let shop = Shop::new(2);
        want::raise(&shop.wants, Reason::Item);
        let getter = shops::spawn(&shop, |shop| assert!(shop.get(1, u32::MAX)));
        if !ring::ring(&shop.stage, KEY, Reason::Item, 1).is_anybody {
            Region::lower(&shop.wants, Reason::Item.want_bit());
        }
        shop.put(0, 1);
        getter.join().expect("no thread panics");
    });
}

/// Nobody is rung for a thing while another thread is about to look, and that one rings nobody after
/// it took its own.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn who_takes_a_thing_forgets_what_is_left() {
    explore(2, || shops::things_are_made_one_by_one(false));
}

/// A guard looks before it leaves: a maker counts on it in between.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_guard_looks_before_it_leaves() {
    explore(3, || shops::a_thing_is_made_beside_a_guard(false));
}

/// The maker reads the want-bits before it gives its turn back.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_maker_asks_before_it_publishes() {
    explore(3, || {
        let shop = Shop::new(2);
        let getter = shops::spawn(&shop, |shop| assert!(shop.get(1, u32::MAX)));
        take(&shop.turn, owner(0));
        let is_wanted = want::is_wanted(&shop.wants, Reason::Item);
        Region::store(&shop.things, 1);
        turn::give(&shop.turn, owner(0));
        if is_wanted {
            ring::ring(&shop.stage, KEY, Reason::Item, 1);
        }
        getter.join().expect("no thread panics");
    });
}

/// Who was rung and leaves keeps the ring.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn who_leaves_keeps_the_ring() {
    explore(2, || shops::a_sleeper_is_interrupted(false));
}

/// Who leaves does not look whether it is offered the lock.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn who_leaves_forgets_its_offer() {
    explore(2, || {
        let door = Door::new(3);
        assert!(door.take(0, u32::MAX, true));
        let leaver = offers::spawn(&door, |door| {
            let parked = door.stage.park(1, Reason::Lock);
            let seen = LockWord(door.word.acquire());
            if seen.has(WAITERS) || !door.lock(true).announce(seen) {
                door.lock(true).leave_with_it(&door.stage, &parked);
                return;
            }
            bell::sleep(&door.stage.bells[1], u64::MAX);
            door.lock(true).leave_with_it(&door.stage, &parked);
        });
        let stays = offers::spawn(&door, |door| assert!(door.take(2, u32::MAX, true)));
        door.use_and_release(0, true);
        leaver.join().expect("no thread panics");
        stays.join().expect("no thread panics");
    });
}

/// A free word without a generation lets a stale handle in.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_free_word_carries_no_generation() {
    explore(2, || {
        let door = Door::new(2);
        let stale = offers::spawn(&door, |door| {
            let lock = Lock { key: KEY, ..door.lock(true) };
            lock.take(&door.stage, who(1), false, door.stage.now())
        });
        // The header has another generation from here on, and the word does not say so.
        let removed = Region::swap(&door.word, LockWord::free(KEY).0) == LockWord::free(KEY).0;
        let took = stale.join().expect("no thread panics");
        let is_strangers = removed && matches!(took, Took::Yes(_));
        assert!(!is_strangers, "a stranger's lock");
    });
}

/// A leaver frees a cell that was counted, as if it had not been.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_leaver_takes_its_notification_along() {
    explore(3, || {
        let condition = Condition::new(2);
        let parked = [0, 1].map(|row| condition.park(row));
        let maker = thresholds::spawn(&condition, |condition| condition.notify(1, false));
        let left = threshold::leave(&condition.stage, condition.of(), &parked[0], true);
        maker.join().expect("no thread panics");
        // Nobody counts again what was left.
        let other = condition.of().is_notified(&condition.stage, &parked[1]);
        assert!(left == Left::Notified || other == Some(true), "a lost notification");
    });
}

/// A notification is believed before its change is committed.
#[test]
#[ignore = "fails, as every_planted_mistake_is_found asks of it"]
fn a_notification_is_believed_too_early() {
    explore(3, || {
        let condition = Condition::new(1);
        let parked = condition.park(0);
        let sleeper = thresholds::spawn(&condition, move |condition| {
            parked.ticket < condition.of().notified.get()
        });
        condition.notify(1, true);
        assert!(!sleeper.join().expect("no thread panics"), "believed");
    });
}
