//! `ni` as a second name of the program that embeds the engine.

use std::io;
use std::path::Path;
use std::process::ExitCode;

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
