//! Vault: which options turn it on, and what it is used for.

use clap::Args;
use relay_store::{VaultClient, VaultError, VaultLogin, VaultTransit};
use secrecy::SecretString;

use crate::Failure;
use crate::options::given;

/// Vault is used where any of these is given, or `VAULT_ADDR`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Vault")]
pub(crate) struct VaultOptions {
    /// The address of Vault, or of the agent beside it [default: port 8200 of this host]
    #[arg(long, value_name = "URL", env = "RELAY_METADATA_API_VAULT_ADDR")]
    vault_addr: Option<String>,

    /// Where tokens are unsealed, when that is another Vault [default: the address of Vault]
    #[arg(long, value_name = "URL", env = "RELAY_METADATA_API_VAULT_TRANSIT_URL")]
    vault_transit_url: Option<String>,

    /// The mount of the transit engine [default: transit]
    #[arg(long, value_name = "PATH", env = "RELAY_METADATA_API_VAULT_TRANSIT_PATH")]
    vault_transit_path: Option<String>,

    /// The key that tokens are sealed by [default: metadata-api]
    #[arg(long, value_name = "NAME", env = "RELAY_METADATA_API_VAULT_TRANSIT_KEY")]
    vault_transit_key: Option<String>,

    /// Where callers log in and their secrets are, when that is another Vault [default: the address
    /// of Vault]
    #[arg(long, value_name = "URL", env = "RELAY_METADATA_API_VAULT_AUTH_URL")]
    vault_auth_url: Option<String>,

    /// The JWT login of callers [default: auth/jwt]
    #[arg(long, value_name = "PATH", env = "RELAY_METADATA_API_VAULT_AUTH_PATH")]
    vault_auth_path: Option<String>,

    /// The role that they take there [default: that of Vault]
    #[arg(long, value_name = "NAME", env = "RELAY_METADATA_API_VAULT_AUTH_ROLE")]
    vault_auth_role: Option<String>,
}

/// A Vault in use.
pub(crate) struct Vault {
    /// Speaks to it as this process.
    pub(crate) client: VaultClient,
    pub(crate) transit: VaultTransit,
    pub(crate) login: VaultLogin,
}

impl VaultOptions {
    /// The Vault that was named, if one was. Nothing is sent to it yet.
    pub(crate) fn connect(&self) -> Result<Option<Vault>, Failure> {
        let address = variable("VAULT_ADDR");
        let token = ["RELAY_METADATA_API_VAULT_TRANSIT_TOKEN", "RELAY_METADATA_API_VAULT_TOKEN"];
        let token = token.into_iter().find_map(variable).map(SecretString::from);
        let options = [
            &self.vault_addr,
            &self.vault_transit_url,
            &self.vault_transit_path,
            &self.vault_transit_key,
            &self.vault_auth_url,
            &self.vault_auth_path,
            &self.vault_auth_role,
        ];
        let named = options.into_iter().any(|option| given(option.as_ref()).is_some());
        if !named && address.is_none() && token.is_none() {
            return Ok(None);
        }
        let address = given(self.vault_addr.as_ref()).or(address.as_deref());
        self.at(address.unwrap_or("http://localhost:8200"), token)
            .map(Some)
            .map_err(|error| Failure(format!("Vault cannot be used: {error}")))
    }

    fn at(&self, address: &str, token: Option<SecretString>) -> Result<Vault, VaultError> {
        let or = |option: &'_ Option<String>, default: &str| {
            given(option.as_ref()).unwrap_or(default).to_owned()
        };
        let mut options = relay_store::VaultOptions::from_variables(variable)?;
        options.token = token.or(options.token);
        let client = VaultClient::new(&or(&self.vault_transit_url, address), &options)?;
        let transit = VaultTransit::new(
            client.clone(),
            &or(&self.vault_transit_path, "transit"),
            &or(&self.vault_transit_key, "metadata-api"),
        )?;
        let login = VaultLogin::new(
            client.at(&or(&self.vault_auth_url, address))?,
            &or(&self.vault_auth_path, "auth/jwt"),
            given(self.vault_auth_role.as_ref()),
        )?;
        Ok(Vault { client, transit, login })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
