//! Types for the other tests: one with everything that serde can say, one that takes any bytes.
//!
//! `Everything` is what a user would derive. `Any` asks for nothing and keeps what it is given, as
//! a dynamic value in a user's program does. `Blob` goes through serde's bytes, which `Vec<u8>`
//! does not.

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Meters(pub(super) f64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pair(pub(super) i32, pub(super) String);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Box { width: u8, height: u8 },
    Group(Vec<Shape>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Everything {
    pub(super) flag: bool,
    pub(super) signed: (i8, i16, i32, i64, i128),
    pub(super) unsigned: (u8, u16, u32, u64, u128),
    pub(super) floats: (f32, f64),
    pub(super) letter: char,
    pub(super) text: String,
    pub(super) blob: Blob,
    pub(super) nothing: (),
    pub(super) unit: Unit,
    pub(super) length: Meters,
    pub(super) pair: Pair,
    pub(super) maybe: Option<Box<Everything>>,
    pub(super) many: Vec<Option<i64>>,
    pub(super) shape: Shape,
    pub(super) by_name: BTreeMap<String, Vec<u8>>,
    pub(super) by_number: BTreeMap<(i16, bool), Shape>,
    pub(super) array: [u16; 3],
}

/// Bytes that go through serde as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob(pub(super) Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;
        impl Visitor<'_> for BlobVisitor {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

/// Whatever the bytes say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Any {
    None,
    Bool(bool),
    Int(i128),
    Huge(u128),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    Seq(Vec<Any>),
    Dict(Vec<(Any, Any)>),
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_unit(),
            Self::Bool(value) => value.serialize(serializer),
            Self::Int(value) => value.serialize(serializer),
            Self::Huge(value) => value.serialize(serializer),
            Self::Float(value) => value.serialize(serializer),
            Self::Str(value) => value.serialize(serializer),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::Seq(items) => items.serialize(serializer),
            Self::Dict(pairs) => {
                serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any::None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
        Ok(Any::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
        Ok(Any::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Any, E> {
        Ok(Any::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Any, E> {
        Ok(Any::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Any, E> {
        Ok(i128::try_from(value).map_or(Any::Huge(value), Any::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Any, E> {
        Ok(Any::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Any, E> {
        Ok(Any::Str(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
        Ok(Any::Bytes(value.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Any, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element()? {
            read.push(item);
        }
        Ok(Any::Seq(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Any, A::Error> {
        let mut read = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            read.push(pair);
        }
        Ok(Any::Dict(read))
    }
}

/// A number that equals itself, so that a comparison can be a plain one.
pub(super) fn number() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("a NaN equals nothing", |value| !value.is_nan())
}

pub(super) fn any_value() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        Just(Any::None),
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(|value| Any::Int(value.into())),
        any::<i128>().prop_map(Any::Int),
        (1 << 127..=u128::MAX).prop_map(Any::Huge),
        number().prop_map(Any::Float),
        any::<String>().prop_map(Any::Str),
        any::<Vec<u8>>().prop_map(Any::Bytes),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Any::Seq),
            prop::collection::vec((inner.clone(), inner), 0..8).prop_map(Any::Dict),
        ]
    })
}

pub(super) fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Point),
        number().prop_map(Shape::Circle),
        any::<(i32, i32)>().prop_map(|(from, to)| Shape::Line(from, to)),
        any::<(u8, u8)>().prop_map(|(width, height)| Shape::Box { width, height }),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Shape::Group))
}

pub(super) fn everything() -> impl Strategy<Value = Everything> {
    let scalars = (
        any::<bool>(),
        any::<(i8, i16, i32, i64, i128)>(),
        any::<(u8, u16, u32, u64, u128)>(),
        (any::<f32>().prop_filter("a NaN equals nothing", |value| !value.is_nan()), number()),
        any::<char>(),
        any::<String>(),
    );
    let containers = (
        any::<Vec<u8>>(),
        any::<(i32, String)>(),
        any::<Vec<Option<i64>>>(),
        shape(),
        any::<BTreeMap<String, Vec<u8>>>(),
        prop::collection::btree_map(any::<(i16, bool)>(), shape(), 0..4),
        any::<[u16; 3]>(),
    );
    let one = (scalars, containers).prop_map(|(scalars, containers)| {
        let (flag, signed, unsigned, floats, letter, text) = scalars;
        let (blob, pair, many, shape, by_name, by_number, array) = containers;
        Everything {
            flag,
            signed,
            unsigned,
            floats,
            letter,
            text,
            blob: Blob(blob),
            nothing: (),
            unit: Unit,
            length: Meters(floats.1),
            pair: Pair(pair.0, pair.1),
            maybe: None,
            many,
            shape,
            by_name,
            by_number,
            array,
        }
    });
    prop::collection::vec(one, 1..3).prop_map(|chain| {
        let join = |inner, outer| Some(Everything { maybe: Option::map(inner, Box::new), ..outer });
        chain.into_iter().fold(None, join).unwrap()
    })
}
