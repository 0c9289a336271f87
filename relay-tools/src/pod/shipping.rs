//! Sending what a program prints to the log API, behind its back.
//!
//! The program never waits for the log API: what it prints is put into a buffer of bounded size,
//! which loses its oldest lines when the API cannot keep up, and says so in the log. Lines travel
//! in batches, those of one stream in order. An API that keeps no logs ends the matter quietly,
//! for the output is printed anyway.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::MetadataClient;
use crate::entrypoint::{Chunk, Stream};

/// Whether logs are to be sent, by the value of `RELAY_ENABLE_SECURE_LOGGING`: yes, unless it
/// clearly says no.
pub(super) fn is_wanted(value: Option<&OsStr>) -> bool {
    let no = ["0", "f", "F", "false", "False", "FALSE"];
    !value.and_then(OsStr::to_str).is_some_and(|value| no.contains(&value))
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How much of a stream may wait, in bytes.
    pub(super) waiting: usize,
    /// How much goes into one request, in bytes.
    pub(super) batch: usize,
    /// How long to wait for more.
    pub(super) pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 1024 * 1024, batch: 64 * 1024, pause: Duration::from_millis(250) }
    }
}

/// The logs of both streams, on their way.
pub(super) struct Shipping {
    stdout: Arc<Lane>,
    stderr: Arc<Lane>,
    tasks: JoinSet<()>,
}

impl Shipping {
    pub(super) fn start(client: &MetadataClient, limits: Limits) -> Self {
        let mut tasks = JoinSet::new();
        let mut lane = |name| {
            let lane = Arc::new(Lane::new(limits));
            tasks.spawn(Arc::clone(&lane).ship(client.clone(), name));
            lane
        };
        Self { stdout: lane("stdout"), stderr: lane("stderr"), tasks }
    }

    /// Takes a copy of some output. Never waits.
    pub(super) fn take(&self, chunk: &Chunk) {
        match chunk.stream {
            Stream::Stdout => self.stdout.put(&chunk.bytes),
            Stream::Stderr => self.stderr.put(&chunk.bytes),
        }
    }

    /// Sends what is left, for as long as `limit`.
    pub(super) async fn finish(mut self, limit: Duration) {
        self.stdout.closed.cancel();
        self.stderr.closed.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // What is still there then is printed, at least.
        drop(tokio::time::timeout(limit, all).await);
    }
}

/// One stream.
struct Lane {
    limits: Limits,
    buffer: Mutex<Buffer>,
    changed: Notify,
    /// Nothing more comes.
    closed: CancellationToken,
}

#[derive(Default)]
struct Buffer {
    bytes: VecDeque<u8>,
    /// When the first of them came.
    since: Option<Timestamp>,
    lost: usize,
    /// Nobody wants it.
    refused: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Batch {
    payload: Vec<u8>,
    at: Timestamp,
}

impl Lane {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Mutex::default(),
            changed: Notify::new(),
            closed: CancellationToken::new(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Buffer) -> T) -> T {
        work(&mut self.buffer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, bytes: &[u8]) {
        self.with(|buffer| buffer.put(bytes, self.limits.waiting));
        self.changed.notify_one();
    }

    async fn ship(self: Arc<Self>, client: MetadataClient, name: &'static str) {
        let Ok(Some(log)) = client.create_log(name).await else {
            self.with(|buffer| *buffer = Buffer { refused: true, ..Buffer::default() });
            return;
        };
        loop {
            // A program that prints line by line shall not make a request of each.
            tokio::select! {
                () = self.closed.cancelled() => {}
                () = async {
                    self.changed.notified().await;
                    tokio::time::sleep(self.limits.pause).await;
                } => {}
            }
            let over = self.closed.is_cancelled();
            while let Some(Batch { payload, at }) =
                self.with(|buffer| buffer.batch(self.limits.batch, over))
            {
                let size = payload.len();
                if client.append_log(&log, payload, at).await.is_err() {
                    self.with(|buffer| buffer.lost += size);
                }
            }
            if over {
                return;
            }
        }
    }
}

impl Buffer {
    fn put(&mut self, bytes: &[u8], room: usize) {
        if self.refused || bytes.is_empty() {
            return;
        }
        if self.bytes.is_empty() {
            self.since = Some(Timestamp::now());
        }
        self.bytes.extend(bytes);
        if let Some(over) = self.bytes.len().checked_sub(room).filter(|over| *over > 0) {
            // Up to the end of a line, so that what remains begins with a whole one.
            let rest = self.bytes.iter().skip(over - 1).position(|byte| *byte == b'\n');
            let lost = over + rest.unwrap_or_default();
            self.bytes.drain(..lost);
            self.lost += lost;
        }
    }

    /// The next whole lines, as many as fit, without the end of the last one; a line that does not
    /// fit in pieces. What has no end yet stays until there is more, or all is `over`.
    fn batch(&mut self, size: usize, over: bool) -> Option<Batch> {
        let within = self.bytes.len().min(size);
        let line_end = self.bytes.iter().take(within).rposition(|byte| *byte == b'\n');
        let (cut, ending) = match line_end {
            Some(end) => (end + 1, 1),
            None if within == size || over => (within, 0),
            None => return None,
        };
        if cut == 0 {
            return None;
        }
        let mut payload = match std::mem::take(&mut self.lost) {
            0 => Vec::with_capacity(cut),
            lost => format!("relay: {lost} bytes of output are missing here\n").into_bytes(),
        };
        payload.extend(self.bytes.drain(..cut));
        payload.truncate(payload.len() - ending);
        let at = self.since.unwrap_or_else(Timestamp::now);
        self.since = (!self.bytes.is_empty()).then(Timestamp::now);
        Some(Batch { payload, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(buffer: &mut Buffer, size: usize, over: bool) -> Vec<String> {
        std::iter::from_fn(|| buffer.batch(size, over))
            .map(|batch| String::from_utf8(batch.payload).unwrap())
            .collect()
    }

    #[test]
    fn batches_are_whole_lines_where_lines_fit() {
        for (name, text, over, expected, left) in [
            ("nothing", "", true, &[][..], 0),
            ("a line", "one\n", false, &["one"], 0),
            ("lines", "one\ntwo\n", false, &["one\ntwo"], 0),
            ("more than fits", "one\ntwo\nthree\n", false, &["one\ntwo", "three"], 0),
            ("the start of a line", "one\ntw", false, &["one"], 2),
            ("the same at the end", "one\ntw", true, &["one", "tw"], 0),
            ("a long line", "0123456789abc\n", false, &["0123456789", "abc"], 0),
            ("empty lines", "\n\n", false, &["\n"], 0),
            ("other ends", "one\r\n", false, &["one\r"], 0),
        ] {
            let mut buffer = Buffer::default();
            buffer.put(text.as_bytes(), 1000);
            assert_eq!(batches(&mut buffer, 10, over), expected, "{name}");
            assert_eq!(buffer.bytes.len(), left, "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_lost_from_the_front_and_told() {
        let mut buffer = Buffer::default();
        for number in 10..30 {
            buffer.put(format!("line {number}\n").as_bytes(), 32);
            assert!(buffer.bytes.len() <= 32);
        }
        let told =
            "relay: 128 bytes of output are missing here\nline 26\nline 27\nline 28\nline 29";
        assert_eq!(batches(&mut buffer, 1000, false), [told]);
        buffer.put(b"more\n", 32);
        assert_eq!(batches(&mut buffer, 1000, false), ["more"]);
    }

    #[test]
    fn one_huge_line_keeps_its_end() {
        let mut buffer = Buffer::default();
        buffer.put(&[b'x'; 100], 32);
        assert_eq!((buffer.bytes.len(), buffer.lost), (32, 68));
    }

    #[test]
    fn logs_are_sent_unless_told_otherwise() {
        for (value, wanted) in [
            (None, true),
            (Some("true"), true),
            (Some("garbled"), true),
            (Some("false"), false),
            (Some("0"), false),
            (Some("FALSE"), false),
        ] {
            assert_eq!(is_wanted(value.map(OsStr::new)), wanted, "{value:?}");
        }
    }
}
