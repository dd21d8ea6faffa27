//! Locks: taken, tried, waited for, taken again and released.
//!
//! What always holds: the accounts name the holder of a lock from just after it is taken to just
//! before it is released, so two names at once are two holders.

use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{Mutex, Typed};
use coheap_core::os;

use crate::answers;
use crate::hand::{Hand, Subject};
use crate::item::Home;

impl Hand<'_> {
    pub(super) fn use_lock(&mut self) {
        let Some(on) = self.pick_lock() else { return };
        let refused = answers::OWNER_DIED;
        match self.dice.below(12) {
            0..5 => {
                let late = refused | answers::TIMED_OUT;
                let taken = self.wait("lock", &on, late, |context, lock, until| {
                    lock.lock(context, Some(until))
                });
                self.have(&on, "lock", taken.ok());
            }
            5..8 => {
                let taken =
                    self.run("try_lock", &on, refused, |context, lock| lock.try_lock(context));
                self.have(&on, "try_lock", taken.ok().flatten());
            }
            8 => {
                let late = refused | answers::TIMED_OUT | answers::DEADLOCK;
                let started = os::now();
                let taken = self.wait("lock_until", &on, late, |context, lock, until| {
                    lock.lock_until(context, started, until)
                });
                self.have(&on, "lock_until", taken.ok());
            }
            9 => {
                let late = answers::TIMED_OUT | answers::DEADLOCK;
                let started = os::now();
                let _ = self.wait("wait_until_free", &on, late, |context, lock, until| {
                    lock.wait_until_free(context, started, until)
                });
            }
            10 => self.take_again(&on),
            _ => {
                let _ =
                    self.run("holder", &on, answers::NONE, |context, lock| lock.holder(context));
            }
        }
    }

    /// The lock is this thread's now.
    fn have(&mut self, on: &Subject<Mutex>, act: &str, acquired: Option<Acquired>) {
        if acquired.is_some() {
            let account = self.books().accounts.lock(self.books(), on.home, self.holder());
            self.agree(act, on.home, account);
            self.locks.push(on.object);
            if self.dice.one_in(2) {
                self.release_one();
            }
        }
    }

    /// A lock that this thread holds already, or does not hold.
    fn take_again(&mut self, on: &Subject<Mutex>) {
        let again =
            self.run("lock_again", on, answers::NONE, |context, lock| lock.lock_again(context));
        if again != Ok(true) {
            return;
        }
        if !self.locks.contains(&on.object) {
            self.find("lock_again", on.home, "this thread does not hold the lock");
        }
        let _ = self.run("leave", on, answers::NONE, |context, lock| lock.leave(context));
    }

    /// Releases a lock that this thread holds.
    pub(super) fn release_one(&mut self) {
        let number = self.dice.below(self.locks.len() as u64) as usize;
        let lock = self.locks.swap_remove(number);
        let on = Subject { object: lock, home: Home::of(lock.handle()), is_kept: false };
        self.books().accounts.unlock(on.home);
        let _ = self.run("unlock", &on, answers::NONE, |context, lock| lock.unlock(context));
    }
}
