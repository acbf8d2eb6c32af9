//! The table of models that is compiled in: `models.toml`, which says how to update it.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, de::Error};

use super::money::{MicroUsd, MicroUsdPerMillion};
use super::prices::{Given, Names, Price};
use super::provider::ProviderType;

/// What is known of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Tokens of prompt and answer together.
    pub context: Option<u64>,
    /// Tokens of an answer, where that has a bound of its own.
    pub max_output: Option<u64>,
    /// What a prompt may hold.
    pub reads: Vec<Modality>,
    /// What an answer holds.
    pub writes: Vec<Modality>,
    /// What it costs.
    pub price: Price,
}

/// A kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names say it
pub enum Modality {
    Text,
    Image,
    File,
    Audio,
    Video,
    Embeddings,
    Scores,
}

impl Modality {
    /// Its name, as in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::File => "file",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Embeddings => "embeddings",
            Self::Scores => "scores",
        }
    }
}

/// The models of a type of provider, as the table has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// Where the provider tells its prices: for those who update the table.
    #[cfg_attr(not(test), allow(dead_code))]
    source: String,
    models: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    context: Option<u64>,
    max_output: Option<u64>,
    reads: Vec<Modality>,
    writes: Vec<Modality>,
    input: Option<Usd>,
    cached_input: Option<Usd>,
    cache_write: Option<Usd>,
    output: Option<Usd>,
    above: Option<Above>,
    audio_minute: Option<Usd>,
    thousand_searches: Option<Usd>,
    /// The part of the price that the provider's batch API asks. There is no such API here yet.
    #[cfg_attr(not(test), allow(dead_code))]
    batch: Option<f64>,
    #[cfg_attr(not(test), allow(dead_code))]
    as_of: toml::value::Datetime,
    #[serde(default)]
    #[allow(dead_code)]
    second_hand: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Above {
    tokens: u64,
    input: Usd,
    cached_input: Option<Usd>,
    cache_write: Option<Usd>,
    output: Option<Usd>,
}

/// Dollars with at most six decimals.
#[derive(Clone, Copy, Debug)]
struct Usd(u64);

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let micro = f64::deserialize(deserializer)? * 1e6;
        let whole = micro.round();
        if !(0.0..1e12).contains(&whole) || (micro - whole).abs() > 1e-3 {
            return Err(D::Error::custom("a price has at most six decimals"));
        }
        Ok(Self(whole as u64))
    }
}

struct Table {
    by_type: HashMap<ProviderType, Names<Model>>,
    none: Names<Model>,
}

const TEXT: &str = include_str!("models.toml");

// Nothing is wrong with it, as a test says.
static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(read(TEXT).unwrap_or_default()));

/// The models that are known of a type of provider.
#[must_use]
pub fn of(kind: ProviderType) -> &'static Names<Model> {
    // Others sell these models at the prices of those who make them.
    let kind = if kind == ProviderType::Azure { ProviderType::OpenAi } else { kind };
    TABLE.by_type.get(&kind).unwrap_or(&TABLE.none)
}

/// The most tokens of an answer of a model, where it is known.
#[must_use]
pub fn max_output_tokens(kind: ProviderType, model: &str) -> Option<u64> {
    of(kind).get(model)?.max_output
}

fn read(text: &str) -> Result<BTreeMap<String, Group>, toml::de::Error> {
    toml::from_str(text)
}

impl Table {
    fn new(groups: BTreeMap<String, Group>) -> Self {
        let mut by_type: HashMap<ProviderType, Names<Model>> = HashMap::new();
        for (kind, group) in groups {
            let Some((_, kind)) = ProviderType::choices().into_iter().find(|(name, _)| *name == kind) else {
                continue;
            };
            let names = by_type.entry(kind).or_default();
            for (name, entry) in group.models {
                names.add(&name, entry.model());
            }
        }
        // Vertex AI has Google's models and Anthropic's.
        let mut vertex = Names::default();
        for kind in [ProviderType::Gemini, ProviderType::Claude] {
            vertex.extend(by_type.get(&kind));
        }
        by_type.insert(ProviderType::Vertex, vertex);
        Self { by_type, none: Names::default() }
    }
}

impl Entry {
    fn model(self) -> Model {
        let tokens = |price: Option<Usd>| price.map(|Usd(micro)| MicroUsdPerMillion(micro));
        let usual = Given {
            input: tokens(self.input),
            cached_input: tokens(self.cached_input),
            cache_write: tokens(self.cache_write),
            output: tokens(self.output),
            audio_minute: self.audio_minute.map(|Usd(micro)| MicroUsd(micro)),
            search: self.thousand_searches.map(|Usd(micro)| MicroUsd(micro / 1000)),
        };
        let above = self.above.map(|above| {
            let given = Given {
                input: Some(MicroUsdPerMillion(above.input.0)),
                cached_input: tokens(above.cached_input),
                cache_write: tokens(above.cache_write),
                output: tokens(above.output),
                ..usual
            };
            (above.tokens, given.rates())
        });
        Model {
            context: self.context,
            max_output: self.max_output,
            reads: self.reads,
            writes: self.writes,
            price: Price { usual: usual.rates(), above },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::prices::Rates;

    #[test]
    fn nothing_is_wrong_with_the_table_and_its_entries_are_sorted() {
        let groups = read(TEXT).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            groups.len() + 1,
            TABLE.by_type.len(),
            "each group is a type, and there is that which has those of two others"
        );
        for group in groups.values() {
            assert!(group.source.starts_with("https://") && !group.models.is_empty());
        }
        let names: Vec<&str> =
            TEXT.lines().map(|line| line.split(" = ").next().unwrap_or_default()).collect();
        for pair in names.windows(2).filter(|pair| pair.iter().all(|name| name.starts_with('"'))) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
    }

    #[test]
    fn every_entry_is_plausible() {
        for (kind, group) in read(TEXT).unwrap_or_default() {
            for (name, entry) in group.models {
                let at = format!("{kind} {name}: {entry:?}");
                assert!(entry.batch.is_none_or(|batch| (0.1..1.0).contains(&batch)), "{at}");
                let date = entry.as_of.date.filter(|_| entry.as_of.time.is_none());
                assert!(date.is_some_and(|date| (2024..=2100).contains(&date.year)), "{at}");
                let model = entry.model();
                assert!(!model.reads.is_empty() && !model.writes.is_empty(), "{at}");
                let Some(context) = model.context else {
                    assert!(model.reads == [Modality::Audio] && model.price.usual.audio_minute.0 > 0, "{at}");
                    continue;
                };
                assert!((500..=2_000_000).contains(&context), "{at}");
                assert!(model.max_output.is_none_or(|most| (1000..=context).contains(&most)), "{at}");
                assert!(model.reads.contains(&Modality::Text), "{at}");
                let speaks = model.writes.contains(&Modality::Text);
                for rates in
                    [Some(model.price.usual), model.price.above.map(|(_, rates)| rates)].into_iter().flatten()
                {
                    if rates.search.0 > 0 {
                        assert!(rates.search.0 <= 10_000 && rates.input.0 == 0, "{at}");
                        continue;
                    }
                    let Rates { input, cached_input, cache_write, output, .. } = rates;
                    // From the cheapest embeddings to the dearest reasoning.
                    assert!((10_000..=150_000_000).contains(&input.0), "{at}");
                    assert!(cached_input <= input && cached_input.0 > 0, "{at}");
                    assert!(cache_write >= input && cache_write.0 <= 2 * input.0, "{at}");
                    assert!(if speaks { output >= input } else { output.0 == 0 }, "{at}");
                    assert!(output.0 <= 600_000_000, "{at}");
                }
                if let Some((tokens, rates)) = model.price.above {
                    assert!(tokens < 1_000_000 && rates.input > model.price.usual.input, "{at}");
                }
            }
        }
    }

    #[test]
    fn a_price_is_exact() {
        for (text, micro) in
            [("0.006", Some(6_000)), ("2", Some(2_000_000)), ("0.0000001", None), ("-1", None)]
        {
            let read: Result<BTreeMap<String, Usd>, _> = toml::from_str(&format!("a = {text}"));
            assert_eq!(read.ok().and_then(|read| read.get("a").map(|usd| usd.0)), micro, "{text}");
        }
    }

    #[test]
    fn models_are_found_by_the_names_that_providers_give_them() {
        use ProviderType::{Azure, Claude, Custom, Gemini, OpenAi, Vertex};
        for (kind, name, most) in [
            (Claude, "claude-sonnet-4-5", Some(64_000)),
            (Claude, "claude-sonnet-4-5-20250929", Some(64_000)),
            (Claude, "claude-sonnet-4-20250514", Some(64_000)),
            (Claude, "claude-3-haiku-20240307", Some(4096)),
            (Claude, "claude-sonnet-44", None),
            (Gemini, "gemini-2.5-pro", Some(65_536)),
            (OpenAi, "gpt-4o-2024-11-20", Some(16_384)),
            (OpenAi, "gpt-4o-2024-05-13", Some(4096)),
            (OpenAi, "text-embedding-3-small", None),
            (OpenAi, "whisper-1", None),
            (Custom, "gpt-4o", None),
            (Azure, "gpt-4o-2024-11-20", Some(16_384)),
            (Vertex, "claude-sonnet-4-5@20250929", Some(64_000)),
            (Vertex, "gemini-2.5-pro", Some(65_536)),
        ] {
            assert_eq!(max_output_tokens(kind, name), most, "{name}");
        }
    }
}
