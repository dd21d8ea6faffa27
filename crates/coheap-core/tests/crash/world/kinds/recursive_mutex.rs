//! Recursive locks: free, held once or twice by the living and by the dead, marked, and strict.
//!
//! The lock `again` is made by the start states. It is used as a recursive lock is: who has it asks
//! `lock_again`, and `leave` lets it go when it was left as often as it was taken.

use std::rc::Rc;

use coheap_core::error::{Error, Result};
use coheap_core::heap::floors::ContextFloors as _;
use coheap_core::journal::Context;
use coheap_core::objects::kinds::OfHandle as _;
use coheap_core::objects::recursive_mutex::{Recipe, RecursiveMutex};
use coheap_core::objects::{Directory, Mutex, estate, ledger, mutex};
use coheap_core::os;

use super::mutex::read;
use super::{Mark, NAMELESS, NAMES, Reading, Row, Subject, TEXT, Victims, find, is_free};
use crate::world::operation::{Operation, State};
use crate::world::snapshot::{Content, Told};
use crate::world::stage::Stage;
use crate::world::states::{DIRECTORIES, LEDGERS, state};

const AGAIN: &[&str] = &["again"];

const RECIPE: Recipe<'static> = Recipe(mutex::Recipe { value: b"short", is_strict: false });
const STRICT: Recipe<'static> = Recipe(mutex::Recipe { value: b"short", is_strict: true });

fn again(stage: &Stage) -> Mutex {
    Mutex::of(stage.object("again").handle())
}

fn make(stage: &Stage, recipe: &Recipe<'_>) -> Mutex {
    stage.make("again", recipe).mutex()
}

fn lock_at_once(lock: &Mutex, context: &Context) -> Result<()> {
    lock.lock(context, Some(os::now())).map(|_| ())
}

fn lock_twice(lock: &Mutex, context: &Context) -> Result<()> {
    lock_at_once(lock, context)?;
    lock.lock_again(context).map(|_| ())
}

/// A process takes the lock twice and dies.
fn leave_to_the_dead(stage: &Stage, recipe: &Recipe<'_>) -> Mutex {
    let lock = make(stage, recipe);
    stage.leave_dead(|context| lock_twice(&lock, context));
    lock
}

const FREE: State = state("free", |stage| {
    make(stage, &RECIPE);
});
const HELD_TWICE: State = state("held twice by a living process", |stage| {
    lock_twice(&make(stage, &RECIPE), &stage.context()).expect("a free lock");
});
const LEFT_BY_THE_DEAD: State = state("held twice, holder dead", |stage| {
    leave_to_the_dead(stage, &RECIPE);
});
const REFUSED: State = state("strict and marked", |stage| {
    let lock = leave_to_the_dead(stage, &STRICT);
    let refused = lock.try_lock(&stage.context());
    assert!(matches!(refused, Err(Error::OwnerDied { .. })), "{refused:?}");
});

/// For the operations that only look, and for those that every lock has.
const FEW: &[State] = &[FREE, HELD_TWICE, LEFT_BY_THE_DEAD, REFUSED];

const ALL: &[State] = &[
    FREE,
    state("held by a living process", |stage| {
        lock_at_once(&make(stage, &RECIPE), &stage.context()).expect("a free lock");
    }),
    HELD_TWICE,
    state("holder dead", |stage| {
        let lock = make(stage, &RECIPE);
        stage.leave_dead(|context| lock_at_once(&lock, context));
    }),
    LEFT_BY_THE_DEAD,
    state("held twice, dead and settled", |stage| {
        leave_to_the_dead(stage, &RECIPE);
        estate::sweep(&stage.context()).expect("a recovery");
    }),
    state("free and marked", |stage| {
        let (lock, context) = (make(stage, &RECIPE), stage.context());
        lock_at_once(&lock, &context).expect("a free lock");
        lock.unlock_marked(&context, context.member().pid()).expect("a held lock");
    }),
    state("held twice, let go by another", |stage| {
        let (lock, context) = (make(stage, &RECIPE), stage.context());
        lock_twice(&lock, &context).expect("a free lock");
        lock.unlock_for_another(&context).expect("a held lock");
    }),
    state("strict, holder dead", |stage| {
        leave_to_the_dead(stage, &STRICT);
    }),
    REFUSED,
];

fn lock_before(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    lock_at_once(&again(stage), context)
}

fn lock_twice_before(stage: &Stage, context: &Rc<Context>) -> Result<()> {
    lock_twice(&again(stage), context)
}

const OPERATIONS: &[Operation] = &[
    Operation::new(&["Mutex::lock"], "recursive, no time", ALL, AGAIN, |stage, context| {
        lock_at_once(&again(stage), context)
    }),
    Operation::new(&["Mutex::lock_until"], "recursive, no time", FEW, AGAIN, |stage, context| {
        let now = os::now();
        again(stage).lock_until(context, now, now).map(|_| ())
    }),
    Operation::new(
        &["Mutex::wait_until_free"],
        "recursive, no time",
        FEW,
        AGAIN,
        |stage, context| {
            let now = os::now();
            again(stage).wait_until_free(context, now, now)
        },
    ),
    Operation::new(&["Mutex::try_lock"], "recursive, once", ALL, AGAIN, |stage, context| {
        again(stage).try_lock(context).map(|_| ())
    }),
    Operation::new(&["Mutex::try_lock_at"], "recursive, once", FEW, AGAIN, |stage, context| {
        again(stage).try_lock_at(context, os::now()).map(|_| ())
    }),
    Operation::new(&["Mutex::lock_soon"], "recursive, once", FEW, AGAIN, |stage, context| {
        again(stage).lock_soon(context, os::now()).map(|_| ())
    }),
    Operation::new(&["Mutex::lock_again"], "recursive, own", ALL, AGAIN, |stage, context| {
        again(stage).lock_again(context).map(|_| ())
    })
    .prepared(lock_before),
    Operation::new(&["Mutex::lock_again"], "recursive, third", FEW, AGAIN, |stage, context| {
        again(stage).lock_again(context).map(|_| ())
    })
    .prepared(lock_twice_before),
    Operation::new(&["Mutex::lock_again"], "recursive, not own", ALL, AGAIN, |stage, context| {
        again(stage).lock_again(context).map(|_| ())
    }),
    Operation::new(&["Mutex::leave"], "recursive, once of twice", ALL, AGAIN, |stage, context| {
        again(stage).leave(context)
    })
    .prepared(lock_twice_before),
    Operation::new(&["Mutex::leave"], "recursive, to depth 0", ALL, AGAIN, |stage, context| {
        again(stage).leave(context)?;
        again(stage).leave(context)
    })
    .prepared(lock_twice_before),
    Operation::new(&["Mutex::leave"], "recursive, not own", FEW, AGAIN, |stage, context| {
        again(stage).leave(context)
    }),
    Operation::new(&["Mutex::unlock"], "recursive, at depth 2", FEW, AGAIN, |stage, context| {
        again(stage).unlock(context)
    })
    .prepared(lock_twice_before),
    Operation::new(
        &["Mutex::unlock_for_another"],
        "recursive, any",
        ALL,
        AGAIN,
        |stage, context| again(stage).unlock_for_another(context),
    ),
    Operation::new(
        &["Mutex::unlock_marked"],
        "recursive, at depth 2",
        FEW,
        AGAIN,
        |stage, context| again(stage).unlock_marked(context, context.member().pid()),
    )
    .prepared(lock_twice_before),
    Operation::new(&["Mutex::recover"], "recursive, any", ALL, AGAIN, |stage, context| {
        again(stage).recover(context).map(|_| ())
    }),
    Operation::new(&["Mutex::note_time"], "recursive, at depth 2", FEW, AGAIN, |stage, context| {
        again(stage).note_time(context)
    })
    .prepared(lock_twice_before),
    Operation::new(
        &["Mutex::depth", "Mutex::holder", "Mutex::traits"],
        "recursive, questions",
        FEW,
        AGAIN,
        |stage, context| {
            again(stage).depth(context)?;
            again(stage).holder(context)?;
            again(stage).traits(context).map(|_| ())
        },
    ),
    Operation::new(&["Value::set"], "beside a recursive lock", FEW, AGAIN, |stage, context| {
        again(stage).value().set(context, &[b'm'; 30])
    }),
    Operation::new(
        &["Directory::get_or_create"],
        "recursive lock",
        DIRECTORIES,
        NAMES,
        |_, context| Directory.get_or_create(context, "new", &RECIPE).map(|_| ()),
    ),
    Operation::new(&["Directory::remove"], "recursive lock", ALL, NAMES, |_, context| {
        Directory.remove(context, "again")
    }),
    Operation::new(&["ledger::create"], "recursive lock", LEDGERS, NAMELESS, |_, context| {
        ledger::create(context, &RECIPE).map(|_| ())
    }),
    Operation::new(
        &["ledger::release"],
        "last, of a held recursive lock",
        LEDGERS,
        NAMELESS,
        |stage, context| {
            let reference = *stage.references.borrow().last().expect("prepared");
            ledger::release(context, &reference)
        },
    )
    .prepared(|stage, context| {
        let (lock, reference) = ledger::create(context, &RECIPE)?;
        stage.references.borrow_mut().push(reference);
        lock_twice(&lock.mutex(), context)
    }),
];

pub(crate) const ROW: Row = Row {
    operations: OPERATIONS,
    find: find::<RecursiveMutex>,
    look,
    read: Reading::Optimistic(read),
    write: &[write],
};

/// As a mutex; and whoever gets it counts from one, whatever the last holder had come to.
fn look(subject: &Subject<'_>, victims: &Victims<'_>) -> Result<Content> {
    let lock = Mutex::of(subject.handle);
    let content = super::mutex::look(subject, victims)?;
    if let Content::Mutex { told: Told::Clean | Told::Died | Told::DiedMisnamed, .. } = content {
        take_twice(&lock, subject.context)?;
    }
    Ok(content)
}

fn write(subject: &Subject<'_>) -> Result<Option<Mark>> {
    if !is_free(subject.region(), subject.handle.turn) || !subject.has_room() {
        return Ok(None);
    }
    let lock = Mutex::of(subject.handle);
    if lock.depth(subject.context)? > 0 || !take_twice(&lock, subject.context)? {
        return Ok(None);
    }
    lock.value().set(subject.context, TEXT)?;
    Ok(Some(Mark::Lock))
}

/// Takes the lock twice and leaves it twice. `false`: somebody has it.
fn take_twice(lock: &Mutex, context: &Context) -> Result<bool> {
    if lock.try_lock(context)?.is_none() {
        return Ok(false);
    }
    for depth in [1, 2] {
        assert_eq!(lock.depth(context)?, depth, "taken {depth} times");
        assert!(depth == 2 || lock.lock_again(context)?, "a holder takes it again");
    }
    for depth in [1, 0] {
        lock.leave(context)?;
        assert_eq!(lock.depth(context)?, depth, "left until it is held {depth} times");
    }
    Ok(true)
}
