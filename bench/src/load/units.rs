//! Durations and sizes as people write them.

use std::time::Duration;

/// Parses `250ms`, `1.5s`, `2m`, `1m30s`, `1h`; a bare number is seconds.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a duration such as 500ms, 30s, 2m or 1m30s");
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        seconds += number.parse::<f64>().map_err(|_| wrong())? * scale;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// Parses `300`, `4k` (4,096), `1M` (1,048,576) as bytes.
///
/// # Errors
/// What is wrong with the text.
pub fn bytes(text: &str) -> Result<usize, String> {
    let (number, scale) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1024),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, 1024 * 1024)),
    };
    let count: usize = number.parse().map_err(|_| format!("{text} is not a size such as 300, 4k or 1M"))?;
    count.checked_mul(scale).ok_or_else(|| format!("{text} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let cases =
            [("250ms", 0.25), ("1.5s", 1.5), ("2m", 120.0), ("1m30s", 90.0), ("1h", 3600.0), ("7", 7.0)];
        for (text, seconds) in cases {
            assert_eq!(duration(text).unwrap(), Duration::from_secs_f64(seconds), "{text}");
        }
        for wrong in ["", "s", "3x", "1.2.3s", "-1s", "1e400s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!((bytes("300"), bytes("4k"), bytes("1M")), (Ok(300), Ok(4096), Ok(1_048_576)));
        assert!(bytes("k").is_err() && bytes("-1").is_err() && bytes("99999999999999999999M").is_err());
    }
}
