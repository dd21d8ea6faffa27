//! `coheap run`: a command that runs once at a time, or at most so many times.
//!
//! This process takes the name and then becomes the command, which holds it from there on: there is no
//! process between whose death would let another one in, no signal to pass on, and no status to copy.
//!
//! What always holds: the command starts only while its name is held.
//! Not here: how a name is held (`coheap_core::claim`).

mod list;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use coheap_core::claim::{
    self, Claim, Ending, Holder, Name, Outcome, Request as Wanted, Scope, shown,
};
use coheap_core::{Error, system};

use crate::args::run::{self as args, ALREADY_RUNNING, Request};
use crate::failure::Failure;

/// The variable in which a command finds the number of its slot.
const SLOT: &str = "COHEAP_SLOT";
/// How long a process that was killed may take to be gone.
const KILLED: Duration = Duration::from_secs(60);

/// Does what the request says. Comes back only if there is no command, or none can be run.
pub(crate) fn run(request: &Request) -> Result<(), Failure> {
    if request.list {
        return list::print(request.json);
    }
    let name = name_of(request).map_err(|error| match error {
        Error::BadName(_) | Error::BadArgument(_) => Failure::Usage(error.to_string()),
        other => other.into(),
    })?;
    // Found out now, before anybody is ended for the sake of it.
    let Some((program, arguments)) = request.command.split_first().filter(|(it, _)| !it.is_empty())
    else {
        let text = "the command after -- is empty; nothing was run; name a program";
        return Err(Failure::Usage(text.to_owned()));
    };
    let wanted = Wanted { survives_exec: true, ..Wanted::new(name) };
    let claim = claim_as(request, &wanted)?;
    let mut command = Command::new(program);
    command.args(arguments);
    match request.slots {
        Some(_) => command.env(SLOT, claim.slot().to_string()),
        // That of another name, which this command does not hold.
        None => command.env_remove(SLOT),
    };
    claim.keep_over_exec()?;
    let error = system::become_program(&mut command);
    let status = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    let text = format!("cannot run {}: {error}", shown(&program.to_string_lossy(), 255));
    Err(Failure::No { text: Some(text), status })
}

fn name_of(request: &Request) -> Result<Name, Error> {
    let scope = match request.scope {
        args::Scope::User => Scope::User,
        args::Scope::Machine => Scope::Machine,
    };
    match (&request.single, &request.slots) {
        (_, Some((name, count))) => Name::with_slots(name, scope, *count),
        (single, None) => Name::single(single.as_deref().unwrap_or_default(), scope),
    }
}

/// Holds the name, in the way that the request asks for.
fn claim_as(request: &Request, wanted: &Wanted) -> Result<Claim, Failure> {
    let until = match request.wait {
        None => 0,
        Some(None) => u64::MAX,
        Some(Some(seconds)) => in_seconds(seconds),
    };
    let mut taken = match acquire(wanted, until)? {
        Outcome::Held(claim) => return Ok(claim),
        Outcome::Taken(holder) => holder,
    };
    if request.replace {
        loop {
            match replace(request, wanted, &taken)? {
                Outcome::Held(claim) => return Ok(claim),
                // Somebody else was faster.
                Outcome::Taken(other) => taken = other,
            }
        }
    }
    if let Some(answer) = ask(request, wanted)? {
        // As `exit` takes it: the last eight bits.
        return Err(Failure::No { text: None, status: answer as u8 });
    }
    let text = (!request.quiet).then(|| refusal(wanted, &taken));
    Err(Failure::No { text, status: ALREADY_RUNNING })
}

/// Ends the holder, in both ways if need be, and attempts to hold the name after it.
fn replace(request: &Request, wanted: &Wanted, holder: &Holder) -> Result<Outcome, Failure> {
    let cannot = |error: Error| {
        Failure::Failed(format!("cannot replace {holder}: {error}; end it as its user, or wait"))
    };
    let grace = in_seconds(request.grace);
    let Some(ended) = claim::end_holder(wanted, Ending::Polite, None).map_err(cannot)? else {
        return acquire(wanted, 0);
    };
    match acquire(wanted, grace)? {
        Outcome::Taken(still) if still.pid == ended.pid => {}
        other => return Ok(other),
    }
    // Not whoever has got the name since.
    claim::end_holder(wanted, Ending::Killed, ended.pid).map_err(cannot)?;
    acquire(wanted, in_seconds(KILLED.as_secs_f64()))
}

/// Asks the holder, which may be a program that answers those who come second.
fn ask(request: &Request, wanted: &Wanted) -> Result<Option<i32>, Failure> {
    if request.slots.is_some() {
        return Ok(None);
    }
    let folder = std::env::current_dir().unwrap_or_default();
    let arguments: Vec<OsString> = request.command.clone();
    match claim::ask(&wanted.name, &arguments, &folder) {
        // Arguments that are too long for a question are no reason to fail.
        Err(Error::BadArgument(_)) => Ok(None),
        other => Ok(other?),
    }
}

fn refusal(wanted: &Wanted, holder: &Holder) -> String {
    let name = shown(wanted.name.text(), 255);
    match wanted.name.slots() {
        None => format!(
            "`{name}` is already running: {holder}; nothing was run; use --wait, or --replace it"
        ),
        Some(count) => format!(
            "all {count} slots of `{name}` are taken, one by {holder}; nothing was run; use --wait"
        ),
    }
}

/// Claims a name; a signal that is handled does not end the wait.
fn acquire(wanted: &Wanted, until: u64) -> Result<Outcome, Failure> {
    loop {
        match Claim::acquire(wanted, until) {
            Err(Error::Interrupted) => {}
            other => return Ok(other?),
        }
    }
}

fn in_seconds(seconds: f64) -> u64 {
    let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_nanos();
    system::now().saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))
}
