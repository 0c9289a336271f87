//! Parameters, and the values that a run gives them (`workflow-file.md` §2).

use std::collections::BTreeMap;

use relay_core::Value;
use relay_core::yaml::{self, Content, Location, Node, Tag};

use super::finding::{Code, Finding, suggestion};
use super::reader::{Findings, Section};
use super::{Parameter, WorkflowFile};
use crate::v1beta1::Workflow;

pub(super) fn read(node: &Node, findings: &mut Findings) -> BTreeMap<String, Parameter> {
    let Some(section) = Section::new(node, "\"parameters\"".to_owned(), findings) else {
        return BTreeMap::new();
    };
    let mut parameters = BTreeMap::new();
    for (name, key, body) in section.entries() {
        if name.is_empty() {
            findings.add(Code::Required, key, "the name of a parameter must not be empty");
        }
        let what = format!("parameter {name:?}");
        let location = key.location;
        let parameter = match Section::new(body, what, findings) {
            Some(mut body) => {
                body.check_keys(&["description", "default", "type"], false, findings);
                Parameter {
                    description: body.text("description", findings),
                    default: body.written("default").map(|node| default(node, name, findings)),
                    location,
                }
            }
            // It is declared, whatever else is wrong.
            None => Parameter { location, ..Parameter::default() },
        };
        parameters.insert(name.to_owned(), parameter);
    }
    parameters
}

/// A default is data: nothing in it is evaluated.
fn default(node: &Node, parameter: &str, findings: &mut Findings) -> Value {
    let before = findings.len();
    let value = findings.tree(node);
    let mut nodes = vec![node];
    while let Some(node) = nodes.pop() {
        if matches!(node.tag, Some(Tag::Local(_))) && findings.len() == before {
            let message = format!(
                "the default of parameter {parameter:?} is an expression, and defaults are not \
                 evaluated; use it where the parameter is used"
            );
            findings.add(Code::Scope, node, message);
            break;
        }
        match node.content.as_ref() {
            Content::Scalar { .. } => {}
            Content::Sequence(items) => nodes.extend(items),
            Content::Mapping(entries) => nodes.extend(entries.iter().map(|(_, value)| value)),
        }
    }
    value
}

impl WorkflowFile {
    /// The values of a run's parameters, from `texts` as a command line gives them and from
    /// `typed_values`. A text becomes a boolean or a number where the declared default is one and the
    /// text spells one.
    ///
    /// # Errors
    ///
    /// Findings for values of parameters that are not declared, and for all parameters that have
    /// neither value nor default.
    pub fn bind(
        &self,
        texts: &[(String, String)],
        typed_values: &[(String, Value)],
    ) -> Result<BTreeMap<String, Value>, Vec<Finding>> {
        let declared = self.parameters.iter();
        let declared = declared.map(|(name, known)| (name.as_str(), known.default.as_ref()));
        let (values, mut findings) = values(&declared.collect(), texts, typed_values);
        for (name, parameter) in &self.parameters {
            if parameter.default.is_none() && !values.contains_key(name) {
                let message = format!(
                    "parameter {name:?} has no default and needs a value: add `-p {name}=…`"
                );
                let finding = Finding::new(Code::MissingParameter, parameter.location, message);
                findings.push(finding);
            }
        }
        if findings.is_empty() { Ok(values) } else { Err(findings) }
    }
}

impl Workflow {
    /// The values of a run's parameters, as [`WorkflowFile::bind`] makes them. One that nobody gives is
    /// its default, or null: a resource cannot tell no default from null.
    ///
    /// # Errors
    ///
    /// Findings for values of parameters that are not declared.
    pub fn bind(
        &self,
        texts: &[(String, String)],
        typed_values: &[(String, Value)],
    ) -> Result<BTreeMap<String, Value>, Vec<Finding>> {
        let declared = self.spec.parameters.iter();
        let declared = declared.map(|known| (known.name.as_str(), known.default.as_ref()));
        let (values, findings) = values(&declared.collect(), texts, typed_values);
        if findings.is_empty() { Ok(values) } else { Err(findings) }
    }
}

/// Values, and what is wrong with them. `declared` are the parameters with their defaults.
fn values(
    declared: &BTreeMap<&str, Option<&Value>>,
    texts: &[(String, String)],
    typed_values: &[(String, Value)],
) -> (BTreeMap<String, Value>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut values = BTreeMap::new();
    let texts = texts.iter().map(|(name, text)| {
        let default = declared.get(name.as_str()).copied().flatten();
        (name, typed(text, default))
    });
    let given = typed_values.iter().map(|(name, value)| (name, value.clone()));
    for (name, value) in texts.chain(given) {
        if declared.contains_key(name.as_str()) {
            values.insert(name.clone(), value);
            continue;
        }
        let hint = suggestion(name, declared.keys().copied());
        let message = format!("parameter {name:?} is not declared{hint}");
        findings.push(Finding::new(Code::UnknownParameter, Location::default(), message));
    }
    (values, findings)
}

fn typed(text: &str, default: Option<&Value>) -> Value {
    let spelled = yaml::plain_scalar(text);
    let fits = match default {
        Some(Value::Bool(_)) => spelled.as_bool().is_some(),
        Some(Value::Number(_)) => matches!(spelled, Value::Number(_)),
        _ => false,
    };
    if fits { spelled } else { Value::from(text) }
}
