//! What a service account signs to prove who it is.
//!
//! Source: Google, "Using OAuth 2.0 for server to server applications", "Creating a JWT"; RFC 7515 (compact
//! serialization), RFC 7518 (`RS256`), RFC 7523 (claims).

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::{
    SignatureScheme,
    pki_types::{PrivateKeyDer, pem::PemObject},
};

use crate::{
    config::{Secret, ServiceAccount},
    dialect::json::write_string,
};

/// What a token may be used for: what Vertex AI's methods ask for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// "exp: ... a maximum of 1 hour after the issued time".
const LIFETIME_S: u64 = 3600;

/// The signed assertion that a token is asked for with.
///
/// # Errors
/// Why the account's key cannot sign.
pub(super) fn assertion(account: &ServiceAccount, now: SystemTime) -> Result<Secret, &'static str> {
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut header = b"{\"alg\":\"RS256\",\"typ\":\"JWT\"".to_vec();
    if let Some(id) = &account.key_id {
        member(&mut header, "kid", id);
    }
    header.push(b'}');
    let mut claims = format!("{{\"iat\":{issued},\"exp\":{}", issued + LIFETIME_S).into_bytes();
    for (name, value) in [("iss", account.email.as_str()), ("aud", &account.audience), ("scope", SCOPE)] {
        member(&mut claims, name, value);
    }
    claims.push(b'}');
    let mut out = String::new();
    base64(&header, &mut out);
    out.push('.');
    base64(&claims, &mut out);

    let key = PrivateKeyDer::from_pem_slice(account.key.expose().as_bytes())
        .map_err(|_| "the private key is not PEM")?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key)
        .map_err(|_| "the private key is of no kind that is known")?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
    let signer = signer.ok_or("the private key is not one of RSA")?;
    let signature = signer.sign(out.as_bytes()).map_err(|_| "the private key cannot sign")?;
    out.push('.');
    base64(&signature, &mut out);
    Ok(Secret::new(out))
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    write_string(out, name);
    out.push(b':');
    write_string(out, value);
}

/// Appends `bytes` in base64url without padding (RFC 4648 section 5, RFC 7515 section 2).
fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..=chunk.len() {
            let digit = bits >> (18 - 6 * place) & 63;
            out.push(DIGITS.get(digit as usize).map_or('A', |&digit| char::from(digit)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_urls_and_not_padded() {
        for (bytes, wanted) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            // RFC 7515, appendix C.
            (&[3, 236, 255, 224, 193], "A-z_4ME"),
        ] {
            let mut out = String::new();
            base64(bytes, &mut out);
            assert_eq!(out, wanted);
        }
    }
}
