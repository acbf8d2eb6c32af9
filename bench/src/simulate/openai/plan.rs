//! What is answered to a chat request: pure, apart from the random length of an answer.

use std::borrow::Cow;

use super::request::{Chat, Rare, Wanted};
use crate::simulate::{
    rng::Rng,
    schema,
    settings::{MAX_ANSWER_TOKENS, Tokens},
    text,
};

/// One of the answers to a request.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) content: Cow<'static, str>,
    pub(super) calls: Vec<ToolCall>,
    pub(super) finish: &'static str,
    pub(super) tokens: usize,
}

/// A call of a function.
#[derive(Debug)]
pub(super) struct ToolCall {
    /// The part behind `call_`.
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text.
    pub(super) arguments: String,
}

/// The answers to `chat`, `length` tokens long where it does not say.
pub(super) fn choices(chat: &Chat<'_>, length: Tokens, echo: bool, rng: &Rng) -> Vec<Choice> {
    let seeded = chat.seed.map(|seed| Rng::new(seed as u64));
    let rng = seeded.as_ref().unwrap_or(rng);
    (0..chat.n)
        .map(|_| {
            let wish =
                if length.min == length.max { length.min } else { rng.between(length.min, length.max) };
            one(chat, wish.min(MAX_ANSWER_TOKENS), echo, rng)
        })
        .collect()
}

fn one(chat: &Chat<'_>, wish: usize, echo: bool, rng: &Rng) -> Choice {
    let Some(rare) = &chat.rare else {
        // A plain text is made to measure.
        let tokens = chat.max_tokens.map_or(wish, |max| max.min(wish));
        let finish = if tokens < wish { "length" } else { "stop" };
        return Choice { content: text::answer(tokens), calls: Vec::new(), finish, tokens };
    };
    if let Wanted::Calls(functions) = &rare.wanted
        && !echo
    {
        return calls(functions, rng);
    }
    let content = if echo { Cow::Owned(rare.last_user.clone()) } else { content(rare, wish) };
    cut(content, &rare.stop, chat.max_tokens)
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
    let stops = stop.iter().filter(|stop| !stop.is_empty());
    if let Some(at) = stops.filter_map(|stop| content.find(stop.as_str())).min() {
        shorten(&mut content, at);
    }
    let end = text::tokens_end(&content, 0, max_tokens.unwrap_or(usize::MAX));
    let finish = if end < content.len() { "length" } else { "stop" };
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

fn calls(functions: &[(String, serde_json::Value)], rng: &Rng) -> Choice {
    let calls: Vec<ToolCall> = functions
        .iter()
        .map(|(name, parameters)| {
            let mut id = Vec::new();
            rng.alphanumeric(&mut id, 24);
            let arguments = match schema::generate(parameters) {
                object @ serde_json::Value::Object(_) => object.to_string(),
                _ => "{}".to_owned(),
            };
            ToolCall { id: String::from_utf8_lossy(&id).into_owned(), name: name.clone(), arguments }
        })
        .collect();
    let tokens = calls.iter().map(|call| text::count(&call.arguments) + text::count(&call.name) + 4).sum();
    Choice { content: Cow::Borrowed(""), calls, finish: "tool_calls", tokens }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::openai::request;

    fn planned(extra: &str) -> Vec<Choice> {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"say it"}}]{extra}}}"#);
        let chat = request::read(body.as_bytes()).unwrap();
        choices(&chat, Tokens::exactly(20), false, &Rng::new(1))
    }

    #[test]
    fn lengths_and_stops_are_respected() {
        for (extra, tokens, finish) in [
            ("", 20, "stop"),
            (r#","max_tokens":5"#, 5, "length"),
            (r#","max_tokens":50"#, 20, "stop"),
            (r#","max_completion_tokens":3,"n":2"#, 3, "length"),
            (r#","stop":"comes""#, 3, "stop"),
            (r#","stop":["zzz"]"#, 20, "stop"),
        ] {
            for choice in planned(extra) {
                assert_eq!((choice.tokens, choice.finish), (tokens, finish), "{extra}");
                assert!(text::count(&choice.content).abs_diff(tokens) <= 1, "{extra}: {}", choice.content);
            }
        }
        assert_eq!(planned(r#","n":3"#).len(), 3);
    }

    #[test]
    fn json_formats_answer_json() {
        let schema = r#"{"type":"object","required":["city"],"properties":{"city":{"type":"string"}}}"#;
        let format = format!(
            r#","response_format":{{"type":"json_schema","json_schema":{{"name":"x","schema":{schema}}}}}"#
        );
        assert_eq!(planned(&format)[0].content, r#"{"city":"Paris"}"#);
        let object = planned(r#","response_format":{"type":"json_object"}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&object[0].content).unwrap()["answer"].is_string());
    }

    #[test]
    fn a_seed_repeats_the_answer() {
        let plan = |rng: &Rng| {
            let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}],"seed":5}"#;
            let chat = request::read(body).unwrap();
            choices(&chat, Tokens { min: 1, max: 1000 }, false, rng).remove(0).tokens
        };
        assert_eq!(plan(&Rng::new(1)), plan(&Rng::new(2)));
    }
}
