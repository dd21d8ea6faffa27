//! Memory that goes back to the system: at once on request, by itself when much has been free for some
//! seconds, and never under who looks at it.
//!
//! Here: what goes back and what stays. That everything free serves every purpose is in `room`.

use std::time::{Duration, Instant};

use coheap_core::check::check;
use coheap_core::error::Error;
use coheap_core::heap::{Heap, Options};
use coheap_core::objects::Map;

use crate::support::alone;
use crate::support::child::{alarm, fork};
use crate::support::objects::{heap, map, settle_and_check};
use crate::support::page::Page;
use crate::support::privilege::{Folder, skipped};

const MEBIBYTE: u64 = 1 << 20;

/// What the heap costs the machine.
fn allocated(heap: &Heap) -> u64 {
    heap.stats().expect("figures").allocated_bytes
}

/// Sets so many values of one mebibyte.
fn fill(heap: &Heap, map: &Map, count: u64) {
    let bytes = vec![7; MEBIBYTE as usize];
    heap.with(|context| {
        (0..count).try_for_each(|number| map.set(context, &number.to_le_bytes(), &bytes).map(drop))
    })
    .expect("room");
}

fn remove(heap: &Heap, map: &Map, numbers: impl Iterator<Item = u64>) {
    heap.with(|context| {
        for number in numbers {
            assert!(map.remove(context, &number.to_le_bytes(), &mut Vec::new())?);
        }
        Ok(())
    })
    .expect("removed");
}

fn named(folder: &Folder, max_bytes: u64) -> Heap {
    let mut options = Options::new("test");
    options.folder = Some(folder.path().to_owned());
    options.max_bytes = Some(max_bytes);
    Heap::open(&options).expect("a heap fits")
}

/// Goal: what was freed is given back at once, and is there again for whoever needs it.
/// Method: 100 MiB in, out in three patterns, trimmed; the next round fits as before; the integrity walk
/// agrees at each step.
#[test]
fn what_is_free_goes_back_on_request() {
    let heap = heap(128);
    let map = map(&heap, "map");
    let least = allocated(&heap);
    for round in 0..6u64 {
        fill(&heap, &map, 100);
        assert!(allocated(&heap) >= 100 * MEBIBYTE);
        let stays = |number: &u64| round % 2 == 1 && number.is_multiple_of(10);
        remove(&heap, &map, (0..100).filter(|number| !stays(number)));
        let given = heap.trim().expect("trimmed");
        heap.with(check).expect("whole");
        let kept = if round % 2 == 1 { 11 } else { 1 };
        assert!(given >= (98 - kept) * MEBIBYTE, "round {round}: {given}");
        let now = allocated(&heap);
        assert!(now <= least + kept * MEBIBYTE, "round {round}: {least} at first, {now} now");
        let stats = heap.stats().expect("figures");
        assert!(stats.committed_bytes <= stats.used_bytes + MEBIBYTE, "{stats:?}");
        assert!(stats.committed_bytes <= now, "{stats:?}");
        for number in (0..100).filter(stays) {
            let mut out = Vec::new();
            heap.with(|context| map.get(context, &number.to_le_bytes(), &mut out)).expect("there");
            assert_eq!(out, vec![7; MEBIBYTE as usize]);
        }
        heap.with(|context| map.clear(context)).expect("cleared");
    }
}

/// Goal: holes are no obstacle: what lies around them and they serve one large value.
/// Method: every second value is removed and given back, then the others, which stay; a value as long
/// as all of them.
#[test]
fn holes_and_what_lies_between_serve_one_value() {
    let heap = heap(128);
    let map = map(&heap, "map");
    fill(&heap, &map, 120);
    remove(&heap, &map, (0..120).filter(|number| number % 2 == 0));
    heap.trim().expect("trimmed");
    remove(&heap, &map, (0..120).filter(|number| number % 2 == 1));
    let large = vec![1; 118 << 20];
    let set = heap.with(|context| map.set(context, b"large", &large));
    assert_eq!(set, Ok(true), "{:?}", heap.stats());
    settle_and_check(&heap);
}

/// Goal: much that has been free for some seconds goes back without being asked for, with whatever
/// happens in the heap; a heap that uses its room again and again keeps it.
#[test]
fn much_that_is_free_for_seconds_goes_back_by_itself() {
    let heap = heap(512);
    let map = map(&heap, "map");
    fill(&heap, &map, 200);
    remove(&heap, &map, 0..200);
    assert!(allocated(&heap) >= 200 * MEBIBYTE, "it may be needed again at once");
    let begin = Instant::now();
    while allocated(&heap) > 30 * MEBIBYTE {
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", heap.stats());
        std::thread::sleep(Duration::from_millis(100));
        fill(&heap, &map, 1);
        remove(&heap, &map, 0..1);
    }
    assert!(begin.elapsed() > Duration::from_secs(1), "it was needed again, perhaps");
    for _ in 0..8 {
        fill(&heap, &map, 200);
        remove(&heap, &map, 0..200);
        std::thread::sleep(Duration::from_millis(300));
        assert!(allocated(&heap) >= 200 * MEBIBYTE, "what is used twice a second stays");
    }
    settle_and_check(&heap);
}

/// Goal: the same where the thread that freed it does small things only afterwards.
/// Method: 190 MiB go; then numbers are set, often or rarely, until their memory is back.
#[test]
fn what_was_freed_goes_back_beside_small_operations() {
    for (pause, is_cleared) in [(10, false), (100, false), (100, true)] {
        let heap = heap(512);
        let map = map(&heap, "map");
        fill(&heap, &map, 190);
        if is_cleared {
            heap.with(|context| map.clear(context)).expect("cleared");
        } else {
            remove(&heap, &map, 0..190);
        }
        let begin = Instant::now();
        while allocated(&heap) > 40 * MEBIBYTE {
            assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", heap.stats());
            std::thread::sleep(Duration::from_millis(pause));
            heap.with(|context| map.set(context, b"number", &[1])).expect("room");
        }
        settle_and_check(&heap);
    }
}

/// Goal: very much that is freed at once goes back at once, for nobody may come later.
#[test]
fn very_much_goes_back_at_once() {
    let heap = heap(2048);
    let map = map(&heap, "map");
    fill(&heap, &map, 900);
    heap.with(|context| map.clear(context)).expect("cleared");
    assert!(allocated(&heap) < 100 * MEBIBYTE, "{:?}", heap.stats());
    settle_and_check(&heap);
}

/// Goal: a file system without room is one where a trimmed heap cannot grow again, with an error and
/// nothing lost; and room that was given back is there for others.
/// Method: 8 MiB of 16 go back, another program takes them, the heap is refused; then it gets them.
#[test]
fn room_that_went_back_may_be_gone() {
    let _alone = alone();
    let Some(folder) = Folder::tiny("trim", 16 << 20) else {
        return skipped("room_that_went_back_may_be_gone", "mounting is not allowed here");
    };
    let mut child = fork(|| {
        alarm(60);
        let heap = named(&folder, 1 << 30);
        let map = map(&heap, "map");
        fill(&heap, &map, 10);
        remove(&heap, &map, 0..9);
        assert!(heap.trim().expect("trimmed") >= 8 * MEBIBYTE);
        let ballast = folder.path().join("ballast");
        std::fs::write(&ballast, vec![1; 8 << 20]).expect("room for another program");
        let bytes = vec![8; 8 << 20];
        let refused = heap.with(|context| map.set(context, b"large", &bytes));
        let Err(Error::HeapFull { system: Some(system), .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(system.folder.as_deref(), folder.path().to_str());
        assert!(system.free < 8 << 20, "{system:?}");
        settle_and_check(&heap);
        std::fs::remove_file(ballast).expect("removed");
        heap.with(|context| map.set(context, b"large", &bytes)).expect("room again");
        settle_and_check(&heap);
        0
    });
    child.must_succeed();
}

/// Goal: nothing is given back under a stopped process, for which a page that is gone may be a SIGBUS.
/// Method: a member is stopped; nothing goes back; it goes on, and all goes back. A heap in no folder
/// has no such limit.
#[test]
fn nothing_goes_back_under_a_stopped_member() {
    let _alone = alone();
    let Some(folder) = Folder::tiny("stopped", 64 << 20) else {
        return skipped("nothing_goes_back_under_a_stopped_member", "mounting is not allowed here");
    };
    for is_named in [true, false] {
        let heap = if is_named { named(&folder, 1 << 30) } else { heap(64) };
        let map = map(&heap, "map");
        fill(&heap, &map, 20);
        remove(&heap, &map, 0..20);
        let mut child = fork(|| {
            alarm(60);
            let _context = heap.context().expect("a member");
            loop {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        crate::support::until("the child is a member", || {
            heap.stats().expect("figures").members == 2
        });
        child.signal(libc::SIGSTOP);
        crate::support::until("the child is stopped", || child.state() == 'T');
        let given = heap.trim().expect("no error");
        assert_eq!(given == 0, is_named, "{given} bytes went back");
        child.signal(libc::SIGCONT);
        crate::support::until("the child runs", || child.state() != 'T');
        if is_named {
            assert!(heap.trim().expect("trimmed") >= 18 * MEBIBYTE);
        }
        child.kill();
        settle_and_check(&heap);
    }
}

/// Goal: readers beside a trimmer see whole values, and no signal.
/// Method: on a file system with little room, a process replaces values and gives back what is free all
/// the time, another fills the rest of the file system; readers read all the time.
#[test]
fn readers_beside_a_trimmer_see_whole_values() {
    let _alone = alone();
    let Some(folder) = Folder::tiny("beside", 8 << 20) else {
        return skipped(
            "readers_beside_a_trimmer_see_whole_values",
            "mounting is not allowed here",
        );
    };
    let heap = named(&folder, 1 << 30);
    let map = map(&heap, "map");
    let ready = Page::new(1);
    let mut readers: Vec<_> = (0..2)
        .map(|_| {
            fork(|| {
                alarm(60);
                let context = heap.context().expect("a member");
                ready.add(0, 1);
                let mut out = Vec::new();
                loop {
                    for key in 0..8u8 {
                        if map.get(&context, &[key], &mut out).expect("read") {
                            assert!(out.iter().all(|byte| *byte == out[0]), "a torn value");
                        }
                    }
                }
            })
        })
        .collect();
    crate::support::until("the readers are members", || ready.get(0) == 2);
    let begin = Instant::now();
    let mut round = 0u8;
    while begin.elapsed() < Duration::from_secs(4) {
        round = round.wrapping_add(1);
        heap.with(|context| {
            for key in 0..8u8 {
                let size = [40, 3000, 20_000, 300_000][usize::from(key + round) % 4];
                match map.set(context, &[key], &vec![round; size]) {
                    Ok(_) | Err(Error::HeapFull { .. }) => {}
                    Err(other) => return Err(other),
                }
                if key % 3 == 0 {
                    map.remove(context, &[key], &mut Vec::new())?;
                }
            }
            Ok(())
        })
        .expect("written");
        if round.is_multiple_of(4) {
            heap.trim().expect("trimmed");
        }
        let ballast = folder.path().join("ballast");
        let _ = std::fs::write(&ballast, vec![1; 8 << 20]);
        let _ = std::fs::remove_file(&ballast);
    }
    for reader in &mut readers {
        assert_eq!(reader.has_ended(), None, "a reader has ended");
        reader.kill();
    }
    settle_and_check(&heap);
}
