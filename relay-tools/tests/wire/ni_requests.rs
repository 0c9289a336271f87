//! `ni` where it changes something elsewhere: decorators and runs of other workflows.

use relay_tools::ni::Settings;
use serde_json::json;

use crate::double::{Double, error};
use crate::ni::{ni, ni_with, printed};

#[tokio::test]
async fn a_link_is_attached() {
    let cases = [
        ("two flags", vec!["-n", "a b", "-v", "description=D", "-v", "uri=https://x/?a=b"]),
        ("a list", vec!["--name", "a b", "--value", "description=D,uri=https://x/?a=b"]),
        ("quoted", vec!["-n", "a b", "-v", r#""description=D","uri=https://x/?a=b""#]),
        ("more", vec!["-n", "a b", "-v", "uri=https://x/?a=b,description=D,other=x"]),
    ];
    for (name, args) in cases {
        let double = Double::start().await.on("POST /decorators/a%20b", 201, "");
        let line = [vec!["decorator", "set", "link"], args].concat();
        assert_eq!(ni(&double, &line).await, printed(""), "{name}");
        let expected = json!({"type": "link", "description": "D", "uri": "https://x/?a=b"});
        assert_eq!(double.bodies("POST /decorators/a%20b"), [expected], "{name}");
    }
}

#[tokio::test]
async fn decorators_that_cannot_be_are_not_sent() {
    let cases = [
        ("another type", "set table -n a -v uri=canary", "\"table\""),
        ("no type", "set -n a -v uri=canary", "<KIND>"),
        ("two types", "set link link -n a -v uri=canary", "unexpected argument"),
        ("no name", "set link -v uri=canary", "--name"),
        ("no value", "set link -n a", "--value"),
        ("no description", "set link -n a -v uri=canary", "description="),
        ("no uri", "set link -n a -v description=canary", "uri="),
        ("a comma in a value", "set link -n a -v uri=x,canary", "item 2 of --value"),
        ("a name no path can carry", "set link -n . -v uri=u,description=d", "as a name"),
    ];
    for (name, line, expected) in cases {
        let double = Double::start().await;
        let args: Vec<_> = std::iter::once("decorator").chain(line.split(' ')).collect();
        let result = ni(&double, &args).await;
        assert_eq!((result.code, double.lines().len()), (1, 0), "{name}");
        assert!(result.err.contains(expected), "{name}: {}", result.err);
        assert!(!result.err.contains("canary"), "{name}: {}", result.err);
    }
}

#[tokio::test]
async fn a_run_of_another_workflow_is_started() {
    let answer =
        json!({"workflow_run": {"name": "w", "run_number": 7, "app_url": "https://x/<7>"}});
    let bare = json!({"workflow_run": {"name": "w", "run_number": 7}});
    let text = "Successfully ran workflow w (7).\n";
    let cases = [
        ("no parameters", vec![], &answer, json!({}), text),
        (
            "parameters",
            vec!["-p", "a=1", "-p", "b=x=y,c="],
            &answer,
            json!({"a": {"value": "1"}, "b": {"value": "x=y"}, "c": {"value": ""}}),
            text,
        ),
        (
            "as JSON",
            vec!["-o", "json"],
            &answer,
            json!({}),
            r#"{"name":"w","run_number":7,"app_url":"https://x/\u003c7\u003e"}"#,
        ),
        (
            "as JSON, without a URL",
            vec!["--output", "json"],
            &bare,
            json!({}),
            r#"{"name":"w","run_number":7,"app_url":""}"#,
        ),
    ];
    for (name, args, answer, parameters, expected) in cases {
        let double = Double::start().await.on("POST /workflows/w/run", 201, answer);
        let line = [vec!["workflow", "run", "-n", "w"], args].concat();
        assert_eq!(ni(&double, &line).await, printed(expected), "{name}");
        let bodies = double.bodies("POST /workflows/w/run");
        assert_eq!(bodies, [json!({"parameters": parameters})], "{name}");
    }
}

#[tokio::test]
async fn runs_that_cannot_be_are_not_started() {
    let cases = [
        ("no name", "run -p a=canary", "--name"),
        ("no value", "run -n w -p a=1,canary", "item 2 of --parameter"),
        ("no parameter", "run -n w -p =canary", "item 1 of --parameter"),
        ("another format", "run -n w -o yaml -p a=canary", "\"yaml\""),
    ];
    for (name, line, expected) in cases {
        let double = Double::start().await;
        let args: Vec<_> = std::iter::once("workflow").chain(line.split(' ')).collect();
        let result = ni(&double, &args).await;
        assert_eq!((result.code, double.lines().len()), (1, 0), "{name}");
        assert!(result.err.contains(expected), "{name}: {}", result.err);
        assert!(!result.err.contains("canary"), "{name}: {}", result.err);
    }
}

#[tokio::test]
async fn what_changes_something_is_asked_once() {
    let run = ["workflow", "run", "-n", "w", "-p", "a=canary"];
    let link = ["decorator", "set", "link", "-n", "w", "-v", "description=canary,uri=u"];
    let cases = [
        ("run", run.as_slice(), "POST /workflows/w/run"),
        ("link", link.as_slice(), "POST /decorators/w"),
    ];
    for (name, args, line) in cases {
        for status in [200, 403, 422, 500, 503] {
            let double = Double::start().await.on(line, status, error("Not now."));
            let result = ni(&double, args).await;
            assert_eq!((result.code, result.out.as_str()), (1, ""), "{name} {status}");
            assert_eq!(double.lines(), [line], "{name} {status}");
            assert!(result.err.contains(&status.to_string()), "{name}: {}", result.err);
            assert!(!result.err.contains("canary"), "{name}: {}", result.err);
        }
        let result = ni_with(&Settings::default(), args).await;
        assert!(result.err.contains("METADATA_API_URL"), "{name}: {}", result.err);
    }
}
