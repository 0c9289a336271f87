//! Any text as YAML, and what it means as a tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_core::expr::{Environment, Expression};
use relay_core::yaml;

fuzz_target!(|text: &str| {
    if let Ok(tree) = yaml::tree(text) {
        let expression = Expression::parse(&tree);
        assert_eq!(expression.source().to_json(), tree.to_json());
        let _ = expression.mentions();
        let _ = expression.evaluate(&Environment::new(jiff::Timestamp::UNIX_EPOCH));
    }
});
