//! What tokens cost: the configuration's word before that of the table of models.

use std::collections::HashMap;

use super::models::{self, Model};
use super::money::{MicroUsd, MicroUsdPerMillion};
use super::provider::{Pricing, ProviderType};

/// Prices of one kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// For tokens sent.
    pub input: MicroUsdPerMillion,
    /// For those of them that came from the provider's prompt cache.
    pub cached_input: MicroUsdPerMillion,
    /// For those of them that were written to it.
    pub cache_write: MicroUsdPerMillion,
    /// For tokens received.
    pub output: MicroUsdPerMillion,
    /// For a minute of sound, of which a provider counts the seconds and no tokens.
    pub audio_minute: MicroUsd,
    /// For a search, which is what Cohere counts of reranking.
    pub search: MicroUsd,
}

/// Prices as somebody gives them, who need not give all.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // as in `Rates`
pub struct Given {
    pub input: Option<MicroUsdPerMillion>,
    pub cached_input: Option<MicroUsdPerMillion>,
    pub cache_write: Option<MicroUsdPerMillion>,
    pub output: Option<MicroUsdPerMillion>,
    pub audio_minute: Option<MicroUsd>,
    pub search: Option<MicroUsd>,
}

impl Given {
    /// Whether none is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let tokens = self.input.or(self.cached_input).or(self.cache_write).or(self.output);
        tokens.is_none() && self.audio_minute.or(self.search).is_none()
    }

    /// What it costs then: cached tokens and those written as others do where nothing is said of them.
    #[must_use]
    pub fn rates(self) -> Rates {
        let input = self.input.unwrap_or_default();
        Rates {
            input,
            cached_input: self.cached_input.unwrap_or(input),
            cache_write: self.cache_write.unwrap_or(input),
            output: self.output.unwrap_or_default(),
            audio_minute: self.audio_minute.unwrap_or_default(),
            search: self.search.unwrap_or_default(),
        }
    }
}

/// What a model costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Usually.
    pub usual: Rates,
    /// With a prompt of more than so many tokens.
    pub above: Option<(u64, Rates)>,
}

impl Price {
    /// The prices of a request whose prompt has so many tokens.
    #[must_use]
    pub fn at(&self, prompt_tokens: u64) -> &Rates {
        match &self.above {
            Some((tokens, rates)) if prompt_tokens > *tokens => rates,
            _ => &self.usual,
        }
    }
}

impl From<Rates> for Price {
    fn from(usual: Rates) -> Self {
        Self { usual, above: None }
    }
}

/// Things by the names of models, of which some stand for dated names too. A look-up hashes the name at most twice.
#[derive(Clone, Debug)]
pub struct Names<T> {
    exact: HashMap<String, T>,
    /// By the name without its date.
    dated: HashMap<String, T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), dated: HashMap::new() }
    }
}

impl<T> Names<T> {
    /// Adds one; a `*` at the end of the name makes it stand for dated names too. False where it is there already.
    pub(super) fn add(&mut self, name: &str, thing: T) -> bool {
        let (names, name) = match name.strip_suffix('*') {
            Some(name) => (&mut self.dated, name),
            None => (&mut self.exact, name),
        };
        names.insert(name.to_owned(), thing).is_none()
    }

    /// What is known by this name: exactly, or else without its date.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        if let Some(thing) = self.exact.get(name) {
            return Some(thing);
        }
        if self.dated.is_empty() {
            return None;
        }
        self.dated.get(name).or_else(|| self.dated.get(undated(name)?))
    }

    /// Adds all of others, under their names.
    pub(super) fn extend(&mut self, others: Option<&Self>)
    where
        T: Clone,
    {
        if let Some(others) = others {
            self.exact.extend(others.exact.iter().map(|(name, thing)| (name.clone(), thing.clone())));
            self.dated.extend(others.dated.iter().map(|(name, thing)| (name.clone(), thing.clone())));
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.dated.is_empty()
    }
}

/// A model's name without the date or `-latest` at its end; `None` where there is none.
fn undated(name: &str) -> Option<&str> {
    /// A 0 stands for any digit. As OpenAI, Anthropic, Vertex, Mistral and older OpenAI, and Gemini write it.
    const ENDINGS: [&[u8]; 6] = [b"-0000-00-00", b"-00000000", b"@00000000", b"-0000", b"-000", b"-latest"];
    let is_digit_or =
        |want: &u8, found: &u8| if *want == b'0' { found.is_ascii_digit() } else { want == found };
    ENDINGS.iter().find_map(|ending| {
        let (name, found) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
        ending.iter().zip(found.as_bytes()).all(|(want, found)| is_digit_or(want, found)).then_some(name)
    })
}

/// The prices of one provider.
#[derive(Clone, Debug)]
pub struct Prices {
    /// Those the configuration gives to models.
    own: Names<Rates>,
    /// That which it gives to all others.
    all: Option<Rates>,
    /// What the table knows of this type's models.
    known: &'static Names<Model>,
}

impl Prices {
    pub(super) fn new(kind: ProviderType, pricing: &Pricing) -> Self {
        let mut own = Names::default();
        for (name, rates) in &pricing.models {
            own.add(name, *rates);
        }
        Self { own, all: pricing.all, known: models::of(kind) }
    }

    /// What a model costs: as the configuration says of it, else of the provider, else as the table says.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<Price> {
        if !self.own.is_empty()
            && let Some(rates) = self.own.get(model)
        {
            return Some((*rates).into());
        }
        if let Some(rates) = self.all {
            return Some(rates.into());
        }
        self.known.get(model).map(|model| model.price)
    }

    /// What is known of a model.
    #[must_use]
    pub fn about(&self, model: &str) -> Option<&'static Model> {
        self.known.get(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(input: u64) -> Rates {
        Rates { input: MicroUsdPerMillion(input), ..Rates::default() }
    }

    #[test]
    fn a_date_is_no_part_of_a_name() {
        for (name, want) in [
            ("gpt-4o-2024-08-06", Some("gpt-4o")),
            ("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5")),
            ("claude-sonnet-4-5@20250929", Some("claude-sonnet-4-5")),
            ("gpt-4-0613", Some("gpt-4")),
            ("gemini-2.0-flash-001", Some("gemini-2.0-flash")),
            ("claude-3-5-haiku-latest", Some("claude-3-5-haiku")),
            ("gpt-4o-mini", None),
            ("claude-sonnet-4-5", None),
            ("é-é", None),
            ("", None),
        ] {
            assert_eq!(undated(name), want, "{name}");
        }
    }

    #[test]
    fn the_exact_name_wins_and_a_star_covers_dates_only() {
        let mut names = Names::default();
        for (name, thing) in [("m*", 1), ("m-2024-05-13", 2), ("n", 3)] {
            assert!(names.add(name, thing));
        }
        assert!(!names.add("n", 4));
        for (name, want) in [
            ("m", Some(1)),
            ("m-2024-08-06", Some(1)),
            ("m-2024-05-13", Some(2)),
            ("n", Some(4)),
            ("m-mini", None),
            ("n-2024-08-06", None),
            ("m*", None),
        ] {
            assert_eq!(names.get(name).copied(), want, "{name}");
        }
    }

    #[test]
    fn the_configuration_wins_over_the_table() {
        let table = Prices::new(ProviderType::OpenAi, &Pricing::default());
        let mini = table.of("gpt-4o-mini-2024-07-18").unwrap_or_default().usual;
        assert_eq!((mini.input.0, mini.cached_input.0, mini.output.0), (150_000, 75_000, 600_000));
        assert_eq!(table.of("nobody-knows"), None);
        assert_eq!(Prices::new(ProviderType::Custom, &Pricing::default()).of("gpt-4o-mini"), None);

        let models = vec![("gpt-4o-mini*".to_owned(), rates(1)), ("mine".to_owned(), rates(2))];
        let some = Prices::new(ProviderType::OpenAi, &Pricing { all: None, models: models.clone() });
        let of = |prices: &Prices, model| prices.of(model).map(|price| price.usual.input.0);
        assert_eq!(of(&some, "gpt-4o-mini-2024-07-18"), Some(1));
        assert_eq!((of(&some, "mine"), of(&some, "gpt-4o")), (Some(2), Some(2_500_000)));
        let all = Prices::new(ProviderType::OpenAi, &Pricing { all: Some(rates(3)), models });
        assert_eq!((of(&all, "mine"), of(&all, "gpt-4o"), of(&all, "nobody")), (Some(2), Some(3), Some(3)));
    }

    #[test]
    fn long_prompts_may_cost_more() {
        let price = Price { usual: rates(1), above: Some((100, rates(2))) };
        assert_eq!((price.at(100).input.0, price.at(101).input.0), (1, 2));
    }
}
