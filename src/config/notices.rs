//! What was asked for and is not built yet. When a feature is built, its row here goes.

use std::fmt;

use super::base_url::Scheme;
use super::schema::Config;
use super::yaml::{Node, Value};

/// Something worth knowing at start that is not wrong: told once, never an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The key, as in `policy.cache`.
    pub path: String,
    /// Line of the key in the file, from 1; 0 when there is none.
    pub line: usize,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "note: {}", self.message)?;
        if self.line > 0 {
            write!(f, " (line {})", self.line)?;
        }
        Ok(())
    }
}

/// When a row applies, given that its key is set.
enum When {
    Always,
    /// Not if the value is one of these: what they ask for is what happens anyway.
    Unless(&'static [&'static str]),
    /// Not if the section says `enabled: false`.
    Enabled,
    /// Not if the section is of this `type`, which is built.
    UnlessType(&'static str),
}
use When::{Always, Enabled, Unless, UnlessType};

/// Keys accepted but not built: (path, when, what happens instead). `[]` is any item.
#[rustfmt::skip]
const NOT_BUILT: &[(&str, When, &str)] = &[
    ("server.admin_api_key",        Always,  "there is no admin API"),
    ("server.cors",                 Enabled, "no CORS headers are sent"),
    ("server.webui",                Enabled, "there is no web UI"),
    ("storage.config",              Always,  "the configuration is read from its file only"),
    ("storage.runtime",             UnlessType("redis"), "usage is not kept after a restart"),
    ("logging.providers",           Unless(&[""]), "logs go to `logging.access` only"),
    ("policy.cache",                Enabled, "no response is cached"),
    ("cache.semantic",              Enabled, "no response is cached"),
    ("http.version",                Unless(&["1", "1.1"]), "providers are spoken to in HTTP/1.1"),
    ("http.max_concurrent_streams", Always,  "providers are spoken to in HTTP/1.1"),
    ("http.header_compression",     Always,  "providers are spoken to in HTTP/1.1"),
];

/// Keys that will never mean anything here: (path, why).
const IGNORED: &[(&str, &str)] = &[(
    "server.worker_pool_size",
    "`server.worker_pool_size` is ignored: there is no pool, each of `worker_threads` runs alone",
)];

/// All notices of a configuration, in the order of the table, then of the providers.
pub(super) fn collect(root: &Node, config: &Config) -> Vec<Notice> {
    let mut out = Vec::new();
    for (path, when, instead) in NOT_BUILT {
        if let Some((node, line)) = first_set(root, path)
            && applies(when, node)
        {
            let message = format!("`{path}` is accepted but not built yet: {instead}");
            out.push(notice(path, line, message));
        }
    }
    for (path, message) in IGNORED {
        if let Some((_, line)) = first_set(root, path) {
            out.push(notice(path, line, (*message).to_owned()));
        }
    }
    for provider in config.providers.iter().filter(|provider| provider.enabled) {
        let id = &provider.id;
        if provider.base_url.scheme == Scheme::Http {
            let url = &provider.base_url;
            let message = format!(
                "provider `{id}` is reached over plain HTTP ({url}): keys and prompts travel unencrypted"
            );
            out.push(notice("llm_providers", 0, message));
        }
        if let Some(url) = provider.stream_url.as_ref().filter(|url| url.scheme == Scheme::Http) {
            let message = format!(
                "streams of provider `{id}` are read over plain HTTP ({url}): answers travel unencrypted"
            );
            out.push(notice("llm_providers", 0, message));
        }
    }
    if config.clients.is_empty() {
        let message = "no client key is set in `api_keys`: every request will be refused";
        out.push(notice("api_keys", 0, message.to_owned()));
    }
    out
}

fn notice(path: &str, line: usize, message: String) -> Notice {
    let path = path.to_owned();
    Notice { path, line, message }
}

/// The first value set at a path of the table, with its line.
fn first_set<'a>(node: &'a Node, path: &str) -> Option<(&'a Node, usize)> {
    let (step, rest) = match path.split_once('.') {
        Some((step, rest)) => (step, Some(rest)),
        None => (path, None),
    };
    let (key, each) = match step.strip_suffix("[]") {
        Some(key) => (key, true),
        None => (step, false),
    };
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    if entry.value.is_null() {
        return None;
    }
    match (rest, &entry.value.value) {
        (None, _) => Some((&entry.value, entry.key_at.line)),
        (Some(rest), Value::List(items)) if each => items.iter().find_map(|item| first_set(item, rest)),
        (Some(rest), _) => first_set(&entry.value, rest),
    }
}

fn applies(when: &When, node: &Node) -> bool {
    let is_word = |node: &Node, words: &[&str]| match &node.value {
        Value::Scalar(scalar) => words.contains(&scalar.text.to_ascii_lowercase().as_str()),
        Value::List(items) => items.is_empty() && words.contains(&""),
        Value::Map(_) => false,
    };
    let says = |key: &str, words: &[&str]| match &node.value {
        Value::Map(entries) => entries.iter().any(|e| e.key == key && is_word(&e.value, words)),
        _ => false,
    };
    match when {
        Always => true,
        Unless(words) => !is_word(node, words),
        Enabled => !says("enabled", &["false", "no", "off"]),
        UnlessType(built) => !says("type", &[built]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::KEYS;

    #[test]
    fn every_row_names_a_known_key() {
        let paths = NOT_BUILT.iter().map(|(path, _, _)| *path);
        for path in paths.chain(IGNORED.iter().map(|(path, _)| *path)) {
            let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
            let known = KEYS.iter().any(|(row, keys)| *row == parent && keys.contains(&key));
            assert!(known, "{path}");
        }
    }
}
