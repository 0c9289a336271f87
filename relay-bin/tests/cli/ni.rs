//! `ni` in steps that run on this machine.

use crate::relay::{Ran, events_of, relay};

/// What commands write to `/workspace` in a container is in the step's own directory here.
#[test]
fn files_are_written_to_the_directory_of_the_step() {
    let ran = events_of(
        r#"
steps:
- name: config
  image: x
  spec:
    aws: {connection: {accessKeyID: id, secretAccessKey: key}, region: eu}
    google: {connection: {serviceAccountKey: '{"a":1}'}}
    cluster: {name: test, connection: {server: 'https://h', token: t}}
    credentials: {note.txt: bm90ZQ==}
  input:
  - |
    set -e
    [ "$PWD" = "$RELAY_WORKSPACE" ]
    mkdir other && cd other
    ni aws config
    ni gcp config
    ni cluster config
    ni credentials config
    cd ..
    find . -type f | sort
    eval "$(ni aws env)"
    [ "$AWS_CONFIG_FILE" = "$PWD/.aws/config" ]
    cat "$AWS_CONFIG_FILE" | tail -1
    eval "$(ni gcp env)"
    cat "$GOOGLE_APPLICATION_CREDENTIALS"
- {name: own, image: x, env: {RELAY_WORKSPACE: /elsewhere}, input: [ni gcp env]}
"#,
    );
    assert_eq!(
        ran.log("config"),
        [
            "./.aws/config",
            "./.aws/credentials",
            "./credentials.json",
            "./note.txt",
            "./test/kubeconfig",
            "region = eu",
            "{\"a\":1}",
        ]
    );
    assert_eq!(
        ran.log("own"),
        ["export GOOGLE_APPLICATION_CREDENTIALS='/elsewhere/credentials.json'"],
        "what a workflow says wins"
    );
    assert_eq!(ran.code, 0);
}

#[test]
fn steps_and_ni_need_no_trusted_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.yaml");
    let text = "steps: [{name: set, image: x, input: [ni output set -k a -v b]}]\n";
    std::fs::write(&file, text).unwrap();
    let none = folder.path().join("none");
    let mut command = relay();
    command.env("SSL_CERT_FILE", &none).env("SSL_CERT_DIR", &none).arg("run").arg(&file);
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A name is one segment of the address, whatever is in it.
#[test]
fn an_output_may_have_a_slash_in_its_name() {
    let ran = events_of(
        "steps:\n- {name: set, image: x, input: [ni output set -k a/b -v 'x y']}\n\
         - {name: get, image: x, spec: {v: \"${outputs.set.'a/b'}\"}, input: [\"ni get -p '{.v}'\"]}\n",
    );
    assert_eq!(ran.log("set"), ["Successfully set output for \"a/b\"."]);
    assert_eq!((ran.log("get"), ran.code), (vec!["x y"], 0));
}

/// Nothing is asked for again and again that will never be there.
#[test]
fn a_step_without_a_spec_reads_an_empty_one() {
    let ran = events_of("steps:\n- {name: get, image: x, input: [ni get]}\n");
    assert_eq!((ran.log("get"), ran.code), (vec!["{}"], 0));
}
