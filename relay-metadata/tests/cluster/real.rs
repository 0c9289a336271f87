//! Ring 3: the same on a real API server, with requests from addresses of the loopback network.

use std::net::SocketAddr;
use std::time::Duration;

use relay_store::key;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use crate::world::{World, step};

/// Status and body of a request that comes from this address.
async fn ask(server: SocketAddr, from: &str, line: &str, body: &str) -> (u16, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 127.0.1.1\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
#[ignore = "needs an API server: KUBECONFIG"]
async fn pods_of_a_real_cluster() {
    const BUILD: &str = "127.0.1.1";
    const DEPLOY: &str = "127.0.1.2";
    let now = jiff::Timestamp::now().as_second();
    assert!(now < crate::world::NOW, "the tests' clock stands still in the future");
    let world = World::real().await;
    let spec = r#"{"o": "${outputs.build.o}", "p": "${parameters.p}", "s": "${secrets.pw}"}"#;
    let entries = [
        (key::spec(&step("deploy")), spec.to_owned()),
        (key::parameter("p").unwrap(), "\"given\"".to_owned()),
    ];
    world.map("r-immutable", &entries).await;
    world.map("r-mutable", &[]).await;
    world.secret("pw", json!({"relay.sh/secret": "pw"}), json!({}), json!({"value": "x"})).await;
    world.pod_of("build", BUILD, &step("build")).await;
    world.pod_of("deploy", DEPLOY, &step("deploy")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(world.router.clone().serve(listener, std::future::pending()));

    let (status, answer) = ask(server, DEPLOY, "GET /spec", "").await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains(r#""complete":false"#), "{answer}");
    assert_eq!(ask(server, BUILD, "PUT /outputs/o", "made").await, (201, String::new()));
    let (_, answer) = ask(server, DEPLOY, "GET /spec", "").await;
    let complete =
        r#"{"complete":true,"unresolvable":{},"value":{"o":"made","p":"given","s":"x"}}"#;
    assert_eq!(answer, complete);

    let writes = (0..50).map(|index| {
        let line = format!("PUT /outputs/o{index}");
        async move { ask(server, BUILD, &line, "x").await.0 }
    });
    assert_eq!(futures::future::join_all(writes).await, [201; 50]);
    for index in 0..50 {
        let line = format!("GET /outputs/build/o{index}");
        assert_eq!(ask(server, DEPLOY, &line, "").await.0, 200, "{index}");
    }

    assert_eq!(ask(server, "127.0.1.3", "GET /spec", "").await.0, 401, "no pod");
    world.delete_pod("build").await;
    // Without a node nobody ends the pod: it is deleted at once, or stays while it says that it runs.
    world.report("tenant", "deploy", "Failed", DEPLOY).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ask(server, DEPLOY, "GET /spec", "").await.0, 401, "a pod that ended");
}
