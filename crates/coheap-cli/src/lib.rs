//! The terminal of coheap: what `coheap demo` does, and how it says no.
//!
//! The exit status is 0 when all went well, 1 when something failed or a result is wrong, 2 for
//! arguments and paths that make no sense, 128 plus the signal after Ctrl-C or a polite `kill`.
//!
//! What needs Python is done by the Python beside this program.
//!
//! Not here: shared memory. The terminal uses the crate `coheap` as any program would.

#![forbid(unsafe_code)]

mod append;
mod args;
mod failure;
mod python;
mod signals;
mod demo;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Does what the command line says and returns the exit status.
pub fn run() -> ExitCode {
    let done = match Args::parse().command {
        Command::Demo(request) if request.python => Err(python::run(&request)),
        Command::Demo(request) => demo::run(&request),
        Command::Append(request) => append::run(&request),
        Command::Worker => demo::worker::work(),
        Command::CompareWorker { folder } => demo::compare::work(&folder),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
