//! Where a model's name leads: to targets among which the policy chooses, then to those to fall back to.

use std::collections::HashMap;

use super::{Fallback, Provider, snapshot::ProviderId};

/// A provider and its own name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The provider.
    pub provider: ProviderId,
    /// Its name of the model.
    pub model: String,
}

/// What a name means where that is more than one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Those to choose among, and then those to fall back to when none of the first can serve, in order.
    pub targets: Vec<Target>,
    /// How many of them are to choose among.
    pub choices: usize,
}

/// The routes of all names that have one.
#[derive(Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    by_name: HashMap<String, usize>,
}

impl Routes {
    /// Those of the `aliases`, and with `fallback` those of all models that several of the enabled `providers` list.
    pub(super) fn new(
        aliases: &[(String, Vec<(String, String)>)],
        providers: &[&Provider],
        fallback: &Fallback,
    ) -> Self {
        let mut this = Self::default();
        let id = |name: &str| providers.iter().position(|provider| provider.id == name);
        for (alias, targets) in aliases {
            let targets: Vec<Target> = targets
                .iter()
                .filter_map(|(provider, model)| {
                    Some(Target { provider: id(provider)?, model: model.clone() })
                })
                .collect();
            this.add(alias.clone(), targets, providers, fallback);
        }
        for (index, provider) in providers.iter().enumerate() {
            let one = |model: &String| vec![Target { provider: index, model: model.clone() }];
            for model in &provider.models {
                for name in [format!("{}:{model}", provider.id), model.clone()] {
                    this.add(name, one(model), providers, fallback);
                }
            }
            if let Some(model) = &provider.model {
                this.add(provider.id.clone(), one(model), providers, fallback);
            }
        }
        this
    }

    /// Adds what `name` means, unless it means something already or there is nothing to choose.
    fn add(&mut self, name: String, mut targets: Vec<Target>, providers: &[&Provider], fallback: &Fallback) {
        let choices = targets.len();
        if fallback.enabled {
            let others = others(&targets, providers, fallback);
            targets.extend(others);
        }
        if targets.len() > 1 && !self.by_name.contains_key(&name) {
            self.by_name.insert(name, self.routes.len());
            self.routes.push(Route { targets, choices });
        }
    }

    /// The route of `name`, with its number, where there is more than one target.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<(usize, &Route)> {
        let index = *self.by_name.get(name)?;
        Some((index, self.routes.get(index)?))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

/// Other providers that list one of the models, in the order that `fallback` gives, or that of the configuration.
fn others(targets: &[Target], providers: &[&Provider], fallback: &Fallback) -> Vec<Target> {
    let all = providers.iter().map(|provider| provider.id.as_str());
    let named = fallback.providers.iter().map(String::as_str);
    let order: Vec<&str> = if fallback.providers.is_empty() { all.collect() } else { named.collect() };
    let serves = |id: &str| {
        let (index, provider) = providers.iter().enumerate().find(|(_, provider)| provider.id == id)?;
        if targets.iter().any(|target| target.provider == index) {
            return None;
        }
        let listed = targets.iter().find(|target| provider.models.contains(&target.model))?;
        Some(Target { provider: index, model: listed.model.clone() })
    };
    order.into_iter().filter_map(serves).take(fallback.max_providers as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ProcessEnv, load_str, snapshot::Snapshot};

    fn snapshot(more: &str) -> Snapshot {
        let text = format!(
            "
llm_providers:
  - {{id: one, type: openai, api_keys: [k1], models: [m, only-one], model: m}}
  - {{id: two, type: custom, base_url: 'http://127.0.0.1:1/v1', api_keys: [k2], models: [m]}}
  - {{id: three, type: custom, base_url: 'http://127.0.0.1:2/v1', api_keys: [k3], models: [m, n]}}
  - {{id: off, type: openai, enabled: false, api_keys: [k4], models: [m]}}
api_keys: [{{id: c, key: client-key}}]
model_aliases: {{pair: ['one:m', 'three:n'], single: 'two:m'}}
{more}"
        );
        let loaded = load_str("test.yaml", &text, &ProcessEnv).unwrap_or_else(|failed| panic!("{failed}"));
        Snapshot::new(&loaded.config, 1)
    }

    /// The providers of the targets of `name`, and how many of them are choices.
    fn route(snapshot: &Snapshot, name: &str) -> Option<(Vec<usize>, usize)> {
        let (_, route) = snapshot.routes.get(name)?;
        Some((route.targets.iter().map(|target| target.provider).collect(), route.choices))
    }

    #[test]
    fn an_alias_may_have_several_targets() {
        let plain = snapshot("");
        assert_eq!(route(&plain, "pair"), Some((vec![0, 2], 2)));
        assert_eq!(plain.routes.get("pair").unwrap().1.targets[1].model, "n");
        for single in ["single", "m", "one:m", "one"] {
            assert_eq!(route(&plain, single), None, "{single}");
        }
    }

    #[test]
    fn with_fallback_others_that_list_the_model_come_after() {
        let all = snapshot("policy: {fallback: {enabled: true, max_providers: 5}}");
        assert_eq!(route(&all, "pair"), Some((vec![0, 2, 1], 2)));
        assert_eq!(route(&all, "single"), Some((vec![1, 0, 2], 1)));
        assert_eq!(route(&all, "one:m"), Some((vec![0, 1, 2], 1)));
        assert_eq!(route(&all, "three:m"), Some((vec![2, 0, 1], 1)));
        assert_eq!(route(&all, "m"), Some((vec![0, 1, 2], 1)));
        assert_eq!(route(&all, "one"), Some((vec![0, 1, 2], 1)));
        assert_eq!((route(&all, "one:only-one"), route(&all, "n")), (None, None));
        let few = snapshot("policy: {fallback: {enabled: true, max_providers: 1, providers: [three, two]}}");
        assert_eq!(route(&few, "one:m"), Some((vec![0, 2], 1)));
    }
}
