//! Programs of this machine.

use std::path::Path;

use relay_tools::entrypoint::{LookupError, find_program};

/// Whether a program that takes the place of an image is there. A bare name is looked up in the
/// `PATH` of this process, which is that of steps that do not set their own.
///
/// # Errors
/// [`LookupError`], when a step with that image could not start.
pub fn check_program(program: &Path) -> Result<(), LookupError> {
    // Each step has it in its own directory of tools.
    if program == Path::new("ni") {
        return Ok(());
    }
    find_program(program, std::env::var_os("PATH").as_deref(), None).map(drop)
}
