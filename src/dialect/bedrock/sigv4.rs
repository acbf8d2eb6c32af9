//! Signatures of requests, version 4.
//!
//! Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request" (SigV4): the request in a
//! canonical form, its hash with time and scope as the text to sign, and a key for that derived from the secret for one
//! day, region and service.

use std::fmt::Write;

use ring::{digest, hmac};

use crate::dialect::path::strict;

/// Who signs.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Tells whose secret it is; no secret itself.
    pub access_key_id: &'a str,
    /// The secret.
    pub secret: &'a str,
    /// What temporary credentials have beside it.
    pub token: Option<&'a str>,
    /// Where the service is.
    pub region: &'a str,
    /// Which one it is.
    pub service: &'a str,
}

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `POST`.
    pub method: &'a str,
    /// As it is sent, without a query.
    pub path: &'a str,
    /// `host`, and others that must not change on the way; lower case.
    pub fields: &'a [(&'a str, &'a str)],
    /// Its body.
    pub body: &'a [u8],
}

/// The key of one secret for one day, region and service.
pub struct SigningKey {
    day: u64,
    key: hmac::Key,
}

const SECONDS_PER_DAY: u64 = 86_400;

impl SigningKey {
    /// For the day of this time, in seconds since 1970.
    #[must_use]
    pub fn new(of: &Credentials<'_>, unix_s: u64) -> Self {
        let day = unix_s / SECONDS_PER_DAY;
        let sign = |key: &[u8], text: &str| hmac::sign(&key_of(key), text.as_bytes());
        let [date, _] = stamp(unix_s);
        let dated = sign(format!("AWS4{}", of.secret).as_bytes(), &date);
        let of_region = sign(dated.as_ref(), of.region);
        let of_service = sign(of_region.as_ref(), of.service);
        let key = sign(of_service.as_ref(), "aws4_request");
        Self { day, key: key_of(key.as_ref()) }
    }

    /// Whether it is for the day of this time.
    #[must_use]
    pub fn is_of(&self, unix_s: u64) -> bool {
        self.day == unix_s / SECONDS_PER_DAY
    }

    /// Appends the header fields that sign a request: `x-amz-date`, `x-amz-security-token` where there is one, and
    /// `authorization`. They follow upon those that were signed.
    pub fn write_fields(&self, of: &Credentials<'_>, signed: &Signed<'_>, unix_s: u64, out: &mut Vec<u8>) {
        let [date, time] = stamp(unix_s);
        let mut fields = signed.fields.to_vec();
        fields.push(("x-amz-date", &time));
        fields.extend(of.token.map(|token| ("x-amz-security-token", token)));
        fields.sort_unstable();
        let names = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut canonical = format!("{}\n", signed.method);
        write_path(&mut canonical, signed.path);
        // There is no query.
        canonical.push_str("\n\n");
        for (name, value) in &fields {
            canonical.push_str(name);
            canonical.push(':');
            canonical.push_str(value.trim());
            canonical.push('\n');
        }
        canonical.push('\n');
        canonical.push_str(&names);
        canonical.push('\n');
        write_hex(&mut canonical, digest::digest(&digest::SHA256, signed.body).as_ref());
        let scope = format!("{date}/{}/{}/aws4_request", of.region, of.service);
        let mut text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n");
        write_hex(&mut text, digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let mut signature = String::with_capacity(64);
        write_hex(&mut signature, hmac::sign(&self.key, text.as_bytes()).as_ref());
        out.extend_from_slice(format!("x-amz-date: {time}\r\n").as_bytes());
        if let Some(token) = of.token {
            out.extend_from_slice(format!("x-amz-security-token: {token}\r\n").as_bytes());
        }
        let credential = format!("{}/{scope}", of.access_key_id);
        out.extend_from_slice(
            format!(
                "authorization: AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}\r\n"
            )
            .as_bytes(),
        );
    }
}

fn key_of(key: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

/// The path, escaped once more: all services but S3 have it so.
fn write_path(out: &mut String, path: &str) {
    if path.is_empty() {
        out.push('/');
    }
    out.push_str(&strict(path, b"/"));
}

fn write_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // A string takes all that is written.
        let _ = write!(out, "{byte:02x}");
    }
}

/// The day, and the time in seconds, in the basic form of ISO 8601.
fn stamp(unix_s: u64) -> [String; 2] {
    let (year, month, day) = civil(unix_s / SECONDS_PER_DAY);
    let date = format!("{year:04}{month:02}{day:02}");
    let second = unix_s % SECONDS_PER_DAY;
    let time = format!("{date}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60);
    [date, time]
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2015-08-30 12:36:00, the time of AWS's examples.
    const TIME: u64 = 1_440_938_160;
    const KEY: Credentials<'static> = Credentials {
        access_key_id: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        token: None,
        region: "us-east-1",
        service: "service",
    };

    fn fields(of: &Credentials<'_>, signed: &Signed<'_>) -> String {
        let mut out = Vec::new();
        SigningKey::new(of, TIME).write_fields(of, signed, TIME, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_written() {
        for (unix_s, time) in [
            (0, "19700101T000000Z"),
            (TIME, "20150830T123600Z"),
            (1_709_164_799, "20240228T235959Z"),
            (1_709_164_800, "20240229T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(stamp(unix_s)[1], time);
        }
        assert!(SigningKey::new(&KEY, TIME).is_of(TIME + 11 * 3600));
        assert!(!SigningKey::new(&KEY, TIME).is_of(TIME + 12 * 3600));
    }

    /// The signatures of AWS's test suite for version 4 (`aws-sig-v4-test-suite`), by the names of its cases.
    #[test]
    fn published_signatures_are_made() {
        const HOST: (&str, &str) = ("host", "example.amazonaws.com");
        let form = [HOST, ("content-type", "application/x-www-form-urlencoded")];
        let header = [HOST, ("my-header1", "VALUE1")];
        for (name, method, path, fields_signed, body, signature) in [
            (
                "get-vanilla",
                "GET",
                "/",
                &[HOST][..],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "post-vanilla",
                "POST",
                "/",
                &[HOST],
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "get-unreserved",
                "GET",
                "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                &[HOST],
                "",
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
            (
                "get-utf8",
                "GET",
                "/\u{1234}",
                &[HOST],
                "",
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "post-header-value-case",
                "POST",
                "/",
                &header,
                "",
                "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "/",
                &form,
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            let signed = Signed { method, path, fields: fields_signed, body: body.as_bytes() };
            let written = fields(&KEY, &signed);
            assert!(written.ends_with(&format!("Signature={signature}\r\n")), "{name}: {written}");
        }
    }

    #[test]
    fn a_token_is_signed_too() {
        let signed =
            Signed { method: "POST", path: "/", fields: &[("host", "example.amazonaws.com")], body: b"" };
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        let written = fields(&Credentials { token: Some(token), ..KEY }, &signed);
        // `post-sts-header-before` of the suite.
        assert!(
            written.ends_with(
                "SignedHeaders=host;x-amz-date;x-amz-security-token, \
                 Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead\r\n"
            ),
            "{written}"
        );
        assert!(written.starts_with("x-amz-date: 20150830T123600Z\r\nx-amz-security-token: AQoDYXdz"));
    }

    #[test]
    fn paths_are_escaped_twice() {
        for (path, wanted) in
            [("", "/"), ("/model/a.b-v1%3A0/converse", "/model/a.b-v1%253A0/converse"), ("/a b", "/a%20b")]
        {
            let mut out = String::new();
            write_path(&mut out, path);
            assert_eq!(out, wanted);
        }
    }
}
