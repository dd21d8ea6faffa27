//! What Python gives and Rust measures: outlines as structs, which are dicts in Python.
//!
//! Also what becomes of an object that only Python can read.

use coheap::{Error, Heap, Result};
use serde::{Deserialize, Serialize};

use crate::PATIENCE;

/// `{"id": 7, "label": "outline 7", "points": [(0, 0), ...], "style": {"Dashed": 2}, "note": None}`
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Outline {
    id: u64,
    label: String,
    points: Vec<(i64, i64)>,
    style: Style,
    note: Option<String>,
}

/// `"Solid"`, `{"Dashed": 2}` or `{"Dotted": {"gap": 0.5}}`
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Style {
    Solid,
    Dashed(u8),
    Dotted { gap: f32 },
}

/// `{"label": "outline 7", "twice_area": 21, "moment": 2**70, "ink": 0.5}`
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Measures {
    label: String,
    twice_area: i64,
    moment: i128,
    ink: f32,
}

impl Outline {
    fn measure(&self) -> Measures {
        let next = self.points.iter().cycle().skip(1);
        let twice_area: i64 =
            self.points.iter().zip(next).map(|((x, y), (u, v))| x * v - u * y).sum();
        let ink = match self.style {
            Style::Solid => 1.0,
            Style::Dashed(every) => 1.0 / f32::from(every),
            Style::Dotted { gap } => 1.0 - gap,
        };
        let label = self.note.clone().unwrap_or_else(|| self.label.clone());
        // Wider than a machine word: an int like any other in Python.
        let moment = (i128::from(twice_area) << 64) + i128::from(self.id);
        Measures { label, twice_area, moment, ink }
    }
}

/// Measures outlines until Python has given the last one and all are done.
pub(crate) fn work(heap: &Heap) -> Result<()> {
    let jobs = heap.work_queue::<Outline>("outlines")?;
    let measures = heap.map::<u64, Measures>("measures")?;
    let done = heap.map::<String, i64>("done")?;
    loop {
        let job = match jobs.get_timeout(PATIENCE) {
            Ok(job) => job,
            Err(Error::ShutDown) => return Ok(()),
            Err(error) => return Err(error),
        };
        let outline = job.value();
        heap.transaction(|tx| {
            tx.set(&measures, &outline.id, &outline.measure())?;
            tx.add(&done, "outlines", 1)?;
            tx.ack(&job)
        })?;
    }
}

/// Finds what Python has pickled: an error that says so, wherever it is met, and nothing lost.
pub(crate) fn meet_a_pickle(heap: &Heap) -> Result<()> {
    let odd = heap.work_queue::<f64>("odd")?;
    let refused = odd.get_timeout(PATIENCE).map(|job| *job.value());
    assert!(matches!(refused, Err(Error::Pickled)), "read {refused:?}");
    assert_eq!(odd.len()?, 1, "the job went back");

    let halves = heap.map::<String, f64>("halves")?;
    assert_eq!(halves.get("plain")?, Some(0.5));
    let refused = halves.get("pickled");
    assert!(matches!(refused, Err(Error::Pickled)), "read {refused:?}");
    let refused = halves.snapshot();
    assert!(matches!(refused, Err(Error::Pickled)), "read {refused:?}");

    heap.work_queue("replies")?.put(&Error::Pickled.to_string())
}
