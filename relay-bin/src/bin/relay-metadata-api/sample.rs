//! Sample mode: files in, tokens out.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_core::{Action, Claims, Hs256Key, TokenSigner as _};
use relay_metadata::sample::Sample;
use relay_metadata::{Router, TokenAuthenticator};
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::{Failure, options};

/// The API of these files.
pub(crate) async fn router(files: &[PathBuf]) -> Result<Router, Failure> {
    let mut sample = Sample::default();
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure(format!("could not read {name}: {error}")))?;
        let read = Sample::from_yaml(&text).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(|line| format!("{name}:{line}")).collect();
            Failure(lines.join("; "))
        })?;
        sample = sample.merged_with(read);
    }
    let key = match options::signing_key()? {
        Some(key) => key,
        None => made()?,
    };
    for action in sample.actions() {
        let token = key.sign(&Claims::for_action(&action)).await;
        let token = token.map_err(|error| Failure(error.to_string()))?;
        let token = token.expose_secret();
        // To hand out these tokens is what sample mode is for.
        match &action {
            Action::Step { run, name } => tracing::info!(
                "run-id" = shown(run.as_str()),
                "step-name" = shown(name.as_str()),
                token = shown(token),
                "generated JWT for step"
            ),
            Action::Trigger { name } => tracing::info!(
                "trigger-name" = shown(name.as_str()),
                token = shown(token),
                "generated JWT for trigger"
            ),
        }
    }
    let authenticator = TokenAuthenticator::new(Arc::new(key), Arc::new(sample.callers()));
    Ok(Router::new(Arc::new(authenticator)))
}

fn made() -> Result<Hs256Key, Failure> {
    let bytes: [u8; 64] = rand::random();
    tracing::info!(key = %STANDARD.encode(bytes), "created new HMAC-SHA256 signing key");
    Hs256Key::new(&SecretSlice::from(bytes.to_vec())).map_err(|error| Failure(error.to_string()))
}

/// A value for the log: as it is where that is one word, quoted where it is not.
fn shown(text: &str) -> tracing::field::DisplayValue<String> {
    let word = !text.is_empty() && !text.contains([' ', '"', '\\']);
    tracing::field::display(if word { text.to_owned() } else { format!("{text:?}") })
}
