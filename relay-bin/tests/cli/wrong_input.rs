use crate::relay::{Ran, example, relay, run};

fn validate(text: &str, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.yaml"), text).unwrap();
    let mut command = relay();
    command.current_dir(&folder).arg("validate").arg("w.yaml").args(arguments);
    command.output().unwrap().into()
}

#[test]
fn findings_have_place_and_code_and_nothing_is_started() {
    let touch = "steps: [{name: ok, image: x, input: [touch started]}";
    for (name, text, expected) in [
        ("no YAML", "steps: [\n".to_owned(), "w.yaml:2:1: error[yaml-syntax]"),
        (
            "a step that does not exist",
            format!("{touch}, {{name: a, image: x, input: [x], dependsOn: okk}}]"),
            "w.yaml:1:98: error[unknown-step]",
        ),
        (
            "a cycle",
            "steps:\n- {name: a, image: x, input: [x], dependsOn: b}\n\
             - {name: b, image: x, input: [x], dependsOn: a}\n"
                .to_owned(),
            "w.yaml:2:46: error[cycle]",
        ),
        (
            "a parameter without value",
            format!(
                "parameters:\n  p: {{}}\n{touch}, {{name: b, image: x, input: [x], spec: {{p: !Parameter p}}}}]"
            ),
            "w.yaml:2:3: error[missing-parameter]",
        ),
        (
            "an unknown tag",
            format!("{touch}, {{name: b, image: x, input: [x], spec: {{p: !Paramter p}}}}]"),
            "error[unknown-tag]",
        ),
        (
            "a duplicate key",
            format!("name: a\nname: b\n{touch}]"),
            "w.yaml:2:1: error[duplicate-key]",
        ),
        ("only an image", format!("{touch}, {{name: b, image: x}}]"), "error[no-program]"),
        (
            "a script that is not there",
            format!("{touch}, {{name: b, image: x, inputFile: none.sh}}]"),
            "error[input-file]",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w.yaml"), &text).unwrap();
        let mut command = relay();
        let ran: Ran =
            command.current_dir(&folder).arg("run").arg("w.yaml").output().unwrap().into();
        assert_eq!(ran.code, 2, "{name}");
        assert!(ran.stderr.contains(expected), "{name}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{name}");
        // What only a run needs is no mistake of the file.
        let only_run = ["missing-parameter", "no-program", "input-file"];
        let code = i32::from(!only_run.iter().any(|code| expected.contains(code)));
        assert_eq!(validate(&text, &[]).code, code, "{name}");
    }
}

#[test]
fn exit_codes_of_validate() {
    let good = example("hello.yaml");
    let validate = |files: &[&str]| -> Ran {
        relay().arg("validate").arg(&good).args(files).output().unwrap().into()
    };
    assert_eq!(validate(&[]).code, 0);
    let unreadable = validate(&["no/such/file.yaml"]);
    assert_eq!(unreadable.code, 2);
    assert!(unreadable.stderr.contains("no/such/file.yaml"), "{}", unreadable.stderr);
    assert_eq!(run("no/such/file.yaml".as_ref(), &[]).code, 2);
}

#[test]
fn warnings_are_errors_where_they_are_asked_to_be() {
    let text = "parameters: {p: {}}\nsteps: [{name: a, image: x, input: [x]}]\n";
    let lenient = validate(text, &[]);
    assert_eq!(lenient.code, 0);
    assert!(lenient.stdout.ends_with("w.yaml: 1 warning\n"), "{}", lenient.stdout);
    assert_eq!(validate(text, &["--strict"]).code, 1);
}

#[test]
fn findings_for_programs() {
    let ran = validate("steps:\n- name: a\n", &["--out", "json"]);
    let findings: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        findings,
        serde_json::json!([{
            "file": "w.yaml",
            "line": 2,
            "column": 3,
            "level": "error",
            "code": "required",
            "message": "step \"a\" needs \"image\"",
        }])
    );
}

#[test]
fn the_command_line_is_checked() {
    for (name, arguments) in [
        ("no equals sign", vec!["-p", "x"]),
        ("no name", vec!["-p", "=x"]),
        ("unknown parameter", vec!["-p", "form=x"]),
        ("unknown flag", vec!["--parm", "x"]),
    ] {
        let ran = run(&example("hello.yaml"), &arguments);
        assert_eq!(ran.code, 2, "{name}");
        assert_eq!(ran.stdout, "", "{name}");
    }
    let ran = run(&example("hello.yaml"), &["-p", "form=x"]);
    assert!(ran.stderr.contains("did you mean \"from\"?"), "{}", ran.stderr);
}

#[test]
fn limits_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(
        &file,
        "steps: [{name: a, image: x, input: [echo up]}, {name: b, type: approval}]\n",
    )
    .unwrap();
    for (limit, words) in [
        ("--timeout=-5s", "longer than nothing"),
        ("--timeout=0s", "longer than nothing"),
        ("--step-timeout=-1h", "longer than nothing"),
        ("--step-timeout=0s", "longer than nothing"),
        ("--step-timeout=soon", "such as 90s or 1h30m"),
        ("--approval-timeout=-1ms", "must not be negative"),
    ] {
        let apart = limit.split('=');
        for arguments in [vec![limit], apart.collect()] {
            let ran = run(&file, &arguments);
            assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
            assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("DURATION"), "{arguments:?}: {}", ran.stderr);
        }
    }
    let ran = run(&file, &["--approval-timeout", "0s", "--timeout", "1m"]);
    assert_eq!((ran.code, ran.stdout.contains("a | up")), (3, true), "{ran:?}");
}

#[test]
fn nothing_to_do_is_a_success() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(&file, "apiVersion: v1\n").unwrap();
    assert_eq!(run(&file, &[]).code, 0);
}
