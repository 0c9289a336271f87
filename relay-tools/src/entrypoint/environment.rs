//! The environment of the program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde_json::Value;

use crate::client::{Evaluated, transfer};

pub(super) type Variables = BTreeMap<OsString, OsString>;

/// Puts the step's own variables over those of its surroundings: strings as they are, null
/// removes, everything else as JSON.
pub(super) fn apply(answer: Evaluated, variables: &mut Variables) -> Result<(), String> {
    if !answer.complete {
        let missing = answer.unresolvable.descriptions();
        return Err(if missing.is_empty() {
            "the environment holds references without a value".to_owned()
        } else {
            format!("the environment needs {}", missing.join(", "))
        });
    }
    let members = match answer.value {
        Value::Object(members) => members,
        Value::Null => return Ok(()),
        _ => return Err("the environment is not a map".to_owned()),
    };
    for (name, value) in members {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("{name:?} cannot be the name of a variable"));
        }
        match text(&value).map_err(|why| format!("variable {name:?} {why}"))? {
            Some(text) => variables.insert(name.into(), text),
            None => variables.remove(OsStr::new(&name)),
        };
    }
    Ok(())
}

fn text(value: &Value) -> Result<Option<OsString>, &'static str> {
    let bytes = match value {
        Value::Null => return Ok(None),
        Value::Object(members) if members.contains_key("$encoding") => {
            transfer::decode(value).ok_or("is encoded in an unknown way")?
        }
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    };
    if bytes.contains(&0) {
        return Err("holds a zero byte, which no variable can");
    }
    Ok(Some(OsString::from_vec(bytes)))
}

/// Puts directories before and behind the `PATH`. Directories that cannot stand in a `PATH`,
/// since they contain a colon, are left out.
pub(super) fn extend_path(variables: &mut Variables, first: &[PathBuf], last: &[PathBuf]) {
    if first.is_empty() && last.is_empty() {
        return;
    }
    let name = OsStr::new("PATH");
    let own = variables.get(name).filter(|path| !path.is_empty());
    let parts = first
        .iter()
        .map(|dir| dir.as_os_str())
        .chain(own.map(OsString::as_os_str))
        .chain(last.iter().map(|dir| dir.as_os_str()));
    let mut path = OsString::new();
    for part in parts {
        if own.is_none_or(|own| own != part) && part.as_bytes().contains(&b':') {
            continue;
        }
        if !path.is_empty() {
            path.push(":");
        }
        path.push(part);
    }
    variables.insert(name.to_owned(), path);
}
