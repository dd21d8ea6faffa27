//! Locks: free, held by the living, left by the dead, used as a signal.
//!
//! A lock that was asked for with no time to wait answers `TimedOut` where a living process has
//! it; a dead holder's lock passes to the victim, which dies holding it.

use coheap_core::error::{Error, Result};
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::kinds::OfHandle as _;
use coheap_core::objects::mutex::{self, Acquired};
use coheap_core::objects::{Directory, Mutex, estate, ledger};
use coheap_core::os;

use super::{Mark, NAMELESS, NAMES, Reading, Row, Subject, TEXT, Victims, find, is_free};
use crate::world::operation::{Operation, State};
use crate::world::snapshot::{Content, Told};
use crate::world::stage::Stage;
use crate::world::states::{DIRECTORIES, LEDGERS, state};

const MUTEX: &[&str] = &["mutex"];

fn lock_and_die(stage: &Stage) {
    stage.leave_dead(|context| stage.mutex.lock(context, None).map(|_| ()));
}

const MUTEXES: &[State] = &[
    state("free", |_| {}),
    state("held by a living process", |stage| {
        stage.mutex.lock(&stage.context(), None).expect("a free lock");
    }),
    state("holder dead", lock_and_die),
    state("holder dead and settled", |stage| {
        lock_and_die(stage);
        estate::sweep(&stage.context()).expect("a recovery");
    }),
    state("holder ended", |stage| {
        let (heap, mutex) = (&stage.heap, stage.mutex);
        let work = || heap.with(|context| mutex.lock(context, None)).map(|_| ());
        let locked = std::thread::scope(|scope| scope.spawn(work).join());
        locked.expect("no panic").expect("a free lock");
    }),
    state("used as a signal", |stage| {
        let context = stage.context();
        stage.mutex.lock(&context, None).expect("a free lock");
        stage.mutex.unlock_for_another(&context).expect("a held lock");
    }),
];

fn lock_at_once(stage: &Stage, context: &Context) -> Result<()> {
    stage.mutex.lock(context, Some(os::now())).map(|_| ())
}

fn lock_twice(stage: &Stage, context: &Context) -> Result<()> {
    lock_at_once(stage, context)?;
    stage.mutex.lock_again(context).map(|_| ())
}

const OPERATIONS: &[Operation] = &[
    Operation::new(&["Mutex::lock"], "no time", MUTEXES, MUTEX, |stage, context| {
        lock_at_once(stage, context)
    }),
    Operation::new(&["Mutex::lock_until"], "no time", MUTEXES, MUTEX, |stage, context| {
        let now = os::now();
        stage.mutex.lock_until(context, now, now).map(|_| ())
    }),
    Operation::new(&["Mutex::wait_until_free"], "no time", MUTEXES, MUTEX, |stage, context| {
        let now = os::now();
        stage.mutex.wait_until_free(context, now, now)
    }),
    Operation::new(&["Mutex::depth"], "any", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.depth(context).map(|_| ())
    }),
    Operation::new(&["Mutex::try_lock"], "once", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.try_lock(context).map(|_| ())
    }),
    Operation::new(&["Mutex::try_lock_at"], "once", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.try_lock_at(context, os::now()).map(|_| ())
    }),
    Operation::new(&["Mutex::lock_soon"], "once", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.lock_soon(context, os::now()).map(|_| ())
    }),
    Operation::new(&["Mutex::unlock"], "own", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.unlock(context)
    })
    .prepared(|stage, context| lock_at_once(stage, context)),
    Operation::new(&["Mutex::unlock"], "not own", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.unlock(context)
    }),
    Operation::new(&["Mutex::unlock_for_another"], "any", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.unlock_for_another(context)
    }),
    Operation::new(&["Mutex::lock_again"], "own", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.lock_again(context).map(|_| ())
    })
    .prepared(|stage, context| lock_at_once(stage, context)),
    Operation::new(&["Mutex::lock_again"], "not own", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.lock_again(context).map(|_| ())
    }),
    Operation::new(&["Mutex::leave"], "once", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.leave(context)
    })
    .prepared(|stage, context| lock_at_once(stage, context)),
    Operation::new(&["Mutex::leave"], "once of twice", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.leave(context)
    })
    .prepared(|stage, context| lock_twice(stage, context)),
    Operation::new(&["Mutex::note_time"], "own", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.note_time(context)
    })
    .prepared(|stage, context| lock_at_once(stage, context)),
    Operation::new(&["Mutex::unlock_marked"], "own", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.unlock_marked(context, context.member().pid())
    })
    .prepared(|stage, context| lock_at_once(stage, context)),
    Operation::new(&["Mutex::recover"], "any", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.recover(context).map(|_| ())
    }),
    Operation::new(&["Mutex::traits"], "any", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.traits(context).map(|_| ())
    }),
    Operation::new(&["Mutex::holder"], "any", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.holder(context).map(|_| ())
    }),
    Operation::new(&["Value::set"], "beside a lock", MUTEXES, MUTEX, |stage, context| {
        stage.mutex.value().set(context, &[b'm'; 30])
    }),
    Operation::new(&["Directory::get_or_create"], "lock", DIRECTORIES, NAMES, |_, context| {
        Directory.get_or_create(context, "new", &mutex::Recipe::around(b"short")).map(|_| ())
    }),
    Operation::new(&["Directory::remove"], "lock", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "mutex")
    }),
    Operation::new(&["Directory::remove_only"], "lock", DIRECTORIES, NAMES, |stage, context| {
        Directory.remove_only(context, "mutex", &stage.mutex).map(|_| ())
    }),
    Operation::new(&["ledger::create"], "lock", LEDGERS, NAMELESS, |_, context| {
        ledger::create(context, &mutex::Recipe::around(b"short")).map(|_| ())
    }),
];

pub(crate) const ROW: Row = Row {
    operations: OPERATIONS,
    find: find::<Mutex>,
    look,
    read: Reading::Optimistic(read),
    write: &[write],
};

/// Whether it can be had, and how it comes to who takes it.
pub(super) fn look(subject: &Subject<'_>, victims: &Victims<'_>) -> Result<Content> {
    let Subject { context, handle, .. } = *subject;
    let mutex = Mutex::of(handle);
    let mut value = Vec::new();
    mutex.value().get(context, &mut value)?;
    let depth = mutex.depth(context)?;
    let told = match mutex.try_lock(context) {
        Ok(None) => Told::Held,
        Ok(Some(Acquired::Clean)) => Told::Clean,
        Ok(Some(Acquired::OwnerDied(pid))) if victims.pids.contains(&pid) => Told::Died,
        Ok(Some(Acquired::OwnerDied(_))) => Told::DiedMisnamed,
        Err(Error::OwnerDied { .. }) => Told::Refused,
        Err(other) => return Err(other),
    };
    if matches!(told, Told::Clean | Told::Died | Told::DiedMisnamed) {
        mutex.unlock(context)?;
    }
    Ok(Content::Mutex { value, told, depth })
}

/// The value beside the lock, which may be read whoever has the lock.
pub(super) fn read(subject: &Subject<'_>, expected: &Content) -> Result<Content> {
    let mut found = expected.clone();
    if let Content::Mutex { value, .. } = &mut found {
        Mutex::of(subject.handle).value().get(subject.context, value)?;
    }
    Ok(found)
}

fn write(subject: &Subject<'_>) -> Result<Option<Mark>> {
    if !is_free(subject.region(), subject.handle.turn) || !subject.has_room() {
        return Ok(None);
    }
    let mutex = Mutex::of(subject.handle);
    if mutex.try_lock(subject.context)?.is_none() {
        return Ok(None);
    }
    mutex.value().set(subject.context, TEXT)?;
    mutex.unlock(subject.context)?;
    Ok(Some(Mark::Lock))
}
