//! Many that start at once while holders are killed: never two, and never none.
//!
//! What always holds: who was in stands in a file that everybody appends to, written by the holders
//! and read by nobody until a round is over; the locks under test have no part in it.
//! Not here: starts of whole programs (`coheap-cli`).

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use coheap_core::claim::Outcome;

use crate::scene::{Scene, Tidy};
use crate::support::child::{Child, End, fork};
use crate::support::page::Page;
use crate::support::privilege::Folder;
use crate::support::random::Random;
use crate::support::{alone, say, until};

/// How many start at once.
const CROWD: u64 = 50;
/// What the next start may take after a kill, besides its own start-up.
const NEXT_WINS: Duration = Duration::from_millis(50);

const READY: usize = 40;
const START: usize = 41;
const REFUSED: usize = 42;
const OVER: usize = 43;

#[test]
fn of_fifty_that_start_at_once_exactly_one_gets_in() {
    storm("of_fifty_that_start_at_once", 25);
}

#[test]
#[ignore = "a thousand rounds; `make torture` runs them"]
fn of_fifty_that_start_at_once_exactly_one_gets_in_a_thousand_times() {
    storm("of_fifty_that_start_at_once", 1000);
}

/// Goal: exactly one of fifty gets in, and when it is killed at a random moment, another one can.
/// Method: fifty forks wait for one word, then claim the name. Whoever gets in appends a line and
/// stays. In every other round the holder is killed while the others are still starting, so that a
/// second one may get in after it. At the end of a round the lines are compared with the deaths.
fn storm(test: &str, rounds: u32) {
    let (_alone, scene) = (alone(), Scene::new("storm"));
    let _tidy = Tidy(&scene);
    let folder = Folder::new("claims");
    let mut random = Random::for_run(test);
    let (mut slowest, mut handed_on) = (Duration::ZERO, 0);
    for round in 0..rounds {
        let record = folder.path().join(format!("round-{round}"));
        let is_early = random.one_in(2);
        let page = Page::new(64);
        let mut crowd: Vec<Child> = (0..CROWD).map(|_| start(&scene, &page, &record)).collect();
        until("all are ready", || page.get(READY) == CROWD);
        page.set(START, 1);
        until("one is in", || !inside(&record).is_empty());
        if is_early {
            std::thread::sleep(Duration::from_micros(random.below(3000)));
        } else {
            until("the others were refused", || page.get(REFUSED) == CROWD - 1);
        }
        let killed = one_inside(&record, &mut crowd, round);
        killed.kill();
        // Between the kill and here one that was still starting may have got in.
        until("the others know", || page.get(REFUSED) + inside(&record).len() as u64 == CROWD);
        let entered = inside(&record);
        assert!(
            entered.len() <= 2 && (is_early || entered.len() == 1),
            "round {round}: {entered:?}"
        );
        if entered.len() == 2 {
            handed_on += 1;
            one_inside(&record, &mut crowd, round).kill();
        }
        let begin = Instant::now();
        match scene.try_hold() {
            Outcome::Held(claim) => drop(claim),
            Outcome::Taken(holder) => panic!("round {round}: none gets in, {holder}"),
        }
        slowest = slowest.max(begin.elapsed());
        page.set(OVER, 1);
        crowd.into_iter().for_each(|mut child| {
            child.wait();
        });
        std::fs::remove_file(record).expect("removed");
    }
    say(&format!(
        "{rounds} rounds of {CROWD}: never two, never none; {handed_on} passed on within a round; \
         the next start got in within {:.3} ms at worst",
        slowest.as_secs_f64() * 1e3
    ));
    assert!(slowest < NEXT_WINS, "{slowest:?}");
}

/// A process that waits for the start, claims the name, and stays if it gets in.
fn start(scene: &Scene, page: &Page, record: &Path) -> Child {
    fork(|| {
        let mut file: File =
            OpenOptions::new().append(true).create(true).open(record).expect("a record");
        page.add(READY, 1);
        while page.get(START) == 0 {
            std::thread::yield_now();
        }
        match scene.try_hold() {
            Outcome::Held(_claim) => {
                let line = format!("in {}\n", std::process::id());
                file.write_all(line.as_bytes()).expect("recorded");
                until("the round is over", || page.get(OVER) == 1);
            }
            Outcome::Taken(_) => {
                page.add(REFUSED, 1);
            }
        }
        0
    })
}

/// Who got in, in this order.
fn inside(record: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(record).unwrap_or_default();
    let pids = text.lines().filter_map(|line| line.strip_prefix("in ")?.parse().ok());
    pids.collect()
}

/// The only one of those who got in that lives.
fn one_inside<'a>(record: &Path, crowd: &'a mut [Child], round: u32) -> &'a mut Child {
    let entered = inside(record);
    let mut living: Vec<_> = crowd
        .iter_mut()
        .filter(|child| entered.contains(&child.pid()))
        .filter_map(|child| match child.has_ended() {
            None => Some(child),
            Some(end) => {
                assert_eq!(end, End::Signal(libc::SIGKILL));
                None
            }
        })
        .collect();
    assert_eq!(living.len(), 1, "round {round}: {} at once, of {entered:?}", living.len());
    living.remove(0)
}
