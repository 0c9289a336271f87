//! Starting a step's program without any metadata API, and being `ni`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) fn tools() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-runtime-tools"));
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
}

fn shell(script: &str) -> Command {
    let mut command = tools();
    command.args(["-entrypoint", "sh", "--", "-c", script]);
    command
}

fn text(output: &Output) -> (String, String) {
    let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (read(&output.stdout), read(&output.stderr))
}

#[test]
fn exit_codes_are_those_of_the_program() {
    let program = |arguments: &[&str]| {
        let mut command = tools();
        command.args(arguments);
        command
    };
    for (name, mut command, code, said) in [
        ("success", shell("true"), 0, ""),
        ("failure", shell("exit 7"), 7, ""),
        ("a signal", shell("kill -9 $$"), 137, ""),
        (
            "no such program",
            program(&["-entrypoint", "/no/such"]),
            127,
            "/no/such: no such program",
        ),
        ("no program", program(&["-entrypoint", "/etc"]), 126, "/etc"),
        ("nothing to do", program(&[]), 0, ""),
        ("a sub-command of another version", program(&["later"]), 0, "\"later\""),
        ("a strange flag", program(&["-later", "x"]), 2, "-later"),
    ] {
        let output = command.output().unwrap();
        let (_, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(code), "{name}: {stderr}");
        assert!(stderr.contains(said), "{name}: {stderr}");
        assert_eq!(stderr.is_empty(), said.is_empty(), "{name}: {stderr}");
    }
}

#[test]
fn the_tools_are_found_last() {
    let (stdout, _) = text(&shell("echo $PATH").output().unwrap());
    assert_eq!(stdout, "/usr/local/bin:/usr/bin:/bin:/var/lib/puppet/relay\n");
}

#[test]
fn under_another_name_it_is_ni() {
    for name in ["ni", "/var/lib/puppet/relay/ni"] {
        let output = tools().arg0(name).args(["log", "info", "hello"]).output().unwrap();
        assert_eq!(text(&output), ("hello\n".to_owned(), String::new()), "{name}");
    }
    let unknown = tools().arg0("ni").arg("unknown").output().unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn signals_reach_the_program_and_others_do_nothing() {
    let script = "trap 'echo term; exit 6' TERM; echo ready; while :; do sleep .05; done";
    let mut child = shell(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGTERM] {
        kill(pid, signal).unwrap();
    }
    assert_eq!(lines.next().unwrap().unwrap(), "term");
    assert_eq!(child.wait().unwrap().code(), Some(6));
}
