//! Death at every machine instruction of the smallest operations.
//!
//! Goal: the crash sweep dies between stores as the source has them; the compiler may have moved
//! or merged them. Here a process dies between any two instructions that really run.
//!
//! Method: a child sets the processor's trap flag and runs an operation; the handler counts
//! instructions and kills the child at the chosen one. The parent recovers, walks the heap and
//! compares. The build is the one that users have: optimised, without failpoints. `cargo test`
//! tries some instructions of each operation, `cargo test --release -- --ignored` all of them.

#![cfg(all(target_arch = "x86_64", not(feature = "failpoints")))]
#![allow(clippy::print_stdout, reason = "the table is what this program is run for")]

#[path = "../support/mod.rs"]
mod support;
#[path = "../crash/world/mod.rs"]
#[allow(dead_code, reason = "the world is shared with the crash sweep")]
mod world;

use std::arch::asm;
use std::sync::atomic::{AtomicU64, Ordering};

use world::child::{self, Fate, die};
use world::judge;
use world::operation::{self, Operation, State};
use world::picture::Picture;
use world::snapshot::{Snapshot, difference};
use world::stage::Stage;

/// Operation, variant, start state.
const SMALLEST: [(&str, &str, &str); 16] = [
    ("Value::get", "text", "block"),
    ("Value::set", "to inline", "inline"),
    ("Value::set", "to the same size", "block"),
    ("Value::add", "to an integer", "fresh"),
    ("Map::get", "short and long", "one"),
    ("Map::add", "existing", "8, positions used up"),
    ("Map::set", "existing, short to short", "8, positions used up"),
    ("Map::set", "new, short", "one"),
    ("Map::remove", "the first", "8, positions used up"),
    ("Queue::put", "short", "one"),
    ("Queue::get", "one", "one"),
    ("Mutex::lock", "no time", "free"),
    ("Mutex::unlock", "own", "free"),
    ("Mutex::lock_again", "recursive, own", "free"),
    ("Mutex::leave", "recursive, once of twice", "free"),
    ("Queue::ack", "one", "one"),
];

static STEPS: AtomicU64 = AtomicU64::new(0);
static DIE_AT: AtomicU64 = AtomicU64::new(u64::MAX);

extern "C" fn on_step(_: i32) {
    if STEPS.fetch_add(1, Ordering::Relaxed) == DIE_AT.load(Ordering::Relaxed) {
        die();
    }
}

/// From the next instruction on, each one ends in `on_step`.
#[inline(always)]
fn begin_steps(die_at: u64) {
    STEPS.store(0, Ordering::Relaxed);
    DIE_AT.store(die_at, Ordering::Relaxed);
    // SAFETY: `on_step` keeps to what handlers may do; only the trap flag is changed.
    unsafe {
        libc::signal(libc::SIGTRAP, on_step as extern "C" fn(i32) as usize);
        asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq");
    }
}

#[inline(always)]
fn end_steps() -> u64 {
    // SAFETY: only the trap flag is changed.
    unsafe { asm!("pushfq", "and qword ptr [rsp], -257", "popfq") };
    STEPS.load(Ordering::Relaxed)
}

struct Walk {
    operation: Operation,
    stage: Stage,
    base: Picture,
}

impl Walk {
    fn new(operation: Operation, state: &State) -> Self {
        let stage = Stage::new(state.max_bytes);
        (state.build)(&stage);
        let base = stage.picture();
        Self { operation, stage, base }
    }

    /// A victim that dies before the operation, at an instruction of it, or after it.
    fn victim(&self, die_at: Option<u64>) -> Result<u32, String> {
        let (stage, operation) = (&self.stage, &self.operation);
        let end = stage.run_from(&self.base, || {
            let context = operation.context(stage);
            assert!(operation.get_ready(stage)?, "the operation makes sense here");
            let Some(at) = die_at else { die() };
            begin_steps(at);
            let answer = operation.run(stage, context.as_ref());
            let steps = end_steps();
            answer?;
            stage.shared.number(0).store(steps, Ordering::Release);
            die()
        });
        match end.fate {
            Fate::Failed(why) => Err(why),
            _ => Ok(end.pid),
        }
    }

    fn left_by(&self, die_at: Option<u64>) -> Result<Snapshot, String> {
        let pid = self.victim(die_at)?;
        judge::recover(&self.stage, &[pid])
    }

    /// Tries every instruction, or `most` of them. Answers how many there are and were tried.
    fn sweep(&self, most: u64) -> Result<(u64, u64), String> {
        let before = self.left_by(None)?;
        let after = self.left_by(Some(u64::MAX))?;
        let steps = self.stage.shared.number(0).load(Ordering::Acquire);
        let mut tried = 0;
        for at in (0..steps).step_by(steps.div_ceil(most).max(1) as usize) {
            tried += 1;
            let found =
                self.left_by(Some(at)).map_err(|why| format!("at {at} of {steps}: {why}"))?;
            // Two runs may differ by a few instructions, so which of the two it is says nothing
            // about the next instruction.
            if found != after && found != before {
                let difference = difference(&before, &found);
                return Err(format!("at {at} of {steps}: neither before nor after; {difference}"));
            }
        }
        Ok((steps, tried))
    }
}

fn sweep_all(most: u64) {
    child::watch();
    let operations = operation::all();
    let mut wrong = Vec::new();
    for (name, variant, state) in SMALLEST {
        let operation = operations
            .iter()
            .find(|operation| operation.names[0] == name && operation.variant == variant)
            .expect("an operation of the table");
        let state = operation.states.iter().find(|known| known.name == state).expect("a state");
        let title = format!("{}, {}", operation.title(), state.name);
        match Walk::new(*operation, state).sweep(most) {
            Ok((steps, tried)) => {
                println!("{title:<60} {steps:>7} instructions, {tried:>7} deaths");
                if steps < 20 {
                    wrong.push(format!("{title}: only {steps} instructions were seen"));
                }
            }
            Err(why) => wrong.push(format!("{title}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn death_at_some_instructions_leaves_all_or_nothing() {
    sweep_all(40);
}

#[test]
#[ignore = "takes minutes: make crash"]
fn death_at_any_instruction_leaves_all_or_nothing() {
    sweep_all(u64::MAX);
}
