//! Access tokens for a service account
//! (https://developers.google.com/identity/protocols/oauth2/service-account#httprest): what it signed is checked as
//! Google does, and it gets a token that expires.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use rustls::SignatureScheme;
use serde_json::{Value, json};

use crate::simulate::{exchange::Call, reply::Reply};

/// The account that there is: its requests count as those of this key.
pub const SERVICE_ACCOUNT: &str = "simulated@simulated-project.iam.gserviceaccount.com";
const KEY_ID: &str = "0123456789abcdef0123456789abcdef01234567";
/// Made for the tests and of no use elsewhere.
const PRIVATE_KEY: &str = include_str!("test_key.pem");
/// Its public part, as PKCS #1 has it.
const PUBLIC_KEY: &[u8] = include_bytes!("test_key.pub.der");

const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that what is signed may be good for, and how far clocks may be apart, in seconds.
const MOST_S: u64 = 3600;
const SKEW_S: u64 = 300;
/// What all tokens begin with; behind it stands when they expire, in milliseconds since 1970.
const PREFIX: &str = "ya29.sim-";

/// The JSON file of the account's key, with `at` as the place where tokens are had.
pub(in crate::simulate) fn service_account(at: &str) -> String {
    json!({
        "type": "service_account",
        "project_id": "simulated-project",
        "private_key_id": KEY_ID,
        "private_key": PRIVATE_KEY,
        "client_email": SERVICE_ACCOUNT,
        "client_id": "100000000000000000000",
        "token_uri": at,
        "universe_domain": "googleapis.com",
    })
    .to_string()
}

/// The key that a token's requests count for: the account of one that is still good, else the token itself.
pub(in crate::simulate) fn key(token: &[u8]) -> &[u8] {
    match expires_ms(token) {
        Some(at) if now_ms() < at => SERVICE_ACCOUNT.as_bytes(),
        _ => token,
    }
}

/// Whether this is what [`key`] leaves of a token that has expired.
pub(super) fn is_expired(key: Option<&[u8]>) -> bool {
    key.and_then(expires_ms).is_some()
}

fn expires_ms(token: &[u8]) -> Option<u64> {
    let rest = std::str::from_utf8(token).ok()?.strip_prefix(PREFIX)?;
    rest.split_once('-')?.0.parse().ok()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Answers who asks for a token.
pub(in crate::simulate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    let refused = |status, error: &str, why: &str| {
        let body = json!({"error": error, "error_description": why});
        Reply { status, ..super::whole(&body, wait) }
    };
    // Those that every request gets.
    if let Some(crate::simulate::Fault::Error(status)) = call.chosen_fault(None) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return refused(status, "internal_failure", "Simulated: try again.");
    }
    if *call.method != Method::POST {
        return refused(StatusCode::NOT_FOUND, "not_found", "There is only POST.");
    }
    let form = String::from_utf8_lossy(call.body);
    let value =
        |name: &str| form.split('&').filter_map(|part| part.split_once('=')).find(|(key, _)| *key == name);
    if value("grant_type").is_none_or(|(_, grant)| grant != GRANT) {
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Invalid grant_type");
    }
    if let Err(why) = check(value("assertion").map_or("", |(_, assertion)| assertion)) {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant", why);
    }
    let lifetime = call.live.settings.token_lifetime;
    let expires = now_ms() + u64::try_from(lifetime.as_millis()).unwrap_or(0);
    let mut random = Vec::new();
    call.shard.rng.alphanumeric(&mut random, 24);
    let token = format!("{PREFIX}{expires}-{}", String::from_utf8_lossy(&random));
    super::whole(
        &json!({"access_token": token, "expires_in": lifetime.as_secs(), "token_type": "Bearer"}),
        wait,
    )
}

/// Checks what was signed (RFC 7515, RFC 7523).
fn check(assertion: &str) -> Result<(), &'static str> {
    let (signed, signature) = assertion.rsplit_once('.').ok_or("Invalid JWT")?;
    let (header, claims) = signed.split_once('.').ok_or("Invalid JWT")?;
    let read = |part: &str| -> Option<Value> { serde_json::from_slice(&decode(part)?).ok() };
    let (header, claims) = read(header).zip(read(claims)).ok_or("Invalid JWT")?;
    if header.get("alg") != Some(&"RS256".into()) || header.get("typ") != Some(&"JWT".into()) {
        return Err("Invalid JWT: it must be signed with RS256.");
    }
    if header.get("kid").is_some_and(|kid| *kid != KEY_ID)
        || claims.get("iss") != Some(&SERVICE_ACCOUNT.into())
    {
        return Err("Invalid grant: account not found");
    }
    let signature = decode(signature).ok_or("Invalid JWT Signature.")?;
    if !is_signed(signed.as_bytes(), &signature) {
        return Err("Invalid JWT Signature.");
    }
    if !claims
        .get("aud")
        .and_then(Value::as_str)
        .is_some_and(|aud| aud.starts_with("http") && aud.ends_with("/token"))
    {
        return Err("Invalid JWT: Failed audience check.");
    }
    if claims.get("scope") != Some(&SCOPE.into()) {
        return Err("Invalid OAuth scope or ID token audience provided.");
    }
    let number = |name: &str| claims.get(name).and_then(Value::as_u64);
    let (issued, expires) =
        number("iat").zip(number("exp")).ok_or("Invalid JWT: iat and exp are required")?;
    let now = now_ms() / 1000;
    if issued > now + SKEW_S || expires <= now || expires.saturating_sub(issued) > MOST_S {
        return Err(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check \
                    your iat and exp values in the JWT claim.",
        );
    }
    Ok(())
}

fn is_signed(message: &[u8], signature: &[u8]) -> bool {
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let (_, rsa) = algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)
        .copied()
        .unwrap_or((SignatureScheme::RSA_PKCS1_SHA256, &[]));
    rsa.iter().any(|algorithm| algorithm.verify_signature(PUBLIC_KEY, message, signature).is_ok())
}

/// Base64 as RFC 4648 section 5 has it, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut held) = (Vec::with_capacity(text.len()), 0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 255) as u8);
        }
    }
    Some(out)
}
