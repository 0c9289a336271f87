//! `ni doc` and `ni completion`: what `ni` says of itself.

use std::ffi::OsString;

use clap::{Args, Command};
use clap_complete::Shell;

use super::Printed;

#[derive(Debug, Args)]
pub(super) struct Doc {
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell
    shell: Shell,
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl Doc {
    pub(super) fn run(&self, mut ni: Command) -> Printed {
        ni.build();
        let mut text = String::new();
        describe(&mut ni, &mut text);
        Printed::stdout(text)
    }
}

/// A section for a command and for each below it.
fn describe(command: &mut Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let heading = if text.is_empty() { "#" } else { "\n##" };
    text.push_str(&format!("{heading} {name}\n\n"));
    let help = command.render_help().to_string();
    text.push_str(&format!("```text\n{}\n```\n", help.trim_end()));
    for command in command.get_subcommands_mut() {
        if command.get_name() != "help" && !command.is_hide_set() {
            describe(command, text);
        }
    }
}

impl Completion {
    pub(super) fn run(&self, mut ni: Command) -> Printed {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut ni, "ni", &mut script);
        Printed::stdout(script)
    }
}
