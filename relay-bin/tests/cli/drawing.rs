use serde_json::{Value, json};

use crate::relay::{Ran, example, relay};

fn graph(arguments: &[&str]) -> Ran {
    let file = example("fan-out-fan-in.yaml");
    relay().arg("graph").arg(file).args(arguments).output().unwrap().into()
}

fn graph_of(text: &str, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.yaml"), text).unwrap();
    let mut command = relay();
    command.current_dir(&folder).args(["graph", "w.yaml"]).args(arguments);
    command.output().unwrap().into()
}

#[test]
fn each_format_has_steps_and_edges() {
    for (name, arguments, step, edge) in [
        (
            "nothing said",
            vec![],
            "alarm   script, when steps.unit.failed\n",
            "\n  <- unit (dependsOn, line ",
        ),
        ("text", vec!["--format", "text"], "plan    script\n", "\n  <- plan (an output, line "),
        (
            "dot",
            vec!["--format", "dot"],
            "  \"plan\" [tooltip=\"script\"]\n",
            "  \"plan\" -> \"lint\" [style=dashed, ",
        ),
        ("mermaid", vec!["--format", "mermaid"], "  s1[\"plan\"]\n", "\n  s1 -.-> s2\n"),
    ] {
        let ran = graph(&arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        assert!(ran.stdout.contains(step), "{name}: {}", ran.stdout);
        assert!(ran.stdout.contains(edge), "{name}: {}", ran.stdout);
    }
}

#[test]
fn json_is_for_programs() {
    let ran = graph_of(
        "steps:\n- {name: b, image: x, command: ls, when: true, dependsOn: a}\n\
         - {name: a, type: approval}\n",
        &["--out", "json"],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let drawn: Value = serde_json::from_str(&ran.stdout).unwrap();
    let edge = json!({"step": "a", "origin": "dependsOn", "line": 2, "column": 59});
    assert_eq!(
        drawn,
        json!({"steps": [
            {"name": "a", "kind": "approval", "dependencies": []},
            {"name": "b", "kind": "command", "when": true, "dependencies": [edge]},
        ]})
    );
}

#[test]
fn a_wrong_file_is_not_drawn() {
    let cycle = "steps: [{name: a, image: x, dependsOn: b}, {name: b, image: x, dependsOn: a}]\n";
    for arguments in [vec![], vec!["--format", "dot"], vec!["--out", "json"]] {
        let ran = graph_of(cycle, &arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("w.yaml:1:40: error[cycle]: "), "{}", ran.stderr);
    }
}

#[test]
fn a_warning_does_not_stop_a_drawing() {
    let ran = graph_of("parameters: {p: {}}\nsteps: [{name: a, image: x}]\n", &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "a  image\n"));
    assert!(ran.stderr.contains("warning[unused-parameter]"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_read_or_asked_for() {
    let ran: Ran = relay().args(["graph", "no/such/file.yaml"]).output().unwrap().into();
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("no/such/file.yaml"), "{}", ran.stderr);
    for arguments in [vec!["--format", "svg"], vec!["--format", "dot", "--out", "json"]] {
        let ran = graph(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.contains("--format"), "{}", ran.stderr);
    }
}
