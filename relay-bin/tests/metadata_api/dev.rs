use std::process::Command;

use nix::sys::signal::Signal;

use crate::program::{Files, SAMPLE, Serving, ask, get};

fn relay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    command.args(["dev", "metadata"]).env_remove("METADATA_API_URL").env_remove("RELAY_LOG");
    command
}

#[test]
fn a_command_gets_the_address_and_its_exit_code_is_passed_on() {
    let files = Files::new();
    let file = files.file("sample.yaml", SAMPLE);
    for (name, script, code, printed) in [
        ("ends well", "echo \"${METADATA_API_URL%%:*} $1\"", 0, "http -x\n"),
        ("ends badly", "exit 7", 7, ""),
        ("is killed", "kill -TERM $$", 143, ""),
    ] {
        let mut command = relay();
        command.arg("-i").arg(&file).args(["sh", "-c", script, "sh", "-x"]);
        let ran = command.output().unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(code), "{name}: {error}");
        assert_eq!(String::from_utf8(ran.stdout).unwrap(), printed, "{name}: {error}");
    }
}

#[test]
fn without_a_command_the_address_is_printed() {
    let files = Files::new();
    let file = files.file("sample.yaml", SAMPLE);
    let mut command = relay();
    command.arg("-i").arg(&file);
    let serving = Serving::start(command, "export METADATA_API_URL=");
    let line = serving.lines.last().unwrap();
    let url = line.strip_prefix("export METADATA_API_URL='http://:").unwrap();
    let (token, address) = url.strip_suffix("'\n").unwrap().split_once('@').unwrap();
    let port = address.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    let (status, body) = get(port, "/spec?q=text", token);
    assert_eq!(status, 200);
    assert!(body.contains("Hello, otter!"), "{body}");
    assert_eq!(serving.end(Signal::SIGINT), Some(0));
}

#[test]
fn a_command_finds_ni() {
    let files = Files::new();
    let file = files.file("sample.yaml", SAMPLE);
    for command in [vec!["ni", "get", "-p", "{.text}"], vec!["sh", "-c", "ni get -p '{.text}'"]] {
        let ran = relay().arg("-i").arg(&file).args(&command).output().unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(0), "{command:?}: {error}");
        assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), "Hello, otter!", "{command:?}");
    }
}

#[test]
fn events_are_shown() {
    let files = Files::new();
    let file = files.file("sample.yaml", SAMPLE);
    let shown = files.file("shown", "");
    let mut command = relay();
    command.arg("-i").arg(&file).stderr(std::fs::File::create(&shown).unwrap());
    let serving = Serving::start(command, "export METADATA_API_URL=");
    let line = serving.lines.last().unwrap();
    let url = line.strip_prefix("export METADATA_API_URL='http://:").unwrap();
    let (token, address) = url.strip_suffix("'\n").unwrap().split_once('@').unwrap();
    let port = address.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    let event = r#"{"data": {"who": "badger"}, "key": "k-1"}"#;
    assert_eq!(ask(port, "POST", "/events", token, event), (202, String::new()));
    assert_eq!(serving.end(Signal::SIGINT), Some(0));
    let shown = std::fs::read_to_string(&shown).unwrap();
    assert!(shown.contains("received event") && shown.contains("badger"), "{shown}");
}

#[test]
fn what_cannot_be_served() {
    let files = Files::new();
    let good = files.file("good.yaml", SAMPLE).display().to_string();
    let bad = files.file("bad.yaml", "runs: []").display().to_string();
    for (name, arguments, expected) in [
        ("no file", vec!["true"], "--input <FILE>"),
        ("missing file", vec!["-i", "/does/not/exist", "true"], "could not read /does/not/exist"),
        ("bad file", vec!["-i", &bad, "true"], "bad.yaml:1:7: `runs` is a map"),
        ("no such step", vec!["-i", &good, "-s", "build", "true"], "--run '1' --step 'default'"),
        ("no such program", vec!["-i", &good, "/does/not/exist"], "could not run /does/not/exist"),
    ] {
        let ran = relay().args(arguments).output().unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{name}: {error}");
        assert!(error.contains(expected), "{name}: {error}");
    }
}
