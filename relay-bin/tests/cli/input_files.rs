//! Scripts that lie elsewhere.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::relay::run;

/// Answers every request by its path.
fn server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut bytes = [0; 4096];
            let read = socket.read(&mut bytes).unwrap();
            let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let (status, header, body) = match request.split(' ').nth(1).unwrap_or_default() {
                "/short" => ("302 Found", "Location: /script.sh\r\n", ""),
                "/script.sh" => ("200 OK", "", "#!/bin/sh\necho \"hello $(ni get -p '{.who}')\"\n"),
                _ => ("404 Not Found", "", "echo this is no script"),
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            socket.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn scripts_are_fetched_before_anything_starts() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yaml");
    std::fs::write(folder.path().join("own.sh"), "echo own").unwrap();
    let steps = format!(
        "steps:\n\
         - {{name: a, image: x, spec: {{who: you}}, inputFile: 'http://{server}/short'}}\n\
         - {{name: b, image: x, spec: {{who: me}}, inputFile: 'http://{server}/short'}}\n\
         - {{name: c, image: x, inputFile: own.sh}}\n"
    );
    std::fs::write(&file, &steps).unwrap();
    let ran = run(&file, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for line in ["a | hello you\n", "b | hello me\n", "c | own\n"] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }

    let more = format!(
        "- {{name: d, image: x, input: [touch started]}}\n\
         - {{name: e, image: x, inputFile: 'http://{server}/none'}}\n\
         - {{name: f, image: x, inputFile: 'file:///etc/hosts'}}\n\
         - {{name: g, image: x, inputFile: none.sh}}\n"
    );
    std::fs::write(&file, steps + &more).unwrap();
    let ran = run(&file, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "nothing is started");
    let findings: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(findings.len(), 3, "{}", ran.stderr);
    for (line, finding, cause) in [
        (6, findings[0], "step \"e\": the server answered 404 Not Found"),
        (7, findings[1], "step \"f\": only http and https addresses can be fetched"),
        (8, findings[2], "step \"g\": No such file"),
    ] {
        assert!(finding.contains(&format!("w.yaml:{line}:")), "{finding}");
        assert!(finding.contains("error[input-file]") && finding.contains(cause), "{finding}");
    }
}
