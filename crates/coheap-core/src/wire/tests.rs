//! Bytes that are written are read again, and bytes that nobody wrote are refused.
//!
//! Not here: whole values, which each face tests with the samples of `docs/values.md`.

use super::*;

#[test]
fn each_length_comes_back_and_takes_no_byte_too_many() {
    for bits in 0..64 {
        for len in [(1_u64 << bits) - 1, 1 << bits] {
            let mut bytes = Vec::new();
            put_head(&mut bytes, Tag::Bytes, len);
            let groups = (64 - len.leading_zeros()).div_ceil(7).max(1) as usize;
            assert_eq!(bytes.len(), 1 + groups, "{len}");
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.tag(), Ok(Tag::Bytes));
            let expected = if len == 0 { Ok(&[][..]) } else { cut_off(len) };
            assert_eq!(reader.bytes(), expected, "{len}");
        }
    }
}

fn cut_off(needed: u64) -> Result<&'static [u8], Broken> {
    Err(Broken::CutOff { needed, left: 0 })
}

#[test]
fn padded_lengths_are_read_and_those_beyond_64_bits_refused() {
    assert_eq!(Reader::new(&[0x81, 0x80, 0x00, 7]).bytes(), Ok(&[7][..]));
    let mut most = [0xff; 10];
    most[9] = 0x01;
    assert_eq!(Reader::new(&most).bytes(), cut_off(u64::MAX));
    most[9] = 0x02;
    assert_eq!(Reader::new(&most).bytes(), Err(Broken::LongLength));
    assert_eq!(Reader::new(&[0x80; 11]).bytes(), Err(Broken::LongLength));
}

#[test]
fn a_count_that_the_rest_cannot_hold_is_refused() {
    assert_eq!(Reader::new(&[2, 0, 0]).count(), Ok(2));
    let few = |needed, left| Err(Broken::TooFewItems { needed, left });
    assert_eq!(Reader::new(&[3, 0, 0]).count(), few(3, 2));
    assert_eq!(Reader::new(&[1, 0, 0]).count_pairs(), Ok(1));
    assert_eq!(Reader::new(&[2, 0, 0]).count_pairs(), few(4, 2));
}

#[test]
fn a_patched_length_moves_what_lies_behind_it() {
    let mut bytes = vec![Tag::Str as u8, 0];
    bytes.extend_from_slice(&[b'a'; 200]);
    patch_varint(&mut bytes, 1, 0, 200);
    let mut expected = Vec::new();
    put_bytes(&mut expected, Tag::Str, &[b'a'; 200]);
    assert_eq!(bytes, expected);
}

#[test]
fn every_byte_is_one_tag_or_none() {
    for byte in 0..=u8::MAX {
        match Tag::of(byte) {
            Ok(tag) => assert_eq!(tag as u8, byte),
            Err(broken) => assert_eq!(broken, Broken::UnknownTag(byte)),
        }
    }
    assert_eq!(Tag::of(PARCEL), Err(Broken::UnknownTag(PARCEL)), "no value, but around one");
}

#[test]
fn an_integer_is_an_int_and_nothing_else_is() {
    for value in [0, 1, -1, i64::MAX, i64::MIN] {
        assert_eq!(int_in(&int_bytes(value)), Some(value));
    }
    for other in [&[][..], &[3], &[3; 8], &[3; 10], &[5; 9]] {
        assert_eq!(int_in(other), None, "{other:?}");
    }
}
