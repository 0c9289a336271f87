//! Values stay out of texts that people and logs see.

#[cfg(test)]
mod texts {
    use relay_core::expr::{Environment, Expression, Reference};
    use relay_core::{Output, Value};

    const CANARY: &str = "s3cr3t-canary";

    #[test]
    fn a_secret_is_in_no_error_and_no_debug() {
        let mut environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
        let secret = Reference::Secret { name: "key".into() };
        environment.insert(secret, Some(CANARY.into()));
        let map = Value::map([("a", Value::list([1.into()]))]);
        environment.insert(Reference::Parameter { name: "m".into() }, Some(map));
        for tree in [
            "${parameters.m[secrets.key]}",
            "${parameters.m[secrets.key + 'x'].y}",
            "${parameters.m.a[secrets.key]}",
            "${secrets.key.x}",
            "${secrets.key - 1}",
            "${1 =~ secrets.key + '['}",
            "${jsonUnmarshal(secrets.key)}",
            "${merge(secrets.key)}",
            "${path(parameters.m, secrets.key)}",
            "${secrets.key}",
        ] {
            let attempt = Expression::parse(&tree.into()).evaluate(&environment);
            let error = attempt.result.as_ref().map_err(ToString::to_string).err();
            let seen = format!("{attempt:?} {error:?} {environment:?}");
            assert!(!seen.contains(CANARY), "{tree}: {seen}");
        }
        let output = Output { value: CANARY.into(), sensitive: None };
        assert!(!format!("{output:?}").contains(CANARY));
    }
}
