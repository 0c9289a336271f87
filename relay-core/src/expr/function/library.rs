//! What the functions do that take all their arguments evaluated.

use std::sync::Arc;

use crate::expr::error::{Cause, Error, Frame};
use crate::expr::evaluate::Evaluator;
use crate::expr::markdown;
use crate::value::{Map, Value, ValueKind};

pub(super) fn argument(values: &[Option<Value>], slot: usize) -> &Value {
    const NULL: &Value = &Value::Null;
    values.get(slot).and_then(Option::as_ref).unwrap_or(NULL)
}

pub(super) fn wrong_kind(expected: &'static str, found: ValueKind) -> Error {
    Cause::UnexpectedType { expected, found }.into()
}

pub(super) fn append(
    _: &mut Evaluator<'_>,
    args: &[Option<Value>],
    _: bool,
) -> Result<Value, Error> {
    let first = argument(args, 0);
    let items = first
        .as_list()
        .ok_or_else(|| wrong_kind("list", first.kind()).within(Frame::Argument("1".to_owned())))?;
    Ok(Value::list(items.iter().cloned().chain(args.iter().skip(1).flatten().cloned())))
}

pub(super) fn concat(
    _: &mut Evaluator<'_>,
    args: &[Option<Value>],
    _: bool,
) -> Result<Value, Error> {
    let mut bytes = Vec::new();
    for (slot, value) in args.iter().flatten().enumerate() {
        bytes.extend(value.to_plain_text().ok_or_else(|| {
            wrong_kind("scalar", value.kind()).within(Frame::Argument((slot + 1).to_string()))
        })?);
    }
    Ok(Value::from_bytes(&bytes))
}

pub(super) fn convert_markdown(
    evaluator: &mut Evaluator<'_>,
    args: &[Option<Value>],
    keyword: bool,
) -> Result<Value, Error> {
    let names = if keyword { ["to", "content"] } else { ["1", "2"] };
    let text = |slot: usize| {
        let value = argument(args, slot);
        value.as_bytes().map(String::from_utf8_lossy).ok_or_else(|| {
            let name = names.get(slot).copied().unwrap_or_default();
            wrong_kind("string", value.kind()).within(Frame::Argument(name.to_owned()))
        })
    };
    let (format, content) = (text(0)?, text(1)?);
    let converted = match format.as_ref() {
        "html" => markdown::to_html(&content),
        "jira" => markdown::to_jira(&content),
        _ => return Err(Cause::ConvertType.into()),
    };
    evaluator.budget.text(converted.len())?;
    Ok(Value::from(converted))
}

pub(super) fn json_marshal(
    _: &mut Evaluator<'_>,
    args: &[Option<Value>],
    _: bool,
) -> Result<Value, Error> {
    let value = argument(args, 0);
    if let Some(path) = value.first_unencodable() {
        let error = path.iter().rev().fold(Error::from(Cause::NotEncodable), Error::at);
        return Err(error.within(Frame::Argument("1".to_owned())));
    }
    Ok(Value::from(value.to_marshalled_json()))
}

pub(super) fn json_unmarshal(
    _: &mut Evaluator<'_>,
    args: &[Option<Value>],
    _: bool,
) -> Result<Value, Error> {
    let value = argument(args, 0);
    let within = |error: Error| error.within(Frame::Argument("1".to_owned()));
    let bytes = value.as_bytes().ok_or_else(|| within(wrong_kind("string", value.kind())))?;
    Value::from_json(&String::from_utf8_lossy(bytes))
        .map_err(|error| within(Cause::BadJson(error.to_string()).into()))
}

pub(super) fn merge(
    _: &mut Evaluator<'_>,
    args: &[Option<Value>],
    keyword: bool,
) -> Result<Value, Error> {
    let mut merged = Map::new();
    if !keyword {
        for (slot, value) in args.iter().flatten().enumerate() {
            let map = value.as_map().ok_or_else(|| {
                wrong_kind("object", value.kind()).within(Frame::Argument((slot + 1).to_string()))
            })?;
            merge_into(&mut merged, map, true);
        }
        return Ok(Value::from(merged));
    }
    let objects =
        args.first().and_then(Option::as_ref).ok_or(Cause::ArgumentNotFound("objects"))?;
    let deep = match args.get(1).and_then(Option::as_ref) {
        None => true,
        Some(mode) => {
            let within = |error: Error| error.within(Frame::Argument("mode".to_owned()));
            match mode.as_str() {
                Some("deep") => true,
                Some("shallow") => false,
                Some(_) => {
                    return Err(within(Cause::UnexpectedValue("\"deep\" or \"shallow\"").into()));
                }
                None => return Err(within(wrong_kind("string", mode.kind()))),
            }
        }
    };
    let within = |error: Error| error.within(Frame::Argument("objects".to_owned()));
    let items = objects.as_list().ok_or_else(|| within(wrong_kind("list", objects.kind())))?;
    for (index, item) in items.iter().enumerate() {
        let map = item
            .as_map()
            .ok_or_else(|| within(wrong_kind("object", item.kind()).within(Frame::Item(index))))?;
        merge_into(&mut merged, map, deep);
    }
    Ok(Value::from(merged))
}

fn merge_into(target: &mut Map, source: &Map, deep: bool) {
    for (key, value) in source {
        let merged = match (target.get(key), value) {
            (Some(Value::Map(old)), Value::Map(new)) if deep => {
                let mut both = Arc::unwrap_or_clone(old.clone());
                merge_into(&mut both, new, true);
                Value::from(both)
            }
            _ => value.clone(),
        };
        target.insert(key.clone(), merged);
    }
}

pub(super) fn to_string(
    _: &mut Evaluator<'_>,
    args: &[Option<Value>],
    _: bool,
) -> Result<Value, Error> {
    let value = argument(args, 0);
    let text = value.to_plain_text().ok_or_else(|| {
        wrong_kind("scalar", value.kind()).within(Frame::Argument("1".to_owned()))
    })?;
    Ok(Value::from_bytes(&text))
}
