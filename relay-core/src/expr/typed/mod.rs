//! Evaluating into a type: only what the type asks for is evaluated, and what cannot be resolved
//! takes the zero value of its type (`expressions.md` §1.1).

mod data;
mod zero;

use std::sync::Arc;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer as _, MapAccess, SeqAccess,
    Unexpected, Visitor,
};

use self::data::Data;
use self::zero::Zero;
use super::error::{Cause, Error};
use super::evaluate::Evaluator;
use super::tree::{Node, member};
use crate::value::Value;

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
