//! Durations as people write them: `30s`, `1h30m`, `100ms`, `1.5h`, `1d`, or a bare number.

use std::fmt;
use std::time::Duration;

/// What a number without a unit means. Keys named `..._ms` count milliseconds; all others seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    Seconds,
    Milliseconds,
}

/// Why a duration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DurationError {
    Malformed,
    Negative,
    NoUnit,
    UnknownUnit,
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "expected a duration such as 30s, 5m, 1h or 100ms",
            Self::Negative => "must not be negative",
            Self::NoUnit => "a number in a duration lacks its unit (ms, s, m, h or d)",
            Self::UnknownUnit => "unknown unit; use ms, s, m, h or d",
            Self::TooLong => "is too long",
        })
    }
}

/// Reads a duration; `bare` says what a plain integer counts.
pub(super) fn parse(text: &str, bare: Bare) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Malformed);
    }
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let count: u64 = text.parse().map_err(|_| DurationError::TooLong)?;
        return Ok(match bare {
            Bare::Seconds => Duration::from_secs(count),
            Bare::Milliseconds => Duration::from_millis(count),
        });
    }
    let mut total_ns: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after, |c| c.is_alphabetic());
        if number.is_empty() || (unit.is_empty() && !after.is_empty()) {
            return Err(DurationError::Malformed);
        }
        let unit_ns = unit_ns(unit)?;
        total_ns = total_ns.checked_add(times(number, unit_ns)?).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    let seconds = u64::try_from(total_ns / 1_000_000_000).map_err(|_| DurationError::TooLong)?;
    let nanos = u32::try_from(total_ns % 1_000_000_000).unwrap_or(0);
    Ok(Duration::new(seconds, nanos))
}

/// A duration as the configuration would write it: the largest unit that is exact.
pub(super) fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    for (unit_ms, unit) in units {
        if ms >= unit_ms && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn unit_ns(unit: &str) -> Result<u128, DurationError> {
    Ok(match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "" => return Err(DurationError::NoUnit),
        _ => return Err(DurationError::UnknownUnit),
    })
}

/// `number` (digits, perhaps with a fraction) times a unit, in nanoseconds.
fn times(number: &str, unit_ns: u128) -> Result<u128, DurationError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(DurationError::Malformed);
    }
    let whole: u64 = match whole {
        "" => 0,
        digits => digits.parse().map_err(|_| DurationError::TooLong)?,
    };
    // Nine decimals of a day are still below a millisecond; the rest cannot matter.
    let mut scale = unit_ns;
    let mut part: u128 = 0;
    for digit in fraction.bytes().take(9) {
        scale /= 10;
        part += scale * u128::from(digit - b'0');
    }
    Ok(u128::from(whole) * unit_ns + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("100ms", 100),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("0", 0),
            ("30", 30_000),
            (" 30s ", 30_000),
        ] {
            let expected = Ok(Duration::from_millis(ms));
            assert_eq!(parse(text, Bare::Seconds), expected, "{text}");
        }
        let expected = Ok(Duration::from_millis(30));
        assert_eq!(parse("30", Bare::Milliseconds), expected);
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, error) in [
            ("", DurationError::Malformed),
            ("soon", DurationError::Malformed),
            ("s", DurationError::Malformed),
            ("1.2.3s", DurationError::Malformed),
            ("1 h", DurationError::Malformed),
            ("-1s", DurationError::Negative),
            ("1h30", DurationError::NoUnit),
            ("1.5", DurationError::NoUnit),
            ("3w", DurationError::UnknownUnit),
            ("99999999999999999999s", DurationError::TooLong),
            ("99999999999999999999", DurationError::TooLong),
            ("9999999999999999999d", DurationError::TooLong),
        ] {
            assert_eq!(parse(text, Bare::Seconds), Err(error), "{text}");
        }
    }

    #[test]
    fn shows_the_largest_exact_unit() {
        for (ms, text) in [(0, "0ms"), (1500, "1500ms"), (90_000, "90s"), (7_200_000, "2h")] {
            assert_eq!(show(Duration::from_millis(ms)), text);
        }
    }
}
