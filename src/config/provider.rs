//! Providers: the types we know, as data, and one configured provider.

use std::{net::SocketAddr, time::Duration};

use super::aws::{self, AccessKey};
use super::azure::ApiVersion;
use super::base_url::BaseUrl;
use super::prices::Rates;
use super::secret::Secret;
use super::vertex::Vertex;

/// A kind of provider: it decides the wire format and where the provider is when nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum ProviderType {
    OpenAi,
    Gemini,
    Claude,
    Grok,
    Fireworks,
    Together,
    Replicate,
    HuggingFace,
    Mistral,
    Cohere,
    Voyage,
    OpenRouter,
    Azure,
    Vertex,
    Bedrock,
    Custom,
}

/// What we know about a provider type.
struct Facts {
    kind: ProviderType,
    name: &'static str,
    /// The API root the provider documents; `None` where only the user can know it.
    root: Option<&'static str>,
    /// The path of a `base_url` that has none.
    path: &'static str,
}

const fn facts(
    kind: ProviderType,
    name: &'static str,
    root: Option<&'static str>,
    path: &'static str,
) -> Facts {
    Facts { kind, name, root, path }
}

/// One row per type. `root` ends in `path` (a test holds the two together).
#[rustfmt::skip]
const TYPES: [Facts; 16] = {
    use ProviderType::*;
    [
        facts(OpenAi,      "openai",      Some("https://api.openai.com/v1"),                          "/v1"),
        facts(Gemini,      "gemini",      Some("https://generativelanguage.googleapis.com/v1beta"),   "/v1beta"),
        facts(Claude,      "claude",      Some("https://api.anthropic.com/v1"),                       "/v1"),
        facts(Grok,        "grok",        Some("https://api.x.ai/v1"),                                "/v1"),
        facts(Fireworks,   "fireworks",   Some("https://api.fireworks.ai/inference/v1"),              "/inference/v1"),
        facts(Together,    "together",    Some("https://api.together.xyz/v1"),                        "/v1"),
        facts(Replicate,   "replicate",   Some("https://api.replicate.com/v1"),                       "/v1"),
        facts(HuggingFace, "huggingface", Some("https://router.huggingface.co/v1"),                   "/v1"),
        facts(Mistral,     "mistral",     Some("https://api.mistral.ai/v1"),                          "/v1"),
        facts(Cohere,      "cohere",      Some("https://api.cohere.com/v2"),                          "/v2"),
        facts(Voyage,      "voyage",      Some("https://api.voyageai.com/v1"),                        "/v1"),
        facts(OpenRouter,  "openrouter",  Some("https://openrouter.ai/api/v1"),                       "/api/v1"),
        facts(Azure,       "azure",       None,                                                       "/openai/v1"),
        facts(Vertex,      "vertex",      Some("https://aiplatform.googleapis.com/v1"),               "/v1"),
        facts(Bedrock,     "bedrock",     None,                                                       ""),
        facts(Custom,      "custom",      None,                                                       "/v1"),
    ]
};

/// Names people try, and the type that serves them. Only used to suggest.
pub(super) const OTHER_NAMES: [(&str, &str); 19] = [
    ("amazon", "bedrock"),
    ("anthropic", "claude"),
    ("aws", "bedrock"),
    ("google", "gemini"),
    ("googleai", "gemini"),
    ("xai", "grok"),
    ("x.ai", "grok"),
    ("hf", "huggingface"),
    ("togetherai", "together"),
    ("ollama", "custom"),
    ("vllm", "custom"),
    ("groq", "custom"),
    ("deepseek", "custom"),
    ("azureopenai", "azure"),
    ("azure-openai", "azure"),
    ("azure_openai", "azure"),
    ("vertexai", "vertex"),
    ("vertex-ai", "vertex"),
    ("vertex_ai", "vertex"),
];

impl ProviderType {
    fn facts(self) -> &'static Facts {
        // Every variant has a row (a test says so); the last one stands in for a missing one.
        let [.., custom] = &TYPES;
        TYPES.iter().find(|row| row.kind == self).unwrap_or(custom)
    }

    /// The name used in `llm_providers[].type`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The API root used without a `base_url`; `azure` and `custom` have none, and that of `bedrock` depends on the
    /// region.
    pub fn default_base_url(self) -> Option<&'static str> {
        self.facts().root
    }

    /// Where the streams of its answers are, where that is another host than the API's.
    pub(super) fn default_stream_url(self) -> Option<&'static str> {
        (self == Self::Replicate).then_some("https://stream.replicate.com")
    }

    /// The path given to a `base_url` that has none.
    pub fn default_path(self) -> &'static str {
        self.facts().path
    }

    /// Which of its names stands for its key in a request's head, and what comes before the key.
    pub(super) fn credential(self) -> (&'static str, &'static str) {
        match self {
            Self::Claude => ("x-api-key", ""),
            Self::Gemini => ("x-goog-api-key", ""),
            Self::Azure => ("api-key", ""),
            _ => ("authorization", "Bearer "),
        }
    }

    /// Every name with its type, in the order of the documentation.
    pub(super) fn choices() -> [(&'static str, Self); 16] {
        TYPES.each_ref().map(|row| (row.name, row.kind))
    }
}

/// One entry of `llm_providers`.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Unique; the part before the colon in `provider:model`.
    pub id: String,
    /// A name for people; metrics and logs use `id`.
    pub name: Option<String>,
    /// Decides the wire format.
    pub kind: ProviderType,
    /// A disabled provider is checked but never chosen, and its keys are not read.
    pub enabled: bool,
    /// At least one if enabled and there is no service account; requests take turns.
    pub api_keys: Vec<Secret>,
    /// The API root.
    pub base_url: BaseUrl,
    /// Where the streams of its answers are, where that is another host.
    pub stream_url: Option<BaseUrl>,
    /// Which of Azure's APIs; without it the one without versions.
    pub api_version: Option<ApiVersion>,
    /// What only Vertex AI must be told.
    pub vertex: Option<Vertex>,
    /// Where it is, instead of what the host of `base_url` resolves to; empty to resolve that.
    pub addresses: Vec<SocketAddr>,
    /// The model for a request that names only the provider.
    pub model: Option<String>,
    /// Names served, for bare-model routing and `GET /v1/models`; begins with `model`.
    pub models: Vec<String>,
    /// Extra headers for every request; names are lower case.
    pub headers: Vec<(String, Secret)>,
    /// Sent as `OpenAI-Organization`.
    pub organization: Option<String>,
    /// The region of AWS, where it is there.
    pub region: Option<String>,
    /// Prices that win over those of the table of models.
    pub pricing: Pricing,
    /// Limits of each key.
    pub limits: KeyLimits,
}

impl Provider {
    /// What signs its requests with this key of it; `None` for a key that is sent as it is.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub(super) fn access_key(&self, key: &Secret) -> Result<Option<AccessKey>, &'static str> {
        if self.kind != ProviderType::Bedrock {
            return Ok(None);
        }
        let region = self.region.as_deref().or_else(|| aws::region_of(&self.base_url.host));
        AccessKey::read(key.expose(), region)
    }
}

/// Prices that the configuration gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pricing {
    /// Of every model that has none of its own.
    pub all: Option<Rates>,
    /// Of single models; a `*` at the end of a name stands for a date.
    pub models: Vec<(String, Rates)>,
}

/// Limits of one key, a provider's or a client's; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests per minute.
    pub req_per_min: Option<u64>,
    /// Tokens per minute, in and out together.
    pub tokens_per_min: Option<u64>,
    /// Output tokens one request may ask for.
    pub max_tokens: Option<u64>,
    /// Tokens per `session_window`.
    pub session_limit: Option<u64>,
    /// The window of `session_limit`.
    pub session_window: Duration,
    /// Requests in flight.
    pub max_concurrent: Option<u64>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_row_and_root_and_path_agree() {
        for row in &TYPES {
            assert_eq!(row.kind.name(), row.name);
            match row.root {
                Some(root) => {
                    let url = BaseUrl::parse(root, "").unwrap();
                    assert_eq!(url.path, row.path, "{}", row.name);
                    assert_eq!(url.to_string(), root);
                }
                None => assert!(matches!(
                    row.kind,
                    ProviderType::Azure | ProviderType::Bedrock | ProviderType::Custom
                )),
            }
        }
    }

    #[test]
    fn suggestions_name_types_that_exist() {
        let names = ProviderType::choices().map(|(name, _)| name);
        for (other, name) in OTHER_NAMES {
            assert!(names.contains(&name) && !names.contains(&other));
        }
    }
}
