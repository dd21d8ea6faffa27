//! Maps: inserting at every threshold, replacing, removing, clearing.
//!
//! Which entries are there says `entry`: number 0 has a short key and an integer, number
//! 2 a long value, number 3 a long key, 11 both.

use coheap_core::error::Result;
use coheap_core::objects::kinds::OfHandle as _;
use coheap_core::objects::map::{self, Pairs, Take};
use coheap_core::objects::{Directory, Map, ledger};

use super::{KEY, Mark, NAMELESS, NAMES, Reading, Row, Subject, TEXT, find};
use crate::world::operation::{Operation, State};
use crate::world::snapshot::Content;
use crate::world::stage::{Stage, int};
use crate::world::states::{DIRECTORIES, LEDGERS, TINY, full, large, state};

const MAP: &[&str] = &["map"];

/// Key and value of an entry; some are long.
pub(crate) fn entry(number: u32) -> (Vec<u8>, Vec<u8>) {
    let mut key = format!("k{number:04}").into_bytes();
    if number % 4 == 3 {
        key.extend_from_slice(&[b'-'; 20]);
    }
    let value = if number % 3 == 2 { vec![b'v'; 40] } else { int(i64::from(number)) };
    (key, value)
}

pub(crate) fn fill_map(stage: &Stage, count: u32) {
    let context = stage.context();
    for number in 0..count {
        let (key, value) = entry(number);
        stage.map.set(&context, &key, &value).expect("room");
    }
}

fn thin_map(stage: &Stage, count: u32, removed: std::ops::Range<u32>) {
    fill_map(stage, count);
    let context = stage.context();
    for number in removed {
        stage.map.remove(&context, &entry(number).0, &mut Vec::new()).expect("an entry");
    }
}

/// Has the map note what changes, as for somebody who copies it.
fn copy(stage: &Stage) {
    let copy = stage.map.copy_beside_writers(&stage.context(), Take::Both).expect("room");
    assert!(copy.is_some(), "nobody writes");
}

pub(crate) const MAPS: &[State] = &[
    state("empty", |_| {}),
    state("one", |stage| fill_map(stage, 1)),
    state("8, positions used up", |stage| fill_map(stage, 8)),
    state("12, index at its limit", |stage| fill_map(stage, 12)),
    state("16 less 6, to be packed", |stage| thin_map(stage, 16, 4..10)),
    state("9 of 20 removed at the front", |stage| thin_map(stage, 20, 0..9)),
    state("12 less 3, index to be swept", |stage| thin_map(stage, 12, 2..5)),
    state("16 less 6, copied beside writers", |stage| {
        thin_map(stage, 16, 4..10);
        copy(stage);
    }),
    full(|stage| {
        fill_map(stage, 8);
        stage.fill_up();
    }),
    State {
        name: "full and 16 less 6, to be squeezed",
        max_bytes: TINY,
        build: |stage| {
            thin_map(stage, 16, 4..10);
            stage.fill_up();
        },
    },
];

/// Thresholds of thousands of stores: for a few operations.
pub(crate) const LARGE_MAPS: &[State] = &[
    large("256, last doubling", |stage| fill_map(stage, 256)),
    large("512, first segment full", |stage| fill_map(stage, 512)),
    large("1024 less 400, to be packed", |stage| thin_map(stage, 1024, 100..500)),
    large("1500, a segment given back", |stage| thin_map(stage, 1500, 512..1024)),
    large("1536, index to be split", |stage| fill_map(stage, 1536)),
    large("4096, segments to be doubled", |stage| fill_map(stage, 4096)),
    large("1024 less 400, copied beside writers", |stage| {
        thin_map(stage, 1024, 100..500);
        copy(stage);
    }),
];

/// A full heap in which large maps can give room back: a pass, segments, directory and index.
const FULL_MAPS: &[State] = &[
    in_full("1024 less 400, to be packed", |stage| thin_full(stage, 1024, 100..500)),
    in_full("1500, less all of one segment and some", |stage| thin_full(stage, 1500, 400..1050)),
    in_full("1700, less all but the last", |stage| thin_full(stage, 1700, 0..1690)),
    in_full("3200, less all but the first", |stage| thin_full(stage, 3200, 20..3200)),
];

const fn in_full(name: &'static str, build: fn(&Stage)) -> State {
    State { name, max_bytes: TINY, build }
}

fn thin_full(stage: &Stage, count: u32, removed: std::ops::Range<u32>) {
    fill_map(stage, count);
    stage.fill_up();
    let context = stage.context();
    for number in removed {
        stage.map.remove(&context, &entry(number).0, &mut Vec::new()).expect("an entry");
    }
}

/// Entries of the start states, replaced, and new ones, some of them long.
fn mixed(new: u32) -> Pairs {
    let replaced = [0, 2, 3, 5, 11].map(|number| (entry(number).0, vec![b'V'; 30]));
    let fresh = (5000..5000 + new).map(entry);
    let again = (entry(0).0, b"again".to_vec());
    replaced.into_iter().chain(fresh).chain([again]).collect()
}

/// What is added to the integers of the start states, and to new ones.
fn additions(new: u32) -> Vec<(Vec<u8>, i64)> {
    let numbers = [0, 3, 1, 0].into_iter().chain(5000..5000 + new);
    numbers.map(|number| (entry(number).0, i64::from(number))).collect()
}

const OPERATIONS: &[Operation] = &[
    Operation::new(&["Map::set"], "new, short", MAPS, MAP, |stage, context| {
        stage.map.set(context, b"fresh", b"new").map(|_| ())
    }),
    Operation::new(&["Map::set"], "new, growing", LARGE_MAPS, MAP, |stage, context| {
        stage.map.set(context, b"fresh", b"new").map(|_| ())
    }),
    Operation::new(&["Map::set"], "new, long key and value", MAPS, MAP, |stage, context| {
        stage.map.set(context, &[b'K'; 40], &[b'V'; 40]).map(|_| ())
    }),
    Operation::new(&["Map::set"], "new, value of a run", MAPS, MAP, |stage, context| {
        stage.map.set(context, b"fresh", &[b'V'; 20_000]).map(|_| ())
    }),
    Operation::new(&["Map::set"], "existing, short to short", MAPS, MAP, |stage, context| {
        stage.map.set(context, &entry(0).0, b"new").map(|_| ())
    }),
    Operation::new(&["Map::set"], "existing, long in place", MAPS, MAP, |stage, context| {
        stage.map.set(context, &entry(2).0, &[b'V'; 39]).map(|_| ())
    }),
    Operation::new(&["Map::set"], "existing, long to longer", MAPS, MAP, |stage, context| {
        stage.map.set(context, &entry(11).0, &[b'V'; 700]).map(|_| ())
    }),
    Operation::new(&["Map::set"], "large, in a full heap", FULL_MAPS, MAP, |stage, context| {
        stage.map.set(context, b"fresh", &[b'V'; 100_000]).map(|_| ())
    }),
    Operation::new(&["Map::set_default"], "new", MAPS, MAP, |stage, context| {
        stage.map.set_default(context, b"fresh", b"new", &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Map::set_default"], "existing", MAPS, MAP, |stage, context| {
        stage.map.set_default(context, &entry(0).0, b"new", &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Map::add"], "new", MAPS, MAP, |stage, context| {
        stage.map.add(context, b"fresh", 3).map(|_| ())
    }),
    Operation::new(&["Map::add"], "existing", MAPS, MAP, |stage, context| {
        stage.map.add(context, &entry(0).0, 3).map(|_| ())
    }),
    Operation::new(
        &["Map::set_many", "Map::set_part"],
        "few, mixed",
        MAPS,
        MAP,
        |stage, context| stage.map.set_many(context, &mixed(6)).map(|_| ()),
    ),
    Operation::new(&["Map::set_many"], "an index anew", MAPS, MAP, |stage, context| {
        stage.map.set_many(context, &mixed(60)).map(|_| ())
    }),
    Operation::new(&["Map::set_many"], "growing", LARGE_MAPS, MAP, |stage, context| {
        stage.map.set_many(context, &mixed(40)).map(|_| ())
    }),
    Operation::new(&["Map::set_many"], "too large", MAPS, MAP, |stage, context| {
        let (mixed, large) = (mixed(20), vec![b'V'; 5 << 20]);
        let entries = mixed.iter().chain([(&b"large"[..], &large[..])]).collect();
        stage.map.set_many(context, &entries).map(|_| ())
    }),
    Operation::new(
        &["Map::add_many", "Map::add_part"],
        "few, mixed",
        MAPS,
        MAP,
        |stage, context| stage.map.add_many(context, &additions(6)),
    ),
    Operation::new(&["Map::add_many"], "an index anew", MAPS, MAP, |stage, context| {
        stage.map.add_many(context, &additions(60))
    }),
    Operation::new(&["Map::compare_and_set"], "nothing to new", MAPS, MAP, |stage, context| {
        stage.map.compare_and_set(context, b"fresh", None, Some(&[b'c'; 20])).map(|_| ())
    }),
    Operation::new(&["Map::compare_and_set"], "old to new", MAPS, MAP, |stage, context| {
        let old = int(0);
        stage.map.compare_and_set(context, &entry(0).0, Some(&old), Some(b"new")).map(|_| ())
    }),
    Operation::new(&["Map::compare_and_set"], "old to nothing", MAPS, MAP, |stage, context| {
        let (key, old) = entry(2);
        stage.map.compare_and_set(context, &key, Some(&old), None).map(|_| ())
    }),
    Operation::new(&["Map::compare_and_set"], "otherwise", MAPS, MAP, |stage, context| {
        stage.map.compare_and_set(context, &entry(0).0, Some(b"?"), Some(b"new")).map(|_| ())
    }),
    Operation::new(&["Map::remove"], "the first", MAPS, MAP, |stage, context| {
        stage.map.remove(context, &entry(0).0, &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Map::remove"], "long key and value", MAPS, MAP, |stage, context| {
        stage.map.remove(context, &entry(11).0, &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Map::remove"], "beside holes", LARGE_MAPS, MAP, |stage, context| {
        stage.map.remove(context, &entry(99).0, &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Map::pop_last"], "beside holes", LARGE_MAPS, MAP, |stage, context| {
        stage.map.pop_last(context, &mut Vec::new(), &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Map::pop_last"], "any", MAPS, MAP, |stage, context| {
        stage.map.pop_last(context, &mut Vec::new(), &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Map::first", "Map::pop_first"], "any", MAPS, MAP, |stage, context| {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        stage.map.first(context, &mut key, &mut value)?;
        stage.map.pop_first(context, &mut key, &mut value).map(|_| ())
    }),
    Operation::new(&["Map::last", "Map::remove_last"], "any", MAPS, MAP, |stage, context| {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        if stage.map.last(context, &mut key, &mut value)? {
            stage.map.remove_last(context, &key, &value)?;
        }
        Ok(())
    }),
    Operation::new(&["Map::remove_first"], "any", MAPS, MAP, |stage, context| {
        let (key, value) = entry(0);
        stage.map.remove_first(context, &key, &value).map(drop)
    }),
    Operation::new(&["Map::move_to_end"], "the first", MAPS, MAP, |stage, context| {
        stage.map.move_to_end(context, &entry(0).0).map(drop)
    }),
    Operation::new(&["Map::move_to_end"], "beside holes", LARGE_MAPS, MAP, |stage, context| {
        stage.map.move_to_end(context, &entry(99).0).map(drop)
    }),
    Operation::new(&["Map::clear"], "all", MAPS, MAP, |stage, context| stage.map.clear(context)),
    Operation::new(&["Map::clear"], "many", LARGE_MAPS, MAP, |stage, context| {
        stage.map.clear(context)
    }),
    Operation::new(&["Map::get"], "short and long", MAPS, MAP, |stage, context| {
        stage.map.get(context, &entry(0).0, &mut Vec::new())?;
        stage.map.get(context, &entry(11).0, &mut Vec::new()).map(|_| ())
    }),
    Operation::new(&["Map::contains"], "a key", MAPS, MAP, |stage, context| {
        stage.map.contains(context, &entry(3).0).map(|_| ())
    }),
    Operation::new(&["Map::len", "Map::note"], "any", MAPS, MAP, |stage, context| {
        stage.map.note(context)?;
        stage.map.len(context).map(|_| ())
    }),
    Operation::new(&["Map::is_empty"], "any", MAPS, MAP, |stage, context| {
        stage.map.is_empty(context).map(|_| ())
    }),
    Operation::new(&["Map::snapshot"], "all", MAPS, MAP, |stage, context| {
        stage.map.snapshot(context).map(|_| ())
    }),
    Operation::new(&["Map::snapshot_of"], "the keys", MAPS, MAP, |stage, context| {
        stage.map.snapshot_of(context, Take::Keys).map(|_| ())
    }),
    Operation::new(&["Map::get_many"], "some there", MAPS, MAP, |stage, context| {
        let keys = [0, 3, 11, 700].map(|number| (entry(number).0, []));
        stage.map.get_many(context, &keys.into_iter().collect()).map(|_| ())
    }),
    Operation::new(&["Map::copy_beside_writers"], "all", MAPS, MAP, |stage, context| {
        stage.map.copy_beside_writers(context, Take::Both).map(|_| ())
    }),
    Operation::new(&["Map::scan"], "some", MAPS, MAP, |stage, context| {
        stage.map.scan(context, 2, 5).map(|_| ())
    }),
    Operation::new(&["Map::scan_after"], "some", MAPS, MAP, |stage, context| {
        stage.map.scan_after(context, &entry(1).0, 5).map(|_| ())
    }),
    Operation::new(&["Directory::get_or_create"], "map", DIRECTORIES, NAMES, |_, context| {
        Directory.get_or_create(context, "new", &map::Recipe).map(|_| ())
    }),
    Operation::new(&["Directory::remove"], "map", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "map")
    }),
    Operation::new(&["ledger::create"], "map", LEDGERS, NAMELESS, |_, context| {
        ledger::create(context, &map::Recipe).map(|_| ())
    }),
];

pub(crate) const ROW: Row = Row {
    operations: OPERATIONS,
    find: find::<Map>,
    look: |subject, _| look(subject),
    read: Reading::Optimistic(|subject, _| read(subject)),
    write: &[write],
};

fn look(subject: &Subject<'_>) -> Result<Content> {
    let Subject { context, name, handle } = *subject;
    let map = Map::of(handle);
    let pairs = map.snapshot(context)?.to_vec();
    assert_eq!(map.len(context)?, pairs.len() as u64, "{name} counts its entries");
    if let Some((key, value)) = pairs.last() {
        let mut found = Vec::new();
        assert!(map.get(context, key, &mut found)?, "{name} finds its last key");
        assert_eq!(&found, value);
    }
    Ok(Content::Map(pairs))
}

fn read(subject: &Subject<'_>) -> Result<Content> {
    let map = Map::of(subject.handle);
    Ok(Content::Map(map.snapshot(subject.context)?.to_vec()))
}

fn write(subject: &Subject<'_>) -> Result<Option<Mark>> {
    if !subject.is_open() || !subject.has_room() {
        return Ok(None);
    }
    Map::of(subject.handle).set(subject.context, KEY, TEXT)?;
    Ok(Some(Mark::Pair))
}
