//! A whole answer to a client that speaks OpenAI's dialect.
//!
//! Source: OpenAI API reference, "The chat completion object". What was thought has no place there; it is written as
//! DeepSeek does (`reasoning_content`, which most clients read) and, where the provider signed it, as OpenRouter does too
//! (`reasoning_details`), so that a client can send both back.

use std::borrow::Cow;

use crate::dialect::chat::{Answer, Choice, Face};
use crate::dialect::json::write_string;
use crate::dialect::usage::Usage;

/// Appends the answer as a chat completion.
pub fn write_answer(answer: &Answer<'_>, face: &Face<'_>, out: &mut Vec<u8>) {
    let id = if answer.id.is_empty() { face.id } else { &answer.id };
    let created = if answer.created == 0 { face.created } else { answer.created };
    write_head(id, "chat.completion", created, face.model, out);
    for (index, choice) in answer.choices.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_choice(index, choice, out);
    }
    out.push(b']');
    if let Some(usage) = &answer.usage {
        out.extend_from_slice(b",\"usage\":");
        write_usage(usage, out);
    }
    out.push(b'}');
}

/// Appends the start of an answer or chunk, up to its first choice.
pub(super) fn write_head(id: &str, object: &str, created: u64, model: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    write_string(out, id);
    out.extend_from_slice(b",\"object\":");
    write_string(out, object);
    out.extend_from_slice(b",\"created\":");
    write_number(created, out);
    out.extend_from_slice(b",\"model\":");
    write_string(out, model);
    out.extend_from_slice(b",\"choices\":[");
}

pub(super) fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a usage object.
pub(super) fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"prompt_tokens\":");
    write_number(usage.prompt_tokens, out);
    out.extend_from_slice(b",\"completion_tokens\":");
    write_number(usage.completion_tokens, out);
    out.extend_from_slice(b",\"total_tokens\":");
    write_number(usage.total_tokens, out);
    out.extend_from_slice(b",\"prompt_tokens_details\":{\"cached_tokens\":");
    write_number(usage.cached_tokens, out);
    // As OpenRouter tells it.
    if usage.cache_write_tokens > 0 {
        out.extend_from_slice(b",\"cache_write_tokens\":");
        write_number(usage.cache_write_tokens, out);
    }
    out.extend_from_slice(b"},\"completion_tokens_details\":{\"reasoning_tokens\":");
    write_number(usage.reasoning_tokens, out);
    out.extend_from_slice(b"}}");
}

/// Appends a string, or null.
pub(super) fn write_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => write_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_choice(index: usize, choice: &Choice<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"index\":");
    write_number(index as u64, out);
    out.extend_from_slice(b",\"message\":{\"role\":\"assistant\",\"content\":");
    write_optional(choice.text.as_deref(), out);
    out.extend_from_slice(b",\"refusal\":");
    write_optional(choice.refusal.as_deref(), out);
    write_reasoning(&choice.reasoning, out);
    if let Some(annotations) = &choice.annotations {
        out.extend_from_slice(b",\"annotations\":");
        out.extend_from_slice(annotations.as_bytes());
    }
    for (index, call) in choice.calls.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"tool_calls\":[" } else { b"," });
        write_call(&call.id, &call.name, &call.arguments, out);
    }
    if !choice.calls.is_empty() {
        out.push(b']');
    }
    out.extend_from_slice(b"},\"logprobs\":");
    out.extend_from_slice(choice.logprobs.as_deref().unwrap_or("null").as_bytes());
    out.extend_from_slice(b",\"finish_reason\":\"");
    out.extend_from_slice(choice.finish.name().as_bytes());
    out.push(b'"');
    write_stop_sequence(choice.stop_sequence.as_deref(), out);
    out.push(b'}');
}

/// Appends the stop text that ended an answer, where it is known, as vLLM tells it.
pub(super) fn write_stop_sequence(text: Option<&str>, out: &mut Vec<u8>) {
    if let Some(text) = text {
        out.extend_from_slice(b",\"stop_reason\":");
        write_string(out, text);
    }
}

/// Appends a call as it stands in a message.
pub(super) fn write_call(id: &str, name: &str, arguments: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    write_string(out, id);
    out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
    write_string(out, name);
    out.extend_from_slice(b",\"arguments\":");
    write_string(out, arguments);
    out.extend_from_slice(b"}}");
}

fn write_reasoning(reasoning: &[(Cow<'_, str>, Option<Cow<'_, str>>)], out: &mut Vec<u8>) {
    let text = match reasoning {
        [] => return,
        [(text, _)] => Cow::Borrowed(&**text),
        several => several.iter().map(|(text, _)| &**text).collect::<String>().into(),
    };
    out.extend_from_slice(b",\"reasoning_content\":");
    write_string(out, &text);
    if reasoning.iter().all(|(_, signature)| signature.is_none()) {
        return;
    }
    out.extend_from_slice(b",\"reasoning_details\":[");
    for (index, (text, signature)) in reasoning.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b"," });
        out.extend_from_slice(b"{\"type\":\"reasoning.text\",\"text\":");
        write_string(out, text);
        if let Some(signature) = signature {
            out.extend_from_slice(b",\"signature\":");
            write_string(out, signature);
        }
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::chat::{Call, Finish};

    const FACE: Face<'_> = Face { id: "chatcmpl-1", model: "claude:opus", created: 1_700_000_000 };

    fn written(answer: &Answer<'_>) -> Value {
        let mut out = Vec::new();
        write_answer(answer, &FACE, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_object_of_the_reference() {
        let answer = Answer {
            choices: vec![
                Choice {
                    calls: vec![Call {
                        id: "toolu_1".into(),
                        name: "f".into(),
                        arguments: "{\"a\":1}".into(),
                    }],
                    finish: Finish::ToolCalls,
                    ..Choice::default()
                },
                Choice {
                    text: Some("Hi \"you\"".into()),
                    reasoning: vec![("Hm.".into(), None), (" So.".into(), Some("c2ln".into()))],
                    logprobs: Some(r#"{"content":[]}"#.into()),
                    annotations: Some(r#"[{"type":"url_citation"}]"#.into()),
                    stop_sequence: Some("#\"".into()),
                    ..Choice::default()
                },
            ],
            usage: Some(Usage {
                prompt_tokens: 5,
                completion_tokens: 4,
                total_tokens: 9,
                cached_tokens: 3,
                cache_write_tokens: 1,
                reasoning_tokens: 2,
                ..Usage::default()
            }),
            ..Answer::default()
        };
        assert_eq!(
            written(&answer),
            json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000,
                "model": "claude:opus",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": null, "refusal": null, "tool_calls": [
                        {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
                     "logprobs": null, "finish_reason": "tool_calls"},
                    {"index": 1, "message": {"role": "assistant", "content": "Hi \"you\"", "refusal": null,
                        "reasoning_content": "Hm. So.", "reasoning_details": [
                            {"type": "reasoning.text", "text": "Hm."},
                            {"type": "reasoning.text", "text": " So.", "signature": "c2ln"}],
                        "annotations": [{"type": "url_citation"}]},
                     "logprobs": {"content": []}, "finish_reason": "stop", "stop_reason": "#\""}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9,
                    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
                    "completion_tokens_details": {"reasoning_tokens": 2}}})
        );
    }

    #[test]
    fn the_provider_is_believed_where_it_says_something() {
        let answer = Answer { id: "msg_1".into(), model: "x".into(), created: 7, ..Answer::default() };
        assert_eq!(
            written(&answer),
            json!({"id": "msg_1", "object": "chat.completion", "created": 7, "model": "claude:opus", "choices": []})
        );
    }
}
