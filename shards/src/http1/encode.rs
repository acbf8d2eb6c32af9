//! Writing heads and bodies (RFC 9112). Pure: everything appends to a byte vector.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `HTTP/1.1 <status> <reason>\r\n`.
pub fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends one header field. Name and value must not contain CR or LF.
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a header field with a number.
pub fn number_field(out: &mut Vec<u8>, name: &str, value: u64) {
    field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the Date field (RFC 9110 §6.6.1), formatted once per second and thread.
pub fn date_field(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: Cell<(u64, [u8; 29])> = const { Cell::new((u64::MAX, [b' '; 29])) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (second, mut text) = DATE.get();
    if second != now {
        text = imf_fixdate(now);
        DATE.set((now, text));
    }
    field(out, "date", &text);
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` for seconds since 1970 (RFC 9110 §5.6.7).
#[must_use]
pub fn imf_fixdate(unix: u64) -> [u8; 29] {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, rest) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = civil(days);
    let text = format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS.get((days % 7) as usize).unwrap_or(&"Thu"),
        MONTHS.get(month as usize - 1).unwrap_or(&"Jan"),
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    );
    let mut out = [b' '; 29];
    for (to, from) in out.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    out
}

/// Year, month (1..=12) and day of month of a day number since 1970-01-01, in the proleptic Gregorian calendar.
#[must_use]
pub fn civil(days: u64) -> (u64, u64, u64) {
    // Counts from 0000-03-01, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The number of a day since 1970-01-01: what [`civil`] undoes. `year` is 1970 or later, `month` and `day` count
/// from 1.
#[must_use]
pub fn day_number(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Appends one chunk holding `data`; nothing where `data` is empty (an empty chunk would end the body).
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    chunk_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the size line of a chunk of `len` bytes.
pub fn chunk_size(out: &mut Vec<u8>, len: usize) {
    let digits = (usize::BITS - (len | 1).leading_zeros()).div_ceil(4);
    for at in (0..digits).rev() {
        out.push(HEX.get(len >> (4 * at) & 15).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a chunk whose content `fill` appends, without knowing its length before: the size is written in
/// four digits ahead of it afterwards. Nothing is appended where `fill` appends nothing.
pub fn chunk_with(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    const PLACE: &[u8; 6] = b"0000\r\n";
    let start = out.len();
    out.extend_from_slice(PLACE);
    let from = out.len();
    fill(out);
    let len = out.len() - from;
    if len == 0 {
        out.truncate(start);
        return;
    }
    if len > 0xffff {
        // Rare: a burst beyond 64 KiB. Split it off and frame it with its true size.
        let data = out.split_off(from);
        out.truncate(start);
        chunk(out, &data);
        return;
    }
    for (at, place) in out.iter_mut().skip(start).take(4).enumerate() {
        *place = HEX.get(len >> (12 - 4 * at) & 15).copied().unwrap_or(b'0');
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdate() {
        for (unix, text) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&imf_fixdate(unix)).unwrap(), text);
        }
    }

    #[test]
    fn every_day_until_2400_has_one_number() {
        for days in 0..157_000 {
            let (year, month, day) = civil(days);
            assert_eq!(day_number(year, month, day), days);
        }
    }

    #[test]
    fn chunk_sizes_are_hex() {
        for (len, text) in [(1, "1"), (15, "f"), (16, "10"), (255, "ff"), (4096, "1000"), (70_000, "11170")] {
            let mut out = Vec::new();
            chunk_size(&mut out, len);
            assert_eq!(out, format!("{text}\r\n").as_bytes());
        }
    }

    #[test]
    fn a_filled_chunk_decodes_to_what_was_filled() {
        for len in [0usize, 1, 15, 16, 300, 65_535, 65_536, 100_000] {
            let data = vec![b'x'; len];
            let mut out = b"before".to_vec();
            chunk_with(&mut out, |out| out.extend_from_slice(&data));
            let wire = &out[6..];
            if len == 0 {
                assert!(wire.is_empty());
                continue;
            }
            let mut decoder = super::super::body::Decoder::new(super::super::head::Framing::Chunked);
            let step = decoder.step(wire).unwrap();
            assert_eq!(step.data, len);
            let tail = &wire[step.skip + step.data..];
            assert_eq!(tail, b"\r\n", "{len}");
        }
    }
}
