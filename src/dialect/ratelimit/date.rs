//! Times as headers write them, to seconds since 1970. Fractions of a second are dropped.

/// RFC 3339: `2025-01-31T12:00:00Z`, perhaps with a fraction or an offset.
pub(super) fn rfc3339(text: &[u8]) -> Option<u64> {
    let (day, rest) = text.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = day else {
        return None;
    };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let [b'T' | b't' | b' ', rest @ ..] = rest else {
        return None;
    };
    let (time, rest) = rest.split_at_checked(8)?;
    let local = seconds(year, month, day)? + clock(time)?;
    let zone = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            fraction.get(digits..).filter(|_| digits > 0)?
        }
        _ => rest,
    };
    let offset = match zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    u64::try_from(local - offset).ok()
}

/// An HTTP-date in any of its three forms (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`,
/// `Sunday, 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`. The name of the day is not looked at.
pub(super) fn http(text: &[u8], now: u64) -> Option<u64> {
    let mut parts = text.split(|byte| matches!(byte, b' ' | b',' | b'-')).filter(|part| !part.is_empty());
    let mut part = || parts.next();
    let (_, second, third, fourth, fifth) = (part()?, part()?, part()?, part()?, part()?);
    let (day, month, year, time, zone) = match month(second) {
        Some(month) => (third, month, fifth, fourth, None),
        None => (second, month(third)?, fourth, fifth, Some(&b"GMT"[..])),
    };
    if part() != zone || part().is_some() || day.len() > 2 {
        return None;
    }
    let year = match year.len() {
        4 => number(year)?,
        // The year within 50 of now, as the RFC has it.
        2 => {
            let this = 1970 + i64::try_from(now / 31_556_952).ok()?;
            if this > 9999 {
                return None;
            }
            let year = this - this.rem_euclid(100) + number(year)?;
            if year > this + 50 { year - 100 } else { year }
        }
        _ => return None,
    };
    u64::try_from(seconds(year, month, number(day)?)? + clock(time)?).ok()
}

fn month(name: &[u8]) -> Option<i64> {
    const NAMES: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let index = NAMES.iter().position(|known| name == *known)?;
    i64::try_from(index).ok().map(|index| index + 1)
}

/// `hh:mm:ss`; a leap second counts as the one before.
fn clock(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let (hour, minute) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    let second = number(&[*s1, *s2])?;
    (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// Digits, at most four of them.
fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    digits
        .iter()
        .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Midnight of a day of the Gregorian calendar, in seconds since 1970.
fn seconds(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) {
        return None;
    }
    // Years that begin in March: February, with its odd length, is then the last month.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719_468 days lie between March 1st of the year 0 and 1970.
    Some((year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468) * 86_400)
}
