//! Rust's half of the example: works for `main.py`, and lets it work for this program.
//!
//! `give` puts texts for Python's workers and checks what they found; `work` takes Python's outlines
//! and measures them. Any number of each may run, in any order, and workers may be killed.
//!
//! What always holds: an outline is measured and its job acked in one transaction, so that each
//! counts once, however many workers die.

mod outlines;
mod texts;

use std::error::Error;
use std::time::Duration;

use coheap::Heap;

/// Long enough for a busy machine; whoever waits longer waits for nobody.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: two-languages HEAP give|work [COUNT]";
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or(usage)?;
    let role = arguments.next().ok_or(usage)?;
    let count = arguments.next().map_or(Ok(300), |count| count.parse())?;
    // The heap goes with the last of the programs.
    let heap = Heap::builder().name(&name).max_bytes(64 << 20).temporary(true).open()?;
    match role.as_str() {
        "give" => {
            outlines::meet_a_pickle(&heap)?;
            texts::give(&heap, count)?;
        }
        "work" => outlines::work(&heap)?,
        _ => return Err(usage.into()),
    }
    heap.check()?;
    Ok(())
}
