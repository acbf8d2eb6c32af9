//! The words of an answer, and what counts as a token.
//!
//! A token here is a word with the space before it, or a piece of at most 12 bytes of a longer word: close
//! enough to what tokenizers do, and the same text always has the same count.

use std::{borrow::Cow, sync::OnceLock};

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 12;
/// Tokens kept ready; longer answers are put together for each request.
const READY_TOKENS: usize = 8192;
/// What the simulator says, over and over. Plain ASCII that needs no JSON escape, no word over 12 bytes.
const PASSAGE: &str = " This answer comes from a simulated provider, so no model was asked and nothing was \
    paid for it. It speaks the wire format of the real service, keeps count of the tokens, and can be told \
    to be slow, to fail, or to break off in the middle. Its words repeat until the answer is as long as it \
    was asked to be. Whoever reads this far has seen a whole request pass through the gateway and back: it \
    was parsed, checked, routed to a key with budget left, sent on, and its usage was written down.";

struct Ready {
    text: String,
    /// End of each token in `text`.
    ends: Vec<usize>,
}

fn ready() -> &'static Ready {
    static READY: OnceLock<Ready> = OnceLock::new();
    READY.get_or_init(|| {
        let mut text = String::from(PASSAGE.trim_start());
        let mut ends = Vec::with_capacity(READY_TOKENS);
        while ends.len() < READY_TOKENS {
            let start = ends.last().copied().unwrap_or(0);
            match token_end(&text, start) {
                // The end of the text may cut a token that the repetition would go on.
                end if end < text.len() => ends.push(end),
                _ => text.push_str(PASSAGE),
            }
        }
        Ready { text, ends }
    })
}

/// Where the token of `text` that starts at `start` ends. Total: a `start` at or behind the end gives the length.
pub(crate) fn token_end(text: &str, start: usize) -> usize {
    let Some(rest) = text.as_bytes().get(start..) else { return text.len() };
    let window = rest.get(..MAX_TOKEN_BYTES + 1).unwrap_or(rest);
    if let Some(space) = window.get(1..).and_then(|tail| memchr::memchr(b' ', tail)) {
        return start + 1 + space;
    }
    if rest.len() <= MAX_TOKEN_BYTES {
        return text.len();
    }
    let mut end = start + MAX_TOKEN_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// Where `tokens` tokens of `text` from `start` end.
pub(crate) fn tokens_end(text: &str, start: usize, tokens: usize) -> usize {
    let mut end = start;
    for _ in 0..tokens {
        if end >= text.len() {
            break;
        }
        end = token_end(text, end);
    }
    end
}

/// Number of tokens of `text`.
pub(crate) fn count(text: &str) -> usize {
    let (mut at, mut tokens) = (0, 0);
    while at < text.len() {
        at = token_end(text, at);
        tokens += 1;
    }
    tokens
}

/// An answer of exactly `tokens` tokens.
pub(crate) fn answer(tokens: usize) -> Cow<'static, str> {
    let ready = ready();
    if tokens == 0 {
        return Cow::Borrowed("");
    }
    if let Some(&end) = ready.ends.get(tokens - 1) {
        return Cow::Borrowed(ready.text.get(..end).unwrap_or_default());
    }
    let mut text = String::new();
    let mut left = tokens;
    while left > 0 {
        let part = left.min(READY_TOKENS);
        // Each further part starts with a space, so that its first word stays a token of its own.
        if !text.is_empty() {
            text.push(' ');
        }
        let end = ready.ends.get(part - 1).copied().unwrap_or(0);
        text.push_str(ready.text.get(..end).unwrap_or_default());
        left -= part;
    }
    Cow::Owned(text)
}

/// Tokens of a prompt with `bytes` of text in `messages` messages: four bytes each, four for each message's
/// frame and three for the answer's, as OpenAI's cookbook counts.
pub(crate) fn prompt_tokens(bytes: usize, messages: usize) -> usize {
    bytes.div_ceil(4) + 4 * messages + 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_tokens_asked_for() {
        for tokens in [0, 1, 2, 16, 99, 200, 8191, 8192, 8193, 20_000] {
            assert_eq!(count(&answer(tokens)), tokens, "{tokens}");
        }
        assert!(
            answer(9000).bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\')
        );
    }

    #[test]
    fn tokens_put_together_are_the_text() {
        for text in [
            "",
            " ",
            "   ",
            "a",
            "one two  three",
            "Donaudampfschifffahrtsgesellschaft",
            "日本語のテキスト 🎉🎉🎉🎉",
        ] {
            let (mut at, mut together) = (0, String::new());
            while at < text.len() {
                let end = tokens_end(text, at, 1);
                assert!(end > at && end - at <= MAX_TOKEN_BYTES + 1);
                together.push_str(&text[at..end]);
                at = end;
            }
            assert_eq!(together, text);
            assert_eq!(tokens_end(text, 0, usize::MAX), text.len());
        }
    }
}
