//! What the tests of claims share: a name, a holder in another process, and what others see of it.
//!
//! What always holds: a holder that a test started ends with the test.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use coheap_core::claim::{Claim, Holder, Name, Outcome, Request, Scope};

use crate::support::child::{Child, fork};
use crate::support::page::Page;
use crate::support::{PATIENCE, in_milliseconds, until};

/// Where the state of a holder stands in the page.
const STATE: usize = 0;
/// Asks the holder to go on.
const GO: usize = 1;
const HELD: u64 = 1;
const REFUSED: u64 = 2;

/// A name that no other test has.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) text: String,
    pub(crate) page: Page,
}

impl Scene {
    pub(crate) fn new(test: &str) -> Self {
        let number = coheap_core::os::random_u64().expect("a random number");
        Self { text: format!("{test} {number:016x}"), page: Page::new(64) }
    }

    pub(crate) fn name(&self) -> Name {
        Name::single(&self.text, Scope::User).expect("a name")
    }

    pub(crate) fn request(&self) -> Request {
        Request::new(self.name())
    }

    /// Claims the name, or a slot of it, without waiting.
    pub(crate) fn try_hold(&self) -> Outcome {
        Claim::acquire(&self.request(), 0).expect("an answer")
    }

    /// Claims the name, which must be free.
    pub(crate) fn hold(&self) -> Claim {
        match self.try_hold() {
            Outcome::Held(claim) => claim,
            Outcome::Taken(holder) => panic!("held by {holder}"),
        }
    }

    /// Waits for the name, at most as long as a test waits.
    pub(crate) fn wait(&self) -> Claim {
        let until = in_milliseconds(PATIENCE.as_millis() as u64);
        match Claim::acquire(&self.request(), until).expect("an answer") {
            Outcome::Held(claim) => claim,
            Outcome::Taken(holder) => panic!("still held by {holder}"),
        }
    }

    /// Who holds the name, as others see it.
    pub(crate) fn holder(&self) -> Option<Holder> {
        match self.try_hold() {
            Outcome::Held(_) => None,
            Outcome::Taken(holder) => Some(holder),
        }
    }

    /// The process that holds the name, as another process sees it.
    pub(crate) fn seen_elsewhere(&self) -> Option<u32> {
        const SEEN: usize = 2;
        self.page.set(SEEN, 0);
        fork(|| {
            let pid = self.holder().map_or(u64::MAX, |holder| holder.pid.unwrap_or(0).into());
            self.page.set(SEEN, pid);
            0
        })
        .must_succeed();
        u32::try_from(self.page.get(SEEN)).ok()
    }

    /// A child that holds the name, then does something, and ends when it is let go.
    pub(crate) fn start(&self, body: impl FnOnce(&Claim)) -> Child {
        self.page.set(STATE, 0);
        self.page.set(GO, 0);
        let child = fork(|| {
            let outcome = self.try_hold();
            let Outcome::Held(claim) = outcome else {
                self.page.set(STATE, REFUSED);
                return 0;
            };
            body(&claim);
            self.page.set(STATE, HELD);
            self.until_let_go();
            0
        });
        until("the holder began", || self.page.get(STATE) != 0);
        assert_eq!(self.page.get(STATE), HELD, "the child did not get the name");
        child
    }

    pub(crate) fn let_go(&self) {
        self.page.set(GO, 1);
    }

    pub(crate) fn until_let_go(&self) {
        until("let go", || self.page.get(GO) == 1);
    }

    /// The file of the name, if it is there.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.files().into_iter().next()
    }

    fn files(&self) -> Vec<PathBuf> {
        let start: String = self.text.replace(' ', "_").chars().take(40).collect();
        let user = coheap_core::os::user();
        let folders = ["/dev/shm", "/tmp"]
            .iter()
            .flat_map(|base| [format!("{base}/coheap-{user}"), format!("{base}/coheap-machine")]);
        let entries = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        let is_own = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start))
        };
        entries.flatten().map(|entry| entry.path()).filter(is_own).collect()
    }

    /// How long the name takes to be free; it must become so.
    pub(crate) fn time_until_free(&self) -> Duration {
        let begin = Instant::now();
        drop(self.wait());
        begin.elapsed()
    }
}

/// Removes the file of a scene at the end of its test.
#[derive(Debug)]
pub(crate) struct Tidy<'a>(pub(crate) &'a Scene);

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        self.0.files().iter().for_each(|file| drop(std::fs::remove_file(file)));
    }
}
