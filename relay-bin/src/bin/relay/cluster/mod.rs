//! Commands that speak to a cluster. What may be asked of a run, and what a file becomes there, is
//! decided in `relay-model`; here it is sent, and the answer shown.

mod answer;
mod apply;
mod crds;
mod follow;
mod launch;
mod logs;
mod masks;
mod problem;
mod screen;
mod status;
mod tail;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::Args;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use relay_model::annotation;
use relay_model::v1beta1::{Run, Workflow};
use relay_model::workflow_file::suggestion;

pub(crate) use answer::{Asked, Step, Target, ask};
pub(crate) use apply::{Options as Apply, apply};
pub(crate) use crds::crds;
pub(crate) use launch::{Options as Launch, launch};
pub(crate) use logs::{Options as Logs, logs};
pub(crate) use problem::Problem;
pub(crate) use status::{Options as Status, follow as follow_to_the_end, status};

/// Who changes objects, as the API server notes it.
const MANAGER: &str = "relay";

/// Which cluster, and where in it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Place {
    /// How to reach clusters; $KUBECONFIG or ~/.kube/config where no file is given
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,
    /// The context of that file to use
    #[arg(short = 'x', long, global = true, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,
    /// The namespace; that of the context where none is given
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Cluster")]
    namespace: Option<String>,
}

impl Place {
    /// The cluster, which is not spoken to yet.
    pub(crate) async fn connect(&self) -> Result<Cluster, Problem> {
        let mut config = self.config().await?;
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| Problem::place(&error))?;
        Ok(Cluster { client, namespace })
    }

    async fn config(&self) -> Result<Config, Problem> {
        let read = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let kubeconfig = match read {
            Ok(kubeconfig) => kubeconfig,
            Err(error) => {
                // In a pod there is no such file, and no need of one.
                let named = self.kubeconfig.is_some() || self.context.is_some();
                let pod = if named { None } else { Config::incluster().ok() };
                return pod.ok_or_else(|| Problem::place(&error));
            }
        };
        let contexts = kubeconfig.contexts.iter().map(|context| context.name.as_str());
        if let Some(wanted) = &self.context
            && !contexts.clone().any(|known| known == wanted)
        {
            let hint = suggestion(wanted, contexts);
            return Err(Problem::NoContext { name: wanted.clone(), hint });
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        config.map_err(|error| Problem::place(&error))
    }
}

/// A cluster, and the namespace in it.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    namespace: String,
}

impl Cluster {
    fn runs(&self) -> Api<Run> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn workflows(&self) -> Api<Workflow> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn run(&self, name: &str) -> Result<Run, Problem> {
        let failed = Problem::api(format!("read run {name:?}"));
        match self.runs().get_opt(name).await.map_err(failed)? {
            Some(run) => Ok(run),
            None => Err(self.missing("run", &self.runs(), name).await),
        }
    }

    async fn workflow(&self, name: &str) -> Result<Workflow, Problem> {
        let failed = Problem::api(format!("read workflow {name:?}"));
        match self.workflows().get_opt(name).await.map_err(failed)? {
            Some(workflow) => Ok(workflow),
            None => Err(self.missing("workflow", &self.workflows(), name).await),
        }
    }

    /// The workflow of a run, if it is still there and may be read.
    async fn workflow_of(&self, run: &Run) -> Option<Workflow> {
        self.workflows().get_opt(&run.spec.workflow_ref.name).await.ok().flatten()
    }

    /// That there is no such object, with the names of those that may be meant.
    async fn missing<K>(&self, kind: &'static str, api: &Api<K>, name: &str) -> Problem
    where
        K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let hint = match api.list_metadata(&ListParams::default()).await {
            Ok(list) if list.items.is_empty() => format!("; there is no {kind} there at all"),
            Ok(list) => {
                let names: Vec<_> = list.iter().map(ResourceExt::name_any).collect();
                suggestion(name, names.iter().map(String::as_str))
            }
            Err(kube::Error::Api(status)) if problem::is_unknown_kind(&status) => {
                return Problem::NotInstalled;
            }
            // It is a hint, no more.
            Err(_) => String::new(),
        };
        let (name, namespace) = (name.to_owned(), self.namespace.clone());
        Problem::NotFound { kind, name, namespace, hint }
    }
}

/// The namespace that the pods of a run are in.
fn target_namespace(run: &Run) -> String {
    let noted = run.annotations().get(annotation::TARGET_NAMESPACE).cloned();
    noted.or_else(|| run.namespace()).unwrap_or_default()
}
