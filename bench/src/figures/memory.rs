//! Bytes behind a heap's files: what the kernel says it keeps for them (`st_blocks`).
//!
//! Entries are inserted one by one, so the map grows as it does for a user. What a process keeps
//! to itself is not counted.

use coheap_core::Heap;

use super::{get, put, stay};
use crate::ours::{self, map::OurMap, number_bytes};
use crate::process::{Child, until};
use crate::workloads::Bench;

const PROCESSES: u64 = 16;
const ENTRIES: u64 = 1_000_000;

fn bytes(heap: &Heap) -> u64 {
    heap.files().iter().map(|file| file.allocated_bytes().expect("a size")).sum()
}

/// An empty heap, an attached process, a million entries.
pub fn run(bench: &mut Bench<'_>) {
    let board = bench.board;
    let heap = ours::heap();
    let empty = bytes(&heap);
    bench.report.figure("an empty anonymous heap", empty as f64 / 1024.0, "KiB", Some(1024.0));
    let map = OurMap::new(&heap, "map");
    map.set(0, &number_bytes(0));
    let before = bytes(&heap);
    put(board, 0, 0);
    let children: Vec<Child> = (1..=PROCESSES)
        .map(|number| {
            Child::fork(|| {
                map.set(number, &number_bytes(number));
                board.words[0].0.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
                stay();
            })
        })
        .collect();
    until("all attached", || get(board, 0) == PROCESSES);
    let each = (bytes(&heap) - before) as f64 / PROCESSES as f64 / 1024.0;
    drop(children);
    bench.report.figure("each attached process, mean of 16", each, "KiB", Some(256.0));
    let heap = ours::heap();
    let map = OurMap::new(&heap, "map");
    let before = bytes(&heap);
    (0..ENTRIES).for_each(|key| map.set(key, &number_bytes(key)));
    let entry = (bytes(&heap) - before) as f64 / ENTRIES as f64;
    bench.report.figure("an entry u64 -> u64, of 1,000,000", entry, "bytes", Some(96.0));
}
