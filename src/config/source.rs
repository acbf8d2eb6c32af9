//! The text as written, to echo a line of it without its secrets.
//!
//! Echoing works by permission: only keys, punctuation and scalars that `keys` marked harmless
//! are shown. Everything else (secrets, values of unknown keys, and every value when the text
//! was not understood at all) becomes `***`, and comments are cut.

use super::diagnostic::Snippet;
use super::keys;
use super::limits::ECHO_CHARS;
use super::yaml::Span;

/// A text and what of it may be shown.
pub(super) struct Source {
    pub name: String,
    text: String,
    /// Byte and character offset of each line.
    lines: Vec<(usize, usize)>,
    /// Sorted, apart: character ranges and whether they may be shown.
    ranges: Vec<(usize, usize, bool)>,
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Self {
        let mut lines = vec![(0, 0)];
        let mut previous = '\0';
        for (chars, (bytes, c)) in text.char_indices().enumerate() {
            // A line begins after "\n", "\r\n" or a lone "\r".
            if previous == '\n' || (previous == '\r' && c != '\n') {
                lines.push((bytes, chars));
            }
            previous = c;
        }
        Self { name: name.to_owned(), text: text.to_owned(), lines, ranges: Vec::new() }
    }

    /// Says which parts of the text may be shown and which must not.
    pub(super) fn set_ranges(&mut self, mut ranges: Vec<(Span, bool)>) {
        ranges.sort_by_key(|(at, _)| (at.start, at.end));
        self.ranges = ranges.into_iter().map(|(at, show)| (at.start, at.end, show)).collect();
        // An alias brings the same text to several places; a secret in one is a secret in all.
        self.ranges.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            kept.2 &= next.2 || !same;
            same
        });
    }

    /// The line of `at`, masked, with `at` marked.
    pub(super) fn snippet(&self, at: Span) -> Option<Snippet> {
        let (bytes, first) = *self.lines.get(at.line.checked_sub(1)?)?;
        let target = at.start.max(first);
        let skip = (target - first).saturating_sub(ECHO_CHARS);
        let window: Vec<char> = self
            .text
            .get(bytes..)?
            .chars()
            .take_while(|c| !matches!(c, '\n' | '\r'))
            .skip(skip)
            .take(2 * ECHO_CHARS)
            .collect();
        let base = first + skip;
        let mut out = String::new();
        let mut shown = 0;
        let (mut offset, mut width) = (None, 1);
        let mut index = 0;
        while let Some(piece) = self.piece(&window, base, index) {
            let hit = (base + index..base + piece.end).contains(&target);
            if hit && piece.show {
                let into = target - (base + index);
                offset = Some(shown + into);
                width = at.end.saturating_sub(target).min(piece.end - index - into);
            } else if hit {
                offset = Some(shown);
                width = MASK.len();
            }
            if piece.show {
                for c in window.get(index..piece.end)? {
                    out.push(if c.is_control() { ' ' } else { *c });
                }
                shown += piece.end - index;
            } else {
                out.push_str(MASK);
                shown += MASK.len();
            }
            index = piece.end;
        }
        Some(Snippet {
            text: out.trim_end().to_owned(),
            offset: offset.unwrap_or(shown),
            width: width.max(1),
        })
    }

    /// The next stretch of `window` that is shown or masked as a whole; `None` at its end or at
    /// a comment.
    fn piece(&self, window: &[char], base: usize, from: usize) -> Option<Piece> {
        let first = *window.get(from)?;
        let here = base + from;
        let next = self.ranges.partition_point(|(_, end, _)| *end <= here);
        let limit = match self.ranges.get(next) {
            Some((start, end, show)) if *start <= here => {
                let end = (*end - base).min(window.len());
                return Some(Piece { end, show: *show });
            }
            Some((start, _, _)) => (*start - base).min(window.len()),
            None => window.len(),
        };
        let after_space = match from.checked_sub(1).and_then(|i| window.get(i)) {
            Some(previous) => previous.is_whitespace(),
            None => true,
        };
        if first == '#' && after_space {
            return None;
        }
        if is_punctuation(first) {
            return Some(Piece { end: from + 1, show: true });
        }
        let length = window.get(from..limit)?.iter().take_while(|c| !is_punctuation(**c)).count();
        let end = from + length.max(1);
        let word: String = window.get(from..end)?.iter().collect();
        let rest = window.get(end..).unwrap_or_default();
        let colon = rest.iter().find(|c| !matches!(c, ' ' | '"' | '\''));
        let show = colon == Some(&':') && keys::is_key(&word);
        Some(Piece { end, show })
    }
}

const MASK: &str = "***";

/// A stretch of the window up to `end`, shown or masked.
struct Piece {
    end: usize,
    show: bool,
}

/// What carries structure and no value.
fn is_punctuation(c: char) -> bool {
    c.is_whitespace() || "-:[]{},\"'?&*|>".contains(c)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn span(line: usize, start: usize, end: usize) -> Span {
        Span { line, column: 0, start, end }
    }

    #[test]
    fn without_ranges_only_keys_and_punctuation_show() {
        let text = "server:\n  api_keys: [\"sk-abc\", x] # sk-old\n- sk_secret\nkey: v#w key\n";
        let source = Source::new("f", text);
        for (line, start, expected) in [
            (1, 0, "server:"),
            (2, 10, "  api_keys: [\"***-***\", ***]"),
            (3, 50, "- ***"),
            (4, 62, "key: *** ***"),
        ] {
            assert_eq!(source.snippet(span(line, start, start + 1)).unwrap().text, expected);
        }
        assert_eq!(source.snippet(span(9, 0, 1)), None);
        assert_eq!(source.snippet(span(0, 0, 1)), None);
    }

    #[test]
    fn marks_what_is_meant_after_masking() {
        let mut source = Source::new("f", "a: secret, b: open!\n");
        source.set_ranges(vec![(span(1, 14, 19), true), (span(1, 3, 9), false)]);
        let snippet = source.snippet(span(1, 14, 19)).unwrap();
        assert_eq!(snippet.text, "***: ***, ***: open!");
        assert_eq!((snippet.offset, snippet.width), (15, 5));
        let snippet = source.snippet(span(1, 3, 9)).unwrap();
        assert_eq!((snippet.offset, snippet.width), (5, 3));
    }

    #[test]
    fn long_lines_are_cut_and_control_characters_blanked() {
        let text = format!("{}\u{1b}[31m", "-".repeat(5000));
        let source = Source::new("f", &text);
        let snippet = source.snippet(span(1, 4000, 4001)).unwrap();
        assert_eq!(snippet.text.chars().count(), 2 * ECHO_CHARS);
        assert_eq!(snippet.offset, ECHO_CHARS);
        let mut source = Source::new("f", "\u{1b}[31mx");
        source.set_ranges(vec![(span(1, 0, 6), true)]);
        assert_eq!(source.snippet(span(1, 0, 6)).unwrap().text, " [31mx");
    }
}
