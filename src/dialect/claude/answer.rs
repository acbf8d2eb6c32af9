//! A whole answer, and the shapes that streams share with it.
//!
//! Source: Claude API reference, "Create a Message" (response); "Handling stop reasons"; "Citations"; "Web search
//! tool" (citations).

use std::borrow::Cow;
use std::io::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::REDACTED;
use crate::dialect::chat::{Answer, Choice, Finish, Malformed, ToolCall};
use crate::dialect::json::write;
use crate::dialect::json::write_string;
use crate::dialect::usage::Usage;

/// Text that may be null. `Option<Cow<str>>` itself would always be copied.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The text, or none.
pub(super) fn text(text: Option<Text<'_>>) -> Cow<'_, str> {
    text.map(|text| text.0).unwrap_or_default()
}

/// The Message object.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub model: Option<Text<'a>>,
    #[serde(borrow)]
    pub content: Option<Vec<Block<'a>>>,
    #[serde(borrow)]
    pub stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub stop_sequence: Option<Text<'a>>,
    #[serde(borrow)]
    pub stop_details: Option<StopDetails<'a>>,
    pub usage: Option<Counts>,
}

/// A content block; of which kind is in `kind`.
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    #[serde(borrow)]
    pub citations: Option<Vec<Citation<'a>>>,
    #[serde(borrow)]
    pub thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub data: Option<Text<'a>>,
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
}

/// A source that is quoted. Only those of the web have their like at OpenAI; places in documents that the client sent
/// do not.
#[derive(Deserialize)]
pub(super) struct Citation<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    url: Option<Text<'a>>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
}

/// Why it ended, in more words.
#[derive(Deserialize)]
pub(super) struct StopDetails<'a> {
    #[serde(borrow)]
    pub explanation: Option<Text<'a>>,
}

/// The usage object. In a stream, what is said later stands for what was said before.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Details {
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// These, and those of before where nothing new is said.
    pub fn or(self, before: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.or(before.input_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .or(before.cache_creation_input_tokens),
            cache_read_input_tokens: self.cache_read_input_tokens.or(before.cache_read_input_tokens),
            output_tokens: self.output_tokens.or(before.output_tokens),
            output_tokens_details: self.output_tokens_details.or(before.output_tokens_details),
        }
    }

    /// As the gateway counts. Claude's `input_tokens` are only those that no cache has to do with.
    pub fn usage(self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let prompt = self.input_tokens.unwrap_or(0).saturating_add(cached);
        let cache_write_tokens = self.cache_creation_input_tokens.unwrap_or(0);
        let prompt = prompt.saturating_add(cache_write_tokens);
        let completion = self.output_tokens.unwrap_or(0);
        Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            cached_tokens: cached,
            cache_write_tokens,
            reasoning_tokens: self
                .output_tokens_details
                .and_then(|details| details.thinking_tokens)
                .unwrap_or(0),
            ..Usage::default()
        }
    }
}

/// Why it ended. A paused turn is one of Claude's own tools that takes long: it is not complete, for which OpenAI's
/// word is `length`. Reasons may be added to the API; one that is unknown is taken for an end like any other.
pub(super) fn finish(stop_reason: &str) -> Finish {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// The members of OpenAI's `url_citation` that are known before the end of the text; `None` where it has no such form.
pub(super) fn source(citation: &Citation<'_>) -> Option<Vec<u8>> {
    let url = citation.url.as_ref().filter(|_| citation.kind == "web_search_result_location")?;
    let mut members = b"\"url\":".to_vec();
    write_string(&mut members, &url.0);
    if let Some(title) = &citation.title {
        write::string(&mut members, "title", &title.0);
    }
    Some(members)
}

/// Appends an element of OpenAI's `annotations`: the characters of the answer from `start` to `end` have this source.
pub(super) fn write_annotation(out: &mut Vec<u8>, source: &[u8], start: u64, end: u64) {
    write::open(out, "url_citation");
    write::name(out, "url_citation");
    // A vector takes all that is written.
    let _ = write!(out, "{{\"start_index\":{start},\"end_index\":{end},");
    out.extend_from_slice(source);
    out.extend_from_slice(b"}}");
}

/// Characters, in which OpenAI counts places.
pub(super) fn characters(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// Reads the body of a successful answer.
///
/// Blocks of Claude's own tools (web search, code execution) are left out: OpenAI's chat has no form for them.
/// A `redacted_thinking` block is kept as the signature of a thought without text, after [`REDACTED`].
///
/// # Errors
/// Where it is not a Message object.
pub fn read_answer(body: &[u8]) -> Result<Answer<'_>, Malformed> {
    let message: Message<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not a Message object"))?;
    let blocks = message.content.ok_or(Malformed("the answer has no content"))?;
    let mut choice = Choice::default();
    let mut annotations = Vec::new();
    let mut length = 0;
    for block in blocks {
        match block.kind.as_ref() {
            "text" => {
                let more = text(block.text);
                let start = length;
                length += characters(&more);
                for source in block.citations.iter().flatten().filter_map(source) {
                    write_annotation(&mut annotations, &source, start, length);
                }
                match &mut choice.text {
                    Some(before) => before.to_mut().push_str(&more),
                    none => *none = Some(more),
                }
            }
            "tool_use" => choice.calls.push(ToolCall {
                id: text(block.id),
                name: text(block.name),
                arguments: block.input.map_or("{}", RawValue::get).into(),
            }),
            "thinking" => {
                choice.reasoning.push((text(block.thinking), block.signature.map(|signature| signature.0)))
            }
            "redacted_thinking" => choice.reasoning.push(("".into(), Some(redacted(block.data)))),
            _ => {}
        }
    }
    choice.finish = finish(&text(message.stop_reason));
    choice.stop_sequence = message.stop_sequence.map(|text| text.0);
    if choice.finish == Finish::ContentFilter {
        choice.refusal = message.stop_details.and_then(|details| details.explanation).map(|text| text.0);
    }
    if !annotations.is_empty() {
        annotations.insert(0, b'[');
        annotations.push(b']');
        choice.annotations = String::from_utf8(annotations).ok().map(Cow::Owned);
    }
    Ok(Answer {
        id: text(message.id),
        model: text(message.model),
        created: 0,
        choices: vec![choice],
        usage: message.usage.map(Counts::usage),
    })
}

/// The data of a `redacted_thinking` block as a signature.
pub(super) fn redacted<'a>(data: Option<Text<'_>>) -> Cow<'a, str> {
    format!("{REDACTED}{}", text(data)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> ToolCall<'a> {
        ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
    }

    #[test]
    fn recorded_answers_are_read() {
        let text = read_answer(include_bytes!("fixtures/text.json")).unwrap();
        let wanted = Answer {
            id: "msg_013Zva2CMHLNnXjNJJKqJ2EF".into(),
            model: "claude-sonnet-4-5-20250929".into(),
            created: 0,
            choices: vec![Choice { text: Some("Hi! My name is Claude.".into()), ..Choice::default() }],
            usage: Some(Usage {
                prompt_tokens: 2095 + 2051 + 248,
                completion_tokens: 503,
                total_tokens: 2095 + 2051 + 248 + 503,
                cached_tokens: 2051,
                cache_write_tokens: 248,
                reasoning_tokens: 0,
                ..Usage::default()
            }),
        };
        assert_eq!(text, wanted);
        assert!(matches!(text.choices.first().unwrap().text, Some(Cow::Borrowed(_))));

        let mut tools = read_answer(include_bytes!("fixtures/tools.json")).unwrap();
        assert_eq!(tools.usage.unwrap().reasoning_tokens, 61);
        let wanted = Choice {
            text: Some("I'll look.".into()),
            calls: vec![
                call("toolu_01", "get_weather", "{\"location\": \"Paris \\u2708\", \"unit\": \"celsius\"}"),
                call("toolu_02", "get_time", "{}"),
            ],
            reasoning: vec![
                ("The user wants\nboth.".into(), Some("EqQBCgIYAhIM1gbcDa9GJwZA2b3h".into())),
                ("".into(), Some("redacted_thinking:EmwKAhgBEgy3va3pzix".into())),
            ],
            finish: Finish::ToolCalls,
            ..Choice::default()
        };
        assert_eq!(tools.choices.pop().unwrap(), wanted);

        let mut search = read_answer(include_bytes!("fixtures/search.json")).unwrap();
        let choice = search.choices.pop().unwrap();
        assert_eq!(choice.text.as_deref(), Some("Né in 1916, he died in 2001."));
        let annotations: serde_json::Value = serde_json::from_str(&choice.annotations.unwrap()).unwrap();
        let url = "https://en.wikipedia.org/wiki/Claude_Shannon";
        let wanted = serde_json::json!([
            {"type": "url_citation", "url_citation":
                {"start_index": 0, "end_index": 10, "url": url, "title": "Claude Shannon - Wikipedia"}},
            {"type": "url_citation", "url_citation": {"start_index": 12, "end_index": 27, "url": url}},
        ]);
        assert_eq!(annotations, wanted);

        let mut refusal = read_answer(include_bytes!("fixtures/refusal.json")).unwrap();
        let choice = refusal.choices.pop().unwrap();
        assert_eq!(choice.finish, Finish::ContentFilter);
        assert_eq!(choice.text, None);
        assert_eq!(choice.refusal.as_deref(), Some("This request could enable harm."));
    }

    #[test]
    fn reasons_have_names() {
        for (reason, wanted) in [
            ("end_turn", Finish::Stop),
            ("stop_sequence", Finish::Stop),
            ("max_tokens", Finish::Length),
            ("model_context_window_exceeded", Finish::Length),
            ("pause_turn", Finish::Length),
            ("tool_use", Finish::ToolCalls),
            ("refusal", Finish::ContentFilter),
            ("one_of_next_year", Finish::Stop),
        ] {
            assert_eq!(finish(reason), wanted, "{reason}");
        }
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        for body in ["", "{", "[]", "{}", "{\"content\":null}", "{\"content\":[{\"text\":\"\"}]}", "<html>"] {
            assert!(read_answer(body.as_bytes()).is_err(), "{body}");
        }
    }
}
