//! Keys with the form in which they were given first.
//!
//! Equal keys have equal canonical bytes, whatever their types. A key whose canonical bytes do not tell how
//! it was given has its own form beside them: a tag, both lengths, the canonical bytes and the form. Maps
//! compare the canonical bytes only.
//!
//! What always holds: any bytes have canonical bytes. Where there is no form, or the bytes are broken, these
//! are all of them.

use super::Tag;
use super::read::Reader;
use super::write::{put_head, put_long_varint};

/// The first byte of a key with a form.
const FORMED: u8 = Tag::Formed as u8;

/// Appends a key that was given in this form.
pub fn put_formed(out: &mut Vec<u8>, canonical: &[u8], form: &[u8]) {
    put_head(out, Tag::Formed, canonical.len() as u64);
    put_long_varint(out, form.len() as u64);
    out.extend_from_slice(canonical);
    out.extend_from_slice(form);
}

/// Returns the canonical bytes of a key.
#[inline(always)]
pub fn canonical(key: &[u8]) -> &[u8] {
    match key.first() {
        Some(&FORMED) => parts(key).map_or(key, |(canonical, _)| canonical),
        _ => key,
    }
}

/// Returns the form in which a key was given first.
#[inline(always)]
pub fn form(key: &[u8]) -> &[u8] {
    match key.first() {
        Some(&FORMED) => parts(key).map_or(key, |(_, form)| form),
        _ => key,
    }
}

/// Returns the canonical bytes and the form of a key that has one.
#[cold]
fn parts(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(key);
    let is_formed = reader.tag() == Ok(Tag::Formed);
    let canonical_len = usize::try_from(reader.count().ok()?).ok()?;
    let form_len = reader.count().ok()?;
    let (canonical, form) = reader.rest().split_at_checked(canonical_len)?;
    let is_whole = is_formed && form.len() as u64 == form_len;
    (is_whole && !canonical.is_empty() && !form.is_empty()).then_some((canonical, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_canonical_bytes_and_its_form() {
        for len in [1, 127, 128, 70_000] {
            let (canonical_bytes, mut key) = (vec![7; len], Vec::new());
            put_formed(&mut key, &canonical_bytes, b"form");
            assert_eq!(canonical(&key), canonical_bytes);
            assert_eq!(form(&key), b"form");
            assert_eq!(parts(&key), Some((canonical_bytes.as_slice(), b"form".as_slice())));
        }
    }

    #[test]
    fn broken_bytes_are_canonical_as_a_whole() {
        for broken in
            [&b""[..], b"\x80", b"\x80\x00form", b"\x80\x04form", b"\x80\x05form", b"\x06\x01a"]
        {
            assert_eq!(canonical(broken), broken);
            assert_eq!(form(broken), broken);
            assert_eq!(parts(broken), None);
        }
    }
}
