//! Who sent a request: the bearer key (RFC 6750 §2.1), `x-api-key`, or where Google's clients send it, against the
//! snapshot.

use coo_shards::http1::head::{Field, Known, RequestHead};

use crate::{
    config::snapshot::{ClientId, Snapshot},
    dialect::{gemini::inbound::target::parameter, openai::error::GatewayError},
};

/// The client of a request. `google` is the query of a request that Google's clients send: their key may be there, or in
/// `x-goog-api-key`.
///
/// # Errors
/// `MissingApiKey` without exactly one credential, `InvalidApiKey` for an unknown one.
pub fn client(
    head: &RequestHead,
    bytes: &[u8],
    google: Option<&[u8]>,
    snapshot: &Snapshot,
) -> Result<ClientId, GatewayError> {
    let one = |is: &dyn Fn(&Field) -> bool| {
        let mut credentials = head.fields.iter().filter(|field| is(field));
        (credentials.next(), credentials.next())
    };
    let key = match one(&|field| field.known == Known::Authorization) {
        (Some(field), None) => bearer(field.value(bytes)),
        (None, _) => {
            // As Anthropic's clients have it, and Google's.
            let name: &[u8] = if google.is_some() { b"x-goog-api-key" } else { b"x-api-key" };
            let found =
                one(&|field| field.known == Known::Other && field.name(bytes).eq_ignore_ascii_case(name));
            match (found, google) {
                ((Some(field), None), _) => {
                    Some(field.value(bytes).trim_ascii()).filter(|key| !key.is_empty())
                }
                ((None, _), Some(query)) => {
                    let key = parameter(query, "key").ok_or(GatewayError::MissingApiKey)?;
                    return snapshot.client(key.as_bytes()).ok_or(GatewayError::InvalidApiKey);
                }
                _ => None,
            }
        }
        _ => None,
    };
    snapshot.client(key.ok_or(GatewayError::MissingApiKey)?).ok_or(GatewayError::InvalidApiKey)
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_credentials_count() {
        for (value, key) in [
            ("Bearer abc", Some("abc")),
            ("bearer   abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer  ", None),
            ("Bearerabc", None),
        ] {
            assert_eq!(bearer(value.as_bytes()), key.map(str::as_bytes), "{value}");
        }
    }
}
