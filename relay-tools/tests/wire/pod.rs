//! The tools that are copied into pods.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use relay_tools::pod;

#[test]
fn tools_are_installed_whole_and_replace_older_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("image"), dir.path().join("volume/relay"));
    std::fs::create_dir(&from).unwrap();
    for text in ["one", "two"] {
        std::fs::write(from.join("relay-runtime-tools"), text).unwrap();
        pod::install(&from.join("relay-runtime-tools"), &to).unwrap();
        for name in ["entrypoint", "ni"] {
            let file = to.join(name);
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o555);
        }
        assert_eq!(std::fs::read_link(to.join("ni")).unwrap(), Path::new("entrypoint"));
    }
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 2);
}

#[tokio::test]
async fn command_lines_without_a_program_run_nothing() {
    for (name, line, code) in [
        ("nothing", &[][..], 0),
        ("a sub-command of another version", &["inspect", "-x"], 0),
        ("an unknown flag", &["-other"], 2),
        ("no program", &["-entrypoint"], 2),
        ("arguments of no program", &["--", "x"], 2),
    ] {
        assert_eq!(pod::run(line.iter().map(Into::into)).await, code, "{name}");
    }
}
