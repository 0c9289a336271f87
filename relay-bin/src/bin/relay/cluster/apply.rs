//! `relay apply`.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Resource, ResourceExt as _};
use relay_model::triggers::{PushTrigger, ScheduleTrigger};
use relay_model::v1beta1::{Run, Tenant, TenantSpec, WebhookTrigger, Workflow};
use serde_json::{Value, json};

use super::{Cluster, MANAGER, Problem};
use crate::{Out, files, print};

/// What `relay apply` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A workflow file, or a file with resources
    file: PathBuf,
    /// The tenant of the workflow, which has to be there; without this it is named as the workflow,
    /// and made where it is not there
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Take over fields that somebody else has set
    #[arg(long)]
    force: bool,
}

/// What is to be there.
#[derive(Debug)]
pub(super) struct Wanted {
    objects: Vec<Value>,
    /// The tenant of a workflow file.
    tenant: Option<WantedTenant>,
}

#[derive(Debug)]
enum WantedTenant {
    Made(String),
    Expected(String),
}

/// An object as it is there now.
#[derive(Debug)]
pub(super) struct Applied {
    kind: String,
    name: String,
    namespace: String,
    result: &'static str,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, result, .. } = self;
        write!(f, "{kind} {name} {result}")
    }
}

/// Brings about what a file says; the exit code.
pub(crate) async fn apply(cluster: &Cluster, options: &Options, out: Out) -> Result<u8, Problem> {
    let wanted = match read(options).await {
        Ok(wanted) => wanted,
        Err(code) => return Ok(code),
    };
    let mut applied = Vec::new();
    let done = apply_all(cluster, wanted, options.force, &mut applied).await;
    let mut stdout = io::stdout().lock();
    let shown = match out {
        Out::Text => applied.iter().try_for_each(|applied| writeln!(stdout, "{applied}")),
        Out::Json => {
            let list = applied.iter().map(|Applied { kind, name, namespace, result }| {
                json!({"kind": kind, "name": name, "namespace": namespace, "result": result})
            });
            writeln!(stdout, "{}", list.collect::<Value>())
        }
    };
    // What was done has to be said, also when not all of it was.
    done?;
    Ok(print::printed(shown))
}

/// What a file wants; or the exit code, when it says so itself what is wrong.
pub(super) async fn read(options: &Options) -> Result<Wanted, u8> {
    let checked = files::read(&options.file).map_err(|message| {
        print::error(&message);
        2
    })?;
    let mut findings = checked.parsed.findings;
    let mut wanted = None;
    if let Some(mut file) = checked.parsed.file {
        if file.holds_resources {
            let documents = file.documents.iter().map(|document| json!(document));
            wanted = Some(Wanted { objects: documents.collect(), tenant: None });
            if options.tenant.is_some() {
                print::error("--tenant is for workflow files: resources name their tenant");
                return Err(2);
            }
        } else {
            findings.extend(files::load_inputs(&options.file, &mut file).await);
            findings.extend(files::load_webhook_inputs(&options.file, &mut file).await);
            let resources = file.convert(options.tenant.as_deref());
            findings.extend(resources.warnings.iter().cloned());
            let tenant = resources.workflow.spec.tenant_ref.name.clone();
            let tenant = match options.tenant {
                Some(_) => WantedTenant::Expected(tenant),
                None => WantedTenant::Made(tenant),
            };
            let objects = resources.objects().map_err(|error| {
                print::error(&format!("{}: {error}", checked.name));
                1
            })?;
            wanted = Some(Wanted { objects, tenant: Some(tenant) });
        }
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    // There is nobody left to tell that standard error is gone.
    let _ = print::findings(&checked.name, &findings, &mut io::stderr().lock());
    wanted.filter(|_| !files::has_errors(&findings)).ok_or(1)
}

/// Applies all objects: those first that others refer to.
pub(super) async fn apply_all(
    cluster: &Cluster,
    wanted: Wanted,
    force: bool,
    applied: &mut Vec<Applied>,
) -> Result<(), Problem> {
    let tenants: Api<Tenant> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    match wanted.tenant {
        None => {}
        Some(WantedTenant::Made(name) | WantedTenant::Expected(name))
            if tenants
                .get_opt(&name)
                .await
                .map_err(Problem::api(format!("read tenant {name:?}")))?
                .is_some() => {}
        Some(WantedTenant::Expected(name)) => {
            return Err(cluster.missing("tenant", &tenants, &name).await);
        }
        // Its runs are in this namespace: nothing else is made for it.
        Some(WantedTenant::Made(name)) => {
            let tenant = json!(Tenant::new(&name, TenantSpec::default()));
            applied.push(put(cluster, tenant, force).await?);
        }
    }
    let mut objects = wanted.objects;
    objects.sort_by_key(|object| {
        let kind = object.get("kind").and_then(Value::as_str);
        match kind {
            Some("Tenant") => 0,
            Some("Workflow") => 1,
            Some("Run") => 3,
            _ => 2,
        }
    });
    for object in objects {
        applied.push(put(cluster, object, force).await?);
    }
    Ok(())
}

/// Applies one object, on the server.
async fn put(cluster: &Cluster, object: Value, force: bool) -> Result<Applied, Problem> {
    let failed = |why: String| Problem::Failed { doing: "read the resources".to_owned(), why };
    let mut object: DynamicObject =
        serde_json::from_value(object).map_err(|error| failed(error.to_string()))?;
    // What an API server writes, it does not take.
    if let Some(data) = object.data.as_object_mut() {
        data.remove("status");
    }
    object.metadata.managed_fields = None;
    let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
    let resource = resource(&kind).ok_or_else(|| failed(format!("there is no kind {kind:?}")))?;
    let namespace = object.namespace().unwrap_or_else(|| cluster.namespace.clone());
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), &namespace, &resource);
    let name = object.name_any();
    let doing = || format!("apply {} {name:?}", kind.to_lowercase());
    let before = api.get_opt(&name).await.map_err(Problem::api(doing()))?;
    let params = PatchParams { force, ..PatchParams::apply(MANAGER) };
    let patch = Patch::Apply(&object);
    let after = api.patch(&name, &params, &patch).await.map_err(Problem::api(doing()))?;
    let result = match before {
        None => "created",
        Some(before) if before.resource_version() == after.resource_version() => "unchanged",
        Some(_) => "changed",
    };
    Ok(Applied { kind, name, namespace, result })
}

fn resource(kind: &str) -> Option<ApiResource> {
    fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
        ApiResource::erase::<K>(&())
    }
    Some(match kind {
        "Tenant" => of::<Tenant>(),
        "Workflow" => of::<Workflow>(),
        "Run" => of::<Run>(),
        "WebhookTrigger" => of::<WebhookTrigger>(),
        "ScheduleTrigger" => of::<ScheduleTrigger>(),
        "PushTrigger" => of::<PushTrigger>(),
        _ => return None,
    })
}
