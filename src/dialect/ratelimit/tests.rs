//! Recorded headers, each rule in a table, and noise.

#![allow(clippy::unwrap_used)]

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::*;

/// 2025-01-31T12:00:00Z.
const NOW: u64 = 1_738_324_800;

fn advice(headers: &[(&str, &str)]) -> Advice {
    read(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), || NOW)
}

fn left(remaining: u64, reset_ms: u64) -> Option<Left> {
    Some(Left { remaining, reset: Duration::from_millis(reset_ms) })
}

/// The example of OpenAI's guide, among other headers of an answer.
#[test]
fn openai() {
    let found = advice(&[
        ("date", "Fri, 31 Jan 2025 12:00:00 GMT"),
        ("x-request-id", "req_1"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-requests", "59"),
        ("X-RateLimit-Remaining-Tokens", "149984"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-remaining-tokens_usage_based", "1"),
    ]);
    let expected = Advice { requests: left(59, 1000), tokens: left(149_984, 360_000), retry_after: None };
    assert_eq!(found, expected);
}

/// Azure: plain seconds, and -1 where it does not know.
#[test]
fn azure() {
    let found = advice(&[
        ("x-ratelimit-remaining-requests", "9"),
        ("x-ratelimit-remaining-tokens", "-1"),
        ("x-ratelimit-reset-tokens", "0"),
        ("retry-after-ms", "1500"),
        ("retry-after", "2"),
    ]);
    assert_eq!((found.requests, found.tokens), (left(9, 60_000), None));
    assert_eq!(found.retry_after, Some(Duration::from_millis(1500)));
}

/// Mistral: by the minute, and no word of resets.
#[test]
fn mistral() {
    let found = advice(&[
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", "59"),
        ("x-ratelimit-limit-tokens-minute", "50000"),
        ("x-ratelimit-remaining-tokens-minute", "47196"),
        ("x-ratelimit-remaining-tokens-month", "3950246"),
    ]);
    assert_eq!((found.requests, found.tokens), (left(59, 60_000), left(47_196, 60_000)));
}

#[test]
fn anthropic() {
    let found = advice(&[
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2025-01-31T12:00:02Z"),
        ("anthropic-ratelimit-tokens-limit", "48000"),
        ("anthropic-ratelimit-tokens-remaining", "47000"),
        ("anthropic-ratelimit-tokens-reset", "2025-01-31T12:00:30Z"),
        ("anthropic-ratelimit-input-tokens-remaining", "40000"),
        ("anthropic-ratelimit-input-tokens-reset", "2025-01-31T12:00:00Z"),
        ("anthropic-ratelimit-output-tokens-remaining", "7000"),
        ("anthropic-ratelimit-output-tokens-reset", "2025-01-31T12:00:30Z"),
    ]);
    assert_eq!(found, Advice { requests: left(49, 2000), tokens: left(47_000, 30_000), retry_after: None });
}

#[test]
fn tokens_limited_apart_are_one_budget() {
    let some = |remaining: u64| left(remaining, remaining * 1000);
    for (total, input, output, expected) in [
        (None, None, None, None),
        (some(5), None, None, some(5)),
        (None, some(3), None, some(3)),
        (None, None, some(4), some(4)),
        (None, some(3), some(4), left(7, 4000)),
        (some(9), some(3), some(4), some(9)),
        // What has run out decides, and the later of the two.
        (some(9), left(0, 5000), some(4), left(0, 5000)),
        (some(9), left(0, 5000), left(0, 7000), left(0, 7000)),
        (None, left(u64::MAX, 1), left(2, 2), left(u64::MAX, 2)),
    ] {
        assert_eq!(together(total, input, output), expected, "{total:?} {input:?} {output:?}");
    }
}

#[test]
fn durations() {
    for (text, ms) in [
        ("1s", Some(1000)),
        ("20ms", Some(20)),
        ("6m0s", Some(360_000)),
        ("1h2m3.5s", Some(3_723_500)),
        ("7.66s", Some(7660)),
        ("2m59.56s", Some(179_560)),
        ("1d", Some(86_400_000)),
        ("500us", Some(0)),
        ("12", Some(12_000)),
        ("0", Some(0)),
        ("0.25", Some(250)),
        (".5s", Some(500)),
        // Longer than a day is a day; too many digits are nothing.
        ("25h", Some(86_400_000)),
        ("18446744073709551615d", Some(86_400_000)),
        ("18446744073709551616s", None),
        ("", None),
        ("s", None),
        (".", None),
        ("1.2.3s", None),
        ("-1s", None),
        ("1 s", None),
        ("1x", None),
        ("1s2", None),
        ("NaN", None),
    ] {
        let found = duration(text.as_bytes()).map(|found| found.as_millis());
        assert_eq!(found, ms, "{text}");
    }
    assert_eq!(duration("1µs".as_bytes()), Some(Duration::from_micros(1)));
    assert_eq!(duration(b"0.1234567891234s"), Some(Duration::from_nanos(123_456_789)));
}

#[test]
fn retry_after() {
    for (text, ms) in [
        ("0", Some(0)),
        ("30", Some(30_000)),
        (" 1.5 ", Some(1500)),
        ("100000", Some(86_400_000)),
        ("Fri, 31 Jan 2025 12:00:07 GMT", Some(7000)),
        ("Friday, 31-Jan-25 12:00:07 GMT", Some(7000)),
        ("Fri Jan 31 12:00:07 2025", Some(7000)),
        ("Sat Feb  1 00:00:00 2025", Some(43_200_000)),
        // The past is now.
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(0)),
        ("Fri, 31 Jan 2025 12:00:07", None),
        ("Fri, 31 Jan 2025 12:00:07 CET", None),
        ("Fri, 31 Jan 2025 12:00:07 GMT x", None),
        ("Fri, 32 Jan 2025 12:00:07 GMT", None),
        ("Fri, 31 Jam 2025 12:00:07 GMT", None),
        ("Fri, 31 Jan 25 12:00 GMT", None),
        ("soon", None),
        ("-1", None),
        ("", None),
    ] {
        let found = advice(&[("Retry-After", text)]).retry_after.map(|found| found.as_millis());
        assert_eq!(found, ms, "{text}");
    }
    assert_eq!(advice(&[("retry-after-ms", "x"), ("retry-after", "2")]).retry_after.unwrap().as_secs(), 2);
}

#[test]
fn times() {
    for (text, at) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2025-01-31T12:00:00Z", Some(NOW)),
        ("2025-01-31t12:00:00.999z", Some(NOW)),
        ("2025-01-31T14:00:00+02:00", Some(NOW)),
        ("2025-01-31T06:30:00-05:30", Some(NOW)),
        ("2024-02-29T00:00:00Z", Some(1_709_164_800)),
        ("2000-03-01T00:00:00Z", Some(951_868_800)),
        ("2016-12-31T23:59:60Z", Some(1_483_228_799)),
        ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
        ("2023-02-29T00:00:00Z", None),
        ("1900-02-29T00:00:00Z", None),
        ("1969-12-31T23:59:59Z", None),
        ("2025-13-01T00:00:00Z", None),
        ("2025-00-01T00:00:00Z", None),
        ("2025-01-00T00:00:00Z", None),
        ("2025-01-31T24:00:00Z", None),
        ("2025-01-31T12:00:00", None),
        ("2025-01-31T12:00:00.Z", None),
        ("2025-01-31T12:00:00+2:00", None),
        ("2025-01-31T12:00:00+24:00", None),
        ("2025-01-31", None),
        ("1738324800", None),
        ("", None),
    ] {
        assert_eq!(date::rfc3339(text.as_bytes()), at, "{text}");
    }
}

#[test]
fn every_name_is_within_the_lengths_looked_at() {
    let mut lengths = Vec::new();
    for (prefix, table) in
        [("x-ratelimit-", &OPENAI[..]), ("anthropic-ratelimit-", &ANTHROPIC[..]), ("retry-after", &RETRY[..])]
    {
        for (end, _) in table {
            let name = [prefix.as_bytes(), end].concat();
            assert!(header(&name).is_some() && header(&name.to_ascii_uppercase()).is_some());
            lengths.push(name.len());
        }
    }
    let (shortest, longest) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    assert_eq!((shortest, longest), (NAME_BYTES.start(), NAME_BYTES.end()));
}

#[test]
fn garbage_is_as_if_absent() {
    for name in ["remaining-requests", "remaining-tokens", "reset-tokens"] {
        for value in ["", "x", "-1", "1.5.5", "99999999999999999999", "\u{ff}", "١"] {
            let name = format!("x-ratelimit-{name}");
            assert_eq!(advice(&[(&name, value)]), Advice::default(), "{name}: {value}");
        }
    }
    assert_eq!(advice(&[("x-ratelimit-reset-tokens", "1s")]), Advice::default());
}

#[test]
fn a_clock_set_beyond_all_calendars_reads_no_short_year() {
    let fields = [(&b"retry-after"[..], &b"Sunday, 06-Nov-94 08:49:37 GMT"[..])];
    assert_eq!(read(fields, || u64::MAX).retry_after, None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_no_wait_is_beyond_a_day(
        which in 0..14usize,
        value in "[0-9.:hmsdTZ+ ,\\-]{0,40}|[0-9]{1,25}(s|ms|m|h|d)?|\\PC{0,30}|(Sun|Nov|06|GMT| |:|,|-|1994){0,12}",
        now in any::<u64>(),
    ) {
        let name = |prefix: &str, end: &[u8]| [prefix.as_bytes(), end].concat();
        let names: Vec<Vec<u8>> = OPENAI.iter().map(|(end, _)| name("x-ratelimit-", end))
            .chain(ANTHROPIC.iter().map(|(end, _)| name("anthropic-ratelimit-", end)))
            .chain(RETRY.iter().map(|(end, _)| name("retry-after", end)))
            .collect();
        let one = &names[which];
        let all = names.iter().map(|name| (&name[..], value.as_bytes()));
        let found = read(all.chain([(&one[..], &b"5"[..])]), || now);
        let resets = [found.requests, found.tokens].into_iter().flatten().map(|left| left.reset);
        for wait in resets.chain(found.retry_after) {
            prop_assert!(wait <= MAX_WAIT);
        }
    }

    #[test]
    fn what_go_writes_is_read_back(ms in 0..86_400_000u64) {
        let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
        let seconds = format!("{}.{:03}", ms / 1000 % 60, ms % 1000);
        let text = format!("{hours}h{minutes}m{seconds}s");
        prop_assert_eq!(duration(text.as_bytes()), Some(Duration::from_millis(ms)));
    }
}
