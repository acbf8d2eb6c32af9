//! Other providers' signatures over thoughts, while a Gemini client keeps the conversation.
//!
//! Source: Gemini API guide "Thought signatures": clients send a part back with its `thoughtSignature`, which is bytes
//! in base64. SDKs decode and encode it, in the alphabet that they like, so that a text must be made bytes of first. A
//! mark tells those of others from Google's own.

use std::borrow::Cow;

use super::contents::standard;
use crate::dialect::base64;

const MARK: &[u8] = b"coo:";

/// A signature as the client is to see it.
pub(super) fn seal(signature: &str) -> String {
    let mut out = Vec::new();
    base64::encode(&[MARK, signature.as_bytes()].concat(), &mut out);
    // Base64 is text.
    String::from_utf8(out).unwrap_or_default()
}

/// The signature that a client sends back; `None` where it is one of Google's own, which nobody else reads.
pub(super) fn unseal(text: &str) -> Option<Cow<'static, str>> {
    let bytes = base64::decode(&standard(text.into()))?;
    let signature = bytes.strip_prefix(MARK)?;
    String::from_utf8(signature.to_vec()).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_come_back_from_any_alphabet() {
        for signature in ["EqQB+/=", "redacted:é~~~???>>>", ""] {
            let sealed = seal(signature);
            assert_eq!(unseal(&sealed).as_deref(), Some(signature));
            let by_sdk = sealed.replace('+', "-").replace('/', "_");
            assert_eq!(unseal(by_sdk.trim_end_matches('=')).as_deref(), Some(signature));
        }
        for foreign in ["CiQBVKhc7nzhhbFkZoZKbQ==", "", "é", "A"] {
            assert_eq!(unseal(foreign), None);
        }
    }
}
