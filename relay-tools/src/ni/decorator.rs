//! `ni decorator`.

use clap::{Args, Subcommand};

use super::error::NiError;
use super::{Printed, Settings, pairs};
use crate::client::{Decorator, Retry};

#[derive(Debug, Subcommand)]
pub(super) enum Decorate {
    /// Attach something to this step for people to see
    Set(Set),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// What to attach; there is only link
    kind: String,
    /// The name of the decorator; a second one of the same name replaces the first
    #[arg(short, long, allow_hyphen_values = true)]
    name: String,
    /// description=TEXT and uri=URI, repeated or separated by commas
    #[arg(short, long, required = true, allow_hyphen_values = true)]
    value: Vec<String>,
}

impl Decorate {
    pub(super) async fn run(self, settings: &Settings) -> Result<Printed, NiError> {
        let Self::Set(Set { kind, name, value }) = self;
        let decorator = match kind.as_str() {
            "link" => link(&value)?,
            _ => return Err(NiError::DecoratorType { kind }),
        };
        // Once, as it has always been: servers answer 500 to a URI which they do not like.
        let client = settings.client()?.retrying(Retry::never());
        client.post_decorator(&name, &decorator).await?;
        Ok(Printed::default())
    }
}

fn link(values: &[String]) -> Result<Decorator, NiError> {
    let mut values = pairs::parse("--value", values)?;
    let mut take = |name| values.remove(name).ok_or(NiError::DecoratorValue { kind: "link", name });
    Ok(Decorator::Link { description: take("description")?, uri: take("uri")? })
}
