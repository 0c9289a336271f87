//! Finding a program by its name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Where programs are looked for when nobody says.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// There is no such file.
    #[error("{}: no such program", .0.display())]
    NotThere(PathBuf),
    /// It is no file that may be executed.
    #[error("{}: not executable", .0.display())]
    NotExecutable(PathBuf),
    /// No directory has it.
    #[error("{}: no such program in PATH", .0.display())]
    NotInPath(PathBuf),
    /// A directory has it, and it may not be executed.
    #[error("{}: not executable in PATH", .0.display())]
    NotExecutableInPath(PathBuf),
}

/// Where a program is: a path as it is, a bare name in the first directory of `search` that has it;
/// both seen from `dir`.
///
/// # Errors
///
/// [`LookupError`], when there is nothing that may be executed.
pub fn find_program(
    program: &Path,
    search: Option<&OsStr>,
    dir: Option<&Path>,
) -> Result<PathBuf, LookupError> {
    let here = |path: &Path| dir.map_or_else(|| path.to_owned(), |dir| dir.join(path));
    if !is_bare(program) {
        let path = here(program);
        return match state(&path) {
            State::Executable => Ok(path),
            State::Other => Err(LookupError::NotExecutable(path)),
            State::Nothing => Err(LookupError::NotThere(path)),
        };
    }
    let mut is_there = false;
    for dir in std::env::split_paths(search.unwrap_or(OsStr::new(DEFAULT_PATH))) {
        let candidate = here(&dir).join(program);
        match state(&candidate) {
            State::Executable => return Ok(candidate),
            State::Other => is_there |= candidate.is_file(),
            State::Nothing => {}
        }
    }
    let program = program.to_owned();
    Err(if is_there {
        LookupError::NotExecutableInPath(program)
    } else {
        LookupError::NotInPath(program)
    })
}

/// Whether this is a name rather than a path.
pub(super) fn is_bare(program: &Path) -> bool {
    !program.as_os_str().as_bytes().contains(&b'/')
}

enum State {
    Executable,
    Other,
    Nothing,
}

fn state(path: &Path) -> State {
    match path.metadata() {
        Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => State::Executable,
        Ok(_) => State::Other,
        Err(_) => State::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn what_is_there_and_may_be_run_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, mode) in [("one/both", 0o644), ("two/both", 0o755), ("one/plain", 0o644)] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(root.join("one/folder")).unwrap();
        for (program, search, expected) in [
            ("both", "one:two", Ok("two/both")),
            ("both", "one", Err("both: not executable in PATH")),
            ("folder", "one:two", Err("folder: no such program in PATH")),
            ("gone", "one:two", Err("gone: no such program in PATH")),
            ("two/both", "", Ok("two/both")),
            ("./two/both", "", Ok("./two/both")),
            ("one/plain", "", Err("one/plain: not executable")),
            ("one/folder", "", Err("one/folder: not executable")),
            ("one/gone", "two", Err("one/gone: no such program")),
        ] {
            let found = find_program(program.as_ref(), Some(search.as_ref()), Some(root));
            let expected = expected.map(|path| root.join(path)).map_err(str::to_owned);
            let found = found
                .map_err(|error| error.to_string().replace(&format!("{}/", root.display()), ""));
            assert_eq!(found, expected, "{program} in {search:?}");
        }
        let shell = find_program("sh".as_ref(), None, None).unwrap();
        assert!(shell.is_absolute(), "{shell:?}");
    }
}
