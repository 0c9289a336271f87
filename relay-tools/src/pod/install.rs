//! Copying the tools to where the step's container sees them.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Copies the program `tools` into `dir` as `entrypoint`, executable for everybody, and makes
/// `ni` a second name of it. Each file appears complete or not at all, and replaces an older one.
///
/// # Errors
/// Whatever the file system reports.
pub fn install(tools: &Path, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    appear(dir, "entrypoint", |draft| {
        std::fs::copy(tools, draft)?;
        std::fs::set_permissions(draft, Permissions::from_mode(0o555))
    })?;
    appear(dir, "ni", |draft| symlink("entrypoint", draft))
}

fn appear(dir: &Path, name: &str, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let draft = draft(dir, name);
    // Left behind by one that was interrupted and had the same number.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    make(&draft)?;
    std::fs::rename(&draft, dir.join(name))
}

fn draft(dir: &Path, name: &str) -> PathBuf {
    let mut file = OsString::from(".");
    file.push(name);
    file.push(format!(".{}", std::process::id()));
    dir.join(file)
}
