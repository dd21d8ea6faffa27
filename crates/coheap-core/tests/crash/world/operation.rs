//! What an experiment runs: an operation, its start states, and what it may leave behind.
//!
//! What always holds: every operation of the table has at least one start state, and its names
//! are those of the source, so that `the_table_has_every_operation_of_the_source` can compare.

use std::rc::Rc;

use coheap_core::Kind;
use coheap_core::error::{Error, Result};
use coheap_core::journal::Context;

use super::snapshot::Snapshot;
use super::stage::Stage;
use super::{drivers, kinds};

/// A state to start from.
#[derive(Clone, Copy)]
pub(crate) struct State {
    pub(crate) name: &'static str,
    pub(crate) max_bytes: u64,
    pub(crate) build: fn(&Stage),
}

/// What is run.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// An operation of a thread that is attached.
    Attached(fn(&Stage, &Rc<Context>) -> Result<()>),
    /// An operation of a process that is not attached yet.
    Alone(fn(&Stage) -> Result<()>),
}

/// What a victim may leave behind besides the state before and the state after.
pub(crate) type Between = fn(&Snapshot, &Snapshot) -> Vec<Snapshot>;

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// Its name in the source; names of others that it runs as well follow.
    pub(crate) names: &'static [&'static str],
    pub(crate) variant: &'static str,
    pub(crate) states: &'static [State],
    /// Done by the victim before anything is counted.
    pub(crate) prepare: fn(&Stage, &Rc<Context>) -> Result<()>,
    pub(crate) run: Run,
    /// Objects that it touches: neighbours look at them and write to them.
    pub(crate) targets: &'static [&'static str],
    pub(crate) between: Option<Between>,
}

impl Operation {
    pub(crate) const fn new(
        names: &'static [&'static str],
        variant: &'static str,
        states: &'static [State],
        targets: &'static [&'static str],
        run: fn(&Stage, &Rc<Context>) -> Result<()>,
    ) -> Self {
        let run = Run::Attached(run);
        Self { names, variant, states, prepare: nothing, run, targets, between: None }
    }

    pub(crate) const fn prepared(
        mut self,
        prepare: fn(&Stage, &Rc<Context>) -> Result<()>,
    ) -> Self {
        self.prepare = prepare;
        self
    }

    pub(crate) const fn stepwise(mut self, between: Between) -> Self {
        self.between = Some(between);
        self
    }

    pub(crate) fn title(&self) -> String {
        format!("{} ({})", self.names[0], self.variant)
    }

    /// What the victim does before its stores are counted. `false`: the operation makes no sense
    /// in this start state.
    pub(crate) fn get_ready(&self, stage: &Stage) -> std::result::Result<bool, String> {
        if let Run::Alone(_) = self.run {
            return Ok(true);
        }
        match (self.prepare)(stage, &stage.context()) {
            Ok(()) => Ok(true),
            Err(error) if is_tolerated(&error) => Ok(false),
            Err(error) => Err(format!("prepare: {}", unlisted(&error))),
        }
    }

    /// The operation itself. An error that users know is an answer like others.
    pub(crate) fn run(&self, stage: &Stage, context: Option<&Rc<Context>>) -> Result<(), String> {
        let answer = match (self.run, context) {
            (Run::Attached(run), Some(context)) => run(stage, context),
            (Run::Alone(run), _) => run(stage),
            (Run::Attached(run), None) => run(stage, &stage.context()),
        };
        match answer {
            Err(error) if !is_tolerated(&error) => Err(unlisted(&error)),
            _ => Ok(()),
        }
    }

    /// The context to run with: made before anything is counted.
    pub(crate) fn context(&self, stage: &Stage) -> Option<Rc<Context>> {
        match self.run {
            Run::Attached(_) => Some(stage.context()),
            Run::Alone(_) => None,
        }
    }
}

fn nothing(_: &Stage, _: &Rc<Context>) -> Result<()> {
    Ok(())
}

/// The sentence on an error that is no answer.
fn unlisted(error: &Error) -> String {
    format!(
        "{error:?}, which is not listed as an answer: `is_tolerated` of \
         tests/crash/world/operation.rs"
    )
}

/// Whether an error is an answer that an operation may give to users.
fn is_tolerated(error: &Error) -> bool {
    is_known(error)
        || matches!(
            error,
            Error::NotAnInteger
                | Error::NoSuchName
                | Error::NotOwner
                | Error::LeaseLost
                | Error::TimedOut
        )
}

/// Whether an error tells a writer that nothing was changed and why, as an answer to users does.
pub(crate) fn is_known(error: &Error) -> bool {
    matches!(
        error,
        Error::HeapFull { .. }
            | Error::Empty
            | Error::Full
            | Error::ShutDown
            | Error::Overflow
            | Error::OwnerDied { .. }
    )
}

/// The whole table: what is done to each kind, then what is done to no kind in particular.
pub(crate) fn all() -> Vec<Operation> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        all.extend_from_slice(kinds::row(*kind).operations);
    }
    all.extend_from_slice(drivers::directory::OPERATIONS);
    all.extend_from_slice(drivers::ledger::OPERATIONS);
    all.extend_from_slice(drivers::parcel::OPERATIONS);
    all.extend_from_slice(drivers::transaction::OPERATIONS);
    all.extend_from_slice(drivers::long::OPERATIONS);
    all.extend_from_slice(drivers::room::OPERATIONS);
    all.extend_from_slice(drivers::pages::OPERATIONS);
    all.extend_from_slice(drivers::membership::OPERATIONS);
    all
}
