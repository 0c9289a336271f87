use crate::relay::events_of;

#[test]
fn the_sides_of_a_diamond_overlap() {
    // Each side waits until the other one has begun, so that one after the other would never end.
    let folder = tempfile::tempdir().unwrap();
    let side = |own: &str, other: &str| {
        let path = folder.path().display();
        format!(
            "touch {path}/{own}; for i in $(seq 500); do [ -e {path}/{other} ] && exit 0; \
             sleep 0.01; done; exit 1"
        )
    };
    let text = format!(
        "steps:\n- {{name: top, image: x, input: ['true']}}\n\
         - {{name: left, image: x, dependsOn: top, input: ['{}']}}\n\
         - {{name: right, image: x, dependsOn: top, input: ['{}']}}\n\
         - {{name: bottom, image: x, dependsOn: [left, right], input: [echo end]}}\n",
        side("left", "right"),
        side("right", "left"),
    );
    let events = events_of(&text);
    assert_eq!(events.code, 0);
    for side in ["left", "right"] {
        assert!(events.position("top", "succeeded") < events.position(side, "started"));
        assert!(events.position(side, "succeeded") < events.position("bottom", "started"));
    }
    assert_eq!(events.log("bottom"), ["end"]);
}

#[test]
fn ends_of_steps() {
    for (name, steps, code, ends) in [
        (
            "a failing branch does not stop an unrelated one",
            "- {name: bad, image: x, input: [exit 7]}\n\
             - {name: behind, image: x, dependsOn: bad, input: ['true']}\n\
             - {name: slow, image: x, input: [sleep 0.2]}\n\
             - {name: after-slow, image: x, dependsOn: slow, input: ['true']}\n",
            1,
            vec![
                ("bad", "failed Failed"),
                ("behind", "skipped DependencyNotSucceeded"),
                ("slow", "succeeded"),
                ("after-slow", "succeeded"),
            ],
        ),
        (
            "a clean-up runs after a failure",
            "- {name: work, image: x, input: [exit 1]}\n\
             - {name: clean, image: x, dependsOn: work, when: '${steps.work.failed}', input: ['true']}\n",
            1,
            vec![("work", "failed Failed"), ("clean", "succeeded")],
        ),
        (
            "what is behind a skipped step is skipped",
            "- {name: a, image: x, when: '${1 == 2}', input: ['true']}\n\
             - {name: b, image: x, dependsOn: a, input: ['true']}\n",
            0,
            vec![("a", "skipped ConditionFalse"), ("b", "skipped DependencyNotSucceeded")],
        ),
        (
            "the last line of a script counts",
            "- {name: a, image: x, input: ['false', 'true']}\n",
            0,
            vec![("a", "succeeded")],
        ),
        (
            "a command with arguments",
            "- {name: a, image: x, command: sh, args: [-c, 'exit 4']}\n",
            1,
            vec![("a", "failed Failed")],
        ),
        (
            "a program that is not there",
            "- {name: a, image: x, command: no-such-program}\n",
            1,
            vec![("a", "failed CouldNotStart")],
        ),
        (
            "an output that nobody set, in a condition",
            "- {name: a, image: x, input: ['true']}\n\
             - {name: b, image: x, when: '${outputs.a.go == 1}', input: ['true']}\n",
            1,
            vec![("a", "succeeded"), ("b", "skipped OutputMissing")],
        ),
        (
            "a condition that is no boolean",
            "- {name: a, image: x, when: '${1 + 1}', input: ['true']}\n",
            1,
            vec![("a", "skipped EvaluationError")],
        ),
        (
            "a variable that cannot be resolved",
            "- {name: first, image: x, input: ['true']}\n\
             - {name: a, image: x, env: {T: !Output [first, none]}, input: ['true']}\n",
            1,
            vec![("first", "succeeded"), ("a", "failed Failed")],
        ),
        (
            "an approval that nobody answers",
            "- {name: ask, type: approval}\n\
             - {name: deploy, image: x, dependsOn: ask, input: ['true']}\n",
            3,
            vec![("ask", "skipped Expired"), ("deploy", "skipped DependencyNotSucceeded")],
        ),
    ] {
        let events = events_of(&format!("steps:\n{steps}"));
        for (step, end) in ends {
            assert_eq!(events.end(step), end, "{name}: {step}");
        }
        assert_eq!(events.code, code, "{name}");
    }
}

#[test]
fn output_comes_whole_and_in_order() {
    let events = events_of(
        "steps:\n- name: a\n  image: x\n  input:\n  - seq 20000\n  - printf 'no line feed'\n",
    );
    let log = events.log("a");
    assert_eq!(log.len(), 20_001);
    assert!(log[..20_000].iter().enumerate().all(|(i, line)| *line == (i + 1).to_string()));
    assert_eq!(log[20_000], "no line feed");
    assert!(events.position("a", "output") < events.position("a", "succeeded"));
}

#[test]
fn outputs_that_find_no_room_fail_their_step_and_nothing_else() {
    let events = events_of(
        "steps:\n- name: big\n  image: x\n  input:\n  - set -e\n\
         \x20 - head -c 100000 /dev/zero | tr '\\0' x > big\n\
         \x20 - for i in $(seq 20); do ni output set -k o$i -v \"$(cat big)\"; done\n\
         - {name: behind, image: x, when: '${steps.big.failed}', input: [echo ran]}\n",
    );
    assert_eq!(events.code, 1);
    assert_eq!(events.end("big"), "failed Failed");
    assert_eq!(events.end("behind"), "succeeded");
    assert!(events.log("big").iter().any(|line| line.contains("413")));
}

#[test]
fn a_step_has_ni_and_a_directory_of_its_own() {
    let events = events_of(
        "steps:\n- name: a\n  image: x\n  spec: {n: 12345678901}\n  env: {E: [1, two]}\n  input:\n\
         \x20 - touch here; ls\n  - ni get -p '{.n}'; echo; ni get; echo; echo \"$E $CI $RELAY\"\n\
         \x20 - ni get -p '{.none}'; echo \"[$?]\"\n\
         - name: b\n  image: x\n  dependsOn: a\n  input: [ls | wc -l]\n",
    );
    assert_eq!(events.code, 0);
    assert_eq!(
        events.log("a"),
        ["here", "12345678901", r#"{"n":12345678901}"#, r#"[1,"two"] true true"#, "[0]"]
    );
    assert_eq!(events.log("b"), ["0"]);
}
