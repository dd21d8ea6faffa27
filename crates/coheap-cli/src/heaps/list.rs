//! `coheap ls`: the heaps of a folder.
//!
//! What always holds: a heap that cannot be opened is in the list, with the reason.

use std::collections::BTreeMap;
use std::path::Path;

use coheap_core::claim::shown;
use coheap_core::{Error, Stats};
use serde_json::json;

use super::{folder_of, open, others};
use crate::args::heaps::List;
use crate::failure::Failure;
use crate::output;

const HEAD: [&str; 6] = ["NAME", "PROCESSES", "USED", "MEMORY", "LIMIT", "STATE"];
/// How many characters of a name and of a reason a row has.
pub(super) const SHOWN: usize = 80;

/// A name in a folder of heaps.
#[derive(Debug)]
pub(super) enum Entry {
    /// A heap.
    Heap(Stats),
    /// A heap that cannot be opened.
    Refused(Error),
    /// Files of a heap that is gone.
    Orphan,
}

/// Prints the list.
pub(crate) fn print(request: &List) -> Result<(), Failure> {
    let all = entries(request.folder.as_deref())?;
    let text = if request.json { as_json(&all) } else { as_table(&all) };
    output::print(text.as_bytes())
}

/// All heaps of a folder by their names, and what is left of others.
pub(super) fn entries(folder: Option<&Path>) -> Result<BTreeMap<String, Entry>, Failure> {
    let (mut heaps, mut beside_heaps) = (Vec::new(), Vec::new());
    let files = std::fs::read_dir(folder_of(folder)?).map_err(|error| {
        Failure::Failed(format!("cannot read the folder of the heaps: {error}"))
    })?;
    for file in files.flatten() {
        let Ok(file) = file.file_name().into_string() else { continue };
        match (file.strip_prefix("coheap."), beside(&file)) {
            (Some(name), _) => heaps.push(name.to_owned()),
            (None, Some(name)) => beside_heaps.push(name.to_owned()),
            (None, None) => {}
        }
    }
    let mut entries = BTreeMap::new();
    for name in heaps {
        match open(folder, &name) {
            Ok(heap) => {
                entries.insert(name, Entry::Heap(heap.stats()?));
                heap.close()?;
            }
            // A temporary heap that has ended, or one that was removed meanwhile.
            Err(Error::NoSuchName) => {}
            Err(error) => {
                entries.insert(name, Entry::Refused(error));
            }
        }
    }
    for name in beside_heaps {
        entries.entry(name).or_insert(Entry::Orphan);
    }
    Ok(entries)
}

/// The name of the heap that a life or birth file is of.
fn beside(file: &str) -> Option<&str> {
    let (stem, what) = file.strip_prefix(".coheap.")?.rsplit_once('.')?;
    let (name, uuid) = stem.rsplit_once('.')?;
    (matches!(what, "life" | "birth") && uuid.len() == 32).then_some(name)
}

fn as_json(all: &BTreeMap<String, Entry>) -> String {
    let row = |(name, entry): (&String, &Entry)| match entry {
        Entry::Heap(stats) => json!({
            "name": name,
            "state": "ok",
            "processes": others(stats.members),
            "used_bytes": stats.used_bytes,
            "allocated_bytes": stats.allocated_bytes,
            "max_bytes": stats.max_bytes,
        }),
        Entry::Refused(error) => {
            json!({ "name": name, "state": "refused", "reason": error.to_string() })
        }
        Entry::Orphan => json!({ "name": name, "state": "orphan" }),
    };
    format!("{:#}\n", json!(all.iter().map(row).collect::<Vec<_>>()))
}

fn as_table(all: &BTreeMap<String, Entry>) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(all.iter().map(|(name, entry)| {
        let name = shown(name, SHOWN);
        let none = || "-".to_owned();
        match entry {
            Entry::Heap(stats) => [
                name,
                others(stats.members).to_string(),
                size(stats.used_bytes),
                size(stats.allocated_bytes),
                size(stats.max_bytes),
                "ok".to_owned(),
            ],
            Entry::Refused(error) => {
                [name, none(), none(), none(), none(), shown(&error.to_string(), SHOWN)]
            }
            Entry::Orphan => [name, none(), none(), none(), none(), ORPHAN.to_owned()],
        }
    }));
    output::table(&rows)
}

const ORPHAN: &str = "left of a heap that is gone: coheap rm --orphans";

/// A number of bytes in the largest unit of which there is one.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes >> (10 * (unit + 1)) != 0 {
        unit += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let number = bytes as f64 / (1_u64 << (10 * unit)) as f64;
    if unit == 0 { format!("{bytes} B") } else { format!("{number:.1} {}", UNITS[unit]) }
}
