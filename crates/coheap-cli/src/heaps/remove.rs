//! `coheap rm`: heaps lose their names, and what is left of others goes.
//!
//! What always holds: only files of this user are removed, and of those only the files of a heap that was
//! named, or such that belong to no heap and that no living process uses.

use std::path::Path;

use coheap_core::{Error, Heap};
use serde_json::json;

use super::list::{Entry, entries};
use super::{open, options, others, refused};
use crate::args::heaps::Remove;
use crate::failure::Failure;
use crate::output;

/// What became of a name.
struct Done {
    name: String,
    /// How many processes still use the heap.
    users: u64,
}

/// Removes what was asked for.
pub(crate) fn run(request: &Remove) -> Result<(), Failure> {
    let folder = request.folder.as_deref();
    let (mut removed, mut orphans, mut failure) = (Vec::new(), Vec::new(), None);
    for name in &request.names {
        match remove(folder, name, request.force) {
            Ok(users) => removed.push(Done { name: name.clone(), users }),
            Err(error) => failure = Some(failure.unwrap_or(error)),
        }
    }
    if request.orphans {
        orphans = remove_orphans(folder)?;
    }
    output::print(told(request.json, &removed, &orphans).as_bytes())?;
    failure.map_or(Ok(()), Err)
}

/// Removes the name of a heap, and returns how many other processes use it.
fn remove(folder: Option<&Path>, name: &str, is_forced: bool) -> Result<u64, Failure> {
    match open(folder, name) {
        Ok(heap) => {
            let users = others(heap.stats()?.members);
            heap.unlink()?;
            heap.close()?;
            Ok(users)
        }
        Err(Error::NoSuchName | Error::BadName(_)) => {
            Err(Failure::Failed(format!("there is no heap {name:?}; nothing was changed")))
        }
        Err(error) if is_forced && !matches!(error, Error::NotYours { .. }) => {
            std::fs::remove_file(options(folder, name).path()?).map_err(|failed| {
                Failure::Failed(format!("heap {name:?}: {error}; it cannot be removed: {failed}"))
            })?;
            Heap::remove_orphans(folder);
            Ok(0)
        }
        Err(error) => Err(refused(name, &error)),
    }
}

/// Removes what is left of heaps that are gone, and returns their names.
fn remove_orphans(folder: Option<&Path>) -> Result<Vec<String>, Failure> {
    let orphans = || -> Result<Vec<String>, Failure> {
        let all = entries(folder)?.into_iter();
        Ok(all.filter(|(_, entry)| matches!(entry, Entry::Orphan)).map(|(name, _)| name).collect())
    };
    let before = orphans()?;
    Heap::remove_orphans(folder);
    let after = orphans()?;
    Ok(before.into_iter().filter(|name| !after.contains(name)).collect())
}

fn told(is_json: bool, removed: &[Done], orphans: &[String]) -> String {
    if is_json {
        let heaps: Vec<_> =
            removed.iter().map(|it| json!({ "name": it.name, "processes": it.users })).collect();
        return format!("{:#}\n", json!({ "removed": heaps, "orphans": orphans }));
    }
    let mut text = String::new();
    for Done { name, users } in removed.iter().filter(|done| done.users != 0) {
        text.push_str(&format!("{name}: {users} processes still use it; it ends with the last\n"));
    }
    for name in orphans {
        text.push_str(&format!("{name}: what was left of it is gone\n"));
    }
    text
}
