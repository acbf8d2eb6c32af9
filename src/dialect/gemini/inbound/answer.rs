//! A whole answer in Google's words: the `GenerateContentResponse`.
//!
//! Source: Gemini API reference, "Generating content" (`GenerateContentResponse`, `Candidate`, `FinishReason`,
//! `UsageMetadata`) and "Counting tokens".

use super::{logprobs, signature};
use crate::dialect::chat::{Answer, Call, Face, Finish, turns::arguments};
use crate::dialect::gemini::answer::compact;
use crate::dialect::gemini::write::{Array, Object};
use crate::dialect::usage::Usage;

/// Appends the `GenerateContentResponse` of an answer.
///
/// What the form in the middle knows and Google's does not is not shown: which stop text ended it, and `annotations`,
/// whose places in Google's `groundingMetadata` are those of its own search.
pub fn write_answer(answer: &Answer<'_>, face: &Face<'_>, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    let mut candidates = Array::begin(body.key("candidates"));
    for (index, choice) in (0..).zip(&answer.choices) {
        let candidate = Candidate {
            index,
            finish: Some(finish_reason(choice.finish, choice.refusal.is_some())),
            logprobs: choice.logprobs.as_deref(),
        };
        candidate.write(candidates.element(), |parts| {
            for (thought, signature) in &choice.reasoning {
                write_thought(thought, signature.as_deref(), parts.element());
            }
            for text in [&choice.text, &choice.refusal].into_iter().flatten() {
                if !text.is_empty() {
                    write_text(text, parts.element());
                }
            }
            for call in &choice.calls {
                write_call(call, parts.element());
            }
        });
    }
    candidates.end();
    let id = if answer.id.is_empty() { face.id } else { &answer.id };
    close(body, answer.usage, face.model, id);
}

/// Appends `{"totalTokens":n}`, the answer of `countTokens`.
pub fn write_count(tokens: u64, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    body.value("totalTokens", Some(tokens));
    body.end();
}

/// What there is of a candidate beside its parts.
pub(super) struct Candidate<'a> {
    /// Which it is.
    pub index: u32,
    /// Why it ended, where it did.
    pub finish: Option<&'static str>,
    /// OpenAI's `logprobs` object, as JSON.
    pub logprobs: Option<&'a str>,
}

impl Candidate<'_> {
    /// Appends it, with the parts that `each` writes.
    pub(super) fn write(&self, out: &mut Vec<u8>, each: impl FnOnce(&mut Array<'_>)) {
        let mut candidate = Object::begin(out);
        let mut content = Object::begin(candidate.key("content"));
        let mut parts = Array::begin(content.key("parts"));
        each(&mut parts);
        parts.end();
        content.text("role", "model");
        content.end();
        candidate.value("finishReason", self.finish);
        candidate.value("index", Some(self.index));
        if let Some(json) = self.logprobs {
            logprobs::write(json, &mut candidate);
        }
        candidate.end();
    }
}

/// Ends a response with what follows its candidates.
pub(super) fn close(mut body: Object<'_>, usage: Option<Usage>, model: &str, id: &str) {
    if let Some(usage) = usage {
        // Google counts thoughts beside what is said, not in it.
        let output = usage.output_tokens();
        let some = |tokens: u64| Some(tokens).filter(|&tokens| tokens > 0);
        let mut counts = Object::begin(body.key("usageMetadata"));
        counts.value("promptTokenCount", Some(usage.prompt_tokens));
        counts.value("cachedContentTokenCount", some(usage.cached_tokens));
        counts.value("candidatesTokenCount", Some(output.saturating_sub(usage.reasoning_tokens)));
        counts.value("thoughtsTokenCount", some(usage.reasoning_tokens));
        counts.value("totalTokenCount", Some(usage.prompt_tokens.saturating_add(output)));
        counts.end();
    }
    body.text("modelVersion", model);
    body.text("responseId", id);
    body.end();
}

/// Why an answer ended. Calls are no reason of their own, and a refusal is the nearest to a filter.
pub(super) fn finish_reason(finish: Finish, refused: bool) -> &'static str {
    match finish {
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
        Finish::Stop | Finish::ToolCalls if refused => "SAFETY",
        Finish::Stop | Finish::ToolCalls => "STOP",
    }
}

/// Appends a part of text.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    let mut part = Object::begin(out);
    part.text("text", text);
    part.end();
}

/// Appends a part that is a thought, with its provider's signature.
pub(super) fn write_thought(text: &str, signed: Option<&str>, out: &mut Vec<u8>) {
    let mut part = Object::begin(out);
    part.text("text", text);
    part.value("thought", Some(true));
    if let Some(signed) = signed {
        part.text("thoughtSignature", &signature::seal(signed));
    }
    part.end();
}

/// Appends a part that is a call.
pub(super) fn write_call(call: &Call<'_>, out: &mut Vec<u8>) {
    let mut part = Object::begin(out);
    let mut function = Object::begin(part.key("functionCall"));
    if !call.id.is_empty() {
        function.text("id", &call.id);
    }
    function.text("name", &call.name);
    match arguments(call) {
        // An event has one line.
        Some(arguments) => function.raw("args", &compact(arguments)),
        // What the model wrote where it is no JSON object. A tool called with nothing might do something; one called
        // with a field it does not know says so, and the model sees what it wrote.
        None => {
            let mut raw = Object::begin(function.key("args"));
            raw.text("_raw", &call.arguments);
            raw.end();
        }
    }
    function.end();
    part.end();
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
            choices: vec![
                Choice {
                    text: Some("Hi \"there\"\n".into()),
                    calls: vec![call("c1", " {\"a\":\n [1]} "), call("", ""), call("x", "{\"a\":")],
                    reasoning: vec![("Hm.".into(), Some("sig".into())), ("So.".into(), None)],
                    logprobs: Some(
                        r#"{"content":[{"token":"Hi","logprob":-0.50,"top_logprobs":[{"token":"Ho","logprob":-1}]}]}"#
                            .into(),
                    ),
                    finish: Finish::ToolCalls,
                    ..Choice::default()
                },
                Choice { refusal: Some("No.".into()), ..Choice::default() },
            ],
            usage: Some(Usage {
                prompt_tokens: 10,
                completion_tokens: 4,
                total_tokens: 14,
                cached_tokens: 3,
                reasoning_tokens: 1,
                ..Usage::default()
            }),
            ..Answer::default()
        };
        assert_eq!(
            written(&answer),
            json!({
                "candidates": [
                    {"content": {"role": "model", "parts": [
                        {"text": "Hm.", "thought": true, "thoughtSignature": "Y29vOnNpZw=="},
                        {"text": "So.", "thought": true},
                        {"text": "Hi \"there\"\n"},
                        {"functionCall": {"id": "c1", "name": "f", "args": {"a": [1]}}},
                        {"functionCall": {"name": "f", "args": {}}},
                        {"functionCall": {"id": "x", "name": "f", "args": {"_raw": "{\"a\":"}}},
                    ]}, "finishReason": "STOP", "index": 0, "logprobsResult": {
                        "chosenCandidates": [{"token": "Hi", "logProbability": -0.5}],
                        "topCandidates": [{"candidates": [{"token": "Ho", "logProbability": -1}]}],
                    }},
                    {"content": {"role": "model", "parts": [{"text": "No."}]}, "finishReason": "SAFETY", "index": 1},
                ],
                "usageMetadata": {
                    "promptTokenCount": 10, "cachedContentTokenCount": 3, "candidatesTokenCount": 3,
                    "thoughtsTokenCount": 1, "totalTokenCount": 14,
                },
                "modelVersion": "fast", "responseId": "chatcmpl-1",
            })
        );
        let empty = written(&Answer::default());
        assert_eq!(empty, json!({"candidates": [], "modelVersion": "fast", "responseId": "7"}));
    }

    #[test]
    fn ends() {
        for (finish, refused, wanted) in [
            (Finish::Stop, false, "STOP"),
            (Finish::ToolCalls, false, "STOP"),
            (Finish::Stop, true, "SAFETY"),
            (Finish::Length, true, "MAX_TOKENS"),
            (Finish::ContentFilter, false, "SAFETY"),
        ] {
            assert_eq!(finish_reason(finish, refused), wanted);
        }
        let mut out = Vec::new();
        write_count(12, &mut out);
        assert_eq!(out, br#"{"totalTokens":12}"#);
    }
}
