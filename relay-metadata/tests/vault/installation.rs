//! The metadata API of a cluster that has a Vault.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use relay_core::{Action, Claims, TokenSealer as _, VerifyingKeys};
use relay_metadata::Router;
use relay_metadata::cluster::{ClusterStores, PodAuthenticator, PodIndex};
use relay_store::{VaultLogin, key};
use secrecy::SecretString;
use serde_json::json;

use crate::double::PUBLIC;
use crate::stage::{Stage, token};
use crate::world::{World, step};

pub(crate) const BUILD: &str = "10.0.0.1";

pub(crate) struct Installation<'s> {
    pub(crate) world: World,
    pub(crate) stage: &'s Stage,
}

/// Who checks tokens.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Checks {
    Vault,
    Keys,
}

impl<'s> Installation<'s> {
    /// With the maps of a run, whose step `build` has a spec with secrets.
    pub(crate) async fn new(stage: &'s Stage, checks: Checks) -> Self {
        let mut world = World::new().await;
        world.clock.set(Timestamp::now().as_second());
        let (client, pods) = (world.client.clone(), PodIndex::new());
        tokio::spawn(pods.clone().run(client.clone()));
        let login = VaultLogin::new(stage.client(), &stage.auth, Some("tenant")).unwrap();
        let sinks = relay_store::sink_client().unwrap();
        let stores = ClusterStores::new(client.clone(), sinks).with_vault(login);
        let sealer = Arc::new(stage.transit().or(Arc::new(world.seal.clone())));
        let keys = VerifyingKeys::from_pems([("k", PUBLIC.as_bytes())]).unwrap();
        let authenticator = match checks {
            Checks::Vault => PodAuthenticator::checked_by_vault(client, pods, sealer, stores),
            Checks::Keys => PodAuthenticator::new(client, pods, sealer, Arc::new(keys), stores),
        };
        let authenticator = authenticator.with_clock(world.clock.clone());
        world.router = Router::new(Arc::new(authenticator)).with_clock(world.clock.clone());
        let spec = r#"{"a": "${secrets.pw}", "b": "${connections.http.api}", "c": "${secrets.none}",
            "d": {"$type": "Secret", "name": "deep/er"}}"#;
        world.map("r-immutable", &[(key::spec(&step("build")), spec.to_owned())]).await;
        world.map("r-mutable", &[]).await;
        Self { world, stage }
    }

    /// Claims of this action, valid now, which name a place in Vault.
    pub(crate) fn claims(&self, action: &Action) -> Claims {
        let now = Timestamp::now().as_second();
        Claims {
            not_before: Some(now - 5),
            expires_at: Some(now + 600),
            domain_id: Some("d1".to_owned()),
            vault_engine_path: Some(self.stage.engine.clone()),
            vault_secret_path: Some("workflows/w1".to_owned()),
            vault_connection_path: Some("connections/d1".to_owned()),
            ..self.world.claims(action)
        }
    }

    /// The claims as a token, sealed by Vault for the namespace of the tenant.
    pub(crate) async fn sealed(&self, claims: &Claims) -> String {
        self.sealed_for(&self.world.namespace_uid, token(claims).await).await
    }

    pub(crate) async fn sealed_for(&self, uid: &str, token: SecretString) -> String {
        self.stage.transit().seal(uid, &token).await.unwrap()
    }

    /// A pod of the step `build` with this token, which the API knows of.
    pub(crate) async fn pod(&self, namespace: &str, name: &str, ip: &str, sealed: &str) {
        let subject = step("build").subject();
        self.world.pod(namespace, name, ip, &subject, Some(sealed), json!({})).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    /// The pod of a step that is as it should be.
    pub(crate) async fn build(&self) {
        let sealed = self.sealed(&self.claims(&step("build"))).await;
        self.pod("tenant", "build", BUILD, &sealed).await;
    }
}
