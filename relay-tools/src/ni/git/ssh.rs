//! Files with which SSH logs in to the host of a repository.
//!
//! They have names of their own below `.ssh`. The user's configuration is written only where
//! there is none: on a developer's machine it belongs to somebody else.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::ni::error::NiError;
use crate::ni::files::{self, PRIVATE};
use crate::ni::part::{Part, decoded};
use crate::ni::shell;

/// The host of `user@host:path` and `ssh://user@host/path`.
pub(super) fn host(url: &str) -> Option<&str> {
    let address = match url.split_once("://") {
        Some(("ssh" | "git+ssh" | "ssh+git", rest)) => {
            let authority = rest.split('/').next()?;
            match authority.rsplit_once(':') {
                Some((address, port)) if port.bytes().all(|b| b.is_ascii_digit()) => address,
                _ => authority,
            }
        }
        Some(_) => return None,
        None => url.split_once(':').map(|(address, _)| address).filter(|a| a.contains('@'))?,
    };
    let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
    // It becomes a word of a configuration file, and must not become a pattern there.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!host.is_empty() && host.chars().all(plain)).then_some(host)
}

/// Writes the key of the specification and what belongs to it, and returns the command with
/// which git calls SSH; `None` if there is no key.
pub(super) fn install(
    git: Part,
    name: &str,
    host: &str,
    home: Option<&Path>,
) -> Result<Option<String>, NiError> {
    let known = git.text("known_hosts")?;
    let git = git.with_connection()?;
    let newer = git.text("sshKey")?;
    let Some(key) = newer.map_or_else(|| git.text("ssh_key"), |key| Ok(Some(key)))? else {
        return Ok(None);
    };
    let dir = home.ok_or(NiError::NoHome)?.join(".ssh");
    let files = Files::named(&dir, name);
    let config = files.config(host, known.is_some())?;
    make_private(&dir)?;
    files::write(&files.key, &lines(decoded(key.into_bytes())), PRIVATE)?;
    if let Some(known) = known {
        files::write(&files.known_hosts, &lines(decoded(known.into_bytes())), PRIVATE)?;
    }
    files::write(&files.own, config.as_bytes(), PRIVATE)?;
    let everybody = dir.join("config");
    if !everybody.exists() {
        files::write(&everybody, b"Include ni-*.config\n", PRIVATE)?;
    }
    let own = files.own.to_str().ok_or(NiError::NoHome)?;
    let quoted = String::from_utf8_lossy(&shell::quoted(own.as_bytes())).into_owned();
    Ok(Some(format!("ssh -F {quoted}")))
}

struct Files {
    key: PathBuf,
    known_hosts: PathBuf,
    own: PathBuf,
}

impl Files {
    fn named(dir: &Path, name: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name: String = name.chars().map(plain).collect();
        let file = |kind: &str| dir.join(format!("ni-{name}{kind}"));
        Self { key: file(".key"), known_hosts: file(".known_hosts"), own: file(".config") }
    }

    fn config(&self, host: &str, known: bool) -> Result<String, NiError> {
        let key = quoted(&self.key)?;
        let known_hosts = quoted(&self.known_hosts)?;
        // Without known keys the first one is believed and kept.
        let check = if known { "yes" } else { "accept-new" };
        Ok(format!(
            "Host {host}\n  IdentityFile {key}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {known_hosts}\n  StrictHostKeyChecking {check}\n  BatchMode yes\n"
        ))
    }
}

/// A path as one word of a configuration, where `%` begins a placeholder.
fn quoted(path: &Path) -> Result<String, NiError> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\\', '\n', '$']) => {
            Ok(format!("\"{}\"", text.replace('%', "%%")))
        }
        _ => Err(NiError::NoHome),
    }
}

fn make_private(dir: &Path) -> Result<(), NiError> {
    // Recursive, so that a directory which is there keeps its mode.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| NiError::File { path: dir.to_owned(), source })
}

/// SSH does not read a key whose last line does not end.
fn lines(mut text: Vec<u8>) -> Vec<u8> {
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ssh_has_a_host_to_log_in_to() {
        let cases = [
            ("git@host.example:a/b.git", Some("host.example")),
            ("host.example:a/b", None),
            ("ssh://git@host.example/a/b", Some("host.example")),
            ("ssh://git@host.example:2222/a/b", Some("host.example")),
            ("ssh://host.example/a", Some("host.example")),
            ("https://git@host.example/a/b", None),
            ("/a/b", None),
            ("file:///a/b", None),
            ("git@*:a/b", None),
            ("git@a b:a/b", None),
            ("git@:a", None),
        ];
        for (url, expected) in cases {
            assert_eq!(host(url), expected, "{url}");
        }
    }

    #[test]
    fn paths_are_one_word_of_the_configuration() {
        let quote = |path: &str| quoted(Path::new(path)).ok();
        assert_eq!(quote("/h o%me/x").as_deref(), Some("\"/h o%%me/x\""));
        assert_eq!(quote("/a\"b"), None);
        assert_eq!(quote("/a\nb"), None);
    }
}
