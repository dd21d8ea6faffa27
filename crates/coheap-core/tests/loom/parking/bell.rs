//! Bell, tag and want-bit: who parks is never left asleep beside what it waits for.
//!
//! The things are a counter under a turn. Who looks does not take the turn before it sees one: the
//! order of bell, tag, want-bit and turn word has to suffice.

use coheap_core::memory::layout::Turn;
use coheap_core::memory::{Region, Word};
use coheap_core::sync::parking::want::{self, Line};
use coheap_core::sync::parking::{Lot, Reason, bell};
use coheap_core::sync::turn;
use loom::sync::Arc;
use loom::thread;

use super::super::{explore, new_turn, owner, take};
use super::{KEY, Stage};

/// A counter under a turn, and those who wait for it to be above zero.
pub(crate) struct Shop {
    pub(crate) stage: Stage,
    pub(crate) turn: Turn,
    pub(crate) things: Word,
    pub(crate) wants: Word,
    /// The cell that was rung last.
    pub(crate) last: Word,
    /// When the guard looks.
    pub(crate) guard: Word,
}

impl Shop {
    pub(crate) fn new(rows: usize) -> Arc<Self> {
        let [things, wants, last, guard] = super::zeros();
        Arc::new(Self { stage: Stage::new(rows), turn: new_turn(), things, wants, last, guard })
    }

    /// Adds things, in the last row's name.
    pub(crate) fn put(&self, row: u32, count: u32) {
        self.add(row, count);
        want::made(&self.stage, &self.wants, KEY, Reason::Item, count);
    }

    /// Adds a thing, and rings nobody if somebody is about to look.
    pub(crate) fn put_one(&self, row: u32) {
        self.add(row, 1);
        self.made_one();
    }

    fn add(&self, row: u32, count: u32) {
        take(&self.turn, owner(row));
        Region::store(&self.things, self.things.get() + u64::from(count));
        turn::give(&self.turn, owner(row));
    }

    fn made_one(&self) {
        self.line().made_one(&self.stage);
    }

    pub(crate) fn line(&self) -> Line<'_> {
        let Self { wants, last, guard, .. } = self;
        Line { wants, last, guard, key: KEY, reason: Reason::Item }
    }

    /// As [`get`](Self::get), and rings the next one at the end if more is left.
    pub(crate) fn get_and_look(&self, row: u32, sleeps: u32) -> bool {
        let got = self.get(row, sleeps);
        if self.things.get() != 0 {
            self.made_one();
        }
        got
    }

    /// Takes a thing if it sees one.
    pub(crate) fn looks_and_gets(&self, row: u32) -> bool {
        self.turn.owner.after_change();
        if self.things.get() == 0 {
            return false;
        }
        take(&self.turn, owner(row));
        let things = self.things.get();
        if things > 0 {
            Region::store(&self.things, things - 1);
        }
        turn::give(&self.turn, owner(row));
        things > 0
    }

    /// Waits for a thing; gives up instead of sleeping for the `sleeps`th time.
    pub(crate) fn get(&self, row: u32, sleeps: u32) -> bool {
        let parked = self.stage.park(row, Reason::Item);
        want::raise(&self.wants, Reason::Item);
        let own = &self.stage.bells[row as usize];
        let mut slept = 0;
        let got = loop {
            bell::hush(own);
            if self.looks_and_gets(row) {
                break true;
            }
            slept += 1;
            if slept == sleeps {
                break false;
            }
            bell::sleep(own, u64::MAX);
        };
        want::leave(&self.stage, &self.wants, &parked);
        got
    }
}

pub(crate) fn spawn<T: 'static>(
    shop: &Arc<Shop>,
    work: impl FnOnce(&Shop) -> T + 'static,
) -> thread::JoinHandle<T> {
    let shop = Arc::clone(shop);
    thread::spawn(move || work(&shop))
}

/// Goal: a getter that is about to sleep hears of a thing.
#[test]
fn who_parks_hears_of_what_is_published() {
    explore(3, || {
        let shop = Shop::new(2);
        let getter = spawn(&shop, |shop| assert!(shop.get(1, u32::MAX)));
        shop.put(0, 1);
        getter.join().expect("no thread panics");
        assert_eq!(shop.things.get(), 0);
    });
}

/// Goal: the bit is up already, its last cell is gone, and a maker takes it down while another
/// thread registers: that thread hears of a thing all the same.
/// Method: one put meets only the raised bit and lowers it, a second one brings the thing.
#[test]
fn a_late_getter_hears_although_the_bit_is_taken_down() {
    explore(3, || {
        let shop = Shop::new(2);
        want::raise(&shop.wants, Reason::Item);
        let getter = spawn(&shop, |shop| assert!(shop.get(1, u32::MAX)));
        want::made(&shop.stage, &shop.wants, KEY, Reason::Item, 1);
        shop.put(0, 1);
        getter.join().expect("no thread panics");
    });
}

/// Goal: as above, but who takes the bit down and who makes the thing are two threads.
#[test]
fn a_maker_in_the_moment_without_a_bit_is_heard() {
    explore(2, || {
        let shop = Shop::new(3);
        want::raise(&shop.wants, Reason::Item);
        let getter = spawn(&shop, |shop| assert!(shop.get(1, u32::MAX)));
        let maker = spawn(&shop, |shop| shop.put(2, 1));
        want::made(&shop.stage, &shop.wants, KEY, Reason::Item, 1);
        getter.join().expect("no thread panics");
        maker.join().expect("no thread panics");
    });
}

/// Goal: who was rung and leaves without taking rings the next.
/// Method: two wait; the first to look in vain gives up at once; one thing is made.
#[test]
fn who_leaves_without_taking_passes_the_ring_on() {
    explore(2, || {
        let shop = Shop::new(3);
        let leaver = spawn(&shop, |shop| shop.get(1, 1));
        let stays = spawn(&shop, |shop| shop.get(2, u32::MAX));
        shop.put(0, 1);
        if leaver.join().expect("no thread panics") {
            shop.put(0, 1);
        }
        assert!(stays.join().expect("no thread panics"));
        assert_eq!(shop.things.get(), 0);
    });
}

/// Two wait for one thing; one of them leaves as soon as it was rung, without a look, and rings the
/// next one if it `passes_on` the ring.
pub(crate) fn a_sleeper_is_interrupted(passes_on: bool) {
    let shop = Shop::new(3);
    let leaver = spawn(&shop, move |shop| {
        let parked = shop.stage.park(1, Reason::Item);
        want::raise(&shop.wants, Reason::Item);
        bell::sleep(&shop.stage.bells[1], u64::MAX);
        let [nobody_wants] = super::zeros();
        let wants = if passes_on { &shop.wants } else { &nobody_wants };
        want::leave(&shop.stage, wants, &parked);
    });
    let stays = spawn(&shop, |shop| assert!(shop.get(2, u32::MAX)));
    shop.put(0, 1);
    stays.join().expect("no thread panics");
    bell::ring(&shop.stage.bells[1], 1, 0);
    leaver.join().expect("no thread panics");
}

/// Goal: the same for one that is interrupted in its sleep and does not look.
#[test]
fn who_is_interrupted_passes_the_ring_on() {
    explore(2, || a_sleeper_is_interrupted(true));
}

/// Goal: two things that are made one by one reach two who wait: a bell that is up already sends
/// the ring to the next row.
#[test]
fn two_things_reach_two_getters() {
    explore(2, || {
        let shop = Shop::new(3);
        let getters = [1, 2].map(|row| spawn(&shop, move |shop| assert!(shop.get(row, u32::MAX))));
        shop.put(0, 1);
        shop.put(0, 1);
        getters.into_iter().for_each(|getter| getter.join().expect("no thread panics"));
        assert_eq!(shop.things.get(), 0);
    });
}

/// Three threads: two wait for a thing each, and one makes them one by one; it rings nobody while the
/// one that was rung last is about to look. Who has a thing rings the next if more is left, if it
/// `passes_on`.
pub(crate) fn things_are_made_one_by_one(passes_on: bool) {
    let shop = Shop::new(3);
    let getters = [1, 2].map(|row| {
        spawn(&shop, move |shop| {
            let got = match passes_on {
                true => shop.get_and_look(row, u32::MAX),
                false => shop.get(row, u32::MAX),
            };
            assert!(got);
        })
    });
    shop.put_one(0);
    shop.put_one(0);
    getters.into_iter().for_each(|getter| getter.join().expect("no thread panics"));
    assert_eq!(shop.things.get(), 0);
}

/// Goal: a thing for which nobody was rung reaches who waits, because the one that was rung before
/// rings on.
#[test]
fn who_takes_a_thing_rings_for_what_is_left() {
    explore(2, || things_are_made_one_by_one(true));
}

/// Goal: the same where a third thread takes a thing that somebody was rung for.
#[test]
fn a_thing_that_was_taken_first_leaves_nobody_asleep() {
    explore(2, || {
        let shop = Shop::new(3);
        let stays = spawn(&shop, |shop| assert!(shop.get_and_look(1, u32::MAX)));
        let comes = spawn(&shop, |shop| shop.looks_and_gets(2));
        shop.put_one(0);
        shop.put_one(0);
        if comes.join().expect("no thread panics") {
            shop.put_one(0);
        }
        stays.join().expect("no thread panics");
        assert_eq!(shop.things.get(), 1);
    });
}

/// Goal: the same where the one that was rung gives up.
#[test]
fn who_gives_up_rings_for_what_is_left() {
    explore(2, || {
        let shop = Shop::new(3);
        let leaver = spawn(&shop, |shop| shop.get_and_look(1, 1));
        let stays = spawn(&shop, |shop| assert!(shop.get_and_look(2, u32::MAX)));
        shop.put_one(0);
        if leaver.join().expect("no thread panics") {
            shop.put_one(0);
        }
        stays.join().expect("no thread panics");
        assert_eq!(shop.things.get(), 0);
    });
}

/// Two threads: one waits, was rung for a thing that another one took, and is the guard; one makes a
/// thing and rings nobody while there is a guard. The guard leaves before its look, or after it.
pub(crate) fn a_thing_is_made_beside_a_guard(leaves_first: bool) {
    let shop = Shop::new(2);
    let guard = spawn(&shop, move |shop| {
        let parked = shop.stage.park(1, Reason::Item);
        want::raise(&shop.wants, Reason::Item);
        bell::hush(&shop.stage.bells[1]);
        if shop.looks_and_gets(1) {
            return want::leave(&shop.stage, &shop.wants, &parked);
        }
        let word = shop.line().stand_guard(shop.stage.now(), 1_000).expect("there is no other one");
        let leave = || shop.line().leave_guard(word, shop.stage.now());
        if leaves_first {
            leave();
        }
        while !shop.looks_and_gets(1) {
            if !leaves_first {
                leave();
            }
            bell::sleep(&shop.stage.bells[1], u64::MAX);
            bell::hush(&shop.stage.bells[1]);
        }
        want::leave(&shop.stage, &shop.wants, &parked);
    });
    shop.put_one(0);
    guard.join().expect("no thread panics");
    assert_eq!(shop.things.get(), 0);
}

/// Goal: a thing for which nobody was rung, because of a guard, reaches the guard.
#[test]
fn a_guard_finds_what_nobody_was_rung_for() {
    explore(3, || a_thing_is_made_beside_a_guard(true));
}
