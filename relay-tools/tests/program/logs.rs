//! What a program prints, on its way to the log API.

use std::process::Output;
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::api::{Mood, serve, serve_with};
use crate::program::tools;

async fn printing(url: &str, script: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = tools();
    command
        .args(["-entrypoint", "sh", "--", "-c", script])
        .env("METADATA_API_URL", url)
        .env("RELAY_GATED", "true")
        .envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_is_that_of_the_program_also_when_the_report_is_refused() {
    for (name, script, code) in [("success", "true", 0), ("failure", "exit 5", 5)] {
        let (url, _) = serve_with(Mood::Absent, StatusCode::FORBIDDEN).await;
        let output = printing(&url, script, &[("RELAY_ENABLE_SECURE_LOGGING", "false")]).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {stderr}");
        assert!(stderr.contains("report"), "{name}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_travel_together_and_lose_nothing() {
    let (url, logs) = serve(Mood::Willing).await;
    let script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; \
                  head -c 300000 /dev/zero | tr '\\0' x; printf '\\nno \\377 text\\r\\n\\nend'; \
                  echo wrong >&2; exit 3";
    let output = printing(&url, script, &[]).await;
    assert_eq!(output.status.code(), Some(3));
    let sent = logs.messages("stdout");
    assert!(sent.len() < 100, "{} requests", sent.len());
    assert!(sent.iter().all(|message| message.len() <= 64 * 1024));
    // Only a line that fits into no message is taken apart.
    let lines = |text: &[u8]| -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        lines.partition(|line| !line.starts_with(b"x"))
    };
    let (short, long) = lines(&sent.join(&b'\n'));
    let (expected, whole) = lines(&output.stdout);
    assert_eq!(short, expected);
    assert_eq!(long.concat(), whole.concat());
    assert_eq!(logs.messages("stderr"), [b"wrong".to_vec()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_state_of_the_log_api_disturbs_the_program() {
    let script = "head -c 5000000 /dev/zero; echo done >&2; exit 4";
    let off = [("RELAY_ENABLE_SECURE_LOGGING", "false")];
    let hasty = [("RELAY_DEFAULT_TIMEOUT", "2s")];
    for (name, mood, variables) in [
        ("switched off", Mood::Willing, &off),
        ("silent", Mood::Silent, &hasty),
        ("broken", Mood::Broken, &hasty),
        ("absent", Mood::Absent, &hasty),
    ] {
        let (url, logs) = serve(mood).await;
        let started = Instant::now();
        let output = printing(&url, script, variables).await;
        assert!(started.elapsed() < Duration::from_secs(30), "{name}");
        assert_eq!(output.status.code(), Some(4), "{name}");
        assert_eq!(output.stdout.len(), 5_000_000, "{name}");
        assert_eq!(output.stderr, b"done\n", "{name}");
        assert!(logs.messages("stdout").is_empty(), "{name}");
    }
}
