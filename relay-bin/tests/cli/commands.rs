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
        let (above, name) = match arguments[0] {
            "workflow" => (&["workflow", "--help"][..], arguments[1]),
            name => (&["--help"][..], name),
        };
        let help = relay_with(above).stdout;
        assert!(!help.contains(&format!("  {name} ")), "{arguments:?}");
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
        (vec!["apply", "--help"], "relay apply deploy.yaml --tenant acme"),
        (vec!["workflow", "run", "--help"], "relay workflow run deploy -p environment=test"),
        (vec!["status", "--help"], "relay status deploy-x7k2p"),
        (vec!["logs", "--help"], "relay logs deploy-x7k2p -f"),
        (vec!["approve", "--help"], "relay approve deploy-x7k2p gate"),
        (vec!["reject", "--help"], "relay reject deploy-x7k2p gate"),
        (vec!["cancel", "--help"], "relay cancel deploy-x7k2p"),
        (vec!["crds", "--help"], "relay crds | kubectl apply"),
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
        for word in ["step-timeout", "validate", "completion", "approve", "kubeconfig"] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
        for gone in ["subscriptions", "download"] {
            assert!(!ran.stdout.contains(gone), "{shell} completes what is no more: {gone}");
        }
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

#[test]
fn without_a_cluster_each_command_says_how_to_name_one() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    let none = none.to_str().unwrap();
    let hello = example("hello.yaml");
    for arguments in [
        vec!["status"],
        vec!["status", "r", "--out", "json"],
        vec!["status", "r", "--follow"],
        vec!["runs", "list"],
        vec!["runs", "show", "r"],
        vec!["logs", "r", "-f"],
        vec!["apply", hello.to_str().unwrap()],
        vec!["workflow", "run", "w", "-p", "a=b"],
        vec!["approve", "r", "s"],
        vec!["reject", "r", "s"],
        vec!["cancel", "r"],
    ] {
        for (flags, variable) in [(vec!["--kubeconfig", none], ""), (vec![], none)] {
            let mut command = relay();
            command.args(&arguments).args(&flags).env("HOME", folder.path());
            command.env_remove("KUBERNETES_SERVICE_HOST").env("KUBECONFIG", variable);
            let ran: Ran = command.output().unwrap().into();
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?} {ran:?}");
            assert!(ran.stderr.starts_with("error: no cluster to speak to: "), "{}", ran.stderr);
            assert!(ran.stderr.contains("--kubeconfig or KUBECONFIG"), "{}", ran.stderr);
        }
    }
    let config = folder.path().join("config");
    std::fs::write(
        &config,
        "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n\
         contexts: [{name: staging, context: {cluster: c, user: u}}]\nusers: [{name: u}]\n\
         current-context: staging\n",
    )
    .unwrap();
    let at = ["status", "--kubeconfig", config.to_str().unwrap()];
    let wrong = relay_with(&[&at[..], &["-x", "stagin"]].concat());
    let expected =
        "error: there is no context \"stagin\" in the kubeconfig; did you mean \"staging\"?\n";
    assert_eq!((wrong.code, wrong.stderr.as_str()), (1, expected));
    let nobody = relay_with(&at);
    let expected = "error: could not list the runs of namespace \"default\": ";
    assert_eq!((nobody.code, nobody.stderr.starts_with(expected)), (1, true), "{nobody:?}");
    assert_eq!(nobody.stderr.lines().count(), 1, "{nobody:?}");
}

#[test]
fn definitions_are_those_of_the_manifests() {
    let ran = relay_with(&["crds"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let manifests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let files =
        ["crds", "triggers"].map(|folder| std::fs::read_dir(manifests.join(folder)).unwrap());
    let texts =
        files.into_iter().flatten().map(|file| std::fs::read_to_string(file.unwrap().path()));
    let mut texts: Vec<_> = texts.map(Result::unwrap).collect();
    let mut printed: Vec<_> = ran.stdout.split("---\n").map(str::to_owned).collect();
    texts.sort();
    printed.sort();
    assert_eq!(printed, texts);
    let list: serde_json::Value =
        serde_json::from_str(&relay_with(&["crds", "-o", "json"]).stdout).unwrap();
    assert_eq!(
        (&list["kind"], list["items"].as_array().unwrap().len()),
        (&"List".into(), texts.len())
    );
}
