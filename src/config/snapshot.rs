//! The configuration compiled for the request path: interned ids, prepared header bytes, lookups by hash.
//!
//! One snapshot is immutable and shared by all shards. Nothing in it is computed per request that could be
//! computed once, and no secret in it can be printed.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
};

use super::{
    AccessKey, Allowed, ApiVersion, BaseUrl, Config, Provider, ProviderType, Secret, ServiceAccount, Urgency,
    budgets::{Budgets, Builder, KeyBudget},
    origins::StreamHost,
    prices::Prices,
    routes::Routes,
};

/// A provider, by its place in [`Snapshot::providers`].
pub type ProviderId = usize;
/// A client key, by its place in [`Snapshot::clients`].
pub type ClientId = usize;

/// The compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// Enabled providers, in the order of the configuration.
    pub providers: Vec<Upstream>,
    /// Clients, in the order of the configuration.
    pub clients: Vec<Client>,
    keys: ClientKeys,
    provider_ids: HashMap<String, ProviderId>,
    aliases: HashMap<String, (ProviderId, String)>,
    /// Names with more than one target.
    pub routes: Routes,
    bare: HashMap<String, ProviderId>,
    /// Models as `GET /v1/models` lists them.
    pub listed: Vec<Listed>,
    /// All limits of keys.
    pub budgets: Budgets,
}

/// A model as `GET /v1/models` lists it.
#[derive(Debug)]
pub struct Listed {
    /// The name that clients use.
    pub id: String,
    /// Who serves it; of several targets, the first.
    pub provider: ProviderId,
    /// The provider's name of it.
    pub model: String,
}

/// One provider.
#[derive(Debug)]
pub struct Upstream {
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: ProviderType,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Where the streams of its answers are, where that is another host.
    pub streams: Option<StreamHost>,
    /// Its addresses where the configuration names them; else they are resolved.
    pub addresses: Vec<SocketAddr>,
    /// Its keys.
    pub keys: Vec<Key>,
    /// Whether any of them has a limit.
    pub limited: bool,
    /// Whether any of them has a limit on tokens or money.
    pub counts_tokens: bool,
    /// The model of a request that names only the provider.
    pub default_model: Option<String>,
    /// Names of the header fields the configuration adds, which a client's own must not repeat.
    pub extra_headers: Vec<String>,
    /// Whether the model stands in the path as a deployment's name.
    pub has_deployments: bool,
    /// Whether its requests carry an access token, which the control plane fetches for this account.
    pub wants_token: bool,
    /// Who is to be named when a token is fetched.
    pub account: Option<ServiceAccount>,
    /// Whether streams must be asked for their usage (`stream_options.include_usage`).
    pub ask_usage: bool,
    /// Whether it can be asked for its models, by which it is found out whether one that failed works again.
    pub lists_models: bool,
    /// What its models cost.
    pub prices: Prices,
}

/// One provider key, with the heads of its requests prepared.
pub struct Key {
    /// The key as metrics and logs may show it.
    pub masked: String,
    /// Its limits.
    pub budget: KeyBudget,
    /// What signs requests where the key itself is not sent.
    pub access_key: Option<AccessKey>,
    chat: Vec<u8>,
    embeddings: Vec<u8>,
    models: Vec<u8>,
    /// Where a path goes in a head of `POST`.
    around: (Vec<u8>, Vec<u8>),
    /// What follows the path where the body is not JSON, but for what it is.
    bare: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.masked)
    }
}

impl Key {
    /// Request line and the header fields that every chat request with this key begins with: `chat/completions`,
    /// or what the provider has for it.
    #[must_use]
    pub fn chat_head(&self) -> &[u8] {
        &self.chat
    }

    /// The same for `embeddings`.
    #[must_use]
    pub fn embeddings_head(&self) -> &[u8] {
        &self.embeddings
    }

    /// The same for a path below the API's root.
    #[must_use]
    pub fn head_at(&self, path: &str) -> Vec<u8> {
        let (before, after) = &self.around;
        [before, path.as_bytes(), after].concat()
    }

    /// The same for a path below the API's root where the body is not JSON.
    #[must_use]
    pub fn form_head_at(&self, path: &str, content_type: &[u8]) -> Vec<u8> {
        let (before, _) = &self.around;
        [before, path.as_bytes(), &self.bare, b"content-type: ", content_type, b"\r\n"].concat()
    }

    /// The same for `GET` of a path below the API's root.
    #[must_use]
    pub fn get_head_at(&self, path: &str) -> Vec<u8> {
        let (before, _) = &self.around;
        let root = before.strip_prefix(b"POST").unwrap_or_default();
        [b"GET", root, path.as_bytes(), &self.bare].concat()
    }

    /// The same for `GET models`, which has no body.
    #[must_use]
    pub fn models_head(&self) -> &[u8] {
        &self.models
    }
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its limits.
    pub budget: KeyBudget,
    /// How urgent its requests are at most.
    pub urgency: Urgency,
    allowed: Option<Vec<bool>>,
}

impl Client {
    /// Whether it may use `provider`.
    #[must_use]
    pub fn may_use(&self, provider: ProviderId) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.get(provider).copied().unwrap_or(false))
    }
}

/// Client keys by keyed hash. The final comparison takes the same time wherever keys differ, and the hash is
/// keyed per process, so timing tells nothing about a key.
struct ClientKeys {
    hasher: RandomState,
    by_hash: HashMap<u64, Vec<(Vec<u8>, ClientId)>, Identity>,
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKeys({})", self.by_hash.len())
    }
}

/// The map's keys are hashes already.
#[derive(Clone, Default)]
struct Identity(u64);

impl BuildHasher for Identity {
    type Hasher = Identity;
    fn build_hasher(&self) -> Identity {
        Identity(0)
    }
}

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Model name prefixes of the providers' own models, for bare names that no provider lists.
const FAMILIES: [(&str, ProviderType); 25] = [
    ("gpt-", ProviderType::OpenAi),
    ("chatgpt-", ProviderType::OpenAi),
    ("o1", ProviderType::OpenAi),
    ("o3", ProviderType::OpenAi),
    ("o4", ProviderType::OpenAi),
    ("text-embedding-", ProviderType::OpenAi),
    ("claude-", ProviderType::Claude),
    ("amazon.", ProviderType::Bedrock),
    ("anthropic.", ProviderType::Bedrock),
    ("eu.anthropic.", ProviderType::Bedrock),
    ("global.anthropic.", ProviderType::Bedrock),
    ("us.anthropic.", ProviderType::Bedrock),
    ("gemini-", ProviderType::Gemini),
    ("grok-", ProviderType::Grok),
    ("accounts/fireworks/", ProviderType::Fireworks),
    ("mistral-", ProviderType::Mistral),
    ("ministral-", ProviderType::Mistral),
    ("codestral-", ProviderType::Mistral),
    ("pixtral-", ProviderType::Mistral),
    ("command-", ProviderType::Cohere),
    ("embed-", ProviderType::Cohere),
    ("voyage-", ProviderType::Voyage),
    // Cohere's have a word there.
    ("rerank-1", ProviderType::Voyage),
    ("rerank-2", ProviderType::Voyage),
    ("rerank-", ProviderType::Cohere),
];

impl Snapshot {
    /// Compiles a checked configuration for so many shards.
    #[must_use]
    pub fn new(config: &Config, shards: usize) -> Self {
        let mut budgets = Builder::new(shards);
        let enabled: Vec<&Provider> = config.providers.iter().filter(|provider| provider.enabled).collect();
        let provider_ids: HashMap<String, ProviderId> =
            enabled.iter().enumerate().map(|(index, provider)| (provider.id.clone(), index)).collect();
        let mut bare = HashMap::new();
        let mut listed = Vec::new();
        let mut aliases = HashMap::new();
        let routes = Routes::new(&config.aliases, &enabled, &config.policy.fallback);
        for (alias, targets) in &config.aliases {
            let first = targets.iter().find_map(|(id, model)| Some((*provider_ids.get(id)?, model)));
            if let Some((index, model)) = first {
                listed.push(Listed { id: alias.clone(), provider: index, model: model.clone() });
                aliases.insert(alias.clone(), (index, model.clone()));
            }
        }
        for (index, provider) in enabled.iter().enumerate() {
            for model in &provider.models {
                bare.entry(model.clone()).or_insert(index);
                let id = format!("{}:{model}", provider.id);
                listed.push(Listed { id, provider: index, model: model.clone() });
            }
        }
        let mut keys = ClientKeys { hasher: RandomState::new(), by_hash: HashMap::default() };
        let clients = config
            .clients
            .iter()
            .enumerate()
            .map(|(index, client)| {
                let key = client.key.expose().as_bytes().to_vec();
                let hash = keys.hasher.hash_one(&key[..]);
                keys.by_hash.entry(hash).or_default().push((key, index));
                let allowed = match &client.allowed {
                    Allowed::All => None,
                    Allowed::Only(ids) => {
                        Some(enabled.iter().map(|provider| ids.contains(&provider.id)).collect())
                    }
                };
                let budget = budgets.client(&client.id, &client.limits);
                Client { id: client.id.clone(), budget, urgency: client.urgency, allowed }
            })
            .collect();
        // The places behind those of the providers' APIs are for the hosts of streams.
        let mut place = enabled.len();
        let providers = enabled.into_iter().map(|provider| {
            let mut upstream = upstream(provider, &mut budgets);
            upstream.streams = provider.stream_url.clone().map(|url| StreamHost::new(url, place));
            place += usize::from(upstream.streams.is_some());
            upstream
        });
        let providers = providers.collect();
        let budgets = budgets.build();
        Self { providers, clients, keys, provider_ids, aliases, routes, bare, listed, budgets }
    }

    /// The client that `key` belongs to.
    #[must_use]
    pub fn client(&self, key: &[u8]) -> Option<ClientId> {
        let candidates = self.keys.by_hash.get(&self.keys.hasher.hash_one(key))?;
        candidates.iter().find(|(known, _)| same(known, key)).map(|&(_, client)| client)
    }

    /// The provider and the provider's own model name that `name` means, the first where there are several: an
    /// alias, `provider:model`, the id of a provider (its default model), or a bare model name.
    #[must_use]
    pub fn resolve<'a>(&'a self, name: &'a str) -> Option<(ProviderId, &'a str)> {
        if let Some((provider, model)) = self.aliases.get(name) {
            return Some((*provider, model));
        }
        let (prefix, model) = name.split_once(':').unwrap_or((name, ""));
        if let Some(&provider) = self.provider_ids.get(prefix) {
            if !model.is_empty() {
                return Some((provider, model));
            }
            return Some((provider, self.providers.get(provider)?.default_model.as_deref()?));
        }
        if let Some(&provider) = self.bare.get(name) {
            return Some((provider, name));
        }
        let family = FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix));
        if let Some((_, kind)) = family
            && let Some(provider) = self.providers.iter().position(|provider| provider.kind == *kind)
        {
            return Some((provider, name));
        }
        (self.providers.len() == 1).then_some((0, name))
    }
}

fn upstream(provider: &Provider, budgets: &mut Builder) -> Upstream {
    let account = provider.vertex.as_ref().and_then(|vertex| vertex.account.clone());
    // With an account there is one key, whose value comes later and changes.
    let of_account = account.as_ref().map(|account| Secret::new(account.email.clone()));
    let keys: Vec<Key> = provider
        .api_keys
        .iter()
        .filter(|_| account.is_none())
        .chain(&of_account)
        .map(|key| {
            let (field, scheme) = provider.kind.credential();
            // One that is wrong was found when the configuration was read.
            let access_key = provider.access_key(key).ok().flatten();
            let masked = access_key.as_ref().map_or_else(|| key.masked(), AccessKey::masked);
            let after = |has_body: bool| {
                let authority = provider.base_url.authority();
                let query = provider.api_version.as_ref().map(|version| format!("?api-version={version}"));
                let query = query.unwrap_or_default();
                let mut head = format!("{query} HTTP/1.1\r\nhost: {authority}\r\n");
                if account.is_none() && access_key.is_none() {
                    head.push_str(&format!("{field}: {scheme}{}\r\n", key.expose()));
                }
                if has_body {
                    head.push_str("content-type: application/json\r\n");
                }
                if let Some(organization) = &provider.organization {
                    head.push_str(&format!("openai-organization: {organization}\r\n"));
                }
                // The later 2026-10-21 takes the sampling parameters away from every model, also from those that
                // still have them.
                if provider.kind == ProviderType::Claude
                    && !provider.headers.iter().any(|(name, _)| name == "anthropic-version")
                {
                    head.push_str("anthropic-version: 2023-06-01\r\n");
                }
                for (name, value) in &provider.headers {
                    head.push_str(&format!("{name}: {}\r\n", value.expose()));
                }
                head.into_bytes()
            };
            let place = provider
                .vertex
                .as_ref()
                .map(|vertex| format!("/projects/{}/locations/{}", vertex.project, vertex.location));
            let place = place.unwrap_or_default();
            let before = |method: &str| format!("{method} {}{place}", provider.base_url.path).into_bytes();
            let around = (before("POST"), after(true));
            let at = |path: &str| [&around.0, path.as_bytes(), &around.1].concat();
            let chat = match provider.kind {
                ProviderType::Claude => "/messages",
                ProviderType::Cohere => "/chat",
                _ => "/chat/completions",
            };
            Key {
                budget: budgets.key(&provider.id, key.expose(), &masked, &provider.limits),
                masked,
                chat: at(chat),
                embeddings: at("/embeddings"),
                models: [before("GET"), b"/models".to_vec(), after(false)].concat(),
                bare: after(false),
                around,
                access_key,
            }
        })
        .collect();
    Upstream {
        id: provider.id.clone(),
        kind: provider.kind,
        base_url: provider.base_url.clone(),
        streams: None,
        addresses: provider.addresses.clone(),
        counts_tokens: keys.iter().any(|key| key.budget.counts_tokens()),
        limited: keys.iter().any(|key| key.budget.is_limited()),
        keys,
        extra_headers: {
            let mut extra: Vec<String> = provider.headers.iter().map(|(name, _)| name.clone()).collect();
            if matches!(provider.kind, ProviderType::Claude | ProviderType::Vertex) {
                extra.push("anthropic-version".to_owned());
            }
            extra
        },
        default_model: provider.model.clone(),
        // Mistral always ends a stream with its usage and refuses parameters it does not know.
        ask_usage: provider.kind != ProviderType::Mistral
            && provider.api_version.as_ref().is_none_or(ApiVersion::asks_usage),
        has_deployments: provider.api_version.as_ref().is_some_and(ApiVersion::is_dated),
        wants_token: account.is_some(),
        account,
        lists_models: provider.kind != ProviderType::Bedrock,
        prices: Prices::new(provider.kind, &provider.pricing),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ProcessEnv, load_str};
    use super::*;

    fn snapshot() -> Snapshot {
        let text = "
llm_providers:
  - {id: openai, type: openai, api_keys: [sk-aaaaaaaaaaaaaaaaaaaa, sk-bbbbbbbbbbbbbbbbbbbb], model: gpt-4o, models: [gpt-4o-mini]}
  - {id: mist, type: mistral, api_keys: [sk-m]}
  - {id: local, type: custom, base_url: 'http://127.0.0.1:1/v1', api_keys: [x], models: ['llama3:8b']}
  - {id: co, type: cohere, api_keys: [x]}
  - {id: pa, type: voyage, api_keys: [x]}
api_keys:
  - {id: all, key: client-key-all, allowed_providers: ['*']}
  - {id: one, key: client-key-one, allowed_providers: [mist]}
model_aliases: {fast: 'openai:gpt-4o-mini', 'a:b': 'local:x:y'}
";
        let loaded = load_str("test.yaml", text, &ProcessEnv).unwrap_or_else(|failed| panic!("{failed}"));
        Snapshot::new(&loaded.config, 2)
    }

    #[test]
    fn names_resolve_as_documented() {
        let snapshot = snapshot();
        for (name, want) in [
            ("openai:gpt-4o", Some((0, "gpt-4o"))),
            ("openai:ft:gpt-4o:org", Some((0, "ft:gpt-4o:org"))),
            ("openai", Some((0, "gpt-4o"))),
            ("openai:", Some((0, "gpt-4o"))),
            ("mist", None),
            ("fast", Some((0, "gpt-4o-mini"))),
            ("a:b", Some((2, "x:y"))),
            ("gpt-4o-mini", Some((0, "gpt-4o-mini"))),
            ("gpt-5-unlisted", Some((0, "gpt-5-unlisted"))),
            ("mistral-large-latest", Some((1, "mistral-large-latest"))),
            ("llama3:8b", Some((2, "llama3:8b"))),
            ("rerank-v3.5", Some((3, "rerank-v3.5"))),
            ("rerank-2.5-lite", Some((4, "rerank-2.5-lite"))),
            ("nobody-serves-this", None),
            ("claude-sonnet-4", None),
        ] {
            assert_eq!(snapshot.resolve(name), want, "{name}");
        }
    }

    #[test]
    fn clients_are_found_by_their_whole_key_only() {
        let snapshot = snapshot();
        assert_eq!(snapshot.client(b"client-key-all"), Some(0));
        for wrong in [&b""[..], b"client-key-al", b"client-key-all ", b"CLIENT-KEY-ALL"] {
            assert_eq!(snapshot.client(wrong), None);
        }
        let one = &snapshot.clients[snapshot.client(b"client-key-one").unwrap()];
        assert!(one.may_use(1) && !one.may_use(0) && !one.may_use(99));
    }

    #[test]
    fn prepared_heads_carry_the_key_and_debug_does_not() {
        let snapshot = snapshot();
        let key = &snapshot.providers[0].keys[1];
        let head = String::from_utf8(key.embeddings_head().to_vec()).unwrap();
        assert!(head.starts_with("POST /v1/embeddings HTTP/1.1\r\nhost: api.openai.com\r\n"), "{head}");
        assert!(head.contains("authorization: Bearer sk-bbbbbbbbbbbbbbbbbbbb\r\n"));
        let get = String::from_utf8(key.get_head_at("/predictions/1")).unwrap();
        assert!(get.starts_with("GET /v1/predictions/1 HTTP/1.1\r\nhost: api.openai.com\r\n"), "{get}");
        assert!(!get.contains("content-type"), "{get}");
        assert!(!format!("{snapshot:?}").contains("bbbbbbbb"));
        assert!(!format!("{snapshot:?}").contains("client-key"));
    }

    #[test]
    fn of_a_key_that_signs_only_a_part_of_its_id_is_shown() {
        let text = "
llm_providers: [{id: aws, type: bedrock, region: us-east-1, api_keys: ['AKIAIOSFODNN7EXAMPLE:the-secret-part:the-token']}]
";
        let loaded = load_str("test.yaml", text, &ProcessEnv).unwrap_or_else(|failed| panic!("{failed}"));
        let snapshot = Snapshot::new(&loaded.config, 1);
        let key = &snapshot.providers[0].keys[0];
        assert_eq!(key.masked, "AKI...MPLE");
        assert!(!String::from_utf8(key.head_at("/x")).unwrap().contains("the-"));
        let shown = format!("{snapshot:?}{:?}", key.access_key);
        assert!(!shown.contains("secret") && !shown.contains("the-token"), "{shown}");
    }
}
