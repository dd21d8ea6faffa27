//! One cell of the table: an operation from a start state, with a death at each of its stores.
//!
//! ```text
//! level one   victim dies at store k -> the parent recovers -> walk, compare
//! level two   victim dies at store k -> a recoverer dies at its store j
//!             -> reader, writer, collector -> the parent recovers -> walk, compare
//! ```
//!
//! What always holds: the states before and after are what a victim leaves that dies right before
//! its first store, and right after its last; between them an operation has one moment.

use std::sync::atomic::Ordering;
use std::time::Duration;

use coheap_core::objects::estate;
use coheap_core::os::failpoint;

use crate::neighbours;
use crate::points::Plan;
use crate::world::child::{Fate, die};
use crate::world::judge;
use crate::world::operation::{Operation, State};
use crate::world::picture::Picture;
use crate::world::snapshot::{Snapshot, difference};
use crate::world::stage::Stage;

/// Never: a victim that is to survive.
const NEVER: u64 = u64::MAX;
/// Failures of one cell that are told.
const MOST_FAILURES: usize = 3;

/// What a cell came to.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) stores: u64,
    pub(crate) crash_points: u64,
    pub(crate) recovery_points: u64,
    /// The first store whose death leaves the state after.
    pub(crate) commits_at: Option<u64>,
    pub(crate) is_changing: bool,
    /// What the slowest of those who waited needed.
    pub(crate) slowest: Option<Duration>,
    pub(crate) failures: Vec<String>,
}

/// When a victim dies.
#[derive(Clone, Copy)]
enum Death {
    Before,
    At(u64),
}

struct Cell<'a> {
    operation: &'a Operation,
    stage: Stage,
    base: Picture,
    allowed: Vec<Snapshot>,
}

/// Sweeps one cell. `None`: the operation makes no sense in this state.
pub(crate) fn sweep(operation: &Operation, state: &State, plan: &Plan) -> Option<Row> {
    let stage = Stage::new(state.max_bytes);
    (state.build)(&stage);
    let base = stage.picture();
    let mut cell = Cell { operation, stage, base, allowed: Vec::new() };
    let mut row = Row::default();
    match cell.find_allowed(&mut row) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(failure) => {
            row.failures.push(failure);
            return Some(row);
        }
    }
    cell.level_one(plan, &mut row);
    Some(row)
}

impl Cell<'_> {
    /// Runs a victim from the picture. Answers its process id and fate.
    fn victim(&self, death: Death) -> Result<(u32, Fate), String> {
        let (stage, operation) = (&self.stage, self.operation);
        let end = stage.run_from(&self.base, || {
            let context = operation.context(stage);
            if !operation.get_ready(stage)? {
                stage.shared.number(1).store(1, Ordering::Release);
                return Ok(());
            }
            let Death::At(at) = death else { die() };
            failpoint::arm(at);
            operation.run(stage, context.as_ref())?;
            stage.shared.number(0).store(failpoint::disarm(), Ordering::Release);
            stage.shared.number(2).store(1, Ordering::Release);
            die()
        });
        match end.fate {
            Fate::Failed(why) => Err(format!("the victim failed: {why}")),
            fate => Ok((end.pid, fate)),
        }
    }

    fn has_survived(&self) -> bool {
        self.stage.shared.number(2).load(Ordering::Acquire) == 1
    }

    fn find_allowed(&mut self, row: &mut Row) -> Result<bool, String> {
        let (pid, _) = self.victim(Death::Before)?;
        if self.stage.shared.number(1).load(Ordering::Acquire) == 1 {
            return Ok(false);
        }
        let before = judge::recover(&self.stage, &[pid]).map_err(|why| format!("before: {why}"))?;
        let (pid, _) = self.victim(Death::At(NEVER))?;
        row.stores = self.stage.shared.number(0).load(Ordering::Acquire);
        let after = judge::recover(&self.stage, &[pid]).map_err(|why| format!("after: {why}"))?;
        row.is_changing = before != after;
        let between = self.operation.between.map_or(Vec::new(), |between| between(&before, &after));
        self.allowed = vec![before, after];
        self.allowed.extend(between);
        Ok(true)
    }

    fn level_one(&self, plan: &Plan, row: &mut Row) {
        let moment = if plan.is_whole() { None } else { self.moment(row) };
        let seconds = plan.second_levels(row.stores, moment);
        for at in plan.first_level(row.stores, moment) {
            row.crash_points += 1;
            let outcome = self.crash(at, row).and_then(|left| {
                let Some(expected) = left else { return Ok(()) };
                let is_second = seconds.contains(&at);
                if plan.unnoticed(row.stores, at, is_second) {
                    self.crash_unnoticed(at, &expected)?;
                }
                if is_second {
                    return self.level_two(at, &expected, plan, row);
                }
                Ok(())
            });
            if let Err(failure) = outcome {
                row.failures.push(format!("death at store {at} of {}: {failure}", row.stores));
                if row.failures.len() >= MOST_FAILURES {
                    return;
                }
            }
        }
    }

    /// The store at which the operation becomes real, found by halving.
    fn moment(&self, row: &Row) -> Option<u64> {
        if !row.is_changing || self.allowed.len() > 2 {
            return None;
        }
        let (mut undone, mut done) = (0, row.stores);
        while done - undone > 1 {
            let middle = undone.midpoint(done);
            let (pid, _) = self.victim(Death::At(middle)).ok()?;
            if judge::recover(&self.stage, &[pid]).ok()? == self.allowed[1] {
                done = middle;
            } else {
                undone = middle;
            }
        }
        Some(done)
    }

    /// A death that nobody has noticed while the neighbours go on.
    fn crash_unnoticed(&self, at: u64, expected: &Snapshot) -> Result<(), String> {
        for turn in 0..neighbours::ways(&self.stage, self.operation.targets) {
            let (victim, _) = self.victim(Death::At(at))?;
            self.judge_with_neighbours(&[victim], turn, expected)
                .map_err(|why| format!("while nobody had noticed: {why}"))?;
        }
        Ok(())
    }

    /// One death, recovered by the parent. Answers the state that it left, or nothing where the
    /// victim survived.
    fn crash(&self, at: u64, row: &mut Row) -> Result<Option<Snapshot>, String> {
        let (pid, _) = self.victim(Death::At(at))?;
        let has_survived = self.has_survived();
        let found = judge::recover(&self.stage, &[pid])?;
        let Some(which) = self.allowed.iter().position(|allowed| *allowed == found) else {
            return Err(format!(
                "neither before nor after; to before: {}; to after: {}",
                difference(&self.allowed[0], &found),
                difference(&self.allowed[1], &found)
            ));
        };
        if row.is_changing && self.allowed.len() == 2 {
            match (which, row.commits_at) {
                (0, Some(commit)) => return Err(format!("undone, though {commit} was done")),
                (1, None) => row.commits_at = Some(at),
                _ => {}
            }
        }
        self.is_usable()?;
        Ok((!has_survived).then_some(found))
    }

    /// A survivor can still write to everything the victim touched, and the heap stays whole.
    fn is_usable(&self) -> Result<(), String> {
        neighbours::write(&self.stage, self.operation.targets, 0)?;
        judge::walk(&self.stage).map_err(|why| format!("after a survivor's writes: {why}"))
    }

    fn level_two(
        &self,
        at: u64,
        expected: &Snapshot,
        plan: &Plan,
        row: &mut Row,
    ) -> Result<(), String> {
        let (victim, _) = self.victim(Death::At(at))?;
        let crashed = self.stage.picture();
        self.recoverer(&crashed, NEVER)?;
        let steps = self.stage.shared.number(0).load(Ordering::Acquire);
        for step in plan.recovery(at, steps) {
            row.recovery_points += 1;
            self.crash_recovery(&crashed, victim, step, expected)
                .map_err(|why| format!("recovery died at its store {step} of {steps}: {why}"))?;
        }
        Ok(())
    }

    fn recoverer(&self, crashed: &Picture, at: u64) -> Result<u32, String> {
        let stage = &self.stage;
        let end = stage.run_from(crashed, || {
            let context = stage.context();
            failpoint::arm(at);
            estate::sweep(&context).map_err(|error| format!("{error:?}"))?;
            stage.shared.number(0).store(failpoint::disarm(), Ordering::Release);
            die()
        });
        match end.fate {
            Fate::Failed(why) => Err(format!("the recoverer failed: {why}")),
            _ => Ok(end.pid),
        }
    }

    fn crash_recovery(
        &self,
        crashed: &Picture,
        victim: u32,
        step: u64,
        expected: &Snapshot,
    ) -> Result<(), String> {
        let recoverer = self.recoverer(crashed, step)?;
        self.judge_with_neighbours(&[victim, recoverer], step, expected)
    }

    /// Reader, writer and collector go on; then the parent recovers and nothing may be lost.
    fn judge_with_neighbours(
        &self,
        victims: &[u32],
        turn: u64,
        expected: &Snapshot,
    ) -> Result<(), String> {
        let targets = self.operation.targets;
        neighbours::read(&self.stage, targets, expected)?;
        let marks = neighbours::write(&self.stage, targets, turn)?;
        neighbours::collect(&self.stage)?;
        let found = judge::recover(&self.stage, victims)
            .map_err(|why| format!("after {marks:?}: {why}"))?;
        let expected = neighbours::marked(expected, &marks, self.stage.is_full.get());
        let expected = neighbours::without_order(&expected, &marks, false);
        let found = neighbours::without_order(&found, &marks, true);
        if found == expected {
            return Ok(());
        }
        Err(format!("after {marks:?}: {}", difference(&expected, &found)))
    }
}
