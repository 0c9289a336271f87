//! In which order things are told.

use crate::relay::{events, events_of, example};

#[test]
fn causes_come_before_what_follows_from_them() {
    let text = "steps:
- {name: broken, image: x, input: [exit 3]}
- {name: behind, image: x, dependsOn: broken, input: ['true']}
- {name: alarm, image: x, dependsOn: behind, when: '${steps.behind.skipped}', input: ['true']}
- {name: quiet, image: x, when: '${1 == 2}', input: ['true']}
- {name: last, image: x, dependsOn: alarm, input: ['true']}
";
    // A status that is held back must not hold back the rest: it is, in one run or another.
    for _ in 0..5 {
        let events = events_of(text);
        let told = [
            ("broken", "failed"),
            ("behind", "skipped"),
            ("alarm", "started"),
            ("alarm", "succeeded"),
            ("last", "started"),
        ];
        let places = told.map(|(step, event)| events.position(step, event));
        assert!(places.is_sorted(), "{told:?} {places:?}");
        assert_eq!(events.end("quiet"), "skipped ConditionFalse");
    }
}

#[test]
fn answers_come_before_what_they_allow() {
    for (answer, told) in [
        (&["--approve", "ask"][..], [("ask", "succeeded"), ("ship", "started")]),
        (&["--reject", "ask"][..], [("ask", "skipped"), ("ship", "skipped")]),
        (&[][..], [("ask", "waiting"), ("ask", "skipped")]),
    ] {
        let events = events(&example("approval.yaml"), answer);
        let places = told.map(|(step, event)| events.position(step, event));
        assert!(places.is_sorted(), "{told:?} {places:?}");
    }
}

#[test]
fn a_null_reaches_the_step() {
    let events = events_of(
        "steps: [{name: s, image: x, spec: {none: null, some: {none: null}}, input: [ni get]}]",
    );
    assert_eq!(events.log("s"), [r#"{"none":null,"some":{"none":null}}"#]);
}
