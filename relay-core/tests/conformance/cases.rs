//! The format of the case files: reading them, and comparing what was got with what is expected.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use relay_core::Value;

const OURS: &[&str] =
    &[include_str!("../cases/expressions.json"), include_str!("../cases/rules.json")];

/// One case.
pub(crate) struct Case(Value);

/// All cases: ours, and those of the files that `RELAY_CASES` names, separated by `:`.
pub(crate) fn all() -> Vec<Case> {
    let mut texts: Vec<String> = OURS.iter().map(|text| (*text).to_owned()).collect();
    let named = std::env::var("RELAY_CASES").unwrap_or_default();
    for path in named.split(':').filter(|path| !path.is_empty()) {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        texts.push(text);
    }
    let files = texts.iter().map(|text| doubles(&Value::from_json(text).unwrap()));
    files.flat_map(|file| list(file.get("cases")).into_iter().map(Case)).collect()
}

/// The numbers of a case are doubles, as all numbers in JSON were for the system that the cases come
/// from. Our reader keeps integers, which is better, but not what a case is about.
fn doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::List(items) => Value::list(items.iter().map(doubles)),
        Value::Map(map) => Value::map(map.iter().map(|(key, value)| (key.clone(), doubles(value)))),
        other => other.clone(),
    }
}

pub(crate) fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_list).map(<[Value]>::to_vec).unwrap_or_default()
}

impl Case {
    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.get(field).and_then(Value::as_str)
    }

    pub(crate) fn id(&self) -> &str {
        self.text("id").unwrap_or("?")
    }

    pub(crate) fn op(&self) -> &str {
        self.text("op").unwrap_or("evaluate")
    }

    pub(crate) fn is_binding(&self) -> bool {
        self.text("compat") != Some("improve")
    }

    /// A part of the environment, by name.
    pub(crate) fn env(&self, part: &str) -> BTreeMap<String, Value> {
        let part = self.get("env").and_then(|env| env.get(part));
        let members = part.and_then(Value::as_map).into_iter().flatten();
        members.map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        let now = self.get("env").and_then(|env| env.get("now")).and_then(Value::as_str);
        now.map_or(jiff::Timestamp::UNIX_EPOCH, |now| now.parse().unwrap())
    }

    fn expect(&self, field: &str) -> Option<&Value> {
        self.get("expect").and_then(|expect| expect.get(field))
    }

    pub(crate) fn agrees(&self, got: &Value) -> bool {
        let unordered = self.text("compare") == Some("unordered");
        if let Some(error) = self.expect("error") {
            let Some(found) = got.get("error") else { return false };
            // Only evaluation has more than one phase.
            let phased = matches!(self.op(), "evaluate" | "query");
            let same_phase = !phased || same_phase(error, found);
            // Of nested calls a case names one.
            let one_of = |field: &str| {
                let found = list(found.get(field));
                error.get(field).is_none_or(|expected| found.contains(expected))
            };
            return same_phase
                && error.get("kind") == found.get("kind")
                && error.get("path").is_none_or(|path| found.get("path") == Some(path))
                && ["function", "arg"].into_iter().all(one_of);
        }
        if let Some(http) = self.expect("http") {
            return http.get("status") == got.get("status")
                && http.get("body").is_none_or(|body| holds(body, got.get("body"), unordered));
        }
        let (Some(expected), Some(found)) = (self.expect("value"), got.get("value")) else {
            return false;
        };
        same(expected, found, unordered)
            && self.expect("complete").is_none_or(|complete| got.get("complete") == Some(complete))
            && ["unresolvable", "resolved"]
                .into_iter()
                .all(|field| got.get("complete").is_none() || self.expect(field) == got.get(field))
    }
}

/// An operand error among constants may be found in either phase.
fn same_phase(expected: &Value, found: &Value) -> bool {
    expected.get("phase") == found.get("phase")
        || found.get("kind").and_then(Value::as_str) == Some("operand")
}

/// Numbers as doubles; lists in any order where the case says so.
fn same(a: &Value, b: &Value, unordered: bool) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::List(a), Value::List(b)) if unordered => {
            let mut rest: Vec<_> = b.iter().collect();
            a.len() == b.len()
                && a.iter().all(|a| {
                    let found = rest.iter().position(|b| same(a, b, true));
                    found.map(|index| rest.remove(index)).is_some()
                })
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b, false))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b, unordered)))
        }
        _ => a == b,
    }
}

/// Whether a body is the expected one, which leaves out what is not compared: of an error all but
/// its code, and the message of a condition that is not resolved.
fn holds(expected: &Value, found: Option<&Value>, unordered: bool) -> bool {
    let Some(found) = found else { return false };
    if let Some(code) = expected.get("error").and_then(|error| error.get("code")) {
        return found.get("error").and_then(|error| error.get("code")) == Some(code);
    }
    match (expected, found) {
        (Value::Map(expected), Value::Map(found)) if expected.contains_key("resolved") => {
            expected.iter().all(|(key, a)| found.get(key).is_some_and(|b| same(a, b, unordered)))
        }
        _ => same(expected, found, unordered),
    }
}

/// Counts, and says what differs: a line a case.
#[derive(Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Runs one case: one that panics fails alone.
    pub(crate) async fn run(&mut self, case: &Case, run: impl Future<Output = Value>) {
        let got = AssertUnwindSafe(run).catch_unwind().await;
        self.note(case, &got.unwrap_or_else(|_| Value::map([("panicked", true.into())])));
    }

    fn note(&mut self, case: &Case, got: &Value) {
        let expected = case.get("expect").unwrap_or(&Value::Null).to_json();
        if case.agrees(got) {
            self.passed += 1;
        } else if case.is_binding() {
            self.failed += 1;
            println!("{}: expected {expected} got {}", case.id(), got.to_json());
        } else {
            let note = case.text("note").unwrap_or_default();
            println!(
                "{}: improve ({note}): reference {expected} ours {}",
                case.id(),
                got.to_json()
            );
        }
    }

    pub(crate) fn finish(self) {
        let Self { passed, failed } = self;
        println!("conformance: {passed} as expected, {failed} failed");
        assert!(passed > 0, "no case was run");
        assert_eq!(failed, 0, "see the lines above");
    }
}
