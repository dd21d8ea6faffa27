//! The directory: names that are found, that are there already, and that are not.
//!
//! In the state "7, filled" the map has entries, the queue returned, leased and waiting items,
//! and the bounded queue all that and more.
//!
//! Not here: how objects of each kind are made and ended under a name (`kinds`).

use coheap_core::objects::{Directory, Queue, map};

use crate::world::kinds::NAMES;
use crate::world::operation::Operation;
use crate::world::states::DIRECTORIES;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(&["Directory::get_or_create"], "existing", DIRECTORIES, NAMES, |_, context| {
        Directory.get_or_create(context, "map", &map::Recipe).map(|_| ())
    }),
    Operation::new(&["Directory::get", "Directory::names"], "any", DIRECTORIES, NAMES, {
        |_, context| {
            Directory.get::<Queue>(context, "queue")?;
            Directory.names(context).map(|_| ())
        }
    }),
    Operation::new(&["Directory::remove"], "no such name", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "nobody")
    }),
];
