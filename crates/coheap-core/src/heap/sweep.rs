//! What processes that died have left in a folder: temporary heaps that have ended, and life and
//! birth files without a heap.
//!
//! A creation is the moment: it needs the room, and it is rare and slow already.
//!
//! What always holds: only files are removed that belong to the calling user, have the name of a
//! life or birth file, and whose life bytes are all free; and with them, under the turn of its
//! directory, a temporary heap that nobody keeps. A creator holds its life byte before the file has
//! a name, so a heap that is being made is left alone. The number of files that are looked at is
//! limited; where there are more, each creation looks at others.

use std::path::Path;

use super::files::{self, Beside, check_owner, check_private};
use super::{create, find, registry, temporary};
use crate::error::{Error, Result};
use crate::os::{self, HeapFile};

/// The most names of a folder that are read.
const MOST_NAMES: usize = 10_000;
/// The most pairs of life and birth files that are looked at.
const MOST_PAIRS: usize = 500;

/// Removes what dead processes have left in a folder. What cannot be read or removed stays.
pub(super) fn sweep(folder: &Path) {
    let Ok(names) = HeapFile::names_in(folder, MOST_NAMES) else { return };
    let mut pairs: Vec<Beside> = names.iter().filter_map(|name| Beside::parse(name)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let Some(first) = os::random_u64().ok().and_then(|n| n.checked_rem(pairs.len() as u64)) else {
        return;
    };
    pairs.rotate_left(first as usize);
    pairs.truncate(MOST_PAIRS);
    registry::retain_unused(folder, &mut pairs);
    for pair in &pairs {
        // One that cannot be judged does not protect the others.
        let _ = sweep_pair(folder, pair);
    }
}

/// What the data file says whose name is in the names of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    /// It is missing, or is another heap's.
    NotTheirs,
    /// It is the pair's heap, which is temporary.
    Temporary,
    /// It is the pair's heap, which lives on; or it cannot be told.
    Kept,
}

fn sweep_pair(folder: &Path, pair: &Beside) -> Result<()> {
    let path = files::data_path(folder, pair.name());
    match data(&path, pair)? {
        Data::Kept => Ok(()),
        Data::NotTheirs => {
            // In the order in which the files of a heap are removed.
            remove_own(&pair.birth(folder))?;
            remove_own(&pair.life(folder))
        }
        Data::Temporary => match find::files(&path)? {
            Some(files) => temporary::end_if_left(&files, &path, Some(0)).map(|_| ()),
            None => Ok(()),
        },
    }
}

fn data(path: &Path, pair: &Beside) -> Result<Data> {
    match HeapFile::identify(path) {
        Err(Error::Os { code: 2, .. }) => return Ok(Data::NotTheirs),
        Err(other) => return Err(other),
        // A heap of another user has the name.
        Ok((_, owner)) if owner.user != os::user() => return Ok(Data::NotTheirs),
        Ok((_, owner)) => check_private(&owner)?,
    }
    let Ok(region) = create::map_checked(HeapFile::open(path)?) else { return Ok(Data::Kept) };
    Ok(match files::uuid_of(&region) == pair.uuid() {
        false => Data::NotTheirs,
        true if temporary::is_temporary(&region) => Data::Temporary,
        true => Data::Kept,
    })
}

fn remove_own(path: &Path) -> Result<()> {
    match HeapFile::identify(path) {
        Ok((_, owner)) if owner.is_file && check_owner(&owner).is_ok() => HeapFile::unlink(path),
        Ok(_) | Err(Error::Os { code: 2, .. }) => Ok(()),
        Err(other) => Err(other),
    }
}
