//! The keys of tokens from directories of files, as Secrets are mounted (`design.md` decision 6). They
//! are read again when they change, so that a key is rotated without a restart.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use relay_core::{
    Claims, KeyError, SealError, SealKeys, TokenError, TokenSealer, TokenVerifier, VerifyingKeys,
};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::followed::{Followed, Source};
use crate::metrics::Metrics;

/// The keys that unseal tokens: a file for each, named by its id, with 32 bytes or their base64.
pub type SealKeyFiles = KeyFiles<SealKeys>;

/// The keys that verify tokens: a PEM for each, named by its id; Ed25519, P-256 or RSA.
pub type VerifyingKeyFiles = KeyFiles<VerifyingKeys>;

/// Keys from the files of a directory, each named by the key's id.
///
/// ```no_run
/// # fn example(router: &relay_metadata::Router) -> Result<(), relay_metadata::KeyFilesError> {
/// use relay_metadata::SealKeyFiles;
///
/// let keys = SealKeyFiles::read("/var/run/secrets/relay.sh/seal-keys")?;
/// tokio::spawn(keys.clone().follow(router.metrics()));
/// # Ok(()) }
/// ```
pub struct KeyFiles<K: Keys>(Arc<Followed<Directory<K>>>);

/// Keys that files hold.
pub trait Keys: sealed::Parse + Send + Sync + 'static {}

impl Keys for SealKeys {}
impl Keys for VerifyingKeys {}

mod sealed {
    use super::{KeyFile, KeyFilesError};

    pub trait Parse: Sized {
        const NAME: &'static str;

        fn parse(files: &[KeyFile]) -> Result<Self, KeyFilesError>;
    }
}

/// A key as it was read: its id, and what the file holds.
pub(crate) type KeyFile = (String, Zeroizing<Vec<u8>>);

/// Why a directory holds no keys that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFilesError {
    /// It cannot be read.
    #[error("could not read the keys in {path}")]
    Read {
        /// The directory.
        path: PathBuf,
        /// The failure.
        #[source]
        source: io::Error,
    },
    /// There is no file in it.
    #[error("there are no keys in {path}")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A file holds no key to unseal with.
    #[error("the key {id:?} to unseal with is not 32 bytes, nor base64 of them")]
    Seal {
        /// The name of the file.
        id: String,
    },
    /// A file holds no key to verify with.
    #[error("a key to verify with cannot be used")]
    Verify(#[source] KeyError),
}

impl<K: Keys> KeyFiles<K> {
    /// Reads the files once; [`KeyFiles::follow`] goes on with that.
    ///
    /// # Errors
    ///
    /// When there are none, or one holds no key.
    pub fn read(directory: impl Into<PathBuf>) -> Result<Self, KeyFilesError> {
        let directory = Directory { path: directory.into(), kind: PhantomData };
        Followed::new(directory).map(|followed| Self(Arc::new(followed)))
    }

    /// Looks at the files again and again, for ever, and takes over what has changed. If any of them
    /// cannot be used, all keys stay as they were, and log and numbers say so.
    ///
    /// A pod whose token was verified with a key that is gone stays known until the pod changes.
    pub async fn follow(self, metrics: Metrics) {
        self.0.follow(&metrics).await;
    }
}

/// A directory with a file for each key.
struct Directory<K> {
    path: PathBuf,
    kind: PhantomData<fn() -> K>,
}

impl<K: Keys> Source for Directory<K> {
    type Contents = Vec<KeyFile>;
    type Value = K;
    type Error = KeyFilesError;

    fn name(&self) -> &'static str {
        K::NAME
    }

    fn count(files: &Vec<KeyFile>) -> Option<usize> {
        Some(files.len())
    }

    fn read(&self) -> Result<Vec<KeyFile>, KeyFilesError> {
        // A mount that changes in between takes its old files away: then there are new ones.
        let files = files(&self.path).or_else(|_| files(&self.path));
        let files =
            files.map_err(|source| KeyFilesError::Read { path: self.path.clone(), source })?;
        if files.is_empty() {
            return Err(KeyFilesError::Empty { path: self.path.clone() });
        }
        Ok(files)
    }

    fn parse(&self, files: &Vec<KeyFile>) -> Result<K, KeyFilesError> {
        K::parse(files)
    }
}

/// The files of a directory by name. A mount keeps versions of them, and a link to the one that
/// counts: all files are read from the same.
fn files(directory: &Path) -> io::Result<Vec<KeyFile>> {
    let version = std::fs::canonicalize(directory.join("..data"));
    let directory = version.as_deref().unwrap_or(directory);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || !entry.path().is_file() {
            continue;
        }
        files.push((name, Zeroizing::new(std::fs::read(entry.path())?)));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

impl sealed::Parse for SealKeys {
    const NAME: &'static str = "seal-keys";

    fn parse(files: &[KeyFile]) -> Result<Self, KeyFilesError> {
        let key = |(id, bytes): &KeyFile| {
            let key = relay_core::seal::key_of(bytes);
            let key = key.ok_or_else(|| KeyFilesError::Seal { id: id.clone() })?;
            Ok((id.clone(), key))
        };
        Ok(Self::new(files.iter().map(key).collect::<Result<Vec<_>, KeyFilesError>>()?))
    }
}

impl sealed::Parse for VerifyingKeys {
    const NAME: &'static str = "verification-keys";

    fn parse(files: &[KeyFile]) -> Result<Self, KeyFilesError> {
        let pems = files.iter().map(|(id, pem)| (id.as_str(), pem.as_slice()));
        Self::from_pems(pems).map_err(KeyFilesError::Verify)
    }
}

#[async_trait]
impl TokenSealer for SealKeyFiles {
    async fn seal(&self, namespace_uid: &str, token: &SecretString) -> Result<String, SealError> {
        self.0.current().seal(namespace_uid, token).await
    }

    async fn unseal(&self, namespace_uid: &str, sealed: &str) -> Result<SecretString, SealError> {
        self.0.current().unseal(namespace_uid, sealed).await
    }
}

#[async_trait]
impl TokenVerifier for VerifyingKeyFiles {
    async fn verify(&self, token: &SecretString) -> Result<Claims, TokenError> {
        self.0.current().verify(token).await
    }
}

impl<K: Keys> Clone for KeyFiles<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Keys> fmt::Debug for KeyFiles<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFiles").field(&self.0).finish()
    }
}

impl<K: Keys> fmt::Debug for Directory<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(K::NAME).field("path", &self.path).finish()
    }
}
