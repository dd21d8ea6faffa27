//! There is no third door: every byte of a heap is written where the failpoints are.
//!
//! Goal: the crash sweep dies before every store that passes one of the two doors of
//! `memory::region`; so nothing may be stored past them.
//!
//! Method: a child forbids itself to write to the heap's mapping and runs an operation. Each store
//! faults; the handler counts it, allows writing and sets the processor's trap flag, so that after
//! this one instruction the next handler forbids writing again. In the end the faults must be as
//! many as the stores that the doors counted, for every operation from every start state.

#![cfg(target_arch = "x86_64")]

#[path = "../support/mod.rs"]
mod support;
#[path = "../crash/world/mod.rs"]
#[allow(dead_code, reason = "the world is shared with the crash sweep")]
mod world;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use coheap_core::memory::Region;
use coheap_core::memory::layout::SPAN_BYTES;
use coheap_core::os::failpoint;

use world::child::Fate;
use world::operation::{self, Operation, State};
use world::stage::Stage;

const TRAP_FLAG: libc::greg_t = 0x100;
static BASE: AtomicUsize = AtomicUsize::new(0);
static LEN: AtomicUsize = AtomicUsize::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);

fn allow(protection: i32) {
    let (base, len) = (BASE.load(Ordering::Relaxed), LEN.load(Ordering::Relaxed));
    // SAFETY: the range is the heap's mapping; its readers and writers know of the experiment.
    unsafe { libc::mprotect(base as *mut libc::c_void, len, protection) };
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let base = BASE.load(Ordering::Relaxed);
    // SAFETY: the kernel hands over valid pointers; the address is set for this signal.
    let address = unsafe { (*info).si_addr() } as usize;
    if !(base..base + LEN.load(Ordering::Relaxed)).contains(&address) {
        // A real fault: without a handler it happens again and ends the child.
        // SAFETY: a plain call that may be made in a handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    FAULTS.fetch_add(1, Ordering::Relaxed);
    allow(libc::PROT_READ | libc::PROT_WRITE);
    set_flags(context, |flags| flags | TRAP_FLAG);
}

extern "C" fn on_trap(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    allow(libc::PROT_READ);
    set_flags(context, |flags| flags & !TRAP_FLAG);
}

fn set_flags(context: *mut libc::c_void, change: impl FnOnce(libc::greg_t) -> libc::greg_t) {
    // SAFETY: the third argument of a handler with SA_SIGINFO is the interrupted context.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let flags = &mut registers[libc::REG_EFL as usize];
    *flags = change(*flags);
}

fn catch(signal: i32, handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void)) {
    // SAFETY: all zero is a valid `sigaction`; the handler keeps to what handlers may do.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// From here on every store to the heap is counted.
fn close_doors(region: &Region) {
    let len = region.data_start() + region.span_limit() * SPAN_BYTES;
    BASE.store(std::ptr::from_ref(region.header()) as usize, Ordering::Relaxed);
    LEN.store(len as usize, Ordering::Relaxed);
    FAULTS.store(0, Ordering::Relaxed);
    catch(libc::SIGSEGV, on_fault);
    catch(libc::SIGTRAP, on_trap);
    region.protect(false);
}

/// Faults and hits of one operation, or nothing where it makes no sense.
fn count(operation: &Operation, state: &State) -> Result<Option<(u64, u64)>, String> {
    let stage = Stage::new(state.max_bytes);
    (state.build)(&stage);
    let end = stage.run_from(&stage.picture(), || {
        let context = operation.context(&stage);
        if !operation.get_ready(&stage)? {
            return Ok(());
        }
        close_doors(stage.region());
        failpoint::arm(u64::MAX);
        let answer = operation.run(&stage, context.as_ref());
        let hits = failpoint::disarm() + failpoint::in_bulk();
        stage.region().protect(true);
        stage.shared.number(0).store(FAULTS.load(Ordering::Relaxed), Ordering::Release);
        stage.shared.number(1).store(hits, Ordering::Release);
        stage.shared.number(2).store(1, Ordering::Release);
        answer
    });
    match end.fate {
        Fate::Finished if stage.shared.number(2).load(Ordering::Acquire) == 0 => Ok(None),
        Fate::Finished => {
            let number = |index| stage.shared.number(index).load(Ordering::Acquire);
            Ok(Some((number(0), number(1))))
        }
        Fate::Killed => Err("it was killed".into()),
        Fate::Failed(why) => Err(why),
    }
}

#[test]
fn every_store_to_a_heap_passes_one_of_the_two_doors() {
    world::child::watch();
    let (mut stores, mut cells) = (0, 0);
    let mut wrong = Vec::new();
    // Who attaches anew has a mapping of its own, which is not the one that is watched.
    let watched = operation::all().into_iter().filter(|row| row.variant != "attach anew");
    for operation in watched {
        for state in operation.states {
            let title = format!("{}, {}", operation.title(), state.name);
            match count(&operation, state) {
                Ok(None) => {}
                Ok(Some((faults, hits))) if faults == hits => {
                    stores += hits;
                    cells += 1;
                }
                Ok(Some((faults, hits))) => {
                    wrong.push(format!("{title}: {faults} faults, {hits} stores counted"));
                }
                Err(why) => wrong.push(format!("{title}: {why}")),
            }
        }
    }
    println!("{cells} cells, {stores} stores, each of them by a door");
    assert!(stores > 1000, "the doors counted {stores} stores in {cells} cells");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_store_past_the_doors_is_noticed() {
    let stage = Stage::new(4 << 20);
    let end = stage.shared.run(|| {
        let at = std::ptr::from_ref(&stage.region().header().swept).cast_mut().cast::<u64>();
        close_doors(stage.region());
        failpoint::arm(u64::MAX);
        Region::store(&stage.region().header().swept, 1);
        // SAFETY: the word lies in the mapping; the store is the mistake that must be seen.
        unsafe { at.write_volatile(2) };
        let hits = failpoint::disarm();
        stage.region().protect(true);
        match (FAULTS.load(Ordering::Relaxed), hits) {
            (2, 1) => Ok(()),
            (faults, hits) => Err(format!("{faults} faults, {hits} hits")),
        }
    });
    assert_eq!(end.fate, Fate::Finished);
}
