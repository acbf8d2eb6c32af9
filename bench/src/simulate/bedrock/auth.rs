//! Who asks: a key as it is, or a signature of version 4
//! (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), which is made anew and
//! compared. A key that signs is configured as `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, or with `:SESSION_TOKEN` behind it.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use coo_shards::http1::{head::Known, server::Request};
use ring::{digest, hmac};

use super::errors::ApiError;
use crate::simulate::{exchange::Call, settings::Settings};

const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";
/// A signature is believed for so long, in minutes.
const BELIEVED_MIN: i64 = 5;

/// What the field `authorization` says of a signature.
struct Claim<'a> {
    access_key_id: &'a str,
    /// Day, region, service and `aws4_request`.
    scope: &'a str,
    names: &'a str,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn of(request: &'a Request) -> Option<Self> {
        let text = field(request, "authorization")?.strip_prefix(ALGORITHM)?;
        let part = |name: &str| {
            let mut parts = text.split(',').filter_map(|part| part.trim().split_once('='));
            parts.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let (access_key_id, scope) = part("Credential")?.split_once('/')?;
        Some(Self { access_key_id, scope, names: part("SignedHeaders")?, signature: part("Signature")? })
    }
}

/// A header field's value; names are lower case.
fn field<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let head = request.head_bytes();
    let found = request.head.fields.iter().find(|field| match name {
        "authorization" => field.known == Known::Authorization,
        name => field.name(head).eq_ignore_ascii_case(name.as_bytes()),
    });
    std::str::from_utf8(found?.value(head)).ok()
}

/// Whether a request says that it is signed.
pub(super) fn is_signed(request: &Request) -> bool {
    field(request, "authorization").is_some_and(|value| value.starts_with("AWS4-"))
}

/// The key of a request: the one configured that has the id which it names, else that id; or the key that is sent.
pub(crate) fn key<'a>(
    request: &'a Request,
    settings: &'a Settings,
    bearer: Option<&'a [u8]>,
) -> Option<&'a [u8]> {
    if !is_signed(request) {
        return bearer;
    }
    let id = Claim::of(request)?.access_key_id;
    let has_id = |key: &str| key.strip_prefix(id).is_some_and(|rest| rest.starts_with(':'));
    let known = settings.keys.iter().find(|limits| has_id(&limits.key));
    Some(known.map_or(id, |limits| &limits.key).as_bytes())
}

/// Makes a signature anew.
pub(super) fn verify(call: &Call<'_>) -> Result<(), ApiError> {
    let incomplete = || {
        ApiError::new(
            403,
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters.",
        )
    };
    let claim = Claim::of(call.request).ok_or_else(incomplete)?;
    let key = std::str::from_utf8(call.key.unwrap_or_default()).unwrap_or_default();
    let Some((_, secret)) = key.split_once(':') else {
        // Any key will do, so none has a secret that is known.
        return Ok(());
    };
    let (secret, token) = match secret.split_once(':') {
        Some((secret, token)) => (secret, Some(token)),
        None => (secret, None),
    };
    let wrong = |message: String| Err(ApiError::new(403, "InvalidSignatureException", message));
    let is_named = |name: &str| claim.names.split(';').any(|named| named == name);
    if token.is_some()
        && (field(call.request, "x-amz-security-token") != token || !is_named("x-amz-security-token"))
    {
        return Err(ApiError::new(
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    if !is_named("host") || !is_named("x-amz-date") {
        return wrong("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned());
    }
    let time = field(call.request, "x-amz-date").unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let late = minute(time).zip(i64::try_from(now / 60).ok()).map(|(then, now)| now - then);
    if late.is_none_or(|late| late.abs() > BELIEVED_MIN) {
        return wrong(format!("Signature expired: {time} is now earlier or later than it may be."));
    }
    let date = time.get(..8).unwrap_or_default();
    let mut scope = claim.scope.split('/');
    let (day, region, service, end) = (scope.next(), scope.next(), scope.next(), scope.next());
    if day != Some(date)
        || service != Some("bedrock")
        || end != Some("aws4_request")
        || scope.next().is_some()
    {
        return wrong(format!("Credential should be scoped to a valid region and service: {}.", claim.scope));
    }
    let mut signing = format!("AWS4{secret}").into_bytes();
    for part in [date, region.unwrap_or_default(), "bedrock", "aws4_request"] {
        signing = sign(&signing, part);
    }
    let text =
        format!("{ALGORITHM}\n{time}\n{}\n{}", claim.scope, hash(canonical(call, claim.names).as_bytes()));
    let text = text.replacen(" \n", "\n", 1);
    if hex(&sign(&signing, &text)) != claim.signature {
        return wrong(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details."
                .to_owned(),
        );
    }
    Ok(())
}

/// The request in its canonical form.
fn canonical(call: &Call<'_>, names: &str) -> String {
    let mut text = format!("{}\n", call.method);
    for byte in call.path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // A string takes all that is written.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    let mut query: Vec<&str> = call.query.split('&').filter(|part| !part.is_empty()).collect();
    query.sort_unstable();
    let _ = write!(text, "\n{}\n", query.join("&"));
    for name in names.split(';') {
        let value = field(call.request, name).unwrap_or_default();
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        let _ = writeln!(text, "{name}:{}", words.join(" "));
    }
    let _ = write!(text, "\n{names}\n{}", hash(call.body));
    text
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes all that is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Minutes since 1970 of a time such as `20150830T123600Z`.
fn minute(time: &str) -> Option<i64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute) = (number(9, 11)?, number(11, 13)?);
    // Days from the civil date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some((days * 24 + hour) * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (time, wanted) in [
            ("19700101T000100Z", Some(1)),
            ("20150830T123600Z", Some(1_440_938_160 / 60)),
            ("20240229T000059Z", Some(1_709_164_800 / 60)),
            ("yesterday", None),
        ] {
            assert_eq!(minute(time), wanted);
        }
    }
}
