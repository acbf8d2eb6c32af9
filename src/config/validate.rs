//! What no single key can tell: names that must be unique, and names that must name something.

use std::collections::HashMap;

use super::field::Field;
use super::secret::Secret;
use super::suggest;

/// The names met while reading, each with its place.
#[derive(Default)]
pub(super) struct Names<'a> {
    /// Provider ids, and whether each is enabled.
    providers: Vec<(Field<'a>, String, bool)>,
    clients: Vec<(Field<'a>, String)>,
    client_keys: Vec<(Field<'a>, Secret)>,
    /// Places where a provider is named.
    uses: Vec<(Field<'a>, String)>,
}

impl<'a> Names<'a> {
    pub(super) fn provider(&mut self, field: Field<'a>, id: String, enabled: bool) {
        self.providers.push((field, id, enabled));
    }

    pub(super) fn client(&mut self, field: Field<'a>, id: String) {
        self.clients.push((field, id));
    }

    pub(super) fn client_key(&mut self, field: Field<'a>, key: Secret) {
        self.client_keys.push((field, key));
    }

    pub(super) fn uses(&mut self, field: Field<'a>, provider: String) {
        self.uses.push((field, provider));
    }

    /// Reports what does not fit together.
    pub(super) fn check(&self) {
        let providers = self.providers.iter().map(|(field, id, _)| (field, id.as_str()));
        unique(providers, |id, first| format!("the provider id `{id}` is taken by {first}"));
        let clients = self.clients.iter().map(|(field, id)| (field, id.as_str()));
        unique(clients, |id, first| format!("the client id `{id}` is taken by {first}"));
        let keys = self.client_keys.iter().map(|(field, key)| (field, key.expose()));
        unique(keys, |_, first| format!("the same key as {first}: a key belongs to one client"));
        self.check_uses();
    }

    fn check_uses(&self) {
        let known: HashMap<&str, bool> =
            self.providers.iter().map(|(_, id, enabled)| (id.as_str(), *enabled)).collect();
        let ids: Vec<&str> = self.providers.iter().map(|(_, id, _)| id.as_str()).collect();
        for (field, name) in &self.uses {
            match known.get(name.as_str()) {
                Some(true) => {}
                Some(false) => field.warn(format!("the provider `{name}` is disabled"), None),
                None => {
                    let near = suggest::closest(name, ids.iter().copied());
                    let help = match near {
                        Some(near) => Some(format!("did you mean `{near}`?")),
                        None if (1..=10).contains(&ids.len()) => {
                            Some(format!("the providers are: {}", ids.join(", ")))
                        }
                        None => None,
                    };
                    let named = field.quoted_part(name);
                    field.error(format!("no provider has the id {named}"), help);
                }
            }
        }
    }
}

/// Reports every name that was met before.
fn unique<'a: 'b, 'b>(
    names: impl Iterator<Item = (&'b Field<'a>, &'b str)>,
    message: impl Fn(&str, &str) -> String,
) {
    let mut first: HashMap<&str, &Field<'a>> = HashMap::new();
    for (field, name) in names {
        match first.get(name) {
            Some(earlier) => field.error(message(name, earlier.path()), None),
            None => {
                first.insert(name, field);
            }
        }
    }
}
