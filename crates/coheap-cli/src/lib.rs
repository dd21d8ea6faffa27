//! The terminal of coheap: what its commands do, and how they say no.
//!
//! The exit status is 0 when all went well, 1 when something failed or a result is wrong, 2 for
//! arguments and paths that make no sense, 128 plus the signal after Ctrl-C or a polite `kill`.
//! `coheap run` has that of the command it runs.
//!
//! What needs Python is done by the Python beside this program.
//!
//! Not here: shared memory. The terminal uses the crate `coheap` as any program would.

#![forbid(unsafe_code)]

mod append;
mod args;
mod failure;
mod heaps;
mod output;
mod python;
mod signals;
mod demo;
mod run;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use args::{Args, Command};

/// Does what the command line says and returns the exit status.
pub fn run() -> ExitCode {
    let done = match Args::parse().command {
        Command::Demo(request) if request.python => Err(python::run(&request)),
        Command::Demo(request) => demo::run(&request),
        Command::Run(request) => run::run(&request),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "coheap", &mut text);
            output::print(&text)
        }
        Command::Append(request) => append::run(&request),
        Command::Ls(request) => heaps::list::print(&request),
        Command::Stat(request) => heaps::stat::print(&request),
        Command::Rm(request) => heaps::remove::run(&request),
        Command::Worker => demo::worker::work(),
        Command::CompareWorker { folder } => demo::compare::work(&folder),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
