use crate::relay::{Ran, relay};

fn validate(text: &str, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.yaml"), text).unwrap();
    let mut command = relay();
    command.current_dir(&folder).args(["validate", "w.yaml"]).args(arguments);
    command.output().unwrap().into()
}

#[test]
fn a_finding_is_a_line_and_the_place_in_the_text() {
    let text = "steps:\n- name: a\n  imgae: x\n  when: [yes]\n";
    assert_eq!(
        validate(text, &[]).stdout,
        r#"w.yaml:3:3: error[unknown-key]: key "imgae" of step "a" is not known; did you mean "image"?
  |
3 |   imgae: x
  |   ^^^^^ did you mean "image"?

w.yaml:4:10: error[condition-type]: a condition of step "a" is a string, but only true and false decide; write an expression such as `${parameters.x == 'y'}`
  |
4 |   when: [yes]
  |          ^^^ write an expression such as `${parameters.x == 'y'}`

w.yaml: 2 errors
"#
    );
}

#[test]
fn schedules_are_explained() {
    let text = "triggers:\n- {name: a, source: {type: schedule, schedule: 'TZ=Europe/Berlin 0 3 * * \
                MON'}}\n- {name: b, source: {type: schedule, schedule: '0 0 31 2 *'}}\n";
    assert!(!validate(text, &[]).stdout.contains("fires at"));
    let ran = validate(text, &["--explain"]);
    assert_eq!(ran.code, 0, "a date that never comes is a warning");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let start = lines.iter().position(|line| line.contains("fires at")).unwrap();
    assert_eq!(lines[start], "w.yaml: trigger \"a\" fires at \"0 3 * * MON\", Europe/Berlin");
    for line in &lines[start + 1..start + 6] {
        assert!(line.starts_with("  Mon 2") && line.contains(" 03:00:00 CE"), "{line}");
    }
    assert_eq!(
        lines[start + 6..],
        ["w.yaml: trigger \"b\" fires at \"0 0 31 2 *\", UTC", "  never", "w.yaml: 1 warning"]
    );
    let json: serde_json::Value =
        serde_json::from_str(&validate(text, &["--explain", "--out", "json"]).stdout).unwrap();
    assert_eq!(json["findings"][0]["code"], "never-fires");
    assert_eq!(json["schedules"][0]["timeZone"], "Europe/Berlin");
    assert_eq!(json["schedules"][0]["next"].as_array().unwrap().len(), 5);
    assert_eq!(json["schedules"][1]["next"], serde_json::json!([]));
}

#[test]
fn scripts_elsewhere_are_no_error_of_the_file() {
    for script in ["https://scripts.example/a.py", "none.sh"] {
        let text = format!("steps:\n- name: a\n  image: x\n  inputFile: {script}\n");
        let ran = validate(&text, &[]);
        assert_eq!(ran.code, 0, "{script}");
        assert!(ran.stdout.contains("w.yaml:4:14: warning[input-file]"), "{}", ran.stdout);
        assert_eq!(validate(&text, &["--strict"]).code, 1, "{script}");
    }
}

#[test]
fn a_secret_before_the_resources_is_left_alone() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\n\
                apiVersion: relay.sh/v1beta1\nkind: Tenant\nmetadata: {name: t}\nspec: {}\n";
    let ran = validate(text, &["--strict"]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.stdout,
        "w.yaml:1:1: note[kind]: the Secret \"s\" of \"v1\" is left alone\nw.yaml: ok\n"
    );
}
