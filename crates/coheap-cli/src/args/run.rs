//! What `coheap run` can be told, and which of it makes sense.
//!
//! What always holds: a request that gets past here is for one name or for the list, and its numbers
//! are possible.
//! Not here: whether the name is free.

use std::ffi::OsString;

use clap::ValueEnum;

/// The status for "another one is running", as that of a temporary failure in sysexits.h.
pub(crate) const ALREADY_RUNNING: u8 = 75;

/// The longest wait in seconds that is not for ever: a hundred years.
const MAX_SECONDS: f64 = 3.2e9;

/// What `coheap run` is asked for.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUSES, override_usage = USAGE)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["single", "slots", "list"]))]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
pub(crate) struct Request {
    /// Run the command only if nobody runs under NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) single: Option<String>,
    /// Run the command only if fewer than N run under NAME; it finds the number of its slot, 0 to
    /// N-1, in the environment as COHEAP_SLOT
    #[arg(long, value_name = "NAME=N", value_parser = slots)]
    pub(crate) slots: Option<(String, u32)>,
    /// Wait until the name is free, at most SECONDS if given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, value_parser = seconds)]
    #[arg(allow_negative_numbers = true, conflicts_with = "replace")]
    pub(crate) wait: Option<Option<f64>>,
    /// End whoever runs under NAME, by SIGTERM, and take its place; of N, the one that has run longest
    #[arg(long)]
    pub(crate) replace: bool,
    /// How long `--replace` waits before it kills
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "replace")]
    #[arg(value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) grace: f64,
    /// Say nothing if the name is taken
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Who competes for NAME: the processes of this user, or all of the machine
    #[arg(long, value_enum, default_value_t = Scope::User)]
    pub(crate) scope: Scope,
    /// List who runs under which name
    #[arg(long, conflicts_with_all = ["command", "wait", "replace", "quiet"])]
    pub(crate) list: bool,
    /// List it as JSON
    #[arg(long, requires = "list", conflicts_with_all = ["single", "slots"])]
    pub(crate) json: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "list")]
    pub(crate) command: Vec<OsString>,
}

/// Who competes for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// The processes of this user
    User,
    /// All processes of the machine
    Machine,
}

const USAGE: &str = "coheap run --single NAME [OPTIONS] -- COMMAND [ARGUMENT...]
       coheap run --slots NAME=N [OPTIONS] -- COMMAND [ARGUMENT...]
       coheap run --list [--json]";

const STATUSES: &str = "\
The command takes the place of this program: it has its process id, gets all signals, and its exit
status is that of `coheap run`. The name is free when it has ended, however that happened. What it
leaves running in the background does not hold the name.

Exit status:
  75   another one is running, and did not end in time; if it is a program that answers those who
       come second, its answer instead
  126  the command cannot be run
  127  the command is not there
  2    the arguments make no sense
  1    the name cannot be guarded; the message says why
  Any other status is that of the command.

Examples:
  coheap run --single backup -- rsync -a /home /mnt     from cron: never two at once
  coheap run --single sync --wait 60 -- ./sync.sh       a minute of patience
  coheap run --single server --replace -- ./server      instead of the old one
  coheap run --slots gpu=2 --wait -- sh -c 'CUDA_VISIBLE_DEVICES=$COHEAP_SLOT exec ./train'";

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => Ok(seconds),
        _ => Err(format!("{text} is not a number of seconds, 0 or more")),
    }
}

fn slots(text: &str) -> Result<(String, u32), String> {
    let parsed = text.rsplit_once('=').and_then(|(name, count)| {
        Some((name.to_owned(), count.parse::<u32>().ok().filter(|count| *count > 0)?))
    });
    parsed.ok_or_else(|| format!("{text} is not a name and a number of slots, such as gpu=2"))
}
