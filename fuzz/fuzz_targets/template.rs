//! Any text as a template and as a query, over values that look like code.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_core::Value;
use relay_core::expr::{Environment, Expression, Language, Query, Reference};

fuzz_target!(|text: &str| {
    let mut environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
    let sneaky = Value::map([
        ("text", Value::from("${secrets.s}")),
        ("list", Value::list([Value::from(1), Value::Null, Value::from_bytes(&[0xff])])),
    ]);
    environment.insert(Reference::Parameter { name: "p".into() }, Some(sneaky));
    environment.insert(Reference::Secret { name: "s".into() }, Some("hush".into()));

    for source in [text.to_owned(), format!("${{{text}}}")] {
        let expression = Expression::parse(&source.as_str().into());
        let _ = (expression.evaluate(&environment), expression.mentions());
    }
    for language in [Language::Path, Language::PathTemplate] {
        if let Ok(query) = Query::parse(language, text) {
            let printed = query.to_string();
            let again = Query::parse(language, &printed).unwrap_or_else(|error| {
                panic!("{text:?} printed as {printed:?}, which does not parse: {error}")
            });
            assert_eq!(again.to_string(), printed, "{text:?}");
            let document = Expression::parse(&Value::map([("a", Value::from("${parameters.p}"))]));
            let query = query.with_functions(true);
            let _ = document.evaluate_query(&query, &environment);
        }
    }
});
