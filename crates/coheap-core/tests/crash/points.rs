//! Which points of a cell are tried.
//!
//! The whole sweep tries every store of every operation. A part of it, for each day, tries some
//! stores of every cell: other ones in each cell, so that together they see much.
//!
//! What always holds: the first and the last store of a cell are tried.

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Deaths of a victim in one cell.
    most_deaths: u64,
    /// Deaths of a victim that are followed by deaths of a recoverer.
    most_seconds: u64,
    /// Deaths of a recoverer after one death of a victim.
    most_recoveries: u64,
    /// Shifts the points that are tried.
    shift: u64,
    /// Failures after which no further cell is begun.
    pub(crate) most_failures: usize,
}

impl Plan {
    /// Everything: all stores, and at the second level all but repetitions of bulk copies. Where
    /// a recovery is long, deaths at neighbouring stores take different steps of it, so that
    /// together they take all.
    pub(crate) fn whole() -> Self {
        Self {
            most_deaths: u64::MAX,
            most_seconds: 120,
            most_recoveries: 24,
            shift: 0,
            most_failures: 200,
        }
    }

    /// A few points of the cell with this number.
    pub(crate) fn part(cell: usize) -> Self {
        let shift = cell as u64 * 7;
        Self { most_deaths: 7, most_seconds: 2, most_recoveries: 7, shift, most_failures: 12 }
    }

    /// After which of the first level's deaths the neighbours go on before anyone recovers: all,
    /// but for repetitions of bulk copies.
    pub(crate) fn unnoticed(&self, stores: u64, at: u64, is_second: bool) -> bool {
        is_second || stores <= 400 || stores - at.min(stores) <= 100
    }

    /// The same with fewer deaths of a recoverer: each takes the time in which processes start.
    pub(crate) fn beside_waits(self) -> Self {
        Self { most_recoveries: self.most_recoveries.min(6), ..self }
    }

    /// Whether every store is tried.
    pub(crate) fn is_whole(&self) -> bool {
        self.most_deaths == u64::MAX
    }

    /// Stores before which a victim dies; `stores` itself means that it survives. Those around
    /// the `moment` at which the operation becomes real are always among them.
    pub(crate) fn first_level(&self, stores: u64, moment: Option<u64>) -> Vec<u64> {
        let mut points = self.pick(stores + 1, self.most_deaths, self.shift);
        if let Some(moment) = moment {
            points.extend((moment.saturating_sub(2)..moment + 2).filter(|at| *at <= stores));
        }
        points.sort_unstable();
        points.dedup();
        points
    }

    /// Those of the first level after which there is a second one.
    pub(crate) fn second_levels(&self, stores: u64, moment: Option<u64>) -> Vec<u64> {
        let first = self.first_level(stores, moment);
        let chosen = self.pick(first.len() as u64, self.most_seconds, self.shift);
        let mut points: Vec<u64> =
            chosen.into_iter().map(|number| first[number as usize]).collect();
        points.extend(moment.and_then(|moment| moment.checked_sub(1)));
        points
    }

    /// Stores of a recovery before which it dies, after a victim's death at store `at`.
    pub(crate) fn recovery(&self, at: u64, stores: u64) -> Vec<u64> {
        self.pick(stores, self.most_recoveries, self.shift + at)
    }

    fn pick(&self, total: u64, most: u64, shift: u64) -> Vec<u64> {
        if total <= most {
            return (0..total).collect();
        }
        let step = total.div_ceil(most);
        let mut points: Vec<u64> = (shift % step..total).step_by(step as usize).collect();
        points.extend([0, total - 1]);
        points.sort_unstable();
        points.dedup();
        points
    }
}
