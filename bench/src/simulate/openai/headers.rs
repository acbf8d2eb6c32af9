//! The header fields of every answer (https://platform.openai.com/docs/api-reference/debugging-requests and
//! https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers).

use std::{fmt::Write, time::Duration};

use coo_shards::http1::encode::{field, number_field};

use super::ApiError;
use crate::simulate::{limits::Left, rng::Rng};

/// What an organisation far below its limits sees.
const UNLIMITED: &[u8] = b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 30000000\r\n\
    x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 29999972\r\n\
    x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 0s\r\n";

/// Appends the field lines of an answer that takes `wait` to prepare.
pub(super) fn write(out: &mut Vec<u8>, rng: &Rng, wait: Duration, left: Option<&Left>) {
    out.extend_from_slice(b"openai-organization: simulated\r\nopenai-processing-ms: ");
    crate::simulate::json::number(out, wait.as_millis() as u64 + 1);
    out.extend_from_slice(b"\r\nopenai-version: 2020-10-01\r\n");
    match left {
        None => out.extend_from_slice(UNLIMITED),
        Some(left) => {
            if let Some(limit) = left.limit_requests {
                number_field(out, "x-ratelimit-limit-requests", limit);
                number_field(out, "x-ratelimit-remaining-requests", left.remaining_requests);
                field(out, "x-ratelimit-reset-requests", go_duration(left.reset_requests).as_bytes());
            }
            if let Some(limit) = left.limit_tokens {
                number_field(out, "x-ratelimit-limit-tokens", limit);
                number_field(out, "x-ratelimit-remaining-tokens", left.remaining_tokens);
                field(out, "x-ratelimit-reset-tokens", go_duration(left.reset_tokens).as_bytes());
            }
        }
    }
    out.extend_from_slice(b"x-request-id: req_");
    rng.hex(out, 32);
    out.extend_from_slice(b"\r\n");
}

/// Appends `retry-after` (whole seconds, rounded up) and `retry-after-ms`, where the error has them.
pub(super) fn retry_after(out: &mut Vec<u8>, error: &ApiError) {
    if let Some(after) = error.retry_after {
        let ms = after.as_micros().div_ceil(1000) as u64;
        number_field(out, "retry-after", ms.div_ceil(1000));
        number_field(out, "retry-after-ms", ms);
    }
}

/// A duration as Go prints it, to the millisecond: `0s`, `12ms`, `1s`, `1.5s`, `6m0s`, `1h0m3.25s`.
pub(super) fn go_duration(duration: Duration) -> String {
    let ms = duration.as_micros().div_ceil(1000);
    if ms == 0 {
        return "0s".into();
    }
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    text.push_str(seconds.trim_end_matches('0').trim_end_matches('.'));
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (us, text) in [
            (0, "0s"),
            (1, "1ms"),
            (12_000, "12ms"),
            (1_000_000, "1s"),
            (1_500_000, "1.5s"),
            (59_999_000, "59.999s"),
            (360_000_000, "6m0s"),
            (3_603_250_000, "1h0m3.25s"),
            (10_000_000, "10s"),
        ] {
            assert_eq!(go_duration(Duration::from_micros(us)), text);
        }
    }
}
