//! Evaluating into types, within limits, and against stores.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use relay_core::expr::{
    Collection, Environment, Expression, Language, Limits, Query, Reference, ResolveError, Resolver,
};
use relay_core::value::MAX_DEPTH;
use relay_core::{Value, yaml};
use serde::Deserialize;

fn tree(json: &str) -> Expression {
    Expression::parse(&Value::from_json(json).unwrap())
}

fn known() -> Environment {
    let mut environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
    let parameter = |name: &str| Reference::Parameter { name: name.into() };
    environment.insert(parameter("n"), Some(Value::from(3)));
    environment.insert(parameter("word"), Some("${secrets.k}".into()));
    environment.insert(parameter("gone"), None);
    environment
}

#[derive(Debug, Default, PartialEq, Deserialize)]
enum Mode {
    #[default]
    Slow,
    Fast(u8),
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Inner {
    on: bool,
    tags: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Target {
    text: String,
    count: u16,
    ratio: f64,
    maybe: Option<i64>,
    inner: Inner,
    pair: (u8, String),
    mode: Mode,
    map: BTreeMap<String, Value>,
    any: Value,
}

#[test]
fn a_type_takes_what_its_fields_find() {
    let spec = tree(
        r#"{"text": "${parameters.word}", "count": "${parameters.n}", "ratio": 2, "maybe": 7,
            "inner": {"on": true, "tags": ["a", "${'b'}"]}, "pair": [1, "${'x'}"],
            "mode": {"Fast": "${parameters.n}"}, "map": {"k": "${parameters.n}"},
            "any": ["${parameters.word}"], "unknown": "${broken("}"#,
    );
    let evaluation = spec.evaluate_into::<Target>(&known()).result.unwrap();
    let expected = Target {
        text: "${secrets.k}".into(),
        count: 3,
        ratio: 2.0,
        maybe: Some(7),
        inner: Inner { on: true, tags: vec!["a".into(), "b".into()] },
        pair: (1, "x".into()),
        mode: Mode::Fast(3),
        map: BTreeMap::from([("k".to_owned(), Value::from(3))]),
        any: Value::from(vec!["${secrets.k}".into()]),
    };
    assert_eq!(evaluation.value, expected);
    assert!(evaluation.is_complete());
    assert_eq!(evaluation.resolved.iter().count(), 2);
}

#[test]
fn what_cannot_be_resolved_is_zero() {
    let gone = r#"{"$type": "Parameter", "name": "gone"}"#;
    let fields = ["text", "count", "ratio", "maybe", "inner", "pair", "mode", "map", "any"];
    let members: Vec<_> = fields.iter().map(|field| format!("{field:?}: {gone}")).collect();
    let spec = tree(&format!("{{{}}}", members.join(",")));
    let evaluation = spec.evaluate_into::<Target>(&known()).result.unwrap();
    assert_eq!(evaluation.value, Target::default());
    let missing = [Reference::Parameter { name: "gone".into() }];
    assert!(evaluation.unresolvable.iter().eq(missing.iter()));

    let partly = tree(&format!(r#"{{"inner": {{"on": {gone}, "tags": ["a", {gone}]}}}}"#));
    let inner = partly.evaluate_into::<Target>(&known()).result.unwrap().value.inner;
    assert_eq!(inner, Inner { on: false, tags: vec!["a".into(), String::new()] });
}

#[test]
fn a_value_of_another_kind_is_an_error_that_names_the_place_and_no_value() {
    for (json, text) in [
        (r#"{"count": "${parameters.word}"}"#, "count: expected u16, found string"),
        (r#"{"inner": {"on": 1, "tags": []}}"#, "inner.on: expected a boolean, found number"),
        (r#"{"mode": "${parameters.word}"}"#, "mode: expected one of Slow, Fast"),
        (r#"{"inner": {}}"#, "inner: the field \"on\" is missing"),
        (r#"{"text": "${vault}"}"#, "text: template: vault: there is no such key"),
    ] {
        let error = tree(json).evaluate_into::<Target>(&known()).result.unwrap_err();
        assert_eq!(error.to_string(), text, "{json}");
    }
}

fn limited(source: &Value, limits: Limits) -> Result<Value, String> {
    let environment = known().with_limits(limits);
    let attempt = Expression::parse_within(source, &limits).evaluate(&environment);
    attempt.result.map(|found| found.value).map_err(|error| error.to_string())
}

#[test]
fn every_limit_is_named_when_it_is_exceeded() {
    let few = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let deep = |levels: usize| Value::from_json(&("[".repeat(levels) + &"]".repeat(levels)));
    let words = Value::list((0..50).map(|_| "${'word'}".into()));
    let cases: [(&str, Value, Limits, &str); 7] = [
        ("nesting of a tree", deep(9).unwrap(), few(|l| l.nesting = 5), "5 levels of nesting"),
        ("of an expression", "${((((((1))))))}".into(), few(|l| l.nesting = 5), "5 levels"),
        ("of a value", "${[[[[[[1]]]]]] |> $}".into(), few(|l| l.nesting = 5), "5 levels"),
        ("nodes", words.clone(), few(|l| l.nodes = 20), "20 values"),
        ("steps", words.clone(), few(|l| l.steps = 20), "20 steps"),
        ("text", words, few(|l| l.text = 20), "20 bytes of text"),
        (
            "text that is computed",
            "${'aaaa' |> $+$ |> $+$ |> $+$ |> $+$}".into(),
            few(|l| l.text = 60),
            "60 bytes",
        ),
    ];
    for (name, source, limits, named) in cases {
        let error = limited(&source, limits).unwrap_err();
        assert!(error.contains(named), "{name}: {error}");
        assert!(limited(&source, Limits::default()).is_ok(), "{name}");
    }
    let limits = few(|l| l.text = 3);
    assert!(yaml::tree_within("[1, 2]", &limits).is_err());
    assert!(Query::parse_within(Language::Path, "a.b.c", &limits).is_err());
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]";
    assert!(yaml::tree_within(bomb, &few(|l| l.nodes = 20)).is_err());
    assert!(yaml::tree(bomb).is_ok());
}

/// Sizes that double with each step end in an error, not in a full machine.
#[test]
fn growth_has_an_end() {
    for (start, step, end) in [
        ("'ab'", "$ + $", "$"),
        ("[1]", "[$, $]", "jsonMarshal($)"),
        ("[1]", "[$, $]", "$ == 1"),
        ("{'a': 1}", "{'a': $, 'b': $}", "'' + $"),
        ("{'a': 1}", "merge({'x': $}, {'y': $})", "concat(jsonMarshal($), '')"),
        ("[1]", "append($, $)", "equals($, 1)"),
    ] {
        let steps = format!(" |> {step}").repeat(400);
        let source = Value::from(format!("${{{start}{steps} |> {end}}}"));
        let error = limited(&source, Limits::default()).unwrap_err();
        assert!(error.contains("limit"), "{step}: {error}");
    }
    let wide = Value::from(format!("${{'x' =~ '{}'}}", "(a{1000}){1000}"));
    assert!(limited(&wide, Limits::default()).is_err());
}

/// On a small stack, at the limit and beyond it.
#[test]
fn nothing_overflows_the_stack() {
    let deep = || {
        for levels in [300, MAX_DEPTH - 2, 5000] {
            let fits = levels < MAX_DEPTH;
            let nested = |open: &str, inner: &str, close: &str| {
                format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
            };
            for json in [
                nested("[", "\"${now()}\"", "]"),
                nested("{\"a\":", "\"${now()}\"", "}"),
                nested("{\"$fn.concat\":[", "1", "]}"),
                nested("{\"$encoding\":\"\",\"data\":", "\"x\"", "}"),
            ] {
                let Ok(value) = Value::from_json(&json) else {
                    assert!(!fits || json.len() > levels * 10, "{levels} levels of {json:.20}");
                    continue;
                };
                let expression = Expression::parse(&value);
                let attempt = expression.evaluate(&known());
                assert_eq!(attempt.result.is_ok(), fits, "{levels} levels of {json:.20}");
                let _ = (expression.mentions(), expression.source().to_json());
                let _ = expression.evaluate_into::<Value>(&known());
                let _ = value.decode_transfer();
            }
            for text in [
                format!("${{{}}}", nested("[", "1", "]")),
                format!("${{{}}}", nested("concat(", "1", ")")),
                format!("${{1{}}}", " |> $".repeat(levels)),
                format!("${{{}1}}", "-".repeat(levels)),
                format!("${{n{}}}", ".a".repeat(levels)),
                format!("${{n{}}}", " + n".repeat(levels)),
            ] {
                let expression = Expression::parse(&text.into());
                let _ = (expression.evaluate(&known()), expression.mentions());
            }
            for text in [
                nested("$[?(@", "", ")]"),
                format!("${}", "..".repeat(levels)),
                format!("$.a == {}", nested("(", "1", ")")),
            ] {
                if let Ok(query) = Query::parse(Language::JsonPath, &text) {
                    let document = Value::from_json(&("[".repeat(300) + &"]".repeat(300))).unwrap();
                    let _ = Expression::data(document).evaluate_query(&query, &known());
                }
            }
            let ranges = nested("{range @}", "{@}", "{end}");
            let _ = Query::parse(Language::JsonPathTemplate, &ranges);
            let _ = yaml::tree(&nested("[", "", "]"));
            let _ = yaml::tree(&nested("!Fn.f [", "", "]"));
        }
    };
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(deep).unwrap();
    thread.join().unwrap();
}

/// Counts what it is asked for, and answers only once all of a round are waiting.
#[derive(Default)]
struct Counting {
    asked: Mutex<Vec<String>>,
    waiting: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Resolver for Counting {
    async fn resolve(&self, reference: &Reference) -> Result<Option<Value>, ResolveError> {
        self.asked.lock().unwrap().push(reference.to_string());
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(waiting, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Ok(match reference {
            Reference::Parameter { name } if name.as_ref() == "which" => Some("c".into()),
            Reference::Parameter { name } => Some(name.as_ref().into()),
            _ => None,
        })
    }

    async fn members(&self, _: &Collection) -> Result<Value, ResolveError> {
        Ok(Value::map::<&str>([]))
    }
}

#[tokio::test]
async fn references_are_fetched_once_and_together() {
    let resolver = Counting::default();
    let spec = tree(
        r#"["${parameters.a + parameters.b + parameters.a}", {"$type": "Parameter", "name": "a"},
            "${parameters[parameters.which]}", "${secrets.gone}", "${secrets.gone}"]"#,
    );
    let evaluation = spec.resolve(&resolver, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    let texts = evaluation.value.as_list().unwrap();
    assert_eq!(&texts[..3], &["aba".into(), "a".into(), "c".into()]);
    let mut asked = resolver.asked.lock().unwrap().clone();
    asked.sort();
    let expected = [
        r#"parameter "a""#,
        r#"parameter "b""#,
        r#"parameter "c""#,
        r#"parameter "which""#,
        r#"secret "gone""#,
    ];
    assert_eq!(asked, expected);
    assert_eq!(resolver.most.load(Ordering::SeqCst), 4, "all of the first round at once");
}

#[test]
fn trees_and_queries_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Expression>();
    shared::<Query>();
    shared::<Environment>();
}
