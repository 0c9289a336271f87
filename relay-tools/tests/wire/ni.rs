//! `ni` as scripts see it: output, exit codes, and what goes over the wire.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use relay_tools::ni::{Settings, run};
use serde_json::json;

use crate::double::{Double, complete, error};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Printed {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn ni_with<A: Into<OsString> + Clone>(settings: &Settings, args: &[A]) -> Printed {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let line = std::iter::once("ni".into()).chain(args.iter().cloned().map(Into::into));
    let line: Vec<OsString> = line.collect();
    let code = run(line, settings, &mut out, &mut err).await;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Printed { code, out: text(&out), err: text(&err) }
}

pub(crate) async fn ni<A: Into<OsString> + Clone>(double: &Double, args: &[A]) -> Printed {
    let settings = Settings::default().api_url(double.url());
    ni_with(&settings.patience(Duration::from_secs(2)), args).await
}

pub(crate) fn printed(out: &str) -> Printed {
    Printed { code: 0, out: out.to_owned(), err: String::new() }
}

#[tokio::test]
async fn get_prints_without_a_line_feed() {
    let spec = json!({"b": "<&>", "a": [1, 2.5, null], "n": 9_007_199_254_740_993_u64});
    let cases = [
        (
            "everything",
            vec!["get"],
            complete(spec),
            r#"{"a":[1,2.5,null],"b":"\u003c\u0026\u003e","n":9007199254740993}"#,
        ),
        ("surplus arguments", vec!["get", "x", "y"], complete(json!({})), "{}"),
        ("an empty path", vec!["get", "-p", ""], complete(1), "1"),
    ];
    for (name, args, answer, expected) in cases {
        let double = Double::start().await.on("GET /spec", 200, answer);
        assert_eq!(ni(&double, &args).await, printed(expected), "{name}");
    }
}

#[tokio::test]
async fn get_with_a_path_prints_what_the_server_rendered() {
    let line = "GET /spec?q=%7B.a.b%7D&lang=jsonpath-template";
    let bytes = json!({"$encoding": "base64", "data": "aGk="});
    let cases = [
        ("text", 200, complete("a <b>\n").to_string(), "a <b>\n"),
        ("null", 200, complete(json!(null)).to_string(), ""),
        ("bytes", 200, complete(bytes).to_string(), "hi"),
        ("incomplete", 200, json!({"value": "", "complete": false}).to_string(), ""),
        ("no value", 422, error("unknown key"), ""),
    ];
    for (name, status, body, expected) in cases {
        for flag in ["-p", "--path"] {
            let double = Double::start().await.on(line, status, &body);
            let result = ni(&double, &["get", flag, "{.a.b}"]).await;
            assert_eq!(result, printed(expected), "{name}");
            assert_eq!(double.lines(), [line], "{name}");
        }
    }
}

#[tokio::test]
async fn output_set_sends_the_value_in_its_transfer_form() {
    let text = |text: &str| OsString::from(text);
    let cases = [
        ("text", vec![text("-v"), text("a \"b\"")], json!("a \"b\"")),
        ("nothing", vec![text("-v"), text("")], json!("")),
        ("like a flag", vec![text("-v"), text("-5")], json!("-5")),
        ("with a sign", vec![text("--value=x=y")], json!("x=y")),
        (
            "no UTF-8",
            vec![text("-v"), OsString::from_vec(vec![0xff])],
            json!({"$encoding": "base64", "data": "/w=="}),
        ),
        (
            "JSON",
            vec![text("-v"), text(r#"{"a": [18446744073709551615, 1.5]}"#), text("--json")],
            json!({"a": [u64::MAX, 1.5]}),
        ),
    ];
    for (name, mut args, expected) in cases {
        let double = Double::start().await.on("PUT /outputs/key", 201, "");
        let mut line = vec![text("output"), text("set"), text("-k"), text("key")];
        line.append(&mut args);
        let result = ni(&double, &line).await;
        assert_eq!(result, printed("Successfully set output for \"key\".\n"), "{name}");
        let call = double.calls().pop().unwrap();
        assert_eq!(call.json(), expected, "{name}");
        assert_eq!(call.headers["content-type"], "application/json", "{name}");
    }
}

#[tokio::test]
async fn names_are_one_segment_of_the_path() {
    for (name, path) in [
        ("a/b", "a%2Fb"),
        ("a b+c", "a%20b%2Bc"),
        ("ä%41?#", "%C3%A4%2541%3F%23"),
        ("...", "..."),
        ("A-b_c.d~", "A-b_c.d~"),
    ] {
        let line = format!("PUT /outputs/{path}");
        let double = Double::start().await.on(&line, 201, "");
        let result = ni(&double, &["output", "set", "-k", name, "-v", "v"]).await;
        assert_eq!((result.code, double.lines()), (0, vec![line]), "{name}");
    }
    for name in ["", ".", ".."] {
        let double = Double::start().await;
        let result = ni(&double, &["output", "set", "-k", name, "-v", "v"]).await;
        assert_eq!((result.code, double.lines().len()), (1, 0), "{name}");
        assert!(result.err.contains("cannot be used as a name"), "{}", result.err);
    }
}

#[tokio::test]
async fn a_sensitive_output_is_marked_before_it_is_there() {
    let line = ["output", "set", "-k", "pw", "-v", "canary", "--sensitive"];
    let double = Double::start().await;
    let double = double.on("PUT /outputs/pw/metadata", 201, "").on("PUT /outputs/pw", 201, "");
    assert_eq!(ni(&double, &line).await.code, 0);
    assert_eq!(double.lines(), ["PUT /outputs/pw/metadata", "PUT /outputs/pw"]);
    assert_eq!(double.calls()[0].json(), json!({"Sensitive": true}));

    let double = Double::start().await;
    let double = double.on("PUT /outputs/pw/metadata", 500, error("Write error"));
    let result = ni(&double, &line).await;
    assert_eq!((result.code, double.lines().len()), (1, 1));
    assert!(!result.err.contains("canary"), "{}", result.err);
}

#[tokio::test]
async fn log_prints_lines_and_asks_nobody() {
    let cases = [
        ("info", 0, "a  b c\n", ""),
        ("warn", 0, "", "a  b c\n"),
        ("error", 0, "", "a  b c\n"),
        ("fatal", 1, "", "a  b c\n"),
    ];
    for (level, code, out, err) in cases {
        let result = ni_with(&Settings::default(), &["log", level, "a  b", "c"]).await;
        assert_eq!((result.code, result.out.as_str(), result.err.as_str()), (code, out, err));
        let result = ni_with(&Settings::default(), &["log", level]).await;
        assert_eq!((result.code, result.out.as_str()), (1, ""), "{level} without words");
    }
}

#[tokio::test]
async fn file_writes_one_key_of_the_specification() {
    let spec = json!({"all": {"b": "<x>", "a": [1, "2", true]}, "other": 1, "tricky": {
        "a": "yes", "b": "null", "c": "0x1f", "d": "", "e": "a\nb\n", "f": "- x", "g": "a: b",
        "h": "1e3", "i": "~", "j": " x ", "k": "2020-01-01", "l": [], "m": {}, "n": "#c",
        "o": 1e21, "p": u64::MAX, "q": [[1], {"r": 2}], "010": "é\u{0}\t", "true": null,
    }});
    let json_text = r#"{"a":[1,"2",true],"b":"\u003cx\u003e"}"#;
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("json", vec!["-o", "json", "-p", "all"], json_text),
        ("missing", vec!["-o", "json", "-p", "gone"], "null"),
        ("yaml", vec!["-p", "all"], "a:\n- 1\n- \"2\"\n- true\nb: <x>\n"),
        (
            "yaml of text that looks like something else",
            vec!["-p", "tricky"],
            "\"010\": \"é\\0\\t\"\na: \"yes\"\nb: \"null\"\nc: \"0x1f\"\nd: \"\"\ne: |\n  a\n  b\n\
             f: \"- x\"\ng: \"a: b\"\nh: \"1e3\"\ni: \"~\"\nj: \" x \"\nk: \"2020-01-01\"\n\
             l: []\nm: {}\n\"n\": \"#c\"\no: 1.0e+21\np: 18446744073709551615\n\
             q:\n- - 1\n- r: 2\n\"true\": null\n",
        ),
        ("another format", vec!["-o", "toml", "-p", "other"], "1\n"),
    ];
    for (name, args, expected) in cases {
        let double = Double::start().await.on("GET /spec", 200, complete(spec.clone()));
        let path = dir.path().join(name).join("deep/file");
        let mut line = vec!["file", "-f", path.to_str().unwrap()];
        line.extend(args);
        assert_eq!(ni(&double, &line).await, printed(""), "{name}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected, "{name}");
    }
    let double = Double::start().await.on("GET /spec", 200, complete(spec));
    let result = ni(&double, &["file", "-p", "all", "-f", "/dev/null/x"]).await;
    assert_eq!((result.code, result.out.as_str()), (1, ""));
}

#[tokio::test]
async fn the_environment_can_be_asked_for() {
    let all = json!({"B": "x", "A": 1});
    let raw = json!({"Annotation": {}, "References": null, "Value": "old"}).to_string();
    let cases = [
        (
            "all",
            "metadata retrieve environment variables",
            "GET /environment",
            complete(all.clone()).to_string(),
            r#"{"A":1,"B":"x"}"#,
        ),
        (
            "all, short",
            "md get env vars",
            "GET /environment",
            complete(all).to_string(),
            r#"{"A":1,"B":"x"}"#,
        ),
        (
            "one",
            "metadata retrieve environment variable A%B",
            "GET /environment/A%25B",
            complete("v").to_string(),
            "v",
        ),
        (
            "one, no text",
            "md get env var N",
            "GET /environment/N",
            complete(json!([1, 2])).to_string(),
            "[1,2]",
        ),
        ("one, of an older server", "md get env var N", "GET /environment/N", raw, "old"),
    ];
    for (name, line, request, body, expected) in cases {
        let double = Double::start().await.on(request, 200, body);
        let args: Vec<_> = line.split(' ').collect();
        assert_eq!(ni(&double, &args).await, printed(expected), "{name}");
        assert_eq!(double.lines(), [request], "{name}");
    }
}

#[tokio::test]
async fn final_answers_end_at_once_and_others_are_waited_out() {
    let cases = [(401, 1), (403, 1), (404, 1), (405, 1), (413, 1), (501, 1), (204, 1)];
    for (status, calls) in cases {
        let double = Double::start().await.on("GET /spec", status, "");
        let result = ni(&double, &["get"]).await;
        assert_eq!((result.code, result.out.as_str()), (1, ""), "{status}");
        assert_eq!(double.lines().len(), calls, "{status}");
    }
    for status in [500, 502, 503, 504, 408, 429] {
        let double = Double::start().await.on("GET /spec", status, "");
        let double = double.on("GET /spec", 200, complete("late"));
        assert_eq!(ni(&double, &["get"]).await, printed("\"late\""), "{status}");
    }
    let double = Double::start().await.on("PUT /outputs/k", 200, "");
    let result = ni(&double, &["output", "set", "-k", "k", "-v", "v"]).await;
    assert_eq!((result.code, double.lines().len()), (1, 1), "201 is the only success");
}

#[tokio::test]
async fn failures_say_what_failed_without_a_line_feed_or_a_token() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://u:canary@{}", listener.local_addr().unwrap())
    };
    let at = |url: &str| Settings::default().api_url(url).patience(Duration::from_millis(300));
    let cases = [
        ("no address", Settings::default(), vec!["get"], "METADATA_API_URL"),
        ("empty address", at(""), vec!["get"], "METADATA_API_URL"),
        ("no URL", at("canary@x"), vec!["get"], "not a URL"),
        ("nobody there", at(&closed), vec!["get"], "GET /spec"),
        (
            "bad JSON",
            at(&closed),
            vec!["output", "set", "-k", "k", "-v", "{canary", "--json"],
            "not JSON",
        ),
        ("no key", at(&closed), vec!["output", "set", "-v", "v"], "--key"),
        ("unknown command", at(&closed), vec!["frobnicate"], "frobnicate"),
        ("unknown flag", at(&closed), vec!["get", "--frob"], "--frob"),
        ("no name", at(&closed), vec!["md", "get", "env", "var"], "<NAME>"),
    ];
    for (name, settings, args, expected) in cases {
        let result = ni_with(&settings, &args).await;
        assert_eq!((result.code, result.out.as_str()), (1, ""), "{name}");
        assert!(result.err.contains(expected), "{name}: {}", result.err);
        assert!(!result.err.ends_with('\n'), "{name}");
        assert!(!result.err.contains("canary"), "{name}: {}", result.err);
    }
    let double = Double::start().await.on("GET /spec", 403, error("You may not."));
    let result = ni(&double, &["get"]).await;
    assert!(result.err.contains("403") && result.err.ends_with("You may not."), "{}", result.err);
}

#[tokio::test]
async fn help_needs_nothing() {
    for args in [&[][..], &["help"], &["--help"], &["output"], &["log"], &["md", "get"]] {
        let result = ni_with(&Settings::default(), args).await;
        assert_eq!((result.code, result.err.as_str()), (0, ""), "{args:?}");
        assert!(result.out.contains("Usage: ni"), "{args:?}");
    }
}

#[tokio::test]
async fn it_describes_itself() {
    for args in [&["doc"][..], &["doc", "generate"]] {
        let result = ni_with(&Settings::default(), args).await;
        assert_eq!((result.code, result.err.as_str()), (0, ""), "{args:?}");
        assert!(result.out.starts_with("# ni\n\n```text\n"), "{}", result.out);
        for part in ["\n## ni output set\n", "\n## ni git clone\n", "--sensitive", "Usage: ni get"]
        {
            assert!(result.out.contains(part), "{part}: {}", result.out);
        }
        assert!(!result.out.contains("## ni help"), "{}", result.out);
    }
    for (shell, part) in [
        ("bash", "complete -F _ni"),
        ("zsh", "#compdef ni"),
        ("fish", "complete -c ni"),
        ("powershell", "-CommandName 'ni'"),
    ] {
        let result = ni_with(&Settings::default(), &["completion", shell]).await;
        assert_eq!((result.code, result.err.as_str()), (0, ""), "{shell}");
        assert!(result.out.contains(part), "{shell}: {}", result.out);
    }
    let result = ni_with(&Settings::default(), &["completion", "csh"]).await;
    assert_eq!((result.code, result.out.as_str()), (1, ""));
}
