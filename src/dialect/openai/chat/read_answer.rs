//! Answers of providers that speak OpenAI's dialect, and what whole answers and chunks have in common.
//!
//! Source: OpenAI API reference, "The chat completion object"; DeepSeek, "Thinking mode", and vLLM, "Reasoning outputs"
//! (`reasoning_content`); OpenRouter, "Reasoning tokens" (`reasoning`, `reasoning_details`); Mistral, "Reasoning"
//! (`content` as an array with `thinking`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::read_error_object;
use super::wire::{List, Str, TextOr};
use crate::dialect::chat::{Answer, Call, Choice, Finish, Malformed};
use crate::dialect::json;
use crate::dialect::provider_error::ProviderError;
use crate::dialect::usage::Usage;

/// A whole answer or a chunk of one. Members of types that providers do not agree on are kept as they are.
#[derive(Deserialize)]
pub(super) struct AnswerWire<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<Str<'a>>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<ChoiceWire<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<GroqWire<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// Groq counts the tokens of a stream in its own member where nobody asked for them.
#[derive(Deserialize)]
struct GroqWire<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// One of the answers, or a piece of it.
#[derive(Deserialize)]
pub(super) struct ChoiceWire<'a> {
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    message: Option<SaidWire<'a>>,
    /// In chunks. Perplexity sends both.
    #[serde(borrow)]
    pub(super) delta: Option<SaidWire<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Str<'a>>,
    /// OpenRouter's, of an answer that failed.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    /// vLLM's: the stop text, or the number of a token.
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    /// The same of SGLang's.
    #[serde(borrow)]
    matched_stop: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
}

impl<'a> ChoiceWire<'a> {
    /// What went wrong, where it ended with an error, which OpenRouter and Mistral tell as the reason.
    pub(super) fn failure(&self) -> Option<ProviderError> {
        let reason = self.finish_reason.as_ref().is_some_and(|Str(reason)| reason == "error");
        match self.error.filter(|error| error.get() != "null") {
            Some(error) => Some(read_error_object(None, error.get().as_bytes())),
            None => reason.then(|| ProviderError {
                status: 502,
                kind: "server_error",
                code: None,
                param: None,
                message: "The provider ended the answer with an error.".to_owned(),
            }),
        }
    }

    /// The stop text that ended the answer. Some servers put the reason there that they translate.
    pub(super) fn stop_sequence(&self) -> Option<Cow<'a, str>> {
        const REASONS: [&str; 6] = ["stop", "end_turn", "eos", "length", "max_tokens", "tool_use"];
        let told = [self.stop_reason, self.matched_stop].into_iter().flatten();
        let texts = told.filter_map(|told| serde_json::from_str::<Str<'a>>(told.get()).ok());
        texts.map(|Str(text)| text).find(|text| !text.is_empty() && !REASONS.contains(&&**text))
    }
}

/// What is said.
#[derive(Default, Deserialize)]
pub(super) struct SaidWire<'a> {
    #[serde(borrow)]
    pub(super) content: Option<TextOr<'a, List<PartWire<'a>>>>,
    #[serde(borrow)]
    pub(super) refusal: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) reasoning: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<CallWire<'a>>>,
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) audio: Option<AudioWire<'a>>,
}

/// A part of `content` where that is an array.
#[derive(Debug, Deserialize)]
pub(super) struct PartWire<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    thinking: Option<Vec<ThinkingWire<'a>>>,
}

#[derive(Debug, Deserialize)]
struct ThinkingWire<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
}

/// Sound has no place in an [`Answer`]; what is said in it has.
#[derive(Deserialize)]
pub(super) struct AudioWire<'a> {
    #[serde(borrow)]
    pub(super) transcript: Option<Str<'a>>,
}

#[derive(Deserialize)]
pub(super) struct CallWire<'a> {
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    pub(super) id: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) function: Option<CalledWire<'a>>,
}

#[derive(Deserialize)]
pub(super) struct CalledWire<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

/// One of `reasoning_details`.
#[derive(Deserialize)]
struct DetailWire<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    summary: Option<Str<'a>>,
    #[serde(borrow)]
    signature: Option<Str<'a>>,
}

/// A thought, and the signature over it.
pub(super) struct Thought<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) signature: Option<Cow<'a, str>>,
}

/// Reads a whole answer.
///
/// # Errors
/// Where it is not a chat completion; an error object is none either.
pub fn read_answer(body: &[u8]) -> Result<Answer<'_>, Malformed> {
    let wire: AnswerWire<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not a chat completion"))?;
    if wire.error.is_some() {
        return Err(Malformed("the answer is an error object"));
    }
    let usage = wire.usage();
    let created = wire.created.and_then(|created| json::count(created.get().as_bytes())).unwrap_or(0);
    let Some(wires) = wire.choices else { return Err(Malformed("the answer has no choices")) };
    let choices = wires.into_iter().map(read_choice).collect::<Result<_, _>>()?;
    Ok(Answer { id: text_or_empty(wire.id), model: text_or_empty(wire.model), created, choices, usage })
}

impl AnswerWire<'_> {
    /// The tokens used, wherever they are counted.
    pub(super) fn usage(&self) -> Option<Usage> {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage);
        [self.usage, groq].into_iter().flatten().find_map(|usage| Usage::parse(usage.get().as_bytes()))
    }
}

/// What went wrong, where the body of an answer is an error or ends with one.
#[must_use]
pub fn read_failure(body: &[u8]) -> Option<ProviderError> {
    let wire: AnswerWire<'_> = serde_json::from_slice(body).ok()?;
    if wire.error.is_some() {
        return Some(read_error_object(None, body));
    }
    wire.choices?.iter().find_map(ChoiceWire::failure)
}

fn read_choice(wire: ChoiceWire<'_>) -> Result<Choice<'_>, Malformed> {
    if wire.failure().is_some() {
        return Err(Malformed("the answer ends with an error"));
    }
    let stop_sequence = wire.stop_sequence();
    let said = wire.message.unwrap_or_default();
    let (mut text, thought) = read_content(said.content);
    let reasoning = said.reasoning_content.or(said.reasoning).or(thought.map(Str));
    text = text.or(said.audio.and_then(|audio| audio.transcript).map(|Str(transcript)| transcript));
    let mut calls = Vec::new();
    for call in said.tool_calls.unwrap_or_default() {
        let Some(CalledWire { name: Some(Str(name)), arguments }) = call.function else {
            return Err(Malformed("a tool call has no function"));
        };
        calls.push(Call { id: text_or_empty(call.id), name, arguments: read_arguments(arguments)? });
    }
    Ok(Choice {
        // An empty text beside calls is none.
        text: text.filter(|text| calls.is_empty() || !text.is_empty()),
        calls,
        refusal: said.refusal.map(|Str(text)| text).filter(|text| !text.is_empty()),
        reasoning: read_thoughts(said.reasoning_details, reasoning)
            .into_iter()
            .map(|thought| (thought.text, thought.signature))
            .collect(),
        finish: wire.finish_reason.map_or(Finish::Stop, |Str(reason)| read_finish(&reason)),
        stop_sequence,
        logprobs: wire.logprobs.map(|logprobs| logprobs.get().into()),
        annotations: said.annotations.and_then(read_annotations),
    })
}

pub(super) fn text_or_empty(text: Option<Str<'_>>) -> Cow<'_, str> {
    text.map(|Str(text)| text).unwrap_or_default()
}

/// The text of a `content`, and what was thought where it stands there too.
pub(super) fn read_content<'a>(
    content: Option<TextOr<'a, List<PartWire<'a>>>>,
) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let parts = match content {
        None => return (None, None),
        Some(TextOr::Text(text)) => return (Some(text), None),
        Some(TextOr::Other(List(parts))) => parts,
    };
    let (mut text, mut thought) = (None, None);
    for part in parts {
        if let Some(Str(more)) = part.text {
            join(&mut text, more);
        }
        for Str(more) in part.thinking.unwrap_or_default().into_iter().filter_map(|part| part.text) {
            join(&mut thought, more);
        }
    }
    (text, thought)
}

fn join<'a>(text: &mut Option<Cow<'a, str>>, more: Cow<'a, str>) {
    *text = Some(match text.take() {
        None => more,
        Some(before) => before + more,
    });
}

/// What was thought: `details` where they say something, since only they carry signatures, else `text`.
pub(super) fn read_thoughts<'a>(details: Option<&'a RawValue>, text: Option<Str<'a>>) -> Vec<Thought<'a>> {
    let details = details.and_then(|details| serde_json::from_str::<Vec<DetailWire<'_>>>(details.get()).ok());
    let mut thoughts: Vec<_> = details
        .unwrap_or_default()
        .into_iter()
        .filter_map(|detail| {
            let text = detail.text.or(detail.summary);
            let signature = detail.signature.map(|Str(signature)| signature).filter(|text| !text.is_empty());
            (text.is_some() || signature.is_some()).then(|| Thought { text: text_or_empty(text), signature })
        })
        .collect();
    if thoughts.iter().all(|thought| thought.text.is_empty())
        && let Some(Str(text)) = text.filter(|Str(text)| !text.is_empty())
    {
        let signature = thoughts.pop().and_then(|thought| thought.signature);
        thoughts.push(Thought { text, signature });
    }
    thoughts
}

/// Arguments are JSON as text. A few providers send the JSON itself.
pub(super) fn read_arguments(arguments: Option<&RawValue>) -> Result<Cow<'_, str>, Malformed> {
    let Some(arguments) = arguments.map(RawValue::get) else { return Ok(Cow::Borrowed("")) };
    if !arguments.starts_with('"') {
        return Ok(Cow::Borrowed(arguments));
    }
    let Str(text) = serde_json::from_str(arguments).map_err(|_| Malformed("arguments are not text"))?;
    Ok(text)
}

/// Annotations, where there are any.
pub(super) fn read_annotations(annotations: &RawValue) -> Option<Cow<'_, str>> {
    let json = annotations.get();
    let empty = json.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]");
    (!empty).then_some(Cow::Borrowed(json))
}

/// Why it ended. Reasons that are not OpenAI's are taken for the nearest.
pub(super) fn read_finish(reason: &str) -> Finish {
    match reason {
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        // Mistral's, and DeepSeek's and SGLang's for an answer that was cut short for reasons of their own.
        "length" | "max_tokens" | "model_length" | "insufficient_system_resource" | "abort" => Finish::Length,
        "content_filter" | "safety" | "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAI: &str = r#"{"id":"chatcmpl-abc123","object":"chat.completion","created":1699896916,
        "model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,
        "annotations":[],"tool_calls":[{"id":"call_abc123","type":"function","function":{
        "name":"get_current_weather","arguments":"{\n\"location\": \"Boston, MA\"\n}"}}]},"logprobs":null,
        "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":82,"completion_tokens":17,"total_tokens":99,
        "completion_tokens_details":{"reasoning_tokens":0}},"service_tier":"default","system_fingerprint":null}"#;

    #[test]
    fn an_answer_of_the_reference() {
        let answer = read_answer(OPENAI.as_bytes()).unwrap();
        let call = Call {
            id: "call_abc123".into(),
            name: "get_current_weather".into(),
            arguments: "{\n\"location\": \"Boston, MA\"\n}".into(),
        };
        assert_eq!(
            answer,
            Answer {
                id: "chatcmpl-abc123".into(),
                model: "gpt-4o-mini".into(),
                created: 1_699_896_916,
                choices: vec![Choice { calls: vec![call], finish: Finish::ToolCalls, ..Choice::default() }],
                usage: Some(Usage {
                    prompt_tokens: 82,
                    completion_tokens: 17,
                    total_tokens: 99,
                    ..Usage::default()
                }),
            }
        );
        assert!(matches!(answer.id, Cow::Borrowed(_)));
    }

    #[test]
    fn what_providers_say_in_a_message() {
        let said = |text: &'static str| Choice { text: Some(text.into()), ..Choice::default() };
        let thought = |text: &'static str, thought: &'static str, signature: Option<&'static str>| Choice {
            reasoning: vec![(thought.into(), signature.map(Into::into))],
            ..said(text)
        };
        for (message, wanted) in [
            (r#"{"content":"Hi"}"#, said("Hi")),
            (r#"{"content":""}"#, said("")),
            // DeepSeek and vLLM.
            (r#"{"content":"Hi","reasoning_content":"Hm"}"#, thought("Hi", "Hm", None)),
            (r#"{"content":"Hi","reasoning":"Hm","reasoning_content":null}"#, thought("Hi", "Hm", None)),
            // OpenRouter.
            (
                r#"{"content":"Hi","reasoning":"Hm","reasoning_details":[{"type":"reasoning.text","text":"Hm",
                   "signature":"c2ln","format":"anthropic-claude-v1","index":0}]}"#,
                thought("Hi", "Hm", Some("c2ln")),
            ),
            (
                r#"{"content":"Hi","reasoning":"Hm","reasoning_details":[{"type":"reasoning.encrypted","data":"x"}]}"#,
                thought("Hi", "Hm", None),
            ),
            (r#"{"content":"Hi","reasoning":"Hm","reasoning_details":"?"}"#, thought("Hi", "Hm", None)),
            // Mistral.
            (
                r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"H"},{"type":"text","text":"m"}]},
                   {"type":"text","text":"Hi"}]}"#,
                thought("Hi", "Hm", None),
            ),
            // Sound.
            (r#"{"content":null,"audio":{"id":"audio_1","data":"UklG","transcript":"Hi"}}"#, said("Hi")),
            (
                r#"{"content":null,"refusal":"I can't."}"#,
                Choice { refusal: Some("I can't.".into()), ..Choice::default() },
            ),
            (
                r#"{"content":"","tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a": 1}}}]}"#,
                Choice {
                    calls: vec![Call { id: "1".into(), name: "f".into(), arguments: r#"{"a": 1}"#.into() }],
                    ..Choice::default()
                },
            ),
            (
                r#"{"content":"Hi","annotations":[{"type":"url_citation"}]}"#,
                Choice { annotations: Some(r#"[{"type":"url_citation"}]"#.into()), ..said("Hi") },
            ),
        ] {
            let body = format!(r#"{{"choices":[{{"index":0,"message":{message},"finish_reason":"stop"}}]}}"#);
            let answer = read_answer(body.as_bytes()).unwrap();
            assert_eq!(answer.choices, [wanted], "{message}");
        }
    }

    #[test]
    fn what_is_no_answer() {
        for body in [
            "",
            "[]",
            "<html>",
            "{}",
            r#"{"choices":5}"#,
            r#"{"error":{"message":"x"}}"#,
            r#"{"choices":[],"error":{"message":"x"}}"#,
            r#"{"choices":[{"message":{"tool_calls":[{"id":"1"}]}}]}"#,
            r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#,
            r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop","error":{"code":502}}]}"#,
            r#"{"choices":[{"message":{"content":"x"}}]"#,
        ] {
            assert!(read_answer(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn reasons_of_everyone() {
        for (reason, wanted) in [
            ("stop", Finish::Stop),
            // Together, Text Generation Inference.
            ("eos", Finish::Stop),
            ("eos_token", Finish::Stop),
            ("stop_sequence", Finish::Stop),
            ("length", Finish::Length),
            // Mistral.
            ("model_length", Finish::Length),
            ("tool_calls", Finish::ToolCalls),
            ("function_call", Finish::ToolCalls),
            ("content_filter", Finish::ContentFilter),
        ] {
            assert_eq!(read_finish(reason), wanted, "{reason}");
        }
    }

    #[test]
    fn an_answer_that_failed_says_why() {
        for (body, wanted) in [
            (
                r#"{"error":{"code":402,"message":"Insufficient credits"}}"#,
                Some((429, "Insufficient credits")),
            ),
            (
                r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error","error":{"code":502,"message":"Down"}}]}"#,
                Some((502, "Down")),
            ),
            (
                r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#,
                Some((502, "The provider ended the answer with an error.")),
            ),
            (r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop","error":null}]}"#, None),
            (r#"{"choices":5}"#, None),
            ("<html>", None),
        ] {
            let failure = read_failure(body.as_bytes());
            let told = failure.as_ref().map(|error| (error.status, &*error.message));
            assert_eq!(told, wanted, "{body}");
        }
    }

    #[test]
    fn stop_texts_are_told_from_reasons() {
        for (members, wanted) in [
            ("", None),
            (r#","stop_reason":"END!""#, Some("END!")),
            (r#","stop_reason":null"#, None),
            (r#","stop_reason":128009"#, None),
            (r#","stop_reason":"end_turn""#, None),
            (r#","matched_stop":"\n\n""#, Some("\n\n")),
            (r#","matched_stop":2,"stop_reason":"x""#, Some("x")),
        ] {
            let body = format!(
                r#"{{"choices":[{{"index":0,"message":{{"content":"a"}},"finish_reason":"stop"{members}}}]}}"#
            );
            let answer = read_answer(body.as_bytes()).unwrap();
            assert_eq!(answer.choices[0].stop_sequence.as_deref(), wanted, "{members}");
        }
    }
}
