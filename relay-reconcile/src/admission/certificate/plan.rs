//! What to do next.

use jiff::Timestamp;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, TestOperation};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::check::{Standing, certificates, check};
use super::{Names, Pair};

/// What was found.
pub(super) struct Observed {
    pub(super) secret: Option<Secret>,
    pub(super) configuration: Option<MutatingWebhookConfiguration>,
}

/// What is to be done.
pub(super) enum Step {
    /// Write a certificate into the Secret, since there is no good one.
    Issue {
        /// What is wrong with what is there.
        why: &'static str,
    },
    /// Write another one into it, after its CA was made known beside this one (PEM).
    Renew { authority: String },
    /// Tell the configuration which CA there is.
    Tell(Patch),
    /// Nothing: this is what there should be.
    Rest(Pair),
}

pub(super) fn plan(observed: &Observed, names: &Names, now: Timestamp) -> Step {
    let issue = |why| Step::Issue { why };
    let Some(secret) = &observed.secret else {
        return issue("there is none");
    };
    let Some(pair) = Pair::of(secret) else {
        return issue("tls.crt or tls.key is missing");
    };
    let authorities = authorities(secret);
    match check(&pair, authorities, &names.dns_name(), now) {
        Standing::Unusable(why) => return issue(why),
        Standing::Due => return Step::Renew { authority: authority_of(&pair) },
        Standing::Good => {}
    }
    match observed.configuration.as_ref().and_then(|found| tell(found, authorities)) {
        Some(patch) => Step::Tell(patch),
        None => Step::Rest(pair),
    }
}

/// What a Secret says that clients are to trust.
pub(super) fn authorities(secret: &Secret) -> &[u8] {
    let authorities = secret.data.as_ref().and_then(|data| data.get("ca.crt"));
    authorities.map(|bytes| bytes.0.as_slice()).unwrap_or_default()
}

/// The part of a chain that is above the certificate.
fn authority_of(pair: &Pair) -> String {
    let above = certificates(&pair.certificate).into_iter().flatten().skip(1);
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    above
        .map(|authority| {
            pem::encode_config(&pem::Pem::new("CERTIFICATE", authority.as_ref()), config)
        })
        .collect()
}

/// Gives every webhook of a configuration this bundle; nothing where all have it. Nothing but the
/// bundles is written, and only into the webhooks that were looked at.
pub(super) fn tell(found: &MutatingWebhookConfiguration, bundle: &[u8]) -> Option<Patch> {
    let mut operations = Vec::new();
    for (place, webhook) in found.webhooks.iter().flatten().enumerate() {
        if webhook.client_config.ca_bundle.as_ref().is_some_and(|known| known.0 == bundle) {
            continue;
        }
        let place = place.to_string();
        let pointer = |path: &[&str]| {
            let webhook = ["webhooks", place.as_str()];
            PointerBuf::from_tokens(webhook.iter().chain(path).copied())
        };
        operations.push(PatchOperation::Test(TestOperation {
            path: pointer(&["name"]),
            value: json!(webhook.name),
        }));
        operations.push(PatchOperation::Add(AddOperation {
            path: pointer(&["clientConfig", "caBundle"]),
            value: json!(ByteString(bundle.to_vec())),
        }));
    }
    (!operations.is_empty()).then_some(Patch(operations))
}
