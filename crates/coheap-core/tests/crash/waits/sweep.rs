//! All performances of a scene: a death at each store, and of a recoverer after it.
//!
//! What always holds: where others act between two stores of the victim, they do so before each one,
//! and the victim dies at each one that follows.

use std::cell::Cell;

use super::actor;
use super::play::{Deaths, Ending, Theatre};
use super::scene::Scene;
use crate::points::Plan;
use crate::sweep::Row;
use crate::world::stage::Stage;
use crate::world::states::ROOMY;

/// Never: a process that is to survive.
const NEVER: u64 = u64::MAX;
/// Failures of one scene that are told.
const MOST_FAILURES: usize = 3;
/// Who plays in a scene at most.
const MOST_ACTORS: usize = 8;
/// A halt that the victim does not come to in so many places in a row is beyond its end.
const BEYOND: u64 = 2;

/// Sweeps a scene.
pub(crate) fn sweep(scene: &Scene, plan: &Plan) -> Row {
    let stage = Stage::new(ROOMY);
    (scene.build)(&stage);
    let base = stage.picture();
    let theatre = Theatre { scene, stage, base, page: actor::page(MOST_ACTORS) };
    let mut row = Row::default();
    let all = Sweep { theatre, plan, slowest: Cell::default() };
    all.run(&mut row);
    row.slowest = Some(all.slowest.get());
    row
}

struct Sweep<'a> {
    theatre: Theatre<'a>,
    plan: &'a Plan,
    slowest: Cell<std::time::Duration>,
}

impl Sweep<'_> {
    fn run(&self, row: &mut Row) {
        let whole = Deaths { victim: NEVER, halt: None, recoverer: None };
        let Some(stores) = self.play(whole, row).and_then(|ending| ending.stores) else {
            return;
        };
        row.stores = stores;
        if self.theatre.scene.meanwhile.is_none() {
            self.deaths(row);
            return;
        }
        for halt in self.plan.first_level(stores + BEYOND, None) {
            let whole = Deaths { halt: Some(halt), ..whole };
            let Some(ending) = self.play(whole, row) else { return };
            let stores = ending.stores.unwrap_or(stores);
            row.stores = row.stores.max(stores);
            for victim in self.plan.first_level(stores, None) {
                if victim >= halt {
                    row.crash_points += 1;
                    if self.play(Deaths { victim, ..whole }, row).is_none() {
                        return;
                    }
                }
            }
        }
    }

    fn deaths(&self, row: &mut Row) {
        let seconds = self.plan.second_levels(row.stores, None);
        for victim in self.plan.first_level(row.stores, None) {
            let deaths = Deaths { victim, halt: None, recoverer: None };
            row.crash_points += 1;
            if self.play(deaths, row).is_none() {
                return;
            }
            if !seconds.contains(&victim) {
                continue;
            }
            let all = Deaths { recoverer: Some(NEVER), ..deaths };
            let Some(Ending { recovery: Some(steps), .. }) = self.play(all, row) else { return };
            for step in self.plan.beside_waits().recovery(victim, steps) {
                row.recovery_points += 1;
                if self.play(Deaths { recoverer: Some(step), ..all }, row).is_none() {
                    return;
                }
            }
        }
    }

    /// Plays the scene once. `None`: it failed too often.
    fn play(&self, deaths: Deaths, row: &mut Row) -> Option<Ending> {
        match self.theatre.play(deaths) {
            Ok(ending) => {
                self.slowest.set(self.slowest.get().max(ending.slowest));
                Some(ending)
            }
            Err(failure) => {
                row.failures.push(format!("{deaths:?}: {failure}"));
                (row.failures.len() < MOST_FAILURES).then(Ending::default)
            }
        }
    }
}
