//! Each kind is held to ringing those who wait for its objects: a waiter looks again after some time
//! by itself, so without a ring it is only late.
//!
//! What always holds: a kind without a row here does not compile.
//!
//! Not here: waiting for an object's transaction lock, which is the same for all kinds (`header`).

use std::path::Path;
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Recipe, Typed};
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::journal::Context;
use crate::kind::{Kind, for_each_kind};
use crate::objects::{Directory, Handle, Mutex, Queue};
use crate::objects::{map, mutex, queue, recursive_mutex, value};
use crate::os;
use crate::sync::tickers::FOR_LONG;
use crate::transaction::Transaction;

/// What can be waited for of a kind.
struct Row {
    /// Makes an object with the name `object`.
    make: fn(&Context) -> Handle,
    /// Empty where an object of the kind never makes anybody wait.
    waits: &'static [Wait],
}

/// One public function that waits.
struct Wait {
    /// File and function, in the folder of the kind.
    name: &'static str,
    /// Brings the object to where the wait blocks.
    block: fn(&Context, Handle) -> Result<()>,
    /// Does what the wait is for.
    release: fn(&Context, Handle) -> Result<()>,
    wait: fn(&Heap, Handle) -> Result<()>,
}

/// The waits of a kind.
fn row(kind: Kind) -> Row {
    match kind {
        // Every value has a lock beside it.
        Kind::Value => Row { make: |context| make(context, &value::Recipe::of(&[0])), waits: LOCK },
        // Who wants what is not in a map is told so at once.
        Kind::Map => Row { make: |context| make(context, &map::Recipe), waits: &[] },
        Kind::Queue => Row {
            make: |context| make(context, &queue::Recipe { limit: 1, max_attempts: 0 }),
            waits: QUEUE,
        },
        Kind::Mutex => {
            Row { make: |context| make(context, &mutex::Recipe::default()), waits: LOCK }
        }
        Kind::RecursiveMutex => {
            Row { make: |context| make(context, &recursive_mutex::Recipe::default()), waits: LOCK }
        }
    }
}

fn make(context: &Context, recipe: &impl Recipe) -> Handle {
    Directory.get_or_create(context, "object", recipe).expect("room").handle()
}

const LOCK: &[Wait] = &[
    Wait {
        name: "mod::lock",
        block: hold,
        release: let_go,
        wait: |heap, handle| heap.with(|context| Mutex { handle }.lock(context, None).map(|_| ())),
    },
    Wait {
        name: "mod::lock_until",
        block: hold,
        release: let_go,
        wait: |heap, handle| {
            let lock = Mutex { handle };
            heap.with(|context| lock.lock_until(context, os::now(), late()).map(|_| ()))
        },
    },
    Wait {
        name: "waiting::wait_until_free",
        block: hold,
        release: let_go,
        wait: |heap, handle| {
            heap.with(|context| Mutex { handle }.wait_until_free(context, os::now(), late()))
        },
    },
];

const QUEUE: &[Wait] = &[
    Wait {
        name: "waiting::get_wait",
        block: leave_empty,
        release: fill,
        wait: |heap, handle| {
            heap.with(|context| Queue { handle }.get_wait(context, None, &mut Vec::new()))
        },
    },
    Wait {
        name: "waiting::lease_wait",
        block: leave_empty,
        release: fill,
        wait: |heap, handle| {
            let queue = Queue { handle };
            heap.with(|context| queue.lease_wait(context, None, &mut Vec::new()).map(|_| ()))
        },
    },
    Wait {
        name: "waiting::lease_until",
        block: leave_empty,
        release: fill,
        wait: |heap, handle| {
            let (queue, now, mut out) = (Queue { handle }, os::now(), Vec::new());
            heap.with(|context| queue.lease_until(context, now, late(), &mut out).map(|_| ()))
        },
    },
    Wait {
        name: "waiting::wait_until_ready",
        block: leave_empty,
        release: fill,
        wait: |heap, handle| {
            heap.with(|context| Queue { handle }.wait_until_ready(context, os::now(), late()))
        },
    },
    Wait {
        name: "inside::get_until",
        block: leave_empty,
        release: fill,
        wait: |heap, handle| {
            let mut transaction = Transaction::begin(heap.context()?, None)?;
            let mut inside = transaction.on(&Queue { handle });
            inside.get_until(os::now(), late(), &mut Vec::new()).map(|_| ())
        },
    },
    Wait {
        name: "waiting::put_wait",
        block: fill,
        release: take,
        wait: |heap, handle| heap.with(|context| Queue { handle }.put_wait(context, None, b"item")),
    },
    Wait {
        name: "waiting::put_until",
        block: fill,
        release: take,
        wait: |heap, handle| {
            heap.with(|context| Queue { handle }.put_until(context, os::now(), late(), b"item"))
        },
    },
    Wait {
        name: "waiting::wait_until_roomy",
        block: fill,
        release: take,
        wait: |heap, handle| {
            heap.with(|context| Queue { handle }.wait_until_roomy(context, os::now(), late()))
        },
    },
    Wait {
        name: "inside::put_until",
        block: fill,
        release: take,
        wait: |heap, handle| {
            let mut transaction = Transaction::begin(heap.context()?, None)?;
            transaction.on(&Queue { handle }).put_until(os::now(), late(), b"item")
        },
    },
    Wait {
        name: "waiting::join",
        block: fill,
        release: take,
        wait: |heap, handle| heap.with(|context| Queue { handle }.join(context, None)),
    },
    Wait {
        name: "waiting::join_until",
        block: fill,
        release: take,
        wait: |heap, handle| {
            heap.with(|context| Queue { handle }.join_until(context, os::now(), late()))
        },
    },
];

fn hold(context: &Context, handle: Handle) -> Result<()> {
    Mutex { handle }.lock(context, None).map(|_| ())
}

fn let_go(context: &Context, handle: Handle) -> Result<()> {
    Mutex { handle }.unlock(context)
}

fn leave_empty(_: &Context, _: Handle) -> Result<()> {
    Ok(())
}

fn fill(context: &Context, handle: Handle) -> Result<()> {
    Queue { handle }.put(context, b"item")
}

fn take(context: &Context, handle: Handle) -> Result<()> {
    Queue { handle }.get(context, &mut Vec::new())
}

const PATIENCE: Duration = Duration::from_secs(60);

/// When a wait is over that nobody ends.
fn late() -> u64 {
    os::now() + PATIENCE.as_nanos() as u64
}

/// Goal: a wait is found by its object, and none outlives it.
/// Method: a thread waits for a new object until it sleeps, and says for which; then the object is
/// ended, and the thread must hear of it.
#[test]
fn who_waits_for_an_object_hears_of_its_end() {
    for kind in Kind::ALL {
        let Row { make, waits } = row(*kind);
        waits.iter().for_each(|wait| Scene::new(make).end(*kind, wait));
    }
}

/// Goal: who waits for an object is woken when it has what they wait for, and need not look again
/// by themselves some milliseconds later.
/// Method: a thread waits for a new object until it sleeps; then the object gets what the thread
/// waits for. At once, before the thread can have come back by itself, its bell must have been rung.
#[test]
fn who_waits_for_an_object_is_woken_when_the_wait_is_over() {
    for kind in Kind::ALL {
        let Row { make, waits } = row(*kind);
        waits.iter().for_each(|wait| Scene::new(make).release(*kind, wait));
    }
}

/// Goal: no wait is forgotten in the rows above.
/// Method: each public function in a kind's folder that is given a time to wait is in them.
#[test]
fn every_function_that_waits_is_tried() {
    for kind in Kind::ALL {
        let tried: Vec<&str> = row(*kind).waits.iter().map(|wait| wait.name).collect();
        for name in functions_that_wait(folder(*kind)) {
            assert!(tried.contains(&&*name), "`{name}` of a {kind} is not tried: kinds/tests.rs");
        }
    }
    assert_eq!(functions_that_wait("queue").len(), QUEUE.len(), "they are found in the source");
}

/// A heap with one object.
struct Scene {
    heap: Heap,
    context: Rc<Context>,
    handle: Handle,
}

impl Scene {
    fn new(make: fn(&Context) -> Handle) -> Self {
        let heap = Heap::anonymous(1 << 20).expect("a heap");
        let context = heap.context().expect("attached");
        let handle = make(&context);
        Self { heap, context, handle }
    }

    /// Ends the object that a thread waits for.
    fn end(&self, kind: Kind, wait: &'static Wait) {
        let (waiter, sleeper) = self.start(wait);
        Directory.remove(&self.context, "object").expect("it is there");
        let (name, answer) = (wait.name, waiter.join().expect("no panic"));
        let (_, object) = sleeper.unwrap_or_else(|| panic!("`{name}` of a {kind} does not sleep"));
        assert_eq!(object, self.handle.at, "`{name}` of a {kind} waits for another object");
        assert_eq!(answer, Err(Error::ObjectGone), "`{name}` of a {kind}, which was ended");
    }

    /// Releases a wait. The bell of its thread must be rung.
    fn release(&self, kind: Kind, wait: &'static Wait) {
        let name = wait.name;
        let (waiter, sleeper) = self.start(wait);
        let (row, _) = sleeper.unwrap_or_else(|| panic!("`{name}` of a {kind} does not sleep"));
        let rung = || self.heap.region().bell(row).signal.watched();
        let before = rung();
        (wait.release)(&self.context, self.handle).expect("the object has what is waited for");
        let after = rung();
        assert_eq!(waiter.join().expect("no panic"), Ok(()), "`{name}` of a {kind}, released");
        assert_ne!(
            before, after,
            "`release` of `{name}` of a {kind} rings nobody (kinds/tests.rs): what ends this wait \
             must call `wait::ring` for the reason that the waiter has given"
        );
    }

    /// Brings the object to where the wait blocks, starts the wait in a thread, and returns that
    /// thread with its row and the object that it waits for.
    fn start(&self, wait: &'static Wait) -> (JoinHandle<Result<()>>, Option<(u32, u64)>) {
        let (heap, handle) = (self.heap.clone(), self.handle);
        (wait.block)(&self.context, handle).expect("a new object");
        let waiter = thread::spawn(move || (wait.wait)(&heap, handle));
        let sleeper = self.sleeper(&|| waiter.is_finished());
        (waiter, sleeper)
    }

    /// The row of another thread that sleeps, and the object that it waits for. `None`: none does,
    /// till its work is over or for long.
    fn sleeper(&self, is_over: &dyn Fn() -> bool) -> Option<(u32, u64)> {
        let end = Instant::now() + PATIENCE;
        while !is_over() && Instant::now() < end {
            let region = self.heap.region();
            let others = (0..region.real_rows()).filter(|row| *row != self.context.index());
            let mut rows = others.map(|row| (row, region.context(row).sleeps_on.get() & !FOR_LONG));
            if let Some(sleeper) = rows.find(|(_, object)| *object != 0) {
                return Some(sleeper);
            }
            thread::yield_now();
        }
        None
    }
}

macro_rules! define_folders {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $noun:literal, $turns:literal,
        $folder:ident $(, $overlay:ident)?;)*) => {
        fn folder(kind: Kind) -> &'static str {
            match kind {
                $(Kind::$variant => stringify!($folder),)*
            }
        }
    };
}
for_each_kind!(define_folders);

/// `file::function` of each public function in a kind's folder that is told how long to wait.
fn functions_that_wait(folder: &str) -> Vec<String> {
    let mut names = Vec::new();
    let kinds = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/objects/kinds");
    collect_functions_that_wait(&kinds.join(folder), &mut names);
    names
}

fn collect_functions_that_wait(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of a kind") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_functions_that_wait(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        let file = path.file_stem().expect("a name").to_string_lossy();
        for function in text.split("    pub fn ").skip(1) {
            let signature = function.split('{').next().unwrap_or_default();
            let name = signature.split(['(', '<']).next().unwrap_or_default();
            let times = ["deadline: Option<u64>", "until: u64", ": Patience"];
            if times.iter().any(|time| signature.contains(time)) {
                names.push(format!("{file}::{name}"));
            }
        }
    }
}
