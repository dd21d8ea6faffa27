//! Any bytes give a value or an error (Element.1): nothing panics, recurses away or fills the
//! memory.
//!
//! Random bytes rarely get past the first tag, so most of these tests start from good bytes and
//! damage them, or write down the attack by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::samples::{Any, Blob, Everything, Shape, any_value, everything};
use super::{CodecError, bytes_of, decode, encode, hex};

/// Reads `bytes` as types that take every way through the decoder. Only a panic is a failure.
fn read_every_way(bytes: &[u8]) {
    let _ = decode::<Any>(bytes);
    let _ = decode::<IgnoredAny>(bytes);
    let _ = decode::<Everything>(bytes);
    let _ = decode::<Shape>(bytes);
    let _ = decode::<(u8, f64)>(bytes);
    let _ = decode::<Vec<Option<u128>>>(bytes);
    let _ = decode::<BTreeMap<String, Blob>>(bytes);
    let _ = decode::<(i128, f32, bool, char)>(bytes);
    let _ = decode::<Chain>(bytes);
    let _ = decode::<Vec<()>>(bytes);
}

/// A type that asks for itself without reading a byte in between.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        read_every_way(&bytes);
    }

    #[test]
    fn random_bytes_of_known_tags_never_panic(
        bytes in prop::collection::vec(prop_oneof![0_u8..0x18, any::<u8>()], 0..200),
    ) {
        read_every_way(&bytes);
    }

    #[test]
    fn a_value_cut_short_is_an_error(value in any_value()) {
        let bytes = bytes_of(&value);
        for len in 0..bytes.len() {
            prop_assert!(decode::<Any>(&bytes[..len]).is_err());
            prop_assert!(decode::<IgnoredAny>(&bytes[..len]).is_err());
            read_every_way(&bytes[..len]);
        }
    }

    #[test]
    fn a_value_with_a_tail_is_an_error(value in any_value(), tail: u8) {
        let mut bytes = bytes_of(&value);
        bytes.push(tail);
        prop_assert_eq!(decode::<Any>(&bytes), Err(CodecError::Trailing { left: 1 }));
    }

    #[test]
    fn damaged_values_never_panic(
        value in everything(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = bytes_of(&value);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_every_way(&bytes);
    }

    #[test]
    fn what_reads_can_be_written_and_reads_again(
        bytes in prop::collection::vec(prop_oneof![0_u8..0x10, any::<u8>()], 0..64),
    ) {
        if let Ok(value) = decode::<Any>(&bytes) {
            let again = decode::<Any>(&bytes_of(&value)).unwrap();
            prop_assert_eq!(bytes_of(&again), bytes_of(&value));
        }
    }
}

#[test]
fn a_depth_bomb_is_an_error_at_sixty_four() {
    for (tag, per_level) in [(0x08, vec![1]), (0x09, vec![1]), (0x0a, vec![1, 0x00])] {
        let nested = |levels: usize| {
            let level = [&[tag], &per_level[..]].concat();
            [level.repeat(levels), vec![0x00]].concat()
        };
        assert!(decode::<Any>(&nested(64)).is_ok());
        assert!(decode::<IgnoredAny>(&nested(64)).is_ok());
        for levels in [65, 66, 1_000_000] {
            assert_eq!(decode::<Any>(&nested(levels)), Err(CodecError::TooDeep));
            assert_eq!(decode::<IgnoredAny>(&nested(levels)).unwrap_err(), CodecError::TooDeep);
            read_every_way(&nested(levels));
        }
    }
    let group = hex("0a 01 06 05 47 72 6f 75 70 09 01");
    assert_eq!(decode::<Shape>(&group.repeat(100_000)), Err(CodecError::TooDeep));
}

#[test]
fn what_encodes_also_decodes_at_the_limit() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Node {
        label: [u64; 16],
        next: Option<Box<Node>>,
    }
    let mut value = Any::None;
    let mut node = None;
    for level in 0..63 {
        value = Any::Seq(vec![value]);
        node = Some(Box::new(Node { label: [level; 16], next: node }));
    }
    assert_eq!(decode(&bytes_of(&node)).as_ref(), Ok(&node));
    node = Some(Box::new(Node { label: [63; 16], next: node }));
    assert_eq!(encode(&node, &mut Vec::new()), Err(CodecError::TooDeep), "an array is a level too");
    value = Any::Seq(vec![value]);
    assert_eq!(decode(&bytes_of(&value)).as_ref(), Ok(&value));
    value = Any::Seq(vec![value]);
    assert_eq!(encode(&value, &mut Vec::new()), Err(CodecError::TooDeep));
}

#[test]
fn a_type_that_asks_only_for_itself_comes_to_an_end() {
    assert_eq!(decode::<Chain>(&[0x02]), Err(CodecError::TooDeep));
    let mut chain = Chain(None);
    for _ in 0..1000 {
        chain = Chain(Some(Box::new(chain)));
    }
    assert_eq!(encode(&chain, &mut Vec::new()), Err(CodecError::TooDeep));
}

#[test]
fn a_length_bomb_is_an_error_before_any_allocation() {
    let sixty = hex("80 80 80 80 80 80 80 80 10");
    for tag in [0x04, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0e, 0x0f, 0x7f] {
        let bytes = [&[tag], &sixty[..], &[0; 9]].concat();
        for result in [
            decode::<IgnoredAny>(&bytes).err(),
            decode::<Any>(&bytes).err(),
            decode::<Vec<()>>(&bytes).err(),
        ] {
            let error = result.unwrap();
            let refused = [CodecError::Pickled, CodecError::Unsupported(0x0e)].contains(&error);
            let of_another_kind = matches!(error, CodecError::WrongType { .. });
            let too_long =
                matches!(error, CodecError::Truncated { needed, left: 9 } if needed >= 1 << 60);
            assert!(refused || of_another_kind || too_long, "tag {tag:#04x}: {error:?}");
        }
    }
    let pairs = hex("0a ff ff ff ff ff ff ff ff ff 01");
    let expected = CodecError::Truncated { needed: u64::MAX, left: 0 };
    assert_eq!(decode::<Any>(&pairs), Err(expected), "twice the count does not wrap");
}

#[test]
fn lengths_beyond_sixty_four_bits_are_errors() {
    for length in [
        "ff ff ff ff ff ff ff ff ff 02",
        "80 80 80 80 80 80 80 80 80 80 00",
        "ff ff ff ff ff ff ff ff ff ff ff",
    ] {
        assert_eq!(decode::<String>(&hex(&format!("06 {length}"))), Err(CodecError::BadLength));
    }
}

#[test]
fn other_damage_is_named() {
    assert_eq!(decode::<Any>(&[]), Err(CodecError::Truncated { needed: 1, left: 0 }));
    for tag in (0x16..=0xff).filter(|tag| !matches!(tag, 0x17..=0x1c | 0x7f | 0x80)) {
        assert_eq!(decode::<Any>(&[tag]), Err(CodecError::UnknownTag(tag)));
        assert_eq!(decode::<u8>(&[tag]), Err(CodecError::UnknownTag(tag)));
    }
    assert_eq!(decode::<Any>(&hex("06 01 ff")), Err(CodecError::NotUtf8));
    for not_minimal in [
        "04 00",
        "04 08 00 00 00 00 00 00 00 80",
        "04 09 01 00 00 00 00 00 00 00 00",
        "04 09 00 00 00 00 00 00 00 80 ff",
        "04 0a 00 00 00 00 00 00 00 80 00 00",
    ] {
        assert_eq!(decode::<Any>(&hex(not_minimal)), Err(CodecError::NotMinimal), "{not_minimal}");
        assert_eq!(decode::<u64>(&hex(not_minimal)), Err(CodecError::NotMinimal), "{not_minimal}");
        assert_eq!(decode::<f64>(&hex(not_minimal)), Err(CodecError::NotMinimal), "{not_minimal}");
    }
    let beyond = hex("04 12 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01");
    let error = decode::<Any>(&beyond).unwrap_err();
    assert!(matches!(error, CodecError::OutOfRange { target: "a 128-bit integer", .. }));
    let two_variants = hex("0a 02 06 05 50 6f 69 6e 74 00 06 05 50 6f 69 6e 74 00");
    let error = CodecError::WrongLength { found: 2, expected: 1 };
    assert_eq!(decode::<Shape>(&two_variants), Err(error));
    let index_for_a_field = hex("0a 01 03 00 00 00 00 00 00 00 00 00");
    let error = decode::<Everything>(&index_for_a_field).unwrap_err();
    assert!(matches!(error, CodecError::WrongType { found: "an integer", .. }));
}

#[test]
fn messages_say_what_was_found_and_what_to_do() {
    for (error, message) in [
        (
            decode::<u8>(&bytes_of(&256)).unwrap_err(),
            "found an integer outside the range of u8; use a larger type",
        ),
        (
            decode::<String>(&hex("06 05 61")).unwrap_err(),
            "the value is truncated: it needs 5 more bytes and 1 are left; replace it",
        ),
        (
            decode::<Any>(&[0x15]).unwrap_err(),
            "the value is or contains a handle (tag 0x15), which Rust cannot read; read it in \
             Python, or store a type that docs/values.md lists for Rust",
        ),
        (
            decode::<Any>(&hex("7f 00")).unwrap_err(),
            "the value is or contains an object that Python has pickled, which only Python can read; \
             read it in Python, or store a type that docs/values.md lists for Rust (a heap that \
             Python opens with pickle=False refuses pickled objects)",
        ),
    ] {
        assert_eq!(error.to_string(), message);
    }
}
