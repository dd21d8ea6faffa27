//! Values: one cell, short or long.
//!
//! The text begins as five bytes, 40 bytes or 20,000 bytes, so that each `set` goes from inline,
//! block and run to inline, block and run, and overwrites in place where it may.

use coheap_core::error::Result;
use coheap_core::objects::kinds::OfHandle as _;
use coheap_core::objects::{Directory, Value, ledger, value};

use super::{Mark, NAMELESS, NAMES, Reading, Row, Subject, TEXT as LIVE, find};
use crate::world::operation::{Operation, State};
use crate::world::snapshot::Content;
use crate::world::stage::Stage;
use crate::world::states::{DIRECTORIES, FRESH, LEDGERS, full, state};

const TEXT: &[&str] = &["text"];
const VALUE: &[&str] = &["value"];
const LONG_NAME: &str = "a name that does not fit into a cell of sixteen bytes";

const VALUES: &[State] = &[
    state("inline", |stage| set_text(stage, b"short")),
    state("block", |_| {}),
    state("large", |stage| set_text(stage, &[b'l'; 20_000])),
    full(Stage::fill_up),
];

fn set_text(stage: &Stage, bytes: &[u8]) {
    stage.text.set(&stage.context(), bytes).expect("room");
}

const OPERATIONS: &[Operation] = &[
    Operation::new(&["Value::get"], "text", VALUES, TEXT, |stage, context| {
        stage.text.get(context, &mut Vec::new())
    }),
    Operation::new(&["Value::integer"], "of a text", VALUES, TEXT, |stage, context| {
        stage.text.integer(context).map(|_| ())
    }),
    Operation::new(&["Value::set", "cell::ensure"], "to inline", VALUES, TEXT, |stage, context| {
        stage.text.set(context, b"new")
    }),
    Operation::new(&["Value::set"], "to the same size", VALUES, TEXT, |stage, context| {
        stage.text.set(context, &[b'n'; 41])
    }),
    Operation::new(&["Value::set"], "to another block", VALUES, TEXT, |stage, context| {
        stage.text.set(context, &[b'n'; 400])
    }),
    Operation::new(&["Value::set"], "to a run", VALUES, TEXT, |stage, context| {
        stage.text.set(context, &[b'n'; 16_385])
    }),
    Operation::new(&["Value::add"], "to an integer", FRESH, VALUE, |stage, context| {
        stage.value.add(context, 7).map(|_| ())
    }),
    Operation::new(&["Value::add"], "to a text", FRESH, TEXT, |stage, context| {
        stage.text.add(context, 7).map(|_| ())
    }),
    Operation::new(&["Value::compare_and_set"], "as expected", VALUES, TEXT, |stage, context| {
        stage.text.compare_and_set(context, &[b't'; 40], &[b'c'; 100]).map(|_| ())
    }),
    Operation::new(&["Value::compare_and_set"], "otherwise", FRESH, TEXT, |stage, context| {
        stage.text.compare_and_set(context, b"nothing", b"new").map(|_| ())
    }),
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
    Operation::new(&["Directory::remove"], "value", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "value")
    }),
    Operation::new(&["Directory::remove"], "long value", DIRECTORIES, NAMES, |_, context| {
        Directory.remove(context, "text")
    }),
    Operation::new(&["ledger::create"], "long value", LEDGERS, NAMELESS, |_, context| {
        ledger::create(context, &value::Recipe::of(&[b'v'; 60])).map(|_| ())
    }),
];

pub(crate) const ROW: Row = Row {
    operations: OPERATIONS,
    find: find::<Value>,
    look: |subject, _| get(subject),
    read: Reading::Optimistic(|subject, _| get(subject)),
    write: &[write],
};

fn get(subject: &Subject<'_>) -> Result<Content> {
    let mut bytes = Vec::new();
    Value::of(subject.handle).get(subject.context, &mut bytes)?;
    Ok(Content::Value(bytes))
}

/// Adds to an integer, which takes no room, and replaces anything else.
fn write(subject: &Subject<'_>) -> Result<Option<Mark>> {
    if !subject.is_open() {
        return Ok(None);
    }
    let value = Value::of(subject.handle);
    if value.integer(subject.context)?.is_some() {
        value.add(subject.context, 1000)?;
        return Ok(Some(Mark::Sum));
    }
    if !subject.has_room() {
        return Ok(None);
    }
    value.set(subject.context, LIVE)?;
    Ok(Some(Mark::Text))
}
