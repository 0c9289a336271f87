//! What a program prints, on its way to whoever wants it.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// One of the two streams of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output, exactly as it was written. Pieces end anywhere, also within a line or a
/// character; those of one stream come in order. `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it was written.
    pub stream: Stream,
    /// What was written; never empty.
    pub bytes: Bytes,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("stream", &self.stream)
            .field("length", &self.bytes.len())
            .finish()
    }
}

/// How long a stream may stay silent once the program is gone. Only a process that has left
/// the program's group can still hold it open then.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// The most that such a process may still add; no pipe holds more from before the end.
const LAST_BYTES: usize = 1024 * 1024;

/// Copies a stream until it ends, at the pace of the receiver. Without a receiver the rest is
/// read and dropped, so that the program does not notice.
pub(super) async fn copy(
    stream: Stream,
    pipe: Option<impl AsyncRead + Unpin>,
    sink: &mpsc::Sender<Chunk>,
    ended: &CancellationToken,
) {
    const CHUNK: usize = 16 * 1024;
    let Some(mut pipe) = pipe else { return };
    let mut buffer = BytesMut::new();
    let mut late = 0;
    while late <= LAST_BYTES {
        buffer.reserve(CHUNK);
        let read = tokio::select! {
            biased;
            read = pipe.read_buf(&mut buffer) => read,
            () = async { ended.cancelled().await; tokio::time::sleep(LINGER).await } => return,
        };
        match read {
            Ok(0) | Err(_) => return,
            Ok(count) if ended.is_cancelled() => late += count,
            Ok(_) => {}
        }
        let bytes = buffer.split().freeze();
        // Fails when nobody listens any more, which is the receiver's affair.
        drop(sink.send(Chunk { stream, bytes }).await);
    }
}
