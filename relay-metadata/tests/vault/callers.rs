//! Who is let in, and what it gets.

use std::time::Duration;

use relay_core::{Claims, SigningKey, TokenSealer as _, TokenSigner as _};
use serde_json::json;

use crate::double::{Double, Fault};
use crate::installation::{BUILD, Checks, Installation};
use crate::owner::Owner;
use crate::stage::{CONNECTION, Stage, token};
use crate::world::{OTHER, step};

#[tokio::test]
async fn a_step_gets_its_secrets_and_strangers_get_nothing() {
    let stage = Stage::on_double(&Double::default()).await;
    for checks in [Checks::Vault, Checks::Keys] {
        end_to_end(&stage, checks).await;
    }
}

#[tokio::test]
#[ignore = "needs a Vault: VAULT_ADDR and VAULT_TOKEN"]
async fn the_same_on_a_real_vault() {
    let owner = Owner::from_env();
    let stage = owner.stage().await;
    for checks in [Checks::Vault, Checks::Keys] {
        end_to_end(&stage, checks).await;
    }
    owner.clear(&stage).await;
}

async fn end_to_end(stage: &Stage, checks: Checks) {
    let there = Installation::new(stage, checks).await;
    let world = &there.world;
    there.build().await;
    let spec = json!({
        "value": {
            "a": "hunter2-canary",
            "b": {"user": "robot", "password": {"$encoding": "base64", "data": "/w=="}},
            "c": "${secrets.none}",
            "d": "below",
        },
        "unresolvable": {"secrets": [{"name": "none"}]}, "complete": false,
    });
    world.get(BUILD, "/spec").await.is(200, &spec);
    for (name, status, value) in [
        ("pw", 200, json!("hunter2-canary")),
        ("bytes", 200, json!({"$encoding": "base64", "data": "AP+A"})),
        ("deep%2Fer", 200, json!("below")),
        ("none", 404, json!(null)),
        ("number", 404, json!(null)),
        ("..%2Fw2%2Fpw", 404, json!(null)),
        ("%2e%2e%2fw2%2fpw", 404, json!(null)),
        ("%252e%252e", 404, json!(null)),
    ] {
        let answer = world.get(BUILD, &format!("/secrets/{name}")).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert_eq!(answer.json()["value"], value, "{name}");
    }

    let good = there.claims(&step("build"));
    let foreign = world.namespace("foreign", None).await;
    let changed = |change: fn(&mut Claims)| {
        let mut claims = good.clone();
        change(&mut claims);
        claims
    };
    let forged = SigningKey::from_pem("k", OTHER).unwrap().sign(&good).await.unwrap();
    let own = &world.namespace_uid;
    let past = |claims: &mut Claims| {
        claims.not_before = claims.not_before.map(|start| start - 7200);
        claims.expires_at = claims.expires_at.map(|end| end - 7200);
    };
    let strangers = [
        ("sealed for another namespace", there.sealed_for(&foreign, token(&good).await).await),
        ("the UID of another namespace", {
            let namespace_uid = Some(foreign.clone());
            there.sealed(&Claims { namespace_uid, ..good.clone() }).await
        }),
        ("the name of another namespace", {
            let namespace_name = Some("foreign".to_owned());
            there.sealed(&Claims { namespace_name, ..good.clone() }).await
        }),
        ("another key", there.sealed_for(own, forged).await),
        ("expired", there.sealed(&changed(past)).await),
        ("no end", there.sealed(&changed(|claims| claims.expires_at = None)).await),
        ("no beginning", there.sealed(&changed(|claims| claims.not_before = None)).await),
        ("others", there.sealed(&changed(|claims| claims.audience = vec!["x".to_owned()])).await),
        ("no audience", there.sealed(&changed(|claims| claims.audience = Vec::new())).await),
        ("another step", there.sealed(&there.claims(&step("deploy"))).await),
        ("no token", there.sealed_for(own, "nothing".to_owned().into()).await),
        ("not sealed", "vault:v1:AAAA".to_owned()),
        ("a place that is none", {
            there
                .sealed(&changed(|claims| claims.vault_engine_path = Some("../x".to_owned())))
                .await
        }),
    ];
    for (index, (name, sealed)) in strangers.iter().enumerate() {
        let ip = format!("10.0.1.{index}");
        there.pod("tenant", &format!("stranger-{index}"), &ip, sealed).await;
        for path in ["/spec", "/secrets/pw"] {
            let answer = world.get(&ip, path).await;
            assert_eq!(answer.status, 401, "{name} {path}: {}", answer.body);
            assert!(!answer.body.contains("canary"), "{name}");
        }
    }
    // The token of a good pod, copied to the namespace of another tenant.
    there.pod("foreign", "copied", "10.0.2.1", &there.sealed(&good).await).await;
    assert_eq!(world.get("10.0.2.1", "/spec").await.status, 401);

    // A place that is another tenant's: the policy of Vault says no.
    let theirs = changed(|claims| claims.vault_secret_path = Some("workflows/w2".to_owned()));
    there.pod("tenant", "theirs", "10.0.2.2", &there.sealed(&theirs).await).await;
    let answer = world.get("10.0.2.2", "/secrets/pw").await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("rma_model_authorization_error"), "{}", answer.body);

    // Half a place: the other half is forbidden.
    let half = changed(|claims| claims.vault_connection_path = None);
    there.pod("tenant", "half", "10.0.2.3", &there.sealed(&half).await).await;
    assert_eq!(world.get("10.0.2.3", "/secrets/pw").await.status, 200);
    assert_eq!(world.get("10.0.2.3", "/spec?q=a").await.status, 200);
    let answer = world.get("10.0.2.3", "/spec?q=b").await;
    assert_eq!(answer.status, 422, "{}", answer.body);

    // No place in Vault: the Secrets of Kubernetes, whoever sealed the token.
    let data = json!({"value": "kubernetes"});
    world.secret("pw", json!({"relay.sh/secret": "pw"}), json!({}), data).await;
    let nowhere = changed(|claims| claims.vault_engine_path = None);
    let by_keys = world.seal.seal(own, &token(&nowhere).await).await.unwrap();
    for (name, ip, sealed) in
        [("by-vault", "10.0.2.4", there.sealed(&nowhere).await), ("by-keys", "10.0.2.5", by_keys)]
    {
        there.pod("tenant", name, ip, &sealed).await;
        world.get(ip, "/secrets/pw").await.is(200, &json!({"key": "pw", "value": "kubernetes"}));
    }
}

#[tokio::test]
async fn a_warm_spec_makes_no_call_at_all() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let there = Installation::new(&stage, Checks::Vault).await;
    there.build().await;
    double.requests();
    let first = there.world.get(BUILD, "/spec?q=b").await;
    assert_eq!(first.status, 200, "{}", first.body);
    let engine = "GET /v1/customers";
    let expected = [
        "PUT /v1/transit-tenants/decrypt/metadata-api".to_owned(),
        "PUT /v1/auth/jwt-tenants/login".to_owned(),
        format!("{engine}/data/connections/d1/http/api"),
        format!("{engine}/metadata/connections/d1/{CONNECTION}?list=true"),
        format!("{engine}/data/connections/d1/{CONNECTION}/password"),
        format!("{engine}/data/connections/d1/{CONNECTION}/user"),
    ];
    let mut lines = double.lines();
    lines[4..].sort();
    assert_eq!(lines, expected);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = there.world.cluster.request_count();
    for _ in 0..20 {
        let answer = there.world.get(BUILD, "/spec?q=b").await;
        assert_eq!((answer.status, answer.body), (200, first.body.clone()));
    }
    assert_eq!(there.world.cluster.request_count(), before);
    assert_eq!(double.lines(), [""; 0]);

    // The other reference is not there, which is asked for each time.
    for _ in 0..2 {
        there.world.get(BUILD, "/spec?q=c").await;
        assert_eq!(double.lines(), [format!("{engine}/data/workflows/w1/none")]);
    }
}

#[tokio::test]
async fn with_local_keys_nobody_logs_in_before_it_asks_for_a_secret() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let there = Installation::new(&stage, Checks::Keys).await;
    there.build().await;
    double.requests();
    assert_eq!(there.world.get(BUILD, "/conditions").await.status, 200);
    assert_eq!(double.lines(), ["PUT /v1/transit-tenants/decrypt/metadata-api"]);
    assert_eq!(there.world.get(BUILD, "/secrets/pw").await.status, 200);
    assert_eq!(double.lines()[0], "PUT /v1/auth/jwt-tenants/login");
}

#[tokio::test]
async fn what_a_caller_got_goes_with_its_pod() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let there = Installation::new(&stage, Checks::Vault).await;
    there.build().await;
    assert_eq!(there.world.get(BUILD, "/secrets/pw").await.status, 200);
    double.put("workflows/w1/pw", json!({"value": "changed"}));
    let kept = there.world.get(BUILD, "/secrets/pw").await;
    assert_eq!(kept.json()["value"], "hunter2-canary");
    there.world.delete_pod("build").await;
    double.requests();
    there.build().await;
    let fresh = there.world.get(BUILD, "/secrets/pw").await;
    assert_eq!(fresh.json()["value"], "changed");
    assert!(double.lines().iter().any(|line| line.contains("login")));
}

#[tokio::test]
async fn a_vault_that_fails_is_no_refusal_and_not_remembered() {
    let double = Double::default();
    let stage = Stage::on_double(&double).await;
    let there = Installation::new(&stage, Checks::Vault).await;
    there.build().await;
    for path in ["/decrypt/", "/login", "/data/"] {
        double.fail(path, Fault::Status(503), usize::MAX);
        let answer = there.world.get(BUILD, "/secrets/pw").await;
        assert_eq!(answer.status, 500, "{path}: {}", answer.body);
        assert!(answer.body.contains("rma_model_read_error"), "{path}: {}", answer.body);
        let spec = there.world.get(BUILD, "/spec").await;
        assert_eq!(spec.status, 500, "{path}: {}", spec.body);
        double.heal();
    }
    assert_eq!(there.world.get(BUILD, "/secrets/pw").await.status, 200);
}
