//! The items of a container, handed out one after the other as serde asks for them.
//!
//! One type serves sequences, maps and enum variants, because all are so many values in a row.
//! It never hands out more than the container has; that a visitor took all is checked where the
//! container was opened, in `decode`.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::super::error::CodecError;
use super::Decoder;

/// The rest of a container that is being read: items, or pairs.
pub(super) struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: u64,
}

impl<'a, 'de> Items<'a, 'de> {
    pub(super) fn new(decoder: &'a mut Decoder<'de>, count: u64) -> Self {
        Self { decoder, left: count }
    }

    /// Items not read yet.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Counts one item as read, unless there is none.
    #[inline]
    fn advance(&mut self) -> bool {
        let more = self.left > 0;
        self.left -= u64::from(more);
        more
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, CodecError> {
        if !self.advance() {
            return Ok(None);
        }
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        usize::try_from(self.left).ok()
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, CodecError> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, CodecError> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        SeqAccess::size_hint(self)
    }
}

/// The one entry of the dict that an enum variant with a payload is: first its name.
impl<'de> EnumAccess<'de> for &mut Items<'_, 'de> {
    type Error = CodecError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), CodecError> {
        self.left = 0;
        let name = seed.deserialize(&mut *self.decoder)?;
        Ok((name, self))
    }
}

/// Then its payload.
impl<'de> VariantAccess<'de> for &mut Items<'_, 'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        self.decoder.none()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, CodecError> {
        seed.deserialize(&mut *self.decoder)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.decoder.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.decoder.deserialize_map(visitor)
    }
}
