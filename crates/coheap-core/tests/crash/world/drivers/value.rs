//! Values: one cell, short or long.
//!
//! The text begins as five bytes, 40 bytes or 20,000 bytes, so that each `set` goes from inline,
//! block and run to inline, block and run, and overwrites in place where it may.

use crate::world::operation::Operation;
use crate::world::states::{FRESH, VALUES};

const TEXT: &[&str] = &["text"];
const VALUE: &[&str] = &["value"];

pub(crate) const OPERATIONS: &[Operation] = &[
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
];
