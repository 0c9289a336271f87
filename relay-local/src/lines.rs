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
            if piece.ends_with(b"\n") {
                lines.extend(self.take());
            } else if self.rest.len() >= MAX_LINE {
                lines.extend(self.take_characters());
            }
        }
        lines
    }

    /// A piece of a very long line, up to a character that may not be complete yet.
    fn take_characters(&mut self) -> Option<String> {
        let cut = self.rest.len().saturating_sub(
            self.rest.iter().rev().take(3).position(|byte| *byte >= 0xc0).map_or(0, |at| at + 1),
        );
        let rest = self.rest.split_off(cut);
        let piece = std::mem::replace(&mut self.rest, rest);
        (!piece.is_empty()).then(|| String::from_utf8_lossy(&piece).into_owned())
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
        let mut lines = Lines::default();
        let text = format!("x{}", "ä".repeat(MAX_LINE));
        let mut all: Vec<_> = text.as_bytes().chunks(1000).flat_map(|c| lines.push(c)).collect();
        all.extend(lines.take());
        assert_eq!(all.concat(), text, "no character is cut");
    }
}
