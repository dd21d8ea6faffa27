//! Locks: free, held by the living, left by the dead, used as a signal.
//!
//! A lock that was asked for with no time to wait answers `TimedOut` where a living process has
//! it; a dead holder's lock passes to the victim, which dies holding it.

use coheap_core::error::Result;
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::os;

use crate::world::operation::Operation;
use crate::world::stage::Stage;
use crate::world::states::MUTEXES;

const MUTEX: &[&str] = &["mutex"];

fn lock_at_once(stage: &Stage, context: &Context) -> Result<()> {
    stage.mutex.lock(context, Some(os::now())).map(|_| ())
}

fn lock_twice(stage: &Stage, context: &Context) -> Result<()> {
    lock_at_once(stage, context)?;
    stage.mutex.lock_again(context).map(|_| ())
}

pub(crate) const OPERATIONS: &[Operation] = &[
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
];
