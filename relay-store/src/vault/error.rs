/// Why Vault did not do what it was asked. Holds no token and no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The text is no address of HTTP.
    #[error("the address of Vault is no http or https URL")]
    Address,
    /// The text is no path in Vault.
    #[error("{path:?} is no path in Vault: {problem}")]
    Path {
        /// The text.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A setting cannot be used.
    #[error("{variable} cannot be used: {problem}")]
    Setting {
        /// The variable that it came from.
        variable: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS cannot be set up.
    #[error("the client of Vault could not be made")]
    Client(#[source] reqwest::Error),
    /// It could not be reached, or broke off.
    #[error("Vault could not be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It did not answer in time.
    #[error("Vault did not answer in time")]
    Timeout,
    /// It refused, or failed.
    #[error("Vault answered {status}{said}")]
    Status {
        /// The status of the answer.
        status: u16,
        /// What it said about it, behind a colon; empty where it said nothing.
        said: String,
    },
    /// It let a token log in, and gave none for it.
    #[error("Vault gave no token")]
    NoAuth,
    /// What it answered is not what it has to.
    #[error("the answer of Vault is not understood: {0}")]
    Answer(&'static str),
}

impl VaultError {
    /// The status, where there was an answer that was no success.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether Vault understood and said no: 4xx, but for being asked too often.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| (400..500).contains(&status) && status != 429)
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            // 501: it was never set up.
            Self::Status { status, .. } => *status >= 500 && *status != 501,
            Self::Unreachable(_) => true,
            _ => false,
        }
    }
}
