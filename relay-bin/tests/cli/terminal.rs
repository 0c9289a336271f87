//! `relay run` on a terminal.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::pty::Terminal;
use crate::relay::{example, run};

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

/// Marks that only the drawing has, and that a summary does not.
const DRAWN: &[&str] = &["waits for", "running", "steps done", "✓", "⠋"];

#[test]
fn examples_end_as_they_do_elsewhere() {
    let values = example("values/secrets.yaml");
    let values = values.to_str().unwrap();
    for (name, arguments, code) in [
        ("hello.yaml", vec![], 0),
        ("parameters-and-outputs.yaml", vec!["-p", "word=otter"], 0),
        ("fan-out-fan-in.yaml", vec![], 0),
        ("fan-out-fan-in.yaml", vec!["-p", "break=unit"], 1),
        ("secrets.yaml", vec!["--values", values], 0),
        ("approval.yaml", vec!["--approve", "ask"], 0),
        ("approval.yaml", vec!["--reject", "ask"], 3),
        ("approval.yaml", vec!["-p", "where=test"], 0),
        ("resources.yaml", vec![], 0),
    ] {
        let elsewhere = run(&example(name), &arguments);
        let left = Terminal::run(&example(name), &arguments).end();
        assert_eq!((left.code, elsewhere.code), (code, code), "{name}: {}", left.text());
        assert!(left.echoes, "{name}");
        // Steps side by side write in any order.
        let logged = |text: &str| {
            let mut lines: Vec<_> = text
                .lines()
                .filter(|line| line.contains(" | "))
                .map(|l| l.trim_end().to_owned())
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(logged(&left.text()), logged(&elsewhere.stdout), "{name}");
        // The summary is there and whole, and nothing of what was drawn before is left.
        let steps = elsewhere.stderr.lines().filter(|l| !l.is_empty()).count();
        let summary = left.lines.iter().rposition(String::is_empty).unwrap();
        assert!(left.lines.len() - summary > steps, "{name}:\n{}", left.text());
        let before = left.lines[..summary].join("\n").replace("waits for an answer", "");
        for mark in DRAWN {
            assert!(!before.contains(mark), "{name}: {mark}\n{}", left.text());
        }
    }
}

#[test]
fn the_steps_are_drawn_below_the_log() {
    let (_folder, file) = file(
        "steps:\n\
         - {name: first, image: x, input: [echo one; sleep 0.4; echo two; sleep 1]}\n\
         - {name: never, image: x, when: \"${1 == 2}\", input: [x]}\n\
         - {name: second, image: x, dependsOn: first, input: [exit 4]}\n",
    );
    let terminal = Terminal::run(&file, &[]);
    terminal.expect("first  | two");
    let screen = terminal.expect("1 waiting");
    let lines: Vec<_> = screen.lines().collect();
    let log = lines.iter().rposition(|line| line.contains(" | ")).unwrap();
    assert_eq!(lines[..=log], ["first  | one", "first  | two"], "{screen}");
    assert!(lines[log + 1].contains(" first   running "), "{screen}");
    assert_eq!(
        lines[log + 2].trim_end(),
        "- never   skipped: the condition is not met",
        "{screen}"
    );
    assert_eq!(lines[log + 3].trim_end(), "· second  waits for first", "{screen}");
    assert!(lines[log + 4].starts_with("1 of 3 steps done, 1 running, 1 waiting"), "{screen}");
    let left = terminal.end();
    assert_eq!(left.code, 1);
    assert!(left.sent.contains("\u{1b}[32m"), "there are colours");
    assert!(left.lines[left.position("second")].ends_with("exit code 4"), "{}", left.text());
    let advice = left.text().replace('\n', "");
    assert!(advice.contains("next: see what \"second\" wrote above"), "{}", left.text());
    assert!(advice.contains("w.yaml:4"), "{}", left.text());
}

#[test]
fn lines_only_where_nothing_may_be_drawn() {
    let hello = example("hello.yaml");
    let hello = hello.to_str().unwrap();
    for (name, variable, arguments, colours) in [
        ("no colours", ("NO_COLOR", "1"), vec!["run", hello], false),
        ("a dumb terminal", ("TERM", "dumb"), vec!["run", hello], false),
        ("CI", ("CI", "true"), vec!["run", hello], true),
        ("for programs", ("LANG", "C"), vec!["run", hello, "--out", "json"], false),
    ] {
        let left = Terminal::start_with(24, 80, &arguments, &[variable]).end();
        assert_eq!(left.code, 0, "{name}");
        assert!(!left.sent.contains("steps done"), "{name}: {:?}", left.sent);
        assert!(!left.sent.contains("\u{1b}[1A"), "{name}: {:?}", left.sent);
        assert_eq!(left.sent.contains('\u{1b}'), colours, "{name}: {:?}", left.sent);
    }
}

#[test]
fn answers_are_typed() {
    for (name, typed, code, log) in [
        ("yes", "y\r", 0, "ask   | approved"),
        ("in words", "YES\r", 0, "ask   | approved"),
        ("no", "n\r", 3, "ask   | rejected"),
        ("nothing", "\r", 3, "ask   | rejected"),
        ("the end of input", "\u{4}", 3, "ask   | rejected"),
    ] {
        let terminal = Terminal::run(&example("approval.yaml"), &[]);
        let screen = terminal.expect("ask: Ship this build to production? [y/N]");
        assert!(!screen.contains("steps done"), "{name}: the tree is away\n{screen}");
        terminal.type_in(typed);
        let left = terminal.end();
        assert_eq!(left.code, code, "{name}:\n{}", left.text());
        left.position(log);
        let shipped = left.text().contains("shipping app-2.1.0.tar");
        assert_eq!(shipped, code == 0, "{name}:\n{}", left.text());
        assert!(left.echoes, "{name}");
    }
}

#[test]
fn what_is_neither_yes_nor_no_is_asked_again() {
    for (name, variable) in [("drawn", ("LANG", "C")), ("lines", ("NO_COLOR", "1"))] {
        let file = example("approval.yaml");
        let arguments = ["run", file.to_str().unwrap()];
        let terminal = Terminal::start_with(24, 80, &arguments, &[variable]);
        terminal.expect("[y/N]");
        terminal.type_in("yep\r");
        terminal.expect("[y/N] yep\nask: Ship this build to production? [y/N]");
        terminal.type_in("y\r");
        let left = terminal.end();
        assert_eq!(left.code, 0, "{name}:\n{}", left.text());
    }
}

/// Whatever is typed, nobody has read the question yet.
#[test]
fn what_is_typed_before_a_question_answers_nothing() {
    let (_folder, file) = file(
        "steps:\n- {name: up, image: x, input: [echo up; sleep 1]}\n\
         - {name: ask, type: approval, dependsOn: up}\n\
         - {name: deploy, image: x, dependsOn: ask, input: [echo DEPLOYED]}\n",
    );
    let file = file.to_str().unwrap();
    for (name, out, colours) in
        [("drawn", "text", ""), ("lines", "text", "1"), ("objects", "json", "1")]
    {
        let arguments = ["run", file, "--out", out, "--approval-timeout", "1s"];
        let terminal = Terminal::start_with(24, 200, &arguments, &[("NO_COLOR", colours)]);
        terminal.expect(if out == "json" { "\"text\":\"up\"" } else { "up     | up" });
        terminal.type_in("y\ryes\r");
        terminal.expect("[y/N]");
        let left = terminal.end();
        assert_eq!(left.code, 3, "{name}:\n{}", left.text());
        assert!(!left.text().contains("DEPLOYED"), "{name}:\n{}", left.text());
    }
}

#[test]
fn a_line_begun_for_a_question_that_expired_does_not_answer_the_next() {
    let (_folder, file) = file(
        "steps:\n- {name: one, type: approval}\n\
         - {name: other, type: approval, dependsOn: up}\n\
         - {name: up, image: x, input: [sleep 1.5]}\n\
         - {name: no, image: x, dependsOn: one, input: [echo ONE]}\n\
         - {name: yes, image: x, dependsOn: other, input: [echo OTHER]}\n",
    );
    for (typed, other) in [("", false), ("y\r", true)] {
        let terminal = Terminal::run(&file, &["--approval-timeout", "2s"]);
        terminal.expect("one: Approve? [y/N]");
        terminal.type_in("y");
        terminal.expect("other: Approve? [y/N]");
        terminal.type_in(if typed.is_empty() { "\r" } else { typed });
        let left = terminal.end();
        assert_eq!(left.code, 3, "{}", left.text());
        assert!(!left.text().contains("ONE"), "{}", left.text());
        assert_eq!(left.text().contains("OTHER"), other, "{}", left.text());
    }
}

const WORK_AND_QUESTIONS: &str = "steps:\n\
    - {name: ask, type: approval, description: 'Go on?'}\n\
    - {name: also, type: approval}\n\
    - {name: work, image: x, input: ['for i in 1 2 3 4 5 6; do echo line $i; sleep 0.2; done']}\n";

#[test]
fn questions_come_up_where_nothing_is_drawn() {
    let (_folder, file) = file(WORK_AND_QUESTIONS);
    let file = file.to_str().unwrap();
    for (name, out, log) in
        [("lines", "text", "work | line 6"), ("objects", "json", "\"text\":\"line 6\"")]
    {
        let arguments = ["run", file, "--out", out];
        let terminal = Terminal::start_with(24, 200, &arguments, &[("NO_COLOR", "1")]);
        terminal.expect("ask: Go on? [y/N]");
        if out == "text" {
            terminal.expect("line 3");
            terminal.expect("line 3\nask: Go on? [y/N]");
        }
        terminal.type_in("y\r");
        terminal.expect("also: Approve? [y/N]");
        terminal.type_in("y\r");
        let left = terminal.end();
        assert_eq!(left.code, 0, "{name}:\n{}", left.text());
        assert!(left.text().contains(log), "{name}:\n{}", left.text());
    }
}

#[test]
fn the_log_goes_on_above_a_question() {
    let (_folder, file) = file(WORK_AND_QUESTIONS);
    let terminal = Terminal::run(&file, &[]);
    terminal.expect("[y/N]");
    terminal.expect("work | line 4");
    let screen = terminal.expect("[y/N]");
    let last = screen.lines().last().unwrap();
    assert!(last.trim_end().ends_with("[y/N]"), "the question stays below:\n{screen}");
    assert_eq!(screen.matches("[y/N]").count(), 1, "{screen}");
    terminal.type_in("y\r");
    terminal.expect("| approved");
    terminal.expect("[y/N]");
    terminal.type_in("y\r");
    let left = terminal.end();
    assert_eq!(left.code, 0, "{}", left.text());
    for line in 1..=6 {
        left.position(&format!("work | line {line}"));
    }
    left.position("ask  | approved");
    left.position("also | approved");
}

#[test]
fn a_question_that_expires_makes_room() {
    let terminal = Terminal::run(&example("approval.yaml"), &["--approval-timeout", "1s"]);
    terminal.expect("[y/N]");
    let left = terminal.end();
    assert_eq!(left.code, 3, "{}", left.text());
    assert!(left.text().contains("nothing was shipped"), "{}", left.text());
    assert!(left.text().contains("--approve ask"), "{}", left.text());
}

#[test]
fn an_interrupt_leaves_the_terminal_clean() {
    for (name, workflow, wait) in [
        ("while it runs", "steps: [{name: a, image: x, input: [echo up; sleep 600]}]", "a | up"),
        ("while it asks", "steps: [{name: a, type: approval}]", "a: Approve? [y/N]"),
    ] {
        let (_folder, file) = file(workflow);
        let terminal = Terminal::run(&file, &[]);
        terminal.expect(wait);
        terminal.type_in("\u{3}");
        let left = terminal.end();
        assert_eq!(left.code, 130, "{name}:\n{}", left.text());
        assert!(left.echoes, "{name}");
        let text = left.text();
        assert!(text.contains("run w-1 cancelled"), "{name}:\n{text}");
        assert!(!text.contains("steps done"), "{name}:\n{text}");
        // A question has what is typed behind it, a drawing does not.
        assert_eq!(text.contains("^C"), name == "while it asks", "{name}:\n{text}");
    }
    // A step that does not listen: the second signal leaves at once.
    let (_folder, file) = file(
        "steps: [{name: a, image: x, input: [\"trap '' TERM INT; echo up; while :; do sleep 1; done\"]}]",
    );
    let terminal = Terminal::run(&file, &[]);
    terminal.expect("a | up");
    terminal.type_in("\u{3}");
    terminal.expect("cancelling");
    terminal.type_in("\u{3}");
    let left = terminal.end();
    assert_eq!(left.code, 130, "{}", left.text());
    assert!(left.echoes);
    assert_eq!(left.lines, ["a | up"]);
}

/// The terminal sends this signal as well, and there is no more of a run after it.
#[test]
fn quitting_leaves_at_once_and_leaves_nothing() {
    for (name, variable) in [("drawn", ("LANG", "C")), ("lines", ("NO_COLOR", "1"))] {
        // A step that does not listen, with a child of its own.
        let (_folder, file) = file(
            "steps: [{name: a, image: x, input: [\"trap '' TERM INT QUIT; sleep 600 & echo up $! $$; \
             while :; do sleep 1; done\"]}]",
        );
        let arguments = ["run", file.to_str().unwrap()];
        let terminal = Terminal::start_with(24, 80, &arguments, &[variable]);
        let screen = terminal.expect("a | up");
        let line = screen.lines().find(|line| line.starts_with("a | up")).unwrap();
        let pids: Vec<i32> = line.split(' ').filter_map(|word| word.trim().parse().ok()).collect();
        assert_eq!(pids.len(), 2, "{name}: {line}");
        terminal.type_in("\u{1c}");
        let left = terminal.end();
        assert_eq!(left.code, 130, "{name}:\n{}", left.text());
        assert!(left.echoes, "{name}");
        for words in ["steps done", "cancelled"] {
            assert!(!left.text().contains(words), "{name}: {words}\n{}", left.text());
        }
        let begin = Instant::now();
        for pid in pids {
            let gone = || kill(Pid::from_raw(pid), None).is_err();
            while !gone() && begin.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(gone(), "{name}: process {pid} is still there");
        }
    }
}

#[test]
fn an_end_while_a_secret_is_typed_leaves_the_terminal_as_it_was() {
    let (_folder, file) =
        file("steps: [{name: a, image: x, env: {S: !Secret token}, input: [echo STARTED]}]");
    for (name, signal) in
        [("typed", None), ("interrupt", Some(Signal::SIGINT)), ("terminate", Some(Signal::SIGTERM))]
    {
        let terminal = Terminal::run(&file, &["--secret", "token"]);
        terminal.expect_hidden("Secret token:");
        terminal.type_in("c0rrect");
        match signal {
            Some(signal) => terminal.send(signal),
            None => terminal.type_in("\u{3}"),
        }
        let left = terminal.end();
        assert_eq!(left.code, 130, "{name}:\n{}", left.text());
        assert!(left.echoes, "{name}");
        assert_eq!(left.text().trim_end(), "Secret token:", "{name}");
        assert!(left.sent.ends_with("\r\n"), "{name}: {:?}", left.sent);
    }
    let terminal = Terminal::run(&file, &["--secret", "token"]);
    terminal.expect_hidden("Secret token:");
    terminal.type_in("c0rrect\r");
    let left = terminal.end();
    assert_eq!(left.code, 0, "{}", left.text());
    assert!(left.echoes && left.text().contains("a | STARTED"), "{}", left.text());
    assert!(!left.text().contains("c0rrect"), "{}", left.text());
}

#[test]
fn a_small_terminal_and_many_steps() {
    let mut steps = "steps:\n".to_owned();
    for index in 0..60 {
        let before =
            if index < 10 { String::new() } else { format!("dependsOn: s{},", index - 10) };
        steps.push_str(&format!(
            "- {{name: s{index}, image: x, {before} input: ['echo done {index}; sleep 0.1']}}\n"
        ));
    }
    let (_folder, file) = file(&steps);
    for (rows, columns) in [(2, 20), (4, 24), (10, 60)] {
        let terminal = Terminal::start(rows, columns, &["run", file.to_str().unwrap()]);
        terminal.expect("of 60 steps done");
        let left = terminal.end();
        assert_eq!(left.code, 0);
        // Each line of the log is there once, and no line of a drawing is left among them.
        let mut seen: Vec<_> = left.lines.iter().filter(|line| line.contains(" | done ")).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 60, "{rows}x{columns}:\n{}", left.text());
        assert!(!left.text().contains("steps done"), "{rows}x{columns}:\n{}", left.text());
    }
}

#[test]
fn a_log_does_not_disturb_the_screen() {
    let (_folder, file) = file(
        "steps:\n- name: a\n  image: x\n  input:\n\
         \x20 - printf 'one\\033[2J\\033[5A two\\n\\033[31mred\\033[0m\\n10%%\\r20%%\\r30%%\\n'\n\
         \x20 - sleep 0.3\n",
    );
    let left = Terminal::run(&file, &[]).end();
    assert_eq!(left.lines[..3], ["a | one two", "a | red", "a | 30%"], "{}", left.text());
    let elsewhere = run(&file, &[]);
    assert!(elsewhere.stdout.contains("\u{1b}[2J"), "elsewhere it is passed on as it is");
}
