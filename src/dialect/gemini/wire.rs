//! `GenerateContentResponse` as it comes, whole or as an event of a stream.
//!
//! Source: Gemini API reference, "Generating content". Fields that are left out mean their type's empty value.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::json::{Cursor, JsonError};
use crate::dialect::usage::Usage;

/// Text that borrows where it can; serde's own `Option<Cow>` never does.
#[derive(Debug, Deserialize)]
pub(super) struct Str<'a>(#[serde(borrow)] pub Cow<'a, str>);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub candidates: Vec<Candidate<'a>>,
    #[serde(borrow)]
    pub prompt_feedback: Option<PromptFeedback<'a>>,
    pub usage_metadata: Option<UsageMetadata>,
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
    #[serde(borrow)]
    pub response_id: Cow<'a, str>,
    /// In a stream that fails after it began.
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Candidate<'a> {
    #[serde(borrow)]
    pub content: Content<'a>,
    #[serde(borrow)]
    pub finish_reason: Option<Str<'a>>,
    pub index: u32,
    #[serde(borrow)]
    pub grounding_metadata: Option<Grounding<'a>>,
    #[serde(borrow)]
    pub logprobs_result: Option<LogprobsResult<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub parts: Vec<Part<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    pub thought: bool,
    #[serde(borrow)]
    pub thought_signature: Option<Str<'a>>,
    #[serde(borrow)]
    pub function_call: Option<FunctionCall<'a>>,
    #[serde(borrow)]
    pub inline_data: Option<Blob<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub args: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Blob<'a> {
    #[serde(borrow)]
    pub mime_type: Cow<'a, str>,
    #[serde(borrow)]
    pub data: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PromptFeedback<'a> {
    #[serde(borrow)]
    pub block_reason: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Grounding<'a> {
    #[serde(borrow)]
    pub grounding_chunks: Vec<GroundingChunk<'a>>,
    #[serde(borrow)]
    pub grounding_supports: Vec<GroundingSupport<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GroundingChunk<'a> {
    #[serde(borrow)]
    pub web: Option<Web<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Web<'a> {
    #[serde(borrow)]
    pub uri: Cow<'a, str>,
    #[serde(borrow)]
    pub title: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GroundingSupport<'a> {
    #[serde(borrow)]
    pub segment: Segment<'a>,
    pub grounding_chunk_indices: Vec<usize>,
}

/// Where in a part's text something stands, in bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Segment<'a> {
    pub part_index: usize,
    pub start_index: usize,
    pub end_index: usize,
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LogprobsResult<'a> {
    #[serde(borrow)]
    pub chosen_candidates: Vec<Logprob<'a>>,
    #[serde(borrow)]
    pub top_candidates: Vec<TopCandidates<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TopCandidates<'a> {
    #[serde(borrow)]
    pub candidates: Vec<Logprob<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Logprob<'a> {
    #[serde(borrow)]
    pub token: Cow<'a, str>,
    /// A number; kept as written, since protocol buffers write infinity as a text.
    #[serde(borrow)]
    pub log_probability: Option<&'a RawValue>,
}

/// Reads a `usageMetadata` object out of an answer that is passed on as it is.
///
/// # Errors
/// Where it is not JSON, or not all of it is there.
pub fn read_usage(cursor: &mut Cursor<'_>, answer: &[u8]) -> Result<Option<Usage>, JsonError> {
    let object = cursor.value()?.of(answer);
    Ok(serde_json::from_slice(object).ok().map(UsageMetadata::usage))
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UsageMetadata {
    prompt_token_count: u64,
    cached_content_token_count: u64,
    candidates_token_count: u64,
    tool_use_prompt_token_count: u64,
    thoughts_token_count: u64,
    total_token_count: u64,
}

impl UsageMetadata {
    /// In OpenAI's words: what tools brought in was read, and thoughts were written.
    pub fn usage(self) -> Usage {
        let prompt_tokens = self.prompt_token_count.saturating_add(self.tool_use_prompt_token_count);
        let completion_tokens = self.candidates_token_count.saturating_add(self.thoughts_token_count);
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: self.total_token_count.max(prompt_tokens.saturating_add(completion_tokens)),
            cached_tokens: self.cached_content_token_count,
            reasoning_tokens: self.thoughts_token_count,
            ..Usage::default()
        }
    }
}
