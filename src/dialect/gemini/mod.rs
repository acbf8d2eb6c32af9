//! Google's Gemini API, `v1beta`, as a provider.
//!
//! Source: Gemini API reference (ai.google.dev/api), "Generating content" (`models.generateContent`,
//! `models.streamGenerateContent`), "Embeddings" (`models.batchEmbedContents`) and "Caching" (`Content`, `Part`,
//! `FunctionDeclaration`, `ToolConfig`); the types of the official SDK `google-genai`; the guides "Thought signatures",
//! "OpenAI compatibility", "File input methods" and "Troubleshooting".
//!
//! What goes over where an OpenAI client has no field for it:
//!
//! - The signature that a function call carries, which Gemini 3 demands back, is part of the call's id
//!   (`signature.rs`). Clients send ids back as they got them.
//! - Instructions have one place, `systemInstruction`: system messages from anywhere in the conversation go there.
//! - A thought that is sent back is left out: Gemini's own thoughts are in its signatures, and it asks for no others.
//! - The names of files are left out: they are labels, and no field of the API takes them.

pub mod answer;
mod contents;
pub mod embeddings;
pub mod error;
mod grounding;
pub mod inbound;
mod logprobs;
pub mod model;
pub mod request;
mod signature;
pub mod stream;
mod wire;
mod write;

pub use wire::read_usage;

/// How this dialect is called where something is said about it.
const PROVIDER: &str = "gemini";
