//! Actions: the steps and triggers that call the metadata API, and the hash that identifies each
//! (`metadata-api.md` §3.3).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

/// Why a text is no name of a run, step or trigger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The empty text.
    #[error("a {0} must not be empty")]
    Empty(&'static str),
    /// The name is blank, or holds a control character such as a line feed.
    #[error("the {kind} {name:?} must hold something to see, and no control characters")]
    Invisible {
        /// What the text was to be.
        kind: &'static str,
        /// The text.
        name: String,
    },
    /// The name has empty, `.` or `..` segments, which would hash like another name.
    #[error("the {kind} {name:?} must not hold empty, \".\" or \"..\" segments")]
    Segments {
        /// What the text was to be.
        kind: &'static str,
        /// The text.
        name: String,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses the name.
            ///
            /// # Errors
            ///
            /// When it is blank, holds control characters, or has empty, `.` or `..` segments between
            /// slashes.
            pub fn new(name: &str) -> Result<Self, NameError> {
                if name.is_empty() {
                    return Err(NameError::Empty($kind));
                }
                if name.trim().is_empty() || name.contains(char::is_control) {
                    return Err(NameError::Invisible { kind: $kind, name: name.to_owned() });
                }
                if name.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
                    return Err(NameError::Segments { kind: $kind, name: name.to_owned() });
                }
                Ok(Self(name.into()))
            }

            /// The name as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(&name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The id of a run: the name of its `Run` object.
    RunId,
    "run id"
);
name!(
    /// The name of a step, unique in its workflow.
    StepName,
    "step name"
);
name!(
    /// The name of a webhook trigger.
    TriggerName,
    "trigger name"
);

/// What calls the metadata API: a step of a run, or a trigger.
///
/// ```
/// use relay_core::{Action, RunId, StepName};
///
/// let action = Action::step(RunId::new("1234")?, StepName::new("foo")?);
/// assert_eq!(action.subject(), "steps/d8f2b95591405de46bc7d29a5f3e98c33077b5fb");
/// # Ok::<(), relay_core::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A step.
    Step {
        /// The run that the step belongs to.
        run: RunId,
        /// Its name.
        name: StepName,
    },
    /// A trigger.
    Trigger {
        /// Its name.
        name: TriggerName,
    },
}

impl Action {
    /// The step of this name in this run.
    #[must_use]
    pub fn step(run: RunId, name: StepName) -> Self {
        Self::Step { run, name }
    }

    /// The SHA-1 of the action's path: `runs/RUN/steps/NAME` or `triggers/NAME`.
    #[must_use]
    pub fn hash(&self) -> ActionHash {
        let mut hasher = Sha1::new();
        match self {
            Self::Step { run, name } => {
                hasher.update("runs/");
                hasher.update(run.as_str());
                hasher.update("/steps/");
                hasher.update(name.as_str());
            }
            Self::Trigger { name } => {
                hasher.update("triggers/");
                hasher.update(name.as_str());
            }
        }
        ActionHash(hasher.finalize().into())
    }

    /// `steps` or `triggers`: the first part of subjects and `ConfigMap` keys.
    #[must_use]
    pub fn plural(&self) -> &'static str {
        match self {
            Self::Step { .. } => "steps",
            Self::Trigger { .. } => "triggers",
        }
    }

    /// The subject of the action's token: plural and hash.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{}/{}", self.plural(), self.hash())
    }

    /// `runs/RUN/steps/NAME` or `triggers/NAME`.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Step { run, name } => format!("runs/{run}/steps/{name}"),
            Self::Trigger { name } => format!("triggers/{name}"),
        }
    }

    /// The name of the step or trigger.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Step { name, .. } => name.as_str(),
            Self::Trigger { name } => name.as_str(),
        }
    }
}

/// The hash of an action, printed as 40 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionHash([u8; 20]);

impl fmt::Display for ActionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 40];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ActionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_the_published_vectors() {
        for (run, step, hash) in [
            ("1234", "foo", "d8f2b95591405de46bc7d29a5f3e98c33077b5fb"),
            ("42", "package", "721174bd57de54c61dcf20080c0e41d4b032e3e3"),
            ("r", "with space", "989680283c4edc854cd57c1bd14a26e98967d9bd"),
            ("r", "a/b", "46325a3c5fc2ae85a972cc078bf7b3312ab4f8c1"),
        ] {
            let action = Action::step(run.parse().unwrap(), step.parse().unwrap());
            assert_eq!(action.hash().to_string(), hash, "{run}/{step}");
        }
        let trigger = Action::Trigger { name: "on-push".parse().unwrap() };
        assert_eq!(trigger.subject(), "triggers/c34c65c34e10dc3751472186b9caea36764a8b27");
    }

    #[test]
    fn names_that_would_hash_like_others_are_refused() {
        for name in ["", " ", "a\nb", "a\u{1b}[31m", "../x", "a//b", "/a", "a/.", "a/"] {
            assert!(StepName::new(name).is_err(), "{name:?}");
        }
    }
}
