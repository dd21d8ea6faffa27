//! The bytes of every kind of value, written out. They are part of the heap format: a change here
//! is a change of the format, and other languages read what these tests show.
//!
//! The same bytes stand in `docs/values.md`, and a test sees to it that they still do.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::samples::{Any, Blob, Job, Meters, Pair, Shape, Unit};
use super::{CodecError, bytes_of, decode, hex};

#[track_caller]
fn lies_as<T: Serialize + ?Sized>(value: &T, expected: &str) {
    let bytes = bytes_of(value);
    assert_eq!(bytes, hex(expected), "got {bytes:02x?}");
}

#[test]
fn scalars_lie_as_documented() {
    lies_as(&(), "00");
    lies_as(&Unit, "00");
    lies_as(&None::<u8>, "00");
    lies_as(&Some(false), "01");
    lies_as(&true, "02");
    lies_as(&7_u8, "03 07 00 00 00 00 00 00 00");
    lies_as(&-2_i8, "03 fe ff ff ff ff ff ff ff");
    lies_as(&i64::MIN, "03 00 00 00 00 00 00 00 80");
    lies_as(&i64::MAX, "03 ff ff ff ff ff ff ff 7f");
    lies_as(&1.5_f64, "05 00 00 00 00 00 00 f8 3f");
    lies_as(&1.5_f32, "05 00 00 00 00 00 00 f8 3f");
    lies_as(&-0.0_f64, "05 00 00 00 00 00 00 00 80");
    lies_as(&f64::from_bits(0xfff8_0000_0000_0001), "05 01 00 00 00 00 00 f8 ff");
    lies_as("", "06 00");
    lies_as("hé", "06 03 68 c3 a9");
    lies_as(&'é', "06 02 c3 a9");
    lies_as(&Blob(vec![0, 255]), "07 02 00 ff");
    lies_as(&Meters(1.5), "05 00 00 00 00 00 00 f8 3f");
}

#[test]
fn big_integers_are_minimal_and_signed() {
    lies_as(&(1_u64 << 63), "04 09 00 00 00 00 00 00 00 80 00");
    lies_as(&u64::MAX, "04 09 ff ff ff ff ff ff ff ff 00");
    lies_as(&(i128::from(i64::MIN) - 1), "04 09 ff ff ff ff ff ff ff 7f ff");
    lies_as(&i128::from(i64::MAX), "03 ff ff ff ff ff ff ff 7f");
    lies_as(&(1_u128 << 71), "04 0a 00 00 00 00 00 00 00 00 80 00");
    lies_as(&-(1_i128 << 71), "04 09 00 00 00 00 00 00 00 00 80");
    lies_as(&i128::MIN, "04 10 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 80");
    let widest = format!("04 11 {} 00", "ff ".repeat(16));
    lies_as(&u128::MAX, &widest);
}

#[test]
fn containers_lie_as_documented() {
    lies_as(&(true, ()), "08 02 02 00");
    lies_as(&[true; 2], "08 02 02 02");
    lies_as(&Pair(7, "a".into()), "08 02 03 07 00 00 00 00 00 00 00 06 01 61");
    lies_as(&vec![true, false], "09 02 02 01");
    lies_as(&Vec::<u8>::new(), "09 00");
    lies_as(&BTreeMap::from([(true, "a")]), "0a 01 02 06 01 61");
    lies_as(
        &Job { id: 7, name: "a".into() },
        "0a 02 06 02 69 64 03 07 00 00 00 00 00 00 00 06 04 6e 61 6d 65 06 01 61",
    );
    lies_as(&Shape::Point, "06 05 50 6f 69 6e 74");
    lies_as(&Shape::Circle(1.5), "0a 01 06 06 43 69 72 63 6c 65 05 00 00 00 00 00 00 f8 3f");
    lies_as(
        &Shape::Line(7, -2),
        "0a 01 06 04 4c 69 6e 65 08 02 03 07 00 00 00 00 00 00 00 03 fe ff ff ff ff ff ff ff",
    );
    lies_as(
        &Shape::Box { width: 7, height: 7 },
        "0a 01 06 03 42 6f 78 0a 02 06 05 77 69 64 74 68 03 07 00 00 00 00 00 00 00
         06 06 68 65 69 67 68 74 03 07 00 00 00 00 00 00 00",
    );
}

#[test]
fn lengths_are_varints() {
    let text = "a".repeat(127);
    assert_eq!(bytes_of(&text)[..2], [0x06, 0x7f]);
    let text = "a".repeat(128);
    assert_eq!(bytes_of(&text)[..3], [0x06, 0x80, 0x01]);
    let text = "a".repeat(20_000);
    assert_eq!(bytes_of(&text)[..5], [0x06, 0xa0, 0x9c, 0x01, b'a']);
    assert_eq!(decode(&bytes_of(&text)), Ok(text));
    assert_eq!(decode(&hex("06 81 80 80 80 80 80 80 80 80 00 61")), Ok('a'), "padded to ten bytes");
}

/// A sequence, a map and a text that do not know, or do not tell, how long they are.
struct Untold(usize);

impl Serialize for Untold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for index in 0..self.0 {
            list.serialize_element(&UntoldMap(index))?;
        }
        list.end()
    }
}

struct UntoldMap(usize);

impl Serialize for UntoldMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Claims 300 pairs, which is wrong and two bytes long.
        let mut dict = serializer.serialize_map(Some(300))?;
        for index in 0..self.0 {
            dict.serialize_entry(&format_args!("{index}"), &UntoldText(self.0))?;
        }
        dict.end()
    }
}

struct UntoldText(usize);

impl Serialize for UntoldText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:>1$}", "", self.0))
    }
}

#[test]
fn a_wrong_length_hint_leaves_no_trace() {
    for count in [0, 1, 127, 128, 200] {
        let told: Vec<BTreeMap<String, String>> = (0..count)
            .map(|len| (0..len).map(|index| (index.to_string(), " ".repeat(len))).collect())
            .collect();
        let read: Vec<BTreeMap<String, String>> = decode(&bytes_of(&Untold(count))).unwrap();
        assert_eq!(read, told);
        assert_eq!(bytes_of(&Untold(count)).len(), bytes_of(&told).len());
    }
}

#[test]
fn what_only_python_writes_is_read_or_named() {
    let int = |value| Any::Int(value);
    let two = "02 03 07 00 00 00 00 00 00 00 03 08 00 00 00 00 00 00 00";
    for tag in ["08", "09", "0b", "0c"] {
        let bytes = hex(&format!("{tag} {two}"));
        assert_eq!(decode(&bytes), Ok(Any::Seq(vec![int(7), int(8)])), "tag {tag}");
        assert_eq!(decode(&bytes), Ok(vec![7_u8, 8]), "tag {tag}");
    }
    let complex = hex("0d 00 00 00 00 00 00 f8 3f 00 00 00 00 00 00 f0 bf");
    assert_eq!(decode(&complex), Ok((1.5, -1.0)));
    assert_eq!(decode(&complex), Ok(Any::Seq(vec![Any::Float(1.5), Any::Float(-1.0)])));
    assert_eq!(decode(&hex("0f 02 00 ff")), Ok(Blob(vec![0, 255])));
    assert_eq!(decode::<Any>(&hex("0e 03 ed a0 80")), Err(CodecError::Unsupported(0x0e)));
    for tag in [0x13, 0x14, 0x15, 0x1a, 0x1b] {
        assert_eq!(decode::<Any>(&[tag, 0]), Err(CodecError::Unsupported(tag)));
        assert_eq!(decode::<u8>(&[tag, 0]), Err(CodecError::Unsupported(tag)));
    }
    for tag in [0x10, 0x11, 0x12, 0x17, 0x18, 0x19] {
        assert_eq!(decode(&[tag, 1, b'a']), Ok(String::from("a")));
        assert_eq!(decode(&[tag, 1, b'a']), Ok(Any::Str("a".into())));
        assert_eq!(decode::<u8>(&[tag, 1, b'a']), Err(CodecError::Unsupported(tag)));
    }
    assert_eq!(decode::<Any>(&hex("1c 01 00")), Err(CodecError::Pickled));
    assert_eq!(decode::<Any>(&hex("7f 02 80 05")), Err(CodecError::Pickled));
    assert_eq!(decode::<String>(&hex("7f 02 80 05")), Err(CodecError::Pickled));
}

#[test]
fn the_docs_show_the_same_bytes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/values.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let shown = [
        ("None", bytes_of(&())),
        ("True", bytes_of(&true)),
        ("7", bytes_of(&7)),
        ("2**63", bytes_of(&(1_u64 << 63))),
        ("1.5", bytes_of(&1.5)),
        ("\"hé\"", bytes_of("hé")),
        ("b\"\\x00\\xff\"", bytes_of(&Blob(vec![0, 255]))),
        ("(True, None)", bytes_of(&(true, ()))),
        ("[True, False]", bytes_of(&vec![true, false])),
        ("{True: \"a\"}", bytes_of(&BTreeMap::from([(true, "a")]))),
    ];
    for (python, bytes) in shown {
        let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let row = format!("| `{python}` | `{}` |", bytes.join(" "));
        assert!(docs.contains(&row), "docs/values.md lacks the row {row}");
    }
}
