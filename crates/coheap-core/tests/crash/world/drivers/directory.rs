//! The directory: objects of every kind made, found and ended.
//!
//! In the state "7, filled" the map has entries, the queue returned, leased and waiting items,
//! and the bounded queue all that and more.

use coheap_core::objects::Directory;
use coheap_core::objects::Queue;
use coheap_core::objects::{map, mutex, queue, value};

use crate::world::operation::Operation;
use crate::world::states::DIRECTORIES;

const NAMES: &[&str] = &[""];
const LONG_NAME: &str = "a name that does not fit into a cell of sixteen bytes";

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new(&["Directory::get_or_create"], "value", DIRECTORIES, NAMES, |_, context| {
        Directory.get_or_create(context, "new", &value::Recipe::of(b"short")).map(|_| ())
    }),
    Operation::new(
        &["Directory::get_or_create"],
        "long name and value",
        DIRECTORIES,
        NAMES,
        |_, context| {
            Directory.get_or_create(context, LONG_NAME, &value::Recipe::of(&[b'v'; 60])).map(|_| ())
        },
    ),
    Operation::new(&["Directory::get_or_create"], "map", DIRECTORIES, NAMES, |_, context| {
        Directory.get_or_create(context, "new", &map::Recipe).map(|_| ())
    }),
    Operation::new(&["Directory::get_or_create"], "queue", DIRECTORIES, NAMES, |_, context| {
        let recipe = queue::Recipe { limit: 3, max_attempts: 1 };
        Directory.get_or_create(context, "new", &recipe).map(|_| ())
    }),
    Operation::new(&["Directory::get_or_create"], "lock", DIRECTORIES, NAMES, |_, context| {
        Directory.get_or_create(context, "new", &mutex::Recipe::around(b"short")).map(|_| ())
    }),
    Operation::new(&["Directory::get_or_create"], "existing", DIRECTORIES, NAMES, |_, context| {
        Directory.get_or_create(context, "map", &map::Recipe).map(|_| ())
    }),
    Operation::new(&["Directory::get", "Directory::names"], "any", DIRECTORIES, NAMES, {
        |_, context| {
            Directory.get::<Queue>(context, "queue")?;
            Directory.names(context).map(|_| ())
        }
    }),
    Operation::new(&["Directory::remove"], "value", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "value")
    }),
    Operation::new(&["Directory::remove"], "long value", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "text")
    }),
    Operation::new(&["Directory::remove"], "map", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "map")
    }),
    Operation::new(&["Directory::remove"], "queue", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "queue")
    }),
    Operation::new(&["Directory::remove"], "bounded queue", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "work")
    }),
    Operation::new(&["Directory::remove"], "lock", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "mutex")
    }),
    Operation::new(&["Directory::remove"], "no such name", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "nobody")
    }),
];
