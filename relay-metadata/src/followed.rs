//! What is read from files, and read again when they change: certificates and keys end before
//! processes do.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::error::Chain;
use crate::metrics::Metrics;

/// How often the files are looked at. They are read whole: a mounted Secret changes by a link, and its
/// times and sizes may stay as they were.
const INTERVAL: Duration = Duration::from_secs(10);

/// Files, and what they say.
pub(crate) trait Source: fmt::Debug + Send + Sync + 'static {
    /// What they hold.
    type Contents: PartialEq + Send + Sync;
    /// What that means.
    type Value: Send + Sync;
    /// Why it means nothing.
    type Error: Error;

    /// A word for them, in logs and numbers.
    fn name(&self) -> &'static str;

    /// How many keys that is, where that is something to tell.
    fn count(_: &Self::Contents) -> Option<usize> {
        None
    }

    fn read(&self) -> Result<Self::Contents, Self::Error>;

    fn parse(&self, contents: &Self::Contents) -> Result<Self::Value, Self::Error>;
}

/// What files said when they could be used last, with what it was read from.
pub(crate) struct Followed<S: Source> {
    source: S,
    current: RwLock<(S::Contents, Arc<S::Value>)>,
}

impl<S: Source> Followed<S> {
    /// Reads them once.
    pub(crate) fn new(source: S) -> Result<Self, S::Error> {
        let contents = source.read()?;
        let value = Arc::new(source.parse(&contents)?);
        Ok(Self { source, current: RwLock::new((contents, value)) })
    }

    pub(crate) fn current(&self) -> Arc<S::Value> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Looks at the files again and again, for ever, and takes over what has changed. What cannot be
    /// used is told, once for each trouble, and what was before it stays.
    pub(crate) async fn follow(&self, metrics: &Metrics) {
        let files = self.source.name();
        metrics.files_read(files, self.count());
        let mut told = None;
        loop {
            tokio::time::sleep(INTERVAL).await;
            match self.reload() {
                Ok(is_new) => {
                    if is_new {
                        tracing::info!(files, "what was read anew is in use");
                        metrics.files_changed(files, true);
                    }
                    metrics.files_read(files, self.count());
                    told = None;
                }
                Err(error) => {
                    metrics.files_changed(files, false);
                    let trouble = Chain(&error).to_string();
                    if told.as_ref() != Some(&trouble) {
                        tracing::warn!(files, error = trouble, "what was read before stays in use");
                        told = Some(trouble);
                    }
                }
            }
        }
    }

    /// Whether there was something new.
    fn reload(&self) -> Result<bool, S::Error> {
        let contents = self.source.read()?;
        let is_known = self.current.read().unwrap_or_else(PoisonError::into_inner).0 == contents;
        if is_known {
            return Ok(false);
        }
        let value = Arc::new(self.source.parse(&contents)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (contents, value);
        Ok(true)
    }

    fn count(&self) -> Option<usize> {
        S::count(&self.current.read().unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl<S: Source> fmt::Debug for Followed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Followed").field(&self.source).finish()
    }
}
