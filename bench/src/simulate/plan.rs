//! What is answered to a chat request, whatever its wire format: pure, apart from the random length of an answer.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    rng::Rng,
    schema,
    settings::{MAX_ANSWER_TOKENS, Tokens},
    text,
};

/// What a model thinks before it answers, where it is asked to.
pub(crate) const THOUGHT: &str = "The user wants an answer. There is no model to ask, so one is made up.";

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// Answers wanted.
    pub(crate) n: usize,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) seed: Option<i64>,
    pub(crate) rare: Option<&'a Rare>,
}

/// What few requests ask for.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) wanted: Wanted,
    pub(crate) stop: Vec<String>,
    /// Alternatives per token, where log probabilities are wanted.
    pub(crate) logprobs: Option<usize>,
    /// The text of the last message of the user.
    pub(crate) last_user: String,
}

/// The kind of answer.
#[derive(Debug, Default)]
pub(crate) enum Wanted {
    #[default]
    Text,
    /// Some words ahead of the text.
    Preface(String),
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    Schema(Value),
    /// Calls of these functions: name and parameter schema.
    Calls(Vec<(String, Value)>),
}

impl Wanted {
    /// The answer to what came with images or files: it says how many were seen.
    pub(crate) fn seeing(images: usize, files: usize) -> Self {
        let mut seen = Vec::new();
        for (count, thing) in [(images, "image"), (files, "file")] {
            match count {
                0 => {}
                1 => seen.push(format!("1 {thing}")),
                n => seen.push(format!("{n} {thing}s")),
            }
        }
        if seen.is_empty() { Wanted::Text } else { Wanted::Preface(format!("I see {}.", seen.join(" and "))) }
    }

    /// The answer to a tool's result.
    pub(crate) fn after_tool(result: &str) -> Self {
        Wanted::Preface(format!("The tool said: {result}."))
    }
}

/// Why an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// This stop sequence was met.
    Sequence(String),
    /// It has as many tokens as were allowed.
    Length,
    /// Functions are called.
    Calls,
}

/// One of the answers to a request.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) content: Cow<'static, str>,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) finish: Finish,
    pub(crate) tokens: usize,
}

/// A call of a function.
#[derive(Debug)]
pub(crate) struct ToolCall {
    /// The part behind `call_`.
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON text.
    pub(crate) arguments: String,
}

impl ToolCall {
    /// What it counts: name and arguments, and four for the frame.
    pub(crate) fn tokens(&self) -> usize {
        text::count(&self.arguments) + text::count(&self.name) + 4
    }
}

/// The answers, `length` tokens long where it does not say.
pub(crate) fn choices(ask: Ask<'_>, length: Tokens, echo: bool, rng: &Rng) -> Vec<Choice> {
    let seeded = ask.seed.map(|seed| Rng::new(seed as u64));
    let rng = seeded.as_ref().unwrap_or(rng);
    (0..ask.n)
        .map(|_| {
            let wish =
                if length.min == length.max { length.min } else { rng.between(length.min, length.max) };
            one(ask, wish.min(MAX_ANSWER_TOKENS), echo, rng)
        })
        .collect()
}

fn one(ask: Ask<'_>, wish: usize, echo: bool, rng: &Rng) -> Choice {
    let Some(rare) = ask.rare else {
        // A plain text is made to measure.
        let tokens = ask.max_tokens.map_or(wish, |max| max.min(wish));
        let finish = if tokens < wish { Finish::Length } else { Finish::Stop };
        return Choice { content: text::answer(tokens), calls: Vec::new(), finish, tokens };
    };
    if let Wanted::Calls(functions) = &rare.wanted
        && !echo
    {
        return calls(functions, rng);
    }
    let content = if echo { Cow::Owned(rare.last_user.clone()) } else { content(rare, wish) };
    cut(content, &rare.stop, ask.max_tokens)
}

fn content(rare: &Rare, wish: usize) -> Cow<'static, str> {
    match &rare.wanted {
        Wanted::Text | Wanted::Calls(_) => text::answer(wish),
        Wanted::Preface(preface) => {
            let rest = wish.saturating_sub(text::count(preface));
            Cow::Owned(if rest == 0 { preface.clone() } else { format!("{preface} {}", text::answer(rest)) })
        }
        Wanted::JsonObject => Cow::Owned(serde_json::json!({"answer": text::answer(wish)}).to_string()),
        Wanted::Schema(schema) => Cow::Owned(schema::generate(schema).to_string()),
    }
}

/// Cuts a text before the first stop sequence and after the most tokens.
fn cut(mut content: Cow<'static, str>, stop: &[String], max_tokens: Option<usize>) -> Choice {
    let mut finish = Finish::Stop;
    let stops = stop.iter().filter(|stop| !stop.is_empty());
    if let Some((at, met)) = stops.filter_map(|stop| Some((content.find(stop.as_str())?, stop))).min() {
        shorten(&mut content, at);
        finish = Finish::Sequence(met.clone());
    }
    let end = text::tokens_end(&content, 0, max_tokens.unwrap_or(usize::MAX));
    if end < content.len() {
        finish = Finish::Length;
    }
    shorten(&mut content, end);
    let tokens = text::count(&content);
    Choice { content, calls: Vec::new(), finish, tokens }
}

fn shorten(text: &mut Cow<'static, str>, end: usize) {
    match text {
        Cow::Borrowed(text) => *text = text.get(..end).unwrap_or(text),
        Cow::Owned(text) => text.truncate(end),
    }
}

fn calls(functions: &[(String, Value)], rng: &Rng) -> Choice {
    let calls: Vec<ToolCall> = functions
        .iter()
        .map(|(name, parameters)| {
            let mut id = Vec::new();
            rng.alphanumeric(&mut id, 24);
            let arguments = match schema::generate(parameters) {
                object @ Value::Object(_) => object.to_string(),
                _ => "{}".to_owned(),
            };
            ToolCall { id: String::from_utf8_lossy(&id).into_owned(), name: name.clone(), arguments }
        })
        .collect();
    let tokens = calls.iter().map(ToolCall::tokens).sum();
    Choice { content: Cow::Borrowed(""), calls, finish: Finish::Calls, tokens }
}

/// The functions that the user's text names, or the first.
pub(crate) fn chosen(tools: Vec<(String, Value)>, said: &str, parallel: bool) -> Vec<(String, Value)> {
    let (mut named, rest): (Vec<_>, Vec<_>) =
        tools.into_iter().partition(|(name, _)| said.contains(name.as_str()));
    if named.is_empty() {
        named.extend(rest.into_iter().next());
    }
    if !parallel {
        named.truncate(1);
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Ask<'_> = Ask { n: 1, max_tokens: None, seed: None, rare: None };

    fn planned(ask: Ask<'_>) -> Vec<Choice> {
        choices(ask, Tokens::exactly(20), false, &Rng::new(1))
    }

    #[test]
    fn lengths_and_stops_are_respected() {
        let stop = |stop: &str| Rare { stop: vec![stop.into()], ..Rare::default() };
        let (met, unmet) = (stop("comes"), stop("zzz"));
        let sequence = Finish::Sequence("comes".into());
        for (ask, tokens, finish) in [
            (PLAIN, 20, Finish::Stop),
            (Ask { max_tokens: Some(5), ..PLAIN }, 5, Finish::Length),
            (Ask { max_tokens: Some(50), ..PLAIN }, 20, Finish::Stop),
            (Ask { max_tokens: Some(3), n: 2, ..PLAIN }, 3, Finish::Length),
            (Ask { rare: Some(&met), ..PLAIN }, 3, sequence),
            (Ask { rare: Some(&met), max_tokens: Some(1), ..PLAIN }, 1, Finish::Length),
            (Ask { rare: Some(&unmet), ..PLAIN }, 20, Finish::Stop),
        ] {
            for choice in planned(ask) {
                assert_eq!((choice.tokens, &choice.finish), (tokens, &finish), "{ask:?}");
                assert!(text::count(&choice.content).abs_diff(tokens) <= 1, "{ask:?}: {}", choice.content);
            }
        }
        assert_eq!(planned(Ask { n: 3, ..PLAIN }).len(), 3);
    }

    #[test]
    fn json_formats_answer_json() {
        let schema = serde_json::json!({"type": "object", "required": ["city"],
            "properties": {"city": {"type": "string"}}});
        let rare = Rare { wanted: Wanted::Schema(schema), ..Rare::default() };
        assert_eq!(planned(Ask { rare: Some(&rare), ..PLAIN })[0].content, r#"{"city":"Paris"}"#);
        let rare = Rare { wanted: Wanted::JsonObject, ..Rare::default() };
        let object = planned(Ask { rare: Some(&rare), ..PLAIN });
        assert!(serde_json::from_str::<Value>(&object[0].content).unwrap()["answer"].is_string());
    }

    #[test]
    fn a_seed_repeats_the_answer() {
        let ask = Ask { seed: Some(5), ..PLAIN };
        let plan = |rng: &Rng| choices(ask, Tokens { min: 1, max: 1000 }, false, rng).remove(0).tokens;
        assert_eq!(plan(&Rng::new(1)), plan(&Rng::new(2)));
    }
}
