use crate::relay::{events, example, run};

#[test]
fn hello() {
    let ran = run(&example("hello.yaml"), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "hello | Hello from Relay!\n"));
    assert!(ran.stderr.contains("run hello-1 succeeded"), "{}", ran.stderr);
}

#[test]
fn resources_run_as_they_are() {
    let file = example("resources.yaml");
    let ran = events(&file, &[]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.log("pack"), ["packing for production"]);
    let ends = ["pack", "ask", "ship", "undo"].map(|step| ran.end(step));
    assert_eq!(ends, ["succeeded", "succeeded", "succeeded", "skipped ConditionFalse"]);
    assert_eq!(ran.find("ship", "succeeded")["run"], "release-1");
    // A value given here wins over that of the Run.
    let test = events(&file, &["-p", "stage=test"]);
    assert_eq!((test.code, test.end("ship").as_str()), (0, "skipped ConditionFalse"));
}

#[test]
fn values_go_along_a_chain() {
    let file = example("parameters-and-outputs.yaml");
    let events = events(&file, &["-p", "word=otter"]);
    assert_eq!(events.code, 0);
    assert_eq!(
        events.log("tell"),
        ["otter has 5 letters", r#"{"loud":"OTTER","size":5,"word":"otter"}"#]
    );
    assert!(events.position("shout", "succeeded") < events.position("count", "started"));
    assert!(events.position("count", "succeeded") < events.position("tell", "started"));
}

#[test]
fn fan_out_and_fan_in() {
    let file = example("fan-out-fan-in.yaml");
    for (name, arguments, code, log, ends) in [
        (
            "a branch is skipped",
            vec![],
            0,
            vec!["lint=ok unit=ok long=skipped"],
            [
                ("lint", "succeeded"),
                ("unit", "succeeded"),
                ("long", "skipped ConditionFalse"),
                ("report", "succeeded"),
                ("alarm", "skipped ConditionFalse"),
            ],
        ),
        (
            "all branches run",
            vec!["-p", "long=yes"],
            0,
            vec!["lint=ok unit=ok long=ok"],
            [
                ("lint", "succeeded"),
                ("unit", "succeeded"),
                ("long", "succeeded"),
                ("report", "succeeded"),
                ("alarm", "skipped ConditionFalse"),
            ],
        ),
        (
            "a branch fails",
            vec!["-p", "break=unit"],
            1,
            vec![],
            [
                ("lint", "succeeded"),
                ("unit", "failed Failed"),
                ("long", "skipped ConditionFalse"),
                ("report", "skipped DependencyNotSucceeded"),
                ("alarm", "succeeded"),
            ],
        ),
    ] {
        let events = events(&file, &arguments);
        assert_eq!(events.code, code, "{name}");
        for (step, end) in ends {
            assert_eq!(events.end(step), end, "{name}: {step}");
        }
        if code == 0 {
            assert_eq!(events.log("report"), log, "{name}");
        } else {
            assert_eq!(events.find("unit", "failed")["exitCode"], 3, "{name}");
            assert!(events.position("unit", "failed") < events.position("alarm", "started"));
        }
    }
}
