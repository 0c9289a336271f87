//! A Vault that holds what the tests ask for: the double, or a real server.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use relay_core::{Action, Claims, SigningKey, TokenSigner as _};
use relay_store::{VaultClient, VaultLogin, VaultOptions, VaultSecrets, VaultTransit};
use secrecy::SecretString;
use serde_json::{Value as Json, json};

use crate::double::{Double, PRIVATE, ROOT};

pub(crate) const UID: &str = "7d4b1f5e-1111-2222-3333-444455556666";
pub(crate) const CONNECTION: &str = "0b6fd7ac-0f6c-4f4a-9f6c-2f5f3d0d8a11";

/// Where everything is in a Vault.
pub(crate) struct Stage {
    pub(crate) address: String,
    pub(crate) token: String,
    pub(crate) transit: String,
    pub(crate) engine: String,
    pub(crate) auth: String,
    /// How to reach it.
    pub(crate) options: VaultOptions,
}

impl Stage {
    /// A stage on a double, with the entries that all tests know.
    pub(crate) async fn on_double(double: &Double) -> Self {
        let stage = Self {
            address: double.serve().await,
            token: ROOT.to_owned(),
            transit: "transit-tenants".to_owned(),
            engine: "customers".to_owned(),
            auth: "auth/jwt-tenants".to_owned(),
            options: VaultOptions::default(),
        };
        for (path, data) in entries() {
            double.put(&path, data);
        }
        stage
    }

    pub(crate) fn client(&self) -> VaultClient {
        self.patient_for(self.options.patience)
    }

    /// One that loses its patience early.
    pub(crate) fn hasty(&self) -> VaultClient {
        self.patient_for(Duration::from_millis(1500))
    }

    fn patient_for(&self, patience: Duration) -> VaultClient {
        let mut options = self.options.clone();
        options.token = Some(self.token.clone().into());
        options.patience = patience;
        VaultClient::new(&self.address, &options).unwrap()
    }

    pub(crate) fn transit(&self) -> VaultTransit {
        VaultTransit::new(self.client(), &self.transit, "metadata-api").unwrap()
    }

    /// The login, which keeps nothing.
    pub(crate) fn login(&self) -> VaultLogin {
        VaultLogin::new(self.client(), &self.auth, Some("tenant")).unwrap().keep_for(Duration::ZERO)
    }

    /// What a caller of tenant `w1` and domain `d1` sees.
    pub(crate) async fn secrets(&self, login: &VaultLogin) -> VaultSecrets {
        self.secrets_at(login, "workflows/w1", "connections/d1").await
    }

    pub(crate) async fn secrets_at(
        &self,
        login: &VaultLogin,
        secrets: &str,
        connections: &str,
    ) -> VaultSecrets {
        let session = Arc::new(login.session(token(&claims()).await));
        VaultSecrets::new(session, &self.engine, Some(secrets), Some(connections)).unwrap()
    }
}

/// Claims as the operator makes them, valid now.
pub(crate) fn claims() -> Claims {
    let now = Timestamp::now().as_second();
    Claims {
        issued_at: Some(now),
        not_before: Some(now - 5),
        expires_at: Some(now + 600),
        tenant_id: Some("w1".to_owned()),
        domain_id: Some("d1".to_owned()),
        ..Claims::for_action(&Action::step("r".parse().unwrap(), "build".parse().unwrap()))
    }
}

pub(crate) async fn token(claims: &Claims) -> SecretString {
    let key = SigningKey::from_pem("k", PRIVATE.as_bytes()).unwrap();
    key.sign(claims).await.unwrap()
}

/// What lies in the engine.
pub(crate) fn entries() -> Vec<(String, Json)> {
    let value = |value: &str| json!({ "value": value });
    let secrets = [
        ("pw", value("hunter2-canary")),
        ("url", value("https://example.com:8080/?a=b")),
        ("bytes", value("base64:AP+A")),
        ("text", value("base64:b3R0ZXI=")),
        ("number", json!({"value": 7})),
        ("other", json!({"another": "x"})),
        ("deep/er", value("below")),
        ("odd name?#%2e%2e&ö", value("odd")),
    ];
    let connections = [
        ("http/api", value(CONNECTION)),
        ("http/empty", value("11111111-0f6c-4f4a-9f6c-2f5f3d0d8a11")),
        ("http/up", value("../../workflows/w2")),
        ("ssh/key", value("33333333-0f6c-4f4a-9f6c-2f5f3d0d8a11")),
        ("0b6fd7ac-0f6c-4f4a-9f6c-2f5f3d0d8a11/user", value("robot")),
        ("0b6fd7ac-0f6c-4f4a-9f6c-2f5f3d0d8a11/password", value("base64:/w==")),
        ("33333333-0f6c-4f4a-9f6c-2f5f3d0d8a11/key", value("k")),
    ];
    let own = secrets.into_iter().map(|(name, data)| (format!("workflows/w1/{name}"), data));
    let others = [("workflows/w2/pw".to_owned(), value("theirs"))];
    let connections =
        connections.into_iter().map(|(name, data)| (format!("connections/d1/{name}"), data));
    own.chain(others).chain(connections).collect()
}
