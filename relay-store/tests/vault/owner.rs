//! A real Vault or OpenBao, as its owner sets it up.

use relay_store::VaultOptions;
use serde_json::{Value as Json, json};

use crate::double::PUBLIC;
use crate::stage::{Stage, entries};

/// Speaks to the server as its owner.
pub(crate) struct Owner {
    http: reqwest::Client,
    address: String,
    token: String,
    options: VaultOptions,
}

impl Owner {
    /// The owner that `VAULT_ADDR`, `VAULT_TOKEN` and `VAULT_CACERT` name.
    pub(crate) fn from_env() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let options = VaultOptions::from_variables(variable).unwrap();
        let mut http = reqwest::Client::builder();
        for pem in &options.authorities {
            http = http.add_root_certificate(reqwest::Certificate::from_pem(pem).unwrap());
        }
        let address = variable("VAULT_ADDR").unwrap();
        let token = variable("VAULT_TOKEN").unwrap();
        Self { http: http.build().unwrap(), address, token, options }
    }

    /// A stage under names of its own.
    pub(crate) async fn stage(&self) -> Stage {
        let mark = uuid::Uuid::new_v4();
        let stage = Stage {
            address: self.address.clone(),
            token: self.token.clone(),
            transit: format!("transit-{mark}"),
            engine: format!("kv-{mark}"),
            auth: format!("auth/jwt-{mark}"),
            options: self.options.clone(),
        };
        self.set_up(&stage).await;
        stage
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: &Json) -> Json {
        let url = format!("{}/v1/{path}", self.address);
        let request = self.http.request(method, url).header("X-Vault-Token", &self.token);
        let answer = request.json(body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn put(&self, path: &str, body: Json) -> Json {
        self.send(reqwest::Method::POST, path, &body).await
    }

    /// Mounts everything, as an installer would.
    async fn set_up(&self, stage: &Stage) {
        let policy = policy(stage);
        let Stage { transit, engine, auth, .. } = stage;
        let login = auth.strip_prefix("auth/").unwrap();
        self.put(&format!("sys/mounts/{transit}"), json!({"type": "transit"})).await;
        let versions = json!({"type": "kv", "options": {"version": "2"}});
        self.put(&format!("sys/mounts/{engine}"), versions).await;
        self.put(&format!("sys/auth/{login}"), json!({"type": "jwt"})).await;
        self.put(&format!("{transit}/keys/metadata-api"), json!({"derived": true})).await;

        let keys = json!({"jwt_validation_pubkeys": [PUBLIC], "jwt_supported_algs": ["EdDSA"]});
        self.put(&format!("{auth}/config"), keys).await;
        let mounts = self.send(reqwest::Method::GET, "sys/auth", &json!(null)).await;
        let accessor = mounts["data"][format!("{login}/")]["accessor"].as_str().unwrap().to_owned();
        let alias =
            |claim: &str| format!("{{{{identity.entity.aliases.{accessor}.metadata.{claim}}}}}");
        let (tenant, domain) = (alias("tenant_id"), alias("domain_id"));
        let rules = [
            ("data", "workflows", &tenant, "read"),
            ("metadata", "workflows", &tenant, "list"),
            ("data", "connections", &domain, "read"),
            ("metadata", "connections", &domain, "list"),
        ];
        let rules = rules.map(|(part, kind, holder, what)| {
            format!(
                "path \"{engine}/{part}/{kind}/{holder}/*\" {{ capabilities = [\"{what}\"] }}\n"
            )
        });
        self.put(&format!("sys/policies/acl/{policy}"), json!({"policy": rules.concat()})).await;
        let role = json!({
            "role_type": "jwt",
            "bound_audiences": ["k8s.relay.sh/metadata-api/v1"],
            // The name of a claim, or with a slash in front a path to it.
            "user_claim": "relay.sh/tenant-id",
            "claim_mappings": {
                "relay.sh/tenant-id": "tenant_id", "relay.sh/domain-id": "domain_id",
            },
            "token_type": "batch",
            "token_policies": [policy],
        });
        self.put(&format!("{auth}/role/tenant"), role).await;
        // The engine takes a moment to become one of version 2.
        let ready = format!("{engine}/config");
        for _ in 0..50 {
            let url = format!("{}/v1/{ready}", self.address);
            let asked = self.http.get(url).header("X-Vault-Token", &self.token).send().await;
            if asked.unwrap().status().is_success() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        for (path, data) in entries() {
            let path: Vec<_> = path.split('/').map(encoded).collect();
            self.put(&format!("{engine}/data/{}", path.join("/")), json!({ "data": data })).await;
        }
    }

    /// Takes away what was set up.
    pub(crate) async fn clear(&self, stage: &Stage) {
        let policy = policy(stage);
        let nothing = json!(null);
        for path in [
            format!("sys/mounts/{}", stage.transit),
            format!("sys/mounts/{}", stage.engine),
            format!("sys/{}", stage.auth),
            format!("sys/policies/acl/{policy}"),
        ] {
            self.send(reqwest::Method::DELETE, &path, &nothing).await;
        }
    }
}

/// The name of the policy of callers.
fn policy(stage: &Stage) -> String {
    format!("relay-{}", stage.engine)
}

fn encoded(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}
