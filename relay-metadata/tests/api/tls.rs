use std::path::Path;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use relay_metadata::{TlsError, TlsFiles, TlsPair};
use tokio::net::TcpListener;

use crate::world::World;

/// Writes a new certificate and its key; the certificate.
fn renew(directory: &Path) -> Vec<u8> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("key.pem"), signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.join("certificate.pem"), cert.pem()).unwrap();
    cert.pem().into_bytes()
}

fn files(directory: &Path) -> Result<TlsFiles, TlsError> {
    TlsFiles::read(directory.join("certificate.pem"), directory.join("key.pem"))
}

/// Whether a client that trusts this certificate alone gets an answer.
async fn is_trusted(port: u16, certificate: &[u8]) -> bool {
    let certificate = reqwest::Certificate::from_pem(certificate).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap();
    let url = format!("https://localhost:{port}/healthz");
    client.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_while_serving() {
    let directory = tempfile::tempdir().unwrap();
    let first = renew(directory.path());
    let files = files(directory.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = World::new().serve().router;
    let metrics = router.metrics();
    tokio::spawn({
        let tls = files.tls();
        async move { router.serve_tls(listener, &tls, std::future::pending()).await }
    });
    assert!(is_trusted(port, &first).await);
    let plain = reqwest::get(format!("http://127.0.0.1:{port}/healthz")).await;
    assert!(plain.is_err(), "plain HTTP is refused");

    let follow = tokio::spawn(files.follow(metrics));
    tokio::task::yield_now().await;
    std::fs::write(directory.path().join("key.pem"), "nothing").unwrap();
    let pass = async |seconds| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::task::yield_now().await;
        tokio::time::resume();
    };
    pass(11).await;
    assert!(is_trusted(port, &first).await, "what cannot be used changes nothing");
    let second = renew(directory.path());
    pass(11).await;
    assert!(is_trusted(port, &second).await);
    assert!(!is_trusted(port, &first).await);
    follow.abort();
}

#[test]
fn files_that_cannot_be_used() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(files(directory.path()), Err(TlsError::Read { .. })));
    renew(directory.path());
    let key = std::fs::read(directory.path().join("key.pem")).unwrap();
    std::fs::write(directory.path().join("certificate.pem"), &key).unwrap();
    assert!(matches!(files(directory.path()), Err(TlsError::Pem { what: "certificates", .. })));
    renew(directory.path());
    std::fs::write(directory.path().join("key.pem"), &key).unwrap();
    assert!(matches!(files(directory.path()), Err(TlsError::Unusable(_))));
}

#[tokio::test]
async fn a_certificate_is_replaced_by_who_holds_one() {
    let directory = tempfile::tempdir().unwrap();
    let pair = || {
        let certificate = renew(directory.path());
        (certificate, std::fs::read(directory.path().join("key.pem")).unwrap())
    };
    let (first, first_key) = pair();
    let (second, second_key) = pair();
    let pair = TlsPair::from_pem(&first, &first_key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = World::new().serve().router;
    let shown = pair.tls();
    tokio::spawn(async move { router.serve_tls(listener, &shown, std::future::pending()).await });
    assert!(!pair.replace(&first, &first_key).unwrap(), "nothing is new");
    assert!(pair.replace(&second, &first_key).is_err());
    assert!(is_trusted(port, &first).await, "what cannot be used changes nothing");
    assert!(pair.replace(&second, &second_key).unwrap());
    assert!(is_trusted(port, &second).await);
    assert!(!is_trusted(port, &first).await);
}
