//! Rows of threads: an end beside releases, and the search for a free row.
//!
//! What always holds: the row words and the word that the search begins at are those of `sync::row`,
//! on the stack instead of in a heap.
//!
//! Not here: making rows real, and the rows of dead processes.

use coheap_core::memory::Word;
use coheap_core::sync::Owner;
use coheap_core::sync::row::{self, RowWord, State};
use loom::sync::Arc;
use loom::thread;

use super::explore;

const SLOT: u32 = 3;

fn held(epoch: u32) -> Word {
    Word::new(RowWord::new(epoch, Some(SLOT), State::Held, 0).0)
}

fn state(row: &Word) -> State {
    RowWord(row.get()).state()
}

/// Goal: a row whose thread ends while others release its locks is free with the last of them,
/// exactly once, whichever comes first; a lock that is left keeps it.
#[test]
fn the_last_release_or_the_end_frees_a_row() {
    for locks in [2, 3] {
        explore(4, move || {
            let row = Arc::new(held(7));
            let me = Owner::new(0, 7);
            let releases = [(); 2].map(|()| {
                let row = Arc::clone(&row);
                thread::spawn(move || row::released_in(&row, me))
            });
            let mut frees = u32::from(row::end_in(&row, me, locks));
            for release in releases {
                frees += u32::from(release.join().expect("no panic"));
            }
            assert_eq!(frees, u32::from(locks == 2), "of {locks} locks two are released");
            let left = RowWord::new(7, Some(SLOT), State::Orphan, 1);
            let free = RowWord::new(7, None, State::Free, 0);
            assert_eq!(RowWord(row.get()), if locks == 2 { free } else { left });
        });
    }
}

/// Goal: late news of a lock never touches the row of the next thread.
#[test]
fn a_late_release_leaves_the_next_thread_alone() {
    explore(4, || {
        let (row, hint) = (Arc::new(held(7)), Word::new(1));
        let me = Owner::new(0, 7);
        let late = {
            let row = Arc::clone(&row);
            thread::spawn(move || row::released_in(&row, me))
        };
        // The process of the thread leaves: the row is free, whatever it has left.
        if row::end_in(&row, me, 0) {
            row::search_from(&hint, 0);
        }
        let next = row::claim_among(&hint, |_| &row, 1, SLOT);
        late.join().expect("no panic");
        if let Some(next) = next {
            assert_eq!(RowWord(row.get()), RowWord::new(8, Some(SLOT), State::Held, 0));
            assert!(RowWord(row.get()).is_named_by(next));
        }
    });
}

/// Goal: a row that becomes free while others search is never lost to the search, and no two threads
/// get the same epoch of a row.
/// Method: of three rows one is free; two threads free a row each and take one again, then all that
/// are free are taken one by one.
#[test]
fn the_search_loses_no_row() {
    explore(3, || {
        let free = Word::new(RowWord::new(5, None, State::Free, 0).0);
        let rows = Arc::new(([held(7), held(8), free], Word::new(2)));
        let come_and_go = |rows: &([Word; 3], Word), index: u32, epoch: u32| {
            assert!(row::end_in(&rows.0[index as usize], Owner::new(index, epoch), 0));
            row::search_from(&rows.1, index);
            row::claim_among(&rows.1, |row| &rows.0[row as usize], 3, SLOT)
        };
        let other = {
            let rows = Arc::clone(&rows);
            thread::spawn(move || come_and_go(&rows, 1, 8))
        };
        let mut taken = vec![come_and_go(&rows, 0, 7), other.join().expect("no panic")];
        while rows.0.iter().any(|row| state(row) == State::Free) {
            let next = row::claim_among(&rows.1, |row| &rows.0[row as usize], 3, SLOT);
            assert!(next.is_some(), "a free row is not found: {:?}", rows);
            taken.push(next);
        }
        let mut taken: Vec<_> = taken.into_iter().flatten().collect();
        taken.sort_unstable_by_key(|owner| owner.bits());
        assert_eq!(taken.len(), 3);
        assert!(taken.windows(2).all(|two| two[0] != two[1]), "{taken:?}");
    });
}
