//! What all attempts share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use relay_core::Clock;
use relay_tools::client::Connections;
use tokio::sync::{Semaphore, mpsc};

use super::config_map::ConfigMaps;
use super::credentials::Credentials;
use crate::executor::{ExecutorOptions, StepNews, open_files};

/// The variable by which a step knows the metadata API, and itself to it.
pub(super) const METADATA_API_URL: &str = "METADATA_API_URL";

/// What all attempts share.
pub(in crate::executor) struct Runtime {
    pub(super) client: Client,
    pub(super) http: Connections,
    pub(super) config_maps: ConfigMaps,
    pub(super) credentials: Credentials,
    pub(super) places: Arc<Semaphore>,
    /// The environment of this process, without what is meant for this process only.
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) work_dir: PathBuf,
    pub(super) tools_dir: PathBuf,
    pub(super) metadata_api: Option<SocketAddr>,
    pub(super) news: mpsc::Sender<StepNews>,
    pub(super) images: BTreeMap<String, PathBuf>,
    pub(super) grace: Duration,
    pub(super) keep: bool,
    pub(super) clock: Arc<dyn Clock>,
}

impl Runtime {
    pub(in crate::executor) fn new(client: Client, options: &ExecutorOptions) -> Self {
        let environment =
            std::env::vars_os().filter(|(name, _)| name != METADATA_API_URL).collect();
        Self {
            http: Connections::new(),
            config_maps: ConfigMaps::new(client.clone()),
            credentials: Credentials::new(client.clone(), Arc::clone(&options.sealer)),
            client,
            places: Arc::new(Semaphore::new(open_files::places(options.max_parallel))),
            environment,
            work_dir: options.work_dir.clone(),
            tools_dir: options.tools_dir.clone(),
            metadata_api: options.metadata_api,
            news: options.news.clone(),
            images: options.images.clone(),
            grace: options.grace,
            keep: options.keep,
            clock: Arc::clone(&options.clock),
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("work_dir", &self.work_dir).finish_non_exhaustive()
    }
}
