//! Evaluating into a type: only what the type asks for is evaluated, and what cannot be resolved
//! takes the zero value of its type (`expressions.md` §1.1).

use std::sync::Arc;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer as _, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::{Cause, Error};
use super::evaluate::Evaluator;
use super::tree::{Node, member};
use crate::value::{Number, Value};

/// A part of a tree, with what evaluates it.
pub(super) struct Tree<'s, 'e, 'n> {
    pub(super) evaluator: &'s mut Evaluator<'e>,
    pub(super) node: &'n Node,
}

/// What a part of a tree is once its top is evaluated.
enum Part<'s, 'e, 'n> {
    List(&'s mut Evaluator<'e>, &'n [Node]),
    Map(&'s mut Evaluator<'e>, &'n [(Arc<str>, Node)]),
    Data(Value),
    Unresolved,
}

impl<'s, 'e, 'n> Tree<'s, 'e, 'n> {
    fn part(self) -> Result<Part<'s, 'e, 'n>, Error> {
        Ok(match self.node {
            Node::List(items, _) => Part::List(self.evaluator, items),
            Node::Map(members, _) => Part::Map(self.evaluator, members),
            node => {
                let partial = self.evaluator.node(node)?;
                self.evaluator.budget.value(&partial.value, 0)?;
                if partial.complete { Part::Data(partial.value) } else { Part::Unresolved }
            }
        })
    }
}

/// Hands each method on to the data or the zero value, where it is one of them.
macro_rules! deserialize_parts {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($argument: $type,)*
            visitor: V,
        ) -> Result<V::Value, Error> {
            match self.part()? {
                Part::List(evaluator, items) => {
                    visitor.visit_seq(Items { evaluator, items: items.iter().enumerate() })
                }
                Part::Map(evaluator, members) => {
                    visitor.visit_map(Members::new(evaluator, members, None))
                }
                Part::Data(value) => Data(value).$method($($argument,)* visitor),
                Part::Unresolved => Zero.$method($($argument,)* visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Tree<'_, '_, '_> {
    type Error = Error;

    deserialize_parts! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16()
        deserialize_i32() deserialize_i64() deserialize_i128() deserialize_u8()
        deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str()
        deserialize_string() deserialize_bytes() deserialize_byte_buf() deserialize_unit()
        deserialize_unit_struct(name: &'static str) deserialize_seq() deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize) deserialize_map()
        deserialize_identifier()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            Node::List(..) | Node::Map(..) => visitor.visit_some(self),
            _ => match self.part()? {
                Part::Data(value) => Data(value).deserialize_option(visitor),
                _ => visitor.visit_none(),
            },
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.part()? {
            Part::List(evaluator, items) => {
                visitor.visit_seq(Items { evaluator, items: items.iter().enumerate() })
            }
            Part::Map(evaluator, members) => {
                visitor.visit_map(Members::new(evaluator, members, Some(fields)))
            }
            Part::Data(value) => Data(value).deserialize_struct(name, fields, visitor),
            Part::Unresolved => Zero.deserialize_struct(name, fields, visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let partial = self.evaluator.node(self.node)?;
        if partial.complete {
            Data(partial.value).deserialize_enum(name, variants, visitor)
        } else {
            Zero.deserialize_enum(name, variants, visitor)
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct Items<'s, 'e, 'n> {
    evaluator: &'s mut Evaluator<'e>,
    items: std::iter::Enumerate<std::slice::Iter<'n, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        let tree = Tree { evaluator: self.evaluator, node };
        crate::stack::grow(|| seed.deserialize(tree)).map(Some).map_err(|error| error.at(&index))
    }
}

struct Members<'s, 'e, 'n> {
    evaluator: &'s mut Evaluator<'e>,
    members: Vec<(&'n str, &'n Node)>,
    value: Option<(&'n str, &'n Node)>,
}

impl<'s, 'e, 'n> Members<'s, 'e, 'n> {
    /// All members, or those that a type has fields for.
    fn new(
        evaluator: &'s mut Evaluator<'e>,
        members: &'n [(Arc<str>, Node)],
        fields: Option<&'static [&'static str]>,
    ) -> Self {
        let mut members: Vec<(&str, &Node)> = match fields {
            None => members.iter().map(|(key, node)| (key.as_ref(), node)).collect(),
            Some(fields) => fields
                .iter()
                .filter_map(|field| member(members, field).map(|node| (*field, node)))
                .collect(),
        };
        members.reverse();
        Self { evaluator, members, value: None }
    }
}

impl<'de> MapAccess<'de> for Members<'_, '_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.value = self.members.pop();
        let Some((key, _)) = self.value else { return Ok(None) };
        let key: StringDeserializer<Error> = key.to_owned().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, node)) = self.value.take() else {
            return Err(de::Error::custom("no value"));
        };
        let tree = Tree { evaluator: self.evaluator, node };
        crate::stack::grow(|| seed.deserialize(tree)).map_err(|error| error.at(key))
    }
}

/// A value that is known.
struct Data(Value);

impl<'de> Deserializer<'de> for Data {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(Number::Int(value)) => visitor.visit_i64(value),
            Value::Number(Number::Unsigned(value)) => visitor.visit_u64(value),
            Value::Number(number @ Number::Float(value)) => match number.as_i64() {
                Some(integer) if value != 0.0 || value.is_sign_positive() => {
                    visitor.visit_i64(integer)
                }
                _ => visitor.visit_f64(value),
            },
            Value::Text(text) => visitor.visit_str(&text),
            Value::Bytes(bytes) => visitor.visit_bytes(&bytes),
            Value::Time(time) => visitor.visit_string(time.to_string()),
            Value::List(items) => visitor.visit_seq(DataItems { items, next: 0 }),
            Value::Map(map) => {
                let members = map.iter().rev().map(|(key, value)| (key.clone(), value.clone()));
                visitor.visit_map(DataMembers { members: members.collect(), value: None })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0 {
            Value::Text(name) => {
                let name: StringDeserializer<Error> = name.to_string().into_deserializer();
                visitor.visit_enum(name)
            }
            Value::Map(map) if map.len() == 1 => {
                let members = map.iter().map(|(key, value)| (key.clone(), value.clone()));
                let members = DataMembers { members: members.collect(), value: None };
                visitor.visit_enum(MapAccessDeserializer::new(members))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct DataItems {
    items: Arc<[Value]>,
    next: usize,
}

impl<'de> SeqAccess<'de> for DataItems {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let index = self.next;
        let Some(item) = self.items.get(index).cloned() else { return Ok(None) };
        self.next += 1;
        crate::stack::grow(|| seed.deserialize(Data(item)))
            .map(Some)
            .map_err(|error| error.at(&index))
    }

    fn size_hint(&self) -> Option<usize> {
        self.items.len().checked_sub(self.next)
    }
}

struct DataMembers {
    /// The next one last.
    members: Vec<(Arc<str>, Value)>,
    value: Option<(Arc<str>, Value)>,
}

impl<'de> MapAccess<'de> for DataMembers {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.value = self.members.pop();
        let Some((key, _)) = &self.value else { return Ok(None) };
        let key: StringDeserializer<Error> = key.to_string().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("no value"));
        };
        crate::stack::grow(|| seed.deserialize(Data(value))).map_err(|error| error.at(key.as_ref()))
    }
}

/// The zero value of whatever is asked for.
#[derive(Clone, Copy)]
struct Zero;

macro_rules! zeros {
    ($($method:ident => $visit:ident($($value:expr)?);)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit($($value)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Zero {
    type Error = Error;

    zeros! {
        deserialize_any => visit_unit();
        deserialize_bool => visit_bool(false);
        deserialize_i8 => visit_i8(0);
        deserialize_i16 => visit_i16(0);
        deserialize_i32 => visit_i32(0);
        deserialize_i64 => visit_i64(0);
        deserialize_i128 => visit_i128(0);
        deserialize_u8 => visit_u8(0);
        deserialize_u16 => visit_u16(0);
        deserialize_u32 => visit_u32(0);
        deserialize_u64 => visit_u64(0);
        deserialize_u128 => visit_u128(0);
        deserialize_f32 => visit_f32(0.0);
        deserialize_f64 => visit_f64(0.0);
        deserialize_char => visit_char('\0');
        deserialize_str => visit_str("");
        deserialize_string => visit_str("");
        deserialize_identifier => visit_str("");
        deserialize_bytes => visit_bytes(&[]);
        deserialize_byte_buf => visit_bytes(&[]);
        deserialize_option => visit_none();
        deserialize_unit => visit_unit();
        deserialize_ignored_any => visit_unit();
        deserialize_seq => visit_seq(Zeros { left: 0, fields: &[] });
        deserialize_map => visit_map(Zeros { left: 0, fields: &[] });
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Zeros { left: length, fields: &[] })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Zeros { left: length, fields: &[] })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Zeros { left: 0, fields })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(FirstVariant(variants.first().copied().unwrap_or_default()))
    }
}

/// A sequence of so many zero values, or an object with zero values in these fields.
struct Zeros {
    left: usize,
    fields: &'static [&'static str],
}

impl<'de> SeqAccess<'de> for Zeros {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return Ok(None),
        }
        crate::stack::grow(|| seed.deserialize(Zero)).map(Some)
    }
}

impl<'de> MapAccess<'de> for Zeros {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((field, rest)) = self.fields.split_first() else { return Ok(None) };
        self.fields = rest;
        let field: StringDeserializer<Error> = (*field).to_owned().into_deserializer();
        seed.deserialize(field).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        crate::stack::grow(|| seed.deserialize(Zero))
    }
}

/// The zero value of an enumeration: its first variant, with zero values in it.
struct FirstVariant(&'static str);

impl<'de> EnumAccess<'de> for FirstVariant {
    type Error = Error;
    type Variant = Zero;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Zero), Error> {
        let name: StringDeserializer<Error> = self.0.to_owned().into_deserializer();
        Ok((seed.deserialize(name)?, Zero))
    }
}

impl<'de> VariantAccess<'de> for Zero {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}

/// Says what a type expects, and of what was found its kind only: it may be secret.
impl de::Error for Error {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Cause::Target("the value is not accepted by its type".to_owned()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Cause::Target(format!("expected {expected}, found {}", kind(&found))).into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Cause::Target(format!("expected {expected}, found another {}", kind(&found))).into()
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Cause::Target(format!("expected {expected}, found a length of {length}")).into()
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Cause::Target(format!("expected one of {}", expected.join(", "))).into()
    }

    fn missing_field(field: &'static str) -> Self {
        Cause::Target(format!("the field {field:?} is missing")).into()
    }
}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "list",
        Unexpected::Map => "object",
        _ => "value",
    }
}
