//! Checking an object against its schema.

use super::path::Path;
use super::{Additional, ListType, Schema, Shape};
use crate::status::FieldError;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

impl Schema {
    /// Every broken rule of an object, in the order of its fields.
    pub(crate) fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.check(object, Path::Root, &mut errors);
        errors
    }

    fn check(&self, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
        if value.is_null() && (self.nullable || self.shape == Shape::Any) {
            return;
        }
        if !self.fits(value) {
            let (found, expected) = (type_name(value), self.shape.name());
            let shown = Value::from(found);
            let detail = format!("{path} in body must be of type {expected}: \"{found}\"");
            errors.push(FieldError::wrong_type(path, &shown, &detail));
            return;
        }
        self.check_value(value, path, errors);
        self.check_logic(value, path, errors);
        match value {
            Value::Object(map) => {
                for name in &self.required {
                    if !map.contains_key(name) {
                        errors.push(FieldError::required(Path::Field(&path, name), ""));
                    }
                }
                for (name, child) in map {
                    // Metadata was read as its own type already.
                    if path.is_root() && name == "metadata" {
                        continue;
                    }
                    match (self.properties.get(name), &self.additional) {
                        (Some(schema), _) | (None, Additional::Of(schema)) => {
                            schema.check(child, Path::Field(&path, name), errors);
                        }
                        (None, _) => {}
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (index, item) in items.iter().enumerate() {
                        schema.check(item, Path::Item(&path, index), errors);
                    }
                }
                self.check_duplicates(items, path, errors);
            }
            _ => {}
        }
    }

    fn fits(&self, value: &Value) -> bool {
        match self.shape {
            Shape::Any => true,
            Shape::Object => value.is_object(),
            Shape::Array => value.is_array(),
            Shape::String => value.is_string(),
            Shape::Integer => is_integer(value),
            Shape::Number => value.is_number(),
            Shape::Boolean => value.is_boolean(),
            Shape::IntOrString => value.is_string() || is_integer(value),
        }
    }

    fn check_value(&self, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
        let rules = &self.rules;
        let mut invalid = |shown: &Value, detail: String| {
            errors.push(FieldError::invalid(path, shown, &format!("{path} in body {detail}")));
        };
        match value {
            Value::String(text) => {
                let length = count(text.chars().count());
                if let Some(min) = rules.min_length
                    && length < min
                {
                    invalid(value, format!("should be at least {min} chars long"));
                }
                if let Some(pattern) = &rules.pattern
                    && !pattern.is_match(text)
                {
                    invalid(value, format!("should match '{pattern}'"));
                }
                if let Some(format) = &rules.format
                    && !has_format(text, format)
                {
                    let detail = format!("{path} in body must be of type {format}: {value}");
                    errors.push(FieldError::wrong_type(path, value, &detail));
                }
                if let Some(max) = rules.max_length
                    && length > max
                {
                    errors.push(FieldError::too_long(path, max));
                }
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                match rules.minimum {
                    Some((min, false)) if number < min => {
                        invalid(value, format!("should be greater than or equal to {min}"));
                    }
                    Some((min, true)) if number <= min => {
                        invalid(value, format!("should be greater than {min}"));
                    }
                    _ => {}
                }
                match rules.maximum {
                    Some((max, false)) if number > max => {
                        invalid(value, format!("should be less than or equal to {max}"));
                    }
                    Some((max, true)) if number >= max => {
                        invalid(value, format!("should be less than {max}"));
                    }
                    _ => {}
                }
                if let Some(factor) = rules.multiple_of
                    && (number / factor).fract() != 0.0
                {
                    invalid(value, format!("should be a multiple of {factor}"));
                }
            }
            Value::Array(items) => {
                let length = items.len();
                if let Some(min) = rules.min_items
                    && count(length) < min
                {
                    invalid(&length.into(), format!("should have at least {min} items"));
                }
                if let Some(max) = rules.max_items
                    && count(length) > max
                {
                    errors.push(FieldError::too_many(path, length, max));
                }
            }
            Value::Object(map) => {
                let length = map.len();
                if let Some(min) = rules.min_properties
                    && count(length) < min
                {
                    invalid(&length.into(), format!("should have at least {min} properties"));
                }
                if let Some(max) = rules.max_properties
                    && count(length) > max
                {
                    errors.push(FieldError::too_many(path, length, max));
                }
            }
            _ => {}
        }
        if !rules.allowed.is_empty() && !rules.allowed.contains(value) {
            errors.push(FieldError::unsupported(path, value, &rules.allowed));
        }
    }

    fn check_logic(&self, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
        let rules = &self.rules;
        let holds = |schema: &Self| {
            let mut broken = Vec::new();
            schema.check(value, path, &mut broken);
            broken.is_empty()
        };
        for schema in &rules.all_of {
            schema.check(value, path, errors);
        }
        let mut broken = |detail: &str| {
            let detail = if path.is_root() {
                format!("\"\" {detail}")
            } else {
                format!("\"{path}\" {detail}")
            };
            errors.push(FieldError::invalid(path, value, &detail));
        };
        if !rules.any_of.is_empty() && !rules.any_of.iter().any(holds) {
            broken("must validate at least one schema (anyOf)");
        }
        if !rules.one_of.is_empty() {
            match rules.one_of.iter().filter(|schema| holds(schema)).count() {
                1 => {}
                0 => broken("must validate one and only one schema (oneOf). Found none valid"),
                n => broken(&format!(
                    "must validate one and only one schema (oneOf). Found {n} valid alternatives"
                )),
            }
        }
        if rules.not.as_deref().is_some_and(holds) {
            broken("must not validate the schema (not)");
        }
    }

    /// Items that a set or a list-map cannot tell apart.
    fn check_duplicates(&self, items: &[Value], path: Path<'_>, errors: &mut Vec<FieldError>) {
        if self.list == ListType::Atomic && !self.rules.unique {
            return;
        }
        let mut seen: Vec<Value> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let identity = match &self.list {
                ListType::Atomic | ListType::Set => item.clone(),
                ListType::Map(keys) => keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), item.get(key)?.clone())))
                    .collect(),
            };
            if seen.contains(&identity) {
                errors.push(FieldError::duplicate(Path::Item(&path, index), &identity));
            } else {
                seen.push(identity);
            }
        }
    }
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn has_format(text: &str, format: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        _ => true,
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
