//! The crash sweep: a process dies before every single store of every operation.
//!
//! Goal: whichever store a process is killed at, the heap is afterwards in the state before the
//! operation or in the state after it, nothing is lost, nothing is owned twice, and nobody is
//! stuck; the same when the process that recovers is killed at any of its own stores.
//!
//! Method: real children, really killed (`world`), over a table of operations and start states
//! that is held against the source (`source`). `cargo test` tries some points of every cell,
//! `make crash` all of them. `COHEAP_CRASH=Map::set` sweeps only what has that in its title.

#![allow(clippy::print_stdout, reason = "the table is what this program is run for")]

#[path = "../support/mod.rs"]
mod support;
mod world;
mod points;
mod neighbours;
mod sweep;
mod waits;
mod workers;
mod source;

use std::collections::BTreeSet;
use std::time::Instant;

use coheap_core::Kind;

use points::Plan;
use workers::Cell;
use world::kinds::{self, Reading};
use world::operation::{self, Operation};

#[test]
fn the_table_has_every_operation_of_the_source() {
    let known: BTreeSet<String> =
        operation::all().iter().flat_map(|row| row.names).map(|name| (*name).to_owned()).collect();
    let real = source::operations();
    let missing: Vec<&String> = real.difference(&known).collect();
    let invented: Vec<&String> = known.difference(&real).collect();
    assert!(
        missing.is_empty(),
        "operations that nobody dies in: {missing:?}; add each to `OPERATIONS` of its kind, in \
         tests/crash/world/kinds/<kind>.rs, or of what belongs to no kind, in tests/crash/world/drivers/"
    );
    assert!(
        invented.is_empty(),
        "`OPERATIONS` below tests/crash/world/ names what is not in the source: {invented:?}"
    );
}

/// Goal: no kind has a row in `world::kinds` that tries next to nothing.
/// Method: each one has operations that make an object, with a name and without, and that end it;
/// and others, which start from three states at least.
#[test]
fn each_kind_is_made_used_and_ended() {
    for kind in Kind::ALL {
        let file = format!("tests/crash/world/kinds/{}.rs", kind.noun().replace(' ', "_"));
        let operations = kinds::row(*kind).operations;
        let mut used: Vec<&Operation> = operations.iter().collect();
        for name in ["Directory::get_or_create", "ledger::create", "Directory::remove"] {
            used.retain(|row| !row.names.contains(&name));
            let is_there = operations.iter().any(|row| row.names.contains(&name));
            assert!(is_there, "nobody dies in `{name}` of a {kind}: add it to {file}");
        }
        let states: BTreeSet<&str> =
            used.iter().flat_map(|row| row.states).map(|state| state.name).collect();
        assert!(states.len() >= 3, "a {kind} is used from the states {states:?} only: {file}");
    }
}

#[test]
fn an_operation_is_found_in_the_source_wherever_its_signature_breaks() {
    let text = "#[cfg(test)]\nmod tests;\n\nimpl Map {\n    pub fn set(\n        &self,\n        context: &Context,\n    ) -> u8 {\n\
                    }\n    pub fn name(&self) -> u8 {\n    }\n}\n\npub fn sweep(context: &Context) {\n}\n";
    assert_eq!(source::operations_in(text, "estate"), ["Map::set", "estate::sweep"]);
}

#[test]
fn a_death_at_some_stores_leaves_all_or_nothing() {
    run(Plan::part);
}

#[test]
#[ignore = "takes many minutes: make crash"]
fn a_death_at_any_store_leaves_all_or_nothing() {
    run(|_| Plan::whole());
}

/// Sweeps all cells and prints the table.
fn run(plan: impl Fn(usize) -> Plan) {
    let only = std::env::var("COHEAP_CRASH").unwrap_or_default();
    let operations = operation::all();
    let scenes = waits::all();
    let mut cells: Vec<Cell<'_>> = operations
        .iter()
        .filter(|operation| operation.title().contains(&only))
        .flat_map(|operation| operation.states.iter().map(move |state| Cell::Of(operation, state)))
        .collect();
    let scenes = scenes.iter().filter(|scene| scene.title().contains(&only));
    cells.extend(scenes.map(Cell::Beside));
    let started = Instant::now();
    println!(
        "{:<44} {:<30} {:>7} {:>7} {:>9} {:>7}",
        "operation", "state", "stores", "crashes", "recovery", "seconds"
    );
    for kind in Kind::ALL {
        if let Reading::Nothing(why) = kinds::row(*kind).read {
            println!("nobody reads a {kind} beside a recovery: {why}");
        }
    }
    let totals = workers::sweep_all(&cells, plan);
    println!(
        "{} cells, {} deaths, {} deaths of a recovery, in {:.0} s",
        totals.cells,
        totals.crash_points,
        totals.recovery_points,
        started.elapsed().as_secs_f64()
    );
    assert!(totals.cells > 0, "no operation has {only:?} in its title");
    let failures = totals.failures;
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
