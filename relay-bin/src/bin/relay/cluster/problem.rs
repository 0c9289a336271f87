//! What can go wrong with a cluster, and what to do about it.

use std::error::Error;

use kube::core::Status;
use relay_model::v1beta1::RequestError;

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error(
        "no cluster to speak to: {0}; name the file with --kubeconfig or KUBECONFIG, and the context \
         with --context"
    )]
    NoCluster(String),
    #[error("there is no context {name:?} in the kubeconfig{hint}")]
    NoContext { name: String, hint: String },
    #[error(
        "the cluster does not know Relay's resources; install them: relay crds | kubectl apply -f -"
    )]
    NotInstalled,
    #[error(
        "there is no {kind} {name:?} in namespace {namespace:?} (--namespace names another){hint}"
    )]
    NotFound { kind: &'static str, name: String, namespace: String, hint: String },
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error("could not {doing}: {why}")]
    Failed { doing: String, why: String },
}

impl Problem {
    pub(super) fn place(error: &dyn Error) -> Self {
        Self::NoCluster(chain(error))
    }

    pub(super) fn api(doing: String) -> impl FnOnce(kube::Error) -> Self {
        move |error| match error {
            kube::Error::Api(status) if is_unknown_kind(&status) => Self::NotInstalled,
            kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict" => {
                let why = format!("{}; --force takes these fields over", status.message);
                Self::Failed { doing, why }
            }
            kube::Error::Api(status) => Self::Failed { doing, why: status.message.clone() },
            error => Self::Failed { doing, why: chain(&error) },
        }
    }
}

/// Whether the server knows the object's kind no more than the object.
pub(super) fn is_unknown_kind(status: &Status) -> bool {
    let unknown = ["the server could not find the requested resource", "404 page not found"];
    status.code == 404 && unknown.iter().any(|text| status.message.trim() == *text)
}

/// An error with its causes. Some repeat what they come from.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
