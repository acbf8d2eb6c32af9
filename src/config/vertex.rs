//! What Vertex AI must be told besides a URL: whose project, where, and who asks.
//!
//! Source: Vertex AI, "Locations" and "REST API: service endpoints"; Google Cloud, "Service account credentials"
//! (the JSON file of a key) and "Using OAuth 2.0 for server to server applications".

use serde::Deserialize;

use super::base_url::BaseUrl;
use super::secret::Secret;

/// Where tokens are had, if the file does not say.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// One project at one location.
#[derive(Clone, Debug, PartialEq)]
pub struct Vertex {
    /// The project's id.
    pub project: String,
    /// `global`, a region such as `europe-west4`, or a multi-region (`us`, `eu`).
    pub location: String,
    /// Who asks; without it the provider's keys are access tokens.
    pub account: Option<ServiceAccount>,
}

impl Vertex {
    /// The API's root where nobody says another.
    #[must_use]
    pub fn root(&self) -> String {
        match self.location.as_str() {
            "global" => "https://aiplatform.googleapis.com/v1".to_owned(),
            // As Google's own client libraries have it.
            location @ ("us" | "eu") => format!("https://aiplatform.{location}.rep.googleapis.com/v1"),
            location => format!("https://{location}-aiplatform.googleapis.com/v1"),
        }
    }
}

/// A service account, with what proves that we may act as it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceAccount {
    /// Its address, by which it is known.
    pub email: String,
    /// The key's id.
    pub key_id: Option<String>,
    /// The private key in PEM.
    pub key: Secret,
    /// Where access tokens are had.
    pub token_uri: BaseUrl,
    /// The same as it was written: it is the audience of what is signed.
    pub audience: String,
    /// Its own project.
    pub project: Option<String>,
}

impl ServiceAccount {
    /// Reads the JSON file that Google hands out for a key of a service account.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct File {
            #[serde(rename = "type")]
            kind: Option<String>,
            client_email: Option<String>,
            private_key: Option<String>,
            private_key_id: Option<String>,
            project_id: Option<String>,
            token_uri: Option<String>,
        }
        // What serde says of a fault repeats what stands there.
        let file: File = serde_json::from_str(json)
            .map_err(|error| format!("not the JSON of a service account (line {})", error.line()))?;
        match file.kind.as_deref() {
            None | Some("service_account") => {}
            Some("authorized_user" | "external_account" | "impersonated_service_account") => {
                return Err("credentials of another kind than `service_account`".to_owned());
            }
            Some(_) => return Err("its `type` is not `service_account`".to_owned()),
        }
        let visible = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let email = file.client_email.filter(visible).ok_or("it has no `client_email`")?;
        let key = file.private_key.ok_or("it has no `private_key`")?;
        let audience = file.token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
        let token_uri = BaseUrl::parse(&audience, "").map_err(|error| format!("`token_uri`: {error}"))?;
        Ok(Self {
            email,
            key_id: file.private_key_id.filter(visible),
            key: Secret::new(key),
            token_uri,
            audience,
            project: file.project_id.filter(visible),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_location_has_its_host() {
        for (location, root) in [
            ("global", "https://aiplatform.googleapis.com/v1"),
            ("europe-west4", "https://europe-west4-aiplatform.googleapis.com/v1"),
            ("eu", "https://aiplatform.eu.rep.googleapis.com/v1"),
        ] {
            let vertex = Vertex { project: "p".into(), location: location.into(), account: None };
            assert_eq!(vertex.root(), root);
        }
    }

    #[test]
    fn a_file_is_read_and_its_key_not_shown() {
        let json = r#"{"type":"service_account","project_id":"p-1","private_key_id":"k1",
            "private_key":"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANB\n-----END PRIVATE KEY-----\n",
            "client_email":"a@p-1.iam.gserviceaccount.com"}"#;
        let account = ServiceAccount::parse(json).unwrap();
        assert_eq!(account.email, "a@p-1.iam.gserviceaccount.com");
        assert_eq!((account.key_id.as_deref(), account.project.as_deref()), (Some("k1"), Some("p-1")));
        assert_eq!(account.token_uri.to_string(), TOKEN_URI);
        assert!(account.key.expose().starts_with("-----BEGIN PRIVATE KEY-----\nMIIE"));
        assert!(!format!("{account:?}").contains("MIIE"));
        for (wrong, says) in [
            ("{", "not the JSON"),
            ("[]", "not the JSON"),
            (r#"{"type":"authorized_user"}"#, "another kind"),
            (r#"{"type":"service_account"}"#, "client_email"),
            (r#"{"client_email":"a@b"}"#, "private_key"),
            (r#"{"client_email":"a@b","private_key":"x","token_uri":"ftp://a"}"#, "token_uri"),
        ] {
            assert!(ServiceAccount::parse(wrong).unwrap_err().contains(says), "{wrong}");
        }
    }
}
