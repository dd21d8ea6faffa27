//! Locks and offers: one holder at a time, and nobody sleeps beside a free lock.
//!
//! Time stands still, so each model sees one offer of a lock at most; what comes after four
//! milliseconds is given as a time of its own.

use coheap_core::memory::{Region, Word};
use coheap_core::sync::parking::offer::{Lock, Took};
use coheap_core::sync::parking::word::{Holder, LockWord, OFFERED, WAITERS};
use coheap_core::sync::parking::{Key, Lot, Reason, bell};
use loom::sync::Arc;
use loom::thread;

use super::super::{Watched, explore};
use super::{KEY, Stage, who};

/// A lock of an object, and a number that only its holder touches.
pub(crate) struct Door {
    pub(crate) stage: Stage,
    pub(crate) word: Word,
    handing: Word,
    value: Watched,
}

impl Door {
    pub(crate) fn new(rows: usize) -> Arc<Self> {
        let word = Word::new(LockWord::free(KEY).0);
        let [handing] = super::zeros();
        Arc::new(Self { stage: Stage::new(rows), word, handing, value: Watched::new() })
    }

    /// As [`Door::new`], with the lock held by a row.
    fn held(rows: usize, row: u32) -> Arc<Self> {
        let door = Self::new(rows);
        assert!(door.try_take(row));
        door
    }

    pub(crate) fn lock(&self, offers: bool) -> Lock<'_> {
        let handing = offers.then_some(&self.handing);
        Lock { word: &self.word, handing, key: KEY, reason: Reason::Lock }
    }

    fn try_take(&self, row: u32) -> bool {
        matches!(self.lock(true).take(&self.stage, who(row), true, self.stage.now()), Took::Yes(_))
    }

    /// Waits for the lock; gives up instead of sleeping for the `sleeps`th time.
    pub(crate) fn take(&self, row: u32, sleeps: u32, offers: bool) -> bool {
        let (lock, me) = (self.lock(offers), who(row));
        if let Took::Yes(_) = lock.take(&self.stage, me, false, self.stage.now()) {
            return true;
        }
        let parked = self.stage.park(row, Reason::Lock);
        let own = &self.stage.bells[row as usize];
        let mut slept = 0;
        loop {
            bell::hush(own);
            match lock.take(&self.stage, me, false, self.stage.now()) {
                Took::Yes(_) => {
                    lock.leave_with_it(&self.stage, &parked);
                    return true;
                }
                Took::Held(seen) | Took::Offered(seen) if !lock.announce(seen) => continue,
                Took::Held(_) | Took::Offered(_) => {}
                other => panic!("{other:?}"),
            }
            slept += 1;
            if slept == sleeps {
                return lock.leave_without(&self.stage, &parked);
            }
            bell::sleep(own, u64::MAX);
        }
    }

    pub(crate) fn use_and_release(&self, row: u32, offers: bool) {
        self.value.add_one();
        assert!(self.lock(offers).release(&self.stage, who(row)));
    }
}

pub(crate) fn spawn<T: 'static>(
    door: &Arc<Door>,
    work: impl FnOnce(&Door) -> T + 'static,
) -> thread::JoinHandle<T> {
    let door = Arc::clone(door);
    thread::spawn(move || work(&door))
}

fn contend(threads: u32, offers: bool) {
    let door = Door::new(threads as usize);
    let run = move |door: &Door, row| {
        assert!(door.take(row, u32::MAX, offers));
        door.use_and_release(row, offers);
    };
    let others: Vec<_> = (1..threads).map(|row| spawn(&door, move |door| run(door, row))).collect();
    run(&door, 0);
    others.into_iter().for_each(|other| other.join().expect("no thread panics"));
    assert_eq!(door.value.get(), threads);
    assert_eq!(LockWord(door.word.get()).holder(), Holder::Nobody);
}

/// Goal: two threads never hold a lock at once, and none sleeps for ever, with offers and without.
#[test]
fn two_threads_share_a_lock() {
    explore(3, || contend(2, true));
    explore(3, || contend(2, false));
}

/// Goal: the same for three, where one ring or offer has to lead to the next.
#[test]
fn three_threads_share_a_lock() {
    explore(2, || contend(3, true));
    explore(2, || contend(3, false));
}

/// Goal: a lock that is offered to a thread that leaves is never left with it: it has the lock, or
/// another thread that waits gets it.
/// Method: one thread gives up at once, another waits, the holder lets go.
#[test]
fn an_offer_is_never_lost_with_who_leaves() {
    explore(2, || {
        let door = Door::held(3, 0);
        let leaver = spawn(&door, |door| {
            if door.take(1, 1, true) {
                door.use_and_release(1, true);
            }
        });
        let stays = spawn(&door, |door| {
            assert!(door.take(2, u32::MAX, true));
            door.use_and_release(2, true);
        });
        door.use_and_release(0, true);
        leaver.join().expect("no thread panics");
        stays.join().expect("no thread panics");
        assert_eq!(LockWord(door.word.get()).holder(), Holder::Nobody);
    });
}

/// Goal: an offer is not holding: who tries takes the lock, and who was offered it waits on.
#[test]
fn who_tries_may_take_an_offered_lock() {
    explore(3, || {
        let door = Door::held(3, 0);
        let waiter = spawn(&door, |door| {
            assert!(door.take(1, u32::MAX, true));
            door.use_and_release(1, true);
        });
        door.use_and_release(0, true);
        if door.try_take(2) {
            door.use_and_release(2, true);
        }
        waiter.join().expect("no thread panics");
        assert_eq!(LockWord(door.word.get()).holder(), Holder::Nobody);
    });
}

/// Goal: a lapsed offer goes to one of those who find it, or to who was offered it, and to no two.
/// Method: the lock is offered to a row that may come late; two others find the offer lapsed.
#[test]
fn a_lapsed_offer_has_one_taker() {
    explore(3, || {
        let door = Door::new(3);
        let offered = LockWord(door.word.get()).offered_to(1, KEY, 0);
        Region::swap(&door.word, offered.0);
        let takers = [1, 2].map(|row| {
            spawn(&door, move |door| {
                let took = door.lock(true).take(&door.stage, who(row), false, 5_000_000);
                if matches!(took, Took::Yes(_)) {
                    door.value.add_one();
                }
                matches!(took, Took::Yes(_))
            })
        });
        let took = takers.map(|taker| taker.join().expect("no thread panics"));
        assert_ne!(took[0], took[1], "exactly one has it");
    });
}

/// Goal: the holder and another thread let go of a lock at once: one of them did, the other hears
/// that it is free, and who waits has it.
#[test]
fn a_lock_is_let_go_once() {
    explore(2, || {
        let door = Door::held(3, 0);
        let waiter = spawn(&door, |door| assert!(door.take(1, u32::MAX, true)));
        let other = spawn(&door, |door| door.lock(true).release_for(&door.stage, who(0)));
        let own = door.lock(true).release(&door.stage, who(0));
        let other = other.join().expect("no thread panics");
        waiter.join().expect("no thread panics");
        assert_ne!(own, other);
        assert_eq!(LockWord(door.word.get()).holder(), Holder::Thread(who(1)));
    });
}

/// Goal: a dead holder's lock is taken over by one heir, or let go for it, and both count.
/// Method: row 2 died with the lock; an heir has seen that, and another thread lets go of it.
#[test]
fn a_take_over_and_a_release_for_the_dead_exclude_each_other() {
    explore(3, || {
        let door = Door::held(3, 2);
        let heir = spawn(&door, |door| {
            let seen = LockWord(door.word.acquire());
            if seen.holder() != Holder::Thread(who(2))
                || !door.lock(true).take_over(seen, who(1), false)
            {
                assert!(door.take(1, u32::MAX, true));
            }
            door.use_and_release(1, true);
        });
        door.lock(true).release_for(&door.stage, who(2));
        heir.join().expect("no thread panics");
        assert_eq!(door.value.get(), 1);
        assert_eq!(LockWord(door.word.get()).holder(), Holder::Nobody);
    });
}

/// Goal: a stale handle takes no lock of the object that has its header now, and its wait ends.
/// Method: the object is removed while another thread waits for its lock; the next object with the
/// header has a holder of its own.
#[test]
fn a_stale_handle_takes_no_strangers_lock() {
    const NEXT: Key = Key { at: KEY.at, generation: KEY.generation + 2 };
    explore(3, || {
        let door = Door::held(2, 0);
        let waiter = spawn(&door, |door| {
            let lock = door.lock(true);
            let parked = door.stage.park(1, Reason::Lock);
            loop {
                bell::hush(&door.stage.bells[1]);
                match lock.take(&door.stage, who(1), false, door.stage.now()) {
                    Took::Gone => break,
                    Took::Held(seen) if seen.holder() == Holder::Thread(who(0)) => {
                        if lock.announce(seen) {
                            bell::sleep(&door.stage.bells[1], u64::MAX);
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(!lock.leave_without(&door.stage, &parked));
        });
        Region::swap(&door.word, LockWord::free(NEXT).0);
        coheap_core::sync::parking::ring::ring_everybody(&door.stage, KEY.at);
        waiter.join().expect("no thread panics");
        assert_eq!(door.word.get() & !WAITERS, LockWord::free(NEXT).0);
        assert_eq!(door.word.get() & OFFERED, 0);
    });
}
