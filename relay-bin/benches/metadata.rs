//! The metadata API under load: `cargo bench -p relay-bin --bench metadata`.
//!
//! `relay-metadata-api` in sample mode on one core, and this program as its client on another. The
//! measure is a bare axum handler that verifies the same kind of token and answers a constant, served
//! by this very program in a process of its own. So is cluster mode, on an API server in memory: the
//! client calls from the address of a pod.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures, and ends where it cannot"
)]

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube_memory::MemoryCluster;
use relay_core::{
    Action, Claims, Clock as _, Hs256Key, SealKeys, SigningKey, SystemClock, TokenSealer as _,
    TokenSigner as _, TokenVerifier as _, VerifyingKeys,
};
use relay_metadata::cluster::{ClusterStores, PodAuthenticator, PodIndex};
use relay_store::key;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SAMPLE: &str = "\
secrets: {a: hunter2, b: hunter3}
connections: {http/api: {user: robot, url: 'https://example.com'}}
runs:
  r:
    parameters: {p: otter, q: 5}
    steps:
      build: {outputs: {o: {digest: 'sha256:0123456789abcdef', tags: [a, b]}}}
      deploy:
        spec:
          one: !Secret a
          two: !Secret b
          three: !Connection [http, api]
          four: !Parameter p
          five: 'Release ${parameters.q} is out'
          six: !Output [build, o]
";
const CONNECTIONS: usize = 32;
const DURATION: Duration = Duration::from_secs(5);

fn signing_key() -> Hs256Key {
    Hs256Key::new(&SecretSlice::from(b"0123456789abcdef0123456789abcdef".to_vec())).unwrap()
}

/// A program on the first core, and the port that it says it serves.
struct Server {
    child: Child,
    port: u16,
    started: Duration,
}

impl Server {
    fn start(program: &str, arguments: &[&str], sample: Option<&str>) -> Self {
        let began = Instant::now();
        let mut command = Command::new("taskset");
        command.args(["-c", "0", program]).args(arguments).stdout(Stdio::piped());
        if let Some(sample) = sample {
            command
                .env("RELAY_METADATA_API_SAMPLE_CONFIG_FILES", sample)
                .env("RELAY_METADATA_API_SAMPLE_HS256_SIGNING_KEY", KEY)
                .env("RELAY_METADATA_API_LISTEN_PORT", "0");
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let line =
            output.lines().map_while(Result::ok).find(|line| line.contains("addr=")).unwrap();
        let started = began.elapsed();
        let port = line.rsplit(':').next().unwrap().trim().parse().unwrap();
        Self { child, port, started }
    }

    /// The time that it has computed for, in user space and in the kernel. Steadier than the number of
    /// requests where others use the machine as well.
    fn computed(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let mut times =
            fields.split_whitespace().skip(11).map(|ticks| ticks.parse::<u32>().unwrap());
        let ticks = times.next().unwrap() + times.next().unwrap();
        // A hundred ticks are a second on all machines of today.
        Duration::from_millis(10) * ticks
    }

    /// Loads it, and says what came of it.
    async fn measure(&self, path: &str, token: &SecretString) -> Measured {
        self.measure_from(Ipv4Addr::LOCALHOST, path, token).await
    }

    /// The same with requests that come from this address.
    async fn measure_from(&self, from: Ipv4Addr, path: &str, token: &SecretString) -> Measured {
        let before = self.computed();
        let (count, size) = load(self.port, from, path, token).await;
        let computed = self.computed().checked_sub(before).unwrap();
        Measured {
            rate: f64::from(count) / DURATION.as_secs_f64(),
            cost: computed.as_secs_f64() * 1e6 / f64::from(count),
            size,
        }
    }

    /// Kilobytes that it holds, and has held at most.
    fn memory(&self) -> (String, String) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().to_owned()
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests a second, microseconds of computing for each, and the size of an answer.
struct Measured {
    rate: f64,
    cost: f64,
    size: usize,
}

impl Measured {
    fn print(&self, what: &str, measure: &Self) {
        let Self { rate, cost, size } = self;
        let (faster, cheaper) = (100.0 * rate / measure.rate, 100.0 * measure.cost / cost);
        println!(
            "{what:<24} {rate:>8.0} req/s {faster:>4.0} %   {cost:>6.1} µs each {cheaper:>4.0} %   {size:>5} bytes"
        );
    }
}

/// The number of requests for this path that were answered, and the size of an answer.
async fn load(port: u16, from: Ipv4Addr, path: &str, token: &SecretString) -> (u32, usize) {
    let token = token.expose_secret();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let end = Instant::now() + DURATION;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let request = request.clone();
        clients.spawn_local(async move {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            let mut stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut count, mut size, mut buffer) = (0_u32, 0, vec![0; 16 << 10]);
            while Instant::now() < end {
                stream.write_all(request.as_bytes()).await.unwrap();
                // Answers are small: head and body come in one piece, always of the same size.
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(
                    buffer.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(&buffer)
                );
                assert!(size == 0 || size == read, "an answer in pieces");
                size = read;
                count += 1;
            }
            (count, size)
        });
    }
    let (mut total, mut size) = (0, 0);
    while let Some(client) = clients.join_next().await {
        let (count, one) = client.unwrap();
        total += count;
        size = one;
    }
    (total, size)
}

/// Asks once, and waits a moment.
async fn warm(port: u16, token: &SecretString) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((POD, 0).into()).unwrap();
    let mut stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
    let token = token.expose_secret();
    let request = format!("GET /spec HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 16 << 10];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(answer.get(..read).unwrap()).into_owned();
    assert!(answer.contains(r#""complete":true"#), "{answer}");
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// The handler that all is measured by.
async fn serve_constant() {
    async fn constant(
        axum::extract::State(key): axum::extract::State<Arc<Hs256Key>>,
        headers: HeaderMap,
    ) -> (StatusCode, [(header::HeaderName, &'static str); 1], &'static str) {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let status = match key.verify(&SecretString::from(token)).await {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::UNAUTHORIZED,
        };
        (status, [(header::CONTENT_TYPE, "application/json")], r#"{"value":"constant"}"#)
    }
    let router = Router::new().route("/spec", get(constant)).with_state(Arc::new(signing_key()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("addr={}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// The address of the pod in cluster mode.
const POD: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// Cluster mode on an API server in memory, with the same spec as in sample mode.
async fn serve_cluster() {
    let output = tracing_subscriber::fmt().with_writer(std::io::stderr).json();
    output.with_max_level(tracing::Level::INFO).init();
    let cluster = MemoryCluster::new();
    let client = cluster.client("default");
    let namespace = json!({"metadata": {"name": "tenant"}});
    let namespace: Namespace = serde_json::from_value(namespace).unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let made = namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let uid = made.metadata.uid.unwrap();

    let deploy = Action::step("r".parse().unwrap(), "deploy".parse().unwrap());
    let build = Action::step("r".parse().unwrap(), "build".parse().unwrap());
    let spec = json!({
        "one": {"$type": "Secret", "name": "a"}, "two": {"$type": "Secret", "name": "b"},
        "three": {"$type": "Connection", "type": "http", "name": "api"},
        "four": {"$type": "Parameter", "name": "p"}, "five": "Release ${parameters.q} is out",
        "six": {"$type": "Output", "from": "build", "name": "o"},
    });
    let output = json!({"digest": "sha256:0123456789abcdef", "tags": ["a", "b"]});
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "tenant");
    for (name, data) in [
        (
            "r-immutable",
            json!({
                (key::spec(&deploy)): spec.to_string(),
                (key::parameter("p").unwrap()): "\"otter\"", (key::parameter("q").unwrap()): "5",
            }),
        ),
        (
            "r-mutable",
            json!({
                (key::output(&build, "o").unwrap()): output.to_string(),
                (key::name(&build)): "\"build\"",
            }),
        ),
    ] {
        let map = serde_json::from_value(json!({"metadata": {"name": name}, "data": data}));
        maps.create(&PostParams::default(), &map.unwrap()).await.unwrap();
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "tenant");
    for (name, label, text, data) in [
        ("a", "relay.sh/secret", "a", json!({"value": "hunter2"})),
        ("b", "relay.sh/secret", "b", json!({"value": "hunter3"})),
        (
            "c",
            "relay.sh/connection",
            "http.api",
            json!({"user": "robot", "url": "https://example.com"}),
        ),
    ] {
        let metadata = json!({"name": name, "labels": {(label): text}});
        let secret = serde_json::from_value(json!({"metadata": metadata, "stringData": data}));
        secrets.create(&PostParams::default(), &secret.unwrap()).await.unwrap();
    }

    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let signer = SigningKey::from_pem("k", pair.serialize_pem().as_bytes()).unwrap();
    let public = pair.public_key_pem();
    let verifier = VerifyingKeys::from_pems([("k", public.as_bytes())]).unwrap();
    let seal = SealKeys::generate();
    let now = SystemClock.now().as_second();
    let claims = Claims {
        not_before: Some(now),
        expires_at: Some(now + 3600),
        namespace_name: Some("tenant".to_owned()),
        namespace_uid: Some(uid.clone()),
        immutable_config_map: Some("r-immutable".to_owned()),
        mutable_config_map: Some("r-mutable".to_owned()),
        ..Claims::for_action(&deploy)
    };
    let sealed = seal.seal(&uid, &signer.sign(&claims).await.unwrap()).await.unwrap();
    let annotations = json!({"relay.sh/token": sealed, "relay.sh/subject": deploy.subject()});
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "deploy", "annotations": annotations},
        "spec": {"containers": [{"name": "step-step", "image": "alpine"}]},
    }));
    let pods: Api<Pod> = Api::namespaced(client.clone(), "tenant");
    pods.create(&PostParams::default(), &pod.unwrap()).await.unwrap();
    let status = Patch::Merge(json!({"status": {"phase": "Running", "podIP": POD.to_string()}}));
    pods.patch_status("deploy", &PatchParams::default(), &status).await.unwrap();

    let index = PodIndex::new();
    tokio::spawn(index.clone().run(client.clone()));
    let stores = ClusterStores::new(client.clone(), relay_store::sink_client().unwrap());
    let authenticator =
        PodAuthenticator::new(client, index, Arc::new(seal), Arc::new(verifier), stores);
    let router = relay_metadata::Router::new(Arc::new(authenticator));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("addr={}", listener.local_addr().unwrap());
    router.serve(listener, std::future::pending()).await;
}

async fn measure() {
    let own = std::process::id().to_string();
    Command::new("taskset").args(["-cp", "1", &own]).stdout(Stdio::null()).status().unwrap();
    let action = Action::step("r".parse().unwrap(), "deploy".parse().unwrap());
    let token = signing_key().sign(&Claims::for_action(&action)).await.unwrap();

    let this = std::env::current_exe().unwrap();
    let constant = Server::start(this.to_str().unwrap(), &["--constant"], None);
    let measure = constant.measure("/spec", &token).await;
    measure.print("bare axum handler", &measure);
    drop(constant);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SAMPLE).unwrap();
    let program = env!("CARGO_BIN_EXE_relay-metadata-api");
    let sample = Some(file.path().to_str().unwrap());
    let server = Server::start(program, &[], sample);
    for path in ["/spec", "/spec?q=one", "/outputs/build/o", "/conditions", "/healthz"] {
        server.measure(path, &token).await.print(path, &measure);
    }
    let (now, most) = server.memory();
    println!("memory {now}, at most {most}");
    drop(server);
    let cluster = Server::start(this.to_str().unwrap(), &["--cluster"], None);
    // The first request begins the watches, which hold everything a moment later.
    warm(cluster.port, &token).await;
    cluster.measure_from(POD, "/spec", &token).await.print("cluster mode, /spec", &measure);
    let path = "/outputs/build/o";
    cluster.measure_from(POD, path, &token).await.print("cluster mode, /outputs", &measure);
    drop(cluster);
    let mut starts: Vec<_> = (0..11).map(|_| Server::start(program, &[], sample).started).collect();
    starts.sort_unstable();
    println!("start to listening, taskset included: median {:?}", starts.get(5).unwrap());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = |mode: &str| std::env::args().any(|argument| argument == mode);
    if asked("--constant") {
        runtime.block_on(serve_constant());
    } else if asked("--cluster") {
        // As the program has it.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(serve_cluster());
    } else {
        tokio::task::LocalSet::new().block_on(&runtime, measure());
    }
}
