//! Random programs over all kinds of objects, in many small heaps.
//!
//! In each heap some processes, some of them with several threads, create, use, wait for, close and
//! remove objects; they close the heap and attach again, fork, are stopped and die. After each round
//! the heap must be whole and own nothing of the dead, and every answer must have been a possible one.
//!
//! - `COHEAP_SEED` repeats the dice (not the kernel's schedule): a finding prints the seed with
//!   which its heap is the first one.
//! - `COHEAP_CHURN_SECONDS` says how long it runs, `COHEAP_CHURN` what it does (`settings`).
//!
//! What always holds: no process outlives the run; each one has somebody who kills it in time.

#[path = "../support/mod.rs"]
mod support;
mod accounts;
mod acts;
mod answers;
mod audit;
mod books;
mod hand;
mod item;
mod scene;
mod settings;
mod site;
mod threads;

use std::time::{Duration, Instant};

use books::Books;
use scene::Scene;
use settings::Settings;
use support::child::{End, fork};
use support::privilege::Folder;
use support::random::Random;

/// How long one heap may take, with all its rounds.
const HEAP_PATIENCE: Duration = Duration::from_secs(180);
/// The exit status of a process that saw something that cannot be.
const FOUND: i32 = 3;

fn churn(usual_seconds: u64) {
    let _alone = support::alone();
    let settings = Settings::of_run(usual_seconds);
    let any = coheap_core::os::random_u64().expect("a random number");
    let mut seed = Random::seed_of_run("churn", any);
    let folder = Folder::new("churn");
    let books = Books::new();
    scene::adopt_orphans();
    let begin = Instant::now();
    let mut heaps = 0u64;
    while heaps == 0 || begin.elapsed() < settings.duration {
        let mut dice = Random::seeded(seed);
        let next_seed = dice.next();
        let scene =
            Scene { settings, books: books.clone(), folder: folder.path().to_owned(), seed };
        let started = Instant::now();
        let mut conductor = fork(|| scene.conduct(&mut dice));
        let end = conductor.wait_for(HEAP_PATIENCE);
        conductor.kill();
        scene::kill_all(&books);
        if end != Some(End::Exit(0)) {
            panic!(
                "COHEAP_SEED={seed} (heap {heaps} of this run, {:.1} s after it was made, {:.1} s \
                 after the first): {}; the process of the heap ended with {end:?}",
                started.elapsed().as_secs_f64(),
                begin.elapsed().as_secs_f64(),
                books.finding().unwrap_or_else(|| "nobody said why".to_owned())
            );
        }
        heaps += 1;
        seed = next_seed;
    }
    let sum = books.sum();
    support::say(&format!(
        "churn: {heaps} heaps, {} rounds in {:.1} s; {} processes, {} of them killed; {} \
         operations, {} of them refused; {} stops, {} items delivered",
        sum.rounds,
        begin.elapsed().as_secs_f64(),
        sum.processes,
        sum.killed,
        sum.operations,
        sum.refused,
        sum.stops,
        sum.delivered
    ));
    assert!(sum.operations > 100 * sum.rounds, "the processes do something");
}

/// Goal: no random program damages a heap, loses or doubles an item, hangs, or hears what cannot be.
/// Method: see the head of this file, for some seconds.
#[test]
fn some_seconds_of_churn_find_nothing() {
    churn(20);
}

/// Goal: as above, for the long run.
/// Method: ten minutes.
#[test]
#[ignore = "takes minutes: make churn"]
fn ten_minutes_of_churn_find_nothing() {
    churn(600);
}
