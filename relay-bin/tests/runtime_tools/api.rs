//! The real metadata API, with a log service that tests look into.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use relay_core::{
    Action, Claims, Hs256Key, LogMessage, LogSink, MemoryDefinition, MemoryJournal, StoreError,
    Stores, TokenSigner as _,
};
use relay_metadata::{Router, TokenAuthenticator};
use secrecy::ExposeSecret as _;

/// How a log service takes what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Willing,
    /// It takes requests and never answers.
    Silent,
    /// It fails each request.
    Broken,
}

#[derive(Debug, Default)]
pub(crate) struct Logs {
    mood: Mood,
    kept: Mutex<BTreeMap<String, Vec<Vec<u8>>>>,
}

impl Logs {
    pub(crate) fn messages(&self, name: &str) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    async fn answer(&self) -> Result<(), StoreError> {
        match self.mood {
            Mood::Willing => Ok(()),
            Mood::Silent => std::future::pending().await,
            Mood::Broken => {
                Err(StoreError::Backend { doing: "log".to_owned(), source: "broken".into() })
            }
        }
    }
}

#[async_trait]
impl LogSink for Logs {
    async fn create(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.answer().await?;
        self.kept.lock().unwrap().insert(name.to_owned(), Vec::new());
        Ok(Some(name.to_owned()))
    }

    async fn append(&self, log: &str, message: LogMessage) -> Result<Option<String>, StoreError> {
        self.kept.lock().unwrap().get_mut(log).unwrap().push(message.payload);
        Ok(Some("one".to_owned()))
    }
}

/// An API with one step, and the URL by which that step knows it.
pub(crate) async fn serve(mood: Mood) -> (String, Arc<Logs>) {
    let logs = Arc::new(Logs { mood, ..Logs::default() });
    let step = Action::step("run-1".parse().unwrap(), "print".parse().unwrap());
    let stores = Stores {
        definition: Some(Arc::new(MemoryDefinition::default())),
        journal: Some(Arc::new(MemoryJournal::new().for_step("print".parse().unwrap()))),
        logs: Some(Arc::clone(&logs) as _),
        ..Stores::default()
    };
    let key = Arc::new(Hs256Key::generate());
    let token = key.sign(&Claims::for_action(&step)).await.unwrap();
    let callers = Arc::new(HashMap::from([(step, stores)]));
    let router = Router::new(Arc::new(TokenAuthenticator::new(key, callers)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://:{}@{}", token.expose_secret(), listener.local_addr().unwrap());
    tokio::spawn(router.serve(listener, std::future::pending()));
    (url, logs)
}
