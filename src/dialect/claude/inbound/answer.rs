//! A whole answer in Anthropic's words: the Message object.
//!
//! Source: Anthropic API reference, "Create a Message", response.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::dialect::chat::{Answer, Call, Face, Finish};
use crate::dialect::json::write_value;
use crate::dialect::usage;

/// Appends the Message object of an answer: of its first choice, for Anthropic's API has only one.
///
/// What the form in the middle knows and Anthropic's does not is not shown: `logprobs`, which a client cannot ask for
/// here, and `annotations`, whose places in Anthropic's citations are secrets of its own search.
pub fn write_answer(answer: &Answer<'_>, face: &Face<'_>, out: &mut Vec<u8>) {
    let id = message_id(&answer.id, face.id);
    let mut content = Vec::new();
    let mut finish = Finish::Stop;
    let (mut calls, mut refused, mut stop) = (false, false, None);
    if let Some(choice) = answer.choices.first() {
        finish = choice.finish;
        calls = !choice.calls.is_empty();
        refused = choice.refusal.is_some();
        stop = choice.stop_sequence.as_deref();
        for (thinking, signature) in &choice.reasoning {
            content.push(Block::Thinking { thinking, signature: signature.as_deref().unwrap_or_default() });
        }
        for text in [&choice.text, &choice.refusal].into_iter().flatten().filter(|text| !text.is_empty()) {
            content.push(Block::Text { text });
        }
        for (index, call) in choice.calls.iter().enumerate() {
            content.push(Block::ToolUse {
                id: call_id(&call.id, &id, index),
                name: &call.name,
                input: Input::of(call),
            });
        }
    }
    let message = Message {
        id: &id,
        kind: "message",
        role: "assistant",
        model: face.model,
        content,
        stop_reason: Some(stop_reason(finish, calls, refused, stop)),
        stop_sequence: stop,
        usage: Usage::of(answer.usage),
    };
    write_value(out, &message);
}

/// Why an answer ended. That a text of `stop_sequences` ended it is not told apart by most dialects. An answer with calls, or a refusal, says so even where the provider only says that it was done: clients go by it.
pub(super) fn stop_reason(finish: Finish, calls: bool, refused: bool, stop: Option<&str>) -> &'static str {
    match finish {
        Finish::ToolCalls => "tool_use",
        Finish::Stop if calls => "tool_use",
        Finish::Stop if refused => "refusal",
        Finish::Stop if stop.is_some() => "stop_sequence",
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ContentFilter => "refusal",
    }
}

/// An id as Anthropic's look: with their prefix, and in it the provider's own where it has one.
pub(super) fn message_id(provider: &str, face: &str) -> String {
    let id = if provider.is_empty() { face } else { provider };
    if id.starts_with("msg_") { id.to_owned() } else { format!("msg_{id}") }
}

/// The id of a call: the provider's, which its result is matched by; one of our own where there is none.
pub(super) fn call_id<'a>(id: &'a str, message: &str, index: impl std::fmt::Display) -> Cow<'a, str> {
    if !id.is_empty() {
        return id.into();
    }
    format!("toolu_{}_{index}", message.strip_prefix("msg_").unwrap_or(message)).into()
}

/// The Message object.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub id: &'a str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub role: &'static str,
    pub model: &'a str,
    pub content: Vec<Block<'a>>,
    pub stop_reason: Option<&'static str>,
    pub stop_sequence: Option<&'a str>,
    pub usage: Usage,
}

/// A block of content.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str, signature: &'a str },
    ToolUse { id: Cow<'a, str>, name: &'a str, input: Input<'a> },
}

/// A call's arguments as an object.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Input<'a> {
    Object(&'a RawValue),
    Empty {},
    /// What the model wrote where it is no JSON object. A tool called with nothing might do something; one called
    /// with a field it does not know says so, and the model sees what it wrote.
    Raw {
        #[serde(rename = "_raw")]
        raw: &'a str,
    },
}

impl<'a> Input<'a> {
    fn of(call: &'a Call<'_>) -> Self {
        let text = call.arguments.trim_ascii();
        match serde_json::from_str::<&RawValue>(text) {
            Ok(object) if text.starts_with('{') => Self::Object(object),
            _ if text.is_empty() => Self::Empty {},
            _ => Self::Raw { raw: &call.arguments },
        }
    }
}

/// Anthropic counts what came from the cache, and what was written to it, beside `input_tokens`, not in it.
#[derive(Serialize)]
pub(super) struct Usage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Serialize)]
struct OutputDetails {
    thinking_tokens: u64,
}

impl Usage {
    /// All is zero where the provider has not told, or not yet: the field must be there.
    pub(super) fn of(usage: Option<usage::Usage>) -> Self {
        let usage = usage.unwrap_or_default();
        let thinking_tokens = usage.reasoning_tokens;
        Self {
            input_tokens: usage
                .prompt_tokens
                .saturating_sub(usage.cached_tokens)
                .saturating_sub(usage.cache_write_tokens),
            cache_creation_input_tokens: usage.cache_write_tokens,
            cache_read_input_tokens: usage.cached_tokens,
            output_tokens: usage.output_tokens(),
            output_tokens_details: (thinking_tokens > 0).then_some(OutputDetails { thinking_tokens }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::chat::Choice;
    use crate::dialect::chat::samples::called as call;

    const FACE: Face<'_> = Face { id: "7", model: "fast", created: 1 };

    fn written(answer: &Answer<'_>) -> Value {
        let mut out = Vec::new();
        write_answer(answer, &FACE, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_whole_answer() {
        let answer = Answer {
            id: "chatcmpl-1".into(),
            model: "gpt".into(),
            created: 5,
            choices: vec![Choice {
                text: Some("Hi \"there\"\n".into()),
                calls: vec![
                    call("call_1", r#" {"a": [1]} "#),
                    call("", ""),
                    call("x", "{\"a\":"),
                    call("y", "[1]"),
                ],
                reasoning: vec![("Hm.".into(), Some("sig".into())), ("So.".into(), None)],
                finish: Finish::Stop,
                ..Choice::default()
            }],
            usage: Some(usage::Usage {
                prompt_tokens: 10,
                completion_tokens: 4,
                total_tokens: 14,
                cached_tokens: 3,
                cache_write_tokens: 2,
                reasoning_tokens: 2,
                ..usage::Usage::default()
            }),
        };
        assert_eq!(
            written(&answer),
            json!({
                "id": "msg_chatcmpl-1", "type": "message", "role": "assistant", "model": "fast",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                    {"type": "thinking", "thinking": "So.", "signature": ""},
                    {"type": "text", "text": "Hi \"there\"\n"},
                    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": [1]}},
                    {"type": "tool_use", "id": "toolu_chatcmpl-1_1", "name": "f", "input": {}},
                    {"type": "tool_use", "id": "x", "name": "f", "input": {"_raw": "{\"a\":"}},
                    {"type": "tool_use", "id": "y", "name": "f", "input": {"_raw": "[1]"}},
                ],
                "stop_reason": "tool_use", "stop_sequence": null,
                "usage": {
                    "input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3,
                    "output_tokens": 4, "output_tokens_details": {"thinking_tokens": 2},
                },
            })
        );
    }

    #[test]
    fn ends_and_ids() {
        for (finish, calls, refused, stop, wanted) in [
            (Finish::Stop, false, false, None, "end_turn"),
            (Finish::Stop, false, false, Some("x"), "stop_sequence"),
            (Finish::Stop, true, false, None, "tool_use"),
            (Finish::Stop, false, true, None, "refusal"),
            (Finish::ToolCalls, true, false, None, "tool_use"),
            (Finish::Length, false, false, None, "max_tokens"),
            (Finish::Length, true, false, None, "max_tokens"),
            (Finish::ContentFilter, false, false, None, "refusal"),
        ] {
            assert_eq!(stop_reason(finish, calls, refused, stop), wanted, "{finish:?} {calls} {refused}");
        }
        let stopped = Choice { stop_sequence: Some("###".into()), ..Choice::default() };
        let stopped = written(&Answer { choices: vec![stopped], ..Answer::default() });
        assert_eq!(
            (&stopped["stop_reason"], &stopped["stop_sequence"]),
            (&"stop_sequence".into(), &"###".into())
        );
        for (provider, wanted) in [("", "msg_7"), ("msg_1", "msg_1"), ("x", "msg_x")] {
            assert_eq!(message_id(provider, "7"), wanted);
        }
        let empty = written(&Answer::default());
        assert_eq!((&empty["content"], &empty["usage"]["output_tokens"]), (&json!([]), &json!(0)));
        let refused = Choice { refusal: Some("No.".into()), ..Choice::default() };
        let refused = written(&Answer { choices: vec![refused], ..Answer::default() });
        assert_eq!(refused["content"], json!([{"type": "text", "text": "No."}]));
        assert_eq!(refused["stop_reason"], "refusal");
    }
}
