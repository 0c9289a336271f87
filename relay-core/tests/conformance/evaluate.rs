use std::collections::BTreeMap;

use async_trait::async_trait;
use relay_core::expr::{
    Attempt, Collection, Expression, Frame, Language, Query, Reference, ResolveError, Resolver,
};
use relay_core::{ConditionOutcome, ProcessState, StepStatus, Value, WhenCondition, yaml};
use serde::Deserialize;
use serde_json::{Value as Json, json};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    #[serde(default)]
    op: Option<String>,
    compat: Option<String>,
    note: Option<String>,
    #[serde(default, deserialize_with = "some")]
    tree: Option<Json>,
    yaml: Option<String>,
    text: Option<String>,
    q: Option<String>,
    lang: Option<String>,
    #[serde(default)]
    functions: bool,
    depth: Option<usize>,
    compare: Option<String>,
    #[serde(default)]
    env: Env,
    expect: Json,
}

fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Env {
    parameters: BTreeMap<String, Value>,
    secrets: BTreeMap<String, Value>,
    connections: BTreeMap<String, BTreeMap<String, Value>>,
    outputs: BTreeMap<String, BTreeMap<String, Value>>,
    answers: BTreeMap<String, Value>,
    statuses: BTreeMap<String, Json>,
    data: BTreeMap<String, Json>,
    #[serde(rename = "defaultData")]
    default_data: Option<Json>,
    now: Option<jiff::Timestamp>,
}

impl Env {
    fn status(&self, step: &str) -> Option<StepStatus> {
        let status = self.statuses.get(step)?;
        let timestamp = jiff::Timestamp::UNIX_EPOCH;
        let outcome = match status.get("when").and_then(Json::as_str) {
            Some("WhenConditionSatisfied") => Some(ConditionOutcome::Satisfied),
            Some("WhenConditionNotSatisfied") => Some(ConditionOutcome::NotSatisfied),
            Some("WhenConditionFailure") => Some(ConditionOutcome::Failure),
            Some("WhenConditionEvaluating") => Some(ConditionOutcome::Evaluating),
            _ => None,
        };
        Some(StepStatus {
            process: status
                .get("exitCode")
                .and_then(Json::as_i64)
                .map(|exit_code| ProcessState { exit_code, timestamp }),
            when: outcome.map(|outcome| WhenCondition { outcome, timestamp }),
        })
    }
}

#[async_trait]
impl Resolver for Env {
    async fn resolve(&self, reference: &Reference) -> Result<Option<Value>, ResolveError> {
        Ok(match reference {
            Reference::Parameter { name } => self.parameters.get(&**name).cloned(),
            Reference::Secret { name } => self.secrets.get(&**name).cloned(),
            Reference::Connection { kind, name } => {
                self.connections.get(&**kind).and_then(|named| named.get(&**name)).cloned()
            }
            Reference::Output { from, name } => {
                self.outputs.get(&**from).and_then(|named| named.get(&**name)).cloned()
            }
            Reference::Answer { ask, name } => {
                self.answers.get(&**ask).and_then(|answers| answers.get(name)).cloned()
            }
            Reference::Status { action, property } => {
                self.status(action).and_then(|status| status.property(property)).map(Value::Bool)
            }
            _ => None,
        })
    }

    async fn members(&self, collection: &Collection) -> Result<Value, ResolveError> {
        let nested = |all: &BTreeMap<String, BTreeMap<String, Value>>| {
            Value::map(all.iter().map(|(kind, named)| {
                let named = named.iter().map(|(name, value)| (name.as_str(), value.clone()));
                (kind.as_str(), Value::map(named))
            }))
        };
        let flat = |all: &BTreeMap<String, Value>| {
            Value::map(all.iter().map(|(name, value)| (name.as_str(), value.clone())))
        };
        Ok(match collection {
            Collection::Parameters => flat(&self.parameters),
            Collection::Secrets => flat(&self.secrets),
            Collection::Connections => nested(&self.connections),
            Collection::Outputs => nested(&self.outputs),
            _ => Value::Null,
        })
    }
}

/// What the language still lacks, by what the input holds.
const NOT_YET: &[(&str, &str)] = &[
    ("convertMarkdown", "convertMarkdown"),
    ("?(", "filters in JSONPath"),
    ("{range", "range in JSONPath templates"),
];

enum Outcome {
    Got(Json),
    /// Something that is not built yet: listed, never counted as passed.
    NotYet(&'static str),
}

fn to_json(value: &Value) -> Json {
    serde_json::from_str(&value.to_json()).unwrap()
}

fn parse_yaml(text: &str) -> Result<Value, Json> {
    let stream = yaml::read(text);
    let error = |kind: &str| json!({"error": {"phase": "parse", "kind": kind}});
    let kind = |problem: &yaml::Problem| match problem.kind {
        yaml::ProblemKind::UnknownTag => "unknown-tag",
        yaml::ProblemKind::BadShape => "bad-shape",
        _ => "yaml",
    };
    if let Some(problem) = stream.problems.first() {
        return Err(error(kind(problem)));
    }
    let mut problems = Vec::new();
    let tree = stream.documents.first().ok_or_else(|| error("empty"))?.to_tree(&mut problems);
    match problems.first() {
        Some(problem) => Err(error(kind(problem))),
        None => Ok(tree),
    }
}

async fn run(case: &Case) -> Outcome {
    let input = format!("{:?} {:?} {:?}", case.tree, case.yaml, case.q);
    if let Some((_, what)) = NOT_YET.iter().find(|(text, _)| input.contains(text)) {
        return Outcome::NotYet(what);
    }
    let tree = match (&case.tree, &case.yaml) {
        (Some(tree), _) => Ok(Value::from_json(&tree.to_string()).unwrap()),
        (_, Some(yaml)) => parse_yaml(yaml),
        _ => Ok(Value::Null),
    };
    let tree = match tree {
        Ok(tree) => tree,
        Err(error) => return Outcome::Got(error),
    };
    let expression = Expression::parse(&tree);
    match case.op.as_deref().unwrap_or("evaluate") {
        "parse" => Outcome::Got(json!({"value": to_json(&tree)})),
        "evaluate" if case.depth.is_some() => Outcome::NotYet("depth"),
        _ if !case.env.data.is_empty() || case.env.default_data.is_some() => {
            Outcome::NotYet("data")
        }
        "evaluate" => Outcome::Got(report(expression.resolve(&case.env, now(case)).await)),
        "query" if case.functions => Outcome::NotYet("functions in queries"),
        "query" => {
            let language = Language::from_name(case.lang.as_deref()).unwrap();
            match Query::parse(language, case.q.as_deref().unwrap_or_default()) {
                Ok(query) => Outcome::Got(report(
                    expression.resolve_query(&query, &case.env, now(case)).await,
                )),
                Err(error) => Outcome::Got(error_json("evaluate", &error)),
            }
        }
        "ingest" => {
            let text = case.text.as_deref().unwrap_or_default();
            let value = Value::from_json(text).map(Value::decode_transfer);
            match value {
                Ok(Ok(value)) => Outcome::Got(json!({"value": to_json(&value)})),
                _ => Outcome::NotYet("ingest errors"),
            }
        }
        _ => Outcome::NotYet("op"),
    }
}

fn now(case: &Case) -> jiff::Timestamp {
    case.env.now.unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn error_json(phase: &str, error: &relay_core::expr::Error) -> Json {
    let mut json = json!({"phase": phase, "kind": error.cause().kind()});
    if !error.path().is_empty() {
        let keys = error.frames().filter_map(|frame| match frame {
            Frame::Path(key) | Frame::Computed(key) => Some(key.as_str()),
            _ => None,
        });
        json["path"] = keys.collect::<Vec<_>>().into();
    }
    json!({ "error": json })
}

fn report(result: Result<relay_core::expr::Evaluation, ResolveError>) -> Json {
    match result {
        Ok(evaluation) => {
            if evaluation.value.first_unencodable().is_some() {
                return json!({"error": {"phase": "encode", "kind": "not-encodable"}});
            }
            let mut json = json!({
                "value": to_json(&evaluation.value),
                "complete": evaluation.is_complete(),
            });
            let ids = to_json(&evaluation.unresolvable.to_wire());
            if !evaluation.is_complete() {
                json["unresolvable"] = joined(&ids);
            }
            json
        }
        Err(ResolveError::Evaluate(error)) => error_json("evaluate", &error),
        Err(error) => json!({"store": error.to_string()}),
    }
}

fn joined(ids: &Json) -> Json {
    let groups = ids.as_object().unwrap().iter().map(|(kind, ids)| {
        let mut names: Vec<String> = ids
            .as_array()
            .unwrap()
            .iter()
            .map(|id| {
                let order = ["type", "from", "askRef", "action", "name", "property"];
                let parts: Vec<_> = order.iter().filter_map(|key| id.get(key)?.as_str()).collect();
                parts.join("/")
            })
            .collect();
        names.sort();
        (kind.clone(), json!(names))
    });
    Json::Object(groups.collect())
}

fn same_number(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    a.as_f64() == b.as_f64()
}

fn same(a: &Json, b: &Json, unordered: bool) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => same_number(a, b),
        (Json::Array(a), Json::Array(b)) if unordered => {
            let mut rest: Vec<_> = b.iter().collect();
            a.len() == b.len()
                && a.iter().all(|a| {
                    let found = rest.iter().position(|b| same(a, b, true));
                    found.map(|index| rest.remove(index)).is_some()
                })
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, false))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b, unordered)))
        }
        _ => a == b,
    }
}

fn agrees(case: &Case, got: &Json) -> bool {
    let unordered = case.compare.as_deref() == Some("unordered");
    let expect = &case.expect;
    if let Some(error) = expect.get("error") {
        let same_field = |field: &str| got["error"].get(field) == error.get(field);
        let path = error.get("path").is_none() || same_field("path");
        return same_field("phase") && same_field("kind") && path;
    }
    let value = match (expect.get("value"), got.get("value")) {
        (Some(a), Some(b)) => same(a, b, unordered),
        _ => return false,
    };
    let complete =
        expect.get("complete").is_none_or(|complete| got.get("complete") == Some(complete));
    value && complete && expect.get("unresolvable") == got.get("unresolvable")
}

#[tokio::test]
async fn conformance() {
    let mut texts = vec![include_str!("../cases/expressions.json").to_owned()];
    for path in
        std::env::var("RELAY_CASES").unwrap_or_default().split(':').filter(|p| !p.is_empty())
    {
        texts.push(std::fs::read_to_string(path).unwrap());
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for text in texts {
        let cases: Cases = serde_json::from_str(&text).unwrap();
        for case in cases.cases {
            if case.op.as_deref().is_some_and(|op| op.starts_with("http-")) {
                continue;
            }
            let binding = case.compat.as_deref() != Some("improve");
            match run(&case).await {
                Outcome::Got(got) if agrees(&case, &got) => passed += 1,
                Outcome::Got(got) if binding => {
                    failed += 1;
                    println!("{}: expected {} got {got}", case.id, case.expect);
                }
                Outcome::Got(got) => println!(
                    "{}: differs from the old system: {got} ({})",
                    case.id,
                    case.note.as_deref().unwrap_or_default()
                ),
                Outcome::NotYet(what) => {
                    skipped += 1;
                    println!("{}: not built yet: {what}", case.id);
                }
            }
        }
    }
    println!("conformance: {passed} as expected, {failed} failed, {skipped} not built yet");
    assert_eq!(failed, 0, "see the lines above");
}

/// What the environment lacks may be supplied at once or one by one: the value is the same.
#[tokio::test]
async fn conformance_of_late_references() {
    let cases: Cases = serde_json::from_str(include_str!("../cases/expressions.json")).unwrap();
    for case in cases.cases.iter().filter(|case| case.op.is_none() && case.tree.is_some()) {
        let tree = Value::from_json(&case.tree.as_ref().unwrap().to_string()).unwrap();
        let expression = Expression::parse(&tree);
        let late = expression.resolve(&case.env, now(case)).await;
        let Ok(late) = late else { continue };
        let mut environment = relay_core::expr::Environment::new(now(case));
        for reference in late.resolved.iter().chain(late.unresolvable.iter()) {
            let value = case.env.resolve(reference).await.unwrap();
            environment.insert(reference.clone(), value);
        }
        let Attempt { result, wanted } = expression.evaluate(&environment);
        if wanted.is_empty() {
            assert_eq!(result.unwrap().value, late.value, "{}", case.id);
        }
    }
}
