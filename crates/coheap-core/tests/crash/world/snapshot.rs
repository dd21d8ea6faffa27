//! What every object of a heap holds, in private memory, to compare.
//!
//! Taking a snapshot empties the queues: the order of items and their attempts are seen by taking
//! them. So it is the last thing done to a heap before it is put back.
//!
//! What always holds: a snapshot tells of everything that a user can see, and of nothing else.
//!
//! Not here: how an object is looked at (`kinds`).

use std::collections::BTreeMap;

use coheap_core::AnyObject;
use coheap_core::error::Result;
use coheap_core::objects::{Directory, Handle};

use super::kinds::{Subject, Victims, row};
use super::stage::Stage;

/// All objects by name.
pub(crate) type Snapshot = BTreeMap<String, Content>;

/// How a lock came to its next holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The last holder let it go.
    Clean,
    /// A process died holding it, and it was named rightly.
    Died,
    /// A process died holding it, and a wrong number was told.
    DiedMisnamed,
    /// A process died holding it, and it is strict: nobody gets it.
    Refused,
    /// Somebody who lives has it.
    Held,
}

/// What one object holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Value(Vec<u8>),
    Map(Vec<(Vec<u8>, Vec<u8>)>),
    Queue {
        /// Items in the order they come out, each with the number of its next attempt.
        waiting: Vec<(Vec<u8>, u32)>,
        leased: u64,
        /// Items given up, with their attempts and the reason.
        failed: Vec<(Vec<u8>, u32, String)>,
        closed: bool,
    },
    /// Of a recursive mutex, too.
    Mutex {
        value: Vec<u8>,
        told: Told,
        /// How often who looks has it already.
        depth: u64,
    },
}

/// Looks at every object. `pids`: processes that may be named as dead holders.
pub(crate) fn take(stage: &Stage, pids: &[u32]) -> Result<Snapshot> {
    let context = &*stage.context();
    let victims = Victims { pids, is_full: stage.is_full.get() };
    let mut snapshot = Snapshot::new();
    for (name, kind) in Directory.names(context)? {
        let row = row(kind);
        let handle = (row.find)(context, &name)?;
        let content = (row.look)(&Subject { context, name: &name, handle }, &victims)?;
        snapshot.insert(name, content);
    }
    for (number, reference) in stage.references.borrow().iter().enumerate() {
        let Handle { at, generation, .. } = reference.handle();
        let AnyObject::Map(map) = AnyObject::find(context, at, generation)? else {
            panic!("nameless {number} is no map");
        };
        let pairs = map.snapshot(context)?.to_vec();
        snapshot.insert(format!("nameless {number}"), Content::Map(pairs));
    }
    Ok(snapshot)
}

/// Where two snapshots differ, in words.
pub(crate) fn difference(left: &Snapshot, right: &Snapshot) -> String {
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differing = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
    differing
        .map(|name| format!("{name}: {} <> {}", short(left.get(name)), short(right.get(name))))
        .collect::<Vec<String>>()
        .join("; ")
}

fn short(content: Option<&Content>) -> String {
    let text = format!("{content:?}");
    text.chars().take(400).collect()
}
