//! Why a command did not do what it was asked for, and the exit status that says so.
//!
//! What always holds: a failure is reported once, on standard error, as one line for people; a
//! signal needs no words. Not here: how a command cleans up, which it does before it returns.

use std::io::Write as _;
use std::process::ExitCode;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or a path in it makes no sense.
    Usage(String),
    /// Something broke, or a result is wrong.
    Failed(String),
    /// A signal asked the program to stop.
    Signal(u8),
    /// The answer is no, with a status of its own; without a text nothing is said.
    No {
        /// What is said.
        text: Option<String>,
        /// The exit status.
        status: u8,
    },
}

impl Failure {
    /// Says it and returns the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        let (text, status) = match self {
            Self::Usage(text) => (text, 2),
            Self::Failed(text) => (text, 1),
            Self::No { text: Some(text), status } => (text, *status),
            Self::No { text: None, status } => return ExitCode::from(*status),
            Self::Signal(number) => return ExitCode::from(128u8.saturating_add(*number)),
        };
        // With standard error closed there is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "coheap: {text}");
        ExitCode::from(status)
    }
}

impl From<coheap_core::Error> for Failure {
    fn from(error: coheap_core::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<coheap::Error> for Failure {
    fn from(error: coheap::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
