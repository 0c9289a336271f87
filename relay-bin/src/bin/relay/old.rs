//! Commands of the program that came before, which spoke to a hosted service.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use crate::print;

/// What the conventions of the old commands say for every failure.
const FAILURE: u8 = 1;

/// What is given to a command that is no more: anything.
#[derive(Debug, Args)]
pub(crate) struct Anything {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Old commands without a successor.
#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    #[command(hide = true, disable_help_flag = true)]
    Auth(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Tokens(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Notifications(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Subscriptions(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Context(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Config(Anything),
}

/// Old commands for workflows without a successor.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    #[command(hide = true, disable_help_flag = true)]
    Save(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Add(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Replace(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Delete(Anything),
    #[command(hide = true, disable_help_flag = true)]
    List(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Download(Anything),
}

impl Noun {
    /// Says in one line what to do instead; the exit code.
    pub(crate) fn refuse(&self) -> u8 {
        let watch =
            "a run shows its events as it goes: relay run FILE, with --out json for programs";
        let (name, instead) = match self {
            Self::Auth(_) => {
                ("auth", "a kubeconfig gives access to a cluster, and relay run FILE needs none")
            }
            Self::Tokens(_) => {
                ("tokens", "a kubeconfig gives access to a cluster, and relay run FILE needs none")
            }
            Self::Notifications(_) => ("notifications", watch),
            Self::Subscriptions(_) => ("subscriptions", watch),
            Self::Context(_) => ("context", "--context NAME chooses among those of the kubeconfig"),
            Self::Config(_) => ("config", "flags say it: --out, --yes, --debug"),
        };
        refuse(name, instead)
    }
}

impl Verb {
    /// Says in one line what to do instead; the exit code.
    pub(crate) fn refuse(&self) -> u8 {
        let keep =
            "keep workflow files under version control, and use them as they are: relay run FILE";
        let apply = "relay apply FILE puts a workflow into a cluster";
        let (name, instead) = match self {
            Self::Save(_) => ("workflow save", apply),
            Self::Add(_) => ("workflow add", apply),
            Self::Replace(_) => ("workflow replace", apply),
            Self::Delete(_) => {
                ("workflow delete", "in a cluster: kubectl delete workflows.relay.sh NAME")
            }
            Self::List(_) => ("workflow list", "in a cluster: kubectl get workflows.relay.sh"),
            Self::Download(_) => ("workflow download", keep),
        };
        refuse(name, instead)
    }
}

fn refuse(name: &str, instead: &str) -> u8 {
    print::error(&format!(
        "\"relay {name}\" belonged to a hosted service that no longer exists; {instead}"
    ));
    FAILURE
}
