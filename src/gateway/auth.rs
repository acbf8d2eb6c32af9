//! Who sent a request: the bearer key (RFC 6750 §2.1) against the snapshot.

use coo_shards::http1::head::{Known, RequestHead};

use crate::{
    config::snapshot::{ClientId, Snapshot},
    dialect::openai::error::GatewayError,
};

/// The client of a request.
///
/// # Errors
/// `MissingApiKey` without exactly one bearer credential, `InvalidApiKey` for an unknown one.
pub fn client(head: &RequestHead, bytes: &[u8], snapshot: &Snapshot) -> Result<ClientId, GatewayError> {
    let mut credentials = head.fields.iter().filter(|field| field.known == Known::Authorization);
    let (Some(field), None) = (credentials.next(), credentials.next()) else {
        return Err(GatewayError::MissingApiKey);
    };
    let key = bearer(field.value(bytes)).ok_or(GatewayError::MissingApiKey)?;
    snapshot.client(key).ok_or(GatewayError::InvalidApiKey)
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
