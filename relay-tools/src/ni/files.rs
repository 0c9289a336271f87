//! Files that other tools read their credentials from.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use clap::Args;

use super::error::NiError;

/// Read and written by its owner only.
pub(super) const PRIVATE: u32 = 0o600;

/// Where a command writes to.
#[derive(Debug, Args)]
pub(super) struct Directory {
    /// The directory of the files; one in the workspace of the step if left out
    #[arg(short, long, allow_hyphen_values = true)]
    directory: Option<OsString>,
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl Directory {
    /// The directory of the command line, or else `default`.
    pub(super) fn or(self, default: PathBuf) -> PathBuf {
        match self.directory {
            Some(directory) if !directory.is_empty() => directory.into(),
            _ => default,
        }
    }
}

/// Writes a file with exactly this mode and makes its directories. It replaces an older file
/// at once, so that nobody finds half of it, or the new content under the old mode.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), NiError> {
    replace(path, bytes, mode).map_err(|source| NiError::File { path: path.to_owned(), source })
}

/// The path of `name` in `dir`. Names come from specifications, which have them from
/// anywhere, and must not lead out of it.
pub(super) fn below(dir: &Path, name: &str) -> Result<PathBuf, NiError> {
    let mut parts = Path::new(name).components();
    if name.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
        return Err(NiError::FileName { name: name.to_owned() });
    }
    Ok(dir.join(name))
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let fresh = dir.join(format!(".ni-{:016x}", rand::random::<u64>()));
    let done = fill(&fresh, bytes, mode).and_then(|()| fs::rename(&fresh, path));
    if done.is_err() {
        drop(fs::remove_file(&fresh));
    }
    done
}

fn fill(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))
}
