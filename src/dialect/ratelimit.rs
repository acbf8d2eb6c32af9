//! What a provider says of a key's budget in the headers of its answers.
//!
//! - OpenAI, and those that follow it (Groq, Together, Fireworks, xAI, Azure): `x-ratelimit-remaining-*` and
//!   `x-ratelimit-reset-*` for `requests` and `tokens`; a reset is a duration as Go writes it (`6m0s`, `20ms`),
//!   at Azure plain seconds. <https://platform.openai.com/docs/guides/rate-limits> ("Rate limits in headers")
//! - Anthropic: `anthropic-ratelimit-*-remaining` and `-reset` for `requests`, `tokens`, `input-tokens` and
//!   `output-tokens`; a reset is an RFC 3339 time. `tokens` is the sum of input and output, or the tightest
//!   limit of the workspace. <https://docs.anthropic.com/en/api/rate-limits> ("Response headers")
//! - Mistral: `x-ratelimit-remaining-req-minute` and `-tokens-minute`, as its answers have them; resets are not said.
//! - `retry-after`: seconds or a date (RFC 9110, section 10.2.3). `retry-after-ms` is finer and wins, as in
//!   OpenAI's own SDKs.
//!
//! With both providers a reset is when the budget is *full* again, not when the next request may pass. The
//! limits themselves (`...-limit-*`) are not read: what counts is what is left.
//!
//! Headers are advice from outside: whatever is malformed or too large for its type is as if it were absent.

mod date;
#[cfg(test)]
mod tests;

use std::time::Duration;

/// No wait is taken to be longer; a provider that asks for more is asked again tomorrow.
pub const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How long a budget takes to fill when its reset is not said: these limits are per minute.
pub const USUAL_RESET: Duration = Duration::from_secs(60);

/// What is left of one of a key's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Requests or tokens that may still be spent.
    pub remaining: u64,
    /// From now until all of the limit is there again; at most [`MAX_WAIT`].
    pub reset: Duration,
}

/// What one answer says of its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Advice {
    /// Of the limit on requests.
    pub requests: Option<Left>,
    /// Of the limit on tokens, prompt and answer together. Where the two are limited apart and one of them
    /// has run out, nothing is left.
    pub tokens: Option<Left>,
    /// When to come back; at most [`MAX_WAIT`].
    pub retry_after: Option<Duration>,
}

/// One limit as its headers come in.
#[derive(Clone, Copy, Default)]
struct Partial {
    remaining: Option<u64>,
    reset: Option<Duration>,
}

impl Partial {
    fn left(self) -> Option<Left> {
        Some(Left { remaining: self.remaining?, reset: self.reset.unwrap_or(USUAL_RESET) })
    }
}

/// Which header this is.
#[derive(Clone, Copy)]
enum Header {
    Remaining(Limit),
    /// A duration.
    ResetIn(Limit),
    /// A time.
    ResetAt(Limit),
    RetryAfter,
    RetryAfterMs,
}

#[derive(Clone, Copy)]
enum Limit {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
}

/// The shortest and longest name below.
const NAME_BYTES: std::ops::RangeInclusive<usize> = 11..=43;

/// The header of this name. Nearly every header of an answer ends at the length or the first byte.
#[inline]
fn header(name: &[u8]) -> Option<Header> {
    if !NAME_BYTES.contains(&name.len()) {
        return None;
    }
    let first = name.first()?.to_ascii_lowercase();
    let (prefix, table): (&[u8], &[(&[u8], Header)]) = match first {
        b'x' => (b"x-ratelimit-", &OPENAI),
        b'a' => (b"anthropic-ratelimit-", &ANTHROPIC),
        b'r' => (b"retry-after", &RETRY),
        _ => return None,
    };
    let (start, rest) = name.split_at_checked(prefix.len())?;
    if !start.eq_ignore_ascii_case(prefix) {
        return None;
    }
    table.iter().find(|(end, _)| rest.eq_ignore_ascii_case(end)).map(|(_, header)| *header)
}

/// Mistral's too.
const OPENAI: [(&[u8], Header); 6] = [
    (b"remaining-requests", Header::Remaining(Limit::Requests)),
    (b"remaining-tokens", Header::Remaining(Limit::Tokens)),
    (b"reset-requests", Header::ResetIn(Limit::Requests)),
    (b"reset-tokens", Header::ResetIn(Limit::Tokens)),
    (b"remaining-req-minute", Header::Remaining(Limit::Requests)),
    (b"remaining-tokens-minute", Header::Remaining(Limit::Tokens)),
];

const ANTHROPIC: [(&[u8], Header); 8] = [
    (b"requests-remaining", Header::Remaining(Limit::Requests)),
    (b"requests-reset", Header::ResetAt(Limit::Requests)),
    (b"tokens-remaining", Header::Remaining(Limit::Tokens)),
    (b"tokens-reset", Header::ResetAt(Limit::Tokens)),
    (b"input-tokens-remaining", Header::Remaining(Limit::InputTokens)),
    (b"input-tokens-reset", Header::ResetAt(Limit::InputTokens)),
    (b"output-tokens-remaining", Header::Remaining(Limit::OutputTokens)),
    (b"output-tokens-reset", Header::ResetAt(Limit::OutputTokens)),
];

const RETRY: [(&[u8], Header); 2] = [(b"", Header::RetryAfter), (b"-ms", Header::RetryAfterMs)];

/// Reads the headers of one answer; names in any case. `now` tells the time in seconds since 1970, which
/// resets given as a time are counted from. Of a header that comes twice the last counts.
pub fn read<'a>(headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, now: impl Fn() -> u64) -> Advice {
    let (mut requests, mut tokens) = (Partial::default(), Partial::default());
    let (mut input, mut output) = (Partial::default(), Partial::default());
    let (mut retry_after, mut retry_after_ms) = (None, None);
    for (name, value) in headers {
        let Some(header) = header(name) else { continue };
        let value = value.trim_ascii();
        let partial = match header {
            Header::RetryAfter => {
                retry_after = seconds(value).or_else(|| date::http(value, now()).map(|at| until(at, now())));
                continue;
            }
            Header::RetryAfterMs => {
                retry_after_ms = decimal(value, 1_000_000).map(capped);
                continue;
            }
            Header::Remaining(limit) | Header::ResetIn(limit) | Header::ResetAt(limit) => match limit {
                Limit::Requests => &mut requests,
                Limit::Tokens => &mut tokens,
                Limit::InputTokens => &mut input,
                Limit::OutputTokens => &mut output,
            },
        };
        match header {
            Header::Remaining(_) => partial.remaining = count(value),
            Header::ResetIn(_) => partial.reset = duration(value),
            _ => partial.reset = date::rfc3339(value).map(|at| until(at, now())),
        }
    }
    Advice {
        requests: requests.left(),
        tokens: together(tokens.left(), input.left(), output.left()),
        retry_after: retry_after_ms.or(retry_after),
    }
}

/// One budget of the three that may be said.
fn together(total: Option<Left>, input: Option<Left>, output: Option<Left>) -> Option<Left> {
    let empty = [input, output].into_iter().flatten().filter(|left| left.remaining == 0);
    if let Some(reset) = empty.map(|left| left.reset).max() {
        return Some(Left { remaining: 0, reset });
    }
    total.or(match (input, output) {
        (Some(a), Some(b)) => {
            Some(Left { remaining: a.remaining.saturating_add(b.remaining), reset: a.reset.max(b.reset) })
        }
        (one, other) => one.or(other),
    })
}

fn until(at: u64, now: u64) -> Duration {
    Duration::from_secs(at.saturating_sub(now)).min(MAX_WAIT)
}

fn capped(ns: u128) -> Duration {
    u64::try_from(ns).map_or(MAX_WAIT, Duration::from_nanos).min(MAX_WAIT)
}

/// A whole number.
fn count(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// `12` or `12.5`, times a unit, in nanoseconds.
fn decimal(text: &[u8], unit_ns: u64) -> Option<u128> {
    let dot = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match dot {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { count(whole)? };
    let mut scale = unit_ns;
    let mut part = 0;
    for byte in fraction {
        // Below a nanosecond nothing is left to add.
        scale /= 10;
        part += scale * u64::from(byte - b'0');
    }
    Some(u128::from(whole) * u128::from(unit_ns) + u128::from(part))
}

/// Seconds, perhaps with a fraction.
fn seconds(text: &[u8]) -> Option<Duration> {
    decimal(text, 1_000_000_000).map(capped)
}

/// A duration as Go writes it, or plain seconds.
fn duration(text: &[u8]) -> Option<Duration> {
    if let Some(plain) = seconds(text) {
        return Some(plain);
    }
    let mut rest = text;
    let mut total = 0u128;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.iter().take_while(|byte| !byte.is_ascii_digit() && **byte != b'.').count();
        let (unit, after) = after.split_at_checked(letters)?;
        // At most a handful of parts, each below 2^64 days: the sum is far from 2^128.
        total = total.checked_add(decimal(number, unit_ns(unit)?)?)?;
        rest = after;
    }
    (!text.is_empty()).then(|| capped(total))
}

fn unit_ns(unit: &[u8]) -> Option<u64> {
    Some(match unit {
        b"ns" => 1,
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        b"d" => 86_400_000_000_000,
        _ => return None,
    })
}
