//! The steps of a thread: one operation each, or a block of some, chosen by the dice.
//!
//! What always holds: a step leaves the hand's own books right, whatever the operation answered. A
//! thread keeps little for long: it gives back leases and locks after some steps.
//!
//! Not here: how an answer is judged (`hand`).

mod blocks;
mod forks;
mod locks;
mod maps;
mod names;
mod parcels;
mod queues;
mod values;

use coheap_core::objects::Typed as _;

use crate::answers;
use crate::hand::{Hand, Referred};
use crate::item::Home;
use crate::settings::Class;
use crate::site::Inherited;

/// Steps of one thread at most.
const STEPS: u64 = 3_000;
/// What a thread keeps at most before it gives back.
const KEPT: usize = 3;

impl Hand<'_> {
    /// Steps until the round is over; some threads end before, whatever they hold.
    pub(crate) fn work(&mut self) {
        let is_short = !self.thread.is_multiple_of(crate::books::THREADS) && self.dice.one_in(3);
        let steps = if is_short { self.dice.below(STEPS / 20) } else { STEPS };
        for _ in 0..steps {
            if self.books().is_stopping() {
                break;
            }
            self.refresh();
            self.step();
        }
        // A lock of a thread that has ended is another one's sooner or later.
        self.locks.iter().for_each(|lock| {
            self.books().accounts.unlock(Home::of(lock.handle()));
        });
    }

    /// What a forked child does first with what its parent held.
    pub(crate) fn take_over(&mut self, inherited: &Inherited) {
        for leased in &inherited.leases {
            self.ack_of_the_parent(leased);
        }
        let own = |referred: &Referred| Referred { is_inherited: true, ..*referred };
        self.references = inherited.references.iter().map(own).collect();
    }

    fn step(&mut self) {
        let choice = self.dice.below(100);
        match choice {
            0..14 if self.has(Class::Map) => self.use_map(),
            14..22 if self.has(Class::Value) => self.use_value(),
            22..48 if self.has(Class::Queue) => self.use_queue(),
            48..66 if self.has(Class::Lock) => self.use_lock(),
            66..72 if self.has(Class::Reference) => self.use_reference(),
            72..80 if self.has(Class::Block) => self.run_block(),
            80..92 => self.remove_something(),
            92..94 if self.has(Class::Check) => self.check(),
            94 if self.has(Class::Close) && self.dice.one_in(3) => self.site.attach_again(self),
            95 if self.has(Class::Fork) && self.dice.one_in(2) => self.fork(),
            _ => self.give_back(),
        }
        if self.leases.len() + self.locks.len() > KEPT {
            self.give_back();
        }
    }

    /// Ends a lease or releases a lock.
    fn give_back(&mut self) {
        if !self.locks.is_empty() {
            self.release_one();
        } else if !self.leases.is_empty() {
            self.end_one_lease();
        } else if self.dice.one_in(4) {
            std::thread::yield_now();
        }
    }

    /// The integrity walk, in the midst of everything.
    fn check(&mut self) {
        let (until, wait) = self.deadline();
        let allowed = answers::BUSY;
        // The walk itself takes its time.
        let limit = wait + 2_000_000_000;
        let _ = self.call("check", Home::default(), limit, allowed, |context| {
            context.waiting_until(until, coheap_core::check::check)
        });
    }
}
