//! Pieces of output to lines.

/// The longest line that is kept together, in bytes.
const MAX_LINE: usize = 64 << 10;

/// One stream of a step: what it wrote since its last line feed.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and gives the lines that are complete with it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.rest.len() >= MAX_LINE {
                lines.extend(self.take());
            }
        }
        lines
    }

    /// What is left when the stream ends.
    pub(crate) fn take(&mut self) -> Option<String> {
        if self.rest.is_empty() {
            return None;
        }
        let line = std::mem::take(&mut self.rest);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(String::from_utf8_lossy(line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_when_they_are_complete() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\nb"), ["a"]);
        assert_eq!(lines.push(b"c\r\n\nd"), ["bc", ""]);
        assert_eq!(lines.take().as_deref(), Some("d"));
        assert_eq!(lines.take(), None);
        assert_eq!(lines.push(&[0xff, b'\n']), ["\u{fffd}"]);
    }

    #[test]
    fn endless_lines_come_in_pieces() {
        let mut lines = Lines::default();
        let pieces: usize = (0..100).map(|_| lines.push(&[b'x'; 4096]).len()).sum();
        assert!(pieces >= 5);
    }
}
