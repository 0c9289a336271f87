use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Identity};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::VaultError;

/// How to reach Vault.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VaultOptions {
    /// The token of this process; none where an agent between adds it.
    pub token: Option<SecretString>,
    /// The namespace of Vault that paths are in.
    pub namespace: Option<String>,
    /// Certificates of authorities, as PEM. Where there are any, no others are trusted.
    pub authorities: Vec<Vec<u8>>,
    /// Certificate and key of this process, as one PEM.
    pub identity: Option<SecretSlice<u8>>,
    /// How long one request may take, with all its attempts.
    pub patience: Duration,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            token: None,
            namespace: None,
            authorities: Vec::new(),
            identity: None,
            patience: Duration::from_secs(10),
        }
    }
}

impl VaultOptions {
    /// From the variables that Vault's own tools read: `VAULT_TOKEN`, `VAULT_NAMESPACE`,
    /// `VAULT_CACERT` (a file), `VAULT_CAPATH` (a directory of files), `VAULT_CLIENT_CERT` and
    /// `VAULT_CLIENT_KEY`. An empty one counts as none.
    ///
    /// # Errors
    ///
    /// When a file that they name cannot be read.
    pub fn from_variables(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, VaultError> {
        let given = |name| variable(name).filter(|text| !text.is_empty());
        let mut options = Self {
            token: given("VAULT_TOKEN").map(SecretString::from),
            namespace: given("VAULT_NAMESPACE"),
            ..Self::default()
        };
        // As Vault's own client does: a file before a directory.
        if let Some(file) = given("VAULT_CACERT") {
            options.authorities.push(read("VAULT_CACERT", file.as_ref())?);
        } else if let Some(directory) = given("VAULT_CAPATH") {
            options.authorities = read_all("VAULT_CAPATH", directory.as_ref())?;
        }
        options.identity = match (given("VAULT_CLIENT_CERT"), given("VAULT_CLIENT_KEY")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let mut pem = read("VAULT_CLIENT_CERT", certificate.as_ref())?;
                pem.push(b'\n');
                pem.extend_from_slice(&Zeroizing::new(read("VAULT_CLIENT_KEY", key.as_ref())?));
                Some(SecretSlice::from(pem))
            }
            (Some(_), None) => return Err(alone("VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY")),
            (None, Some(_)) => return Err(alone("VAULT_CLIENT_KEY", "VAULT_CLIENT_CERT")),
        };
        Ok(options)
    }

    pub(super) fn authorities(&self) -> Result<Vec<Certificate>, VaultError> {
        let mut certificates = Vec::new();
        for pem in &self.authorities {
            certificates.extend(Certificate::from_pem_bundle(pem).map_err(VaultError::Client)?);
        }
        Ok(certificates)
    }

    pub(super) fn identity(&self) -> Result<Option<Identity>, VaultError> {
        let identity = self.identity.as_ref().map(|pem| Identity::from_pem(pem.expose_secret()));
        identity.transpose().map_err(VaultError::Client)
    }
}

fn alone(variable: &'static str, other: &str) -> VaultError {
    VaultError::Setting { variable, problem: format!("{other} has to be set as well") }
}

fn unreadable(variable: &'static str, path: &Path, error: &std::io::Error) -> VaultError {
    VaultError::Setting { variable, problem: format!("{}: {error}", path.display()) }
}

fn read(variable: &'static str, file: &Path) -> Result<Vec<u8>, VaultError> {
    std::fs::read(file).map_err(|error| unreadable(variable, file, &error))
}

fn read_all(variable: &'static str, directory: &Path) -> Result<Vec<Vec<u8>>, VaultError> {
    let failed = |error: std::io::Error| unreadable(variable, directory, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.is_file() {
            files.push(read(variable, &file)?);
        }
    }
    Ok(files)
}
