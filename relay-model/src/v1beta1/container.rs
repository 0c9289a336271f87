use std::collections::BTreeMap;

use relay_core::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a step or a trigger runs (`operator.md` §3.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// The image; empty for an approval.
    pub image: String,
    /// Lines of a script; takes the place of command and arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<String>,
    /// One executable, in place of the image's entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// What the step can read of its specification.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::any_map")]
    pub spec: BTreeMap<String, Value>,
    /// Environment variables, evaluated when the step starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::any_map")]
    pub env: BTreeMap<String, Value>,
}

impl Container {
    /// The text of the script: the lines joined, with a first line that names the shell where
    /// there is none. `None` without input.
    #[must_use]
    pub fn script(&self) -> Option<String> {
        if self.input.is_empty() {
            return None;
        }
        let text = self.input.join("\n");
        Some(if text.starts_with("#!") { text } else { format!("#!/bin/sh\n{text}") })
    }
}
