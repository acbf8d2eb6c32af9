//! Section `llm_providers`.

use std::net::{IpAddr, SocketAddr};

use super::{header_secret, headers, id, limits, places};
use crate::config::aws;
use crate::config::base_url::BaseUrl;
use crate::config::field::{Field, Section};
use crate::config::limits::MAX_PRICE_USD;
use crate::config::limits::*;
use crate::config::money::{MicroUsd, MicroUsdPerMillion};
use crate::config::prices::{Given, Rates};
use crate::config::provider::{OTHER_NAMES, Pricing, Provider, ProviderType};
use crate::config::secret::Secret;
use crate::config::suggest;
use crate::config::validate::Names;

/// Headers a provider entry must not set: the gateway writes them for every request.
const REFUSED_HEADERS: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "openai-organization",
];

pub(super) fn read<'a>(root: &Section<'a>, names: &mut Names<'a>) -> Vec<Provider> {
    let Some(field) = root.get("llm_providers") else {
        let help = "llm_providers: [{id: openai, type: openai, api_keys: [\"${OPENAI_API_KEY}\"]}]";
        root.missing("llm_providers", Some(help.to_owned()));
        return Vec::new();
    };
    let items = field.items();
    if field.is_empty_list() {
        field.error("at least one provider is required", None);
    }
    let sections = items.iter().filter_map(|item| item.section());
    sections.filter_map(|section| provider(&section, names)).collect()
}

/// Reads one entry; `None` when a part without a default is missing or wrong.
fn provider<'a>(section: &Section<'a>, names: &mut Names<'a>) -> Option<Provider> {
    let enabled = section.truth("enabled", true);
    let id = provider_id(section, enabled, names);
    let kind = kind(section, id.as_deref());
    let api_version = kind.and_then(|kind| places::api_version(section, kind));
    let vertex = kind.and_then(|kind| places::vertex(section, kind, enabled));
    let region = kind.and_then(|kind| region(section, kind));
    let of_region = region.as_deref().map(aws::bedrock_root);
    let base_url = kind.and_then(|kind| match (kind, &vertex) {
        (ProviderType::Azure, _) => places::azure_url(section, api_version.as_ref()),
        (ProviderType::Bedrock, _) => base_url(section, kind, of_region.as_deref()),
        (_, Some(vertex)) => base_url(section, kind, Some(&vertex.root())),
        _ => base_url(section, kind, kind.default_base_url()),
    });
    let stream_url = kind.and_then(|kind| stream_url(section, kind));
    let addresses = base_url.as_ref().map(|url| addresses(section, url.port)).unwrap_or_default();
    let model = section.get("model").and_then(|field| model_name(&field));
    let models = models(section, model.as_deref());
    let organization = section.get("organization").and_then(|field| {
        field.parse("a text", |text| {
            let visible = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            let wrong = "an organization is visible ASCII without spaces";
            visible.then(|| text.to_owned()).ok_or(wrong)
        })
    });
    let has_account = kind == Some(ProviderType::Vertex) && section.get("credentials").is_some();
    let api_keys = if enabled && !has_account { api_keys(section, kind) } else { Vec::new() };
    let headers = headers(&section.section("headers"), &REFUSED_HEADERS, MAX_EXTRA_HEADERS);
    let pricing = pricing(&section.section("pricing"));
    let limits = limits::of_key(&section.section("limits"));
    let provider = Provider {
        id: id?,
        name: section.text("name"),
        kind: kind?,
        enabled,
        api_keys,
        base_url: base_url?,
        stream_url,
        api_version,
        vertex,
        addresses,
        model,
        models,
        headers,
        organization,
        region,
        pricing,
        limits,
    };
    if let Some(wrong) = provider.api_keys.iter().find_map(|key| provider.access_key(key).err())
        && let Some(field) = section.get("api_keys")
    {
        field.error(wrong, None);
    }
    Some(provider)
}

/// Where its streams are, where it has them at another host.
fn stream_url(section: &Section<'_>, kind: ProviderType) -> Option<BaseUrl> {
    let read = |text: &str| BaseUrl::parse(text, "");
    match (section.get("stream_base_url"), kind.default_stream_url()) {
        (Some(field), Some(_)) => field.parse("a URL", read),
        (Some(field), None) => {
            let means_nothing =
                format!("`stream_base_url` means nothing to type {}: it is ignored", kind.name());
            field.on_key().warn(means_nothing, None);
            None
        }
        (None, root) => read(root?).ok(),
    }
}

fn region(section: &Section<'_>, kind: ProviderType) -> Option<String> {
    let field = section.get("region")?;
    if kind != ProviderType::Bedrock {
        field.on_key().warn(format!("`region` means nothing to type {}: it is ignored", kind.name()), None);
        return None;
    }
    field.parse("a region", |text| {
        aws::is_region(text).then(|| text.to_owned()).ok_or("a region is a name such as us-east-1")
    })
}

fn provider_id<'a>(section: &Section<'a>, enabled: bool, names: &mut Names<'a>) -> Option<String> {
    let Some(field) = section.get("id") else {
        let help = "a name of your choice, used as in `openai:gpt-4o`";
        section.missing("id", Some(help.to_owned()));
        return None;
    };
    let id = id(&field)?;
    names.provider(field, id.clone(), enabled);
    Some(id)
}

fn kind(section: &Section<'_>, id: Option<&str>) -> Option<ProviderType> {
    let choices = ProviderType::choices();
    let Some(field) = section.get("type") else {
        let known = choices.iter().find(|(name, _)| Some(*name) == id);
        let help = known.map_or(
            "for any server that speaks the OpenAI format: `type: custom`".to_owned(),
            |(name, _)| format!("add `type: {name}`"),
        );
        section.missing("type", Some(help));
        return None;
    };
    let text = field.text()?;
    if let Some((_, kind)) = choices.iter().find(|(name, _)| *name == text) {
        return Some(*kind);
    }
    let names = choices.map(|(name, _)| name);
    let lower = text.to_ascii_lowercase();
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == lower);
    let near = other.map(|(_, name)| *name).or_else(|| suggest::closest(&text, names));
    let help = near.map(|name| format!("did you mean `{name}`?"));
    let message = format!("{} is not one of: {}", field.quoted(), names.join(", "));
    field.error(message, help);
    None
}

fn base_url(section: &Section<'_>, kind: ProviderType, root: Option<&str>) -> Option<BaseUrl> {
    let read = |text: &str| BaseUrl::parse(text, kind.default_path());
    match (section.get("base_url"), root) {
        (Some(field), _) => field.parse("a URL", read),
        (None, Some(root)) => read(root).ok(),
        (None, None) if kind == ProviderType::Bedrock => {
            // What is wrong with one that is there has been said.
            if section.get("region").is_none() {
                section.missing("region", Some("such as region: us-east-1".to_owned()));
            }
            None
        }
        (None, None) => {
            let help = "such as base_url: http://127.0.0.1:8000/v1";
            section.missing("base_url", Some(help.to_owned()));
            None
        }
    }
}

/// Addresses, each once; those without a port get that of the URL.
fn addresses(section: &Section<'_>, port: u16) -> Vec<SocketAddr> {
    let mut out = Vec::new();
    for (item, text) in section.get("addresses").map(|field| field.texts()).unwrap_or_default() {
        let read = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, port)));
        match read {
            Ok(address) if address.port() == 0 => item.error("port 0 is no port to connect to", None),
            Ok(address) if !out.contains(&address) => out.push(address),
            Ok(_) => {}
            Err(_) => {
                let help = "such as 192.0.2.1, 192.0.2.1:8000 or [2001:db8::1]:8000".to_owned();
                item.error(format!("{} is not an address", item.quoted()), Some(help));
            }
        }
    }
    if out.len() > MAX_ADDRESSES
        && let Some(field) = section.get("addresses")
    {
        field.error(format!("at most {MAX_ADDRESSES} addresses"), None);
    }
    out
}

fn api_keys(section: &Section<'_>, kind: Option<ProviderType>) -> Vec<Secret> {
    let Some(field) = section.get("api_keys") else {
        let help = match kind {
            Some(ProviderType::Vertex) => "or the JSON of a service account: credentials: account.json",
            _ => "for a server that asks for no key, any word will do: api_keys: [none]",
        };
        section.missing("api_keys", Some(help.to_owned()));
        return Vec::new();
    };
    let found = field.secrets();
    if field.is_empty_list() {
        field.error("at least one key is required", None);
    } else if found.len() > MAX_KEYS_PER_PROVIDER as usize {
        field.error(format!("at most {MAX_KEYS_PER_PROVIDER} keys"), None);
        return Vec::new();
    }
    let mut places: std::collections::HashMap<String, String> = Default::default();
    let mut keys = Vec::new();
    for (item, secret) in found {
        let path = item.path().to_owned();
        if let Some(first) = places.get(secret.expose()) {
            item.warn(format!("the same key as {first}"), None);
        } else {
            places.insert(secret.expose().to_owned(), path);
        }
        keys.extend(header_secret(Some((item, secret))));
    }
    keys
}

fn model_name(field: &Field<'_>) -> Option<String> {
    field.parse("a model name", |text| {
        let clean = !text.is_empty() && !text.chars().any(|c| c.is_control() || c == ' ');
        clean.then(|| text.to_owned()).ok_or("a model name has no spaces")
    })
}

/// `models`, with `model` first.
fn models(section: &Section<'_>, model: Option<&str>) -> Vec<String> {
    let mut out: Vec<String> = model.map(str::to_owned).into_iter().collect();
    let listed = section.get("models").map(|field| field.texts());
    for (item, name) in listed.unwrap_or_default() {
        if name.is_empty() || name.chars().any(|c| c.is_control() || c == ' ') {
            item.error("a model name has no spaces", None);
        } else if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// The keys of prices, of which the first is the one to suggest.
const PRICES: [&str; 6] = [
    "input_token_cost",
    "cached_input_token_cost",
    "cache_write_token_cost",
    "output_token_cost",
    "audio_minute_cost",
    "search_cost",
];

fn pricing(section: &Section<'_>) -> Pricing {
    section.choice("currency", &[("USD", ()), ("usd", ())]);
    let mut models = Vec::new();
    for (name, field) in section.section("models").entries() {
        let Some(of_model) = field.section() else { continue };
        if PRICES.iter().all(|key| of_model.get(key).is_none()) {
            field.on_key().error("no price is given", Some(format!("such as {}: 0.15", PRICES[0])));
        } else if let Some(rates) = rates(&of_model) {
            models.push((name.to_owned(), rates));
        }
    }
    Pricing { all: rates(section), models }
}

/// Prices; `None` where there is none.
fn rates(section: &Section<'_>) -> Option<Rates> {
    let price = |key: &str| section.get(key)?.micro_units(MAX_PRICE_USD);
    let [input, cached_input, cache_write, output, audio_minute, search] = PRICES.map(price);
    let tokens = |micro: Option<u64>| micro.map(MicroUsdPerMillion);
    let given = Given {
        input: tokens(input),
        cached_input: tokens(cached_input),
        cache_write: tokens(cache_write),
        output: tokens(output),
        audio_minute: audio_minute.map(MicroUsd),
        search: search.map(MicroUsd),
    };
    (!given.is_empty()).then(|| given.rates())
}
