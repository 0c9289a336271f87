use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::Path;
use axum::response::Redirect;
use axum::routing::get;
use futures::StreamExt as _;
use rustls::ServerConnection;

use super::*;

const LIMITS: Limits = Limits { time: Duration::from_millis(500), size: 1000 };

/// A server whose `/hops/N` redirects N times until it answers.
async fn server() -> SocketAddr {
    let hop = |Path(left): Path<usize>| async move {
        match left {
            0 => Redirect::permanent("/script"),
            // As it stands in the answer, relative to where it comes from.
            _ => Redirect::temporary(&(left - 1).to_string()),
        }
    };
    let endless = || async {
        let pieces = futures::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 100]))
        });
        axum::body::Body::from_stream(pieces.take(1_000_000))
    };
    let drip = || async {
        let pieces =
            futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"x")));
        let slow = pieces.then(|piece| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            piece
        });
        axum::body::Body::from_stream(slow)
    };
    let router = Router::new()
        .route("/script", get(|| async { "#!/bin/sh\necho hello\n" }))
        .route("/hops/{left}", get(hop))
        .route("/empty", get(|| async { "" }))
        .route("/created", get(|| async { (StatusCode::CREATED, "x") }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
        .route("/ftp", get(|| async { Redirect::temporary("ftp://host/x") }))
        .route("/nowhere", get(|| async { StatusCode::FOUND }))
        .route("/exact", get(|| async { "x".repeat(1000) }))
        .route("/large", get(|| async { "x".repeat(1001) }))
        .route("/endless", get(endless))
        .route("/drip", get(drip))
        .route("/hang", get(std::future::pending::<&str>))
        .route("/bytes", get(|| async { [0xff, 0xfe] }));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

#[tokio::test]
async fn what_is_fetched_and_what_is_not() {
    let server = server().await;
    let fetcher = Fetcher::new(LIMITS).unwrap();
    let script = Ok("#!/bin/sh\necho hello\n");
    let exact = "x".repeat(1000);
    for (path, expected) in [
        ("/script", script),
        ("/empty", Ok("")),
        ("/exact", Ok(&*exact)),
        ("/hops/0", script),
        ("/hops/4", script),
        ("/hops/5", Err("it redirects more than 5 times")),
        ("/hops/99", Err("it redirects more than 5 times")),
        ("/none", Err("the server answered 404 Not Found; 200 is expected")),
        ("/created", Err("the server answered 201 Created; 200 is expected")),
        ("/broken", Err("the server answered 500 Internal Server Error; 200 is expected")),
        ("/nowhere", Err("the server answered 302 Found; 200 is expected")),
        ("/file", Err("the server answered 307 Temporary Redirect; 200 is expected")),
        ("/ftp", Err("it redirects to ftp://host/x, which is not followed")),
        ("/large", Err("it has more than 1000 bytes")),
        ("/endless", Err("it has more than 1000 bytes")),
        ("/hang", Err("it has not come within 500ms")),
        ("/drip", Err("it has not come within 500ms")),
        ("/bytes", Err("it is not UTF-8")),
    ] {
        let fetched = fetcher.fetch(&format!("http://{server}{path}")).await;
        let fetched = fetched.map_err(|error| error.to_string());
        assert_eq!(fetched.as_deref().map_err(String::as_str), expected, "{path}");
    }
}

#[tokio::test]
async fn addresses_that_are_not_asked() {
    let fetcher = Fetcher::new(LIMITS).unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    for (address, expected) in [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://host/x", "only http and https"),
        ("http://me:secret@host/x", "with a user or a password"),
        ("http://ho st/", "it is no address"),
        ("http://", "it is no address"),
        (&format!("http://{closed}/x"), "it cannot be reached"),
        // Answers that are none.
        (&format!("https://{}/x", server().await), "it cannot be reached"),
    ] {
        let error = fetcher.fetch(address).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{address}: {error}");
        assert!(!error.contains("secret"), "{address}: {error}");
    }
}

/// A server with a certificate that nobody has signed answers once, with this.
fn tls_server(answer: String) -> (SocketAddr, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);
        // Whoever does not trust the certificate hangs up.
        if stream.read(&mut [0; 4096]).is_ok() {
            stream.write_all(answer.as_bytes()).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
    });
    (address, certificate)
}

#[tokio::test]
async fn certificates_are_checked_and_protection_is_kept() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned();
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{}/script\r\nContent-Length: 0\r\n\r\n",
        server().await
    );
    for (name, trusted, answer, expected) in [
        ("trusted", true, &answer, Ok("ok".to_owned())),
        ("not trusted", false, &answer, Err("it cannot be reached")),
        ("a redirect without protection", true, &redirect, Err("which is not followed")),
    ] {
        let (address, certificate) = tls_server(answer.clone());
        let roots = if trusted { vec![certificate] } else { Vec::new() };
        let fetcher = Fetcher::trusting(roots, LIMITS).unwrap();
        let fetched = fetcher.fetch(&format!("https://localhost:{}/x", address.port())).await;
        match expected {
            Ok(text) => assert_eq!(fetched.unwrap(), text, "{name}"),
            Err(part) => {
                let error = fetched.unwrap_err().to_string();
                assert!(error.contains(part), "{name}: {error}");
            }
        }
    }
}
