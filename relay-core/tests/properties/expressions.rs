use proptest::prelude::*;
use relay_core::Value;
use relay_core::expr::{Environment, Expression, Language, Query, Reference};

use crate::values::value;

/// Text that looks like the language more often than chance would have it.
fn template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        "[-+*/%&|^<>=!~.,:()\\[\\]{}$ '\"0-9a-z]{0,12}",
        Just("${".to_owned()),
        Just("}".to_owned()),
        Just("parameters.p".to_owned()),
        Just("secrets.s |> $[0]".to_owned()),
        Just("concat('a', outputs.x.y)".to_owned()),
        Just("coalesce(exists(1), path({'a': 1}, 'a'))".to_owned()),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn environment(value: &Value) -> Environment {
    let mut environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
    for reference in [
        Reference::Parameter { name: "p".into() },
        Reference::Secret { name: "s".into() },
        Reference::Output { from: "x".into(), name: "y".into() },
    ] {
        environment.insert(reference, Some(value.clone()));
    }
    environment
}

proptest! {
    #[test]
    fn evaluating_never_panics(text in template(), known in value(), tree in value()) {
        let environment = environment(&known);
        for tree in [Value::from(text.as_str()), Value::from(format!("${{{text}}}")), tree] {
            let expression = Expression::parse(&tree);
            let _ = expression.evaluate(&environment);
            let _ = expression.mentions();
            prop_assert_eq!(expression.source(), tree);
            let languages = [
                Language::Path,
                Language::PathTemplate,
                Language::JsonPath,
                Language::JsonPathTemplate,
            ];
            for language in languages {
                if let Ok(query) = Query::parse(language, &text) {
                    let _ = expression.evaluate_query(&query, &environment);
                }
            }
        }
    }

    /// What comes out of a reference stays as it is, whatever it looks like.
    #[test]
    fn data_is_never_evaluated_again(data in value()) {
        let environment = environment(&data);
        let reference = |kind: &str| {
            Value::map([("$type", Value::from(kind)), ("name", Value::from("p"))])
        };
        let document = Value::map([("k", reference("Parameter"))]);
        let tree = Expression::parse(&document);
        let whole = tree.evaluate(&environment).result.unwrap().value;
        prop_assert_eq!(whole.get("k"), Some(&data));
        let query = Query::parse(Language::Path, "k").unwrap();
        let found = tree.evaluate_query(&query, &environment).result.unwrap().value;
        prop_assert_eq!(&found, &data);
        for template in ["${parameters.p}", "${coalesce(parameters.p, 1)}", "${path({'a': parameters.p}, 'a')}"] {
            let value = Expression::parse(&template.into()).evaluate(&environment).result.unwrap().value;
            // Null is what coalesce passes over.
            if !(data.is_null() && template.contains("coalesce")) {
                prop_assert_eq!(&value, &data, "{}", template);
            }
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash(open in 1usize..3000) {
        for (left, right) in [("(", ")"), ("[", "]"), ("-", ""), ("{'a':", "}")] {
            let text = format!("${{{}1{}}}", left.repeat(open), right.repeat(open));
            let attempt = Expression::parse(&text.into()).evaluate(&environment(&Value::Null));
            let fits = if open < 400 { Some(true) } else if open > 600 { Some(false) } else { None };
            if let Some(fits) = fits {
                prop_assert_eq!(attempt.result.is_ok(), fits, "{} levels of {}", open, left);
            }
        }
    }
}
