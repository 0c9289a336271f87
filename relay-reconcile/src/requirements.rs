//! What has to be installed before controllers can work.

use std::time::Duration;

use kube::{Client, Resource};
use relay_model::tekton::{CustomRun, PipelineRun, TaskRun};
use relay_model::v1beta1::{Run, Tenant, Workflow};
use tracing::{info, warn};

/// The first and the longest pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// Waits until the API server serves every kind that controllers watch, and says in the log which
/// ones it waits for. An API server that cannot be reached is waited for too.
pub async fn wait_for_kinds(client: &Client) {
    let mut pause = PAUSE;
    let mut said = None;
    loop {
        match missing_kinds(client).await {
            Ok(missing) if missing.is_empty() => {
                if said.is_some() {
                    info!("everything needed is installed");
                }
                return;
            }
            Ok(missing) => {
                let missing = missing.join(", ");
                if said.as_ref() != Some(&missing) {
                    warn!(
                        missing,
                        "waiting for definitions: install Tekton Pipelines and manifests/crds"
                    );
                    said = Some(missing);
                    pause = PAUSE;
                }
            }
            Err(error) => {
                let error = error.to_string();
                if said.as_ref() != Some(&error) {
                    warn!(error, "waiting for the API server");
                    said = Some(error);
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(MAX_PAUSE);
    }
}

/// The kinds that are not served, as `PLURAL.GROUP/VERSION`. Discovery needs no permissions of its
/// own, unlike definitions.
async fn missing_kinds(client: &Client) -> kube::Result<Vec<String>> {
    fn kind<K: Resource<DynamicType = ()>>() -> (String, String) {
        (K::api_version(&()).into_owned(), K::plural(&()).into_owned())
    }
    let needed = [
        kind::<Run>(),
        kind::<Tenant>(),
        kind::<Workflow>(),
        kind::<PipelineRun>(),
        kind::<TaskRun>(),
        kind::<CustomRun>(),
    ];
    let mut missing = Vec::new();
    for (version, plural) in needed {
        let served = match client.list_api_group_resources(&version).await {
            Ok(list) => list.resources.iter().any(|resource| resource.name == plural),
            Err(kube::Error::Api(status)) if status.code == 404 => false,
            Err(error) => return Err(error),
        };
        if !served {
            missing.push(match version.split_once('/') {
                Some((group, version)) => format!("{plural}.{group}/{version}"),
                None => plural,
            });
        }
    }
    Ok(missing)
}
