//! Against an API server in memory, with the operator's controllers on it and an executor in the
//! place of Tekton. What it does not have are pods: those are made by hand, with their logs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http_body_util::{Either, Full};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube_memory::MemoryCluster;
use relay_core::{Hs256Key, SealKeys, SystemClock};
use relay_local::EventKind;
use relay_local::executor::{Executor, ExecutorOptions};
use relay_model::v1beta1::{Answer, RunStatus, StepStatus, Tenant};
use relay_model::{definitions, tekton};
use relay_reconcile::{Context, Settings};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::follow::{Follower, Shown, Told};
use super::masks::{Hidden, hidden};
use super::screen::Answers;
use super::tail::{Piece, Pods};
use super::*;
use crate::outline::Outline;
use crate::screen::{Message, Paint};
use crate::{Globals, Out};

/// What pods have written, by their name.
type PodLogs = Arc<Mutex<BTreeMap<String, &'static str>>>;

struct World {
    cluster: Cluster,
    logs: PodLogs,
    folder: tempfile::TempDir,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    /// With the definitions installed, and nobody who works with them.
    fn still() -> Self {
        let memory = MemoryCluster::new();
        for definition in definitions::all().iter().chain(&tekton::definitions()) {
            memory.register(definition).unwrap();
        }
        Self::on(memory)
    }

    fn on(memory: MemoryCluster) -> Self {
        let logs = PodLogs::default();
        let known = Arc::clone(&logs);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let path = request.uri().path().to_owned();
            let pod = path.strip_suffix("/log").and_then(|path| path.rsplit('/').next());
            let log = pod.map(|pod| known.lock().unwrap().get(pod).copied());
            let memory = memory.clone();
            async move {
                match log {
                    Some(Some(text)) => {
                        Ok(http::Response::new(Either::Left(Full::<Bytes>::from(text))))
                    }
                    Some(None) => {
                        let refused = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                            "status": "Failure", "code": 403, "reason": "Forbidden",
                            "message": "pods/log is forbidden"});
                        let mut refused =
                            http::Response::new(Either::Left(refused.to_string().into()));
                        *refused.status_mut() = http::StatusCode::FORBIDDEN;
                        Ok(refused)
                    }
                    None => {
                        let (parts, body) = memory.oneshot(request).await?.into_parts();
                        Ok::<_, std::io::Error>(http::Response::from_parts(
                            parts,
                            Either::Right(body),
                        ))
                    }
                }
            }
        });
        let client = Client::new(service, "default");
        let cluster = Cluster { client, namespace: "default".to_owned() };
        let folder = tempfile::tempdir().unwrap();
        Self { cluster, logs, folder, stop: CancellationToken::new() }
    }

    /// With an operator, and programs of this machine as steps.
    fn running() -> Self {
        let world = Self::still();
        let client = world.cluster.client.clone();
        let sealer = Arc::new(SealKeys::generate());
        let context = Arc::new(Context {
            client: client.clone(),
            settings: Settings::default(),
            signer: Arc::new(Hs256Key::generate()),
            sealer: sealer.clone(),
            secrets: Arc::new(relay_reconcile::ClusterSecrets::new(client.clone())),
            images: None,
            clock: Arc::new(SystemClock),
            telemetry: relay_reconcile::Telemetry::default(),
        });
        let stopped = || world.stop.clone().cancelled_owned();
        tokio::spawn(relay_reconcile::run::controller(Arc::clone(&context), stopped()));
        tokio::spawn(relay_reconcile::tenant::controller(context, stopped()));
        let (news, mut swallowed) = mpsc::channel(16);
        tokio::spawn(async move { while swallowed.recv().await.is_some() {} });
        let path = |name: &str| world.folder.path().join(name);
        std::fs::create_dir(path("tools")).unwrap();
        let options = ExecutorOptions::new(path("work"), path("tools"), sealer, news);
        let executor = Executor::new(client, options);
        tokio::spawn(executor.run(world.stop.clone()));
        world
    }

    fn file(&self, text: &str) -> PathBuf {
        let file = self.folder.path().join("deploy.yaml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Applies a file: a line for each object.
    async fn apply(&self, text: &str, arguments: &[&str]) -> Result<Vec<String>, String> {
        let file = self.file(text);
        let options: Apply = parse(&[&[file.to_str().unwrap()], arguments].concat());
        let wanted = apply::read(&options).await.map_err(|code| format!("exit code {code}"))?;
        let mut applied = Vec::new();
        let done = apply::apply_all(&self.cluster, wanted, false, &mut applied).await;
        done.map_err(|problem| problem.to_string())?;
        Ok(applied.iter().map(ToString::to_string).collect())
    }

    async fn launch(&self, arguments: &[&str]) -> Result<Run, String> {
        let options: Launch = parse(arguments);
        launch::create(&self.cluster, &options).await.map(|(_, run)| run)
    }

    async fn status(&self, arguments: &[&str], out: Out) -> Result<String, String> {
        let (options, mut text): (Status, _) = (parse(arguments), Vec::new());
        let paint = Paint { colours: false };
        let shown = status(&self.cluster, &options, out, paint, &mut text).await;
        shown.map_err(|problem| problem.to_string())?.unwrap();
        Ok(String::from_utf8(text).unwrap())
    }

    async fn ask(&self, asked: Asked<'_>) -> Result<String, String> {
        let mut text = Vec::new();
        let asked = ask(&self.cluster, asked, Out::Text, &mut text).await;
        asked.map_err(|problem| problem.to_string())?.unwrap();
        Ok(String::from_utf8(text).unwrap())
    }

    /// Waits until a run is as wanted.
    async fn until(&self, run: &str, is_wanted: impl Fn(&Run) -> bool) -> Run {
        for _ in 0..2_000 {
            let run = self.cluster.runs().get(run).await.unwrap();
            if is_wanted(&run) {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:#?}", self.cluster.runs().get(run).await.unwrap());
    }

    async fn until_tenant_is_gone(&self, tenants: &Api<Tenant>, name: &str) {
        tenants.delete(name, &DeleteParams::default()).await.unwrap();
        while tenants.get_opt(name).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Makes the pod of a step, with what it has written.
    async fn pod(&self, run: &str, step: &str, log: impl Into<Option<&'static str>>) {
        let name = format!("{run}-{step}-pod");
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {annotation::RUN_ID: run},
                "annotations": {annotation::STEP: step},
            },
            "spec": {"containers": [{"name": "step-step", "image": "x"}]},
        });
        let status = json!({"status": {"containerStatuses": [{
            "name": "step-step", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0}},
        }]}});
        if let Some(log) = log.into() {
            self.logs.lock().unwrap().insert(name.clone(), log);
        }
        let api: Api<k8s_openapi::api::core::v1::Pod> =
            Api::default_namespaced(self.cluster.client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let (params, patch) = (PatchParams::default(), Patch::Merge(status));
        api.patch_status(&name, &params, &patch).await.unwrap();
    }
}

/// Options as a command line gives them.
fn parse<T: Args>(arguments: &[&str]) -> T {
    #[derive(Debug, Parser)]
    struct Line<T: Args> {
        #[command(flatten)]
        options: T,
    }
    let line = [&["relay"], arguments].concat();
    Line::<T>::try_parse_from(line).unwrap().options
}

fn step(run: &str, step: &str) -> Step {
    parse(&[run, step])
}

const DEPLOY: &str = "\
parameters: {word: {default: otter}, count: {default: 3}}
steps:
- {name: build, image: x, input: [echo building], spec: {w: !Parameter word, c: !Parameter count}}
- {name: gate, type: approval, dependsOn: build, description: 'Ship it?'}
- {name: ship, image: x, dependsOn: gate, input: [exit 3]}
";

#[tokio::test]
async fn a_file_is_applied_with_its_tenant() {
    let world = World::still();
    let made = world.apply(DEPLOY, &[]).await.unwrap();
    assert_eq!(made, ["Tenant deploy created", "Workflow deploy created"]);
    assert_eq!(world.apply(DEPLOY, &[]).await.unwrap(), ["Workflow deploy unchanged"]);
    let other = DEPLOY.replace("otter", "seal");
    assert_eq!(world.apply(&other, &[]).await.unwrap(), ["Workflow deploy changed"]);
    let workflow = world.cluster.workflow("deploy").await.unwrap();
    assert_eq!(workflow.spec.tenant_ref.name, "deploy");

    let missing = world.apply(DEPLOY, &["--tenant", "depoly"]).await.unwrap_err();
    let expected = "there is no tenant \"depoly\" in namespace \"default\" (--namespace names \
                    another); did you mean \"deploy\"?";
    assert_eq!(missing, expected);
    let tenants: Api<Tenant> = Api::default_namespaced(world.cluster.client.clone());
    tenants.create(&PostParams::default(), &Tenant::new("acme", Default::default())).await.unwrap();
    let moved = world.apply(DEPLOY, &["--tenant", "acme"]).await.unwrap();
    assert_eq!(moved, ["Workflow deploy changed"]);
    assert_eq!(world.apply("steps: [{}]", &[]).await.unwrap_err(), "exit code 1");
}

#[tokio::test]
async fn resources_are_applied_as_they_are_written() {
    let world = World::still();
    let object = |kind: &str, name: &str, spec: Value| {
        let group =
            if kind == "PushTrigger" { "triggers.relay.sh/v1alpha1" } else { "relay.sh/v1beta1" };
        json!({"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec})
            .to_string()
    };
    let workflow = json!({"tenantRef": {"name": "t"}, "steps": [{"name": "a", "image": "x"}]});
    let text = [
        object("Run", "w-7", json!({"workflowRef": {"name": "w"}})),
        object("PushTrigger", "p", json!({"workflowRef": {"name": "w"}})),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}).to_string(),
        object("Workflow", "w", workflow),
        object("Tenant", "t", json!({"namespaceTemplate": {"metadata": {"name": "t-runs"}}})),
    ]
    .join("\n---\n");
    let made = world.apply(&text, &[]).await.unwrap();
    let expected =
        ["Tenant t created", "Workflow w created", "PushTrigger p created", "Run w-7 created"];
    assert_eq!(made, expected);
    let again: Vec<_> = expected.iter().map(|line| line.replace("created", "unchanged")).collect();
    assert_eq!(world.apply(&text, &[]).await.unwrap(), again);
    assert_eq!(world.apply(&text, &["--tenant", "t"]).await.unwrap_err(), "exit code 2");

    // Somebody else's word stands, unless it is taken over.
    let patch = json!({"apiVersion": "relay.sh/v1beta1", "kind": "Workflow", "spec": {"tenantRef": {"name": "u"}}});
    let params = PatchParams::apply("somebody").force();
    world.cluster.workflows().patch("w", &params, &Patch::Apply(patch)).await.unwrap();
    let conflict = world.apply(&text, &[]).await.unwrap_err();
    assert!(conflict.starts_with("could not apply workflow \"w\": "), "{conflict}");
    assert!(conflict.ends_with("; --force takes these fields over"), "{conflict}");
}

#[tokio::test]
async fn runs_are_made_with_values_of_the_declared_kind() {
    let world = World::still();
    world.apply(DEPLOY, &[]).await.unwrap();
    let run = world.launch(&["deploy", "-p", "word=7", "-p", "count=7"]).await.unwrap();
    assert!(run.name_any().starts_with("deploy-"), "{}", run.name_any());
    assert_eq!(
        json!(run.spec),
        json!({
            "workflowRef": {"name": "deploy"},
            "parameters": {"word": "7", "count": 7},
        })
    );
    let run = world.launch(&["deploy", "--parameter-json", "word=[1]"]).await.unwrap();
    assert_eq!(json!(run.spec.parameters), json!({"word": [1]}));
    for (name, arguments, expected) in [
        (
            "no such parameter",
            vec!["deploy", "-p", "wrod=x"],
            "parameter \"wrod\" is not declared; did you mean \"word\"?",
        ),
        (
            "no such workflow",
            vec!["deplyo"],
            "there is no workflow \"deplyo\" in namespace \"default\" (--namespace names another); \
             did you mean \"deploy\"?",
        ),
    ] {
        assert_eq!(world.launch(&arguments).await.unwrap_err(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_cluster_without_relay_says_what_to_do() {
    let world = World::on(MemoryCluster::new());
    let install = "the cluster does not know Relay's resources; install them: relay crds | kubectl \
                   apply -f -";
    assert_eq!(world.status(&[], Out::Text).await.unwrap_err(), install);
    assert_eq!(world.status(&["r"], Out::Text).await.unwrap_err(), install);
    assert_eq!(world.apply(DEPLOY, &[]).await.unwrap_err(), install);
    assert_eq!(world.launch(&["w"]).await.unwrap_err(), install);
}

#[tokio::test]
async fn a_run_is_followed_answered_and_seen() {
    let world = World::running();
    world.apply(DEPLOY, &[]).await.unwrap();
    let run = world.launch(&["deploy"]).await.unwrap();
    let name = run.name_any();
    world.pod(&name, "build", "building\nno line feed").await;
    world.pod(&name, "ship", "shipping\n").await;
    let workflow = world.cluster.workflow("deploy").await.unwrap();
    let (follower, mut events) =
        Follower::new(&world.cluster, &run, Some(&workflow), Shown::All, Arc::default());
    let following = tokio::spawn(follower.run());

    world
        .until(&name, |run| {
            run.status.as_ref().is_some_and(|s| s.steps.iter().any(StepStatus::waits_for_approval))
        })
        .await;
    let status = world.status(&[&name], Out::Text).await.unwrap();
    for line in [
        "gate   waiting    waits for an answer",
        "ship   waiting\n",
        "(waiting for an answer: gate)\n",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let list = world.status(&[], Out::Text).await.unwrap();
    let row: Vec<_> = list.lines().nth(1).unwrap().split_whitespace().take(4).collect();
    assert_eq!(row, [name.as_str(), "deploy", "waiting", "1/3"], "{list}");

    let wrong = world.ask(Asked::Answer(Answer::Approved, &step(&name, "ship"))).await.unwrap_err();
    assert!(wrong.ends_with("asks nothing: the approvals of its workflow are gate"), "{wrong}");
    let said = world.ask(Asked::Answer(Answer::Approved, &step(&name, "gate"))).await.unwrap();
    assert_eq!(said, format!("gate of run {name} approved\n"));

    let mut told = Vec::new();
    while let Some(Told::Event(event)) = events.recv().await {
        let step = event.kind.step().unwrap_or_default().to_owned();
        told.push(match event.kind {
            EventKind::Started { .. } => format!("{step} started"),
            EventKind::Output { text, .. } => format!("{step} | {text}"),
            EventKind::Waiting { .. } => format!("{step} waits"),
            EventKind::Succeeded { .. } => format!("{step} succeeded"),
            EventKind::Failed { message, .. } => format!("{step} failed: {message}"),
            EventKind::Finished { outcome, .. } => outcome.to_string(),
            _ => step,
        });
    }
    assert_eq!(
        told,
        [
            "build started",
            "build | building",
            "build | no line feed",
            "build succeeded",
            "gate waits",
            "gate succeeded",
            "ship started",
            "ship | shipping",
            "ship failed: exit code 3",
            "failed",
        ]
    );
    let followed = following.await.unwrap().unwrap();
    assert!(followed.status.is_completed() && followed.unread.is_empty(), "{followed:?}");
    let status = world.status(&[&name], Out::Text).await.unwrap();
    let advice = format!("next: see what \"ship\" wrote: relay logs {name} ship\n");
    assert!(status.ends_with(&advice), "{status}");
    let json: Value =
        serde_json::from_str(&world.status(&[&name], Out::Json).await.unwrap()).unwrap();
    assert_eq!((&json["state"], &json["steps"][2]["state"]), (&"failed".into(), &"failed".into()));

    let ended = format!("run {name:?} has ended already");
    let late = Asked::Answer(Answer::Rejected, &step(&name, "gate"));
    assert_eq!(world.ask(late).await.unwrap_err(), ended);
    let target: Target = parse(&[&name]);
    assert_eq!(world.ask(Asked::Cancel(&target)).await.unwrap_err(), ended);
}

#[tokio::test]
async fn a_log_that_may_not_be_read_is_missed() {
    let world = World::running();
    world.apply("steps: [{name: a, image: x, input: ['true']}]", &[]).await.unwrap();
    let run = world.launch(&["deploy", "--step-timeout", "90s"]).await.unwrap();
    assert_eq!(run.annotations()[annotation::STEP_TIMEOUT], "1m 30s");
    world.pod(&run.name_any(), "a", None).await;
    let (follower, mut events) =
        Follower::new(&world.cluster, &run, None, Shown::All, Arc::default());
    let following = tokio::spawn(follower.run());
    while events.recv().await.is_some() {}
    let unread = following.await.unwrap().unwrap().unread;
    assert_eq!(unread, ["could not read the log of step \"a\": pods/log is forbidden"]);
}

#[tokio::test]
async fn secrets_are_hidden_in_logs_where_they_may_be_read() {
    let world = World::running();
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::default_namespaced(world.cluster.client.clone());
    for (name, labels, data) in [
        ("pw", json!({"relay.sh/secret": "pw"}), json!({"value": "canary-1"})),
        ("aws", json!({"relay.sh/connection": "aws.prod"}), json!({"id": "a", "key": "canary-2"})),
        ("other", json!({}), json!({"value": "public"})),
    ] {
        let secret = json!({"metadata": {"name": name, "labels": labels}, "stringData": data});
        let secret = serde_json::from_value(secret).unwrap();
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    }
    world.apply("steps: [{name: a, image: x, input: ['true']}]", &[]).await.unwrap();
    let run = world.launch(&["deploy"]).await.unwrap();
    world.pod(&run.name_any(), "a", "a canary-1, acanary-2 and a public one\n").await;
    let Hidden { masks, problem } = hidden(&world.cluster).await;
    assert_eq!(problem, None);
    let (follower, mut events) = Follower::new(&world.cluster, &run, None, Shown::All, masks);
    tokio::spawn(follower.run());
    let mut written = Vec::new();
    while let Some(told) = events.recv().await {
        if let Told::Event(event) = told
            && let EventKind::Output { text, .. } = event.kind
        {
            written.push(text);
        }
    }
    assert_eq!(written, ["a ***, a*** and a public one"]);

    let refusing = MemoryCluster::new().with_faults(|request| {
        let refused = kube_memory::Fault::status(403, "Forbidden", "secrets is forbidden");
        (request.resource == "secrets").then_some(refused)
    });
    let Hidden { problem, .. } = hidden(&World::on(refusing).cluster).await;
    let problem = problem.unwrap();
    assert!(problem.starts_with("secrets stand in the log as they were written"), "{problem}");
    assert!(problem.ends_with("(secrets is forbidden)"), "{problem}");
}

#[tokio::test]
async fn an_approval_is_given_where_all_are_and_explained_where_nobody_is_asked() {
    let world = World::running();
    world.apply(DEPLOY, &[]).await.unwrap();
    let name = world.launch(&["deploy"]).await.unwrap().name_any();
    let asks = |run: &Run| {
        run.status.as_ref().is_some_and(|s| s.steps.iter().any(StepStatus::waits_for_approval))
    };
    world.until(&name, asks).await;
    let outline = Outline::of_workflow(&world.cluster.workflow("deploy").await.unwrap());
    let waiting = |step: &str| {
        let kind = EventKind::Waiting { step: step.into() };
        relay_local::Event::new(jiff::Timestamp::now(), name.as_str(), kind)
    };
    let globals = |yes| Globals { yes, ..Globals::default() };
    let mut nobody = Answers::new(&world.cluster, &name, globals(false), false);
    let shown = nobody.event(waiting("gate"), &outline).await;
    let [Message::Event(_), Message::Note(note)] = shown.as_slice() else { panic!("{shown:?}") };
    let how = format!("relay approve {name} gate, or relay reject {name} gate");
    assert_eq!(*note, format!("gate waits for an answer: {how}"));
    assert!(asks(&world.cluster.run(&name).await.unwrap()), "nobody has answered");

    let mut yes = Answers::new(&world.cluster, &name, globals(true), true);
    let shown = yes.event(waiting("gate"), &outline).await;
    let [Message::Event(_), Message::Asked(Some((step, Answer::Approved)))] = shown.as_slice()
    else {
        panic!("{shown:?}")
    };
    assert_eq!(&**step, "gate");
    let run =
        world.until(&name, |run| run.status.as_ref().is_some_and(RunStatus::is_completed)).await;
    let gate = &run.status.unwrap().steps[1];
    assert!(gate.condition("Succeeded").unwrap().is_true(), "{gate:?}");
    // What cannot be answered is said, and nothing else happens.
    let late = yes.event(waiting("gate"), &outline).await;
    assert!(
        matches!(&late[1], Message::Note(note) if note.contains("has ended already")),
        "{late:?}"
    );
}

#[tokio::test]
async fn what_a_run_waits_for_before_it_begins_is_told() {
    let world = World::running();
    world.apply(DEPLOY, &[]).await.unwrap();
    let tenants: Api<Tenant> = Api::default_namespaced(world.cluster.client.clone());
    world.until_tenant_is_gone(&tenants, "deploy").await;
    let run = world.launch(&["deploy"]).await.unwrap();
    let (follower, mut events) =
        Follower::new(&world.cluster, &run, None, Shown::States, Arc::default());
    let following = tokio::spawn(follower.run());
    let Some(Told::Note(note)) = events.recv().await else { panic!("nothing has begun") };
    let expected = "waits: there is no tenant \"deploy\" in default";
    assert!(note.ends_with(expected), "{note}");
    following.abort();

    let world = World::still();
    world.apply(DEPLOY, &[]).await.unwrap();
    let run = world.launch(&["deploy"]).await.unwrap();
    let (follower, mut events) =
        Follower::new(&world.cluster, &run, None, Shown::States, Arc::default());
    tokio::spawn(follower.run());
    let Some(Told::Note(note)) = events.recv().await else { panic!("nothing has begun") };
    assert_eq!(note, format!("no operator has taken up run {} yet; is there one?", run.name_any()));
}

#[tokio::test]
async fn a_run_is_cancelled() {
    let world = World::running();
    world.apply("steps: [{name: a, image: x, input: [sleep 600]}]", &[]).await.unwrap();
    let name = world.launch(&["deploy"]).await.unwrap().name_any();
    world.until(&name, |run| run.status.as_ref().is_some_and(|s| s.steps.len() == 1)).await;
    let target: Target = parse(&[&name]);
    let said = world.ask(Asked::Cancel(&target)).await.unwrap();
    assert_eq!(said, format!("run {name} is being cancelled\n"));
    world.until(&name, |run| run.status.as_ref().is_some_and(RunStatus::is_completed)).await;
    let list: Value = serde_json::from_str(&world.status(&[], Out::Json).await.unwrap()).unwrap();
    assert_eq!((&list[0]["run"], &list[0]["state"]), (&name.into(), &"cancelled".into()));
}

#[tokio::test]
async fn logs_are_those_of_the_last_pod_of_a_step() {
    let world = World::still();
    let run = Run::new("r", Default::default());
    let mut run = world.cluster.runs().create(&PostParams::default(), &run).await.unwrap();
    run.metadata.namespace = Some("default".to_owned());
    world.pod("r", "build", "one\ntwo").await;
    world.pod("s", "build", "of another run").await;
    let (sender, mut pieces) = mpsc::channel(16);
    let pods = Pods::of(&world.cluster, &run);
    assert!(pods.written("build", &sender).await.unwrap());
    assert!(!pods.written("ship", &sender).await.unwrap());
    drop(sender);
    let mut text = String::new();
    while let Some(Piece::Output(step, bytes)) = pieces.recv().await {
        assert_eq!(step, "build");
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    assert_eq!(text, "one\ntwo\n");
}
