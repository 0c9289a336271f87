use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{VaultClient, VaultError, VaultPath};

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(30);

impl VaultClient {
    /// Renews the token of this process each time that two thirds of its time are over. Ends where
    /// there is nothing to renew: no token, one that does not end, one that cannot be renewed.
    ///
    /// The policy that every token has by default allows it.
    pub async fn keep_token(self) {
        while self.has_token() {
            let pause = match self.renewal().await {
                Ok(Some(pause)) => pause,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "could not look at the token for Vault");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            tokio::time::sleep(pause).await;
            if let Err(error) = self.renew().await {
                tracing::warn!(%error, "could not renew the token for Vault");
                tokio::time::sleep(pause.min(PAUSE)).await;
            }
        }
    }

    /// When to renew the token.
    async fn renewal(&self) -> Result<Option<Duration>, VaultError> {
        #[derive(Deserialize)]
        struct Found {
            data: Token,
        }
        #[derive(Deserialize)]
        struct Token {
            ttl: u64,
            #[serde(default)]
            renewable: bool,
        }
        let Token { ttl, renewable } =
            self.read::<Found>(&VaultPath::new("auth/token/lookup-self")?).await?.data;
        if ttl > 0 && !renewable {
            tracing::warn!(seconds = ttl, "the token for Vault ends and cannot be renewed");
        }
        let pause = Duration::from_secs(ttl).mul_f64(2.0 / 3.0).max(Duration::from_secs(1));
        Ok((ttl > 0 && renewable).then_some(pause))
    }

    async fn renew(&self) -> Result<(), VaultError> {
        let path = VaultPath::new("auth/token/renew-self")?;
        self.write::<serde::de::IgnoredAny>(&path, &json!({})).await.map(drop)
    }
}
