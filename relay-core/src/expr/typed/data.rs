//! Known values, for serde to read.

use std::sync::Arc;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::expr::error::Error;
use crate::value::{Number, Value};

/// A value that is known.
pub(super) struct Data(pub(super) Value);

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
