//! Pages for more spans, step by step, with what another thread does between the steps.
//!
//! Here, because only this module may do one step alone.
//!
//! Not here: all that happens by itself (`tests/exhaustion`), and at every store (`tests/sim`).

use super::{Step, in_a_row, make_real, publish, withdraw};
use crate::allocator::span::trim;
use crate::heap::Heap;
use crate::memory::layout::{SPAN_BYTES, SPAN_TURN};

const WANTED: u64 = 64;

fn heap() -> Heap {
    Heap::anonymous(8 << 20).expect("a heap")
}

fn allocated(heap: &Heap) -> u64 {
    heap.stats().expect("figures").allocated_bytes
}

/// Goal: nobody publishes pages that another, who was refused, has given back meanwhile.
#[test]
fn pages_that_were_given_back_are_asked_for_again() {
    let heap = heap();
    let context = heap.context().expect("attached");
    let region = context.region();
    let held = context.hold(SPAN_TURN).expect("free");
    let Ok(Step::Beyond { committed, needed, withdrawn }) = in_a_row(&held, WANTED, false) else {
        panic!("the heap has to grow");
    };
    drop(held);
    let before = allocated(&heap);
    region.commit_spans(committed, needed).expect("pages");
    withdraw(&context, needed).expect("given back");
    assert!(allocated(&heap) <= before, "they are gone");
    publish(&context, needed, withdrawn).expect("no error");
    assert_eq!(region.committed_spans(), committed, "spans without pages are committed");
    make_real(&context, WANTED).expect("room");
    assert!(region.committed_spans() >= needed);
    assert!(allocated(&heap) >= before + (needed - committed) * SPAN_BYTES);
}

/// Goal: what one has published stays, whoever is late with less, or gives back more.
#[test]
fn published_pages_stay() {
    let heap = heap();
    let context = heap.context().expect("attached");
    let region = context.region();
    make_real(&context, WANTED).expect("room");
    let (committed, before) = (region.committed_spans(), allocated(&heap));
    publish(&context, committed - 1, region.header().spans.withdrawn.get()).expect("no error");
    assert_eq!(region.committed_spans(), committed);
    withdraw(&context, committed).expect("no error");
    assert_eq!(allocated(&heap), before, "published pages were given back");
}

/// Goal: a hole has its pages again before anybody gets it.
#[test]
fn a_hole_has_its_pages_before_it_is_free() {
    let heap = heap();
    let context = heap.context().expect("attached");
    make_real(&context, WANTED).expect("room");
    let before = allocated(&heap);
    let given = trim(&context).expect("trimmed");
    assert!(given >= WANTED * SPAN_BYTES);
    assert!(allocated(&heap) <= before - given);
    make_real(&context, WANTED).expect("room");
    assert!(allocated(&heap) >= before - given + WANTED * SPAN_BYTES, "spans without pages");
}
