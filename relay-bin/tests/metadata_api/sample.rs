use std::net::{Ipv6Addr, TcpStream};

use nix::sys::signal::Signal;

use crate::program::{Files, SAMPLE, Serving, get, metadata_api};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[test]
fn tokens_are_printed_and_let_their_bearers_in() {
    let files = Files::new();
    let first = files.file("first.yaml", SAMPLE);
    let second = files.file("second.yaml", "secrets: {pw: later}");
    let mut command = metadata_api();
    let names = format!(" {}\n\t{} ", first.display(), second.display());
    command
        .env("RELAY_METADATA_API_SAMPLE_CONFIG_FILES", names)
        .env("RELAY_METADATA_API_DEBUG", "");
    let serving = Serving::start(command, "listening for metadata connections");
    let made = |line: &&String| line.contains("HMAC-SHA256 signing key key=");
    assert_eq!(serving.lines.iter().filter(made).count(), 1, "{:?}", serving.lines);
    let step = serving.field("run-id=1 step-name=default ", "token");
    serving.field("step-name=\"with space\"", "token");
    let trigger = serving.field("generated JWT for trigger", "token");

    let port = serving.port();
    assert_eq!(get(port, "/healthz", "").0, 200);
    // Where there is IPv6, it listens for that too.
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    }
    let spec =
        r#"{"complete":true,"unresolvable":{},"value":{"pw":"later","text":"Hello, otter!"}}"#;
    assert_eq!(get(port, "/spec", &step), (200, spec.to_owned()));
    assert_eq!(get(port, "/secrets/pw", &trigger).0, 200);
    assert_eq!(get(port, "/spec", &trigger).0, 403);
    assert_eq!(get(port, "/spec", "nothing").0, 401);
    assert_eq!(serving.end(Signal::SIGTERM), Some(0));
}

#[test]
fn one_key_makes_the_same_tokens_at_every_start() {
    let files = Files::new();
    let file = files.file("sample.yaml", SAMPLE);
    let tokens = [Signal::SIGINT, Signal::SIGQUIT].map(|signal| {
        let mut command = metadata_api();
        command
            .env("RELAY_METADATA_API_SAMPLE_CONFIG_FILES", &file)
            .env("RELAY_METADATA_API_SAMPLE_HS256_SIGNING_KEY", KEY);
        let serving = Serving::start(command, "listening for metadata connections");
        assert!(!serving.lines.iter().any(|line| line.contains("signing key")));
        let token = serving.field("step-name=default ", "token");
        assert_eq!(serving.end(signal), Some(0));
        token
    });
    assert_eq!(tokens[0], tokens[1]);
}

#[test]
fn what_it_cannot_start_with() {
    let files = Files::new();
    let good = files.file("good.yaml", SAMPLE).display().to_string();
    let bad = files.file("bad.yaml", "runs: []").display().to_string();
    let files_variable = "RELAY_METADATA_API_SAMPLE_CONFIG_FILES";
    let key_variable = "RELAY_METADATA_API_SAMPLE_HS256_SIGNING_KEY";
    for (name, variables, expected) in [
        ("nothing", vec![], "--sample-config-files"),
        ("missing", vec![(files_variable, "/does/not/exist")], "could not read /does/not/exist"),
        ("bad file", vec![(files_variable, &*bad)], "bad.yaml:1:7: `runs` is a map"),
        ("key", vec![(files_variable, &*good), (key_variable, "?")], "is no base64"),
        ("short key", vec![(files_variable, &*good), (key_variable, "c2hvcnQ=")], "32 bytes"),
        (
            "port",
            vec![(files_variable, &*good), ("RELAY_METADATA_API_LISTEN_PORT", "http")],
            "is no port",
        ),
        (
            "TLS key alone",
            vec![(files_variable, &*good), ("RELAY_METADATA_API_TLS_KEY_FILE", "/none")],
            "--tls-certificate-file",
        ),
        (
            "TLS files",
            vec![
                (files_variable, &*good),
                ("RELAY_METADATA_API_TLS_KEY_FILE", "/none"),
                ("RELAY_METADATA_API_TLS_CERTIFICATE_FILE", &*bad),
            ],
            "could not read /none",
        ),
        (
            "debug",
            vec![(files_variable, &*good), ("RELAY_METADATA_API_DEBUG", "maybe")],
            "true or false",
        ),
    ] {
        let ran = metadata_api().envs(variables).output().unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{name}: {printed}");
        assert!(printed.contains("process ended with error"), "{name}: {printed}");
        assert!(printed.contains(expected), "{name}: {printed}");
    }
}

#[test]
fn help_names_every_variable() {
    let help = metadata_api().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for variable in [
        "DEBUG",
        "KUBERNETES_CA_DATA",
        "KUBERNETES_SERVICE_ACCOUNT_TOKEN",
        "KUBERNETES_URL",
        "LISTEN_PORT",
        "LOG_FORMAT",
        "METRICS_PORT",
        "SAMPLE_CONFIG_FILES",
        "SAMPLE_HS256_SIGNING_KEY",
        "TLS_CERTIFICATE_FILE",
        "TLS_KEY_FILE",
        "TOKEN_SEAL_KEYS_DIR",
        "TOKEN_VERIFY_KEYS_DIR",
    ] {
        assert!(help.contains(&format!("RELAY_METADATA_API_{variable}")), "{variable}");
    }
}

#[test]
fn what_is_set_in_vain_is_told() {
    let files = Files::new();
    let mut command = metadata_api();
    command
        .env("RELAY_METADATA_API_SAMPLE_CONFIG_FILES", files.file("sample.yaml", SAMPLE))
        .env("RELAY_METADATA_API_SENTRY_DSN", "https://canary@example.com/1")
        .env("RELAY_METADATA_API_ENVIRONMENT", "");
    let serving = Serving::start(command, "listening for metadata connections");
    let lines = serving.lines.concat();
    assert!(lines.contains("RELAY_METADATA_API_SENTRY_DSN"), "{lines}");
    assert!(!lines.contains("canary") && !lines.contains("RELAY_METADATA_API_ENVIRONMENT"));
    assert_eq!(serving.end(Signal::SIGTERM), Some(0));
}
