//! `ni git clone`, with the `git` program and repositories on disk.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use relay_tools::ni::Settings;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::double::{Double, complete};
use crate::ni::{Printed, ni_with, printed};

/// A home, a workspace and a repository with two commits.
struct Place {
    dir: TempDir,
    first: String,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self { first: String::new(), dir };
        std::fs::create_dir(place.path("home")).unwrap();
        place.git(".", &["init", "-q", "-b", "master", "origin"]);
        std::fs::write(place.path("origin/file"), "one").unwrap();
        place.git("origin", &["add", "file"]);
        place.git("origin", &["commit", "-q", "-m", "one"]);
        let first = place.git("origin", &["rev-parse", "HEAD"]);
        std::fs::write(place.path("origin/file"), "two").unwrap();
        place.git("origin", &["commit", "-q", "-a", "-m", "two"]);
        place.git("origin", &["branch", "other", &first]);
        place.git("origin", &["tag", "v1", &first]);
        Self { first, ..place }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn git(&self, dir: &str, args: &[&str]) -> String {
        let done = Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e"])
            .args(args)
            .current_dir(self.path(dir))
            .env("HOME", self.path("home"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    async fn clone(&self, git: &Value, args: &[&str]) -> Printed {
        let double = Double::start().await.on("GET /spec", 200, complete(json!({"git": git})));
        let settings = Settings::default()
            .api_url(double.url())
            .workspace(self.path("work"))
            .home(self.path("home"));
        ni_with(&settings, &[&["git", "clone"], args].concat()).await
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        Path::new(&self.path(name)).metadata().unwrap().permissions().mode() & 0o7777
    }
}

#[tokio::test]
async fn one_revision_is_fetched() {
    let place = Place::new();
    let url = place.path("origin");
    let short = place.first.split_at(10).0;
    let cases = [
        ("master", json!({}), vec![], "two"),
        ("a branch of the specification", json!({"branch": "other"}), vec![], "one"),
        ("a branch", json!({"branch": "master"}), vec!["-r", "other"], "one"),
        ("a tag", json!({}), vec!["--revision", "v1"], "one"),
        ("a commit", json!({}), vec!["-r", place.first.as_str()], "one"),
        ("a short commit", json!({}), vec!["-r", short], "one"),
    ];
    for (name, mut git, args, expected) in cases {
        git["repository"] = json!(format!(" {url}\n"));
        git["name"] = json!(format!("by {name}"));
        assert_eq!(place.clone(&git, &args).await, printed(""), "{name}");
        let file = format!("work/by {name}/file");
        assert_eq!(place.read(&file), expected, "{name}");
        // And once more, where there is a repository already.
        std::fs::write(place.path(&file), "changed").unwrap();
        assert_eq!(place.clone(&git, &args).await, printed(""), "{name}");
        assert_eq!(place.read(&file), expected, "{name}");
        assert_eq!(place.git(&format!("work/by {name}"), &["remote", "get-url", "origin"]), url);
    }
}

#[tokio::test]
async fn the_directory_is_the_given_one_with_the_name() {
    let place = Place::new();
    let git = json!({"repository": format!("file://{}", place.path("origin"))});
    assert_eq!(place.clone(&git, &[]).await, printed(""));
    assert_eq!(place.read("work/default/file"), "two");
    assert_eq!(place.clone(&git, &["-d", &place.path("there")]).await, printed(""));
    assert_eq!(place.read("there/default/file"), "two");
    assert_eq!(place.clone(&json!(null), &[]).await, printed(""), "nothing to do");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_named() {
    let place = Place::new();
    let url = place.path("origin");
    let mark = place.path("mark");
    let cases = [
        ("no repository", json!({}), vec![], "git.repository is missing"),
        ("nothing there", json!({"repository": "/nowhere"}), vec![], "git fetch failed"),
        ("no revision", json!({"repository": url}), vec!["-r", "gone"], "gone"),
        ("an option", json!({"repository": url}), vec!["-r", "--upload-pack=x"], "a hyphen"),
        ("another", json!({"repository": format!("--upload-pack={mark}")}), vec![], "a hyphen"),
        ("a program", json!({"repository": format!("ext::touch {mark}")}), vec![], "git fetch"),
        ("a way out", json!({"repository": url, "name": "../x"}), vec![], "\"../x\" cannot"),
        (
            "a password",
            json!({"repository": "http://bot:canary@127.0.0.1:1/x.git"}),
            vec![],
            "git fetch failed",
        ),
        (
            "a token",
            json!({"repository": "http://canary@127.0.0.1:1/x.git"}),
            vec![],
            "git fetch failed",
        ),
    ];
    for (name, git, args, expected) in cases {
        let result = place.clone(&git, &args).await;
        assert_eq!((result.code, result.out.as_str()), (1, ""), "{name}");
        assert!(result.err.contains(expected), "{name}: {}", result.err);
        assert!(!result.err.contains("canary"), "{name}: {}", result.err);
        assert!(!Path::new(&mark).exists(), "{name}");
    }
}

#[tokio::test]
async fn keys_for_ssh_are_written_below_home() {
    let cases = [
        ("a connection", json!({"connection": {"sshKey": "-- canary --"}}), "accept-new"),
        ("base64", json!({"connection": {"sshKey": "LS0gY2FuYXJ5IC0tCg=="}}), "accept-new"),
        ("older", json!({"ssh_key": "LS0gY2FuYXJ5IC0t", "known_hosts": "aG9zdCBrZXk="}), "yes"),
    ];
    for (name, mut git, check) in cases {
        let place = Place::new();
        git["repository"] = json!("git@127.0.0.1:a/b.git");
        git["name"] = json!("re.po");
        // Nobody answers there with this key; it is about the files.
        let result = place.clone(&git, &[]).await;
        assert_eq!(result.code, 1, "{name}");
        assert!(result.err.starts_with("git fetch failed"), "{name}: {}", result.err);
        assert!(!result.err.contains("canary"), "{name}: {}", result.err);
        assert_eq!(place.mode("home/.ssh"), 0o700, "{name}");
        assert_eq!(place.read("home/.ssh/ni-re_po.key"), "-- canary --\n", "{name}");
        let config = place.read("home/.ssh/ni-re_po.config");
        assert!(config.starts_with("Host 127.0.0.1\n"), "{name}: {config}");
        assert!(config.contains(&format!("StrictHostKeyChecking {check}\n")), "{name}: {config}");
        assert!(config.contains(&place.path("home/.ssh/ni-re_po.key")), "{name}: {config}");
        if check == "yes" {
            assert_eq!(place.read("home/.ssh/ni-re_po.known_hosts"), "host key\n", "{name}");
            assert_eq!(place.mode("home/.ssh/ni-re_po.known_hosts"), 0o600, "{name}");
        }
        for file in ["ni-re_po.key", "ni-re_po.config", "config"] {
            assert_eq!(place.mode(&format!("home/.ssh/{file}")), 0o600, "{name} {file}");
        }
        let command = place.git("work/re.po", &["config", "core.sshCommand"]);
        assert_eq!(command, format!("ssh -F '{}'", place.path("home/.ssh/ni-re_po.config")));
    }
}

#[tokio::test]
async fn a_configuration_of_ssh_that_is_there_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("home/.ssh")).unwrap();
    std::fs::write(place.path("home/.ssh/config"), "mine").unwrap();
    let git = json!({"repository": "git@127.0.0.1:a/b", "connection": {"sshKey": "k"}});
    assert_eq!(place.clone(&git, &[]).await.code, 1);
    assert_eq!(place.read("home/.ssh/config"), "mine");
    assert_eq!(place.read("home/.ssh/ni-default.key"), "k\n");
}

#[tokio::test]
async fn a_key_needs_a_home_and_a_host() {
    let place = Place::new();
    let local = json!({"repository": place.path("origin"), "connection": {"sshKey": "k"}});
    assert_eq!(place.clone(&local, &[]).await, printed(""));
    assert!(!Path::new(&place.path("home/.ssh")).exists(), "no host to log in to");

    let git = json!({"git": {"repository": "git@h:a/b", "connection": {"sshKey": "canary"}}});
    let double = Double::start().await.on("GET /spec", 200, complete(git));
    let settings = Settings::default().api_url(double.url()).workspace(place.path("work"));
    let result = ni_with(&settings, &["git", "clone"]).await;
    assert_eq!(result.code, 1);
    assert!(result.err.contains("HOME") && !result.err.contains("canary"), "{}", result.err);
}
