//! `ni` where it writes credentials for other tools: content, modes, and what it refuses.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use relay_tools::ni::Settings;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::double::{Double, complete};
use crate::ni::{Printed, ni, ni_with, printed};

/// Runs a command with a workspace of its own.
async fn config(line: &str, answer: &Value) -> (Printed, TempDir) {
    let workspace = tempfile::tempdir().unwrap();
    let double = Double::start().await.on("GET /spec", 200, answer);
    let settings = Settings::default().api_url(double.url()).workspace(workspace.path());
    let args: Vec<_> = line.split(' ').collect();
    (ni_with(&settings, &args).await, workspace)
}

/// All files below a directory: path to mode and content.
fn files(dir: &Path) -> BTreeMap<String, (u32, String)> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            found.insert(name, (mode, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

fn expect(files: &[(&str, u32, &str)]) -> BTreeMap<String, (u32, String)> {
    files
        .iter()
        .map(|(name, mode, text)| ((*name).to_owned(), (*mode, (*text).to_owned())))
        .collect()
}

#[tokio::test]
async fn aws_files_are_written() {
    let full = "[default]\naws_access_key_id = AK\naws_secret_access_key = SK\n";
    let region = "[default]\nregion = eu-west-1\n";
    let cases = [
        (
            "a connection",
            json!({"connection": {"accessKeyID": "AK", "secretAccessKey": "SK"}, "region": "eu-west-1"}),
            full.to_owned(),
            region,
        ),
        (
            "older, and another case",
            json!({"accesskeyid": "AK", "SecretAccessKey": "SK\n", "region": "eu-west-1"}),
            full.to_owned(),
            region,
        ),
        (
            "a connection first, and a session",
            json!({
                "connection": {"accessKeyID": "AK", "secretAccessKey": "SK", "sessionToken": "ST"},
                "accessKeyID": "old", "secretAccessKey": "old",
            }),
            format!("{full}aws_session_token = ST\n"),
            "[default]\n",
        ),
        (
            "an empty connection",
            json!({"connection": {"accessKeyID": ""}, "accessKeyID": "AK", "secretAccessKey": "SK"}),
            full.to_owned(),
            "[default]\n",
        ),
        ("a region alone", json!({"region": "eu-west-1"}), "[default]\n".to_owned(), region),
    ];
    for (name, aws, credentials, region) in cases {
        let (result, dir) = config("aws config", &complete(json!({"aws": aws}))).await;
        assert_eq!(result, printed(""), "{name}");
        let expected =
            expect(&[(".aws/credentials", 0o600, &credentials), (".aws/config", 0o644, region)]);
        assert_eq!(files(dir.path()), expected, "{name}");
    }
}

#[tokio::test]
async fn a_google_key_is_written() {
    let key = r#"{"type":"service_account"}"#;
    let base64 = "eyJ0eXBlIjoi\nc2VydmljZV9hY2NvdW50In0=\n";
    let cases = [
        ("text", json!({"connection": {"serviceAccountKey": key}})),
        ("base64", json!({"connection": {"serviceAccountKey": base64}})),
        ("a map", json!({"connection": {"serviceAccountKey": {"type": "service_account"}}})),
        ("older", json!({"serviceAccountKey": key, "project": "p"})),
    ];
    for (name, google) in cases {
        let (result, dir) = config("gcp config", &complete(json!({"google": google}))).await;
        assert_eq!(result, printed(""), "{name}");
        assert_eq!(files(dir.path()), expect(&[("credentials.json", 0o400, key)]), "{name}");
    }
}

#[tokio::test]
async fn a_kubeconfig_is_written() {
    let text = |name: &str, cluster: &str, user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  \
             cluster:\n    server: https://c\n{cluster}contexts:\n- name: {name}\n  context:\n    \
             cluster: {name}\n    user: {name}\nusers:\n- name: {name}\n  user:\n{user}"
        )
    };
    let ca = "    certificate-authority-data: Q0E=\n";
    let cases = [
        (
            "a connection",
            json!({"name": "c1", "username": "u", "password": "p", "connection": {
                "server": "https://c", "certificateAuthority": "Q0E=\n", "token": "tok\n"}}),
            "c1",
            text("c1", ca, "    token: tok\n"),
        ),
        (
            "older",
            json!({"name": "c1", "url": "https://c", "cadata": "Q0E=", "token": "tok"}),
            "c1",
            text("c1", ca, "    token: tok\n"),
        ),
        (
            "a password",
            json!({"url": "https://c", "username": "u", "password": "0123"}),
            "default",
            text("default", "", "    username: u\n    password: \"0123\"\n"),
        ),
        (
            "insecure",
            json!({"name": "a/b", "url": "https://c", "cadata": "Q0E=", "insecure": true, "token": "t"}),
            "a/b",
            text("a/b", "    insecure-skip-tls-verify: true\n", "    token: t\n"),
        ),
    ];
    for (name, cluster, dir, expected) in cases {
        let (result, workspace) =
            config("cluster config", &complete(json!({"cluster": cluster}))).await;
        assert_eq!(result, printed(""), "{name}");
        let expected = expect(&[(&format!("{dir}/kubeconfig"), 0o600, &expected)]);
        assert_eq!(files(workspace.path()), expected, "{name}");
    }
}

#[tokio::test]
async fn credentials_are_files() {
    let spec = json!({"credentials": {
        "ca.pem": "dGVzdGRhdGE=", "plain": "not base64!", "empty": "", "deep/key": "aGk=",
        "bytes": {"$encoding": "base64", "data": "aGkh"}, "number": 12,
    }});
    let (result, dir) = config("credentials config", &complete(spec)).await;
    assert_eq!(result, printed(""));
    let expected = expect(&[
        ("ca.pem", 0o600, "testdata"),
        ("plain", 0o600, "not base64!"),
        ("empty", 0o600, ""),
        ("deep/key", 0o600, "hi"),
        ("bytes", 0o600, "hi!"),
        ("number", 0o600, "12"),
    ]);
    assert_eq!(files(dir.path()), expected);
}

#[tokio::test]
async fn without_their_key_commands_write_nothing() {
    for command in ["aws", "gcp", "cluster", "credentials"] {
        for spec in [json!({"other": 1}), json!({}), json!(null), json!({command: null})] {
            let (result, dir) = config(&format!("{command} config"), &complete(spec)).await;
            assert_eq!(result, printed(""), "{command}");
            assert_eq!(files(dir.path()).len(), 0, "{command}");
        }
    }
}

#[tokio::test]
async fn a_directory_can_be_given_and_older_files_are_replaced() {
    let spec = complete(json!({
        "aws": {"accessKeyID": "AK", "secretAccessKey": "SK"},
        "google": {"serviceAccountKey": "{}"},
        "cluster": {"url": "https://c"},
        "credentials": {"one": "1"},
    }));
    let cases = [
        ("aws", "credentials", 0o600),
        ("gcp", "credentials.json", 0o400),
        ("cluster", "default/kubeconfig", 0o600),
        ("credentials", "one", 0o600),
    ];
    for (command, file, mode) in cases {
        for flag in ["-d", "--directory"] {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("to/here");
            let path = target.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "old and much longer than what comes in its place").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).unwrap();
            let double = Double::start().await.on("GET /spec", 200, &spec);
            let line = [command, "config", flag, target.to_str().unwrap()];
            assert_eq!(ni(&double, &line).await, printed(""), "{command}");
            let written = &files(&target)[file];
            assert_eq!(written.0, mode, "{command}");
            assert!(!written.1.contains("old"), "{command}");
        }
    }
}

#[tokio::test]
async fn env_prints_commands_for_a_shell() {
    let cases = [
        (
            "aws env",
            "export AWS_CONFIG_FILE='/workspace/.aws/config'\n\
             export AWS_SHARED_CREDENTIALS_FILE='/workspace/.aws/credentials'\n",
        ),
        (
            "aws env -d /it's",
            "export AWS_CONFIG_FILE='/it'\"'\"'s/config'\n\
             export AWS_SHARED_CREDENTIALS_FILE='/it'\"'\"'s/credentials'\n",
        ),
        ("gcp env", "export GOOGLE_APPLICATION_CREDENTIALS='/workspace/credentials.json'\n"),
        ("gcp env -d x", "export GOOGLE_APPLICATION_CREDENTIALS='x/credentials.json'\n"),
    ];
    for (line, expected) in cases {
        let args: Vec<_> = line.split(' ').collect();
        assert_eq!(ni_with(&Settings::default(), &args).await, printed(expected), "{line}");
    }
}

#[tokio::test]
async fn a_variable_names_the_directory() {
    let own = [("RELAY_WORKSPACE", "/tmp/step 1"), ("HOME", "/root")];
    for (name, variables, aws, gcp) in [
        ("it is set", &own[..], "/tmp/step 1/.aws/config", "/tmp/step 1/credentials.json"),
        ("it is not", &own[1..], "/workspace/.aws/config", "/workspace/credentials.json"),
        (
            "it is empty",
            &[("RELAY_WORKSPACE", "")],
            "/workspace/.aws/config",
            "/workspace/credentials.json",
        ),
    ] {
        let settings = Settings::from_variables(|name| {
            let set = variables.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| (*value).into())
        });
        for (command, path) in [("aws", aws), ("gcp", gcp)] {
            let printed = ni_with(&settings, &[command, "env"]).await;
            assert_eq!(printed.code, 0, "{name}");
            assert!(
                printed.out.lines().any(|line| line.ends_with(&format!("='{path}'"))),
                "{name}: {printed:?}"
            );
        }
    }
}

#[tokio::test]
async fn azure_variables_are_printed_in_order() {
    let lines = |secret: &str, subscription: &str| {
        format!(
            "export ARM_CLIENT_ID='id'\nexport ARM_CLIENT_SECRET={secret}\n\
             export ARM_SUBSCRIPTION_ID='{subscription}'\nexport ARM_TENANT_ID='t'\n"
        )
    };
    let cases = [
        (
            "all",
            json!({"clientID": "id", "secret": "s'$x", "subscriptionID": "sub", "tenantID": "t"}),
            lines("'s'\"'\"'$x'", "sub"),
        ),
        ("a gap", json!({"clientID": "id", "secret": 12, "tenantID": "t"}), lines("'12'", "")),
    ];
    for (name, connection, expected) in cases {
        let spec = complete(json!({"azure": {"connection": connection}}));
        let (result, _) = config("azure arm env", &spec).await;
        assert_eq!(result, printed(&expected), "{name}");
    }
    let (result, _) = config("azure arm env", &complete(json!({}))).await;
    assert_eq!((result.code, result.out.as_str()), (1, ""));
    assert!(result.err.contains("\"azure\""), "{}", result.err);
}

#[tokio::test]
async fn what_does_not_fit_is_named_but_not_shown() {
    let secret = json!({"$type": "Secret", "name": "pw"});
    let cases = [
        ("no map", "aws config", json!({"aws": "canary"}), "aws is not a map"),
        (
            "half a key",
            "aws config",
            json!({"aws": {"connection": {"accessKeyID": "canary"}}}),
            "aws.connection.secretAccessKey is missing",
        ),
        (
            "two lines",
            "aws config",
            json!({"aws": {"accessKeyID": "canary\nx", "secretAccessKey": "x"}}),
            "aws.accessKeyID has more than one line",
        ),
        (
            "a list",
            "aws config",
            json!({"aws": {"accessKeyID": ["canary"], "secretAccessKey": "x"}}),
            "aws.accessKeyID is not text",
        ),
        (
            "an unresolved connection",
            "gcp config",
            json!({"google": {"connection": {"$type": "Connection", "name": "x"}}}),
            "google.connection has no value",
        ),
        (
            "an unresolved template",
            "gcp config",
            json!({"google": {"connection": "${connections.gcp.x}"}}),
            "google.connection has no value",
        ),
        ("no key", "gcp config", json!({"google": {}}), "google.serviceAccountKey is missing"),
        (
            "an unresolved secret",
            "azure arm env",
            json!({"azure": {"connection": {"secret": secret}}}),
            "azure.connection.secret has no value",
        ),
        ("no server", "cluster config", json!({"cluster": {}}), "cluster.server is missing"),
        (
            "no flag",
            "cluster config",
            json!({"cluster": {"url": "u", "insecure": "canary"}}),
            "cluster.insecure is neither",
        ),
        (
            "a name that leads out",
            "cluster config",
            json!({"cluster": {"url": "u", "name": "../x"}}),
            "\"../x\" cannot be the name",
        ),
        (
            "credentials that lead out",
            "credentials config",
            json!({"credentials": {"a": "canary", "../x": "canary"}}),
            "\"../x\" cannot be the name",
        ),
        (
            "credentials from the root",
            "credentials config",
            json!({"credentials": {"/x": "canary"}}),
            "\"/x\" cannot be the name",
        ),
        (
            "credentials that are no text",
            "credentials config",
            json!({"credentials": {"a": "1", "b": {"canary": 1}}}),
            "credentials.b is not text",
        ),
        ("no specification", "aws config", json!(["canary"]), "not a map"),
    ];
    for (name, line, spec, expected) in cases {
        let (result, dir) = config(line, &complete(spec)).await;
        assert_eq!((result.code, result.out.as_str()), (1, ""), "{name}");
        assert!(result.err.contains(expected), "{name}: {}", result.err);
        assert!(!result.err.contains("canary"), "{name}: {}", result.err);
        assert_eq!(files(dir.path()).len(), 0, "{name}");
    }
}

#[tokio::test]
async fn text_that_looks_unresolved_is_written_if_nothing_is() {
    let aws = json!({"aws": {"accessKeyID": "${secrets.id}", "secretAccessKey": "x"}});
    let (result, _) = config("aws config", &complete(aws.clone())).await;
    assert_eq!(result, printed(""), "everything was resolved");
    let (result, _) = config("aws config", &json!({"value": aws, "complete": false})).await;
    assert!(result.err.contains("aws.accessKeyID has no value"), "{}", result.err);
}

#[tokio::test]
async fn files_that_cannot_be_written_are_named() {
    let spec = complete(json!({"credentials": {"a": "canary"}}));
    let (result, _) = config("credentials config -d /dev/null/x", &spec).await;
    assert_eq!(result.code, 1);
    assert!(result.err.contains("/dev/null/x/a could not be written"), "{}", result.err);
    assert!(!result.err.contains("canary"), "{}", result.err);
}
