//! Transactions: some operations on several objects, then a commit or an abort.
//!
//! What always holds: items that a transaction put or took are written down as such when its commit has
//! answered, and not before.

use coheap_core::error::{Error, Result};
use coheap_core::objects::{Lockable, Map, Queue, Value};
use coheap_core::os;
use coheap_core::transaction::Transaction;

use crate::answers::{self, Answers};
use crate::hand::{Hand, Subject};
use crate::item::{self, Home};
use crate::settings::Class;

/// What an operation inside may answer beside its own errors.
const INSIDE: Answers = answers::GONE
    | answers::DEADLOCK
    | answers::WOULD_BLOCK
    | answers::DOOMED
    | answers::BUSY
    | answers::TIMED_OUT;
/// What an operation inside may take that waits for another transaction.
const PLAIN: u64 = 5_000_000_000;

/// The objects of a transaction, found before it begins.
struct Field {
    map: Option<Subject<Map>>,
    value: Option<Subject<Value>>,
    queues: Vec<Subject<Queue>>,
}

/// Items that depend on the commit.
#[derive(Default)]
struct Pending {
    put: Vec<u64>,
    taken: Vec<(Home, u64)>,
}

impl Hand<'_> {
    pub(super) fn run_block(&mut self) {
        let field = Field {
            map: if self.has(Class::Map) { self.pick_map() } else { None },
            value: if self.has(Class::Value) { self.pick_value() } else { None },
            queues: match self.has(Class::Queue) {
                true => (0..2).filter_map(|_| self.pick_queue()).collect(),
                false => Vec::new(),
            },
        };
        let heap = self.heap.clone();
        let begun = self.judge("begin", Home::default(), PLAIN, answers::NONE, || {
            Transaction::begin(heap.context()?, None)
        });
        let Ok(mut block) = begun else { return };
        let mut pending = Pending::default();
        for _ in 0..1 + self.dice.below(5) {
            self.step_inside(&mut block, &field, &mut pending);
        }
        if self.has(Class::Fork) && self.dice.one_in(60) {
            self.fork();
        }
        let has_committed = !self.dice.one_in(4) && self.commit(&mut block, &pending);
        if !has_committed {
            self.judge("abort", Home::default(), PLAIN, answers::NONE, || {
                block.abort();
                Ok(())
            })
            .ok();
        }
        pending.put.iter().for_each(|serial| self.books().accounts.put(*serial, has_committed));
        if has_committed {
            pending.taken.iter().for_each(|(home, serial)| self.deliver("commit", *home, *serial));
        }
        self.books().accounts.may_take(self.thread, 0);
    }

    fn commit(&mut self, block: &mut Transaction, pending: &Pending) -> bool {
        self.books().accounts.may_take(self.thread, pending.taken.len() as u64);
        let allowed = INSIDE | answers::TOO_LARGE;
        for _ in 0..3 {
            let (until, wait) = self.deadline();
            // The locks that a commit still needs are those of other transactions.
            let done = self.judge("commit", Home::default(), PLAIN + wait, allowed, || {
                block.waiting_until(until, Transaction::try_commit)
            });
            match done {
                Ok(()) => return true,
                Err(Error::Busy { .. } | Error::Interrupted) => {}
                Err(_) => return false,
            }
        }
        false
    }

    fn step_inside(&mut self, block: &mut Transaction, field: &Field, pending: &mut Pending) {
        match (self.dice.below(10), &field.map, &field.value) {
            (0..3, Some(map), _) => self.map_inside(block, map),
            (3..5, _, Some(value)) => self.value_inside(block, value),
            (5, Some(map), _) => self.lock_inside(block, map, Lockable::of(&map.object)),
            (6, _, Some(value)) => self.lock_inside(block, value, Lockable::of(&value.object)),
            _ => {
                let number = self.dice.below(2) as usize;
                if let Some(queue) = field.queues.get(number) {
                    self.queue_inside(block, queue, pending);
                }
            }
        }
    }

    fn inside<T, R>(
        &mut self,
        act: &str,
        on: &Subject<T>,
        allowed: Answers,
        operation: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        self.judge(act, on.home, PLAIN, INSIDE | allowed, operation)
    }

    fn map_inside(&mut self, block: &mut Transaction, on: &Subject<Map>) {
        let number = self.dice.below(12);
        let key = format!("k{number}").into_bytes();
        let (mut out, value) = (Vec::new(), self.value(on.home.key(&key)));
        match self.dice.below(4) {
            0 => {
                let map = &on.object;
                let got =
                    self.inside("map get inside", on, 0, || block.on(map).get(&key, &mut out));
                if got == Ok(true) {
                    self.read_entry("map get inside", on, &key, &out);
                }
            }
            1 => {
                let map = &on.object;
                let got = self
                    .inside("map remove inside", on, 0, || block.on(map).remove(&key, &mut out));
                if got == Ok(true) {
                    self.read_entry("map remove inside", on, &key, &out);
                }
            }
            2 => {
                let key = format!("n{number}").into_bytes();
                let map = &on.object;
                let _ = self.inside("map add inside", on, 0, || block.on(map).add(&key, 1));
            }
            _ => {
                let map = &on.object;
                let _ = self.inside("map set inside", on, 0, || block.on(map).set(&key, &value));
            }
        }
    }

    fn value_inside(&mut self, block: &mut Transaction, on: &Subject<Value>) {
        let (mut out, bytes) = (Vec::new(), self.value(on.home));
        let value = &on.object;
        if self.dice.one_in(2) {
            let got = self.inside("value get inside", on, 0, || block.on(value).get(&mut out));
            if got.is_ok() {
                self.read_born("value get inside", on.home, item::open(&out).1);
            }
        } else {
            let _ = self.inside("value set inside", on, 0, || block.on(value).set(&bytes));
        }
    }

    fn lock_inside<T>(&mut self, block: &mut Transaction, on: &Subject<T>, object: Lockable) {
        let started = os::now();
        let (until, wait) = self.deadline();
        let _ = if self.dice.one_in(3) {
            self.inside("try_lock inside", on, 0, || block.try_lock(object).map(drop))
        } else {
            self.judge("lock_until inside", on.home, wait, INSIDE, || {
                block.lock_until(object, started, until)
            })
        };
    }

    fn queue_inside(&mut self, block: &mut Transaction, on: &Subject<Queue>, items: &mut Pending) {
        let started = os::now();
        let (until, wait) = self.deadline();
        let queue = &on.object;
        if self.dice.one_in(2) {
            let refused = answers::FULL | answers::SHUT_DOWN;
            let (bytes, serial) = self.new_item(on.home);
            let put = if self.dice.one_in(2) {
                self.inside("put inside", on, refused, || block.on(queue).put(&bytes))
            } else {
                self.judge("put_until inside", on.home, wait, INSIDE | refused, || {
                    block.on(queue).put_until(started, until, &bytes)
                })
            };
            match put {
                Ok(()) => items.put.push(serial),
                Err(_) => self.books().accounts.put(serial, false),
            }
            return;
        }
        let nothing = answers::EMPTY | answers::SHUT_DOWN;
        let mut out = Vec::new();
        let got = if self.dice.one_in(2) {
            self.inside("get inside", on, nothing, || block.on(queue).get(&mut out))
        } else {
            self.judge("get_until inside", on.home, wait, INSIDE | nothing, || {
                block.on(queue).get_until(started, until, &mut out)
            })
        };
        if got.is_ok() {
            let serial = self.note_lease("get inside", on.home, &out);
            // A transaction may be given up, and its items back, in the middle of any call.
            self.books().accounts.end_lease(serial, self.holder());
            items.taken.push((on.home, serial));
        }
    }
}
