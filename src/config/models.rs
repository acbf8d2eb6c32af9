//! The table of models that is compiled in: `models.yaml`, which says how to update it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use super::context::Context;
use super::diagnostic::Diagnostic;
use super::field::Section;
use super::limits::MAX_PRICE_USD;
use super::money::MicroUsdPerMillion;
use super::prices::{Names, Price, Rates};
use super::provider::ProviderType;
use super::source::Source;
use super::yaml;

/// Most tokens of a context or an answer; a slip of a digit in the table is found with it.
const MAX_TOKENS: u64 = 100_000_000;

/// The keys of prices: input, cached input, what is written to the cache, output.
const PRICES: [&str; 4] = ["input", "cached_input", "cache_write", "output"];

/// What is known of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Tokens of prompt and answer together.
    pub context: u64,
    /// Tokens of an answer, where that has a bound of its own.
    pub max_output: Option<u64>,
    /// What a prompt may hold.
    pub reads: Vec<Modality>,
    /// What an answer holds.
    pub writes: Vec<Modality>,
    /// What it costs.
    pub price: Price,
    /// The part of the price that the provider's batch API asks, in millionths.
    pub batch: Option<u64>,
    /// The day this was looked up, as `YYYY-MM-DD`.
    pub as_of: String,
}

/// A kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    const NAMES: [(&'static str, Self); 7] = [
        ("text", Self::Text),
        ("image", Self::Image),
        ("file", Self::File),
        ("audio", Self::Audio),
        ("video", Self::Video),
        ("embeddings", Self::Embeddings),
        ("scores", Self::Scores),
    ];

    /// Its name, as in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        // Every kind has a row (a test says so).
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

struct Table {
    by_type: HashMap<ProviderType, Names<Model>>,
    none: Names<Model>,
    /// What is wrong with it: nothing, as a test says.
    #[cfg_attr(not(test), allow(dead_code))]
    problems: Vec<Diagnostic>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("models.yaml")));

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

impl Table {
    fn read(text: &str) -> Self {
        let (source, parsed) = (Source::new("models.yaml", text), yaml::parse(text));
        let cx = Context::new(&source, Path::new(""));
        for problem in &parsed.problems {
            cx.error(problem.at, "", problem.message.clone(), None);
        }
        let mut by_type: HashMap<ProviderType, Names<Model>> = HashMap::new();
        for group in parsed.root.iter().flat_map(|root| Section::items_of(&cx, root)) {
            let Some(kind) = group.choice("type", &ProviderType::choices()) else { continue };
            let names = by_type.entry(kind).or_default();
            for field in group.get("models").map(|models| models.items()).unwrap_or_default() {
                let Some(section) = field.section() else { continue };
                let Some((name, model)) = section.text("model").zip(model(&section)) else {
                    field.error("an incomplete entry", None);
                    continue;
                };
                if !names.add(&name, model) {
                    field.error("a name that stands here already", None);
                }
            }
        }
        // Vertex AI has Google's models and Anthropic's.
        let mut vertex = Names::default();
        for kind in [ProviderType::Gemini, ProviderType::Claude] {
            vertex.extend(by_type.get(&kind));
        }
        by_type.insert(ProviderType::Vertex, vertex);
        Self { by_type, none: Names::default(), problems: cx.into_diagnostics() }
    }
}

fn model(section: &Section<'_>) -> Option<Model> {
    let tokens = |section: &Section<'_>, key: &str| section.get(key)?.integer(1..=MAX_TOKENS);
    let modalities = |key: &str| -> Vec<Modality> {
        let items = section.get(key).map(|field| field.items()).unwrap_or_default();
        items.iter().filter_map(|item| item.choice(&Modality::NAMES)).collect()
    };
    let above = section.section("above");
    let above = match rates(&above, PRICES) {
        Some(rates) => Some((tokens(&above, "tokens")?, rates)),
        None => None,
    };
    Some(Model {
        context: tokens(section, "context")?,
        max_output: tokens(section, "max_output"),
        reads: modalities("reads"),
        writes: modalities("writes"),
        price: Price { usual: rates(section, PRICES)?, above },
        batch: section.get("batch").and_then(|field| field.micro_units(1)),
        as_of: section.text("as_of")?,
    })
}

/// Prices under these keys, for input, cached input, what is written to the cache, and output; `None` where there is
/// none of them. Cached tokens and those written cost as others do where nothing is said of them.
pub(super) fn rates(section: &Section<'_>, keys: [&str; 4]) -> Option<Rates> {
    let price = |key: &str| section.get(key)?.micro_units(MAX_PRICE_USD).map(MicroUsdPerMillion);
    let [input, cached_input, cache_write, output] = keys.map(price);
    input.or(cached_input).or(cache_write).or(output)?;
    let input = input.unwrap_or_default();
    Some(Rates {
        input,
        cached_input: cached_input.unwrap_or(input),
        cache_write: cache_write.unwrap_or(input),
        output: output.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml::{Node, Value};

    fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
        let Value::Map(entries) = &node.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    fn items(node: Option<&Node>) -> &[Node] {
        match node.map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    fn text<'a>(node: &'a Node, key: &str) -> &'a str {
        match child(node, key).map(|node| &node.value) {
            Some(Value::Scalar(scalar)) => &scalar.text,
            _ => "",
        }
    }

    #[test]
    fn nothing_is_wrong_with_the_table_and_its_entries_are_sorted() {
        let problems: Vec<String> = TABLE.problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{problems:?}");
        const KEYS: [&str; 13] = [
            "model",
            "context",
            "max_output",
            "reads",
            "writes",
            "input",
            "cached_input",
            "cache_write",
            "output",
            "above",
            "batch",
            "as_of",
            "second_hand",
        ];
        let root = yaml::parse(include_str!("models.yaml")).root;
        let groups = items(root.as_ref());
        assert_eq!(
            groups.len() + 1,
            TABLE.by_type.len(),
            "each type once, and that which has those of two others"
        );
        for group in groups {
            assert!(text(group, "source").starts_with("https://"));
            let models = items(child(group, "models"));
            let names: Vec<&str> = models.iter().map(|model| text(model, "model")).collect();
            assert!(names.is_sorted() && !names.is_empty(), "{names:?}");
            for model in models {
                let Value::Map(entries) = &model.value else { unreachable!() };
                let unknown = entries.iter().find(|entry| !KEYS.contains(&entry.key.as_str()));
                assert!(unknown.is_none(), "{:?}", unknown.map(|entry| &entry.key));
            }
        }
    }

    #[test]
    fn every_entry_is_plausible() {
        for (kind, names) in &TABLE.by_type {
            for (name, model) in names.all() {
                let at = format!("{} {name}: {model:?}", kind.name());
                assert!((500..=2_000_000).contains(&model.context), "{at}");
                assert!(model.max_output.is_none_or(|most| (1000..=model.context).contains(&most)), "{at}");
                assert!(model.reads.contains(&Modality::Text) && !model.writes.is_empty(), "{at}");
                let speaks = model.writes.contains(&Modality::Text);
                for Rates { input, cached_input, cache_write, output } in
                    [Some(model.price.usual), model.price.above.map(|(_, rates)| rates)].into_iter().flatten()
                {
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
                assert!(model.batch.is_none_or(|batch| (100_000..1_000_000).contains(&batch)), "{at}");
                let date: Vec<u32> = model.as_of.split('-').filter_map(|part| part.parse().ok()).collect();
                assert!(matches!(date[..], [2024..=2100, 1..=12, 1..=31]) && model.as_of.len() == 10, "{at}");
            }
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
            (Custom, "gpt-4o", None),
            (Azure, "gpt-4o-2024-11-20", Some(16_384)),
            (Vertex, "claude-sonnet-4-5@20250929", Some(64_000)),
            (Vertex, "gemini-2.5-pro", Some(65_536)),
        ] {
            assert_eq!(max_output_tokens(kind, name), most, "{name}");
        }
        for (name, kind) in Modality::NAMES {
            assert_eq!(kind.name(), name);
        }
    }
}
