//! Sections `api_keys` and `model_aliases`: who may call, and by which names.

use super::{header_secret, id, limits};
use crate::config::Urgency;
use crate::config::field::Section;
use crate::config::limits::MAX_TARGETS;
use crate::config::schema::{Allowed, Client};
use crate::config::validate::Names;

pub(super) fn clients<'a>(root: &Section<'a>, names: &mut Names<'a>) -> Vec<Client> {
    let items = root.get("api_keys").map(|field| field.items());
    let mut out = Vec::new();
    for (index, item) in items.unwrap_or_default().iter().enumerate() {
        let Some(section) = item.section() else {
            continue;
        };
        out.extend(client(&section, index + 1, names));
    }
    out
}

fn client<'a>(section: &Section<'a>, number: usize, names: &mut Names<'a>) -> Option<Client> {
    let id = match section.get("id") {
        None => Some(format!("client-{number}")),
        Some(field) => {
            let id = id(&field);
            if let Some(id) = &id {
                names.client(field, id.clone());
            }
            id
        }
    };
    let allowed = allowed(section, names);
    let description = section.text("description");
    let urgency = section.choice("priority", &Urgency::CHOICES).unwrap_or_default();
    let limits = limits::of_client(&section.section("limits"));
    let Some(field) = section.get("key") else {
        section.missing("key", Some("the bearer key this client sends".to_owned()));
        return None;
    };
    let secret = field.secret()?;
    names.client_key(field.clone(), secret.clone());
    let key = header_secret(Some((field, secret)))?;
    Some(Client { key, id: id?, allowed, description, limits, urgency })
}

fn allowed<'a>(section: &Section<'a>, names: &mut Names<'a>) -> Allowed {
    let Some(field) = section.get("allowed_providers") else {
        return Allowed::All;
    };
    let items = field.texts();
    if field.is_empty_list() {
        let help = "name providers, or write [\"*\"] for all".to_owned();
        field.error("this client could reach no provider", Some(help));
    }
    if items.iter().any(|(_, name)| name == "*") {
        return Allowed::All;
    }
    let mut ids = Vec::new();
    for (item, name) in items {
        names.uses(item, name.clone());
        ids.push(name);
    }
    Allowed::Only(ids)
}

/// `alias: provider_id:model`, or a list of such targets, split at the first colon: a model's name may hold more
/// of them.
pub(super) fn aliases<'a>(root: &Section<'a>, names: &mut Names<'a>) -> Vec<(String, Vec<(String, String)>)> {
    let mut out = Vec::new();
    for (alias, field) in root.section("model_aliases").entries() {
        if alias.is_empty() {
            field.error("an alias needs a name", None);
        }
        let items = if field.is_list() { field.items() } else { vec![field.clone()] };
        if items.is_empty() || items.len() > MAX_TARGETS {
            field.error(format!("expected 1 to {MAX_TARGETS} targets"), None);
        }
        let mut targets: Vec<(String, String)> = Vec::new();
        for item in items {
            let target = item.parse("a text", |text| match text.split_once(':') {
                Some((provider, model)) if !provider.is_empty() && !model.is_empty() => {
                    Ok((provider.to_owned(), model.to_owned()))
                }
                _ => Err("expected provider_id:model"),
            });
            let Some(target) = target else { continue };
            if targets.contains(&target) {
                item.warn("a target is listed twice", None);
            } else {
                names.uses(item, target.0.clone());
                targets.push(target);
            }
        }
        if !targets.is_empty() {
            out.push((alias.to_owned(), targets));
        }
    }
    out
}
