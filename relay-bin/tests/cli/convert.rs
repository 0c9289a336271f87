use std::path::Path;

use crate::relay::{Ran, events, example, relay};

fn convert(folder: &Path, arguments: &[&str]) -> Ran {
    relay().current_dir(folder).arg("convert").args(arguments).output().unwrap().into()
}

#[test]
fn what_is_converted_is_valid_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (file, out) in [("fan-out-fan-in.yaml", "yaml"), ("hello.yaml", "json")] {
        let file = example(file);
        let arguments = [file.to_str().unwrap(), "--out", out, "--tenant", "acme"];
        let first = convert(path, &arguments);
        assert_eq!((first.code, first.stderr.as_str()), (0, ""), "{out}");
        assert!(first.stdout.contains("acme"), "{out}: {}", first.stdout);
        assert_eq!(convert(path, &arguments).stdout, first.stdout, "{out}: byte for byte");
        std::fs::write(path.join("resources"), &first.stdout).unwrap();
        let checked: Ran =
            relay().current_dir(path).args(["validate", "resources"]).output().unwrap().into();
        assert_eq!((checked.code, checked.stdout.as_str()), (0, "resources: ok\n"), "{out}");
        let ran = events(&path.join("resources"), &[]);
        assert_eq!(ran.code, 0, "{out}");
        let again = convert(path, &["resources"]);
        assert_eq!(again.code, 2, "{out}");
        assert!(again.stderr.contains("resources already"), "{}", again.stderr);
    }
}

#[test]
fn yaml_is_what_people_get() {
    let folder = tempfile::tempdir().unwrap();
    let hello = example("hello.yaml");
    let hello = hello.to_str().unwrap();
    let plain = convert(folder.path(), &[hello]);
    assert!(plain.stdout.starts_with("apiVersion: relay.sh/v1beta1\nkind: Workflow\n"));
    assert_eq!(convert(folder.path(), &[hello, "-o", "yaml"]).stdout, plain.stdout);
    let json = convert(folder.path(), &[hello, "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"][0]["kind"], "Workflow");
}

#[test]
fn scripts_are_embedded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("scripts")).unwrap();
    std::fs::write(path.join("scripts/a.sh"), "#!/bin/sh\necho a\n").unwrap();
    std::fs::write(
        path.join("w.yaml"),
        "steps: [{name: a, image: x, inputFile: scripts/a.sh}]\ntriggers: [{name: t, source: {type: \
         webhook, image: x, inputFile: scripts/a.sh}}]\n",
    )
    .unwrap();
    let ran = convert(path, &["w.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout.matches("    #!/bin/sh\n").count(), 2, "{}", ran.stdout);
    std::fs::remove_file(path.join("scripts/a.sh")).unwrap();
    let ran = convert(path, &["w.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("w.yaml:1:40: error[input-file]"), "{}", ran.stderr);
    assert!(ran.stderr.contains("of trigger \"t\""), "{}", ran.stderr);
}

#[test]
fn what_is_wrong_is_not_converted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("w.yaml"), "parameters: {p: {default: null}}\nsteps: [{name: a}]\n")
        .unwrap();
    let ran = convert(path, &["w.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("w.yaml:2:9: error[required]"), "{}", ran.stderr);
    std::fs::write(path.join("w.yaml"), "parameters: {p: {default: null}}\n").unwrap();
    let ran = convert(path, &["w.yaml"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("w.yaml:1:14: warning[ignored-key]"), "{}", ran.stderr);
    assert_eq!(convert(path, &["none.yaml"]).code, 2);
    assert_eq!(convert(path, &[]).code, 2);
}
