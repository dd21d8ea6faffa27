//! Ctrl-C and a polite `kill`: who has to be ended is ended at once, whatever else is going on.
//!
//! A thread waits for the signal. It ends what was registered, which also frees anyone who waits
//! for it; long work asks in between whether a signal came, and stops.
//!
//! What always holds: from [`Signals::listen`] on, SIGINT and SIGTERM end nothing by themselves;
//! what is registered after a signal came is ended at once.
//! Not here: what is cleaned up, which is what values do when they are dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator;

use crate::failure::Failure;

/// What is to be done when a signal comes.
type Ending = Box<dyn Fn() + Send>;

/// The signal that came, if one did.
#[derive(Clone)]
pub(crate) struct Signals {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    came: AtomicUsize,
    endings: Mutex<Vec<Ending>>,
}

impl Signals {
    /// Takes over SIGINT and SIGTERM.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut signals = iterator::Signals::new([SIGINT, SIGTERM]).map_err(|error| {
            Failure::Failed(format!("cannot install a signal handler: {error}"))
        })?;
        let shared = Arc::new(Shared::default());
        let heard = Arc::clone(&shared);
        std::thread::spawn(move || signals.forever().for_each(|signal| heard.hear(signal)));
        Ok(Self { shared })
    }

    /// An error once a signal came.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.shared.came.load(Ordering::SeqCst) {
            0 => Ok(()),
            number => Err(Failure::Signal(u8::try_from(number).unwrap_or(0))),
        }
    }

    /// Has this done when a signal comes, in another thread.
    pub(crate) fn at_signal(&self, ending: impl Fn() + Send + 'static) {
        let mut endings = self.shared.endings.lock().unwrap_or_else(PoisonError::into_inner);
        if self.check().is_err() {
            ending();
        }
        endings.push(Box::new(ending));
    }
}

impl Shared {
    fn hear(&self, signal: i32) {
        let number = usize::try_from(signal).unwrap_or(0);
        let endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        self.came.store(number, Ordering::SeqCst);
        endings.iter().for_each(|ending| ending());
    }
}
