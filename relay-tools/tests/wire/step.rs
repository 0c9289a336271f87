//! Steps to test with: a shell script, the double, and what they leave on record.

use std::time::Duration;

use relay_tools::client::MetadataClient;
use relay_tools::entrypoint::{Chunk, Ended, Entrypoint, EntrypointError, Invocation, Stream};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::double::Double;

pub(crate) const SATISFIED: &str = "WhenConditionSatisfied";

pub(crate) fn shell(script: &str) -> Entrypoint {
    Entrypoint::new(Invocation::new("sh", ["-c", script]))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .request_timeout(Duration::from_secs(3))
        .grace(Duration::from_secs(5))
}

pub(crate) fn on(double: &Double, step: Entrypoint) -> Entrypoint {
    step.client(MetadataClient::new(&double.url(), Duration::from_secs(5)).unwrap())
}

pub(crate) async fn run(step: Entrypoint) -> (Result<Ended, EntrypointError>, String, String) {
    let (output, mut chunks) = mpsc::channel::<Chunk>(4);
    let collect = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(chunk) = chunks.recv().await {
            match chunk.stream {
                Stream::Stdout => out.extend(chunk.bytes),
                Stream::Stderr => err.extend(chunk.bytes),
            }
        }
        (out, err)
    };
    let (ended, (out, err)) = tokio::join!(step.run(output, CancellationToken::new()), collect);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended, text(out), text(err))
}

/// The reports of a step: condition and exit code.
pub(crate) fn reports(double: &Double) -> Vec<(String, Value)> {
    double
        .bodies("PUT /status")
        .into_iter()
        .map(|body| {
            let condition = &body["when_condition"];
            for stamp in [&condition["timestamp"], &body["process_state"]["timestamp"]] {
                if let Some(text) = stamp.as_str() {
                    text.parse::<jiff::Timestamp>().unwrap();
                }
            }
            let status = condition["when_condition_status"].as_str().unwrap();
            (status.to_owned(), body["process_state"]["exit_code"].clone())
        })
        .collect()
}
