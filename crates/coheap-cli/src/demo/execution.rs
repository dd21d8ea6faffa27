//! The run itself: items into the queue, workers at work, kills in between, the result out.
//!
//! What always holds: a worker is killed only after at least one more item was acked since the
//! last kill, so that kills never outpace progress; the clock runs from the first worker's start
//! to the last ack.
//! Not here: processes (`crew`), and what is said about the run (`report`).

use std::time::{Duration, Instant};

use coheap::{Error, Heap, Integrity, Stats, WorkQueue};
use indicatif::{ProgressBar, ProgressStyle};

use super::corpus::Corpus;
use super::crew::{self, Crew, Start};
use super::items::Item;
use super::random::Random;
use super::words::Totals;
use super::worker::{COUNTS, ITEMS};
use crate::args::Request;
use crate::failure::Failure;
use crate::signals::Signals;

/// How long the run sleeps at most before it looks round.
const GLANCE: Duration = Duration::from_millis(20);
/// Items put into the queue at once.
const BATCH: usize = 256;

/// What came out of a run.
pub(crate) struct Outcome {
    pub(crate) counts: Totals,
    pub(crate) seconds: f64,
    pub(crate) workers: usize,
    pub(crate) kills: u64,
    /// Workers that somebody else killed.
    pub(crate) other_deaths: u64,
    /// Kill to everything the victim held being free again, in seconds, in order of size.
    pub(crate) hand_overs: Vec<f64>,
    pub(crate) stats: Stats,
    pub(crate) integrity: Integrity,
    pub(crate) seed: u64,
}

/// A run under way.
struct Run<'a> {
    heap: Heap,
    items: WorkQueue<Item>,
    crew: Crew,
    workers: usize,
    start: Start<'a>,
    random: Random,
    kills_per_second: f64,
    next_kill: Option<Instant>,
    /// Items acked when the last kill was made.
    acked_at_kill: u64,
    acked: u64,
    kills: u64,
    other_deaths: u64,
    hand_overs: Vec<f64>,
}

/// Counts the words of a corpus with worker processes on a shared heap.
pub(crate) fn execute(
    request: &Request,
    corpus: &Corpus,
    signals: &Signals,
) -> Result<Outcome, Failure> {
    let heap = Heap::builder().open()?;
    let counts = heap.map::<String, i64>(COUNTS)?;
    let items = heap.work_queue::<Item>(ITEMS)?;
    let random = Random::from_environment()?;
    let (workers, seed) = (request.workers(), random.seed());

    let started = Instant::now();
    let start = || {
        let mut command = crew::worker_command(&["worker"])?;
        coheap::worker::prepare(&heap, &mut command);
        Ok(command)
    };
    let mut run = Run {
        heap: heap.clone(),
        items,
        crew: Crew::new(workers, &start, signals)?,
        workers,
        start: &start,
        random,
        kills_per_second: request.kills_per_second,
        next_kill: None,
        acked_at_kill: 0,
        acked: 0,
        kills: 0,
        other_deaths: 0,
        hand_overs: Vec::new(),
    };
    run.plan_kill();
    run.put(&corpus.items, signals)?;
    run.watch(corpus.items.len() as u64, signals)?;
    let seconds = started.elapsed().as_secs_f64();

    run.items.close()?;
    run.crew.finish()?;
    run.hand_overs.sort_unstable_by(f64::total_cmp);
    Ok(Outcome {
        counts: counts.snapshot()?.into_iter().collect(),
        seconds,
        workers,
        kills: run.kills,
        other_deaths: run.other_deaths,
        hand_overs: run.hand_overs,
        stats: heap.stats()?,
        integrity: heap.check()?,
        seed,
    })
}

impl Run<'_> {
    /// Puts all items into the queue, while the first ones are being worked on.
    fn put(&mut self, items: &[Item], signals: &Signals) -> Result<(), Failure> {
        let mut rest = items;
        while !rest.is_empty() {
            signals.check()?;
            let put = self.items.put_many(&rest[..rest.len().min(BATCH)])?;
            rest = &rest[put..];
        }
        Ok(())
    }

    /// Watches over the workers, and kills some, until everything is done.
    fn watch(&mut self, count: u64, signals: &Signals) -> Result<(), Failure> {
        let bar = progress_bar(count);
        loop {
            signals.check()?;
            let now = Instant::now();
            let until_kill = self.next_kill.map_or(GLANCE, |at| at.saturating_duration_since(now));
            let pause = until_kill.clamp(Duration::from_millis(1), GLANCE);
            match self.items.join(Some(pause)) {
                Ok(()) => break,
                Err(Error::Timeout) => {}
                Err(error) => return Err(error.into()),
            }
            // An item that was cut in two counts as two, so there can be more than at first.
            let open = self.items.len()? + self.items.leased()?;
            let acked = count.saturating_sub(open).max(self.acked);
            self.other_deaths += u64::from(self.crew.tend(acked > self.acked, self.start)?);
            self.acked = acked;
            bar.set_position(acked);
            if self.next_kill.is_some_and(|at| at <= Instant::now())
                && (acked > self.acked_at_kill || self.kills == 0)
            {
                self.kill()?;
                bar.set_message(format!("{} kills", self.kills));
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Kills a random worker, has what it held handed over, and replaces it.
    fn kill(&mut self) -> Result<(), Failure> {
        let index = self.random.below(self.workers);
        let recovered = self.heap.stats()?.recovered;
        let started = Instant::now();
        self.crew.kill(index)?;
        self.heap.sweep()?;
        let taken = started.elapsed().as_secs_f64();
        self.crew.replace(index, self.start)?;
        // A worker that was killed before it attached had nothing to hand over.
        if self.heap.stats()?.recovered > recovered {
            self.hand_overs.push(taken);
        }
        self.kills += 1;
        self.acked_at_kill = self.acked;
        self.plan_kill();
        Ok(())
    }

    /// Kills come at random times: the gaps between them are exponential.
    fn plan_kill(&mut self) {
        if self.kills_per_second > 0.0 {
            let now = Instant::now();
            let gap = self.random.exponential() / self.kills_per_second;
            let due = self.next_kill.unwrap_or(now) + Duration::from_secs_f64(gap);
            self.next_kill = Some(due.max(now));
        }
    }
}

/// A bar on standard error if that is a terminal.
fn progress_bar(count: u64) -> ProgressBar {
    let bar = ProgressBar::new(count);
    let template = "{bar:40} {pos}/{len} items  {elapsed}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
