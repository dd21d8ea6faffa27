//! The encoder: from a Rust value to its bytes, in one pass and without a second buffer.
//!
//! A container writes the announced number of items, counts the items, and corrects the number at
//! the end if the two differ. An iterator of unknown length costs at most one move of its own
//! bytes. Values and keys use the same code and differ only in their [`Form`].

use std::fmt::{self, Write};
use std::marker::PhantomData;

use coheap_core::wire::{Tag, patch_varint, put_bytes, put_float, put_head, put_int, put_tag};
use serde::ser::{self, Serialize, Serializer};

use super::big_int::{put_i128, put_u128};
use super::depth::Depth;
use super::error::CodecError;
use items::Items;

mod items;

/// Appends `value` to `out`, with its exact type.
///
/// # Errors
///
/// - [`CodecError::TooDeep`] if containers are nested more deeply than 64 levels.
/// - [`CodecError::Message`] if the type's `Serialize` returns an error.
///
/// After an error, `out` is unchanged.
///
/// ```
/// # use coheap::element::{decode, encode};
/// let mut bytes = Vec::new();
/// encode(&("answer", 42), &mut bytes)?;
/// assert_eq!(decode::<(String, u8)>(&bytes)?, ("answer".to_owned(), 42));
/// # Ok::<(), coheap::element::CodecError>(())
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    append::<Plain, T>(value, out)
}

/// Appends `value` in the form `F`, or nothing.
#[inline]
pub(super) fn append<F: Form, T: Serialize + ?Sized>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let before = out.len();
    let mut encoder = Encoder::<F> { out, depth: Depth::default(), form: PhantomData };
    let result = value.serialize(&mut encoder);
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// The differences between the encodings of values and of keys.
pub(super) trait Form {
    fn put_bool(out: &mut Vec<u8>, value: bool);
    fn put_float(out: &mut Vec<u8>, value: f64);
    /// Returns an error if a type that becomes a list or a dict is not allowed here. `found` names
    /// the type in messages.
    fn allow_unhashable(found: &'static str) -> Result<(), CodecError>;
}

/// The form of values: every type is allowed and keeps its exact type.
struct Plain;

impl Form for Plain {
    #[inline]
    fn put_bool(out: &mut Vec<u8>, value: bool) {
        put_tag(out, if value { Tag::True } else { Tag::False });
    }

    #[inline]
    fn put_float(out: &mut Vec<u8>, value: f64) {
        put_float(out, value);
    }

    #[inline]
    fn allow_unhashable(_found: &'static str) -> Result<(), CodecError> {
        Ok(())
    }
}

/// Writes values for serde.
pub(super) struct Encoder<'o, F> {
    out: &'o mut Vec<u8>,
    depth: Depth,
    form: PhantomData<F>,
}

impl<'o, F: Form> Encoder<'o, F> {
    fn put_str(&mut self, value: &str) {
        put_bytes(self.out, Tag::Str, value.as_bytes());
    }

    fn wrapped<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        self.depth.wrap_one()?;
        value.serialize(&mut *self)?;
        self.depth.unwrap_one();
        Ok(())
    }

    /// Opens a container; `None` if the number of items is unknown.
    #[inline]
    fn open(&mut self, tag: Tag, count: Option<usize>) -> Result<Items<'_, 'o, F>, CodecError> {
        self.depth.enter()?;
        let declared = count.unwrap_or(0) as u64;
        let count_at = self.out.len() + 1;
        put_head(self.out, tag, declared);
        Ok(Items::new(self, count_at, declared))
    }

    /// Opens the dict of one entry that an enum variant with a payload is.
    fn open_variant(&mut self, variant: &str) -> Result<(), CodecError> {
        self.depth.enter()?;
        put_head(self.out, Tag::Dict, 1);
        self.put_str(variant);
        Ok(())
    }
}

impl<'a, 'o, F: Form> Serializer for &'a mut Encoder<'o, F> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Items<'a, 'o, F>;
    type SerializeTuple = Items<'a, 'o, F>;
    type SerializeTupleStruct = Items<'a, 'o, F>;
    type SerializeTupleVariant = Items<'a, 'o, F>;
    type SerializeMap = Items<'a, 'o, F>;
    type SerializeStruct = Items<'a, 'o, F>;
    type SerializeStructVariant = Items<'a, 'o, F>;

    fn serialize_bool(self, value: bool) -> Result<(), CodecError> {
        F::put_bool(self.out, value);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), CodecError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), CodecError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), CodecError> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), CodecError> {
        put_int(self.out, value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), CodecError> {
        put_i128(self.out, value);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), CodecError> {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), CodecError> {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), CodecError> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), CodecError> {
        match i64::try_from(value) {
            Ok(signed) => put_int(self.out, signed),
            Err(_) => put_u128(self.out, value.into()),
        }
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), CodecError> {
        put_u128(self.out, value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), CodecError> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), CodecError> {
        F::put_float(self.out, value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), CodecError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), CodecError> {
        self.put_str(value);
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), CodecError> {
        put_bytes(self.out, Tag::Bytes, value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), CodecError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        self.wrapped(value)
    }

    fn serialize_unit(self) -> Result<(), CodecError> {
        put_tag(self.out, Tag::None);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), CodecError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), CodecError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.wrapped(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        F::allow_unhashable("an enum variant with a payload")?;
        self.open_variant(variant)?;
        value.serialize(&mut *self)?;
        self.depth.leave();
        Ok(())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items<'a, 'o, F>, CodecError> {
        F::allow_unhashable("a sequence")?;
        self.open(Tag::List, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Items<'a, 'o, F>, CodecError> {
        self.open(Tag::Tuple, Some(len))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        len: usize,
    ) -> Result<Items<'a, 'o, F>, CodecError> {
        self.open(Tag::Tuple, Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'a, 'o, F>, CodecError> {
        F::allow_unhashable("an enum variant with a payload")?;
        self.open_variant(variant)?;
        Ok(self.open(Tag::Tuple, Some(len))?.inside_variant())
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Items<'a, 'o, F>, CodecError> {
        F::allow_unhashable("a map")?;
        self.open(Tag::Dict, len)
    }

    fn serialize_struct(
        self,
        _name: &'static str,
        len: usize,
    ) -> Result<Items<'a, 'o, F>, CodecError> {
        F::allow_unhashable("a struct")?;
        self.open(Tag::Dict, Some(len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'a, 'o, F>, CodecError> {
        F::allow_unhashable("an enum variant with a payload")?;
        self.open_variant(variant)?;
        Ok(self.open(Tag::Dict, Some(len))?.inside_variant())
    }

    /// Formats straight into the bytes; serde's own way makes a `String` first.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        let len_at = self.out.len() + 1;
        put_head(self.out, Tag::Str, 0);
        let text_at = self.out.len();
        write!(Text(self.out), "{value}").map_err(<CodecError as ser::Error>::custom)?;
        let len = self.out.len() - text_at;
        patch_varint(self.out, len_at, 0, len as u64);
        Ok(())
    }
}

/// Lets `write!` append to the bytes.
struct Text<'o>(&'o mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
