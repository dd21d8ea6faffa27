//! What goes in comes out, for everything that serde can say; and where the types on the two
//! sides differ, it comes out when Python would not mind and is an error that names both when not.
//!
//! Not here: the bytes in between (`golden`).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::samples::{Any, Blob, Job, Meters, Shape, any_value, everything, shape};
use super::{CodecError, bytes_of, comes_back, decode, encode, hex};

proptest! {
    #[test]
    fn everything_comes_back(value in everything()) {
        comes_back(&value);
    }

    #[test]
    fn shapes_come_back(value in prop::collection::vec((shape(), any::<Option<bool>>()), 0..9)) {
        comes_back(&value);
    }

    #[test]
    fn a_value_describes_itself(value in any_value()) {
        comes_back(&value);
    }

    #[test]
    fn any_value_can_be_skipped(value in any_value()) {
        prop_assert!(decode::<IgnoredAny>(&bytes_of(&value)).is_ok());
    }

    #[test]
    fn integers_of_any_width_are_one_kind(value: i128, shift in 0..128_u32) {
        let value = value >> shift;
        let bytes = bytes_of(&value);
        prop_assert_eq!(decode(&bytes), Ok(value));
        prop_assert_eq!(decode::<u128>(&bytes).ok(), u128::try_from(value).ok());
        prop_assert_eq!(decode::<u64>(&bytes).ok(), u64::try_from(value).ok());
        prop_assert_eq!(decode::<i64>(&bytes).ok(), i64::try_from(value).ok());
        prop_assert_eq!(decode::<i8>(&bytes).ok(), i8::try_from(value).ok());
    }

    #[test]
    fn floats_keep_every_bit(bits: u64) {
        let bytes = bytes_of(&f64::from_bits(bits));
        prop_assert_eq!(decode::<f64>(&bytes).map(f64::to_bits), Ok(bits));
    }
}

#[test]
fn types_of_the_standard_library_come_back() {
    comes_back(&BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    comes_back(&VecDeque::from([1, 2, 3]));
    comes_back(&HashMap::from([(1_u8, Duration::from_millis(1500))]));
    comes_back(&IpAddr::from([127, 0, 0, 1]));
    assert_eq!(decode(&bytes_of(&IpAddr::from([127, 0, 0, 1]))), Ok("127.0.0.1".to_owned()));
    comes_back(&Ok::<u8, String>(1));
    comes_back(&(0..16).map(Some).collect::<Vec<_>>());
}

#[test]
fn an_option_of_nothing_loses_a_level() {
    assert_eq!(decode(&bytes_of(&Some(None::<u8>))), Ok(None::<Option<u8>>));
    assert_eq!(decode(&bytes_of(&Some(()))), Ok(None::<()>));
    comes_back(&Some(Some(1)));
}

#[test]
fn python_s_neighbours_are_read() {
    assert_eq!(decode(&bytes_of(&(1, 2))), Ok(vec![1, 2]));
    assert_eq!(decode(&bytes_of(&vec![1, 2])), Ok((1, 2)));
    assert_eq!(decode(&bytes_of(&3)), Ok(3.0));
    assert_eq!(decode(&bytes_of(&3)), Ok(Meters(3.0)));
    assert_eq!(decode(&bytes_of(&1)), Ok(true));
    assert_eq!(decode(&bytes_of(&BTreeMap::from([("Point", None::<u8>)]))), Ok(Shape::Point));
    let text = |text: &str| Any::Str(text.into());
    let bytes = bytes_of(&Any::Dict(vec![
        (text("name"), text("a")),
        (text("more"), Any::Seq(vec![Any::Dict(vec![]), Any::Float(1.5)])),
        (text("id"), Any::Int(7)),
    ]));
    assert_eq!(decode(&bytes), Ok(Job { id: 7, name: "a".into() }));
}

#[test]
fn a_field_that_only_python_reads_can_be_skipped() {
    let fields = "0a 03 06 04 6e 61 6d 65 06 01 61 06 01 78 7f 02 80 05
                  06 02 69 64 03 07 00 00 00 00 00 00 00";
    assert_eq!(decode(&hex(fields)), Ok(Job { id: 7, name: "a".into() }));
}

#[test]
fn a_number_that_does_not_fit_is_named() {
    #[track_caller]
    fn is_too_large<T: serde::de::DeserializeOwned + std::fmt::Debug>(
        value: &impl Serialize,
        expected_found: &str,
        expected_target: &str,
    ) {
        match decode::<T>(&bytes_of(value)) {
            Err(CodecError::OutOfRange { found, target }) => {
                assert_eq!((found, target), (expected_found, expected_target));
            }
            other => panic!("{other:?}"),
        }
    }
    is_too_large::<u8>(&256, "an integer", "u8");
    is_too_large::<u64>(&-1, "an integer", "u64");
    is_too_large::<i64>(&u64::MAX, "a big integer", "i64");
    is_too_large::<i128>(&u128::MAX, "a big integer", "i128");
    is_too_large::<bool>(&2, "an integer", "bool");
    is_too_large::<f32>(&1e300, "a float", "f32");
}

#[test]
fn a_value_of_another_kind_is_named() {
    fn wrong(found: &'static str, expected: &'static str) -> CodecError {
        CodecError::WrongType { found, expected }
    }
    assert_eq!(decode::<u8>(&bytes_of("1")), Err(wrong("a str", "an integer")));
    assert_eq!(decode::<u8>(&bytes_of(&1.0)), Err(wrong("a float", "an integer")));
    assert_eq!(decode::<f64>(&bytes_of(&true)), Err(wrong("a bool", "a float")));
    assert_eq!(decode::<String>(&bytes_of(&())), Err(wrong("None", "a str")));
    assert_eq!(decode::<()>(&bytes_of(&0)), Err(wrong("an integer", "None")));
    assert_eq!(decode::<Blob>(&bytes_of("a")), Err(wrong("a str", "bytes")));
    assert_eq!(decode::<Vec<u8>>(&bytes_of(&Blob(vec![1]))), Err(wrong("bytes", "a sequence")));
    assert_eq!(decode::<Job>(&bytes_of(&(7, "a"))), Err(wrong("a tuple", "a dict")));
    let found = CodecError::WrongLength { found: 3, expected: 2 };
    assert_eq!(decode::<(u8, u8)>(&bytes_of(&vec![1, 2, 3])), Err(found));
    let message = decode::<Job>(&bytes_of(&BTreeMap::from([("id", 7)]))).unwrap_err().to_string();
    assert_eq!(message, "missing field `name`");
}

#[test]
fn serde_s_attributes_work() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        job: Tail,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(flatten)]
        rest: BTreeMap<String, f64>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Tail {
        kind: Tagged,
        number: Untagged,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "t")]
    enum Tagged {
        Start { at: u64 },
        Stop,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Int(i64),
        Float(f64),
        Pair(u8, String),
    }

    for (kind, number) in [
        (Tagged::Stop, Untagged::Int(-7)),
        (Tagged::Start { at: u64::MAX }, Untagged::Float(0.5)),
        (Tagged::Start { at: 1 }, Untagged::Pair(1, "a".into())),
    ] {
        let job = Tail { kind, number };
        comes_back(&Outer { job, note: None, rest: BTreeMap::from([("x".to_owned(), 1.5)]) });
    }
}

#[test]
fn encoding_appends_or_does_nothing() {
    struct Refused;
    impl Serialize for Refused {
        fn serialize<S: serde::Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let mut out = b"before".to_vec();
    encode(&true, &mut out).unwrap();
    let error = CodecError::Message("not today".into());
    assert_eq!(encode(&("half", Refused), &mut out), Err(error));
    assert_eq!(out, b"before\x02");
}
