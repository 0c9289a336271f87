use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::relay::{Ran, relay};

const SPEC: &str = "\
title: Release of ${parameters.name}
token: !Secret token
rows:
- {n: first, w: 1}
- {n: second, w: 2, later: !Output [build, digest]}
";

const VALUES: &str = "secrets: {token: hush-hush}";

/// Runs in a folder with a document and a values file.
fn eval(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spec.yaml"), SPEC).unwrap();
    std::fs::write(folder.path().join("values.yaml"), VALUES).unwrap();
    std::fs::write(folder.path().join("broken.yaml"), "a:\n- !Fn.concat [x, '${1 + )}']\n")
        .unwrap();
    std::fs::write(folder.path().join("tag.yaml"), "a: !Secrt x\nb: !Nope y\n").unwrap();
    relay().current_dir(&folder).arg("eval").args(arguments).output().unwrap().into()
}

#[test]
fn values_are_printed_and_what_is_missing_is_named() {
    for (arguments, code, stdout, stderr) in [
        (vec!["1 + 2 * 3"], 0, "7\n", ""),
        (vec!["parameters.a + '!'", "-p", "a=b=c"], 0, "b=c!\n", ""),
        (vec!["Hello, ${parameters.a}!", "-p", "a=you"], 0, "Hello, you!\n", ""),
        (vec!["parameters.l[-1]", "--parameter-json", "l=[1, 2]"], 0, "2\n", ""),
        (vec!["{'a': [1]}"], 0, "{\n  \"a\": [\n    1\n  ]\n}\n", ""),
        (vec!["parameters.gone"], 3, "${parameters.gone}\n", "unresolved: parameter \"gone\"\n"),
        (vec!["spec.yaml", "-q", "rows[0].n"], 0, "first\n", ""),
        (
            vec!["spec.yaml", "-q", "$.rows[?(@.w > 1)].n", "--lang", "jsonpath"],
            0,
            "[\n  \"second\"\n]\n",
            "",
        ),
        (vec!["spec.yaml", "-q", "token", "--values", "values.yaml"], 0, "***\n", ""),
        (
            vec![
                "{range .hosts[*]}<{@}>{end}",
                "--lang",
                "jsonpath-template",
                "--parameter-json",
                "hosts=[1,2]",
            ],
            0,
            "<1><2>\n",
            "",
        ),
    ] {
        let ran = eval(&arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (code, stdout, stderr),
            "{arguments:?}"
        );
    }
}

#[test]
fn errors_say_where_they_are() {
    for (arguments, code, stderr) in [
        (
            vec!["1 + )"],
            1,
            "error[syntax]: template: expected a value, found `)` (at byte 6)\n  | 1 + )\n  |     ^\n",
        ),
        (
            vec!["broken.yaml"],
            1,
            "broken.yaml:2:18: error[syntax]: a.0: function concat: argument 2: template: \
             expected a value, found `)` (at byte 6)\n  | ${1 + )}\n  |       ^\n",
        ),
        (
            vec!["parameters.a.b", "-p", "a=x"],
            1,
            "error[not-indexable]: template: parameters.a.b: a string has no members\n",
        ),
        (
            vec!["spec.yaml", "-q", "a b"],
            1,
            "error[syntax]: expected an operator or the end, found `b` (at byte 2)\n  | a b\n  |   ^\n",
        ),
        (
            vec!["tag.yaml"],
            1,
            "tag.yaml:1:4: there is no tag `!Secrt`\ntag.yaml:2:4: there is no tag `!Nope`\n",
        ),
        (vec!["none.yaml"], 2, "error: cannot read none.yaml: there is no such file\n"),
        (
            vec!["[1 / 0]"],
            1,
            "error[not-encodable]: 0: infinity and NaN cannot be written as JSON\n",
        ),
    ] {
        let ran = eval(&arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (code, "", stderr),
            "{arguments:?}"
        );
    }
}

#[test]
fn programs_get_one_object() {
    let document = |arguments: &[&str]| -> (i32, Value) {
        let ran = eval(&[&["--out", "json"], arguments].concat());
        assert_eq!(ran.stderr, "", "{arguments:?}");
        (ran.code, serde_json::from_str(&ran.stdout).unwrap())
    };
    let (code, whole) = document(&["spec.yaml", "-p", "name=shop", "--values", "values.yaml"]);
    let expected = json!({
        "value": {
            "title": "Release of shop",
            "token": "***",
            "rows": [
                {"n": "first", "w": 1},
                {"n": "second", "w": 2, "later": {"$type": "Output", "from": "build", "name": "digest"}},
            ],
        },
        "complete": false,
        "unresolvable": {"outputs": [{"from": "build", "name": "digest"}]},
        "resolved": {"parameters": [{"name": "name"}], "secrets": [{"name": "token"}]},
    });
    assert_eq!((code, whole), (3, expected));

    let (code, broken) = document(&["broken.yaml"]);
    let error = &broken["error"];
    assert_eq!(code, 1);
    assert_eq!((&error["kind"], &error["path"]), (&json!("syntax"), &json!(["a", "0"])));
    let place = (&error["file"], &error["line"], &error["column"], &error["offset"]);
    assert_eq!(place, (&json!("broken.yaml"), &json!(2), &json!(18), &json!(6)));
}

#[test]
fn documents_come_from_standard_input_too() {
    let mut child = relay()
        .args(["eval", "-", "--query", "a"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a: !Fn.concat [x, 1]").unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "x1\n"));
}

#[test]
fn what_is_made_of_secrets_is_hidden_as_in_runs() {
    let folder = tempfile::tempdir().unwrap();
    let values = r#"secrets: {pin: "123456", keys: '{"api": "inner-key"}'}"#;
    std::fs::write(folder.path().join("values.yaml"), values).unwrap();
    for (name, expression, expected) in [
        ("a number", "secrets.pin + 0 * 1", "***"),
        ("a number that was converted", "-(-secrets.pin)", "***"),
        ("a part of JSON", "jsonUnmarshal(secrets.keys) |> api", "***"),
        ("a key that is not there", "parameters.map[secrets.pin]", "parameters.map[…]"),
    ] {
        let mut command = relay();
        command.current_dir(&folder).args(["eval", "--values", "values.yaml"]);
        command.args(["--parameter-json", r#"map={"a":1}"#, "--", expression]);
        let ran: Ran = command.output().unwrap().into();
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        assert!(shown.contains(expected), "{name}: {ran:?}");
        assert!(!shown.contains("123456") && !shown.contains("inner-key"), "{name}: {ran:?}");
    }
}
