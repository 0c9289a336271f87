//! Printing, late values, and data that stays data.

use proptest::prelude::*;
use relay_core::Value;
use relay_core::expr::{
    Attempt, Collection, Environment, Evaluation, Expression, Language, Query, Reference, Wanted,
};

use crate::values::value;

const INFIX: &[&str] = &[
    "**", "*", "/", "%", "+", "-", "<<", ">>", "&", "|", "^", "==", "!=", "<", "<=", ">", ">=",
    "=~", "!~", "&&", "||",
];

fn name() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_-]{0,4}".prop_filter("not a constant", |name| {
        !matches!(name.as_str(), "true" | "false" | "null" | "range" | "end")
    })
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        (1u32..100_000).prop_map(|n| n.to_string()),
        (1u32..999).prop_map(|n| format!("{n}e-3")),
        "'[a-zé \\\\]{0,5}'".prop_map(|text| text.replace('\\', "\\\\")),
        Just("'\\xff\\n\\''".to_owned()),
        Just("`raw`".to_owned()),
        Just("null".to_owned()),
        Just("1 / 0".to_owned()),
        Just("true".to_owned()),
    ]
}

/// Expressions as somebody might write them.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![2 => name(), 1 => literal(), 1 => Just("$".to_owned())];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let infix = proptest::sample::select(INFIX);
        let list = proptest::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            (inner.clone(), infix, inner.clone()).prop_map(|(l, op, r)| format!("{l} {op}  {r}")),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("{l} |> {r}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.clone().prop_map(|inner| format!("/* c */ -({inner})")),
            inner.clone().prop_map(|inner| format!("!({inner})")),
            list.clone().prop_map(|items| format!("[{}]", items.join(",, "))),
            (name(), list).prop_map(|(f, items)| format!("{f}({})", items.join(", "))),
            (name(), inner.clone()).prop_map(|(f, item)| format!("{f}(k: {item}, l : 1)")),
            (name(), inner.clone(), name()).prop_map(|(a, key, b)| format!("{a}[{key}].{b}.2")),
            (inner.clone(), inner).prop_map(|(k, v)| format!("{{({k}): {v},}}")),
        ]
    })
}

fn json_path() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        name().prop_map(|name| format!(".{name}")),
        Just("[*]".to_owned()),
        Just(".*".to_owned()),
        Just("..".to_owned()),
        (0..9).prop_map(|n| format!("[-{n}]")),
        Just("['a b']".to_owned()),
        Just("[0,'x']".to_owned()),
        Just("[1:]".to_owned()),
        Just("[::-1]".to_owned()),
        Just("(@[0])".to_owned()),
        Just("[?(@.a == 1 && !@.b)]".to_owned()),
    ];
    proptest::collection::vec(step, 0..6).prop_map(|steps| format!("${}", steps.concat()))
}

fn printed_again(language: Language, text: &str) -> Result<(), TestCaseError> {
    let Ok(query) = Query::parse(language, text) else { return Ok(()) };
    let printed = query.to_string();
    let again = Query::parse(language, &printed)
        .map_err(|error| TestCaseError::fail(format!("{text:?} -> {printed:?}: {error}")))?;
    prop_assert_eq!(again, query, "{:?} -> {:?}", text, printed);
    Ok(())
}

fn reference(kind: u8, name: &str) -> (Reference, Value) {
    let tree = |kind: &str, more: &[(&str, &str)]| {
        let members = [("$type", kind), ("name", name)].into_iter().chain(more.iter().copied());
        Value::map(members.map(|(key, text)| (key, Value::from(text))))
    };
    let name = name.into();
    match kind {
        0 => (Reference::Parameter { name }, tree("Parameter", &[])),
        1 => (Reference::Secret { name }, tree("Secret", &[])),
        2 => (Reference::Output { from: "s".into(), name }, tree("Output", &[("from", "s")])),
        _ => {
            (Reference::Connection { kind: "t".into(), name }, tree("Connection", &[("type", "t")]))
        }
    }
}

/// Trees with references, calls and templates, right and wrong ones.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
            (0u8..4, "[a-c]").prop_map(|(kind, name)| reference(kind, &name).1),
            "[a-c]".prop_map(|n| Value::from(format!("${{parameters.{n}}}"))),
            ("[a-c]", "[a-c]").prop_map(|(a, b)| format!(
                "x${{parameters[secrets.{a}]}} ${{outputs.s.{b} |> k}}"
            )
            .into()),
            "[a-c]".prop_map(|n| format!("${{coalesce(secrets.{n}, parameters.{n}.k, 1)}}").into()),
            "[a-c]"
                .prop_map(
                    |n| format!("${{exists(parameters.{n}.k) || connections.t.{n} == 1}}").into()
                ),
            Just("${unknown}".into()),
            Just("${parameters}".into()),
            value(),
        ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let function = prop_oneof![
            Just("concat"),
            Just("coalesce"),
            Just("exists"),
            Just("append"),
            Just("merge"),
            Just("path"),
            Just("jsonMarshal"),
            Just("equals"),
            Just("toString")
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner.clone(), 0..4).prop_map(Value::map),
            (function.clone(), proptest::collection::vec(inner.clone(), 0..4))
                .prop_map(|(name, items)| Value::map([(format!("$fn.{name}"), items.into())])),
            (function, inner.clone())
                .prop_map(|(name, item)| Value::map([(format!("$fn.{name}"), item)])),
            inner.prop_map(|data| Value::map([("$encoding", "".into()), ("data", data)])),
        ]
    })
}

/// All that can be known: each reference with its value, or known to be missing.
fn world(values: &[Option<Value>]) -> Vec<(Reference, Option<Value>)> {
    let names = ["a", "b", "c"];
    let all = (0u8..4).flat_map(|kind| names.map(|name| reference(kind, name).0));
    let values = values.iter().cloned().cycle();
    all.zip(values).collect()
}

fn parameters(world: &[(Reference, Option<Value>)]) -> Value {
    let found = world.iter().filter_map(|(reference, value)| match reference {
        Reference::Parameter { name } => Some((name.clone(), value.clone()?)),
        _ => None,
    });
    Value::map(found)
}

fn told(attempt: Attempt) -> Result<Evaluation, String> {
    attempt.result.map_err(|error| error.to_string())
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(text in expression(), path in json_path()) {
        printed_again(Language::Path, &text)?;
        printed_again(Language::PathTemplate, &format!("$$a ${{{text}}}{{b}}$"))?;
        printed_again(Language::JsonPath, &path)?;
        printed_again(Language::JsonPath, &format!("{path} + 2 * ({path})"))?;
        let ranges = format!("a{{{path}}}b{{range {path}}}c{{@.x}}{{end}}");
        printed_again(Language::JsonPathTemplate, &ranges)?;
    }

    /// Whether a value is there from the start or comes once it is asked for.
    #[test]
    fn late_values_count_as_early_ones(
        tree in tree(),
        values in proptest::collection::vec(proptest::option::of(value()), 1..7),
    ) {
        let world = world(&values);
        let expression = Expression::parse(&tree);
        let supply = |environment: &mut Environment, wanted: &Wanted| match wanted {
            Wanted::Reference(reference) => {
                let found = world.iter().find(|(known, _)| known == reference);
                environment.insert(reference.clone(), found.and_then(|(_, value)| value.clone()));
            }
            Wanted::Collection(collection) => {
                let members = match collection {
                    Collection::Parameters => parameters(&world),
                    _ => Value::map::<&str>([]),
                };
                environment.insert_collection(collection.clone(), members);
            }
            _ => {}
        };
        let mut early = Environment::new(jiff::Timestamp::UNIX_EPOCH);
        for (reference, value) in &world {
            early.insert(reference.clone(), value.clone());
        }
        for collection in [Collection::Parameters, Collection::Data] {
            supply(&mut early, &Wanted::Collection(collection));
        }
        let mut late = Environment::new(jiff::Timestamp::UNIX_EPOCH);
        let mut rounds = 0;
        let late = loop {
            let attempt = expression.evaluate(&late);
            if attempt.wanted.is_empty() {
                break attempt;
            }
            attempt.wanted.iter().for_each(|wanted| supply(&mut late, wanted));
            rounds += 1;
            prop_assert!(rounds < 20, "each round makes something known");
        };
        prop_assert_eq!(told(late), told(expression.evaluate(&early)));
    }

    /// Whatever a parameter holds, nothing else than that parameter is looked at, and what it
    /// holds comes out as it is.
    #[test]
    fn data_asks_for_nothing(data in sneaky()) {
        let mut environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
        let parameter = Reference::Parameter { name: "p".into() };
        environment.insert(parameter.clone(), Some(data.clone()));
        let p = Value::map([("$type", Value::from("Parameter")), ("name", "p".into())]);
        let call = |name: &str, arguments: Vec<Value>| {
            Value::map([(format!("$fn.{name}"), Value::from(arguments))])
        };
        let marshalled = call("jsonMarshal", vec![p.clone()]);
        let document = Value::map([("k", p.clone()), ("l", Value::from(vec![p.clone()]))]);
        let trees = [
            p.clone(),
            "${parameters.p}".into(),
            "${[parameters.p] |> $[0]}".into(),
            "${path({'a': parameters.p}, 'a')}".into(),
            "${append([], parameters.p) |> $[-1]}".into(),
            "${merge({'a': parameters.p}) |> a}".into(),
            "${jsonUnmarshal(jsonMarshal(parameters.p))}".into(),
            call("path", vec![document.clone(), "k".into()]),
            call("path", vec![call("merge", vec![document.clone()]), "l[0]".into()]),
            call("path", vec![call("append", vec![Value::list([]), p.clone()]), "$[0]".into()]),
            call("jsonUnmarshal", vec![marshalled]),
        ];
        for tree in &trees {
            let attempt = Expression::parse(tree).evaluate(&environment);
            only(&parameter, &attempt)?;
            prop_assert_eq!(&attempt.result.unwrap().value, &data, "{:?}", tree);
        }
        // What is done with it may fail, but asks for nothing either.
        let p_in = |name: &str| call(name, vec![p.clone(), p.clone()]);
        for tree in [
            p_in("concat"), p_in("equals"), p_in("path"), p_in("coalesce"), p_in("merge"),
            Value::map([("$fn.concat", p.clone())]),
            Value::map([("$encoding", "".into()), ("data", p.clone())]),
            "a ${parameters.p} b".into(),
            "${parameters.p == parameters.p && parameters.p}".into(),
            "${parameters.p |> k}".into(),
        ] {
            let attempt = Expression::parse(&tree).evaluate(&environment);
            only(&parameter, &attempt)?;
            if let Ok(evaluation) = attempt.result {
                let _ = evaluation.decide();
            }
        }
        let document = Expression::parse(&document);
        for (language, text) in [
            (Language::Path, "k"),
            (Language::Path, "[k, l] |> $[0]"),
            (Language::Path, "l[0]"),
            (Language::PathTemplate, "${k}"),
            (Language::JsonPath, "$.k"),
            (Language::JsonPath, "$.l[0]"),
            (Language::JsonPath, "$.l[-1:][0](@)"),
            (Language::JsonPath, "$..k"),
            (Language::JsonPath, "$.l[?(@ == @)]"),
            (Language::JsonPathTemplate, "{.k}{range .l}{@}{end}"),
        ] {
            let query = Query::parse(language, text).unwrap();
            let attempt = document.evaluate_query(&query, &environment);
            only(&parameter, &attempt)?;
            let typed = ["k", "l[0]", "[k, l] |> $[0]", "${k}", "$.k", "$.l[0]"].contains(&text);
            if typed {
                prop_assert_eq!(&attempt.result.unwrap().value, &data, "{}", text);
            }
        }
    }
}

/// Data that looks like code.
fn sneaky() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::from("${secrets.x}")),
        Just(Value::from("a ${outputs.a.b} ${$}")),
        Just(Value::map([("$type", Value::from("Secret")), ("name", "x".into())])),
        Just(Value::map([("$fn.concat", Value::list(["${secrets.x}".into()]))])),
        Just(Value::map([("$encoding", Value::from("base64")), ("data", "JHt4fQ==".into())])),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let key = prop_oneof![Just("k".to_owned()), Just("$fn.path".to_owned()), "[a-c]"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 1..3).prop_map(Value::map),
        ]
    })
}

fn only(parameter: &Reference, attempt: &Attempt) -> Result<(), TestCaseError> {
    prop_assert!(attempt.wanted.is_empty(), "{:?}", attempt.wanted);
    if let Ok(evaluation) = &attempt.result {
        let mut met = evaluation.resolved.iter().chain(evaluation.unresolvable.iter());
        prop_assert!(met.all(|reference| reference == parameter), "{:?}", evaluation);
    }
    Ok(())
}
