//! One suite against two servers.
//!
//! Every case runs against [`MemoryCluster`], as a test of its own, and against the API server
//! of `$KUBECONFIG`, all in one ignored test. A case speaks through a client only, so what it
//! asserts holds for both.

#![cfg(test)]
#![expect(clippy::needless_pass_by_value, reason = "documents are written where they are passed")]

mod apply;
mod custom;
mod deletion;
mod kinds;
mod lists;
mod merging;
mod namespaces;
mod objects;
mod patches;
mod scene;
mod validation;
mod watching;

use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::StreamExt;
use kube_memory::MemoryCluster;
use scene::Scene;
use std::panic::AssertUnwindSafe;

/// A named case.
pub(crate) type Case = (&'static str, fn(Scene) -> LocalBoxFuture<'static, ()>);

/// Lists the cases of a module and makes each a test against the in-memory cluster.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[crate::Case] = &[
            $((stringify!($name), |scene| Box::pin($name(scene)))),*
        ];

        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    crate::in_memory(super::$name).await;
                }
            )*
        }
    };
}
pub(crate) use cases;

async fn in_memory<F: Future<Output = ()>>(case: impl FnOnce(Scene) -> F) {
    let client = MemoryCluster::new().client("default");
    case(Scene::new(client).await).await;
}

/// Ring 3: the same cases against a real API server.
#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn the_real_server_agrees() {
    let mut config = kube::Config::infer().await.unwrap();
    // Some cases want to see the very refusals that the client would wait out.
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    let wanted = std::env::var("CASE").unwrap_or_default();
    let modules = [
        ("apply", apply::CASES),
        ("custom", custom::CASES),
        ("deletion", deletion::CASES),
        ("kinds", kinds::CASES),
        ("lists", lists::CASES),
        ("merging", merging::CASES),
        ("namespaces", namespaces::CASES),
        ("objects", objects::CASES),
        ("patches", patches::CASES),
        ("validation", validation::CASES),
        ("watching", watching::CASES),
    ];
    let cases = modules.iter().flat_map(|(module, cases)| {
        let named = cases.iter().map(move |(name, case)| (format!("{module}::{name}"), case));
        named.filter(|(name, _)| name.contains(&wanted))
    });
    let runs = cases.map(|(name, case)| {
        let client = client.clone();
        async move {
            let run = async { case(Scene::new(client).await).await };
            // A panic ends the case and not the suite.
            (name, AssertUnwindSafe(run).catch_unwind().await.is_ok())
        }
    });
    let results: Vec<_> = futures::stream::iter(runs).buffer_unordered(8).collect().await;
    let (passed, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, passed)| *passed);
    println!("{} cases agree", passed.len());
    assert!(failed.is_empty(), "the servers differ in {failed:#?}");
}
