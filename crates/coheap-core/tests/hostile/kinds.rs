//! What is done to the objects of each kind in a damaged heap: one row each.
//!
//! What an operation answers does not matter (`everything`): all of a row's operations are tried,
//! whatever the first one says.
//!
//! What always holds: a kind that is registered in the engine and has no row here does not compile.

use coheap_core::error::{Error, Result};
use coheap_core::journal::Context;
use coheap_core::objects::{Directory, Mutex};
use coheap_core::transaction::Transaction;
use coheap_core::{AnyObject, Kind};

use crate::everything::{Objects, all};
use crate::support::in_milliseconds;
use crate::support::objects::integer;

/// What is done to the objects of a kind. A step answers the last error that it met.
pub(crate) struct Row {
    /// Which objects of the heap are of this kind.
    pub(crate) objects: fn(&Objects) -> Vec<AnyObject>,
    /// Changes nothing.
    pub(crate) read: Step,
    pub(crate) change: Step,
    pub(crate) transact: InTransaction,
    /// Empties them or ends them.
    pub(crate) end: Step,
}

type Step = fn(&Objects, &Context) -> Result<()>;

/// What a transaction does to the objects of a kind.
pub(crate) enum InTransaction {
    Does(fn(&Objects, &mut Transaction) -> Result<()>),
    /// Nothing, and why.
    Nothing(&'static str),
}

/// What is done to a kind. Add `Kind::New => NEW` for a new one.
pub(crate) fn row(kind: Kind) -> Row {
    match kind {
        Kind::Value => VALUE,
        Kind::Map => MAP,
        Kind::Queue => QUEUE,
        Kind::Mutex => MUTEX,
        Kind::RecursiveMutex => RECURSIVE_MUTEX,
    }
}

const VALUE: Row = Row {
    objects: |objects| vec![objects.number.into(), objects.text.into()],
    read: |objects, context| {
        let Objects { number, text, .. } = objects;
        let (mut one, mut two) = (Vec::new(), Vec::new());
        all(&mut [
            &mut || number.get(context, &mut one),
            &mut || text.get(context, &mut two),
            &mut || number.integer(context).map(|_| ()),
        ])
    },
    change: |objects, context| {
        let Objects { number, text, .. } = objects;
        all(&mut [
            &mut || number.add(context, 1).map(|_| ()),
            &mut || text.set(context, &[8; 2999]),
            &mut || text.set(context, b"short"),
            &mut || number.set(context, &[1; 400]),
            &mut || text.compare_and_set(context, b"short", &[3; 3000]).map(|_| ()),
        ])
    },
    transact: InTransaction::Does(|objects, tx| tx.on(&objects.text).set(&[1; 60])),
    end: |_, context| {
        all(&mut [&mut || remove(context, "number"), &mut || remove(context, "text")])
    },
};

const MAP: Row = Row {
    objects: |objects| vec![objects.small.into(), objects.large.into()],
    read: |objects, context| {
        let Objects { small, large, .. } = objects;
        let (mut one, mut two) = (Vec::new(), Vec::new());
        all(&mut [
            &mut || small.get(context, &[5; 20], &mut one).map(|_| ()),
            &mut || small.get(context, b"nothing", &mut two).map(|_| ()),
            &mut || large.contains(context, &1000u64.to_le_bytes()).map(|_| ()),
            &mut || small.snapshot(context).map(|_| ()),
            &mut || large.scan(context, 0, 500).map(|_| ()),
            &mut || large.len(context).map(|_| ()),
            &mut || large.note(context).map(|_| ()),
        ])
    },
    change: |objects, context| {
        let Objects { small, large, .. } = objects;
        let (mut out, mut key, mut value) = (Vec::new(), Vec::new(), Vec::new());
        all(&mut [
            &mut || small.set(context, &[3; 20], &[9; 41]).map(|_| ()),
            &mut || small.set(context, &[3; 20], &[9; 9000]).map(|_| ()),
            &mut || small.set(context, b"a new key of the small map", &[1; 100]).map(|_| ()),
            &mut || small.compare_and_set(context, b"x", None, Some(b"y")).map(|_| ()),
            &mut || small.add(context, &[1], 5).map(|_| ()),
            &mut || (0..64).try_for_each(|n| small.set(context, &[n, n], b"growth").map(|_| ())),
            &mut || small.remove(context, &[6; 20], &mut out).map(|_| ()),
            &mut || large.pop_last(context, &mut key, &mut value).map(|_| ()),
            &mut || large.last(context, &mut Vec::new(), &mut Vec::new()).map(|_| ()),
            &mut || large.remove_last(context, &1999u64.to_le_bytes(), &[1]).map(|_| ()),
            &mut || large.add(context, &1500u64.to_le_bytes(), 1).map(|_| ()),
            &mut || (0..40).try_for_each(|n| large.set(context, &[n, 1, 1], b"growth").map(|_| ())),
        ])
    },
    transact: InTransaction::Does(|objects, tx| {
        tx.on(&objects.small).add(&[1], 1)?;
        tx.on(&objects.large).set(b"key", &[1; 50]).map(|_| ())
    }),
    end: |objects, context| {
        all(&mut [
            &mut || objects.large.clear(context),
            &mut || objects.small.clear(context),
            &mut || remove(context, "small"),
        ])
    },
};

const QUEUE: Row = Row {
    objects: |objects| vec![objects.jobs.into(), objects.tries.into()],
    read: |objects, context| {
        all(&mut [&mut || objects.tries.failed(context).map(|_| ()), &mut || {
            objects.jobs.len(context).map(|_| ())
        }])
    },
    change: |objects, context| {
        let Objects { jobs, tries, lease, .. } = objects;
        let (mut one, mut two, mut three) = (Vec::new(), Vec::new(), Vec::new());
        let now = Some(in_milliseconds(0));
        all(&mut [
            // It is the lease of another process: the answer is that it is lost.
            &mut || match jobs.ack(context, lease) {
                Err(Error::LeaseLost) => Ok(()),
                other => other,
            },
            &mut || jobs.put(context, b"short"),
            &mut || jobs.put(context, &[1; 333]),
            &mut || jobs.put_many(context, &[b"a", &[2; 100]]).map(|_| ()),
            &mut || (0..4).try_for_each(|_| jobs.get(context, &mut one)),
            &mut || {
                let lease = jobs.lease(context, &mut two)?;
                jobs.ack(context, &lease)
            },
            &mut || {
                let lease = tries.lease_wait(context, now, &mut three)?;
                tries.nack(context, &lease, None)
            },
            &mut || tries.put_wait(context, now, &[1; 20]),
            &mut || jobs.join(context, now).or(Ok(())),
            &mut || jobs.leased(context).map(|_| ()),
            &mut || tries.close(context),
        ])
    },
    transact: InTransaction::Does(|objects, tx| {
        tx.on(&objects.jobs).get(&mut Vec::new())?;
        tx.on(&objects.jobs).put(&[1; 70])
    }),
    end: |_, context| all(&mut [&mut || remove(context, "tries"), &mut || remove(context, "jobs")]),
};

const MUTEX: Row = Row {
    objects: |objects| vec![objects.lock.into()],
    read: |objects, context| look_at(&objects.lock, context),
    change: |objects, context| {
        let Objects { lock, .. } = objects;
        all(&mut [
            &mut || {
                lock.lock(context, Some(in_milliseconds(5)))?;
                lock.unlock(context)
            },
            &mut || use_value_of(lock, context),
        ])
    },
    transact: NO_PART,
    end: |_, context| remove(context, "lock"),
};

const RECURSIVE_MUTEX: Row = Row {
    objects: |objects| vec![objects.again.into()],
    read: |objects, context| look_at(&objects.again.mutex(), context),
    change: |objects, context| {
        let again = objects.again.mutex();
        all(&mut [
            &mut || {
                again.lock(context, Some(in_milliseconds(5)))?;
                again.note_time(context)?;
                again.lock_again(context)?;
                again.leave(context)?;
                again.leave(context)
            },
            &mut || use_value_of(&again, context),
            &mut || {
                if again.try_lock(context)?.is_some() {
                    again.unlock_marked(context, 1)?;
                }
                again.recover(context).map(|_| ())
            },
        ])
    },
    transact: NO_PART,
    end: |_, context| remove(context, "again"),
};

const NO_PART: InTransaction =
    InTransaction::Nothing("a lock that user code holds is no part of a transaction");

fn look_at(lock: &Mutex, context: &Context) -> Result<()> {
    all(&mut [
        &mut || lock.holder(context).map(|_| ()),
        &mut || lock.depth(context).map(|_| ()),
        &mut || lock.traits(context).map(|_| ()),
    ])
}

fn use_value_of(lock: &Mutex, context: &Context) -> Result<()> {
    lock.value().set(context, &integer(3))?;
    lock.value().add(context, 1).map(|_| ())
}

/// An object that an operation before has ended is no news.
fn remove(context: &Context, name: &str) -> Result<()> {
    match Directory.remove(context, name) {
        Err(Error::NoSuchName) => Ok(()),
        other => other,
    }
}
