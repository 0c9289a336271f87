//! What the library itself answers: all operations but those over HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_core::expr::{
    Attempt, Environment as Known, Evaluation, Expression, Frame, Language, Query, ResolveError,
    Resolver as _,
};
use relay_core::value::{TransferError, decode_transfer_text, encode_transfer_text};
use relay_core::{Value, yaml};

use crate::cases::{self, Case, Tally};
use crate::environment::Environment;

fn failure(phase: &str, kind: &str) -> Value {
    Value::map([("error", Value::map([("phase", phase.into()), ("kind", kind.into())]))])
}

fn value(value: Value) -> Value {
    Value::map([("value", value)])
}

/// As it is seen from outside: in transfer JSON.
fn written(value: &Value) -> Value {
    Value::from_json(&value.to_json()).unwrap()
}

fn parse_yaml(text: &str) -> Result<Value, Value> {
    yaml::tree(text).map_err(|problem| {
        failure(
            "parse",
            match problem.kind {
                yaml::ProblemKind::Empty => "empty",
                yaml::ProblemKind::UnknownTag => "unknown-tag",
                yaml::ProblemKind::BadShape => "bad-shape",
                _ => "yaml",
            },
        )
    })
}

fn tree(case: &Case) -> Result<Value, Value> {
    match (case.get("tree"), case.text("yaml"), case.text("text")) {
        (Some(tree), _, _) => Ok(tree.clone()),
        (_, Some(yaml), _) => parse_yaml(yaml),
        (_, _, Some(text)) => {
            Value::from_json_prefix(text).map_err(|_| failure("parse", "bad-json"))
        }
        _ => Ok(Value::Null),
    }
}

async fn run(case: &Case) -> Value {
    let text = case.text("text").unwrap_or_default();
    match case.op() {
        "ingest" => ingest(text),
        "transfer-encode" => {
            let bytes = STANDARD.decode(text).unwrap();
            value(Value::map([
                ("json", written(&Value::from_bytes(&bytes))),
                ("transfer", encode_transfer_text(&bytes).into()),
            ]))
        }
        "transfer-decode" => match decode_transfer_text(text) {
            Ok(bytes) => value(STANDARD.encode(bytes).into()),
            Err(error) => failure("parse", transfer_kind(&error)),
        },
        "parse" => tree(case).map(|tree| value(written(&tree))).unwrap_or_else(|error| error),
        "evaluate" | "query" => match tree(case) {
            Ok(tree) => evaluate(case, &Expression::parse(&tree)).await,
            Err(error) => error,
        },
        other => panic!("{}: no operation {other:?}", case.id()),
    }
}

fn ingest(text: &str) -> Value {
    match Value::from_json(text).map(Value::decode_transfer) {
        Ok(Ok(decoded)) => value(written(&decoded)),
        Ok(Err(error)) => failure("parse", transfer_kind(&error)),
        Err(_) => failure("parse", "bad-json"),
    }
}

fn transfer_kind(error: &TransferError) -> &'static str {
    match error {
        TransferError::UnknownEncoding(_) => "unknown-encoding",
        _ => "bad-base64",
    }
}

async fn evaluate(case: &Case, expression: &Expression) -> Value {
    let (environment, now) = (Environment::of(case), case.now());
    if case.op() == "query" {
        let Ok(language) = Language::from_name(case.text("lang")) else {
            return failure("evaluate", "unsupported-language");
        };
        return match Query::parse(language, case.text("q").unwrap_or_default()) {
            Ok(query) => {
                let functions = case.get("functions").and_then(Value::as_bool);
                let query = query.with_functions(functions.unwrap_or_default());
                report(expression.resolve_query(&query, &environment, now).await)
            }
            Err(error) => problem(&error),
        };
    }
    let depth = case.get("depth").and_then(Value::as_i64);
    report(match depth.map(usize::try_from) {
        Some(Ok(depth)) => expression.resolve_to_depth(depth, &environment, now).await,
        _ => expression.resolve(&environment, now).await,
    })
}

fn problem(error: &relay_core::expr::Error) -> Value {
    let mut members =
        vec![("phase", Value::from("evaluate")), ("kind", error.cause().kind().into())];
    let keys = error.frames().filter_map(|frame| match frame {
        Frame::Path(key) | Frame::Computed(key) => Some(Value::from(key.as_str())),
        _ => None,
    });
    let keys: Vec<_> = keys.collect();
    if !keys.is_empty() {
        members.push(("path", keys.into()));
    }
    // Calls may be nested: a case names one of them.
    let named = |select: fn(&Frame) -> Option<&String>| {
        Value::list(error.frames().filter_map(select).map(|name| name.as_str().into()))
    };
    members.push((
        "function",
        named(|frame| match frame {
            Frame::Invocation(name) => Some(name),
            _ => None,
        }),
    ));
    members.push((
        "arg",
        named(|frame| match frame {
            Frame::Argument(name) => Some(name),
            _ => None,
        }),
    ));
    Value::map([("error", Value::map(members))])
}

fn report(result: Result<Evaluation, ResolveError>) -> Value {
    match result {
        Ok(evaluation) if evaluation.value.first_unencodable().is_some() => {
            failure("encode", "not-encodable")
        }
        Ok(evaluation) => {
            let mut members = vec![
                ("value", written(&evaluation.value)),
                ("complete", evaluation.is_complete().into()),
            ];
            for (field, references) in
                [("unresolvable", &evaluation.unresolvable), ("resolved", &evaluation.resolved)]
            {
                if !references.is_empty() {
                    members.push((field, joined(&references.to_wire())));
                }
            }
            Value::map(members)
        }
        Err(ResolveError::Evaluate(error)) => problem(&error),
        Err(error) => Value::map([("store", error.to_string().into())]),
    }
}

/// The wire form with each id as one string, its parts joined by `/`.
fn joined(groups: &Value) -> Value {
    let order = ["type", "from", "askRef", "action", "name", "property"];
    let id = |id: &Value| {
        let parts: Vec<_> = order.iter().filter_map(|part| id.get(part)?.as_str()).collect();
        parts.join("/")
    };
    Value::map(groups.as_map().unwrap().iter().map(|(kind, ids)| {
        let mut ids: Vec<_> = ids.as_list().unwrap().iter().map(id).collect();
        ids.sort();
        (kind.clone(), Value::list(ids.into_iter().map(Value::from)))
    }))
}

#[tokio::test]
async fn conformance() {
    let mut tally = Tally::default();
    for case in cases::all().iter().filter(|case| !case.op().starts_with("http-")) {
        tally.run(case, run(case)).await;
    }
    tally.finish();
}

/// What the environment lacks may be supplied at once or one by one: the value is the same.
#[tokio::test]
async fn conformance_of_late_references() {
    let mut compared = 0;
    for case in cases::all().iter().filter(|case| case.op() == "evaluate") {
        let Ok(tree) = tree(case) else { continue };
        let (resolver, expression) = (Environment::of(case), Expression::parse(&tree));
        let Ok(late) = expression.resolve(&resolver, case.now()).await else { continue };
        let mut known = Known::new(case.now());
        for reference in late.resolved.iter().chain(late.unresolvable.iter()) {
            known.insert(reference.clone(), resolver.resolve(reference).await.unwrap());
        }
        let Attempt { result, wanted } = expression.evaluate(&known);
        if wanted.is_empty() {
            compared += 1;
            let early = written(&result.unwrap().value);
            assert_eq!(early, written(&late.value), "{}", case.id());
        }
    }
    assert!(compared > 0, "nothing was compared");
}
