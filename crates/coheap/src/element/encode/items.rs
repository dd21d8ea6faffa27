//! The items of a container, written one after the other as serde brings them.
//!
//! One type serves every container of serde. It counts what comes and, when that is not what was
//! announced, puts the right count in place at the end. Containers inside this one are complete by
//! then and lie behind its count, so nobody else remembers a place that moves.

use coheap_core::wire::patch_varint;
use serde::ser::{self, Serialize};

use super::super::error::CodecError;
use super::{Encoder, Form};

/// A container that is being written.
pub(in super::super) struct Items<'a, 'o, F> {
    encoder: &'a mut Encoder<'o, F>,
    /// Where its count stands.
    count_at: usize,
    /// The count that stands there.
    declared: u64,
    /// Items, or pairs, written so far.
    count: u64,
    /// Levels to come out of at the end: one, or two with the dict around a variant.
    levels: u8,
}

impl<'a, 'o, F: Form> Items<'a, 'o, F> {
    pub(super) fn new(encoder: &'a mut Encoder<'o, F>, count_at: usize, declared: u64) -> Self {
        Self { encoder, count_at, declared, count: 0, levels: 1 }
    }

    /// The same container, as the payload of an enum variant.
    pub(super) fn inside_variant(self) -> Self {
        Self { levels: 2, ..self }
    }

    #[inline]
    fn put_item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        self.count += 1;
        value.serialize(&mut *self.encoder)
    }

    #[inline]
    fn put_field<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.encoder.put_str(name);
        self.put_item(value)
    }

    #[inline]
    fn close(self) {
        if self.count != self.declared {
            patch_varint(self.encoder.out, self.count_at, self.declared, self.count);
        }
        for _ in 0..self.levels {
            self.encoder.depth.leave();
        }
    }
}

/// Serde has a trait for each container; all of them write items, or fields, and end alike.
macro_rules! write_items {
    ($($container:ident $method:ident),*) => {$(
        impl<F: Form> ser::$container for Items<'_, '_, F> {
            type Ok = ();
            type Error = CodecError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
                self.put_item(value)
            }

            fn end(self) -> Result<(), CodecError> {
                self.close();
                Ok(())
            }
        }
    )*};
}

macro_rules! write_fields {
    ($($container:ident),*) => {$(
        impl<F: Form> ser::$container for Items<'_, '_, F> {
            type Ok = ();
            type Error = CodecError;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), CodecError> {
                self.put_field(name, value)
            }

            fn end(self) -> Result<(), CodecError> {
                self.close();
                Ok(())
            }
        }
    )*};
}

write_items!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);
write_fields!(SerializeStruct, SerializeStructVariant);

impl<F: Form> ser::SerializeMap for Items<'_, '_, F> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        self.put_item(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), CodecError> {
        self.close();
        Ok(())
    }
}
