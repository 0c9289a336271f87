//! Pieces of output to lines.

use crate::mask::Masks;

/// The longest line that is kept together, in bytes.
const MAX_LINE: usize = 64 << 10;

/// One stream of a step: what it wrote since its last line feed.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and gives the lines that are complete with it. A very long line comes in
    /// pieces, cut neither within a character nor within what is to be masked.
    pub(crate) fn push(&mut self, bytes: &[u8], masks: &Masks) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.extend(self.take());
            } else if self.rest.len() >= MAX_LINE + 2 * masks.longest() {
                lines.extend(self.take_piece(masks));
            }
        }
        lines
    }

    fn take_piece(&mut self, masks: &Masks) -> Option<String> {
        // What may be the beginning of a word to be masked stays.
        let cut = masks.whole_until(&self.rest, self.rest.len().saturating_sub(masks.longest()));
        let head = self.rest.get(..cut).unwrap_or_default();
        let incomplete = head.iter().rev().take(3).position(|byte| *byte >= 0xc0);
        let cut = cut.saturating_sub(incomplete.map_or(0, |at| at + 1));
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
    use relay_core::MemorySecrets;

    use super::*;

    async fn masks(secret: &str) -> Masks {
        let store = MemorySecrets::default().with_secret("s", secret.into());
        Masks::of(&store).await.unwrap()
    }

    #[tokio::test]
    async fn lines_come_when_they_are_complete() {
        let masks = masks("").await;
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\nb", &masks), ["a"]);
        assert_eq!(lines.push(b"c\r\n\nd", &masks), ["bc", ""]);
        assert_eq!(lines.take().as_deref(), Some("d"));
        assert_eq!(lines.take(), None);
        assert_eq!(lines.push(&[0xff, b'\n'], &masks), ["\u{fffd}"]);
    }

    #[tokio::test]
    async fn endless_lines_come_in_pieces_that_cut_nothing() {
        let secret = "0123456789".repeat(20);
        let masks = masks(&secret).await;
        for (name, text) in [
            ("plain", "x".repeat(300_000)),
            ("characters", format!("x{}", "ä".repeat(150_000))),
            ("secrets", format!("x{}", secret.repeat(2_000))),
        ] {
            let mut lines = Lines::default();
            let chunks = text.as_bytes().chunks(1000);
            let mut pieces: Vec<_> = chunks.flat_map(|chunk| lines.push(chunk, &masks)).collect();
            assert!(pieces.len() >= 3, "{name}");
            pieces.extend(lines.take());
            assert_eq!(pieces.concat(), text, "{name}");
            let masked: String = pieces.iter().map(|piece| masks.text(piece)).collect();
            assert_eq!(masked, masks.text(&text), "{name}");
        }
    }
}
