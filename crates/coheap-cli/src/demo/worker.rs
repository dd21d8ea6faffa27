//! One process that counts: takes an item on lease, reads it, counts, and in one transaction adds
//! its counts to the shared map and acks the item.
//!
//! What always holds: an item's counts are in the map exactly when the item is acked, at whichever
//! instruction this process is killed. When the process that started it is gone, it goes too.
//! Not here: who starts and kills it (`crew`).

use std::io;

use coheap::{Error, Heap, Lease, Map, WorkQueue};

use super::items::Item;
use super::words::{self, Counts};
use crate::failure::Failure;

/// Name of the shared map.
pub(crate) const COUNTS: &str = "counts";
/// Name of the queue of items.
pub(crate) const ITEMS: &str = "items";

/// Counts until the queue is closed and everything in it is done.
pub(crate) fn work() -> Result<(), Failure> {
    let Some(worker) = coheap::worker::attach()? else {
        return Err(Failure::Usage(
            "a worker needs the heap that `coheap demo` passes to it; run `coheap demo` instead"
                .into(),
        ));
    };
    leave_with_parent();
    let heap = worker.heap;
    let counts = heap.map::<String, i64>(COUNTS)?;
    let items = heap.work_queue::<Item>(ITEMS)?;
    let mut buffer = Vec::new();
    loop {
        match items.get() {
            Ok(item) => do_item(&heap, &counts, &items, &item, &mut buffer)?,
            Err(Error::ShutDown) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn do_item(
    heap: &Heap,
    counts: &Map<String, i64>,
    items: &WorkQueue<Item>,
    job: &Lease<Item>,
    buffer: &mut Vec<u8>,
) -> Result<(), Failure> {
    let item = job.value();
    let text = item.read(buffer).map_err(|trouble| trouble.changed(&item.0.path()))?;
    let mut words = Counts::default();
    words::count(text, &mut words);
    let done = heap.transaction(|tx| {
        tx.add_many(counts, words.iter().map(|(word, count)| (*word, *count)))?;
        tx.ack(job)
    });
    let is_too_large = matches!(done, Err(Error::TransactionTooLarge { .. }));
    let Some(halves) = is_too_large.then(|| item.halves(text)).flatten() else {
        return Ok(done?);
    };
    // More new words than one change can hold: two items with half of them take its place.
    Ok(heap.transaction(|tx| {
        for half in &halves {
            tx.put_job(items, half)?;
        }
        tx.ack(job)
    })?)
}

/// The parent holds the other end of standard input and never writes: the end of it is the end of
/// the parent. A worker that stops in the middle of anything leaves the heap whole.
fn leave_with_parent() {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
}
