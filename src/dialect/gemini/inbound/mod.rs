//! `/v1beta/models/{model}:generateContent` and its like: Google's Gemini API as a client speaks it, in front of any
//! provider.
//!
//! Source: Gemini API reference (ai.google.dev/api), "Generating content" (`models.generateContent`,
//! `models.streamGenerateContent`), "Counting tokens" (`models.countTokens`), "Embeddings" and "Models"; the guides
//! "Function calling", "Thought signatures" and "Structured output"; the types of the official SDK `google-genai`;
//! google.aip.dev/193 for errors. Names may be written as protocol buffers have them too (`system_instruction`), as in
//! the guides' own examples.

pub mod answer;
mod contents;
mod embeddings;
pub mod error;
pub mod events;
mod logprobs;
pub mod models;
mod name;
mod rename;
pub mod request;
pub mod scan;
mod schema;
mod signature;
pub mod target;

pub use answer::{write_answer, write_count};
pub use embeddings::{read_embeddings, write_embeddings};
pub use error::{write_error, write_error_event};
pub use events::EventWriter;
pub use rename::renamed;
pub use request::{read_count, read_request};
pub use scan::scan;

/// What Google calls what OpenAI has another name for, where it is named as what a provider has nothing like.
pub const NAMES: &[(&str, &str)] = &[
    ("temperature", "generationConfig.temperature"),
    ("top_k", "generationConfig.topK"),
    ("top_p", "generationConfig.topP"),
    ("stop", "generationConfig.stopSequences"),
    ("seed", "generationConfig.seed"),
    ("n", "generationConfig.candidateCount"),
    ("presence_penalty", "generationConfig.presencePenalty"),
    ("frequency_penalty", "generationConfig.frequencyPenalty"),
    ("logprobs", "generationConfig.responseLogprobs"),
    ("top_logprobs", "generationConfig.logprobs"),
    ("response_format", "generationConfig.responseSchema"),
    ("reasoning_effort", "generationConfig.thinkingConfig"),
    ("thinking.budget_tokens", "generationConfig.thinkingConfig.thinkingBudget"),
    ("tool_choice", "toolConfig.functionCallingConfig"),
    ("dimensions", "outputDimensionality"),
    ("input_type", "taskType"),
];
