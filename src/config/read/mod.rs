//! The tree to the schema types, one file per section.
//!
//! Readers never stop: a value that cannot be read is reported and its default stands in, so
//! the result is complete but only meant to be used when nothing was reported.

mod clients;
mod limits;
mod logging;
mod places;
mod policy;
mod providers;
mod redis;
mod server;
mod storage;
mod upstream;

use super::field::{Field, Section};
use super::limits::MAX_ID_CHARS;
use super::load::Env;
use super::schema::Config;
use super::secret::Secret;
use super::validate::Names;

/// Reads the whole document.
pub(super) fn config<'a>(
    root: &Section<'a>,
    env: &dyn Env,
    outside: &mut Vec<(String, String)>,
    names: &mut Names<'a>,
) -> Config {
    version(root);
    let balancer = root.section("load_balancer").section("key_rotation");
    Config {
        server: server::read(&root.section("server"), env, outside),
        upstream: upstream::read(root),
        logging: logging::read(&root.section("logging")),
        storage: storage::read(&root.section("storage")),
        providers: providers::read(root, names),
        clients: clients::clients(root, names),
        aliases: clients::aliases(root, names),
        policy: policy::read(&root.section("policy"), names),
        key_rotation: policy::key_rotation(&balancer),
        semantic_cache: policy::semantic_cache(&root.section("cache").section("semantic")),
    }
}

fn version(root: &Section<'_>) {
    let Some(field) = root.get("version") else {
        return;
    };
    if let Some(version) = field.text()
        && !matches!(version.as_str(), "1" | "1.0")
    {
        let help = Some("this release reads version \"1.0\"".to_owned());
        field.warn(format!("unknown version {}", field.quoted()), help);
    }
}

/// A secret that is sent or received in a header: visible ASCII, no spaces.
fn header_secret(found: Option<(Field<'_>, Secret)>) -> Option<Secret> {
    let (field, secret) = found?;
    let bad = |c: char| !c.is_ascii_graphic();
    match secret.expose().chars().position(bad) {
        None => Some(secret),
        Some(position) => {
            let number = position + 1;
            field.error(
                format!("character {number} of this key cannot be sent in a header"),
                Some("a key is visible ASCII without spaces".to_owned()),
            );
            None
        }
    }
}

/// Reads `headers: {name: value}`; names become lower case.
fn headers(section: &Section<'_>, refused: &[&str], max: usize) -> Vec<(String, Secret)> {
    let entries = section.entries();
    if entries.len() > max {
        section.error(format!("at most {max} headers"), None);
    }
    let mut out: Vec<(String, Secret)> = Vec::new();
    for (name, field) in entries {
        let lower = name.to_ascii_lowercase();
        if !is_token(name) {
            field.error("this is not a header name", None);
        } else if refused.contains(&lower.as_str()) {
            field.error(format!("`{lower}` is set by the gateway"), None);
        } else if out.iter().any(|(seen, _)| *seen == lower) {
            field.error("this header is set twice (names ignore case)", None);
        } else if let Some(value) = field.secret() {
            let visible = |c: char| c == ' ' || c.is_ascii_graphic();
            if value.expose().chars().all(visible) && value.expose().trim() == value.expose() {
                out.push((lower, value));
            } else {
                field.error("a header's value is visible ASCII, without spaces at its ends", None);
            }
        }
    }
    out
}

/// Whether this is a header name (RFC 9110, token).
fn is_token(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(allowed)
}

/// An id: it is a label in metrics and part of `provider:model`.
fn id(field: &Field<'_>) -> Option<String> {
    let max = MAX_ID_CHARS;
    field.parse("an id", |text| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if text.is_empty() || text.len() > max || !text.bytes().all(allowed) {
            Err(format!("an id is 1 to {max} letters, digits, `.`, `_` or `-`"))
        } else {
            Ok(text.to_owned())
        }
    })
}
