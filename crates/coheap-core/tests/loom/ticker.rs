//! Tickers: at most two at a time, and one that died is replaced.
//!
//! Loom knows no time: each thread that asks brings a time of its own.

use coheap_core::memory::Word;
use coheap_core::sync::tickers::{Elected, ROW, TICK, elect_ticker};
use loom::sync::Arc;
use loom::thread;

use super::explore;

const MILLISECOND: u64 = 1_000_000;
/// Long after the rows of a new heap, which say zero.
const START: u64 = 1_000 * MILLISECOND;

type Rows = Arc<[Word; 2]>;

fn rows() -> Rows {
    Arc::new([Word::new(0), Word::new(0)])
}

/// Every thread asks at once, at a time of its own; answers in the order of `asked`.
fn ask_all(rows: &Rows, asked: &[(u32, u64)]) -> Vec<Option<Elected>> {
    let threads: Vec<_> = asked[1..]
        .iter()
        .map(|&(row, now)| {
            let rows = Arc::clone(rows);
            thread::spawn(move || elect_ticker(&rows, row, now))
        })
        .collect();
    let (row, now) = asked[0];
    let mut answers = vec![elect_ticker(rows, row, now)];
    answers.extend(threads.into_iter().map(|thread| thread.join().expect("no panic")));
    answers
}

fn elected(answers: &[Option<Elected>]) -> Vec<u32> {
    let mut which: Vec<_> = answers.iter().flatten().map(|elected| elected.which).collect();
    which.sort_unstable();
    which
}

/// Goal: of three that ask at about the same time, exactly two become tickers, of different rows.
#[test]
fn two_of_three_become_tickers() {
    explore(5, || {
        let asked = [(0, START), (1, START + 5_000), (2, START + MILLISECOND)];
        let answers = ask_all(&rows(), &asked);
        assert_eq!(elected(&answers), [0, 1], "{answers:?}");
    });
}

/// Goal: two living tickers stay, and nobody else becomes one.
/// Method: both tick again after their slice while a third asks.
#[test]
fn living_tickers_are_not_replaced() {
    explore(5, || {
        let rows = rows();
        for row in 0..2 {
            assert!(elect_ticker(&rows, row, START).is_some_and(|elected| elected.is_new));
        }
        let later = START + TICK;
        let answers = ask_all(&rows, &[(2, later), (0, later), (1, later + 9_000)]);
        assert!(answers[0].is_none(), "{answers:?}");
        assert_eq!(elected(&answers), [0, 1], "{answers:?}");
        assert!(answers.iter().flatten().all(|elected| !elected.is_new));
    });
}

/// Goal: a dead ticker's row goes to one of those who live, in every order, and the heap is never
/// left without a ticker. Method: the ticker of each row in turn dies; once it counts as lost, the
/// other one and two more ask at once.
#[test]
fn a_dead_ticker_is_replaced() {
    for dead in 0..2 {
        explore(5, move || {
            let rows = rows();
            for row in 0..2 {
                assert!(elect_ticker(&rows, row, START).is_some());
            }
            let living = 1 - dead;
            for tick in 1..4 {
                let now = START + tick * TICK;
                assert!(elect_ticker(&rows, living, now).is_some());
            }
            let later = START + 3 * TICK + MILLISECOND;
            let answers = ask_all(&rows, &[(living, later), (2, later), (3, later + 4_096)]);
            let new = answers.iter().flatten().filter(|elected| elected.is_new).count();
            assert_eq!(new, 1, "the lost row has one new ticker: {answers:?}");
            assert!(elected(&answers).len() <= 2, "{answers:?}");
            let names: Vec<_> = rows.iter().map(|row| row.get() & ROW).collect();
            let lost = names[dead as usize];
            assert_ne!(lost, u64::from(dead + 1), "the dead one's row is somebody else's");
        });
    }
}
