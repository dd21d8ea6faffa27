//! Children that do something and die.
//!
//! What always holds: every child is waited for, and none outlives its time; what it has to say
//! is in the shared page, since its standard output belongs to the test that forked it. A parent
//! that stands still for a minute ends the whole run and says where.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::child;
pub(crate) use crate::support::child::die;

/// Seconds that a child may live.
const CHILD_SECONDS: u32 = 10;
/// Seconds that a parent may work on one experiment.
const PARENT_SECONDS: u64 = 120;
const TEXT: usize = 3000;

/// What a child tells its parent.
#[repr(C)]
#[derive(Debug)]
struct Page {
    numbers: [AtomicU64; 4],
    text_len: AtomicU64,
    text: [u8; TEXT],
}

/// A page that parent and child share.
#[derive(Debug)]
pub(crate) struct Shared {
    page: NonNull<Page>,
}

/// What became of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It killed itself where it was told to.
    Killed,
    /// It came to the end of its work.
    Finished,
    /// It did something else; this is what is known.
    Failed(String),
}

/// A child's end.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) pid: u32,
    pub(crate) fate: Fate,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: no address is asked for, so no other mapping is replaced.
        let page = unsafe {
            libc::mmap(std::ptr::null_mut(), size_of::<Page>(), protection, flags, -1, 0)
        };
        assert!(page != libc::MAP_FAILED, "a shared page can be had");
        Self { page: NonNull::new(page.cast()).expect("an address") }
    }

    fn page(&self) -> &Page {
        // SAFETY: mapped until `drop`; the numbers are atomics, the text is behind a pointer.
        unsafe { self.page.as_ref() }
    }

    /// A number that both sides may read and write.
    pub(crate) fn number(&self, index: usize) -> &AtomicU64 {
        &self.page().numbers[index]
    }

    fn say(&self, text: &str) {
        let len = text.len().min(TEXT);
        // SAFETY: inside the page; only the child writes, and the parent reads after its end.
        unsafe {
            let to = (&raw mut (*self.page.as_ptr()).text).cast::<u8>();
            std::ptr::copy_nonoverlapping(text.as_ptr(), to, len);
        }
        self.page().text_len.store(len as u64, Ordering::Release);
    }

    fn said(&self) -> String {
        let len = (self.page().text_len.load(Ordering::Acquire) as usize).min(TEXT);
        String::from_utf8_lossy(&self.page().text[..len]).into_owned()
    }

    /// Forks a child that does `work`, and waits for its end.
    pub(crate) fn run(&self, work: impl FnOnce() -> Result<(), String>) -> End {
        alive();
        self.page().text_len.store(0, Ordering::Release);
        self.page().numbers.iter().for_each(|number| number.store(0, Ordering::Release));
        let mut child = child::fork(|| self.live(work));
        let fate = match child.wait() {
            child::End::Exit(0) => Fate::Finished,
            child::End::Signal(libc::SIGKILL) => Fate::Killed,
            child::End::Signal(libc::SIGALRM) => Fate::Failed("it hung".into()),
            end => Fate::Failed(format!("it ended with {end:?}: {}", self.said())),
        };
        End { pid: child.pid() as u32, fate }
    }

    /// The life of a child; its exit status. What a panic says goes to the page.
    fn live(&self, work: impl FnOnce() -> Result<(), String>) -> i32 {
        child::alarm(CHILD_SECONDS);
        std::panic::set_hook(Box::new(|_| {}));
        let said = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => return 0,
            Ok(Err(error)) => error,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
            }
        };
        self.say(&said);
        1
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the page is ours.
        unsafe { libc::munmap(self.page.as_ptr().cast(), size_of::<Page>()) };
    }
}

static LAST_SIGN: AtomicU64 = AtomicU64::new(0);

fn seconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64
}

/// Says that the next experiment begins.
pub(crate) fn alive() {
    LAST_SIGN.store(seconds(), Ordering::Relaxed);
}

/// Ends the run when no experiment was begun for long: a parent hangs, which no child may cause.
pub(crate) fn watch() {
    static WATCHED: std::sync::Once = std::sync::Once::new();
    WATCHED.call_once(|| {
        alive();
        std::thread::spawn(|| {
            while seconds() - LAST_SIGN.load(Ordering::Relaxed) < PARENT_SECONDS {
                std::thread::sleep(Duration::from_secs(1));
            }
            eprintln!("an experiment hangs in the parent; see the last line of the table");
            std::process::abort();
        });
    });
}
