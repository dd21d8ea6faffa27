//! `coheap run --list`: who holds which name.
//!
//! What always holds: nothing that a process says of itself reaches the terminal as a control
//! character; the JSON has it as it is.
//! Not here: whom the list leaves out (`coheap_core::claim`).

use std::time::{SystemTime, UNIX_EPOCH};

use coheap_core::claim::{Held, Scope, list, shown, span};
use serde_json::json;

use crate::failure::Failure;
use crate::output;

const HEAD: [&str; 7] = ["NAME", "SLOT", "SCOPE", "PID", "USER", "FOR", "COMMAND"];
/// How many characters of a name and of a command line a row has.
const SHOWN: usize = 60;

/// Prints the list.
pub(super) fn print(is_json: bool) -> Result<(), Failure> {
    let all = list()?;
    let text = if is_json { as_json(&all) } else { as_table(&all) };
    output::print(text.as_bytes())
}

fn as_json(all: &[Held]) -> String {
    let rows: Vec<_> = all
        .iter()
        .map(|held| {
            let holder = &held.holder;
            let since = holder.since.and_then(|since| since.duration_since(UNIX_EPOCH).ok());
            json!({
                "name": held.name,
                "scope": scope(held.scope),
                "slot": held.slot.map(|(slot, _)| slot),
                "slots": held.slot.map(|(_, count)| count),
                "pid": holder.pid,
                "user": holder.user_name(),
                "since": since.map(|since| since.as_secs_f64()),
                "command": holder.command,
            })
        })
        .collect();
    format!("{:#}\n", json!(rows))
}

fn as_table(all: &[Held]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(all.iter().map(row));
    output::table(&rows)
}

fn row(held: &Held) -> [String; 7] {
    let holder = &held.holder;
    let age = holder.since.and_then(|since| SystemTime::now().duration_since(since).ok());
    [
        shown(&held.name, SHOWN),
        held.slot.map_or("-".to_owned(), |(slot, count)| format!("{slot} of {count}")),
        scope(held.scope).to_owned(),
        holder.pid.map_or("?".to_owned(), |pid| pid.to_string()),
        holder.user_name().unwrap_or_else(|| "?".to_owned()),
        age.map_or("?".to_owned(), span),
        shown(&holder.command.join(" "), SHOWN),
    ]
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::User => "user",
        Scope::Machine => "machine",
    }
}
