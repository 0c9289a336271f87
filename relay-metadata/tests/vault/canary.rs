//! Marked secrets of Vault are looked for wherever they must not be.

use secrecy::ExposeSecret as _;

use crate::double::{Double, Fault};
use crate::installation::{BUILD, Checks, Installation};
use crate::log::Log;
use crate::stage::{Stage, token};
use crate::world::step;

#[tokio::test]
async fn nothing_of_vault_is_in_logs_errors_or_debug() {
    let log = Log::of_the_process(tracing::Level::TRACE);

    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    double.put("workflows/w1/bad", serde_json::json!({"value": "base64:canary!"}));
    let there = Installation::new(&stage, Checks::Vault).await;
    let claims = there.claims(&step("build"));
    let jwt = token(&claims).await;
    let sealed = there.sealed_for(&there.world.namespace_uid, jwt.clone()).await;
    let look = |what: &str, text: &str| {
        assert!(!text.contains("canary") && !text.contains(jwt.expose_secret()), "{what}: {text}");
    };
    let faults =
        [Fault::Echo, Fault::Status(400), Fault::Status(403), Fault::Status(500), Fault::Malformed];
    let mut pod = 0;
    for path in ["/decrypt/", "/login", "/data/", "/metadata/"] {
        for fault in faults {
            pod += 1;
            let ip = format!("10.0.3.{pod}");
            there.pod("tenant", &format!("pod-{pod}"), &ip, &sealed).await;
            // One request with all its attempts.
            double.fail(path, fault, 4);
            for target in ["/secrets/pw", "/spec?q=b", "/secrets/bad"] {
                let answer = there.world.get(&ip, target).await;
                if answer.status >= 400 {
                    look(target, &answer.body);
                }
            }
            double.heal();
        }
    }
    there.build().await;
    assert_eq!(there.world.get(BUILD, "/secrets/bad").await.status, 500);
    let answer = there.world.get(BUILD, "/secrets/pw").await;
    assert!(answer.body.contains("canary"), "{}", answer.body);
    look("Debug", &format!("{:?}", there.world.router));
    let log = log.text();
    for part in ["could not read", "Vault answered 500", "workflows/w1/bad"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    look("log", &log);
}
