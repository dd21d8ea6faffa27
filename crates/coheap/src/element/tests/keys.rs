//! Keys that Python calls equal are equal bytes, others are not, and every key reads back.
//!
//! The tables are Python's: `1 == 1.0 == True`, `0.0 == -0.0`, `2**70 == 2.0**70`; a NaN is the
//! one exception, since a map must find again what was put under it.

use std::collections::BTreeMap;

use coheap_core::wire::{Tag, put_bytes, put_formed};
use proptest::prelude::*;

use super::samples::{Blob, Job, Meters, Pair, Shape, Unit};
use super::{CodecError, bytes_of, decode, encode_key, hex, key_of};

#[test]
fn equal_keys_are_equal_bytes() {
    let same: &[&[Vec<u8>]] = &[
        &[
            key_of(&1),
            key_of(&1.0),
            key_of(&1_f32),
            key_of(&true),
            key_of(&1_u128),
            key_of(&Some(1)),
        ],
        &[key_of(&0), key_of(&0.0), key_of(&-0.0), key_of(&false)],
        &[key_of(&f64::NAN), key_of(&-f64::NAN), key_of(&f32::NAN), key_of(&f64::from_bits(!0))],
        &[key_of(&-3), key_of(&-3.0)],
        &[key_of(&i64::MIN), key_of(&-9_223_372_036_854_775_808.0)],
        &[key_of(&(1_u64 << 63)), key_of(&9_223_372_036_854_775_808.0)],
        &[key_of(&(1_i128 << 70)), key_of(&2_f64.powi(70))],
        &[key_of(&-(1_i128 << 70)), key_of(&-2_f64.powi(70))],
        &[key_of(&-(1_i128 << 71)), key_of(&-2_f64.powi(71))],
        &[key_of(&(1_u128 << 127)), key_of(&2_f64.powi(127))],
        &[key_of("a"), key_of(&'a'), key_of(&String::from("a"))],
        &[key_of("Point"), key_of(&Shape::Point)],
        &[key_of(&()), key_of(&Unit), key_of(&None::<u8>)],
        &[key_of(&Meters(2.0)), key_of(&2)],
        &[key_of(&(1, (true, 0.5))), key_of(&(1.0, [1.0, 0.5])), key_of(&(true, (1, 0.5_f32)))],
        &[key_of(&Pair(1, "a".into())), key_of(&(true, 'a'))],
        &[key_of(&Blob(b"1".to_vec()))],
        &[key_of("1")],
        &[key_of("")],
        &[key_of(&(1,))],
        &[key_of(&((1,),))],
        &[key_of(&f64::INFINITY), key_of(&f32::INFINITY)],
        &[key_of(&f64::NEG_INFINITY)],
        &[key_of(&1.5)],
    ];
    for (row, keys) in same.iter().enumerate() {
        for (other_row, other_keys) in same.iter().enumerate() {
            for (key, other) in keys.iter().flat_map(|key| other_keys.iter().map(move |o| (key, o)))
            {
                assert_eq!(key == other, row == other_row, "{key:02x?} and {other:02x?}");
            }
        }
    }
}

#[test]
fn keys_lie_as_documented() {
    assert_eq!(key_of(&true), hex("03 01 00 00 00 00 00 00 00"));
    assert_eq!(key_of(&-0.0), hex("03 00 00 00 00 00 00 00 00"));
    assert_eq!(key_of(&-f64::NAN), hex("05 00 00 00 00 00 00 f8 7f"));
    assert_eq!(key_of(&(1.0, "a")), hex("08 02 03 01 00 00 00 00 00 00 00 06 01 61"));
    let largest = key_of(&f64::MAX);
    let expected = format!("04 81 01 {} f8 ff ff ff ff ff ff 00", "00 ".repeat(121));
    assert_eq!(largest, hex(&expected), "1024 bits and a sign");
}

#[test]
fn what_python_cannot_hash_is_no_key() {
    #[track_caller]
    fn is_no_key<T: serde::Serialize>(value: &T, expected: &'static str) {
        let mut out = b"before".to_vec();
        let result = encode_key(value, &mut out);
        assert_eq!(result, Err(CodecError::NotAKey { found: expected }));
        assert_eq!(out, b"before", "an error leaves nothing behind");
    }
    is_no_key(&vec![1], "a sequence");
    is_no_key(&(1, ("a", vec![1])), "a sequence");
    is_no_key(&BTreeMap::from([(1, 1)]), "a map");
    is_no_key(&Job { id: 7, name: "a".into() }, "a struct");
    is_no_key(&Shape::Circle(1.5), "an enum variant with a payload");
    is_no_key(&Shape::Line(1, 2), "an enum variant with a payload");
    is_no_key(&Shape::Box { width: 1, height: 2 }, "an enum variant with a payload");
}

#[test]
fn every_type_of_key_reads_back() {
    #[track_caller]
    fn reads_back<
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    >(
        key: T,
    ) {
        assert_eq!(decode::<T>(&key_of(&key)), Ok(key));
    }
    reads_back(true);
    reads_back(false);
    reads_back((1.0_f32, -2.5_f32, 3e38_f32));
    reads_back((1.0_f64, 1e300_f64, -1e300_f64, f64::MAX, f64::MIN, 0.1));
    reads_back((u64::MAX, i128::MIN, u128::MAX, i8::MIN));
    reads_back((Shape::Point, 'é', String::from("a"), Blob(vec![1]), Unit, Some(Meters(4.0))));
    assert!(decode::<f64>(&key_of(&f64::NAN)).unwrap().is_nan());
}

#[test]
fn big_integers_round_to_floats_as_in_python() {
    let exact = (1_i128 << 100) + (1 << 47);
    for (value, expected) in [
        (exact, 2_f64.powi(100)),                      // a tie goes to even
        (exact + 1, 2_f64.powi(100) + 2_f64.powi(48)), // one more than a tie goes up
        (exact - 1, 2_f64.powi(100)),
        (-exact, -2_f64.powi(100)),
        (-exact - 1, -2_f64.powi(100) - 2_f64.powi(48)),
    ] {
        assert_eq!(decode::<f64>(&bytes_of(&value)), Ok(expected), "{value}");
    }
    // 2^300 + 2^247 is a tie; any bit far below it decides.
    let mut bytes = [0_u8; 38];
    (bytes[37], bytes[30]) = (0x10, 0x80);
    let tie = [&[0x04, 38], &bytes[..]].concat();
    assert_eq!(decode::<f64>(&tie), Ok(2_f64.powi(300)));
    bytes[0] = 1;
    let above = [&[0x04, 38], &bytes[..]].concat();
    assert_eq!(decode::<f64>(&above), Ok(2_f64.powi(300) + 2_f64.powi(248)));
    let too_large = [&[0x04, 0x82, 0x01][..], &[0; 129], &[0x01]].concat();
    assert!(matches!(decode::<f64>(&too_large), Err(CodecError::OutOfRange { target: "f64", .. })));
}

proptest! {
    #[test]
    fn any_finite_float_reads_back_as_itself(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(decode::<f64>(&key_of(&value)), Ok(value));
        prop_assert_eq!(decode::<f64>(&key_of(&value.trunc())), Ok(value.trunc()));
    }

    #[test]
    fn an_integer_and_its_float_are_one_key(value: i64, shift in 0..63_u32) {
        let whole = i128::from(value >> 11) << shift;
        #[allow(clippy::cast_precision_loss, reason = "53 bits and a shift are exact")]
        let float = whole as f64;
        prop_assert_eq!(key_of(&whole), key_of(&float));
    }

    #[test]
    fn different_keys_are_different_bytes(a: (Option<i64>, String), b: (Option<i64>, String)) {
        prop_assert_eq!(key_of(&a) == key_of(&b), a == b);
    }
}

/// Goal: an enum member that Python gave as a key is the unit variant of its name.
#[test]
fn a_member_of_an_enum_of_python_is_a_unit_variant() {
    let (mut member, mut formed) = (Vec::new(), Vec::new());
    put_bytes(&mut member, Tag::Enum, b"shapes.Shape.Point");
    put_formed(&mut formed, &member, &[Tag::Pickle as u8, 1, 0]);
    for bytes in [member, formed] {
        assert_eq!(decode::<Shape>(&bytes), Ok(Shape::Point));
        assert_eq!(decode::<String>(&bytes).as_deref(), Ok("Point"));
        assert!(decode::<u64>(&bytes).is_err());
    }
}
