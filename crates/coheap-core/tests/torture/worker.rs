//! What a victim does until it is killed: a bit of everything, with its own books beside it.
//!
//! Most of the time goes into large writes and transactions, so that most kills land inside one.

use coheap_core::error::{Error, Result};
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{Lease, Map, Mutex, Queue, Value};

use crate::bank::Bank;
use crate::ledger::{Ledger, item_of, job_in, key_of};
use crate::support::in_milliseconds;
use crate::support::random::Random;

/// What everybody works on.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) heap: Heap,
    pub(crate) counts: Map,
    pub(crate) scratch: Map,
    pub(crate) jobs: Queue,
    pub(crate) lock: Mutex,
    pub(crate) left: Value,
    pub(crate) right: Value,
    pub(crate) text: Value,
    pub(crate) large: Vec<Map>,
    pub(crate) bank: Bank,
}

/// Works until the ledger says stop; half of the workers leave the heap politely.
pub(crate) fn work(field: &Field, ledger: &Ledger, worker: usize, dice: &mut Random) -> i32 {
    let mut leases = Vec::new();
    let large = vec![worker as u8; 1 << 20];
    let done = field.heap.with(|context| {
        ledger.set_at_work(worker, true);
        while !ledger.is_stopped() {
            match dice.below(80) {
                0..3 => count(field, ledger, context, worker)?,
                3..11 => scribble(field, ledger, context, dice)?,
                11..15 => put(field, ledger, context, worker)?,
                15..19 => take(field, ledger, context, worker, dice, &mut leases)?,
                19 => meet(field, ledger, context, worker, dice)?,
                70..73 => field.bank.transfer(&field.heap, dice)?,
                73..79 => field.bank.finish_one(&field.heap, &field.jobs, dice)?,
                79 => field.bank.inspect(&field.heap, ledger)?,
                _ => rewrite(field, context, worker, dice, &large)?,
            }
        }
        Ok(())
    });
    match done {
        Ok(()) if dice.one_in(2) => i32::from(field.heap.close().is_err()) * 2,
        Ok(()) => 0,
        Err(error) => {
            crate::support::say(&format!("worker {worker}: {error}"));
            3
        }
    }
}

fn count(field: &Field, ledger: &Ledger, context: &Context, worker: usize) -> Result<()> {
    ledger.begin_count(worker);
    field.counts.add(context, &key_of(worker), 1)?;
    ledger.end_count(worker);
    Ok(())
}

/// A value that shows whether it is whole: one byte repeated, a length that follows from it.
pub(crate) fn whole(fill: u8) -> Vec<u8> {
    vec![fill; 1 + usize::from(fill) * usize::from(fill)]
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|fill| *bytes == whole(*fill))
}

/// Sets, removes, reads and clears shared entries with values of up to 64 KiB.
fn scribble(field: &Field, ledger: &Ledger, context: &Context, dice: &mut Random) -> Result<()> {
    let key = dice.below(400).to_le_bytes();
    let mut out = Vec::new();
    let found = match dice.below(12) {
        0..6 => {
            field.scratch.set(context, &key, &whole(dice.next() as u8))?;
            false
        }
        6..8 => field.scratch.remove(context, &key, &mut out)?,
        8 => {
            field.text.set(context, &whole(dice.next() as u8))?;
            false
        }
        9 => {
            field.text.get(context, &mut out)?;
            true
        }
        10 if dice.one_in(50) => {
            field.scratch.clear(context)?;
            false
        }
        _ => field.scratch.get(context, &key, &mut out)?,
    };
    if found && !is_whole(&out) {
        ledger.worry(1);
    }
    Ok(())
}

/// Large values under keys of one's own: most of the time is spent inside the change.
fn rewrite(
    field: &Field,
    context: &Context,
    worker: usize,
    dice: &mut Random,
    large: &[u8],
) -> Result<()> {
    let key = [worker as u8, dice.below(3) as u8];
    let len = (64 << 10) + dice.below(512 << 10) as usize;
    field.large[worker].set(context, &key, &large[..len]).map(|_| ())
}

fn put(field: &Field, ledger: &Ledger, context: &Context, worker: usize) -> Result<()> {
    if let Some(job) = ledger.begin_put(worker) {
        field.jobs.put(context, &item_of(job))?;
        ledger.end_put(worker, job);
    }
    Ok(())
}

/// Leases a job; acks it, gives it back, or keeps it for a while.
fn take(
    field: &Field,
    ledger: &Ledger,
    context: &Context,
    worker: usize,
    dice: &mut Random,
    leases: &mut Vec<(Lease, u64)>,
) -> Result<()> {
    let mut out = Vec::new();
    let leased = match dice.one_in(40) {
        true => field.jobs.lease_wait(context, Some(in_milliseconds(2)), &mut out),
        false => field.jobs.lease(context, &mut out),
    };
    match leased {
        Ok(lease) => leases.push((lease, job_in(&out))),
        Err(Error::Empty) => {}
        Err(other) => return Err(other),
    }
    while leases.len() > 3 || (!leases.is_empty() && dice.one_in(2)) {
        let (lease, job) = leases.swap_remove(dice.below(leases.len() as u64) as usize);
        if dice.one_in(8) {
            field.jobs.nack(context, &lease, None)?;
        } else {
            ledger.begin_ack(worker, job);
            field.jobs.ack(context, &lease)?;
            ledger.end_ack(worker, job);
        }
    }
    Ok(())
}

/// Two values that differ only while somebody is inside the lock, or died there.
fn meet(
    field: &Field,
    ledger: &Ledger,
    context: &Context,
    worker: usize,
    dice: &mut Random,
) -> Result<()> {
    let acquired = field.lock.lock(context, None)?;
    ledger.enter(worker, acquired == Acquired::Clean);
    let left = field.left.add(context, 0)?;
    let right = field.right.add(context, 0)?;
    if left != right {
        if acquired == Acquired::Clean {
            ledger.worry(2);
        }
        field.right.add(context, left - right)?;
    }
    field.left.add(context, 1)?;
    if dice.one_in(3) {
        std::thread::yield_now();
    }
    field.right.add(context, 1)?;
    if !ledger.is_inside(worker) {
        ledger.worry(3);
    }
    ledger.leave();
    field.lock.unlock(context)
}
