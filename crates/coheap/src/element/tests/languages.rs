//! Both serde tables of `docs/values.md`, value by value: this is Rust's half of the test.
//!
//! Goal: what Rust writes is what Python reads and the other way round, for every row of the page.
//! Method: `languages.txt` has, for each row, values as Rust and as Python call them, and the bytes
//! between. Here each value is written and must be the bytes, and is read from the bytes into its
//! own type; `python/tests/codec/test_languages.py` does the same with the Python column.
//!
//! No line of the file and no row of the page may be left over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::samples::{Any, Blob, Everything, Job, Meters, Pair, Shape, Unit};
use super::{CodecError, bytes_of, decode, hex};

const LINES: &str = include_str!("languages.txt");
const PAGE: &str = include_str!("../../../../../docs/values.md");

/// One value: what Rust and Python call it, and its bytes.
struct Line {
    heading: &'static str,
    rust: &'static str,
    python: &'static str,
    bytes: Vec<u8>,
    is_seen: bool,
}

struct Lines(Vec<Line>);

impl Lines {
    fn read() -> Self {
        let mut heading = "";
        let mut lines = Vec::new();
        for text in LINES.lines() {
            if let Some(title) = text.strip_prefix("## ") {
                heading = title;
            } else if !text.is_empty() && !text.starts_with('#') {
                let mut columns = text.split(" | ");
                let mut column = || columns.next().unwrap_or_else(|| panic!("cut off: {text}"));
                let (rust, python) = (column(), column());
                let bytes = hex(column());
                lines.push(Line { heading, rust, python, bytes, is_seen: false });
            }
        }
        Self(lines)
    }

    /// The lines below `heading` whose Rust column is `rust`, of which there is one at least.
    fn of(&mut self, heading: &str, rust: &str) -> Vec<&Line> {
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        let found: Vec<&Line> = self
            .0
            .iter_mut()
            .filter(|line| line.heading == heading && bare(line.rust) == bare(rust))
            .map(|line| {
                line.is_seen = true;
                &*line
            })
            .collect();
        assert!(!found.is_empty(), "no line for {rust} below {heading}");
        found
    }

    fn reads<T>(&mut self, row: &str, text: &str, value: &T)
    where
        T: DeserializeOwned + PartialEq + Debug,
    {
        self.reads_below(&format!("To Rust: {row}"), text, value);
    }

    fn reads_key<T>(&mut self, row: &str, text: &str, value: &T)
    where
        T: DeserializeOwned + PartialEq + Debug,
    {
        self.reads_below(&format!("Keys: {row}"), text, value);
    }

    fn reads_below<T>(&mut self, heading: &str, text: &str, value: &T)
    where
        T: DeserializeOwned + PartialEq + Debug,
    {
        for line in self.of(heading, text) {
            assert_eq!(decode::<T>(&line.bytes).as_ref(), Ok(value), "from {}", line.python);
        }
    }

    fn writes<T>(&mut self, row: &str, text: &str, value: &T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        for line in self.of(&format!("From Rust: {row}"), text) {
            let bytes = bytes_of(value);
            assert_eq!(bytes, line.bytes, "{text} is written as {bytes:02x?}");
            assert_eq!(decode::<T>(&line.bytes).as_ref(), Ok(value), "from {}", line.python);
        }
    }

    fn refuses(&mut self, heading: &str, text: &str, error: &CodecError) {
        for line in self.of(heading, text) {
            assert_eq!(decode::<Any>(&line.bytes).as_ref(), Err(error), "from {}", line.python);
        }
    }

    fn are_all_seen(&self, direction: &str) {
        let lines = self.0.iter().filter(|line| line.heading.starts_with(direction));
        let left: Vec<_> = lines.filter(|line| !line.is_seen).map(|line| line.rust).collect();
        assert!(left.is_empty(), "nobody looked at {left:?}");
    }
}

/// Calls a method for each value below a heading, with the text of the value.
macro_rules! each {
    ($lines:ident.$method:ident $row:literal: $($value:expr),+ $(,)?) => {
        $($lines.$method($row, stringify!($value), &$value);)+
    };
}

fn one_of_everything() -> Everything {
    Everything {
        flag: true,
        signed: (-1, -2, -3, -4, i128::MIN),
        unsigned: (1, 2, 3, 1 << 63, u128::MAX),
        floats: (0.5, 0.1),
        letter: 'é',
        text: "hé".into(),
        blob: Blob(vec![0, 255]),
        nothing: (),
        unit: Unit,
        length: Meters(1.5),
        pair: Pair(-7, "a".into()),
        maybe: None,
        many: vec![None, Some(5)],
        shape: Shape::Box { width: 7, height: 8 },
        by_name: BTreeMap::from([("x".into(), vec![0, 255])]),
        by_number: BTreeMap::from([((-2, true), Shape::Line(7, -2))]),
        array: [1, 2, 3],
    }
}

#[test]
#[rustfmt::skip]
fn what_rust_writes_is_what_the_page_says() {
    let mut lines = Lines::read();
    each!(lines.writes "`bool`": false, true);
    each!(lines.writes "`i8` ... `i128`, `u8` ... `u128`":
        -128_i8, -32_768_i16, i32::MIN, i64::MIN, i128::from(i64::MIN) - 1, i128::MIN, i128::MAX,
        7_i128, 255_u8, u16::MAX, u32::MAX, 7_u64, u64::MAX, u128::MAX);
    each!(lines.writes "`f32`, `f64`":
        1.5_f32, 0.1_f32, 0.1_f64, -0.0_f64, f64::MIN_POSITIVE, f32::NEG_INFINITY);
    each!(lines.writes "`char`, `str`, `String`":
        'é', Box::<str>::from("hé"), String::new(), String::from("a\0😀"));
    each!(lines.writes "serde's bytes (the crate `serde_bytes`)": Blob(vec![0, 255]), Blob(vec![]));
    each!(lines.writes "`Option`": None::<u8>, Some(7_u8), Some(vec![None, Some(true)]));
    each!(lines.writes "`()` and unit structs": (), Unit);
    each!(lines.writes "newtype structs": Meters(1.5));
    each!(lines.writes "`Vec` and other sequences, sets too":
        vec![0_u8, 255], Vec::<String>::new(), VecDeque::from([true, false]),
        BTreeSet::from([7_i16, 8]));
    each!(lines.writes "tuples, arrays `[T; N]`, tuple structs":
        (true, ()), [7_u16, 8, 9], Pair(7, "a".into()));
    each!(lines.writes "maps":
        BTreeMap::from([(true, String::from("a"))]),
        BTreeMap::from([((-2_i16, true), Shape::Point)]), BTreeMap::<u8, u8>::new());
    each!(lines.writes "structs": Job { id: 7, name: "a".into() });
    each!(lines.writes "unit variants: `Shape::Point`": Shape::Point);
    each!(lines.writes "newtype variants: `Shape::Circle(1.5)`": Shape::Circle(1.5));
    each!(lines.writes "tuple variants: `Shape::Line(7, -2)`": Shape::Line(7, -2));
    each!(lines.writes "struct variants: `Shape::Box { width: 7, height: 7 }`":
        Shape::Box { width: 7, height: 7 });
    each!(lines.writes "nested":
        Shape::Group(vec![Shape::Point, Shape::Group(vec![Shape::Circle(-0.5)])]),
        one_of_everything());
    lines.are_all_seen("From Rust");
}

#[test]
#[rustfmt::skip]
fn what_python_writes_is_read_as_the_page_says() {
    let mut lines = Lines::read();
    each!(lines.reads "`bool`": false, true);
    each!(lines.reads "an integer type":
        7_u8, 7_i128, -2_i8, 9_223_372_036_854_775_808_u64, i128::MIN, u128::MAX);
    each!(lines.reads "`f32`, `f64`":
        1.5_f32, 0.1_f32, 1.5_f64, 7.0_f64, 9_007_199_254_740_992.0_f64,
        1_180_591_620_717_411_303_424.0_f64);
    each!(lines.reads "`char`, `String`": 'é', String::from("hé"));
    each!(lines.reads "serde's bytes": Blob(vec![0, 255]));
    each!(lines.reads "`Option`": None::<u8>, Some(7_u8), None::<Option<()>>);
    each!(lines.reads "`()`, unit structs": (), Unit);
    each!(lines.reads "newtype structs": Meters(1.5), Meters(2.0));
    each!(lines.reads "sequences, sets": vec![7_u8], BTreeSet::from([7_u8]));
    each!(lines.reads "tuples, arrays, tuple structs":
        Pair(7, "a".into()), [1_u8, 2], (1.5, -1.0));
    each!(lines.reads "maps": BTreeMap::from([(1_u8, true)]));
    each!(lines.reads "structs": Job { id: 7, name: "a".into() });
    each!(lines.reads "enums":
        Shape::Point, Shape::Circle(1.5), Shape::Line(7, -2), Shape::Box { width: 7, height: 8 });
    each!(lines.reads "anything (`deserialize_any`)":
        Any::None, Any::Bool(true), Any::Int(-7), Any::Int(18_446_744_073_709_551_615),
        Any::Huge(u128::MAX), Any::Float(1.5), Any::Str("a".into()), Any::Bytes(vec![1]),
        Any::Seq(vec![Any::Float(1.5), Any::Float(-1.0)]), Any::Seq(vec![Any::None]),
        Any::Dict(vec![(Any::Int(1), Any::None)]));
    macro_rules! refuses {
        ($($error:expr),+ $(,)?) => { $(lines.refuses("To Rust: refused", stringify!($error), &$error);)+ };
    }
    refuses!(
        CodecError::Pickled,
        CodecError::Unsupported(0x0e),
        CodecError::OutOfRange { found: "a big integer", target: "a 128-bit integer" },
    );
    lines.are_all_seen("To Rust");
}

#[test]
#[rustfmt::skip]
fn keys_of_python_are_read_by_their_canonical_form() {
    let mut lines = Lines::read();
    each!(lines.reads_key "read by their canonical form":
        true, 1_i64, 1_u8, 1_f64, -7_i64, (1_u8, true), String::from("2020-01-02"),
        String::from("2020-01-02T03:04:05.000006"), String::from("2020-01-02T03:04:05.000000+00:00"),
        String::from("03:04:05.000000"), String::from("12345678-1234-5678-1234-567812345678"),
        PathBuf::from("/tmp/a"), Any::Str("2020-01-02".into()));
    for code in [0x13, 0x1a] {
        let text = format!("CodecError::Unsupported({code:#x})");
        lines.refuses("Keys: refused", &text, &CodecError::Unsupported(code));
    }
    lines.are_all_seen("Keys");
}

#[test]
fn every_row_of_the_page_has_a_line() {
    let lines = Lines::read();
    for direction in ["From Rust", "To Rust"] {
        let section = PAGE.split(&format!("## {direction}, with serde")).nth(1).unwrap();
        let table = section.split("\n\n").nth(1).unwrap();
        let rows: Vec<_> = table.lines().skip(2).map(|row| row.split(" | ").next()).collect();
        assert!(rows.len() > 10, "where is the table? {table}");
        for row in rows {
            let row = row.unwrap().trim_start_matches("| ");
            let heading = format!("{direction}: {row}");
            assert!(lines.0.iter().any(|line| line.heading == heading), "no line for {heading}");
        }
    }
}
