//! Labels, annotations and finalizers, by their names on the wire (`operator.md` §2 and §8).

/// On everything that exists for an object elsewhere: JSON that names that object.
pub const DEPENDENCY_OF: &str = "controller.relay.sh/dependency-of";
/// Label with the run, on its objects and pods. A name that is no label value is hashed.
pub const RUN_ID: &str = "controller.relay.sh/run-id";
/// Label of the namespaces that tenants' runs are in.
pub const TENANT_WORKLOAD: &str = "controller.relay.sh/tenant-workload";
/// On a Run: the namespace of its objects, remembered for when its tenant is gone.
pub const TARGET_NAMESPACE: &str = "controller.relay.sh/namespace";
/// On pods: the sealed token of the step.
pub const TOKEN: &str = "relay.sh/token";
/// On pods: the subject of that token.
pub const SUBJECT: &str = "relay.sh/subject";
/// On tasks and pods: the name of the step.
pub const STEP: &str = "relay.sh/step";
/// On a Run: how long it may take.
pub const TIMEOUT: &str = "relay.sh/timeout";
/// On a Run: how long each of its steps may take.
pub const STEP_TIMEOUT: &str = "relay.sh/step-timeout";
/// On a Run: how long its approvals wait.
pub const APPROVAL_TIMEOUT: &str = "relay.sh/approval-timeout";
/// On a Run or a WebhookTrigger: the holder of connections.
pub const DOMAIN_ID: &str = "relay.sh/domain-id";
/// On a Run or a WebhookTrigger: the holder of secrets.
pub const TENANT_ID: &str = "relay.sh/tenant-id";
/// On a Run or a WebhookTrigger: the mount of the Vault engine.
pub const VAULT_ENGINE_MOUNT: &str = "relay.sh/vault-engine-mount";
/// On a Run or a WebhookTrigger: the path of secrets in Vault.
pub const VAULT_SECRET_PATH: &str = "relay.sh/vault-secret-path";
/// On a Run or a WebhookTrigger: the path of connections in Vault.
pub const VAULT_CONNECTION_PATH: &str = "relay.sh/vault-connection-path";
/// On a Workflow: the name in its file, where that is no name for an object.
pub const WORKFLOW_NAME: &str = "relay.sh/workflow-name";
/// On a Workflow: one line about it.
pub const SUMMARY: &str = "relay.sh/summary";
/// On a Workflow: more about it.
pub const DESCRIPTION: &str = "relay.sh/description";
/// On a Workflow: where to read on.
pub const HOMEPAGE: &str = "relay.sh/homepage";
/// On a Workflow: where its file comes from.
pub const SOURCE: &str = "relay.sh/source";
/// On a Workflow: labels for search, with commas between them.
pub const TAGS: &str = "relay.sh/tags";
/// On a Workflow: what its parameters are for, as JSON.
pub const PARAMETER_DESCRIPTIONS: &str = "relay.sh/parameter-descriptions";
/// On a Workflow: what its steps are for, as JSON.
pub const STEP_DESCRIPTIONS: &str = "relay.sh/step-descriptions";
/// On a WebhookTrigger: the workflow that it starts.
pub const WORKFLOW: &str = "relay.sh/workflow";
/// On a WebhookTrigger: what it binds, as JSON.
pub const BINDING: &str = "relay.sh/binding";
/// On a WebhookTrigger: the condition on events, as JSON.
pub const WHEN: &str = "relay.sh/when";

/// The finalizer of Runs.
pub const RUN_FINALIZER: &str = "workflowrun.finalizers.controller.relay.sh";
/// The finalizer of Tenants.
pub const TENANT_FINALIZER: &str = "tenant.finalizers.controller.relay.sh";
