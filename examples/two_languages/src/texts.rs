//! What Rust gives and Python counts: texts out, words back.
//!
//! What always holds: the texts follow from their numbers, so that every answer is known.

use std::collections::BTreeMap;

use coheap::{Heap, Result};
use serde::{Deserialize, Serialize};

use crate::PATIENCE;

const WORDS: [&str; 5] = ["to", "be", "or", "not", "être"];

/// A dict with str keys in Python.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Text {
    id: u64,
    lines: Vec<String>,
    weight: f32,
    initial: char,
    span: (u32, Option<u32>),
}

/// What Python answers, as a dict: its fields in any order, and more than these.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Found {
    words: BTreeMap<String, u32>,
    weight: f32,
    longest: Option<String>,
    place: Place,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Place {
    Nowhere,
    Between(u32, u32),
}

fn text(id: u64) -> Text {
    let word = |n: u64| WORDS[usize::try_from(n % 5).unwrap_or(0)];
    let line = |at: u64| (0..at + id % 3).map(|n| word(n * at + id)).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = (0..id % 7).map(line).collect();
    let end = u32::try_from(id).ok().filter(|end| end % 2 == 0);
    Text { id, lines, weight: 0.1, initial: 'é', span: (0, end) }
}

fn expected(text: &Text) -> Found {
    let words: Vec<&str> = text.lines.iter().flat_map(|line| line.split_whitespace()).collect();
    let mut counts = BTreeMap::new();
    for word in &words {
        *counts.entry((*word).to_owned()).or_default() += 1;
    }
    // The first of the longest.
    let longest = words.iter().rev().max_by_key(|word| word.chars().count());
    Found {
        words: counts,
        weight: text.weight * 2.0,
        longest: longest.map(|&word| word.to_owned()),
        place: text.span.1.map_or(Place::Nowhere, |end| Place::Between(text.span.0, end)),
    }
}

/// Gives `count` texts to Python's workers, waits for them and checks what they found.
pub(crate) fn give(heap: &Heap, count: u64) -> Result<()> {
    let jobs = heap.work_queue::<Text>("texts")?;
    let texts: Vec<Text> = (0..count).map(text).collect();
    assert_eq!(jobs.put_many(&texts)?, texts.len());
    jobs.close()?;
    jobs.join(Some(PATIENCE))?;
    assert_eq!(jobs.failed()?, []);

    // A Dict takes no bare dict, whose changes would be lost, but a tuple with one.
    let found = heap.map::<u64, Found>("found")?;
    assert_eq!(found.len()?, count);
    for text in &texts {
        assert_eq!(found.get(&text.id)?, Some(expected(text)), "for {text:?}");
    }
    Ok(())
}
