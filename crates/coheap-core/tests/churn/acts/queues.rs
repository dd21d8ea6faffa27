//! Queues: items put, taken, leased, acked and given back, with waits for all of it.
//!
//! What always holds: an item belongs to its queue. Each item with a serial number is delivered at most
//! once, and has one holder at a time.

use coheap_core::error::{Error, Result};
use coheap_core::objects::queue::ReturnReason;
use coheap_core::objects::{Queue, Typed as _};
use coheap_core::os;

use crate::answers;
use crate::hand::{Hand, Leased, Subject};
use crate::item::{self, Home};
use crate::settings::Class;

const REFUSED: answers::Answers = answers::FULL | answers::SHUT_DOWN;
const NOTHING: answers::Answers = answers::EMPTY | answers::SHUT_DOWN;

impl Hand<'_> {
    pub(super) fn use_queue(&mut self) {
        let Some(on) = self.pick_queue() else { return };
        match self.dice.below(40) {
            0..10 => self.put_item(&on),
            10..12 => self.put_some(&on),
            12..20 => self.get_item(&on),
            20..28 => self.lease_item(&on),
            28..32 if !self.leases.is_empty() => self.end_one_lease(),
            32..35 => {
                let late = answers::TIMED_OUT;
                let _ = self.wait("join", &on, late, |context, queue, until| {
                    queue.join(context, Some(until))
                });
            }
            35 if self.has(Class::Shut) && self.dice.one_in(3) => {
                let _ = self
                    .run("queue close", &on, answers::NONE, |context, queue| queue.close(context));
            }
            _ => self.ask_queue(&on),
        }
    }

    /// An item for this queue, with a serial number.
    pub(super) fn new_item(&mut self, home: Home) -> (Vec<u8>, u64) {
        let len = self.len().max(if self.dice.one_in(4) { 1 } else { 13 });
        let serial = if len < 13 { 0 } else { self.books().accounts.new_item(self.thread, home) };
        (item::write(home, serial, len), serial)
    }

    fn put_item(&mut self, on: &Subject<Queue>) {
        let (bytes, serial) = self.new_item(on.home);
        let (bytes, parcel) = self.packed(on, bytes);
        let started = os::now();
        let put = match self.dice.below(4) {
            0 => self.run("put", on, REFUSED, |context, queue| queue.put(context, &bytes)),
            1 => self.wait("put_until", on, REFUSED, |context, queue, until| {
                queue.put_until(context, started, until, &bytes)
            }),
            _ => self.wait("put_wait", on, REFUSED, |context, queue, until| {
                queue.put_wait(context, Some(until), &bytes)
            }),
        };
        self.books().accounts.put(serial, put.is_ok());
        self.done_with(parcel);
    }

    fn put_some(&mut self, on: &Subject<Queue>) {
        let items: Vec<_> = (0..1 + self.dice.below(5)).map(|_| self.new_item(on.home)).collect();
        let bytes: Vec<&[u8]> = items.iter().map(|(bytes, _)| bytes.as_slice()).collect();
        let put =
            self.run("put_many", on, REFUSED, |context, queue| queue.put_many(context, &bytes));
        for (number, (_, serial)) in items.iter().enumerate() {
            self.books().accounts.put(*serial, number < put.clone().unwrap_or(0));
        }
    }

    fn get_item(&mut self, on: &Subject<Queue>) {
        let mut out = Vec::new();
        self.books().accounts.may_take(self.thread, 1);
        let got = match self.dice.below(3) {
            0 => self.run("get", on, NOTHING, |context, queue| queue.get(context, &mut out)),
            _ => self.wait("get_wait", on, NOTHING, |context, queue, until| {
                queue.get_wait(context, Some(until), &mut out)
            }),
        };
        if got.is_ok() {
            let (target, bytes) = item::open(&out);
            let serial = self.read("get", on.home, bytes);
            self.deliver("get", on.home, serial);
            if let Some(target) = target {
                self.claim(target, false);
            }
        }
        self.books().accounts.may_take(self.thread, 0);
    }

    pub(super) fn deliver(&self, act: &str, home: Home, serial: u64) {
        let account = self.books().accounts.deliver(self.books(), serial);
        self.agree(act, home, account);
    }

    fn lease_item(&mut self, on: &Subject<Queue>) {
        let mut out = Vec::new();
        let started = os::now();
        let leased = match self.dice.below(4) {
            0 => self.run("lease", on, NOTHING, |context, queue| queue.lease(context, &mut out)),
            1 => self.wait("lease_until", on, NOTHING, |context, queue, until| {
                queue.lease_until(context, started, until, &mut out)
            }),
            _ => self.wait("lease_wait", on, NOTHING, |context, queue, until| {
                queue.lease_wait(context, Some(until), &mut out)
            }),
        };
        if let Ok(lease) = leased {
            let serial = self.note_lease("lease", on.home, &out);
            self.leases.push(Leased { queue: on.object, lease, serial });
            if let (Some(target), _) = item::open(&out) {
                self.claim(target, false);
            }
        }
    }

    /// Checks an item that is on lease now, and returns its serial number.
    pub(super) fn note_lease(&self, act: &str, home: Home, bytes: &[u8]) -> u64 {
        let (_, bytes) = item::open(bytes);
        let serial = self.read(act, home, bytes);
        let account = self.books().accounts.lease(self.books(), serial, self.holder());
        self.agree(act, home, account);
        serial
    }

    /// Acks an item, or gives it back.
    pub(super) fn end_one_lease(&mut self) {
        let number = self.dice.below(self.leases.len() as u64) as usize;
        let leased = self.leases.swap_remove(number);
        let on = of_lease(&leased);
        if self.dice.one_in(3) {
            let reason = self.dice.one_in(2).then_some(ReturnReason::Nacked);
            self.books().accounts.end_lease(leased.serial, self.holder());
            let _ = self.run("nack", &on, answers::NONE, |context, queue| {
                queue.nack(context, &leased.lease, reason)
            });
            return;
        }
        self.books().accounts.may_take(self.thread, 1);
        let acked =
            self.run("ack", &on, answers::NONE, |context, queue| queue.ack(context, &leased.lease));
        match acked {
            Ok(()) => self.deliver("ack", on.home, leased.serial),
            // Still on lease.
            Err(Error::Busy { .. } | Error::Interrupted | Error::HeapFull { .. }) => {
                self.leases.push(leased);
            }
            Err(_) => {}
        }
        self.books().accounts.may_take(self.thread, 0);
    }

    /// A forked child has a copy of its parent's leases in memory, and none of them.
    pub(super) fn ack_of_the_parent(&mut self, leased: &Leased) {
        let on = of_lease(leased);
        let refused = answers::LEASE_LOST | answers::CLOSED;
        let acked: Result<()> = self.run("ack by a child", &on, refused, |context, queue| {
            queue.ack(context, &leased.lease)
        });
        if acked.is_ok() {
            self.find("ack by a child", on.home, "a child acked the item of its parent");
        }
    }

    /// Questions, and waits that take nothing.
    fn ask_queue(&mut self, on: &Subject<Queue>) {
        let started = os::now();
        let _ = match self.dice.below(6) {
            0 => self
                .run("queue len", on, answers::NONE, |context, queue| queue.len(context).map(drop)),
            1 => self
                .run("leased", on, answers::NONE, |context, queue| queue.leased(context).map(drop)),
            2 => self.run("is_closed", on, answers::NONE, |context, queue| {
                queue.is_closed(context).map(drop)
            }),
            3 => self.read_failed(on).map(drop),
            4 => self.wait("wait_until_ready", on, NOTHING, |context, queue, until| {
                queue.wait_until_ready(context, started, until)
            }),
            _ => self.wait("wait_until_roomy", on, REFUSED, |context, queue, until| {
                queue.wait_until_roomy(context, started, until)
            }),
        };
    }

    /// The serial numbers of the items that were given up.
    pub(crate) fn read_failed(&mut self, on: &Subject<Queue>) -> Result<Vec<u64>> {
        let failed =
            self.run("failed", on, answers::NONE, |context, queue| queue.failed(context))?;
        let serial = |value: &[u8]| self.read("failed", on.home, item::open(value).1);
        Ok(failed.iter().map(|failed| serial(&failed.value)).collect())
    }
}

fn of_lease(leased: &Leased) -> Subject<Queue> {
    let home = Home::of(leased.queue.handle());
    Subject { object: leased.queue, home, is_kept: false }
}
