//! A tenant's namespace with one run, and pods in it. The keys beside this file are for tests alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use kube_memory::MemoryCluster;
use relay_core::{
    Action, Claims, Clock, SealKeys, SigningKey, TokenSealer as _, TokenSigner, VerifyingKeys,
};
use relay_metadata::Router;
use relay_metadata::cluster::{ClusterStores, PodAuthenticator, PodIndex};
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

pub(crate) const PRIVATE: &[u8] = include_bytes!("ed.private.pem");
pub(crate) const OTHER: &[u8] = include_bytes!("other.private.pem");
const PUBLIC: &[u8] = include_bytes!("ed.public.pem");

/// Second of the tests' clock at its start.
pub(crate) const NOW: i64 = 2_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn set(&self, second: i64) {
        self.0.store(second, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

pub(crate) fn step(name: &str) -> Action {
    Action::step("r".parse().unwrap(), name.parse().unwrap())
}

pub(crate) struct World {
    pub(crate) cluster: MemoryCluster,
    pub(crate) client: Client,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) seal: SealKeys,
    pub(crate) namespace_uid: String,
    pub(crate) router: Router,
    pub(crate) pods: PodIndex,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryCluster::new()).await
    }

    pub(crate) async fn on(cluster: MemoryCluster) -> Self {
        Self::having(cluster, |stores| stores).await
    }

    /// The same with stores that are changed like this.
    pub(crate) async fn having(
        cluster: MemoryCluster,
        change: impl FnOnce(ClusterStores) -> ClusterStores,
    ) -> Self {
        let client = cluster.client("default");
        Self::of(cluster, client, change).await
    }

    /// On the API server of `KUBECONFIG`.
    pub(crate) async fn real() -> Self {
        let client = Client::try_default().await.unwrap();
        Self::of(MemoryCluster::new(), client, |stores| stores).await
    }

    async fn of(
        cluster: MemoryCluster,
        client: Client,
        change: impl FnOnce(ClusterStores) -> ClusterStores,
    ) -> Self {
        let clock = Arc::new(TestClock::default());
        clock.set(NOW);
        let seal = SealKeys::generate();

        let pods = PodIndex::new();
        tokio::spawn(pods.clone().run(client.clone()));
        let verifier = VerifyingKeys::from_pems([("k", PUBLIC)]).unwrap();
        let sinks = relay_store::sink_client().unwrap();
        let stores = change(ClusterStores::new(client.clone(), sinks));
        let authenticator = PodAuthenticator::new(
            client.clone(),
            pods.clone(),
            Arc::new(seal.clone()),
            Arc::new(verifier),
            stores,
        );
        let authenticator = authenticator.with_clock(clock.clone());
        let router = Router::new(Arc::new(authenticator)).with_clock(clock.clone());
        let namespace_uid = String::new();
        let mut world = Self { cluster, client, clock, seal, namespace_uid, router, pods };
        world.namespace_uid = world.namespace("tenant", Some("home")).await;
        world.namespace("home", None).await;
        world
    }

    /// Makes a namespace; its UID.
    pub(crate) async fn namespace(&self, name: &str, made_for: Option<&str>) -> String {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        if let Some(other) = made_for {
            let link = json!({"namespace": other, "name": "acme", "kind": "Tenant"});
            let key = "controller.relay.sh/dependency-of".to_owned();
            namespace.annotations_mut().insert(key, link.to_string());
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &namespace).await.unwrap().uid().unwrap()
    }

    pub(crate) fn claims(&self, action: &Action) -> Claims {
        Claims {
            not_before: Some(NOW),
            expires_at: Some(NOW + 3600),
            namespace_name: Some("tenant".to_owned()),
            namespace_uid: Some(self.namespace_uid.clone()),
            tenant_id: Some("w1".to_owned()),
            immutable_config_map: Some("r-immutable".to_owned()),
            mutable_config_map: Some("r-mutable".to_owned()),
            ..Claims::for_action(action)
        }
    }

    pub(crate) async fn sealed(&self, signer: &dyn TokenSigner, claims: &Claims) -> String {
        let token = signer.sign(claims).await.unwrap();
        self.seal.seal(&self.namespace_uid, &token).await.unwrap()
    }

    /// A pod of this step, as the operator makes it.
    pub(crate) async fn pod_of(&self, name: &str, ip: &str, action: &Action) {
        let signer = SigningKey::from_pem("k", PRIVATE).unwrap();
        let sealed = self.sealed(&signer, &self.claims(action)).await;
        self.pod("tenant", name, ip, &action.subject(), Some(&sealed), json!({})).await;
    }

    pub(crate) async fn pod(
        &self,
        namespace: &str,
        name: &str,
        ip: &str,
        subject: &str,
        sealed: Option<&str>,
        spec: Json,
    ) {
        let mut annotations = json!({"relay.sh/subject": subject, "other": "x".repeat(100)});
        if let Some(sealed) = sealed {
            annotations["relay.sh/token"] = sealed.into();
        }
        let mut pod = json!({
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"containers": [{"name": "step-step", "image": "alpine"}]},
        });
        for (key, value) in spec.as_object().unwrap() {
            pod["spec"][key] = value.clone();
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pod: Pod = serde_json::from_value(pod).unwrap();
        // A real API server wants the namespace's service account first, which comes by itself.
        let mut attempts = 0;
        while let Err(error) = api.create(&PostParams::default(), &pod).await {
            attempts += 1;
            assert!(attempts < 100, "{error}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        self.report(namespace, name, "Running", ip).await;
    }

    pub(crate) async fn report(&self, namespace: &str, name: &str, phase: &str, ip: &str) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let status = json!({"status": {"phase": phase, "podIP": ip, "podIPs": [{"ip": ip}]}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    pub(crate) async fn delete_pod(&self, name: &str) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), "tenant");
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn map(&self, name: &str, data: &[(String, String)]) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), "tenant");
        let mut map =
            ConfigMap { data: Some(data.iter().cloned().collect()), ..Default::default() };
        map.metadata.name = Some(name.to_owned());
        api.create(&PostParams::default(), &map).await.unwrap();
    }

    pub(crate) async fn secret(&self, name: &str, labels: Json, annotations: Json, data: Json) {
        let secret = json!({
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "stringData": data,
        });
        let api: Api<Secret> = Api::namespaced(self.client.clone(), "home");
        let secret = serde_json::from_value(secret).unwrap();
        api.create(&PostParams::default(), &secret).await.unwrap();
    }

    pub(crate) async fn send(&self, ip: &str, request: Request<Body>) -> Answer {
        let mut request = request;
        let peer = SocketAddr::new(ip.parse().unwrap(), 40000);
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        // Log answers are not text, but for what is looked at in them.
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn ask(&self, ip: &str, method: Method, path: &str, body: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.send(ip, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub(crate) async fn get(&self, ip: &str, path: &str) -> Answer {
        self.ask(ip, Method::GET, path, "").await
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, json: &Json) {
        assert_eq!((self.status, &self.json()), (status, json));
    }
}
