//! What is copied into every pod of a step: the entrypoint and, under the name `ni`, the client
//! that scripts use.

use std::process::ExitCode;

fn main() -> ExitCode {
    relay_tools::pod::main(std::env::args_os())
}
