//! What the names of a template stand for (`expressions.md` §5).

use std::sync::Arc;

use super::path::key_text;
use super::{Cursor, Evaluator, Partial};
use crate::expr::environment::{Known, Wanted};
use crate::expr::error::{Cause, Error};
use crate::expr::reference::{Collection, Reference};
use crate::value::{Map, Value};

/// A place among the names of a template.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    /// `$`
    Root,
    Parameters,
    Secrets,
    Connections,
    ConnectionsOf(Arc<str>),
    Outputs,
    OutputsOf(Arc<str>),
    Steps,
    Step(Arc<str>),
    Reference(Reference),
}

impl Evaluator<'_> {
    /// The place that a key leads to.
    pub(super) fn select_named<'t>(
        &mut self,
        from: Named,
        key: &Value,
    ) -> Result<Cursor<'t>, Error> {
        let name: Arc<str> = key_text(key).ok_or(Cause::BadKeyType(key.kind()))?.into();
        Ok(Cursor::Named(match from {
            Named::Root => match name.as_ref() {
                "parameters" => Named::Parameters,
                "secrets" => Named::Secrets,
                "connections" => Named::Connections,
                "outputs" => Named::Outputs,
                "steps" => Named::Steps,
                _ => return self.source_of_data(&name),
            },
            Named::Parameters => Named::Reference(Reference::Parameter { name }),
            Named::Secrets => Named::Reference(Reference::Secret { name }),
            Named::Connections => Named::ConnectionsOf(name),
            Named::ConnectionsOf(kind) => Named::Reference(Reference::Connection { kind, name }),
            Named::Outputs => Named::OutputsOf(name),
            Named::OutputsOf(from) => Named::Reference(Reference::Output { from, name }),
            Named::Steps => Named::Step(name),
            Named::Step(action) => Named::Reference(Reference::Status { action, property: name }),
            Named::Reference(_) => return Err(Cause::UnknownKey(name.to_string()).into()),
        }))
    }

    /// All that is in a place.
    pub(super) fn whole(&mut self, place: &Named) -> Partial {
        match place {
            Named::Root => self.whole_root(),
            Named::Parameters => self.collection(&Collection::Parameters, None),
            Named::Secrets => self.collection(&Collection::Secrets, None),
            Named::Connections => self.collection(&Collection::Connections, None),
            Named::ConnectionsOf(kind) => self.collection(&Collection::Connections, Some(kind)),
            Named::Outputs => self.collection(&Collection::Outputs, None),
            Named::OutputsOf(step) => self.collection(&Collection::Outputs, Some(step)),
            // `${steps}` and `${steps.x}` name no status.
            Named::Steps => Partial::complete(Value::from(Map::new())),
            Named::Step(_) => Partial::complete(Value::Null),
            Named::Reference(reference) => match self.reference(reference) {
                Some(value) => Partial::complete(value),
                None => Partial::unresolved(Value::Null),
            },
        }
    }

    /// A source of data by its name; what is none is an unknown key.
    fn source_of_data<'t>(&mut self, name: &Arc<str>) -> Result<Cursor<'t>, Error> {
        let reference = Reference::Data { name: name.clone() };
        match self.environment.get(&reference) {
            Known::Found(value) => {
                let value = value.clone();
                self.met.push((reference, true));
                return Ok(Cursor::Data(value));
            }
            Known::Missing => {}
            Known::NotAsked => {
                self.wanted.insert(Wanted::Reference(reference));
            }
        }
        Err(Cause::UnknownKey(name.to_string()).into())
    }

    /// `${$}`: all collections but the statuses.
    fn whole_root(&mut self) -> Partial {
        let sources = self.collection(&Collection::Data, None);
        let mut complete = sources.complete;
        let mut map = sources.value.as_map().cloned().unwrap_or_default();
        for (name, collection) in [
            ("connections", Collection::Connections),
            ("outputs", Collection::Outputs),
            ("parameters", Collection::Parameters),
            ("secrets", Collection::Secrets),
        ] {
            let partial = self.collection(&collection, None);
            complete &= partial.complete;
            map.insert(name.into(), partial.value);
        }
        Partial { value: Value::from(map), complete }
    }

    /// The value of a reference, reported as met; `None` while there is none.
    pub(super) fn reference(&mut self, reference: &Reference) -> Option<Value> {
        let value = match self.environment.get(reference) {
            Known::Found(value) => Some(value.clone()),
            Known::Missing => None,
            Known::NotAsked => {
                self.wanted.insert(Wanted::Reference(reference.clone()));
                None
            }
        };
        self.met.push((reference.clone(), value.is_some()));
        value
    }

    /// All members of a collection, or those of one of its members. Each is reported.
    fn collection(&mut self, collection: &Collection, member: Option<&Arc<str>>) -> Partial {
        let Some(all) = self.environment.collection(collection) else {
            self.wanted.insert(Wanted::Collection(collection.clone()));
            return Partial::unresolved(Value::Null);
        };
        for (first, value) in all.as_map().into_iter().flatten() {
            if member.is_some_and(|member| member != first) {
                continue;
            }
            let first = first.clone();
            let names = value.as_map().into_iter().flatten().map(|(name, _)| name.clone());
            let reference = match collection {
                Collection::Parameters => Reference::Parameter { name: first },
                Collection::Secrets => Reference::Secret { name: first },
                Collection::Data => Reference::Data { name: first },
                Collection::Connections => {
                    let of = |name| (Reference::Connection { kind: first.clone(), name }, true);
                    self.met.extend(names.map(of));
                    continue;
                }
                Collection::Outputs => {
                    let of = |name| (Reference::Output { from: first.clone(), name }, true);
                    self.met.extend(names.map(of));
                    continue;
                }
            };
            self.met.push((reference, true));
        }
        Partial::complete(match member {
            Some(member) => all.get(member).cloned().unwrap_or_else(|| Value::from(Map::new())),
            None => all.clone(),
        })
    }
}
