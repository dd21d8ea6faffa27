//! Rows for processes and for threads are limited; who finds none hears so.
//!
//! The rows of the dead, and of threads that ended, are there again for the next one.

use std::sync::Barrier;

use coheap_core::error::Error;
use coheap_core::memory::layout::{CONTEXT_COUNT, SLOT_COUNT};

use crate::support::child::{Child, alarm, fork};
use crate::support::objects::{heap, settle_and_check, value};
use crate::support::page::Page;
use crate::support::{alone, until};

const ATTACHED: usize = 0;
const REFUSED: usize = 1;
const OTHER: usize = 2;

/// Goal: as many processes as there are rows can be attached, one more hears `TableFull`, and the
/// rows of the dead are there again at once.
/// Method: fill the table with children, look at one more, kill all, and fill it again.
#[test]
fn one_process_too_many_is_refused_and_the_dead_make_room() {
    let _alone = alone();
    let heap = heap(8);
    let total = value(&heap, "total");
    let page = Page::new(8);
    let member = || {
        fork(|| {
            alarm(120);
            match heap.with(|context| total.add(context, 1)) {
                Ok(_) => page.add(ATTACHED, 1),
                Err(Error::TableFull { table: "processes", .. }) => page.add(REFUSED, 1),
                Err(_) => page.add(OTHER, 1),
            };
            loop {
                std::thread::park();
            }
        })
    };
    let seats = u64::from(SLOT_COUNT) - 1;
    for round in 1..=2 {
        page.clear();
        let mut members: Vec<Child> = (0..seats).map(|_| member()).collect();
        until("the table is full", || page.get(ATTACHED) + page.get(OTHER) == seats);
        let _one_more = member();
        until("one is refused", || page.get(REFUSED) == 1);
        assert_eq!(page.get(OTHER), 0, "nobody hears another error");
        for member in &mut members {
            member.kill();
        }
        assert_eq!(heap.with(|context| total.add(context, 0)), Ok((round * seats) as i64));
    }
    assert_eq!(settle_and_check(&heap).members, 1);
}

/// Goal: as many threads as there are rows can work, one more hears `TableFull`, and rows of
/// threads that ended serve others.
/// Method: threads of a child wait for each other with their contexts in use; then again.
#[test]
fn one_thread_too_many_is_refused_and_ended_ones_make_room() {
    let _alone = alone();
    let heap = heap(32);
    let total = value(&heap, "total");
    let mut child = fork(|| {
        alarm(60);
        for _ in 0..2 {
            let page = Page::new(8);
            // The parent's own thread has a row, too.
            let seats = u64::from(CONTEXT_COUNT) - 1;
            let all_tried = Barrier::new(seats as usize + 1);
            std::thread::scope(|scope| {
                let start = |_| {
                    let builder = std::thread::Builder::new().stack_size(64 << 10);
                    let work = || {
                        match heap.with(|context| total.add(context, 1)) {
                            Ok(_) => page.add(ATTACHED, 1),
                            Err(Error::TableFull { table: "threads", .. }) => page.add(REFUSED, 1),
                            Err(_) => page.add(OTHER, 1),
                        };
                        all_tried.wait();
                    };
                    builder.spawn_scoped(scope, work).expect("a thread")
                };
                let threads: Vec<_> = (0..=seats).map(start).collect();
                // The scope waits for what they do, and only `join` for their rows to be free.
                threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            });
            assert_eq!((page.get(OTHER), page.get(REFUSED)), (0, 1));
        }
        0
    });
    child.must_succeed();
    settle_and_check(&heap);
}
