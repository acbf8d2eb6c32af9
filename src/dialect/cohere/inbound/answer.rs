//! A whole answer in Cohere's words.
//!
//! Source: Cohere API reference, "Chat" (response).
//!
//! - What is thought is a `thinking` block, before calls too: `tool_plan` is what only Cohere's own older models write.
//!   Where the provider signs it the block has its `signature` beside it, which Cohere's clients send back as they do
//!   the rest of a message, and without which Claude does not go on after calls.
//! - Sources are cited where they stand in the text. What others cite are pages, which become documents with their
//!   `url` and `title`.
//! - Probabilities come without the numbers of tokens, which others do not tell.
//! - An answer that safety rules cut ends with `ERROR`, for there is no other word for one that is not whole.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::dialect::chat::fields::Str;
use crate::dialect::chat::{Answer, Call, Choice, Face, Finish};
use crate::dialect::json::{write, write_value};
use crate::dialect::usage::Usage;

/// Appends the answer: its first choice, for Cohere's API has only one.
pub fn write_answer(answer: &Answer<'_>, face: &Face<'_>, out: &mut Vec<u8>) {
    let id = if answer.id.is_empty() { face.id } else { &answer.id };
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    out.push(b'{');
    write::string(out, "id", id);
    let stopped = choice.stop_sequence.is_some();
    write::string(out, "finish_reason", finish_reason(choice.finish, !choice.calls.is_empty(), stopped));
    write::name(out, "message");
    out.push(b'{');
    write::string(out, "role", "assistant");
    write_content(choice, out);
    if !choice.calls.is_empty() {
        write::name(out, "tool_calls");
        out.push(b'[');
        for (index, call) in choice.calls.iter().enumerate() {
            write::comma(out);
            write_call(&call_id(&call.id, id, index), &call.name, arguments(call), out);
        }
        out.push(b']');
    }
    if let Some(annotations) = &choice.annotations {
        write_citations(annotations, choice, out);
    }
    out.push(b'}');
    if let Some(item) = choice.logprobs.as_deref().and_then(logprobs) {
        write::name(out, "logprobs");
        write_value(out, &[item]);
    }
    if let Some(usage) = &answer.usage {
        write::name(out, "usage");
        write_usage(usage, out);
    }
    out.push(b'}');
}

/// `content`: thoughts, and then the text, a refusal included. There is none where there are only calls.
fn write_content(choice: &Choice<'_>, out: &mut Vec<u8>) {
    let texts = [&choice.text, &choice.refusal].into_iter().flatten().filter(|text| !text.is_empty());
    if choice.reasoning.is_empty() && texts.clone().next().is_none() && !choice.calls.is_empty() {
        return;
    }
    write::name(out, "content");
    out.push(b'[');
    for (thought, signature) in &choice.reasoning {
        write::open(out, "thinking");
        write::string(out, "thinking", thought);
        if let Some(signature) = signature {
            write::string(out, "signature", signature);
        }
        out.push(b'}');
    }
    for text in texts {
        write::open(out, "text");
        write::string(out, "text", text);
        out.push(b'}');
    }
    out.push(b']');
}

/// Why an answer ended. One with calls says so even where the provider only says that it was done: clients go by it.
pub(super) fn finish_reason(finish: Finish, calls: bool, stopped: bool) -> &'static str {
    match finish {
        Finish::ToolCalls => "TOOL_CALL",
        Finish::Stop if calls => "TOOL_CALL",
        Finish::Stop if stopped => "STOP_SEQUENCE",
        Finish::Stop => "COMPLETE",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "ERROR",
    }
}

/// The id of a call: the provider's, which its result is matched by; one of our own where there is none.
pub(super) fn call_id<'a>(id: &'a str, answer: &str, index: impl std::fmt::Display) -> Cow<'a, str> {
    if id.is_empty() { format!("{answer}_{index}").into() } else { id.into() }
}

fn arguments<'a>(call: &'a Call<'_>) -> &'a str {
    if call.arguments.trim_ascii().is_empty() { "{}" } else { &call.arguments }
}

/// Appends a call.
pub(super) fn write_call(id: &str, name: &str, arguments: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    write::string(out, "id", id);
    write::string(out, "type", "function");
    write::name(out, "function");
    out.push(b'{');
    write::string(out, "name", name);
    write::string(out, "arguments", arguments);
    out.extend_from_slice(b"}}");
}

/// Appends the usage object. What is billed is what others count.
pub(super) fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    out.push(b'{');
    for units in ["billed_units", "tokens"] {
        write::name(out, units);
        out.push(b'{');
        write::plain(out, "input_tokens", usage.prompt_tokens);
        write::plain(out, "output_tokens", usage.output_tokens());
        out.push(b'}');
    }
    write::plain(out, "cached_tokens", usage.cached_tokens);
    out.push(b'}');
}

/// A chunk of text and the logarithms of its tokens.
#[derive(Debug, Serialize)]
pub(super) struct Logprobs {
    text: String,
    token_ids: [u32; 0],
    logprobs: Vec<f64>,
}

/// Probabilities out of OpenAI's `logprobs` object; `None` where it has none.
pub(super) fn logprobs(object: &str) -> Option<Logprobs> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        content: Option<Vec<Token<'a>>>,
    }
    #[derive(Deserialize)]
    struct Token<'a> {
        #[serde(borrow)]
        token: Str<'a>,
        logprob: f64,
    }
    let tokens = serde_json::from_str::<Object<'_>>(object).ok()?.content?;
    let (text, logprobs): (String, Vec<f64>) =
        tokens.iter().map(|Token { token, logprob }| (&*token.0, *logprob)).unzip();
    (!logprobs.is_empty()).then_some(Logprobs { text, token_ids: [], logprobs })
}

/// A source, out of OpenAI's `annotations`.
#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(borrow)]
    url_citation: Option<Page<'a>>,
}

/// A page and which characters of the text rest on it.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    start_index: Option<usize>,
    end_index: Option<usize>,
    #[serde(borrow)]
    url: Option<Str<'a>>,
    #[serde(borrow)]
    title: Option<Str<'a>>,
}

/// The pages that OpenAI's `annotations` array names.
pub(super) fn pages(annotations: &str) -> Vec<Page<'_>> {
    let read: Vec<Annotation<'_>> = serde_json::from_str(annotations).unwrap_or_default();
    read.into_iter().filter_map(|annotation| annotation.url_citation).collect()
}

impl Page<'_> {
    /// Where what it cites begins, in characters of the whole text.
    pub(super) fn start(&self) -> usize {
        self.start_index.unwrap_or(0)
    }

    /// Appends the citation of a passage in this content block, before which so many characters of the text stand.
    pub(super) fn write(&self, (block, before): (usize, usize), text: &str, out: &mut Vec<u8>) {
        out.push(b'{');
        if let (Some(start), Some(end)) = (self.start_index, self.end_index) {
            write::plain(out, "start", start.saturating_sub(before));
            write::plain(out, "end", end.saturating_sub(before));
            let cited: String = text.chars().skip(start).take(end.saturating_sub(start)).collect();
            write::string(out, "text", &cited);
        }
        write::name(out, "sources");
        out.push(b'[');
        write::open(out, "document");
        let url = self.url.as_ref().map_or("", |Str(url)| url);
        write::string(out, "id", url);
        write::name(out, "document");
        out.push(b'{');
        write::string(out, "url", url);
        if let Some(Str(title)) = &self.title {
            write::string(out, "title", title);
        }
        out.extend_from_slice(b"}}]");
        write::plain(out, "content_index", block);
        write::string(out, "type", "TEXT_CONTENT");
        out.push(b'}');
    }
}

fn write_citations(annotations: &str, choice: &Choice<'_>, out: &mut Vec<u8>) {
    write::name(out, "citations");
    out.push(b'[');
    for page in pages(annotations) {
        write::comma(out);
        page.write((choice.reasoning.len(), 0), choice.text.as_deref().unwrap_or_default(), out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::chat::samples::called as call;

    const FACE: Face<'_> = Face { id: "7", model: "fast", created: 1 };

    fn written(answer: &Answer<'_>) -> Value {
        let mut out = Vec::new();
        write_answer(answer, &FACE, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_whole_answer() {
        let annotations = r#"[{"type":"url_citation","url_citation":{"start_index":1,"end_index":4,"url":"u","title":"t"}},
            {"type":"file_citation"}]"#;
        let logprobs = r#"{"content":[{"token":"Hi","logprob":-0.5,"bytes":[72],"top_logprobs":[]},
            {"token":"é","logprob":-1.0}],"refusal":null}"#;
        let answer = Answer {
            id: "chatcmpl-1".into(),
            choices: vec![Choice {
                text: Some("Größe".into()),
                calls: vec![call("call_1", "{\"a\":1}"), call("", " ")],
                reasoning: vec![("Hm.".into(), Some("sig".into()))],
                annotations: Some(annotations.into()),
                logprobs: Some(logprobs.into()),
                ..Choice::default()
            }],
            usage: Some(Usage {
                prompt_tokens: 10,
                completion_tokens: 4,
                total_tokens: 16,
                cached_tokens: 3,
                ..Usage::default()
            }),
            ..Answer::default()
        };
        let tokens = json!({"input_tokens": 10, "output_tokens": 6});
        let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
        assert_eq!(
            written(&answer),
            json!({
                "id": "chatcmpl-1", "finish_reason": "TOOL_CALL",
                "message": {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                        {"type": "text", "text": "Größe"},
                    ],
                    "tool_calls": [call("call_1", "{\"a\":1}"), call("chatcmpl-1_1", "{}")],
                    "citations": [{
                        "start": 1, "end": 4, "text": "röß", "content_index": 1, "type": "TEXT_CONTENT",
                        "sources": [{"type": "document", "id": "u", "document": {"url": "u", "title": "t"}}],
                    }],
                },
                "logprobs": [{"text": "Hié", "token_ids": [], "logprobs": [-0.5, -1.0]}],
                "usage": {"billed_units": tokens, "tokens": tokens, "cached_tokens": 3},
            })
        );
    }

    #[test]
    fn ends_and_what_is_empty() {
        for (finish, calls, stopped, wanted) in [
            (Finish::Stop, false, false, "COMPLETE"),
            (Finish::Stop, false, true, "STOP_SEQUENCE"),
            (Finish::Stop, true, false, "TOOL_CALL"),
            (Finish::ToolCalls, true, false, "TOOL_CALL"),
            (Finish::Length, true, false, "MAX_TOKENS"),
            (Finish::ContentFilter, false, false, "ERROR"),
        ] {
            assert_eq!(finish_reason(finish, calls, stopped), wanted, "{finish:?}");
        }
        let message = json!({"role": "assistant", "content": []});
        assert_eq!(
            written(&Answer::default()),
            json!({"id": "7", "finish_reason": "COMPLETE", "message": message})
        );
        let refused = Choice { refusal: Some("No.".into()), ..Choice::default() };
        let refused = written(&Answer { choices: vec![refused], ..Answer::default() });
        assert_eq!(refused["message"]["content"], json!([{"type": "text", "text": "No."}]));
        let call = Call { id: "c".into(), name: "f".into(), arguments: "{}".into() };
        let calls = written(&Answer {
            choices: vec![Choice { calls: vec![call], ..Choice::default() }],
            ..Answer::default()
        });
        assert_eq!(calls["message"].get("content"), None);
    }

    /// The provider's reader and this writer are two sides of one format.
    #[test]
    fn what_is_written_reads_as_what_it_was() {
        let answer = Answer {
            id: "i".into(),
            choices: vec![Choice {
                text: Some("Hi".into()),
                reasoning: vec![("Hm".into(), None)],
                finish: Finish::Length,
                ..Choice::default()
            }],
            ..Answer::default()
        };
        let mut out = Vec::new();
        write_answer(&answer, &FACE, &mut out);
        assert_eq!(super::super::super::read_answer(&out).unwrap(), answer);
    }
}
