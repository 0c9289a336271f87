//! The logins of a namespace's pull Secrets.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{Api, Client};
use relay_core::RegistryLogin;
use serde::Deserialize;

use crate::read::read;

/// The logins with which the pods of an account pull their images. What does not parse is left out:
/// the node will say so.
pub(super) async fn logins(
    client: &Client,
    namespace: &str,
    account: &str,
) -> Result<Vec<RegistryLogin>, kube::Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let Some(account) = read(|| accounts.get_opt(account)).await? else { return Ok(Vec::new()) };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut logins = Vec::new();
    for reference in account.image_pull_secrets.iter().flatten() {
        if let Some(secret) = read(|| secrets.get_opt(&reference.name)).await? {
            logins.extend(of_secret(&secret));
        }
    }
    Ok(logins)
}

/// A file with logins, as `docker login` writes it.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    /// `NAME:PASSWORD` in base64.
    auth: String,
}

fn of_secret(secret: &Secret) -> Vec<RegistryLogin> {
    let data = |key: &str| secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice());
    let new = || serde_json::from_slice::<File>(data(".dockerconfigjson")?).ok();
    let old = || {
        let auths = serde_json::from_slice(data(".dockercfg")?).ok()?;
        Some(File { auths })
    };
    let file = new().or_else(old).unwrap_or(File { auths: BTreeMap::new() });
    file.auths.iter().filter_map(|(registry, entry)| login(registry, entry)).collect()
}

fn login(registry: &str, entry: &Entry) -> Option<RegistryLogin> {
    let decoded = STANDARD.decode(&entry.auth).ok().and_then(|text| String::from_utf8(text).ok());
    let (user, password) = match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => (user.to_owned(), password.to_owned()),
        None => (entry.username.clone(), entry.password.clone()),
    };
    let registry = registry.trim_start_matches("https://").trim_start_matches("http://");
    // Docker's own is written in many ways.
    let registry = match registry.trim_end_matches('/') {
        "index.docker.io/v1"
        | "index.docker.io/v2"
        | "index.docker.io"
        | "docker.io"
        | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    (!user.is_empty()).then(|| RegistryLogin {
        registry: registry.to_owned(),
        user,
        password: password.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    #[test]
    fn files_of_logins() {
        let secret = |key: &str, text: String| {
            let secret = json!({"data": {key: STANDARD.encode(text)}});
            of_secret(&serde_json::from_value(secret).unwrap())
        };
        let auths = json!({
            "https://index.docker.io/v1/": {"auth": STANDARD.encode("me:p:w")},
            "r.example.com/team": {"username": "u", "password": "p"},
            "empty": {},
            "broken": {"auth": "%"},
        });
        let known = |logins: Vec<RegistryLogin>| {
            let line = |login: &RegistryLogin| {
                format!("{} {} {}", login.registry, login.user, login.password.expose_secret())
            };
            logins.iter().map(line).collect::<Vec<_>>()
        };
        let expected = ["docker.io me p:w", "r.example.com/team u p"];
        let file = json!({ "auths": auths }).to_string();
        assert_eq!(known(secret(".dockerconfigjson", file)), expected);
        assert_eq!(known(secret(".dockercfg", auths.to_string())), expected);
        for text in ["", "[]", "null", r#"{"auths": 1}"#] {
            assert_eq!(known(secret(".dockerconfigjson", text.to_owned())), [""; 0], "{text}");
        }
    }
}
