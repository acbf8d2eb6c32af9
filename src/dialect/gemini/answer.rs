//! A whole `GenerateContentResponse` as an answer.
//!
//! Source: Gemini API reference, "Generating content" (`Candidate`, `FinishReason`, `PromptFeedback`).

use std::borrow::Cow;

use super::wire::{Blob, Candidate, FunctionCall, Response};
use super::{grounding, logprobs, signature};
use crate::dialect::chat::{Answer, Choice, Finish, Malformed, ToolCall};

/// Reads an answer's body.
///
/// # Errors
/// Where it is not such an answer, or where the model failed to give one: what it wrote was no valid call, and it said
/// nothing else.
pub fn read_answer(body: &[u8]) -> Result<Answer<'_>, Malformed> {
    let response: Response<'_> = serde_json::from_slice(body)
        .map_err(|_| Malformed("The answer is not a GenerateContentResponse."))?;
    let mut choices = Vec::with_capacity(response.candidates.len());
    for candidate in response.candidates {
        choices.push(read_candidate(candidate, &response.response_id)?);
    }
    if choices.is_empty() {
        let Some(reason) = response.prompt_feedback.and_then(|feedback| feedback.block_reason) else {
            return Err(Malformed("The answer has no candidates."));
        };
        let refusal = Some(blocked(&reason.0).into());
        choices.push(Choice { refusal, finish: Finish::ContentFilter, ..Choice::default() });
    }
    Ok(Answer {
        id: response.response_id,
        model: response.model_version,
        created: 0,
        choices,
        usage: response.usage_metadata.map(super::wire::UsageMetadata::usage),
    })
}

fn read_candidate<'a>(candidate: Candidate<'a>, response: &str) -> Result<Choice<'a>, Malformed> {
    let mut choice = Choice::default();
    let mut starts = Vec::with_capacity(candidate.content.parts.len());
    for part in candidate.content.parts {
        starts.push(choice.text.as_deref().map_or(0, str::len));
        let signature = part.thought_signature.map(|signature| signature.0);
        if let Some(call) = part.function_call {
            let index = u32::try_from(choice.calls.len()).unwrap_or(u32::MAX);
            choice.calls.push(read_call(call, signature.as_deref(), response, candidate.index, index));
            continue;
        }
        let signature = signature.map(|signature| signature::mark(&signature));
        match part.text {
            Some(text) if part.thought => choice.reasoning.push((text.0, signature)),
            Some(text) => {
                if !text.0.is_empty() {
                    append(&mut choice.text, text.0);
                }
                if signature.is_some() {
                    choice.reasoning.push((Cow::Borrowed(""), signature));
                }
            }
            None => {}
        }
        if let Some(blob) = part.inline_data {
            append(&mut choice.text, show(&blob).into());
        }
    }
    let text = choice.text.as_deref().unwrap_or("");
    choice.annotations = candidate
        .grounding_metadata
        .and_then(|metadata| grounding::annotations(&metadata, text, &starts))
        .map(Cow::Owned);
    choice.logprobs = candidate.logprobs_result.and_then(|result| logprobs::openai(&result)).map(Cow::Owned);
    choice.finish = match candidate.finish_reason {
        None => End::Done,
        Some(reason) => End::of(&reason.0),
    }
    .finish(choice.text.is_some(), !choice.calls.is_empty())?;
    Ok(choice)
}

fn append<'a>(text: &mut Option<Cow<'a, str>>, more: Cow<'a, str>) {
    match text {
        None => *text = Some(more),
        Some(text) => text.to_mut().push_str(&more),
    }
}

/// A call with an id that the client can send back.
pub(super) fn read_call<'a>(
    call: FunctionCall<'a>,
    signature: Option<&str>,
    response: &str,
    choice: u32,
    index: u32,
) -> ToolCall<'a> {
    let id = if call.id.is_empty() { signature::made_up(response, choice, index).into() } else { call.id };
    ToolCall {
        id: signature::join(id, signature),
        name: call.name,
        arguments: call.args.map_or(Cow::Borrowed("{}"), |args| compact(args.get())),
    }
}

/// JSON without the line breaks and spaces that whole answers are laid out with.
pub(super) fn compact(json: &str) -> Cow<'_, str> {
    if !json.contains('\n') {
        return json.into();
    }
    let mut compact = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for char in json.chars() {
        if in_string || !char.is_ascii_whitespace() {
            compact.push(char);
        }
        if char == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && char == '\\' && !escaped;
    }
    compact.into()
}

/// An image of a model that makes them, as text: an OpenAI message has no other place for it.
pub(super) fn show(blob: &Blob<'_>) -> String {
    format!("![image](data:{};base64,{})", blob.mime_type, blob.data)
}

/// What the client is told of a prompt that was blocked.
pub(super) fn blocked(reason: &str) -> String {
    format!("Gemini blocked this prompt ({reason}).")
}

/// What a `FinishReason` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It said all.
    Done,
    /// It came to the limit.
    Length,
    /// What it said, or was about to say, may not be said.
    Filtered,
    /// What it wrote was not what it should have written.
    Failed,
}

impl End {
    pub fn of(reason: &str) -> Self {
        match reason {
            "MAX_TOKENS" => Self::Length,
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "ESCALATION"
            | "PUP_LIMITED_DISABLED"
            | "MODEL_ARMOR" => Self::Filtered,
            "MALFORMED_FUNCTION_CALL"
            | "MALFORMED_RESPONSE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "NO_IMAGE"
            | "IMAGE_OTHER" => Self::Failed,
            // "OTHER" too: nothing more is known of it.
            _ => Self::Done,
        }
    }

    /// In OpenAI's words, after text or calls.
    pub fn finish(self, text: bool, calls: bool) -> Result<Finish, Malformed> {
        match self {
            Self::Length => Ok(Finish::Length),
            Self::Filtered => Ok(Finish::ContentFilter),
            Self::Done | Self::Failed if calls => Ok(Finish::ToolCalls),
            Self::Failed if !text => Err(FAILED),
            Self::Done | Self::Failed => Ok(Finish::Stop),
        }
    }
}

/// The model's own failure, which the next attempt may not repeat.
pub(super) const FAILED: Malformed = Malformed("The model wrote no valid answer or function call.");

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
