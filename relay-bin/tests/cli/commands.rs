//! Synonyms, old commands, and flags that every command has.

use crate::relay::{Ran, example, relay};

fn relay_with(arguments: &[&str]) -> Ran {
    relay().args(arguments).output().unwrap().into()
}

#[test]
fn older_names_do_the_same() {
    let hello = example("hello.yaml");
    let hello = hello.to_str().unwrap();
    for arguments in [
        vec!["run", hello],
        vec!["run", "-f", hello],
        vec!["run", "--file", hello],
        vec!["dev", "workflow", "run", "-f", hello],
        vec!["dev", "workflow", "run", hello, "-o", "text"],
    ] {
        let ran = relay_with(&[&arguments[..], &["-p", "from=Otter"]].concat());
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (0, "hello | Hello from Otter!\n"),
            "{arguments:?}"
        );
        let ran = relay_with(&[&arguments[..], &["--step-timeout", "soon"]].concat());
        assert_eq!(ran.code, 2, "it has the same flags: {arguments:?}");
    }
    for arguments in [
        vec!["validate", hello],
        vec!["validate", "-f", hello],
        vec!["workflow", "validate", "-f", hello],
        vec!["workflow", "validate", "-f", hello, "--strict", "-d", "-y"],
    ] {
        let ran = relay_with(&arguments);
        assert_eq!((ran.code, ran.stdout), (0, format!("{hello}: ok\n")), "{arguments:?}");
    }
    let both = relay_with(&["validate", hello, "-f", hello]);
    assert_eq!(both.stdout.lines().count(), 2, "{both:?}");
}

#[test]
fn wrong_usage() {
    let hello = example("hello.yaml");
    let hello = hello.to_str().unwrap();
    for arguments in [
        vec!["run"],
        vec!["run", hello, "-f", hello],
        vec!["run", hello, hello],
        vec!["run", hello, "--out", "xml"],
        vec!["validate"],
        vec!["workflow", "validate"],
        vec!["dev", "workflow", "run"],
        vec!["completion"],
        vec!["completion", "tcsh"],
        vec!["ruin", hello],
        vec!["dev", "nothing"],
        vec!["workflow", "nothing"],
        vec!["run", hello, "--approve", "x", "--reject", "x"],
    ] {
        let ran = relay_with(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: "), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn commands_of_the_hosted_service_say_that_it_is_gone() {
    for arguments in [
        vec!["auth", "login"],
        vec!["auth", "login", "--stdin", "-o", "json"],
        vec!["tokens", "create", "--help"],
        vec!["notifications", "clear", "read"],
        vec!["subscriptions"],
        vec!["context", "set", "x"],
        vec!["config", "auth", "clear"],
        vec!["workflow", "save", "name", "-f", "file.yaml"],
        vec!["workflow", "add", "name"],
        vec!["workflow", "replace", "name"],
        vec!["workflow", "delete", "name"],
        vec!["workflow", "list"],
        vec!["workflow", "download", "name"],
    ] {
        let ran = relay_with(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?}: {}", ran.stderr);
        let gone = "belonged to a hosted service that no longer exists; ";
        assert!(ran.stderr.contains(gone), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(arguments[0]), "{arguments:?}: {}", ran.stderr);
        let help = relay_with(&["--help"]).stdout;
        assert!(!help.contains(&format!("  {} ", arguments[0])), "{arguments:?}");
    }
}

#[test]
fn help_has_examples() {
    for (arguments, part) in [
        (vec!["--help"], "relay run deploy.yaml"),
        (vec!["-h"], "relay run deploy.yaml"),
        (vec!["run", "--help"], "--values secrets.yaml"),
        (vec!["run", "-h"], "--approve gate"),
        (vec!["dev", "workflow", "run", "--help"], "--approve gate"),
    ] {
        let ran = relay_with(&arguments);
        assert_eq!(ran.code, 0, "{arguments:?}");
        let examples = ran.stdout.split_once("Examples:").unwrap().1;
        assert!(examples.contains(part), "{arguments:?}: {}", ran.stdout);
    }
}

#[test]
fn completion_and_version() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let ran = relay_with(&["completion", shell]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        for word in ["step-timeout", "validate", "completion"] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
        assert!(!ran.stdout.contains("subscriptions"), "{shell} completes what is no more");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(relay_with(&["version"]).stdout, format!("relay {version}\n"));
    let json = relay_with(&["version", "--out", "json"]).stdout;
    assert_eq!(json, format!("{{\"version\":\"{version}\"}}\n"));
}

#[test]
fn yes_approves_what_is_not_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(&file, "steps: [{name: a, type: approval}, {name: b, type: approval}]").unwrap();
    let file = file.to_str().unwrap();
    for (name, flags, code, ends) in [
        ("yes", vec!["--yes"], 0, ["succeeded", "succeeded"]),
        ("in front", vec!["-y"], 0, ["succeeded", "succeeded"]),
        ("but", vec!["-y", "--reject", "b"], 3, ["succeeded", "skipped"]),
        ("each its own", vec!["--approve", "a", "--reject", "b"], 3, ["succeeded", "skipped"]),
        ("nothing", vec![], 3, ["skipped", "skipped"]),
    ] {
        let ran = relay_with(&[&["run", file][..], &flags].concat());
        assert_eq!(ran.code, code, "{name}: {}", ran.stderr);
        for (step, end) in ["a", "b"].iter().zip(ends) {
            assert!(ran.stderr.contains(&format!("{step}  {end}")), "{name}: {}", ran.stderr);
        }
    }
}

#[test]
fn debug_tells_what_the_engine_does() {
    let hello = example("hello.yaml");
    let hello = hello.to_str().unwrap();
    let quiet = relay_with(&["run", hello]).stderr;
    let loud = relay_with(&["run", hello, "--debug"]);
    assert_eq!(loud.stdout, "hello | Hello from Relay!\n");
    assert!(loud.stderr.lines().count() > quiet.lines().count(), "{}", loud.stderr);
}
