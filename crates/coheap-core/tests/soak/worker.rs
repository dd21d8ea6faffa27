//! What a process does until it is told to stop, or killed: a bit of everything, in all sizes.
//!
//! What always holds: whatever is read is whole and of its home. A heap that is full is no finding: who
//! hears it removes something and goes on.

use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::{Directory, Lease, Map, Queue, Value, map};
use coheap_core::transaction::Transaction;

use crate::figures::open_descriptors;
use crate::goods::Goods;
use crate::support::in_milliseconds;
use crate::support::objects::{bounded_queue, map as map_of, value};
use crate::support::page::Page;
use crate::support::random::Random;

const KEYS: u64 = 40;
const STOP: usize = 0;
const OPERATIONS: usize = 1;
const REFUSED: usize = 2;
const STORED: usize = 3;

/// Words that outlive the workers.
#[derive(Debug)]
pub(crate) struct Tally {
    page: Page,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { page: Page::new(4) }
    }

    pub(crate) fn set_stop(&self, is_so: bool) {
        self.page.set(STOP, u64::from(is_so));
    }

    fn is_stopped(&self) -> bool {
        self.page.get(STOP) != 0
    }

    /// How many operations there were so far, how many of them found the heap full, and how many bytes
    /// the others stored.
    pub(crate) fn sums(&self) -> [u64; 3] {
        [OPERATIONS, REFUSED, STORED].map(|word| self.page.get(word))
    }
}

/// What everybody works on: made anew for each round.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) heap: &'a Heap,
    pub(crate) goods: &'a Goods,
    pub(crate) tally: &'a Tally,
    maps: [Map; 4],
    queues: [Queue; 3],
    values: [Value; 6],
}

/// The first homes of queues and values; maps begin with 0. All objects that come and go have the last.
const QUEUES: usize = 10;
const VALUES: usize = 20;
const PASSING: usize = 30;

impl<'a> Field<'a> {
    pub(crate) fn new(heap: &'a Heap, goods: &'a Goods, tally: &'a Tally) -> Self {
        let limits = [6, 40, 0];
        Self {
            heap,
            goods,
            tally,
            maps: std::array::from_fn(|number| map_of(heap, &format!("map {number}"))),
            queues: std::array::from_fn(|number| {
                bounded_queue(heap, &format!("queue {number}"), limits[number], 0)
            }),
            values: std::array::from_fn(|number| value(heap, &format!("value {number}"))),
        }
    }

    /// Works in some threads. The answer is the exit status.
    pub(crate) fn work(&self, threads: u64, dice: &mut Random) -> i32 {
        self.heap.context().expect("a member");
        let descriptors = open_descriptors();
        let all = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|_| {
                    let mut dice = dice.split();
                    scope.spawn(move || self.work_in_thread(&mut dice))
                })
                .collect();
            let mine = self.work_in_thread(dice);
            others.into_iter().fold(mine, |all, it| all.and(it.join().expect("no panic")))
        });
        if let Err(error) = all {
            crate::support::say(&format!("a worker: {error}"));
            return 3;
        }
        assert_eq!(open_descriptors(), descriptors, "descriptors of a worker");
        // Half of them just end.
        if dice.one_in(2) { i32::from(self.heap.close().is_err()) * 2 } else { 0 }
    }

    fn work_in_thread(&self, dice: &mut Random) -> Result<()> {
        let mut hand = Hand { field: self, dice, out: Vec::new(), leases: Vec::new() };
        self.heap.with(|context| {
            while !self.tally.is_stopped() {
                match hand.act(context) {
                    Err(Error::HeapFull { .. }) => {
                        self.tally.page.add(REFUSED, 1);
                        hand.make_room(context)?;
                    }
                    Err(Error::Empty | Error::Full | Error::TimedOut) | Ok(()) => {}
                    Err(other) => return Err(other),
                }
                self.tally.page.add(OPERATIONS, 1);
            }
            Ok(())
        })
    }
}

/// One thread.
struct Hand<'a> {
    field: &'a Field<'a>,
    dice: &'a mut Random,
    out: Vec<u8>,
    leases: Vec<(usize, Lease)>,
}

impl<'a> Hand<'a> {
    fn act(&mut self, context: &Context) -> Result<()> {
        if self.out.capacity() > 1 << 20 {
            self.out = Vec::new();
        }
        match self.dice.below(100) {
            0..40 => self.use_map(context),
            40..55 => self.use_value(context),
            55..75 => self.use_queue(context),
            75..90 => self.use_leases(context),
            90..94 => self.move_item(),
            94..99 => self.come_and_go(context),
            _ if self.dice.one_in(100) => self.field.heap.trim().map(drop),
            _ => Ok(()),
        }
    }

    /// A value to store.
    fn any(&mut self, home: usize) -> &'a [u8] {
        let bytes = self.field.goods.any(home, self.dice);
        self.field.tally.page.add(STORED, bytes.len() as u64);
        bytes
    }

    fn check(&self, home: usize) {
        assert!(self.field.goods.has(home, &self.out), "{} bytes of home {home}", self.out.len());
    }

    fn use_map(&mut self, context: &Context) -> Result<()> {
        let number = self.dice.below(self.field.maps.len() as u64) as usize;
        let map = &self.field.maps[number];
        let key = self.dice.below(KEYS).to_le_bytes();
        let mut found = false;
        match self.dice.below(20) {
            0..8 => drop(map.set(context, &key, self.any(number))?),
            8..14 => found = map.get(context, &key, &mut self.out)?,
            14..18 => found = map.remove(context, &key, &mut self.out)?,
            18 => {
                let pairs: map::Pairs = (0..3)
                    .map(|_| (self.dice.below(KEYS).to_le_bytes(), self.any(number)))
                    .collect();
                map.set_many(context, &pairs)?;
            }
            _ if self.dice.one_in(20) => map.clear(context)?,
            _ => found = map.pop_last(context, &mut Vec::new(), &mut self.out)?,
        }
        if found {
            self.check(number);
        }
        Ok(())
    }

    fn use_value(&mut self, context: &Context) -> Result<()> {
        let number = self.dice.below(self.field.values.len() as u64) as usize;
        let (value, home) = (&self.field.values[number], VALUES + number);
        match self.dice.below(6) {
            0..2 => value.set(context, self.any(home)),
            2 => {
                value.get(context, &mut self.out)?;
                let old = std::mem::take(&mut self.out);
                value.compare_and_set(context, &old, self.any(home)).map(drop)
            }
            _ => {
                value.get(context, &mut self.out)?;
                // The first one is a number.
                if self.out != crate::support::objects::integer(0) {
                    self.check(home);
                }
                Ok(())
            }
        }
    }

    fn use_queue(&mut self, context: &Context) -> Result<()> {
        let number = self.dice.below(self.field.queues.len() as u64) as usize;
        let (queue, home) = (&self.field.queues[number], QUEUES + number);
        match self.dice.below(20) {
            0..7 => return queue.put(context, self.any(home)),
            7 => return queue.put_wait(context, Some(in_milliseconds(1)), self.any(home)),
            8 => {
                let items: Vec<&[u8]> = (0..3).map(|_| self.any(home)).collect();
                return queue.put_many(context, &items).map(drop);
            }
            9 => queue.get_wait(context, Some(in_milliseconds(1)), &mut self.out)?,
            _ => queue.get(context, &mut self.out)?,
        }
        self.check(home);
        Ok(())
    }

    /// Leases an item; acks it, gives it back, or keeps it for a while.
    fn use_leases(&mut self, context: &Context) -> Result<()> {
        if self.leases.len() < 3 && self.dice.one_in(2) {
            let number = self.dice.below(self.field.queues.len() as u64) as usize;
            let lease = self.field.queues[number].lease(context, &mut self.out)?;
            self.leases.push((number, lease));
            self.check(QUEUES + number);
            return Ok(());
        }
        let Some((number, lease)) = self.leases.pop() else { return Ok(()) };
        let queue = &self.field.queues[number];
        match self.dice.one_in(5) {
            true => queue.nack(context, &lease, None),
            false => queue.ack(context, &lease),
        }
    }

    /// An item becomes an entry, and a value changes, all or nothing.
    fn move_item(&mut self) -> Result<()> {
        let field = self.field;
        let from = self.dice.below(field.queues.len() as u64) as usize;
        let (to, key) = (self.dice.below(field.maps.len() as u64) as usize, self.dice.below(KEYS));
        let mut transaction = Transaction::begin(field.heap.context()?, None)?;
        let done = (|| {
            transaction.on(&field.queues[from]).get(&mut self.out)?;
            self.check(QUEUES + from);
            let bytes = self.any(to);
            transaction.on(&field.maps[to]).set(&key.to_le_bytes(), bytes).map(drop)
        })();
        let done = match done {
            Ok(()) if self.dice.one_in(8) => {
                transaction.abort();
                Ok(())
            }
            Ok(()) => transaction.commit(),
            Err(error) => {
                transaction.abort();
                Err(error)
            }
        };
        match done {
            Err(Error::Deadlock | Error::Doomed(_)) => Ok(()),
            other => other,
        }
    }

    /// Makes an object, uses it, and removes it, or another does.
    fn come_and_go(&mut self, context: &Context) -> Result<()> {
        let name = format!("passing {}", self.dice.below(8));
        let done = Directory.get_or_create(context, &name, &map::Recipe).and_then(|map: Map| {
            for key in 0..self.dice.below(12) {
                map.set(context, &key.to_le_bytes(), self.any(PASSING))?;
            }
            let key = self.dice.below(12).to_le_bytes();
            if map.get(context, &key, &mut self.out)? {
                self.check(PASSING);
            }
            if self.dice.one_in(3) { Directory.remove(context, &name).map(drop) } else { Ok(()) }
        });
        match done {
            Err(Error::ObjectGone | Error::NoSuchName) => Ok(()),
            other => other,
        }
    }

    /// Removes something, as one does whose heap is full.
    fn make_room(&mut self, context: &Context) -> Result<()> {
        let maps = &self.field.maps;
        maps[self.dice.below(maps.len() as u64) as usize].clear(context)?;
        let queue = &self.field.queues[self.dice.below(self.field.queues.len() as u64) as usize];
        for _ in 0..10 {
            match queue.get(context, &mut self.out) {
                Ok(()) => {}
                Err(Error::Empty) => break,
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }
}
