//! The header fields of every answer (https://docs.anthropic.com/en/api/rate-limits#response-headers and
//! https://docs.anthropic.com/en/api/overview#response-headers).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coo_shards::http1::encode::{field, number_field};

use super::ApiError;
use crate::simulate::{limits::Left, rng::Rng};

/// What an organisation far below its limits has, and has left.
const UNLIMITED: &[(&str, u64, u64)] = &[
    ("requests", 4000, 3999),
    ("tokens", 4_800_000, 4_800_000),
    ("input-tokens", 4_000_000, 4_000_000),
    ("output-tokens", 800_000, 800_000),
];

/// An identifier for a request, such as `req_011CSHoEeqs5C35K2UUqR7Fy`.
pub(super) fn request_id(rng: &Rng) -> String {
    identifier("req_01", rng)
}

/// `prefix` and 22 random letters and digits.
pub(super) fn identifier(prefix: &str, rng: &Rng) -> String {
    let mut id = prefix.as_bytes().to_vec();
    rng.alphanumeric(&mut id, 22);
    String::from_utf8_lossy(&id).into_owned()
}

/// Appends the field lines of an answer.
pub(super) fn write(out: &mut Vec<u8>, request_id: &str, left: Option<&Left>) {
    field(out, "request-id", request_id.as_bytes());
    out.extend_from_slice(b"anthropic-organization-id: 00000000-0000-4000-8000-000000000000\r\n");
    let Some(left) = left else {
        for &(what, limit, remaining) in UNLIMITED {
            limits(out, what, limit, remaining, Duration::ZERO);
        }
        return;
    };
    if let Some(limit) = left.limit_requests {
        limits(out, "requests", limit, left.remaining_requests, left.reset_requests);
    }
    if let Some(limit) = left.limit_tokens {
        limits(out, "tokens", limit, left.remaining_tokens, left.reset_tokens);
    }
}

fn limits(out: &mut Vec<u8>, what: &str, limit: u64, remaining: u64, reset: Duration) {
    let name = |end: &str| format!("anthropic-ratelimit-{what}-{end}");
    number_field(out, &name("limit"), limit);
    number_field(out, &name("remaining"), remaining);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(reset);
    // Whole seconds, and not before it is so.
    let seconds = at.as_secs() + u64::from(at.subsec_nanos() > 0);
    field(out, &name("reset"), rfc3339(seconds).as_bytes());
}

/// Appends `retry-after` (whole seconds, rounded up) where the error has it, and whether to try again.
pub(super) fn retry(out: &mut Vec<u8>, error: &ApiError) {
    if let Some(after) = error.retry_after {
        number_field(out, "retry-after", after.as_secs() + u64::from(after.subsec_nanos() > 0));
    }
    let retry: &[u8] = if error.is_transient() { b"true" } else { b"false" };
    field(out, "x-should-retry", retry);
}

/// A time in UTC as RFC 3339 has it, from seconds since 1970
/// (https://howardhinnant.github.io/date_algorithms.html#civil_from_days, for times after 1970).
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Counted from the 1st of March 0000, so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
