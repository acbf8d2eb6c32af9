//! The response object and its items.
//!
//! Source: OpenAI API reference, "The response object".

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::dialect::chat::Finish;
use crate::dialect::usage;

/// The response object. What was asked for is not repeated in it: those fields say what they say when nothing was
/// asked, and clients know their own requests.
#[derive(Serialize)]
pub struct Response<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created_at: u64,
    pub status: &'static str,
    pub background: bool,
    pub error: Option<Failure<'a>>,
    pub incomplete_details: Option<Incomplete>,
    pub instructions: Option<&'a str>,
    pub metadata: Empty,
    pub model: &'a str,
    pub output: &'a [Box<RawValue>],
    pub parallel_tool_calls: bool,
    pub previous_response_id: Option<&'a str>,
    pub store: bool,
    pub temperature: Option<f64>,
    pub tool_choice: &'static str,
    pub tools: [(); 0],
    pub top_p: Option<f64>,
    pub truncation: &'static str,
    pub usage: Option<Usage>,
}

#[derive(Serialize)]
pub struct Empty {}

#[derive(Serialize)]
pub struct Failure<'a> {
    pub code: &'static str,
    pub message: &'a str,
}

#[derive(Serialize)]
pub struct Incomplete {
    reason: &'static str,
}

impl<'a> Response<'a> {
    /// A response that has only begun.
    pub fn new(id: &'a str, model: &'a str, created_at: u64, output: &'a [Box<RawValue>]) -> Self {
        Self {
            id,
            object: "response",
            created_at,
            status: "in_progress",
            background: false,
            error: None,
            incomplete_details: None,
            instructions: None,
            metadata: Empty {},
            model,
            output,
            parallel_tool_calls: true,
            previous_response_id: None,
            store: false,
            temperature: None,
            tool_choice: "auto",
            tools: [],
            top_p: None,
            truncation: "disabled",
            usage: None,
        }
    }

    /// The same at its end. A refusal is an answer; an answer that the provider cut is not whole.
    pub fn ended(self, finish: Finish, refused: bool, usage: Option<usage::Usage>) -> Self {
        let reason = match finish {
            Finish::Length => Some("max_output_tokens"),
            Finish::ContentFilter if !refused => Some("content_filter"),
            _ => None,
        };
        Self {
            status: if reason.is_some() { "incomplete" } else { "completed" },
            incomplete_details: reason.map(|reason| Incomplete { reason }),
            usage: usage.map(Usage::of),
            ..self
        }
    }
}

/// An item of the output.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item<'a> {
    Reasoning {
        id: &'a str,
        summary: &'a [Box<RawValue>],
        /// The provider's signature over the thought, which it wants back.
        encrypted_content: Option<&'a str>,
    },
    Message {
        id: &'a str,
        status: &'static str,
        role: &'static str,
        content: &'a [Box<RawValue>],
    },
    FunctionCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
}

/// A part of an item.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part<'a> {
    OutputText { text: &'a str, annotations: &'a [Annotation], logprobs: &'a [Box<RawValue>] },
    Refusal { refusal: &'a str },
    SummaryText { text: &'a str },
}

/// A source quoted. Chat completions have its fields in an object of their own.
#[derive(Clone, Debug, Serialize)]
pub struct Annotation {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    citation: Citation,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Citation {
    start_index: u64,
    end_index: u64,
    url: String,
    title: String,
}

/// Reads the `annotations` of chat completions. Of other forms than theirs there is nothing to show.
pub fn annotations(json: &str) -> Vec<Annotation> {
    #[derive(Deserialize)]
    struct Quoted {
        url_citation: Option<Citation>,
    }
    let quoted: Vec<Quoted> = serde_json::from_str(json).unwrap_or_default();
    let citations = quoted.into_iter().filter_map(|quoted| quoted.url_citation);
    citations.map(|citation| Annotation { kind: "url_citation", citation }).collect()
}

/// Reads the `logprobs` of chat completions: those of the text.
pub fn logprobs(json: &str) -> Vec<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Logprobs {
        content: Option<Vec<Box<RawValue>>>,
    }
    serde_json::from_str::<Logprobs>(json).ok().and_then(|logprobs| logprobs.content).unwrap_or_default()
}

/// The object of a value, to be kept. Nothing of ours refuses to be written.
pub fn kept(value: &impl Serialize) -> Box<RawValue> {
    let written = to_raw_value(value);
    debug_assert!(written.is_ok(), "{written:?}");
    written.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// An id as OpenAI's look: with this prefix, in place of the one it has.
pub fn id(prefix: &str, provider: &str, face: &str) -> String {
    let id = if provider.is_empty() { face } else { provider };
    let bare = ["resp_", "chatcmpl-", "msg_"].iter().find_map(|known| id.strip_prefix(known));
    format!("{prefix}{}", bare.unwrap_or(id))
}

/// The counts, with their details.
#[derive(Serialize)]
pub struct Usage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl Usage {
    fn of(usage: usage::Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached_tokens,
                cache_write_tokens: usage.cache_write_tokens,
            },
            output_tokens: usage.output_tokens(),
            output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning_tokens },
            total_tokens: usage.prompt_tokens.saturating_add(usage.output_tokens()),
        }
    }
}
