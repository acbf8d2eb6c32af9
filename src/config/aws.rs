//! Keys and regions of AWS, for the providers that are there.

use super::secret::Secret;

/// A key that signs requests, in place of one that is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Tells whose secret it is.
    pub id: String,
    /// The secret.
    pub secret: Secret,
    /// What temporary credentials have beside it.
    pub token: Option<Secret>,
    /// Where the provider is, which is signed too.
    pub region: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccessKey({})", self.masked())
    }
}

impl AccessKey {
    /// What may be shown of it: nothing of the secret.
    #[must_use]
    pub fn masked(&self) -> String {
        Secret::new(self.id.clone()).masked()
    }

    /// `ACCESS_KEY_ID:SECRET_ACCESS_KEY` or the same with `:SESSION_TOKEN`; `None` for a key of Bedrock's own, which has
    /// no colon and is sent as it is.
    ///
    /// # Errors
    /// What is wrong with it, without showing any of it.
    pub(super) fn read(key: &str, region: Option<&str>) -> Result<Option<Self>, &'static str> {
        let mut parts = key.split(':');
        let id = parts.next().unwrap_or_default();
        let Some(secret) = parts.next() else { return Ok(None) };
        let token = parts.next();
        if id.is_empty() || secret.is_empty() || token == Some("") || parts.next().is_some() {
            return Err(
                "a key of AWS is ACCESS_KEY_ID:SECRET_ACCESS_KEY, perhaps with :SESSION_TOKEN behind it",
            );
        }
        let Some(region) = region else {
            return Err("a key that signs needs the `region` of its provider");
        };
        Ok(Some(Self {
            id: id.to_owned(),
            secret: Secret::new(secret),
            token: token.map(Secret::new),
            region: region.to_owned(),
        }))
    }
}

/// Whether this is the name of a region, such as `us-east-1`.
pub(super) fn is_region(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

/// The API root of Bedrock in a region ("Amazon Bedrock endpoints and quotas").
pub(super) fn bedrock_root(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://bedrock-runtime.{region}.{domain}")
}

/// The region that a host of Bedrock's names: `bedrock-runtime.us-east-1.amazonaws.com`, also with `-fips`, and of
/// endpoints in a VPC (`vpce-1-a.bedrock-runtime.us-east-1.vpce.amazonaws.com`).
pub(super) fn region_of(host: &str) -> Option<&str> {
    let mut labels = host.split('.');
    labels.by_ref().find(|label| matches!(*label, "bedrock-runtime" | "bedrock-runtime-fips"))?;
    labels.next().filter(|label| is_region(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_not_shown() {
        let key = |key| AccessKey::read(key, Some("us-east-1"));
        assert_eq!(key("bedrock-api-key-YmVkcm9jaw=="), Ok(None));
        let signs = key("AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG").unwrap().unwrap();
        assert_eq!(
            (signs.id.as_str(), signs.secret.expose()),
            ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG")
        );
        assert_eq!((&signs.token, signs.region.as_str()), (&None, "us-east-1"));
        assert_eq!(format!("{signs:?}"), "AccessKey(AKI...MPLE)");
        let temporary = key("ASIA:secret:token==").unwrap().unwrap();
        assert_eq!(temporary.token.map(|token| token.expose().to_owned()).as_deref(), Some("token=="));
        for wrong in ["AKIA:", ":secret", "AKIA:secret:", "AKIA:secret:token:more", "::"] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
        assert!(AccessKey::read("AKIA:secret", None).is_err());
        assert_eq!(AccessKey::read("ABSK", None), Ok(None));
    }

    #[test]
    fn regions_are_found_in_hosts() {
        for (host, region) in [
            ("bedrock-runtime.us-east-1.amazonaws.com", Some("us-east-1")),
            ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("vpce-1-a.bedrock-runtime.eu-west-1.vpce.amazonaws.com", Some("eu-west-1")),
            ("bedrock-runtime", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
        assert_eq!(region_of(&bedrock_root("cn-north-1")["https://".len()..]), Some("cn-north-1"));
        assert!(
            is_region("ap-southeast-2") && !is_region("US-EAST-1") && !is_region("a.b") && !is_region("")
        );
    }
}
