//! `ni git`.

mod redact;
mod ssh;

use std::path::PathBuf;
use std::process::Stdio;

use clap::{Args, Subcommand};
use tokio::process::Command;

use super::error::NiError;
use super::files::{self, Directory};
use super::part::Part;
use super::{Printed, Settings};

const DEFAULT_NAME: &str = "default";
const DEFAULT_REVISION: &str = "master";

#[derive(Debug, Subcommand)]
pub(super) enum Git {
    /// Fetch one revision of the repository of the specification
    Clone(Clone),
}

#[derive(Debug, Args)]
pub(super) struct Clone {
    /// A branch, a tag or a commit; the specification's, or master, if left out
    #[arg(short, long, allow_hyphen_values = true)]
    revision: Option<String>,
    #[command(flatten)]
    directory: Directory,
}

impl Git {
    pub(super) async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        let Self::Clone(Clone { revision, directory }) = self;
        let Some(git) = Part::fetch(&settings.client()?, "git").await? else {
            return Ok(Printed::default());
        };
        let name = git.line("name")?.unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let url = git.line("repository")?.ok_or_else(|| git.missing("repository"))?;
        let url = url.trim().to_owned();
        let revision = match revision.filter(|revision| !revision.is_empty()) {
            Some(revision) => revision,
            None => git.line("branch")?.unwrap_or_else(|| DEFAULT_REVISION.to_owned()),
        };
        // Git takes neither for a name, but some of its commands take both for options.
        for (what, text) in [("repository", &url), ("revision", &revision)] {
            if text.starts_with('-') {
                return Err(NiError::GitName { what });
            }
        }
        let dir = files::below(&directory.or(settings.workspace.clone()), &name)?;
        let ssh = match ssh::host(&url) {
            Some(host) => ssh::install(git, &name, host, settings.home.as_deref())?,
            None => None,
        };
        Repository { dir, url, home: settings.home.clone() }.fetch(&revision, ssh).await?;
        Ok(Printed::default())
    }
}

struct Repository {
    dir: PathBuf,
    url: String,
    home: Option<PathBuf>,
}

impl Repository {
    /// Brings the files to a revision, in a new repository or in one that is there already.
    async fn fetch(&self, revision: &str, ssh: Option<String>) -> Result<(), NiError> {
        std::fs::create_dir_all(&self.dir)
            .map_err(|source| NiError::File { path: self.dir.clone(), source })?;
        self.git("init", ["--quiet"]).await?;
        if self.git("remote", ["add", "--", "origin", &self.url]).await.is_err() {
            self.git("remote", ["set-url", "--", "origin", &self.url]).await?;
        }
        if let Some(command) = ssh {
            // In the repository, so that a later `git push` finds the key as well.
            self.git("config", ["core.sshCommand", &command]).await?;
        }
        let submodules = "--recurse-submodules=yes";
        let shallow = ["--quiet", "--depth=1", submodules, "--", "origin", revision];
        let Err(reason) = self.git("fetch", shallow).await else {
            self.git("reset", ["--quiet", "--hard", "FETCH_HEAD", "--"]).await?;
            return Ok(());
        };
        // Not every server hands out a commit by its name: look for it in everything.
        let branches = "+refs/heads/*:refs/remotes/origin/*";
        let everything = ["--quiet", "--tags", submodules, "--", "origin", branches];
        if self.git("fetch", everything).await.is_err() {
            return Err(reason);
        }
        let commit = format!("{revision}^{{commit}}");
        let verified = ["--verify", "--quiet", "--end-of-options", &commit];
        let Ok(found) = self.git("rev-parse", verified).await else { return Err(reason) };
        self.git("reset", ["--quiet", "--hard", found.trim(), "--"]).await?;
        Ok(())
    }

    async fn git<const N: usize>(
        &self,
        command: &'static str,
        args: [&str; N],
    ) -> Result<String, NiError> {
        let mut git = Command::new("git");
        git.arg(command).args(args).current_dir(&self.dir);
        // What surrounds this process may belong to another repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "METADATA_API_URL"] {
            git.env_remove(name);
        }
        // There is nobody to ask for a password.
        git.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").stdin(Stdio::null());
        if let Some(home) = &self.home {
            git.env("HOME", home);
        }
        let done = git.kill_on_drop(true).output().await.map_err(NiError::NoGit)?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        Err(NiError::Git { command, said: redact::redacted(&said, &self.url) })
    }
}
