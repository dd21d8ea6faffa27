//! Ctrl-C and a polite `kill`: noticed between two steps, never in the middle of one.
//!
//! What always holds: from [`Signals::listen`] on, SIGINT and SIGTERM only set a number; whoever
//! does long work asks for it several times a second.
//! Not here: what is cleaned up, which is what values do when they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

/// The signal that came, if one did.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    came: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes over SIGINT and SIGTERM.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let came = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or(0);
            signal_hook::flag::register_usize(signal, Arc::clone(&came), number)
                .map_err(|error| Failure::Failed(format!("no handler for signals: {error}")))?;
        }
        Ok(Self { came })
    }

    /// An error once a signal came.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.came.load(Ordering::Relaxed) {
            0 => Ok(()),
            number => Err(Failure::Signal(u8::try_from(number).unwrap_or(0))),
        }
    }
}
