//! The command line: what can be said, and which numbers make sense.
//!
//! What always holds: a request that gets past here has workers and kills within their limits;
//! whether its paths are there is seen by the command itself.
//! Not here: what the commands do.

pub(crate) mod heaps;
pub(crate) mod run;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Most worker processes.
const MAX_WORKERS: i64 = 64;
/// Most kills in a second.
const MAX_KILLS: f64 = 50.0;

/// One shared-memory heap for many processes, always consistent; and programs that run only once.
#[derive(Debug, Parser)]
#[command(name = "coheap", version, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, after_help = STATUSES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const STATUSES: &str = "\
Exit status: 0 if all went well, 1 if something failed, 2 for arguments that make no sense, 128 plus
the signal after Ctrl-C or SIGTERM; `coheap run` has more. `coheap COMMAND --help` tells the rest.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command only once at a time, or at most N times
    ///
    /// The name is held by the kernel for the command and is free when it ends, however that happens:
    /// there is no file to clean up and no moment in which two get in.
    Run(run::Request),
    /// Count words in many processes while some of them are being killed
    ///
    /// Worker processes take pieces of the text files below PATH from a shared queue and add
    /// their words to a shared map; meanwhile random workers get SIGKILL and are replaced. At the
    /// end every count is compared with that of a single process. A word is a match of
    /// [A-Za-z0-9_]+. Links to files are followed, linked folders are not entered; what is not
    /// UTF-8 is skipped.
    Demo(Request),
    /// Print the completions for a shell
    ///
    /// For bash, in ~/.bashrc: source <(coheap completions bash)
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Append the lines of the input to a file that other processes append to, too: all or none
    Append(crate::append::Request),
    /// List the heaps with a name, and what dead processes have left of others
    Ls(heaps::List),
    /// Show what is in a heap, and who uses it
    Stat(heaps::Stat),
    /// Remove heaps by their names, or what dead processes have left of others
    ///
    /// Processes that use a heap keep it; no other process finds it any more. It ends with the last of them.
    Rm(heaps::Remove),
    /// A worker of `demo`, which starts it itself
    #[command(hide = true)]
    Worker,
    /// A worker of `demo --compare`, which starts it itself
    #[command(hide = true)]
    CompareWorker {
        /// Where the database and the list of items are.
        folder: PathBuf,
    },
}

/// What `coheap demo` is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Request {
    /// Files and folders with text [default: the standard library of the Python on the path, or
    /// the Rust sources, or /usr/share/doc]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How many processes count, 1 to 64 [default: one for each CPU, at least 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MAX_WORKERS))]
    pub(crate) workers: Option<u8>,
    /// How many workers are killed in a second, on average, 0 to 50
    #[arg(long, value_name = "K", default_value = "5", value_parser = kills)]
    pub(crate) kills_per_second: f64,
    /// Do the same with LMDB and a pipe, without kills, and print both times; with `--python`,
    /// with `multiprocessing`
    #[arg(long)]
    pub(crate) compare: bool,
    /// Count with workers in Python
    #[arg(long)]
    pub(crate) python: bool,
    /// How the workers in Python are started: fork, spawn or forkserver [default: fork]
    #[arg(long, value_name = "METHOD", requires = "python")]
    #[arg(value_parser = ["fork", "spawn", "forkserver"])]
    pub(crate) start_method: Option<String>,
    /// Write counts, skipped files and figures to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Request {
    /// How many processes count.
    pub(crate) fn workers(&self) -> usize {
        let cpus = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        self.workers.map_or(cpus.clamp(2, MAX_WORKERS as usize), usize::from)
    }
}

fn kills(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(kills) if (0.0..=MAX_KILLS).contains(&kills) => Ok(kills),
        _ => Err(format!("{text} is not a number from 0 to {MAX_KILLS}")),
    }
}
