//! Where the providers are whose address is not the same for everyone: Azure OpenAI and Vertex AI.

use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

use crate::config::azure::ApiVersion;
use crate::config::base_url::BaseUrl;
use crate::config::field::{Field, Section};
use crate::config::provider::ProviderType;
use crate::config::vertex::{ServiceAccount, Vertex};

/// Where the models are that are everywhere.
const EVERYWHERE: &str = "global";

/// Azure's `api_version`.
pub(super) fn api_version(section: &Section<'_>, kind: ProviderType) -> Option<ApiVersion> {
    let field = section.get("api_version")?;
    if kind != ProviderType::Azure {
        field.warn(format!("`api_version` is for the type azure; {} has none", kind.name()), None);
        return None;
    }
    field.parse("an API version such as 2024-10-21", ApiVersion::parse)
}

/// Azure's `base_url`, whose path depends on which of its APIs is meant.
pub(super) fn azure_url(section: &Section<'_>, version: Option<&ApiVersion>) -> Option<BaseUrl> {
    let Some(field) = section.get("base_url") else {
        section.missing("base_url", Some("such as base_url: https://NAME.openai.azure.com".to_owned()));
        return None;
    };
    let dated = version.is_some_and(ApiVersion::is_dated);
    let path = if dated { "/openai" } else { ProviderType::Azure.default_path() };
    let url = field.parse("a URL", |text| BaseUrl::parse(text, path))?;
    if version.is_none() && section.get("api_version").is_some() {
        // What is wrong with the version has been said.
        return Some(url);
    }
    let wrong = if url.path.contains("/deployments") {
        Some((
            "the name of a deployment does not belong here",
            "deployments are named as models: NAME:DEPLOYMENT",
        ))
    } else if dated && url.path.ends_with("/v1") {
        Some((
            "the v1 API has no dated versions",
            "leave `api_version` out, or give https://NAME.openai.azure.com/openai",
        ))
    } else if !dated && url.path.ends_with("/openai") {
        Some((
            "without a dated `api_version` this is the v1 API, whose path ends in /openai/v1",
            "https://NAME.openai.azure.com/openai/v1, or such as api_version: 2024-10-21",
        ))
    } else {
        None
    };
    if let Some((message, help)) = wrong {
        field.error(message, Some(help.to_owned()));
        return None;
    }
    Some(url)
}

/// What only Vertex AI has.
pub(super) fn vertex(section: &Section<'_>, kind: ProviderType, enabled: bool) -> Option<Vertex> {
    if kind != ProviderType::Vertex {
        for key in ["project", "location", "credentials"] {
            if let Some(field) = section.get(key) {
                field.warn(format!("`{key}` is for the type vertex; {} has none", kind.name()), None);
            }
        }
        return None;
    }
    let account = section.get("credentials").filter(|_| enabled).map(|field| (account(&field), field));
    if let Some((_, field)) = &account
        && section.get("api_keys").is_some()
    {
        field.error(
            "credentials or `api_keys`, not both",
            Some("access tokens are fetched with credentials".into()),
        );
    }
    let unread = matches!(account, Some((None, _)));
    let account = account.and_then(|(account, _)| account);
    let project = match section.get("project") {
        Some(field) => name(&field, "a project"),
        // What is wrong with the credentials has been said.
        None if unread || !enabled => Some(String::new()),
        None => account.as_ref().and_then(|account| account.project.clone()).or_else(|| {
            section.missing("project", Some("the project's id, such as project: my-project-1".to_owned()));
            None
        }),
    };
    let location = match section.get("location") {
        Some(field) => name(&field, "a location"),
        None => Some(EVERYWHERE.to_owned()),
    };
    Some(Vertex { project: project?, location: location?, account })
}

/// A part of a path.
fn name(field: &Field<'_>, what: &'static str) -> Option<String> {
    field.parse(what, |text| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        let clean = !text.is_empty() && text.bytes().all(allowed);
        clean.then(|| text.to_owned()).ok_or("letters, digits and - only")
    })
}

/// A service account: the path of its JSON file, or the JSON itself.
fn account(field: &Field<'_>) -> Option<ServiceAccount> {
    let text = field.text()?;
    let json = if text.trim_start().starts_with('{') || text.starts_with("file:") {
        field.secret()?
    } else {
        field.secret_in(&text)?
    };
    let problem = match ServiceAccount::parse(json.expose()) {
        Ok(account) => {
            let signs = PrivateKeyDer::from_pem_slice(account.key.expose().as_bytes())
                .is_ok_and(|key| rustls::crypto::ring::sign::any_supported_type(&key).is_ok());
            if signs {
                return Some(account);
            }
            "its `private_key` is not a key in PEM".to_owned()
        }
        Err(problem) => problem,
    };
    let help =
        "the JSON file of a service account's key: credentials: account.json, or \"${NAME}\" with its text";
    field.error(problem, Some(help.to_owned()));
    None
}
