//! The environment of a case as a resolver.

use std::collections::BTreeMap;

use async_trait::async_trait;
use relay_core::Value;
use relay_core::expr::{Collection, Reference, ResolveError, Resolver};

use crate::cases::Case;
use crate::status::status;

type Named = BTreeMap<String, Value>;

pub(crate) struct Environment {
    parameters: Named,
    secrets: Named,
    connections: Named,
    outputs: Named,
    answers: Named,
    statuses: Named,
    data: Named,
    default_data: Option<Value>,
}

impl Environment {
    pub(crate) fn of(case: &Case) -> Self {
        let default = case.get("env").and_then(|env| env.get("defaultData"));
        let data = case.env("data");
        Self {
            parameters: case.env("parameters"),
            secrets: case.env("secrets"),
            connections: case.env("connections"),
            outputs: case.env("outputs"),
            answers: case.env("answers"),
            statuses: case.env("statuses"),
            // The default is one of the sources, by name, or stands there itself.
            default_data: default.map(|default| {
                default.as_str().and_then(|name| data.get(name)).unwrap_or(default).clone()
            }),
            data,
        }
    }
}

fn nested(all: &Named, first: &str, second: &str) -> Option<Value> {
    all.get(first)?.get(second).cloned()
}

fn object(all: &Named) -> Value {
    Value::map(all.iter().map(|(name, value)| (name.as_str(), value.clone())))
}

#[async_trait]
impl Resolver for Environment {
    async fn resolve(&self, reference: &Reference) -> Result<Option<Value>, ResolveError> {
        Ok(match reference {
            Reference::Parameter { name } => self.parameters.get(&**name).cloned(),
            Reference::Secret { name } => self.secrets.get(&**name).cloned(),
            Reference::Connection { kind, name } => nested(&self.connections, kind, name),
            Reference::Output { from, name } => nested(&self.outputs, from, name),
            Reference::Answer { ask, name } => nested(&self.answers, ask, name),
            Reference::Data { name } if name.is_empty() => self.default_data.clone(),
            Reference::Data { name } => self.data.get(&**name).cloned(),
            Reference::Status { action, property } => {
                let status = self.statuses.get(&**action).map(status);
                status.and_then(|status| status.property(property)).map(Value::Bool)
            }
            _ => None,
        })
    }

    async fn members(&self, collection: &Collection) -> Result<Value, ResolveError> {
        Ok(match collection {
            Collection::Parameters => object(&self.parameters),
            Collection::Secrets => object(&self.secrets),
            Collection::Connections => object(&self.connections),
            Collection::Outputs => object(&self.outputs),
            Collection::Data => object(&self.data),
            _ => Value::Null,
        })
    }
}
