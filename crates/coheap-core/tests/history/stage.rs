//! Rounds of concurrent work with kills in between, and the judge after each.
//!
//! What always holds: a round begins and ends with nobody at work, so the state between two rounds
//! is known; it is the start of the next history and the last look of this one.

use coheap_core::heap::Heap;
use coheap_core::objects::{Queue, estate};
use coheap_core::os::now;

use crate::linear::{Operation, Verdict, judge, overlaps};
use crate::models::{Answer, Call, MapModel, QueueModel, ValueModel};
use crate::record::{OPERATIONS, Record};
use crate::subjects::{LIMIT, Subject};
use crate::support::child::{Child, End, fork};
use crate::support::objects::{heap, settle_and_check};
use crate::support::page::Page;
use crate::support::random::Random;
use crate::support::until;

/// Processes at work.
const WORKERS: usize = 4;
/// Steps that one judgement may take.
const BUDGET: u64 = 300_000;

const ROUND: usize = 0;
const UNIQUE: usize = 1;
/// The worker that shall die in this round by its own hand, plus one.
const VICTIM: usize = 2;
const DONE: usize = 8;

type History = Vec<Operation<Call, Answer>>;

/// What came of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: u64,
    pub(crate) operations: u64,
    pub(crate) overlaps: u64,
    pub(crate) kills: u64,
    pub(crate) unfinished: u64,
    pub(crate) undecided: u64,
    pub(crate) planted: u64,
    pub(crate) found: u64,
}

/// A machine that others keep busy lets few operations overlap, and few kills meet one: so many times
/// the rounds are run at most, until as many overlap as rounds were wanted, and one was cut off.
const MOST_TIMES: u64 = 6;

/// The heap, its objects, and where everything is written down.
#[derive(Debug)]
pub(crate) struct Stage {
    heap: Heap,
    subjects: [Subject; 3],
    record: Record,
    page: Page,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let heap = heap(16);
        let subjects = Subject::all(&heap);
        Self { heap, subjects, record: Record::new(WORKERS), page: Page::new(DONE + WORKERS) }
    }

    fn spawn(&self, worker: usize, dice: &mut Random) -> Child {
        let mut own = dice.split();
        let from = self.page.get(ROUND);
        self.page.set(DONE + worker, from);
        fork(|| self.work(worker, from, &mut own))
    }

    /// A worker: does a few operations each time the round goes up, until round 0 is called.
    fn work(&self, worker: usize, mut round: u64, dice: &mut Random) -> i32 {
        loop {
            while self.page.get(ROUND) == round {
                std::thread::yield_now();
            }
            round = self.page.get(ROUND);
            if round == 0 {
                return 0;
            }
            if self.page.get(VICTIM) == worker as u64 + 1 {
                die_within(dice.below(150));
            }
            let subject = self.subjects[round as usize % 3];
            let done = self.heap.with(|context| {
                for number in 0..OPERATIONS {
                    let call = subject.choose(dice, self.page.add(UNIQUE, 1) as i64);
                    self.record.note(worker, number, call, || subject.ask(context, call));
                    rest(dice);
                }
                Ok(())
            });
            if done.is_err() {
                return 2;
            }
            self.page.set(DONE + worker, round);
        }
    }

    /// Runs rounds. Panics with the history when one cannot be explained.
    pub(crate) fn run(&self, rounds: u64, dice: &mut Random) -> Outcome {
        let mut outcome = Outcome::default();
        let mut workers: Vec<Child> = (0..WORKERS).map(|worker| self.spawn(worker, dice)).collect();
        let mut starts = [Vec::new(), Vec::new(), vec![(0, 0)]];
        for round in 1..=rounds * MOST_TIMES {
            let is_enough = outcome.overlaps > rounds && outcome.unfinished > 0;
            if round > rounds && is_enough {
                break;
            }
            let which = round as usize % 3;
            self.record.clear();
            self.page.set(UNIQUE, round * 1000);
            let victim = dice.one_in(3).then(|| dice.below(WORKERS as u64) as usize);
            let by_itself = cfg!(feature = "failpoints") && dice.one_in(2);
            let chosen = victim.filter(|_| by_itself).map_or(0, |victim| victim as u64 + 1);
            self.page.set(VICTIM, chosen);
            self.page.set(ROUND, round);
            if let Some(victim) = victim.filter(|_| !by_itself) {
                // A kill may come at any moment.
                std::thread::sleep(std::time::Duration::from_micros(dice.below(150)));
                workers[victim].signal(libc::SIGKILL);
            }
            self.await_workers(&mut workers, round, victim);
            if let Some(victim) = victim {
                outcome.kills += u64::from(workers[victim].kill() != End::Exit(0));
                workers[victim] = self.spawn(victim, dice);
            }
            self.conclude(which, &mut starts[which], &mut outcome, dice);
        }
        self.page.set(ROUND, 0);
        workers.iter_mut().for_each(Child::must_succeed);
        settle_and_check(&self.heap);
        outcome
    }

    fn await_workers(&self, workers: &mut [Child], round: u64, victim: Option<usize>) {
        until("the workers are done", || {
            workers.iter_mut().enumerate().all(|(worker, child)| {
                let ended = child.has_ended();
                assert!(
                    ended.is_none() || Some(worker) == victim,
                    "worker {worker} ended by {ended:?}"
                );
                self.page.get(DONE + worker) == round || ended.is_some()
            })
        });
    }

    /// Adds a last look at everything, judges, and judges once more with an error planted.
    fn conclude(
        &self,
        which: usize,
        start: &mut Vec<(u8, i64)>,
        outcome: &mut Outcome,
        dice: &mut Random,
    ) {
        self.heap.with(estate::sweep).expect("the dead are settled");
        let mut history = self.record.history();
        outcome.rounds += 1;
        outcome.operations += history.len() as u64;
        outcome.overlaps += overlaps(&history) as u64;
        outcome.unfinished += history.iter().filter(|one| one.ended.is_none()).count() as u64;
        let begun = now();
        let last = self.look(&self.subjects[which]);
        let ended = Some((now(), Answer::All(last.clone())));
        history.push(Operation { worker: WORKERS, begun, ended, call: Call::All });
        match verdict(which, start, &history) {
            Verdict::Right => {}
            Verdict::Undecided => outcome.undecided += 1,
            Verdict::Wrong => panic!("no order explains this:\n{}", tell(start, &history)),
        }
        if plant(&mut history, dice) {
            match verdict(which, start, &history) {
                Verdict::Undecided => {}
                verdict => {
                    outcome.planted += 1;
                    outcome.found += u64::from(verdict == Verdict::Wrong);
                }
            }
        }
        // The look has emptied the queue.
        *start = if which == 1 { Vec::new() } else { last };
    }

    fn look(&self, subject: &Subject) -> Vec<(u8, i64)> {
        let take_all = |queue: &Queue| {
            let subject = Subject::Queue(*queue);
            let mut items = Vec::new();
            let take = || self.heap.with(|context| Ok(subject.ask(context, Call::Take)));
            while let Ok(Answer::Number(item)) = take() {
                items.push((0, item));
            }
            items
        };
        let ask = |call| self.heap.with(|context| Ok(subject.ask(context, call)));
        match subject {
            Subject::Queue(queue) => take_all(queue),
            Subject::Map(_) => match ask(Call::All) {
                Ok(Answer::All(all)) => all,
                other => panic!("{other:?}"),
            },
            Subject::Value(_) => match ask(Call::Get(0)) {
                Ok(Answer::Number(number)) => vec![(0, number)],
                other => panic!("{other:?}"),
            },
        }
    }
}

fn verdict(which: usize, start: &[(u8, i64)], history: &History) -> Verdict {
    match which {
        0 => judge(&MapModel, &start.to_vec(), history, BUDGET),
        1 => {
            let items = start.iter().map(|item| item.1).collect();
            judge(&QueueModel { limit: LIMIT }, &items, history, BUDGET)
        }
        _ => judge(&ValueModel, &start[0].1, history, BUDGET),
    }
}

/// Makes one answer wrong: a number that nobody ever wrote. `false`: there is none to change.
fn plant(history: &mut History, dice: &mut Random) -> bool {
    let is_number = |one: &Operation<Call, Answer>| {
        matches!(one.ended, Some((_, Answer::Number(_)))) && !matches!(one.call, Call::Len)
    };
    let places: Vec<usize> = (0..history.len()).filter(|at| is_number(&history[*at])).collect();
    let Some(count) = std::num::NonZero::new(places.len() as u64) else { return false };
    let place = places[dice.below(count.get()) as usize];
    if let Some((_, Answer::Number(number))) = &mut history[place].ended {
        *number += 777_777_777;
    }
    true
}

fn tell(start: &[(u8, i64)], history: &History) -> String {
    let first = history.first().map_or(0, |one| one.begun);
    let lines = history.iter().map(|one| {
        let (end, answer) = match &one.ended {
            Some((end, answer)) => (format!("{}", end - first), format!("{answer:?}")),
            None => ("never".to_owned(), "?".to_owned()),
        };
        format!(
            "  {} .. {end}  worker {}  {:?} -> {answer}",
            one.begun - first,
            one.worker,
            one.call
        )
    });
    format!("  at first {start:?}\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// Something between two operations.
fn rest(dice: &mut Random) {
    match dice.below(4) {
        0 => std::thread::yield_now(),
        1 => (0..dice.below(2000)).for_each(|_| std::hint::spin_loop()),
        _ => {}
    }
}

#[cfg(feature = "failpoints")]
fn die_within(stores: u64) {
    coheap_core::os::failpoint::arm(stores);
}

#[cfg(not(feature = "failpoints"))]
fn die_within(_stores: u64) {}
