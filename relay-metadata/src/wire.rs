//! The bytes of a connection, around what HTTP makes of them: request lines that are nearly right,
//! and clients that read nothing.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may leave an answer unread.
const READ_TIME: Duration = Duration::from_secs(30);

/// A connection whose request lines may hold bytes that belong escaped there, such as the `<` of a
/// template in a query: they are escaped before HTTP is made of them, which would refuse them.
///
/// Only where it is certain that a request begins: at the start, and behind a request whose length is
/// known and of which nothing more was sent at once. Whatever else goes by is not touched, for a
/// change in a body would shift where the next request begins.
pub(crate) struct Wire<S> {
    stream: S,
    place: Place,
    /// What had no room in the buffer of a read.
    spilled: Vec<u8>,
    /// Runs while a write waits for the client.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Where in its requests a connection is; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// In a request line, or in front of it.
    #[default]
    Line,
    /// In the headers behind it, or at the start of one of their lines.
    Head { at_start: bool },
    /// Behind them, by so many bytes.
    Body { seen: u64 },
    /// Behind them, and so many bytes before the next request.
    Rest { left: u64 },
    /// No telling.
    Lost,
}

impl Place {
    /// Says that the head of a request was read: how long its body is, as these headers say.
    pub(crate) fn head(&self, headers: &HeaderMap) {
        let mut state = self.lock();
        let length = match headers.get(header::CONTENT_LENGTH) {
            _ if headers.contains_key(header::TRANSFER_ENCODING) => None,
            _ if headers.contains_key(header::UPGRADE) => None,
            Some(length) => length.to_str().ok().and_then(|length| length.parse().ok()),
            None => Some(0),
        };
        *state = match (*state, length) {
            (State::Body { seen }, Some(length)) => State::behind(length, seen),
            _ => State::Lost,
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What comes behind so many bytes of which these were seen.
    fn behind(length: u64, seen: u64) -> Self {
        match length.checked_sub(seen) {
            Some(0) => Self::Line,
            Some(left) => Self::Rest { left },
            None => Self::Lost,
        }
    }

    /// Takes note of what was read; how much of it, from its beginning on, stands in a request line.
    fn pass(&mut self, read: &[u8]) -> usize {
        let mut rest = read;
        let mut line = 0;
        if matches!(self, Self::Line) {
            let end = memchr(b'\n', read);
            line = end.map_or(read.len(), |end| end + 1);
            let (before, after) = read.split_at_checked(line).unwrap_or((read, &[]));
            // Empty lines in front of a request are none of it.
            if end.is_some() && !matches!(before, b"\n" | b"\r\n") {
                *self = Self::Head { at_start: true };
            }
            rest = after;
        }
        while let (Self::Head { at_start }, Some((byte, after))) = (*self, rest.split_first()) {
            (*self, rest) = match (byte, at_start) {
                (b'\n', true) => (Self::Body { seen: 0 }, after),
                (b'\r', true) => (*self, after),
                _ => match memchr(b'\n', rest).and_then(|end| rest.get(end + 1..)) {
                    Some(next) => (Self::Head { at_start: true }, next),
                    None => (Self::Head { at_start: false }, <&[u8]>::default()),
                },
            };
        }
        let count = rest.len() as u64;
        match *self {
            // Behind an empty line, what begins here is looked at no more.
            Self::Line if count > 0 => *self = Self::Lost,
            Self::Body { seen } => *self = Self::Body { seen: seen + count },
            Self::Rest { left } => *self = Self::behind(left, count),
            _ => {}
        }
        line
    }
}

fn belongs_escaped(byte: &u8) -> bool {
    matches!(byte, b'<' | b'>' | b'"' | b'`')
}

/// What was read with the request line at its beginning as it belongs; `None` where it is so already.
fn mended(state: &mut State, read: &[u8]) -> Option<Vec<u8>> {
    let line = state.pass(read);
    let (line, rest) = read.split_at_checked(line)?;
    if !line.iter().any(belongs_escaped) {
        return None;
    }
    let mut mended = Vec::with_capacity(read.len() + 64);
    for byte in line {
        match byte {
            byte if belongs_escaped(byte) => {
                mended.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            byte => mended.push(*byte),
        }
    }
    mended.extend_from_slice(rest);
    Some(mended)
}

impl<S> Wire<S> {
    /// Around this connection, which is told in `place` of the heads that were read.
    pub(crate) fn new(stream: S, place: Place) -> Self {
        Self { stream, place, spilled: Vec::new(), patience: None }
    }

    /// Ends a write that the client does not take.
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let patience = || Box::pin(tokio::time::sleep(READ_TIME));
        ready!(self.patience.get_or_insert_with(patience).as_mut().poll(context));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = &mut *self;
        if !this.spilled.is_empty() {
            let rest = this.spilled.split_off(buffer.remaining().min(this.spilled.len()));
            buffer.put_slice(&this.spilled);
            this.spilled = rest;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if let Some(mut mended) = mended(&mut this.place.lock(), read) {
            buffer.set_filled(before);
            this.spilled = mended.split_off(buffer.remaining().min(mended.len()));
            buffer.put_slice(&mended);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What comes through in pieces, each read at once. A `None` stands for a head that was read,
    /// with a body of this length.
    async fn through(pieces: &[(&str, Option<u64>)], buffer: usize) -> String {
        let (mut client, server) = tokio::io::duplex(4096);
        let place = Place::default();
        let mut wire = Wire::new(server, place.clone());
        let mut through = Vec::new();
        for (piece, head) in pieces {
            client.write_all(piece.as_bytes()).await.unwrap();
            let mut read = vec![0; buffer];
            let wait = Duration::from_millis(1);
            while let Ok(count) = tokio::time::timeout(wait, wire.read(&mut read)).await {
                through.extend_from_slice(&read[..count.unwrap()]);
            }
            if let Some(length) = head {
                let length = length.to_string();
                let headers = [(header::CONTENT_LENGTH, length.parse().unwrap())];
                place.head(&headers.into_iter().collect());
            }
        }
        String::from_utf8(through).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn only_request_lines_are_mended() {
        let raw = "GET /a?q=<\"b\"> HTTP/1.1\r\n";
        let mended = "GET /a?q=%3C%22b%22%3E HTTP/1.1\r\n";
        let head = "Host: <x>\r\n\r\n";
        let whole = format!("{raw}{head}");
        let post = format!("POST /a`b HTTP/1.1\n{head}");
        let with_body = format!("{whole}{raw}");
        let length = raw.len() as u64;
        let half = length / 2;
        let (first, second) = raw.split_at(12);
        let (raw_1, raw_2) = raw.split_at(half as usize);
        for (name, pieces, expected) in [
            ("one", vec![(&*whole, Some(0))], format!("{mended}{head}")),
            (
                "in pieces",
                vec![(first, None), (second, None), (head, Some(0))],
                format!("{mended}{head}"),
            ),
            (
                "two",
                vec![(&whole, Some(0)), (&whole, Some(0))],
                format!("{mended}{head}").repeat(2),
            ),
            (
                "a body that looks like one",
                vec![(&whole, Some(length)), (raw, None), (&whole, Some(0))],
                format!("{mended}{head}{raw}{mended}{head}"),
            ),
            (
                "a body in pieces",
                vec![(&whole, Some(length)), (raw_1, None), (raw_2, None), (&whole, Some(0))],
                format!("{mended}{head}{raw}{mended}{head}"),
            ),
            (
                "a body that came along",
                vec![(&with_body, Some(length)), (&whole, Some(0))],
                format!("{mended}{head}{raw}{mended}{head}"),
            ),
            (
                "a request that came along",
                vec![(&with_body, Some(0)), (head, Some(0)), (&whole, Some(0))],
                format!("{mended}{head}{raw}{head}{whole}"),
            ),
            (
                "more than the body",
                vec![(&whole, Some(1)), (raw, None), (&whole, None)],
                format!("{mended}{head}{raw}{whole}"),
            ),
            (
                "bare line feeds",
                vec![(&post, Some(0)), (&post, None)],
                post.replace('`', "%60").repeat(2),
            ),
        ] {
            for buffer in [7, 4096] {
                assert_eq!(through(&pieces, buffer).await, expected, "{name} {buffer}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_unknown_length_ends_all_mending() {
        let mut state = State::Body { seen: 0 };
        let place = Place::default();
        *place.lock() = state;
        place
            .head(&[(header::TRANSFER_ENCODING, "chunked".parse().unwrap())].into_iter().collect());
        state = *place.lock();
        assert_eq!(mended(&mut state, b"GET /< HTTP/1.1\r\n"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_given_up() {
        let (client, server) = tokio::io::duplex(64);
        let mut wire = Wire::new(server, Place::default());
        let started = tokio::time::Instant::now();
        let error = wire.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (ErrorKind::TimedOut, READ_TIME));
        drop(client);
    }
}
