//! Forks: a thread goes on in a child, in the middle of whatever it holds.
//!
//! What always holds: a child has its own row in the books before it exists; nobody but the conductor
//! reaps it, so that its id stays its own.

use coheap_core::error::Error;
use coheap_core::heap::Heap;

use crate::answers;
use crate::hand::Hand;
use crate::item::Home;
use crate::settings::Class;
use crate::site::{Inherited, Site};
use crate::support::child;
use crate::support::random::Random;

/// Most ancestors of a process beside the conductor.
const DEEPEST: u32 = 2;
/// What a child's first look at the heap may take, in nanoseconds.
const FIRST: u64 = 5_000_000_000;

impl Hand<'_> {
    pub(super) fn fork(&mut self) {
        if self.site.depth >= DEEPEST {
            return;
        }
        let Some(process) = self.books().expect_process() else { return };
        let dice = self.dice.split();
        let parent = self.site;
        let inherited =
            Inherited { leases: self.leases.clone(), references: self.references.clone() };
        let heap = self.heap.clone();
        self.books().begin(self.thread, "fork", Home::default());
        let child = child::fork(|| {
            let depth = parent.depth + 1;
            let settings = match depth {
                DEEPEST => parent.settings.without(Class::Fork),
                _ => parent.settings,
            };
            let books = &parent.books;
            let site = Site::new(books, settings, &parent.place, process, depth, heap.clone());
            site.arrive();
            site.begin_as_child(&heap, &inherited, dice)
        });
        self.books().end(self.thread);
        // The conductor reaps it.
        std::mem::forget(child);
    }
}

impl Site {
    /// A child attaches by its first operation, unless its parent was about to leave; or it forks
    /// before that.
    fn begin_as_child(&self, heap: &Heap, inherited: &Inherited, mut dice: Random) -> i32 {
        let mut hand = Hand::new(self, 0, dice.split());
        if self.depth < DEEPEST && self.settings.has(Class::Fork) && dice.one_in(3) {
            hand.references = inherited.references.clone();
            hand.fork();
        }
        let first = hand.judge("first look", Home::default(), FIRST, answers::CLOSED, || {
            heap.context().map(drop)
        });
        if first == Err(Error::Closed) {
            self.attach_again(&hand);
            return self.work(&Inherited::default(), dice);
        }
        self.work(inherited, dice)
    }
}
