//! A whole answer, and the shapes that streams share with it.
//!
//! Source: Amazon Bedrock API reference, "Converse" (response), "ContentBlock", "TokenUsage"; User Guide, "Prompt
//! caching" (tokens of the cache are counted beside `inputTokens`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::chat::{Answer, Choice, Finish, Malformed, ToolCall, fields::Str};
use crate::dialect::claude::REDACTED;
use crate::dialect::usage::Usage;

/// The text, or none.
pub(super) fn text(text: Option<Str<'_>>) -> Cow<'_, str> {
    text.map(|text| text.0).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    output: Output<'a>,
    #[serde(borrow)]
    stop_reason: Option<Str<'a>>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Vec<Block<'a>>,
}

/// A content block, which has one of these members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Reasoning<'a>>,
    #[serde(borrow)]
    citations_content: Option<Cited<'a>>,
}

/// A call. Those of the service's own tools (`type`) are its own affair.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    #[serde(borrow)]
    pub tool_use_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow)]
    reasoning_text: Option<ReasoningText<'a>>,
    #[serde(borrow)]
    redacted_content: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct ReasoningText<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    signature: Option<Str<'a>>,
}

/// Text with its sources, which are places in documents that the client sent and have no like at OpenAI.
#[derive(Deserialize)]
struct Cited<'a> {
    #[serde(borrow)]
    content: Option<Vec<CitedText<'a>>>,
}

#[derive(Deserialize)]
struct CitedText<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
}

/// `TokenUsage`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
}

impl Counts {
    /// As the gateway counts.
    pub fn usage(self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_write_input_tokens.unwrap_or(0);
        let prompt = self.input_tokens.unwrap_or(0).saturating_add(cached).saturating_add(written);
        let completion = self.output_tokens.unwrap_or(0);
        Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            cached_tokens: cached,
            cache_write_tokens: written,
            ..Usage::default()
        }
    }
}

/// Why it ended. Reasons may be added to the API; one that is unknown is taken for an end like any other.
pub(super) fn finish(stop_reason: &str) -> Finish {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// What the model's maker has encrypted of its thoughts, as a signature.
pub(super) fn redacted<'a>(data: &str) -> Cow<'a, str> {
    format!("{REDACTED}{data}").into()
}

/// Reads the body of a successful answer. Blocks that OpenAI's chat has no form for are left out.
///
/// # Errors
/// Where it is none.
pub fn read_answer(body: &[u8]) -> Result<Answer<'_>, Malformed> {
    let body: Body<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not Converse's"))?;
    let mut choice = Choice::default();
    let say = |more: Cow<'_, str>, said: &mut Option<Cow<'_, str>>| match said {
        Some(before) => before.to_mut().push_str(&more),
        None => *said = Some(Cow::Owned(more.into_owned())),
    };
    for block in body.output.message.content {
        if let Some(more) = block.text {
            match &mut choice.text {
                // Usually there is one, which need not be copied.
                none @ None => *none = Some(more.0),
                said => say(more.0, said),
            }
        }
        for cited in block.citations_content.and_then(|cited| cited.content).into_iter().flatten() {
            say(text(cited.text), &mut choice.text);
        }
        if let Some(call) = block.tool_use.filter(|call| call.kind.is_none()) {
            choice.calls.push(ToolCall {
                id: text(call.tool_use_id),
                name: text(call.name),
                arguments: call.input.map_or("{}", RawValue::get).into(),
            });
        }
        if let Some(Reasoning { reasoning_text, redacted_content }) = block.reasoning_content {
            if let Some(thought) = reasoning_text {
                choice.reasoning.push((text(thought.text), thought.signature.map(|signature| signature.0)));
            }
            if let Some(data) = redacted_content {
                choice.reasoning.push(("".into(), Some(redacted(&data.0))));
            }
        }
    }
    choice.finish = finish(&text(body.stop_reason));
    Ok(Answer { choices: vec![choice], usage: body.usage.map(Counts::usage), ..Answer::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let body = br#"{"metrics":{"latencyMs":1275},"output":{"message":{"content":[{"text":"Here is a list \u00e9."}],
            "role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":125,"outputTokens":60,"totalTokens":185}}"#;
        let answer = read_answer(body).unwrap();
        let usage =
            Usage { prompt_tokens: 125, completion_tokens: 60, total_tokens: 185, ..Usage::default() };
        let choice = Choice { text: Some("Here is a list é.".into()), ..Choice::default() };
        assert_eq!(answer, Answer { choices: vec![choice], usage: Some(usage), ..Answer::default() });

        let body = br#"{"output":{"message":{"role":"assistant","content":[
            {"reasoningContent":{"reasoningText":{"text":"Both.","signature":"EqQB"}}},
            {"reasoningContent":{"redactedContent":"AAECAw=="}},
            {"text":"I'll "},{"citationsContent":{"content":[{"text":"look"},{"text":"."}],"citations":[]}},
            {"toolUse":{"toolUseId":"tooluse_server","name":"search","input":{},"type":"server_tool_use"}},
            {"toolUse":{"toolUseId":"tooluse_1","name":"top_song","input":{"sign": "WZPZ"}}},
            {"toolUse":{"toolUseId":"tooluse_2","name":"now","input":{}}},{"newBlock":{"a":1}}]}},
            "stopReason":"tool_use","usage":{"inputTokens":10,"outputTokens":5,"totalTokens":45,
            "cacheReadInputTokens":20,"cacheWriteInputTokens":10,"cacheDetails":[]}}"#;
        let mut answer = read_answer(body).unwrap();
        let usage = answer.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens), (40, 20, 10));
        assert_eq!(usage.total_tokens, 45);
        let call = |id: &'static str, name: &'static str, arguments: &'static str| ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        let wanted = Choice {
            text: Some("I'll look.".into()),
            calls: vec![
                call("tooluse_1", "top_song", "{\"sign\": \"WZPZ\"}"),
                call("tooluse_2", "now", "{}"),
            ],
            reasoning: vec![
                ("Both.".into(), Some("EqQB".into())),
                ("".into(), Some("redacted_thinking:AAECAw==".into())),
            ],
            finish: Finish::ToolCalls,
            ..Choice::default()
        };
        assert_eq!(answer.choices.pop().unwrap(), wanted);
    }

    #[test]
    fn reasons_have_names() {
        for (reason, wanted) in [
            ("end_turn", Finish::Stop),
            ("stop_sequence", Finish::Stop),
            ("max_tokens", Finish::Length),
            ("model_context_window_exceeded", Finish::Length),
            ("tool_use", Finish::ToolCalls),
            ("guardrail_intervened", Finish::ContentFilter),
            ("content_filtered", Finish::ContentFilter),
            ("one_of_next_year", Finish::Stop),
        ] {
            assert_eq!(finish(reason), wanted, "{reason}");
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for body in ["", "{", "[]", "{}", "{\"output\":{}}", "{\"output\":{\"message\":{}}}", "<html>"] {
            assert!(read_answer(body.as_bytes()).is_err(), "{body}");
        }
    }
}
