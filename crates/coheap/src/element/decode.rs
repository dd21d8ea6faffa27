//! The decoder: from bytes to a Rust value.
//!
//! The stored type and the requested type need not be identical where Python treats them alike: a
//! tuple reads as a `Vec`, an `int` as an `f64`. Every other difference is an error that names both
//! types. The bytes are untrusted (Element.1): `wire` checks lengths, `depth` checks nesting, and
//! this file checks the rest.

use coheap_core::wire::{Reader, Tag, canonical};
use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Visitor};

use super::big_int::BigInt;
use super::depth::Depth;
use super::error::{CodecError, refuse};
use items::Items;

mod items;

/// Decodes one value that takes up all of `bytes`. Of a key that was given in another form than its canonical
/// one, the canonical form is read.
///
/// # Errors
///
/// - [`CodecError::Pickled`] or [`CodecError::Unsupported`] if only Python can read the value.
/// - [`CodecError::WrongType`], [`CodecError::WrongLength`], [`CodecError::OutOfRange`] or
///   [`CodecError::Message`] if the value is valid but not a `T`.
/// - Any other variant if the bytes are not a value: truncated, damaged, or nested too deeply.
///
/// ```
/// # use coheap::element::{decode, encode, CodecError};
/// let mut bytes = Vec::new();
/// encode(&[1, 2, 300], &mut bytes)?;
/// assert_eq!(decode::<Vec<u16>>(&bytes)?, [1, 2, 300]);
/// let error = decode::<Vec<u8>>(&bytes).unwrap_err();
/// assert!(matches!(error, CodecError::OutOfRange { target: "u8", .. }));
/// # Ok::<(), CodecError>(())
/// ```
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut decoder = Decoder { input: Reader::new(canonical(bytes)), depth: Depth::default() };
    let value = T::deserialize(&mut decoder)?;
    decoder.input.end()?;
    Ok(value)
}

/// Reads values for serde.
struct Decoder<'de> {
    input: Reader<'de>,
    depth: Depth,
}

impl<'de> Decoder<'de> {
    /// Reads an integer of any size into a type of any size.
    #[inline]
    fn integer<T>(&mut self, target: &'static str) -> Result<T, CodecError>
    where
        T: TryFrom<i64> + TryFrom<i128> + TryFrom<u128>,
    {
        match self.input.tag()? {
            Tag::Int => T::try_from(self.input.int()?).map_err(|_| out_of_range(Tag::Int, target)),
            Tag::BigInt => {
                let value = BigInt::new(self.input.bytes()?)?;
                let signed = value.to_i128().and_then(|value| T::try_from(value).ok());
                let either =
                    signed.or_else(|| value.to_u128().and_then(|value| T::try_from(value).ok()));
                either.ok_or_else(|| out_of_range(Tag::BigInt, target))
            }
            other => Err(refuse(other, "an integer")),
        }
    }

    /// Reads a float, or an integer that stands for one.
    #[inline]
    fn float(&mut self, target: &'static str) -> Result<f64, CodecError> {
        match self.input.tag()? {
            Tag::Float => Ok(self.input.float()?),
            #[allow(clippy::cast_precision_loss, reason = "rounds to the nearest, as Python does")]
            Tag::Int => Ok(self.input.int()? as f64),
            Tag::BigInt => {
                let value = BigInt::new(self.input.bytes()?)?;
                value.to_f64().ok_or_else(|| out_of_range(Tag::BigInt, target))
            }
            other => Err(refuse(other, "a float")),
        }
    }

    fn big_int<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, CodecError> {
        let value = BigInt::new(self.input.bytes()?)?;
        match (value.to_i128(), value.to_u128()) {
            (_, Some(unsigned)) => match u64::try_from(unsigned) {
                Ok(small) => visitor.visit_u64(small),
                Err(_) => visitor.visit_u128(unsigned),
            },
            (Some(signed), None) => visitor.visit_i128(signed),
            (None, None) => Err(out_of_range(Tag::BigInt, "a 128-bit integer")),
        }
    }

    fn complex<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, CodecError> {
        let parts = [self.input.float()?, self.input.float()?];
        visitor.visit_seq(SeqDeserializer::new(parts.into_iter()))
    }

    fn none(&mut self) -> Result<(), CodecError> {
        match self.input.tag()? {
            Tag::None => Ok(()),
            other => Err(refuse(other, "None")),
        }
    }

    fn str(&mut self, expected: &'static str) -> Result<&'de str, CodecError> {
        match self.input.tag()? {
            Tag::Str => Ok(self.input.str()?),
            Tag::Enum => self.member(),
            found if is_text(found) => Ok(self.input.str()?),
            other => Err(refuse(other, expected)),
        }
    }

    /// Reads the payload of an enum member, and returns its name.
    fn member(&mut self) -> Result<&'de str, CodecError> {
        let whole = self.input.str()?;
        Ok(whole.rsplit_once('.').map_or(whole, |(_, member)| member))
    }

    fn sequence<V: Visitor<'de>>(
        &mut self,
        count: u64,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.container(count, |items| visitor.visit_seq(items))
    }

    fn mapping<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, CodecError> {
        let count = self.input.count_pairs()?;
        self.container(count, |items| visitor.visit_map(items))
    }

    /// Lets `visit` read the `count` items of a container, and sees to it that it read them all.
    #[inline]
    fn container<T>(
        &mut self,
        count: u64,
        visit: impl FnOnce(&mut Items<'_, 'de>) -> Result<T, CodecError>,
    ) -> Result<T, CodecError> {
        self.depth.enter()?;
        let mut items = Items::new(self, count);
        let value = visit(&mut items);
        let left = items.left();
        self.depth.leave();
        if value.is_ok() && left > 0 {
            return Err(CodecError::WrongLength { found: count, expected: count - left });
        }
        value
    }

    fn wrapped<T>(
        &mut self,
        visit: impl FnOnce(&mut Self) -> Result<T, CodecError>,
    ) -> Result<T, CodecError> {
        self.depth.wrap_one()?;
        let value = visit(self);
        self.depth.unwrap_one();
        value
    }

    /// Walks over one value, even a pickle, and looks at no more than its lengths.
    fn skip(&mut self) -> Result<(), CodecError> {
        let items = match self.input.tag()? {
            Tag::None | Tag::False | Tag::True => 0,
            Tag::Int => self.input.int().map(|_| 0)?,
            Tag::Float => self.input.float().map(|_| 0)?,
            Tag::Complex => self.input.float().and(self.input.float()).map(|_| 0)?,
            Tag::BigInt
            | Tag::Str
            | Tag::StrSurrogates
            | Tag::Bytes
            | Tag::ByteArray
            | Tag::Pickle => self.input.bytes().map(|_| 0)?,
            found if found.is_of_keys() => self.input.bytes().map(|_| 0)?,
            Tag::Tuple | Tag::List | Tag::Set | Tag::FrozenSet => self.input.count()?,
            Tag::Dict => 2 * self.input.count_pairs()?,
            reserved => return Err(refuse(reserved, "a value that can be skipped")),
        };
        if items == 0 {
            return Ok(());
        }
        self.depth.enter()?;
        let result = (0..items).try_for_each(|_| self.skip());
        self.depth.leave();
        result
    }
}

/// Whether the payload is a text that types of Rust know, such as a date of ISO 8601.
fn is_text(tag: Tag) -> bool {
    matches!(tag, Tag::Date | Tag::Time | Tag::DateTime | Tag::Uuid | Tag::Path)
}

#[cold]
fn out_of_range(found: Tag, target: &'static str) -> CodecError {
    CodecError::OutOfRange { found: found.name(), target }
}

macro_rules! read_integers {
    ($($method:ident $visit:ident $type:ident),*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            visitor.$visit(self.integer::<$type>(stringify!($type))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = CodecError;

    read_integers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_u128 visit_u128 u128
    );

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.input.tag()? {
            Tag::None => visitor.visit_unit(),
            Tag::False => visitor.visit_bool(false),
            Tag::True => visitor.visit_bool(true),
            Tag::Int => {
                let value = self.input.int()?;
                // Other self-describing formats do so, and visitors are written for them.
                match u64::try_from(value) {
                    Ok(unsigned) => visitor.visit_u64(unsigned),
                    Err(_) => visitor.visit_i64(value),
                }
            }
            Tag::BigInt => self.big_int(visitor),
            Tag::Float => visitor.visit_f64(self.input.float()?),
            Tag::Complex => self.complex(visitor),
            Tag::Str => visitor.visit_borrowed_str(self.input.str()?),
            Tag::Bytes | Tag::ByteArray => visitor.visit_borrowed_bytes(self.input.bytes()?),
            Tag::Tuple | Tag::List | Tag::Set | Tag::FrozenSet => {
                let count = self.input.count()?;
                self.sequence(count, visitor)
            }
            Tag::Dict => self.mapping(visitor),
            Tag::Enum => visitor.visit_borrowed_str(self.member()?),
            found if is_text(found) => visitor.visit_borrowed_str(self.input.str()?),
            other => Err(refuse(other, "a value")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.input.tag()? {
            Tag::False => visitor.visit_bool(false),
            Tag::True => visitor.visit_bool(true),
            Tag::Int => match self.input.int()? {
                0 => visitor.visit_bool(false),
                1 => visitor.visit_bool(true),
                _ => Err(out_of_range(Tag::Int, "bool")),
            },
            other => Err(refuse(other, "a bool")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let wide = self.float("f32")?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "rounds, and the next line sees overflow"
        )]
        let value = wide as f32;
        if wide.is_finite() && value.is_infinite() {
            return Err(out_of_range(Tag::Float, "f32"));
        }
        visitor.visit_f32(value)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_f64(self.float("f64")?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_str(self.str("a str")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_str(visitor)
    }

    /// Field and variant names. An integer is none, though serde would take it for an index.
    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_str(self.str("a str that names a field or variant")?)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.input.tag()? {
            Tag::Bytes | Tag::ByteArray => visitor.visit_borrowed_bytes(self.input.bytes()?),
            other => Err(refuse(other, "bytes")),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if self.input.is_none_next() {
            self.none()?;
            return visitor.visit_none();
        }
        self.wrapped(|decoder| visitor.visit_some(decoder))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.none()?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.wrapped(|decoder| visitor.visit_newtype_struct(decoder))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.input.tag()? {
            Tag::List | Tag::Tuple | Tag::Set | Tag::FrozenSet => {
                let count = self.input.count()?;
                self.sequence(count, visitor)
            }
            other => Err(refuse(other, "a sequence")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        let expected = len as u64;
        match self.input.tag()? {
            Tag::Tuple | Tag::List => match self.input.count()? {
                count if count == expected => self.sequence(count, visitor),
                found => Err(CodecError::WrongLength { found, expected }),
            },
            Tag::Complex if expected == 2 => self.complex(visitor),
            other => Err(refuse(other, "a tuple")),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.input.tag()? {
            Tag::Dict => self.mapping(visitor),
            other => Err(refuse(other, "a dict")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        match self.input.tag()? {
            Tag::Str => visitor.visit_enum(BorrowedStrDeserializer::new(self.input.str()?)),
            Tag::Enum => visitor.visit_enum(BorrowedStrDeserializer::new(self.member()?)),
            Tag::Dict => match self.input.count_pairs()? {
                1 => self.container(1, |items| visitor.visit_enum(items)),
                found => Err(CodecError::WrongLength { found, expected: 1 }),
            },
            other => Err(refuse(other, "an enum variant: a str, or a dict of one entry")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.skip()?;
        visitor.visit_unit()
    }
}
