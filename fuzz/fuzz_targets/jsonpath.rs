//! Any text as a JSONPath and as a JSONPath template.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_core::Value;
use relay_core::expr::{Environment, Expression, Language, Query};

fuzz_target!(|text: &str| {
    let environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
    let document = Value::from_json(
        r#"{"a": [{"b": 1, "c": "x"}, {"b": 2}, null, [3, [4]]], "d": {"e": "${parameters.gone}"}}"#,
    );
    let document = Expression::parse(&document.unwrap());
    for language in [Language::JsonPath, Language::JsonPathTemplate] {
        if let Ok(query) = Query::parse(language, text) {
            let _ = document.evaluate_query(&query, &environment);
            let printed = query.to_string();
            let again = Query::parse(language, &printed).unwrap_or_else(|error| {
                panic!("{text:?} printed as {printed:?}, which does not parse: {error}")
            });
            assert_eq!(again.to_string(), printed, "{text:?}");
        }
    }
});
