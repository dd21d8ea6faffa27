//! What every object of a heap holds, in private memory, to compare.
//!
//! Taking a snapshot empties the queues: the order of items and their attempts are seen by taking
//! them. So it is the last thing done to a heap before it is put back.
//!
//! What always holds: a snapshot tells of everything that a user can see, and of nothing else.

use std::collections::BTreeMap;

use coheap_core::AnyObject;
use coheap_core::Kind;
use coheap_core::error::{Error, Result};
use coheap_core::journal::Context;
use coheap_core::objects::Handle;
use coheap_core::objects::mutex::Acquired;
use coheap_core::objects::{Directory, Map, Mutex, Queue, Value};

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
    Mutex {
        value: Vec<u8>,
        told: Told,
    },
}

/// Looks at every object. `victims`: processes that may be named as dead holders.
pub(crate) fn take(stage: &Stage, victims: &[u32]) -> Result<Snapshot> {
    let context = &*stage.context();
    let mut snapshot = Snapshot::new();
    for (name, kind) in Directory.names(context)? {
        let content = match kind {
            Kind::Value => value(context, &name)?,
            Kind::Map => map(context, &name)?,
            Kind::Queue => queue(context, &name, stage.is_full.get())?,
            Kind::Mutex => mutex(context, &name, victims)?,
            Kind::RecursiveMutex => panic!("{name} is a {kind}, which no state has"),
        };
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

fn value(context: &Context, name: &str) -> Result<Content> {
    let mut bytes = Vec::new();
    Directory.get::<Value>(context, name)?.get(context, &mut bytes)?;
    Ok(Content::Value(bytes))
}

fn map(context: &Context, name: &str) -> Result<Content> {
    let map: Map = Directory.get(context, name)?;
    let pairs = map.snapshot(context)?.to_vec();
    assert_eq!(map.len(context)?, pairs.len() as u64, "{name} counts its entries");
    if let Some((key, value)) = pairs.last() {
        let mut found = Vec::new();
        assert!(map.get(context, key, &mut found)?, "{name} finds its last key");
        assert_eq!(&found, value);
    }
    Ok(Content::Map(pairs))
}

fn queue(context: &Context, name: &str, is_full: bool) -> Result<Content> {
    let queue: Queue = Directory.get(context, name)?;
    let leased = queue.leased(context)?;
    let closed = queue.is_closed(context)?;
    let len = queue.len(context)?;
    let failed = queue
        .failed(context)?
        .into_iter()
        .map(|failed| (failed.value, failed.attempts, format!("{:?}", failed.why)))
        .collect();
    let mut waiting = Vec::new();
    loop {
        let mut item = Vec::new();
        let attempt = if is_full {
            queue.get(context, &mut item).map(|()| 0)
        } else {
            queue.lease(context, &mut item).and_then(|lease| {
                queue.ack(context, &lease)?;
                Ok(lease.attempt)
            })
        };
        match attempt {
            Ok(attempt) => waiting.push((item, attempt)),
            Err(Error::Empty | Error::ShutDown) => break,
            Err(other) => return Err(other),
        }
    }
    assert_eq!(len, waiting.len() as u64, "{name} counts its items");
    Ok(Content::Queue { waiting, leased, failed, closed })
}

fn mutex(context: &Context, name: &str, victims: &[u32]) -> Result<Content> {
    let mutex: Mutex = Directory.get(context, name)?;
    let mut value = Vec::new();
    mutex.value().get(context, &mut value)?;
    let told = match mutex.try_lock(context)? {
        None => Told::Held,
        Some(Acquired::Clean) => Told::Clean,
        Some(Acquired::OwnerDied(pid)) if victims.contains(&pid) => Told::Died,
        Some(Acquired::OwnerDied(_)) => Told::DiedMisnamed,
    };
    if told != Told::Held {
        mutex.unlock(context)?;
    }
    Ok(Content::Mutex { value, told })
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
