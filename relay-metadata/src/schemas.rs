//! What the specs of steps look like: JSON Schemas, by the repository of their image
//! (`metadata-api.md` §4.11).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use relay_core::Value;
use serde::Deserialize;
use tokio::sync::watch;

use crate::error::Chain;

/// How long after a failure the document is asked for again, at first.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long one request for it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest document.
const LONGEST: usize = 16 << 20;
/// How many violations are looked at.
const MOST: usize = 64;

/// Schemas by repository, such as `acme/deploy` for the image `registry:5000/acme/deploy:3`. Clones
/// share them.
///
/// Nothing but the document itself is ever fetched: a schema that refers to another address cannot be
/// used, and says so.
///
/// ```
/// use relay_metadata::StepSchemas;
///
/// let schemas = StepSchemas::default();
/// schemas.add(r#"[{"publish": {"repository": "acme/deploy"}, "schemas": {"spec": {"required": ["to"]}}}]"#)?;
/// # Ok::<(), relay_metadata::SchemaError>(())
/// ```
#[derive(Clone, Default)]
pub struct StepSchemas(Arc<Shared>);

#[derive(Default)]
struct Shared {
    by_repository: RwLock<HashMap<String, Arc<Schema>>>,
    /// Whether the document was asked for once, whatever came of it.
    asked: watch::Sender<bool>,
}

/// A schema, made ready when it is first used: most are not.
struct Schema {
    written: serde_json::Value,
    ready: OnceLock<Result<Validator, String>>,
}

/// Why there are no new schemas.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The address is none.
    #[error("the address of the step metadata is no http or https URL")]
    Address,
    /// The document did not come.
    #[error("could not fetch the step metadata")]
    Fetch(#[source] reqwest::Error),
    /// The answer was another one.
    #[error("could not fetch the step metadata: the answer was {0}")]
    Status(u16),
    /// There is too much of it.
    #[error("the step metadata are longer than {LONGEST} bytes")]
    TooLong,
    /// It is no list of steps.
    #[error("the step metadata are no list of steps")]
    Document(#[source] serde_json::Error),
}

impl StepSchemas {
    /// Adds the schemas of a document: a list of steps with `publish.repository` and `schemas.spec`.
    /// Steps without either are passed over, and schemas that are known and not in it stay.
    ///
    /// # Errors
    ///
    /// When the text is no JSON, or no list.
    pub fn add(&self, document: &str) -> Result<(), SchemaError> {
        let steps: Vec<serde_json::Value> =
            serde_json::from_str(document).map_err(SchemaError::Document)?;
        // One bad step must not hide the others.
        let steps = steps.into_iter().filter_map(|step| serde_json::from_value::<Step>(step).ok());
        let schemas = steps.filter_map(|step| {
            let written = step.schemas.spec.filter(|schema| *schema != serde_json::json!({}))?;
            let schema = Schema { written, ready: OnceLock::new() };
            Some((step.publish.repository, Arc::new(schema)))
        });
        let schemas: Vec<_> = schemas.collect();
        let mut known = self.0.by_repository.write().unwrap_or_else(PoisonError::into_inner);
        for (repository, schema) in schemas {
            match known.get(&repository) {
                Some(old) if old.written == schema.written => {}
                _ => drop(known.insert(repository, schema)),
            }
        }
        Ok(())
    }

    /// Fetches the document at this address now, and after each such time again, for ever. While it
    /// cannot be had, what is known stays.
    ///
    /// # Errors
    ///
    /// At once, when the address is none.
    pub async fn follow(self, address: &str, every: Duration) -> Result<(), SchemaError> {
        let mut source = Source::new(address)?;
        let mut pause = FIRST_PAUSE;
        loop {
            let fetched = source.fetch().await.and_then(|document| match document {
                Some(document) => self.add(&document),
                None => Ok(()),
            });
            self.0.asked.send_replace(true);
            let wait = match fetched {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    every
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the schemas of steps stay as they are");
                    source.unchanged = HeaderMap::new();
                    let wait = pause.min(every);
                    pause = pause.saturating_mul(2);
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Completes once [`StepSchemas::follow`] has asked for the document, whatever came of it.
    pub async fn asked(&self) {
        let mut asked = self.0.asked.subscribe();
        // The sender is ours, and lives as long as we do.
        drop(asked.wait_for(|asked| *asked).await);
    }

    /// What is wrong with a spec, in the words of its schema and without any of its values, which may
    /// be secret. Nothing is, where there is no schema.
    pub(crate) fn check(&self, repository: &str, spec: &Value) -> Result<(), String> {
        let known = self.0.by_repository.read().unwrap_or_else(PoisonError::into_inner);
        let Some(schema) = known.get(repository).cloned() else {
            return Ok(());
        };
        drop(known);
        let validator = schema.ready.get_or_init(|| schema.compile()).as_ref();
        let validator = validator
            .map_err(|problem| format!("the schema of {repository} cannot be used: {problem}"))?;
        let spec = serde_json::to_value(spec).map_err(|_| "the spec is no JSON".to_owned())?;
        let mut violations = Violations::default();
        for error in validator.iter_errors(&spec).take(MOST) {
            violations.collect(&error);
        }
        violations.into_text()
    }
}

impl fmt::Debug for StepSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.by_repository.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("StepSchemas").field("known", &known.len()).finish_non_exhaustive()
    }
}

impl Schema {
    fn compile(&self) -> Result<Validator, String> {
        let options = jsonschema::options().offline();
        let options = match self.written.get("$schema") {
            Some(_) => options,
            // What was usual when these documents came about.
            None => options.with_draft(Draft::Draft7),
        };
        options.build(&self.written).map_err(|error| error.to_string())
    }
}

#[derive(Deserialize)]
struct Step {
    publish: Publish,
    schemas: Schemas,
}

#[derive(Deserialize)]
struct Publish {
    repository: String,
}

#[derive(Deserialize)]
struct Schemas {
    spec: Option<serde_json::Value>,
}

/// Where the document is, and what the last answer said of its age.
struct Source {
    client: reqwest::Client,
    url: reqwest::Url,
    unchanged: HeaderMap,
}

impl Source {
    fn new(address: &str) -> Result<Self, SchemaError> {
        let url = reqwest::Url::parse(address).map_err(|_| SchemaError::Address)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(SchemaError::Address);
        }
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        Ok(Self { client: client.map_err(SchemaError::Fetch)?, url, unchanged: HeaderMap::new() })
    }

    /// The document; `None` where it is the same as before.
    async fn fetch(&mut self) -> Result<Option<String>, SchemaError> {
        let failed = |error: reqwest::Error| SchemaError::Fetch(error.without_url());
        let request = self.client.get(self.url.clone()).headers(self.unchanged.clone());
        let mut answer = request.send().await.map_err(failed)?;
        match answer.status() {
            StatusCode::NOT_MODIFIED => return Ok(None),
            status if !status.is_success() => return Err(SchemaError::Status(status.as_u16())),
            _ => {}
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > LONGEST {
                return Err(SchemaError::TooLong);
            }
        }
        self.unchanged = [
            (header::IF_MODIFIED_SINCE, header::LAST_MODIFIED),
            (header::IF_NONE_MATCH, header::ETAG),
        ]
        .into_iter()
        .filter_map(|(ask, said)| Some((ask, answer.headers().get(said)?.clone())))
        .collect();
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// Violations as lines. Those that only say which of several schemas did not fit are left out where
/// others say what was wrong.
#[derive(Default)]
struct Violations {
    lines: BTreeSet<String>,
    structural: BTreeSet<String>,
}

impl Violations {
    fn collect(&mut self, error: &ValidationError<'_>) {
        match error.kind() {
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                self.structural.insert(line(error));
                // The one that was meant is the one that nearly fits.
                let nearest = context.iter().min_by_key(|branch| branch.len());
                nearest.into_iter().flatten().for_each(|error| self.collect(error));
            }
            ValidationErrorKind::OneOfMultipleValid { .. }
            | ValidationErrorKind::Not { .. }
            | ValidationErrorKind::FalseSchema => {
                self.structural.insert(line(error));
            }
            _ => {
                self.lines.insert(line(error));
            }
        }
    }

    fn into_text(self) -> Result<(), String> {
        let lines = if self.lines.is_empty() { self.structural } else { self.lines };
        if lines.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = lines.into_iter().collect();
        Err(format!("typeutil: validation error:\n{}", lines.join("\n")))
    }
}

fn line(error: &ValidationError<'_>) -> String {
    let pointer = error.instance_path().as_str();
    let field = match pointer.strip_prefix('/') {
        Some(path) => path.split('/').map(unescaped).collect::<Vec<_>>().join("."),
        None => "(root)".to_owned(),
    };
    // What a spec holds may be secret.
    format!("* {field}: {}", error.masked())
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
