//! Processes that do their part when they are told to.
//!
//! What always holds: an actor is killed and reaped when its handle goes; none outlives its alarm.

use coheap_core::os::failpoint;

use crate::support::child::{self, Child, End, exit_now, fork, signal};
use crate::support::is_so_within;
use crate::support::page::Page;
use crate::world::child::die;

/// Seconds that an actor may live.
const SECONDS: u32 = 20;
/// Words of an actor in the page.
const WORDS: usize = 32;
const READY: usize = 0;
const CUE: usize = 1;
const STORES: usize = 2;
const ROW: usize = 3;
const TEXT: usize = 4;

/// What an actor itself sees of the page.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    page: Page,
    base: usize,
}

/// An actor, as its parent sees it.
#[derive(Debug)]
pub(crate) struct Actor {
    part: Part,
    child: Child,
    cues: u64,
}

/// A page for so many actors.
pub(crate) fn page(actors: usize) -> Page {
    Page::new(actors * WORDS)
}

impl Part {
    fn get(&self, word: usize) -> u64 {
        self.page.get(self.base + word)
    }

    fn set(&self, word: usize, value: u64) {
        self.page.set(self.base + word, value);
    }

    /// Says that the actor is ready, then waits for the next cue.
    pub(crate) fn wait_for_cue(&self, number: u64) {
        self.set(READY, number);
        while self.get(CUE) < number {
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
    }

    /// Says which row the actor's thread has.
    pub(crate) fn say_row(&self, row: u32) {
        self.set(ROW, u64::from(row));
    }

    /// Says how many stores were counted, and dies.
    pub(crate) fn survive(&self) -> ! {
        self.set(STORES, failpoint::disarm() + 1);
        die()
    }

    /// Ends with an answer.
    pub(crate) fn end(&self, answer: &str) -> ! {
        self.page.set_text_within(self.base + TEXT, WORDS - TEXT, answer);
        exit_now(0)
    }
}

extern "C" fn nothing(_: i32) {}

/// Lets SIGUSR1 end a wait of this process.
fn be_interruptible() {
    // SAFETY: all zero is a valid `sigaction`: no flags, so that system calls are not begun again.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: the action outlives the call, and the handler does nothing.
    unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
}

impl Actor {
    /// Forks the actor with this number.
    pub(crate) fn new(page: &Page, number: usize, work: impl FnOnce(&Part)) -> Self {
        let part = Part { page: page.clone(), base: number * WORDS };
        let child = fork(|| {
            child::alarm(SECONDS);
            be_interruptible();
            work(&part);
            0
        });
        Self { part, child, cues: 0 }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid() as u32
    }

    /// Waits until the actor is ready, then gives it the next cue.
    pub(crate) fn cue(&mut self) -> Result<(), String> {
        self.cues += 1;
        let (part, child, number) = (&self.part, &mut self.child, self.cues);
        let is_ready = || part.get(READY) >= number || child.has_ended().is_some();
        if !is_so_within(crate::support::PATIENCE, is_ready) || part.get(READY) < number {
            return Err(format!("an actor is not ready for cue {number}: {}", self.answer()));
        }
        self.part.set(CUE, number);
        Ok(())
    }

    /// Waits until the actor is ready for its next cue.
    pub(crate) fn until_ready(&mut self) -> Result<(), String> {
        let (part, child, number) = (&self.part, &mut self.child, self.cues + 1);
        let is_ready = || part.get(READY) >= number || child.has_ended().is_some();
        if !is_so_within(crate::support::PATIENCE, is_ready) || part.get(READY) < number {
            return Err(format!("an actor is not ready: {}", self.answer()));
        }
        Ok(())
    }

    /// Its row.
    pub(crate) fn row(&self) -> u32 {
        self.part.get(ROW) as u32
    }

    /// How many stores were counted. `None`: it did not survive.
    pub(crate) fn stores(&self) -> Option<u64> {
        self.part.get(STORES).checked_sub(1)
    }

    /// What it answered.
    pub(crate) fn answer(&self) -> String {
        self.part.page.text(self.part.base + TEXT)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.has_ended().is_some()
    }

    /// Waits until it ends. `false`: it halts instead.
    pub(crate) fn ends(&mut self) -> Result<bool, String> {
        let mut is_halted = false;
        let child = &mut self.child;
        is_so_within(crate::support::PATIENCE, || {
            is_halted = child.state() == 'T';
            is_halted || child.has_ended().is_some()
        });
        match child.has_ended() {
            Some(End::Signal(libc::SIGKILL) | End::Exit(0)) => Ok(true),
            None if is_halted => Ok(false),
            end => Err(format!("an actor ended with {end:?}: {}", self.answer())),
        }
    }

    pub(crate) fn signal(&mut self, number: i32) {
        if self.child.has_ended().is_none() {
            signal(self.child.pid(), number);
        }
    }

    /// Whether it runs nowhere, and is not stopped.
    pub(crate) fn sleeps(&self) -> bool {
        self.child.state() == 'S'
    }

    /// Stops it, once the system says so.
    pub(crate) fn stop(&mut self) {
        self.signal(libc::SIGSTOP);
        let child = &mut self.child;
        is_so_within(crate::support::PATIENCE, || {
            child.state() == 'T' || child.has_ended().is_some()
        });
    }
}

/// Stops the calling process, for a failpoint.
pub(crate) fn halt() {
    signal(std::process::id() as i32, libc::SIGSTOP);
}
