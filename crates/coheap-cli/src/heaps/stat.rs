//! `coheap stat`: what is in a heap, and who uses it.
//!
//! What always holds: the numbers are those of one look each, not of one moment.

use coheap_core::claim::shown;
use coheap_core::{Context, Directory, Heap, Kind, Map, Queue, Stats};
use serde_json::{Value, json};

use super::list::{SHOWN, size};
use super::{open, others, refused};
use crate::args::heaps::Stat;
use crate::failure::Failure;
use crate::output;

/// An object with a name: its kind, and how much is in it.
struct Named {
    name: String,
    kind: Kind,
    count: Option<u64>,
}

/// Prints what is in a heap.
pub(crate) fn print(request: &Stat) -> Result<(), Failure> {
    let folder = request.folder.as_deref();
    let heap = open(folder, &request.name).map_err(|error| refused(&request.name, &error))?;
    let (stats, objects) = (heap.stats()?, objects(&heap)?);
    heap.close()?;
    let text = match request.json {
        true => format!("{:#}\n", as_json(&request.name, &stats, &objects)),
        false => as_text(&stats, &objects),
    };
    output::print(text.as_bytes())
}

fn objects(heap: &Heap) -> Result<Vec<Named>, Failure> {
    let names = heap.with(|context| Directory.names(context))?;
    let named = names.into_iter().map(|(name, kind)| {
        // One that is removed meanwhile has nothing in it.
        let count = heap.with(|context| count(context, &name, kind)).unwrap_or_default();
        Named { name, kind, count }
    });
    Ok(named.collect())
}

fn count(context: &Context, name: &str, kind: Kind) -> coheap_core::Result<Option<u64>> {
    Ok(match kind {
        Kind::Map => Some(Directory.get::<Map>(context, name)?.len(context)?),
        Kind::Queue => Some(Directory.get::<Queue>(context, name)?.len(context)?),
        _ => None,
    })
}

/// The numbers of a heap, by their names.
fn numbers(stats: &Stats) -> [(&'static str, u64); 9] {
    [
        ("processes", others(stats.members)),
        ("used_bytes", stats.used_bytes),
        ("committed_bytes", stats.committed_bytes),
        ("allocated_bytes", stats.allocated_bytes),
        ("max_bytes", stats.max_bytes),
        ("recovered", stats.recovered),
        ("undone", stats.undone),
        ("abandoned", stats.abandoned),
        ("returned", stats.returned),
    ]
}

fn as_json(name: &str, stats: &Stats, objects: &[Named]) -> Value {
    let objects: Vec<_> = objects
        .iter()
        .map(|object| {
            json!({ "name": object.name, "kind": object.kind.to_string(), "count": object.count })
        })
        .collect();
    let mut all = json!({ "name": name, "objects": objects });
    for (name, number) in numbers(stats) {
        all[name] = json!(number);
    }
    all
}

fn as_text(stats: &Stats, objects: &[Named]) -> String {
    let number = |(name, number): (&str, u64)| {
        let number = if name.ends_with("_bytes") { size(number) } else { number.to_string() };
        [name.trim_end_matches("_bytes").to_owned(), number]
    };
    let mut text = output::table(&numbers(stats).map(number));
    let mut rows = vec![["OBJECT", "KIND", "COUNT"].map(str::to_owned)];
    rows.extend(objects.iter().map(|object| {
        let count = object.count.map_or("-".to_owned(), |count| count.to_string());
        [shown(&object.name, SHOWN), object.kind.to_string(), count]
    }));
    text.push('\n');
    text.push_str(&output::table(&rows));
    text
}
