//! Transactions over several objects that move money and never make any.
//!
//! Two maps of accounts and a fund start at nothing; every transfer takes from one and gives to
//! another, so the sum of all is always 0, for everyone who looks inside a transaction.

use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::{Map, Queue, Value};
use coheap_core::transaction::Transaction;

use crate::ledger::{Ledger, job_in};
use crate::support::objects::{map, number_in, value};
use crate::support::random::Random;

const ACCOUNTS: u64 = 40;

/// What the money lies in, and the list of finished jobs.
#[derive(Debug)]
pub(crate) struct Bank {
    accounts: [Map; 2],
    fund: Value,
    pub(crate) finished: Map,
}

impl Bank {
    pub(crate) fn new(heap: &Heap) -> Self {
        Self {
            accounts: [map(heap, "north"), map(heap, "south")],
            fund: value(heap, "fund"),
            finished: map(heap, "finished"),
        }
    }

    /// Moves some money between up to six places, thinking a little in between.
    pub(crate) fn transfer(&self, heap: &Heap, dice: &mut Random) -> Result<()> {
        let mut tx = Transaction::begin(heap.context()?, None)?;
        let mut plan = || -> Result<()> {
            let mut moved = 0;
            for _ in 0..=dice.below(4) {
                let amount = dice.below(100) as i64;
                let account = dice.below(ACCOUNTS).to_le_bytes();
                match dice.below(5) {
                    0 => {
                        tx.on(&self.fund).add(amount)?;
                    }
                    side => {
                        tx.on(&self.accounts[side as usize % 2]).add(&account, amount)?;
                    }
                }
                moved += amount;
                think(dice.below(40));
            }
            tx.on(&self.accounts[1]).add(&dice.below(ACCOUNTS).to_le_bytes(), -moved)?;
            Ok(())
        };
        let planned = plan();
        finish(tx, planned, dice)
    }

    /// Looks at everything in one transaction. Answers the sum, unless there was a deadlock.
    pub(crate) fn sum(&self, heap: &Heap) -> Result<Option<i64>> {
        let mut tx = Transaction::begin(heap.context()?, None)?;
        let mut add_up = || -> Result<i64> {
            let mut bytes = Vec::new();
            tx.on(&self.fund).get(&mut bytes)?;
            let mut sum = number_in(&bytes).unwrap_or(i64::MAX);
            for accounts in &self.accounts {
                for (_, balance) in tx.on(accounts).snapshot()? {
                    sum = sum.wrapping_add(number_in(&balance).unwrap_or(i64::MAX));
                }
            }
            Ok(sum)
        };
        let sum = add_up();
        tx.abort();
        match sum {
            Ok(sum) => Ok(Some(sum)),
            Err(Error::Deadlock | Error::Doomed(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Takes a job, works on it, and notes that it is finished, all or nothing.
    pub(crate) fn finish_one(&self, heap: &Heap, jobs: &Queue, dice: &mut Random) -> Result<()> {
        let mut tx = Transaction::begin(heap.context()?, None)?;
        let mut item = Vec::new();
        let mut work = || -> Result<()> {
            tx.on(jobs).get(&mut item)?;
            think(dice.below(40));
            tx.on(&self.finished).add(&job_in(&item).to_le_bytes(), 1)?;
            tx.on(&self.accounts[0]).add(&[1], 1)?;
            tx.on(&self.fund).add(-1)?;
            Ok(())
        };
        match work() {
            Err(Error::Empty) => {
                tx.abort();
                Ok(())
            }
            worked => finish(tx, worked, dice),
        }
    }

    /// How often each job was finished.
    pub(crate) fn count_finished(&self, context: &Context) -> Result<Vec<(u64, u64)>> {
        let entries = self.finished.snapshot(context)?;
        let pair = |(key, times): (&[u8], &[u8])| {
            let job = key.try_into().map_or(u64::MAX, u64::from_le_bytes);
            (job, number_in(times).unwrap_or(-1) as u64)
        };
        Ok(entries.iter().map(pair).collect())
    }

    /// Looks whether the money is all there.
    pub(crate) fn inspect(&self, heap: &Heap, ledger: &Ledger) -> Result<()> {
        if self.sum(heap)?.is_some_and(|sum| sum != 0) {
            ledger.worry(4);
        }
        Ok(())
    }
}

/// Commits, or aborts once in a while; a deadlock is nobody's fault.
fn finish(tx: Transaction, planned: Result<()>, dice: &mut Random) -> Result<()> {
    match planned {
        Ok(()) if dice.one_in(10) => {
            tx.abort();
            Ok(())
        }
        Ok(()) => tx.commit(),
        Err(Error::Deadlock | Error::Doomed(_)) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Computes something for about so many microseconds.
fn think(microseconds: u64) {
    let end = coheap_core::os::now() + microseconds * 1_000;
    while coheap_core::os::now() < end {
        std::hint::spin_loop();
    }
}
