//! Bringing the objects of a tenant about. Nothing is written that is there already.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{LimitRange, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt as _};
use relay_model::v1beta1::Tenant;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::objects::Wanted;
use crate::context::FIELD_MANAGER;
use crate::dependency::DependencyOf;
use crate::error::{is_not_found, is_refused};
use crate::read::read;
use crate::{Context, Error};

/// Why an object is not as it has to be.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// There is one of that name that was not made for this tenant.
    Foreign(String),
    /// The API server says no, now and most likely the next time.
    Refused(Error),
    /// Something went wrong that may go right the next time.
    Failed(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        match &error {
            Error::Api { source, .. } if is_refused(source) => Self::Refused(error),
            _ => Self::Failed(error),
        }
    }
}

/// An object that is compared with what is there in all that is said of it.
trait Policy:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
    /// Whether the other one is as this one is to be.
    fn is(&self, found: &Self) -> bool;

    /// Whether this one can take the other one's place only when that is gone.
    fn replaces(&self, _found: &Self) -> bool {
        false
    }
}

impl Policy for RoleBinding {
    fn is(&self, found: &Self) -> bool {
        (&self.role_ref, &self.subjects) == (&found.role_ref, &found.subjects)
    }

    fn replaces(&self, found: &Self) -> bool {
        self.role_ref != found.role_ref
    }
}

impl Policy for ServiceAccount {
    fn is(&self, found: &Self) -> bool {
        // Others may add pull secrets of their own.
        let known = found.image_pull_secrets.as_deref().unwrap_or_default();
        self.automount_service_account_token == found.automount_service_account_token
            && self.image_pull_secrets.iter().flatten().all(|secret| known.contains(secret))
    }
}

impl Policy for NetworkPolicy {
    fn is(&self, found: &Self) -> bool {
        self.spec == found.spec
    }
}

impl Policy for LimitRange {
    fn is(&self, found: &Self) -> bool {
        self.spec == found.spec
    }
}

/// Makes what is not there, and sets right what has been changed.
pub(super) async fn ensure(
    context: &Context,
    tenant: &Tenant,
    wanted: &Wanted,
) -> Result<(), Obstacle> {
    for binding in &wanted.bindings {
        ensure_one(context, tenant, binding).await?;
    }
    ensure_one(context, tenant, &wanted.account).await?;
    for policy in &wanted.network {
        ensure_one(context, tenant, policy).await?;
    }
    if let Some(limits) = &wanted.limits {
        ensure_one(context, tenant, limits).await?;
    }
    Ok(())
}

async fn ensure_one<K: Policy>(
    context: &Context,
    tenant: &Tenant,
    wanted: &K,
) -> Result<(), Obstacle> {
    let (namespace, name) = (wanted.namespace().unwrap_or_default(), wanted.name_any());
    let what = format!("{} {namespace}/{name}", K::kind(&()));
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let found = read(|| api.get_opt(&name)).await.map_err(Error::api("read", what.clone()))?;
    let mut applied = wanted.clone();
    if let Some(found) = found {
        match foreign(tenant, found.meta()) {
            Some(Owner::Other) => return Err(Obstacle::Foreign(what)),
            Some(Owner::Earlier) => {
                return Err(Obstacle::Failed(Error::LeftOver { object: what }));
            }
            None if wanted.replaces(&found) => delete(&api, &found).await?,
            None if wanted.is(&found) && covers(found.meta(), wanted.meta()) => return Ok(()),
            // What somebody made in its place in between is not overwritten.
            None => applied.meta_mut().resource_version = found.resource_version(),
        }
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let made = api.patch(&name, &params, &Patch::Apply(&applied)).await;
    let made = made.map_err(Error::api("apply", what.clone()))?;
    if !wanted.is(&made) {
        // Somebody added what nobody may add, such as a way out of a network that is closed.
        // Applying leaves that to its owner.
        applied.meta_mut().resource_version = made.resource_version();
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        api.replace(&name, &params, &applied).await.map_err(Error::api("replace", what))?;
    }
    Ok(())
}

async fn delete<K: Policy>(api: &Api<K>, found: &K) -> Result<(), Error> {
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: found.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&found.name_any(), &params).await {
        Err(error) if !is_not_found(&error) => {
            let name = format!("{} {}", K::kind(&()), found.name_any());
            Err(Error::api("delete", name)(error))
        }
        _ => Ok(()),
    }
}

/// Whose an object is that is not this tenant's.
pub(super) enum Owner {
    /// Somebody's, who has nothing to do with it.
    Other,
    /// An earlier tenant's of the same name. It goes away by itself.
    Earlier,
}

/// Whose an object is, if it is not this tenant's.
pub(super) fn foreign(tenant: &Tenant, metadata: &ObjectMeta) -> Option<Owner> {
    let own = DependencyOf::new(tenant);
    let Some(of) = DependencyOf::of(metadata) else { return Some(Owner::Other) };
    if of == own {
        return None;
    }
    let earlier = DependencyOf { uid: own.uid.clone(), ..of } == own;
    Some(if earlier { Owner::Earlier } else { Owner::Other })
}

/// Whether labels, annotations and owners are as wanted; there may be more.
pub(super) fn covers(found: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    type Texts = Option<BTreeMap<String, String>>;
    let within = |wanted: &Texts, found: &Texts| {
        wanted
            .iter()
            .flatten()
            .all(|(key, value)| found.as_ref().and_then(|found| found.get(key)) == Some(value))
    };
    let owners = found.owner_references.as_deref().unwrap_or_default();
    within(&wanted.labels, &found.labels)
        && within(&wanted.annotations, &found.annotations)
        && wanted.owner_references.iter().flatten().all(|owner| owners.contains(owner))
}
