//! On a real socket.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::world::{World, step};

struct Server {
    address: std::net::SocketAddr,
    authorization: String,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
}

async fn start() -> Server {
    let api = World::new().spec(r#"{"a": 1}"#).serve();
    let token = api.token(&step("build")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(api.router.serve(listener, async { drop(stopped.await) }));
    let authorization = format!("Authorization: Bearer {}\r\n", token.expose_secret());
    Server { address, authorization, stop, done }
}

/// Reads one answer with the length that its head promises.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the connection ended: {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return text;
        }
    }
}

#[tokio::test]
async fn connections_stay_open() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        let request = format!("GET /spec HTTP/1.1\r\nHost: x\r\n{}\r\n", server.authorization);
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with(r#"{"complete":true,"unresolvable":{},"value":{"a":1}}"#));
    }
}

#[tokio::test]
async fn expectations_and_chunks() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "PUT /outputs/o HTTP/1.1\r\nHost: x\r\n{}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.authorization
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = [0; 25];
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 201 Created\r\n"));
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /spec HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    // The answer comes before all of it is written.
    let _ = stream.write_all(request.as_bytes()).await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn oversized_bodies_are_refused_where_the_client_sees_it() {
    let server = start().await;
    let head = |more: &str| {
        let authorization = &server.authorization;
        format!("PUT /outputs/o HTTP/1.1\r\nHost: x\r\n{authorization}{more}\r\n\r\n")
    };
    // Sends all before it reads, as simple clients do.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head("Content-Length: 3000000").as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; 3_000_000]).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413 "));

    // Asks first.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = head("Content-Length: 3000000\r\nExpect: 100-continue");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_stop_lets_what_was_begun_finish() {
    let server = start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "PUT /outputs/o HTTP/1.1\r\nHost: x\r\n{}Content-Length: 3\r\n\r\n",
        server.authorization
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    assert!(TcpStream::connect(server.address).await.is_err(), "nothing new is accepted");
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "the idle one is closed");
    busy.write_all(b"abc").await.unwrap();
    assert!(answer(&mut busy).await.starts_with("HTTP/1.1 201 Created\r\n"));
    tokio::time::timeout(Duration::from_secs(5), server.done).await.unwrap().unwrap();
}

#[tokio::test]
async fn bytes_that_belong_escaped_may_come_as_they_are() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("Host: x\r\n{}", server.authorization);
    for _ in 0..2 {
        let line = "GET /spec?lang=path-template&q=<${a}> HTTP/1.1";
        stream.write_all(format!("{line}\r\n{head}\r\n").as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.ends_with(r#""value":"\u003c1\u003e"}"#), "{answer}");

        // A body is not touched, whatever stands in it.
        let line = "PUT /outputs/`\"<name>\"` HTTP/1.1";
        let body = line;
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{line}\r\n{head}{length}").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let stored = self::answer(&mut stream).await;
        assert!(stored.starts_with("HTTP/1.1 201 "), "{stored}");
    }
    let line = "GET /outputs/build/%60%22%3Cname%3E%22%60 HTTP/1.1";
    stream.write_all(format!("{line}\r\n{head}\r\n").as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.contains(r#"PUT /outputs/`\"\u003cname\u003e\"` HTTP/1.1"#), "{answer}");
}
