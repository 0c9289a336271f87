//! What an entrypoint is told before it starts anything.

use std::time::Duration;

use relay_tools::client::MetadataClient;
use relay_tools::entrypoint::{Chunk, Invocation, Stream};

use crate::step::shell;

#[test]
fn debug_shows_no_values() {
    let chunk = Chunk { stream: Stream::Stdout, bytes: "canary".into() };
    let client = MetadataClient::new("http://:canary@host:1", Duration::ZERO).unwrap();
    let step = shell("true").env("A", "canary").client(client);
    let text = format!("{chunk:?} {step:?}");
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn settings_come_from_the_environment_of_a_pod() {
    let settings = |url: &'static str| {
        shell("true").settings(move |name| (name == "METADATA_API_URL").then(|| url.into()))
    };
    for (name, url, has_api, fails) in [
        ("an address", "http://127.0.0.1:1", true, false),
        ("an empty one", "", false, false),
        ("no address", "canary@nowhere", false, true),
        ("another scheme", "ftp://u:canary@nowhere", false, true),
    ] {
        match settings(url) {
            Ok(step) => {
                assert!(!fails, "{name}");
                assert_eq!(format!("{step:?}").contains("client: Some"), has_api, "{name}");
            }
            Err(error) => {
                assert!(fails, "{name}");
                let text = format!("{error:?} {}", error.chain());
                assert!(!text.contains("canary"), "{name}: {text}");
            }
        }
    }
}

#[test]
fn command_lines_of_the_operator_are_read() {
    /// Program, arguments, and whether it is an input script.
    type Expected = (&'static str, &'static [&'static str], bool);
    let script = "/var/run/puppet/relay/config/input-script";
    let cases: [(&str, &[&str], Option<Expected>); 7] = [
        (
            "with arguments",
            &["-entrypoint", "x", "--", "-a", "b"],
            Some(("x", &["-a", "b"], false)),
        ),
        ("without dashes", &["-entrypoint", "x", "a"], Some(("x", &["a"], false))),
        ("two dashes", &["--entrypoint", "x"], Some(("x", &[], false))),
        ("with a sign", &["-entrypoint=x", "--"], Some(("x", &[], false))),
        ("a program like a flag", &["-entrypoint", "-x"], Some(("-x", &[], false))),
        ("an input script", &["-entrypoint", script, "--"], Some((script, &[], true))),
        ("nothing", &[], None),
    ];
    for (name, line, expected) in cases {
        let expected = expected.map(|(program, args, is_input_script)| Invocation {
            is_input_script,
            ..Invocation::new(program, args)
        });
        assert_eq!(Invocation::parse(line).unwrap(), expected, "{name}");
    }
    for line in [&["-entrypoint"][..], &["-other", "x"], &["x"], &["-entrypoint", ""]] {
        assert!(Invocation::parse(line).is_err(), "{line:?}");
    }
}
