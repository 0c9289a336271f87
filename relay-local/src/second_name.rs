//! `ni` as a second name of the program that embeds the engine.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use tempfile::TempDir;

/// A directory in which a program is found as `ni`. It goes when this is dropped.
#[derive(Debug)]
pub struct NiDirectory(TempDir);

impl NiDirectory {
    /// A directory with this program in it.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn of(program: &Path) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("relay-").tempdir()?;
        install(program, directory.path())?;
        Ok(Self(directory))
    }

    /// This process's `PATH` with the directory in front.
    #[must_use]
    pub fn search_path(&self) -> OsString {
        let mut path = OsString::from(self.0.path());
        if let Some(inherited) = std::env::var_os("PATH") {
            path.push(":");
            path.push(inherited);
        }
        path
    }
}

/// Puts the program where steps find it as `ni`.
pub(crate) fn install(ni: &Path, tools_dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(tools_dir)?;
    std::os::unix::fs::symlink(std::path::absolute(ni)?, tools_dir.join("ni"))
}

/// Is `ni` when this program was started under that name, and gives its exit code. A program that
/// hands itself to [`Engine::new`](crate::Engine::new) calls this first thing in `main`: its steps
/// then need no other program.
#[must_use]
pub fn be_ni() -> Option<ExitCode> {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_stem().is_none_or(|name| name != "ni") {
        return None;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Some(ExitCode::FAILURE);
    };
    let settings = relay_tools::ni::Settings::from_env();
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    let ni = relay_tools::ni::run(std::env::args_os(), &settings, &mut stdout, &mut stderr);
    Some(ExitCode::from(runtime.block_on(ni)))
}
