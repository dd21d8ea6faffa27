//! The note that a queue's sleepers leave: `objects::queue::waiting`, without blocks and journal.
//!
//! The items are two counters, as in a queue whose items are inline; the turns, words, signal and
//! the order of steps are the engine's. A sleeper that nobody wakes is a deadlock.

use coheap_core::memory::layout::Turn;
use coheap_core::memory::{Region, Signal, Word};
use coheap_core::os;
use coheap_core::sync::{Owner, turn, wait};
use loom::sync::Arc;
use loom::thread;

use super::{explore, new_turn, owner, take};

struct Queue {
    head_turn: Turn,
    tail_turn: Turn,
    head: Word,
    tail: Word,
    returned: Word,
    leased: Word,
    closed: Word,
    wants_items: Word,
    not_empty: Signal,
}

/// What an attempt to get came to.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Item,
    Empty,
    ShutDown,
}

impl Queue {
    fn new() -> Arc<Self> {
        let zero = || Word::new(0);
        Arc::new(Self {
            head_turn: new_turn(),
            tail_turn: new_turn(),
            head: zero(),
            tail: zero(),
            returned: zero(),
            leased: zero(),
            closed: zero(),
            wants_items: zero(),
            not_empty: Signal::never_woken(),
        })
    }

    fn put(&self, me: Owner) {
        take(&self.tail_turn, me);
        Region::publish(&self.tail, self.tail.get() + 1);
        let wanted = self.wants_items.get() != 0;
        if wanted {
            Region::store(&self.wants_items, 0);
        }
        turn::give(&self.tail_turn);
        if wanted {
            wait::wake(&self.not_empty, 1);
        }
    }

    fn close(&self, me: Owner) {
        take(&self.tail_turn, me);
        Region::publish(&self.closed, 1);
        turn::give(&self.tail_turn);
        wait::wake(&self.not_empty, u32::MAX);
    }

    fn is_idle(&self) -> bool {
        self.head.get() == self.tail.acquire() && self.returned.get() == 0 && self.leased.get() == 0
    }

    fn lease(&self, me: Owner) -> Got {
        take(&self.head_turn, me);
        let got = if self.returned.get() != 0 {
            Region::store(&self.returned, self.returned.get() - 1);
            Got::Item
        } else if self.head.get() != self.tail.acquire() {
            Region::store(&self.head, self.head.get() + 1);
            Got::Item
        } else if self.closed.acquire() != 0 && self.is_idle() {
            Got::ShutDown
        } else {
            Got::Empty
        };
        if got == Got::Item {
            Region::store(&self.leased, self.leased.get() + 1);
        }
        turn::give(&self.head_turn);
        got
    }

    fn ack(&self, me: Owner) {
        take(&self.head_turn, me);
        Region::store(&self.leased, self.leased.get() - 1);
        let is_over = self.closed.acquire() != 0 && self.is_idle();
        turn::give(&self.head_turn);
        if is_over {
            wait::wake(&self.not_empty, u32::MAX);
        }
    }

    fn nack(&self, me: Owner) {
        take(&self.head_turn, me);
        Region::store(&self.leased, self.leased.get() - 1);
        Region::store(&self.returned, self.returned.get() + 1);
        turn::give(&self.head_turn);
        wait::wake(&self.not_empty, u32::MAX);
    }

    fn lease_wait(&self, me: Owner) -> Got {
        match self.lease(me) {
            Got::Empty => {}
            other => return other,
        }
        loop {
            let seen = self.leave_note(me);
            match self.lease(me) {
                Got::Empty => {
                    os::wait(self.not_empty.futex(), seen, u64::MAX);
                }
                other => {
                    self.pass_on(me);
                    return other;
                }
            }
        }
    }

    fn leave_note(&self, me: Owner) -> u32 {
        take(&self.tail_turn, me);
        Region::store(&self.wants_items, 1);
        let seen = self.not_empty.seen();
        turn::give(&self.tail_turn);
        seen
    }

    fn pass_on(&self, me: Owner) {
        self.leave_note(me);
        if self.head.acquire() != self.tail.acquire() || self.returned.get() != 0 {
            wait::wake(&self.not_empty, 1);
        }
    }
}

fn spawn(queue: &Arc<Queue>, work: impl FnOnce(&Queue) + 'static) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || work(&queue))
}

fn join_all(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
}

/// Goal: a getter that is about to sleep is never left asleep beside an item.
#[test]
fn a_getter_hears_of_an_item() {
    explore(4, || {
        let queue = Queue::new();
        let getter = spawn(&queue, |queue| assert_eq!(queue.lease_wait(owner(1)), Got::Item));
        queue.put(owner(0));
        join_all([getter]);
        assert_eq!(queue.leased.get(), 1);
    });
}

/// Goal: one wake may stand for two items, and both getters still get theirs.
/// Method: one thread puts two items, two wait for one each.
#[test]
fn two_getters_get_two_items() {
    explore(2, || {
        let queue = Queue::new();
        let getters = [1, 2].map(|number| {
            spawn(&queue, move |queue| assert_eq!(queue.lease_wait(owner(number)), Got::Item))
        });
        queue.put(owner(0));
        queue.put(owner(0));
        join_all(getters);
        assert_eq!(queue.leased.get(), 2);
    });
}

/// Goal: an item that comes back wakes a getter too, though it comes back at the head's end and
/// the note lies at the tail's.
#[test]
fn a_getter_hears_of_an_item_that_comes_back() {
    explore(4, || {
        let queue = Queue::new();
        queue.put(owner(0));
        assert_eq!(queue.lease(owner(0)), Got::Item);
        let getter = spawn(&queue, |queue| assert_eq!(queue.lease_wait(owner(1)), Got::Item));
        queue.nack(owner(0));
        join_all([getter]);
    });
}

/// Goal: who waits on a closed queue hears that the last lease has ended.
#[test]
fn a_getter_hears_that_all_is_over() {
    explore(3, || {
        let queue = Queue::new();
        queue.put(owner(0));
        assert_eq!(queue.lease(owner(0)), Got::Item);
        let getter = spawn(&queue, |queue| assert_eq!(queue.lease_wait(owner(1)), Got::ShutDown));
        queue.close(owner(0));
        queue.ack(owner(0));
        join_all([getter]);
    });
}
