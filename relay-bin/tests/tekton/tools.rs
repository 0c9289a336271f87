//! The tools as the first process of a container, where Tekton is not.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, LogParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::cluster::image;

/// The image of the tools, as the engine was told.
fn tools_image() -> String {
    let own = format!("docker.io/relaysh/relay-runtime-tools:{}", env!("CARGO_PKG_VERSION"));
    std::env::var("RELAY_TEST_TOOLS_IMAGE").unwrap_or(own)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a node: .ci/tekton"]
async fn orphans_are_buried_and_the_exit_code_is_the_programs() {
    let client = Client::try_default().await.unwrap();
    let home = format!("tools-{}", jiff::Timestamp::now().as_millisecond());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let object = serde_json::from_value(json!({"metadata": {"name": home}})).unwrap();
    namespaces.create(&PostParams::default(), &object).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client, &home);
    let script = "for i in 1 2 3 4 5; do (sleep 0.2 & sleep 0); done; sleep 1.5; \
                  echo zombies: $(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); \
                  echo first: $(tr '\\0' ' ' < /proc/1/cmdline | cut -c1-40); \
                  ni log info from ni; nslookup kubernetes.default >/dev/null || echo no names; exit 9";
    let mount = json!({"name": "tools", "mountPath": "/var/lib/puppet/relay"});
    let pod = json!({
        "metadata": {"name": "first"},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "tools", "emptyDir": {}}],
            "initContainers": [{
                "name": "tools", "image": tools_image(), "args": ["initialize"],
                "volumeMounts": [mount],
            }],
            "containers": [{
                "name": "step", "image": image(), "volumeMounts": [mount],
                "command": ["/var/lib/puppet/relay/entrypoint"],
                "args": ["-entrypoint", "sh", "--", "-c", script],
            }],
        },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let started = Instant::now();
    let code = loop {
        let status = pods.get("first").await.unwrap().status.unwrap_or_default();
        let states = status.container_statuses.unwrap_or_default();
        let ended = states.first().and_then(|one| one.state.as_ref()?.terminated.clone());
        if let Some(ended) = ended {
            break ended.exit_code;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{states:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let log = pods.logs("first", &LogParams::default()).await.unwrap();
    assert_eq!(code, 9, "{log}");
    assert!(log.contains("zombies: 0\n"), "{log}");
    assert!(log.contains("first: /var/lib/puppet/relay/entrypoint"), "{log}");
    assert!(log.contains("from ni\n"), "{log}");
    namespaces.delete(&home, &DeleteParams::default()).await.unwrap();
}
