use proptest::prelude::*;
use relay_core::{Map, Number, Value, yaml};

/// Any value that JSON can carry.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(|n| Value::from(Number::from(n))),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| Value::from_bytes(&bytes)),
        "\\$\\{(secrets|parameters)\\.[a-z]{1,3}\\}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key =
            prop_oneof!["[a-z]{0,3}", Just("$type".to_owned()), Just("$fn.concat".to_owned())];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..5).prop_map(|map| {
                Value::from(map.into_iter().map(|(k, v)| (k.into(), v)).collect::<Map>())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn transfer_json_round_trips(value in value()) {
        let json = value.to_json();
        let read = Value::from_json(&json).unwrap().decode_transfer().unwrap();
        prop_assert_eq!(&read, &value);
        let serde: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(serde.decode_transfer().unwrap(), value);
    }

    #[test]
    fn reading_never_panics(text in any::<String>()) {
        let _ = Value::from_json(&text);
        let mut problems = Vec::new();
        for document in yaml::read(&text).documents {
            document.to_tree(&mut problems);
        }
    }
}
