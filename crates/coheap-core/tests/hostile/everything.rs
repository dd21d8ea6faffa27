//! One of each object, and every operation there is.
//!
//! What an operation answers does not matter here: a flipped byte of a value is another value.
//! What matters is that it answers.
//!
//! Not here: what is done to the objects of each kind (`kinds`).

use coheap_core::Kind;
use coheap_core::allocator;
use coheap_core::check::check;
use coheap_core::error::Result;
use coheap_core::heap::Heap;
use coheap_core::journal::Context;
use coheap_core::objects::queue::Lease;
use coheap_core::objects::{Directory, Map, Mutex, Queue, RecursiveMutex, Value, estate};
use coheap_core::objects::{map, value};
use coheap_core::transaction::Transaction;

use crate::kinds::{InTransaction, Row, row};
use crate::support::child::{End, die, fork};
use crate::support::objects::{bounded_queue, integer, map, mutex, queue, recursive_mutex, value};

/// Handles to everything.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) small: Map,
    pub(crate) large: Map,
    pub(crate) number: Value,
    pub(crate) text: Value,
    pub(crate) lock: Mutex,
    pub(crate) again: RecursiveMutex,
    pub(crate) jobs: Queue,
    pub(crate) tries: Queue,
    pub(crate) lease: Lease,
}

impl Objects {
    /// Where their headers are.
    pub(crate) fn headers(&self) -> Vec<u64> {
        let objects = Kind::ALL.iter().flat_map(|kind| (row(*kind).objects)(self));
        objects.map(|object| object.handle().at).collect()
    }
}

/// Fills a heap with one of each, in each shape it can have.
pub(crate) fn make(heap: &Heap) -> Objects {
    let (small, large) = (map(heap, "small"), map(heap, "large"));
    let (number, text) = (value(heap, "number"), value(heap, "text"));
    let (lock, again) = (mutex(heap, "lock"), recursive_mutex(heap, "again"));
    let (jobs, tries) = (queue(heap, "jobs"), bounded_queue(heap, "tries", 50, 1));
    let mut out = Vec::new();
    let lease = heap.with(|context| {
        for (index, len) in [3, 15, 16, 40, 300, 5000, 20_000, 8].into_iter().enumerate() {
            small.set(context, &[index as u8; 20], &vec![index as u8; len])?;
            small.set(context, &[index as u8], &integer(len as i64))?;
        }
        small.remove(context, &[2; 20], &mut out)?;
        for index in 0..1700u64 {
            large.set(context, &index.to_le_bytes(), &integer(index as i64))?;
        }
        for index in 100..140u64 {
            large.remove(context, &index.to_le_bytes(), &mut out)?;
        }
        text.set(context, &[7; 3000])?;
        number.set(context, &integer(5))?;
        for index in 0..40u8 {
            jobs.put(context, &vec![index; 1 + usize::from(index) * 9])?;
            tries.put(context, &[index; 30])?;
        }
        let back = jobs.lease(context, &mut out)?;
        let failed = tries.lease(context, &mut out)?;
        tries.nack(context, &failed, Some(coheap_core::objects::queue::ReturnReason::Nacked))?;
        let lease = jobs.lease(context, &mut out)?;
        jobs.nack(context, &back, None)?;
        Ok(lease)
    });
    let lease = lease.expect("room for all");
    Objects { small, large, number, text, lock, again, jobs, tries, lease }
}

/// A process dies with two leases and a promise, which whoever passes has to settle.
pub(crate) fn leave_an_estate(open: impl FnOnce() -> Heap, objects: &Objects) {
    let mut child = fork(|| {
        let heap = open();
        let mut out = Vec::new();
        let leased = heap.with(|context| {
            objects.jobs.lease(context, &mut out)?;
            objects.tries.lease(context, &mut out)
        });
        leased.expect("two leases");
        let context = heap.context().expect("attached");
        let mut transaction = Transaction::begin(context, None).expect("a transaction");
        transaction.on(&objects.jobs).put(&[1; 20]).expect("a promise");
        die()
    });
    assert_eq!(child.wait(), End::Signal(libc::SIGKILL));
}

/// A group of operations.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Group {
    Read,
    Check,
    Sweep,
    Change(Kind),
    ChangeDirectory,
    Transact,
    End,
    Reclaim,
    CheckAgain,
}

/// What is run, in this order.
pub(crate) fn groups() -> Vec<Group> {
    let mut groups = vec![Group::Read, Group::Check, Group::Sweep];
    groups.extend(Kind::ALL.iter().copied().map(Group::Change));
    groups.extend([Group::ChangeDirectory, Group::Transact, Group::End]);
    groups.extend([Group::Reclaim, Group::CheckAgain]);
    groups
}

/// Runs everything. `note` hears the number of each group, and whether it got through.
pub(crate) fn run(heap: &Heap, objects: &Objects, note: &mut dyn FnMut(usize, bool)) {
    for (number, group) in groups().into_iter().enumerate() {
        note(number, false);
        let answer = heap.with(|context| match group {
            Group::Read => {
                let names = Directory.names(context).map(|_| ());
                each_kind(|row| (row.read)(objects, context)).and(names)
            }
            Group::Check | Group::CheckAgain => check(context).map(|_| ()),
            Group::Sweep => estate::sweep(context).map(|_| ()),
            Group::Change(kind) => (row(kind).change)(objects, context),
            Group::ChangeDirectory => change_directory(context),
            Group::Transact => transact(heap, objects),
            Group::End => each_kind(|row| (row.end)(objects, context)),
            Group::Reclaim => allocator::reclaim(context),
        });
        if answer.is_ok() {
            note(number, true);
        }
    }
}

/// Does something to all kinds, whatever one of them answers. Answers the last error.
fn each_kind(mut act: impl FnMut(Row) -> Result<()>) -> Result<()> {
    let mut answer = Ok(());
    for kind in Kind::ALL {
        answer = act(row(*kind)).and(answer);
    }
    answer
}

/// Goes on whatever the answer is: each operation is to be tried. Answers the last error.
pub(crate) fn all(steps: &mut [&mut dyn FnMut() -> Result<()>]) -> Result<()> {
    let mut answer = Ok(());
    for step in steps {
        answer = step().and(answer);
    }
    answer
}

fn change_directory(context: &Context) -> Result<()> {
    all(&mut [
        &mut || Directory.get::<Map>(context, "large").map(|_| ()),
        &mut || Directory.get_or_create(context, "new", &map::Recipe).map(|_| ()),
        &mut || Directory.get_or_create(context, "newer", &value::Recipe::of(&[1; 99])).map(|_| ()),
        &mut || Directory.remove(context, "new"),
        &mut || Directory.remove(context, "tries"),
    ])
}

fn transact(heap: &Heap, objects: &Objects) -> Result<()> {
    let mut transaction = Transaction::begin(heap.context()?, None)?;
    for kind in Kind::ALL {
        if let InTransaction::Does(act) = row(*kind).transact {
            act(objects, &mut transaction)?;
        }
    }
    transaction.commit()
}
