//! From the dialect that a client speaks to the one that a provider speaks, and back.
//!
//! What each dialect can say is read into the form in the middle ([`chat`](super::chat)) and written from it. Where
//! both sides speak the same dialect, bytes go through as they are and nothing here is called.

pub mod embeddings;
pub mod rerank;
pub mod stream;

use embeddings::Wanted;

use super::{
    bedrock,
    chat::{Answer, Face, Losses, Malformed, Refused, Request},
    claude, cohere, gemini,
    openai::{self, chat::Family, request::Endpoint},
    provider_error::ProviderError,
    replicate,
    usage::Usage,
    vertex, voyage,
};

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// OpenAI's chat completions, as most do.
    OpenAi,
    /// Anthropic's Messages.
    Claude,
    /// Google's generateContent.
    Gemini,
    /// Cohere's version 2.
    Cohere,
    /// Voyage's, which has no chat.
    Voyage,
    /// Replicate's predictions.
    Replicate,
    /// Amazon Bedrock's Converse.
    Bedrock,
}

impl Wire {
    /// Whether a request to `endpoint` goes to such a provider as it is.
    #[must_use]
    pub fn is_spoken_at(self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Messages | Endpoint::CountTokens => self == Self::Claude,
            Endpoint::Responses => false,
            endpoint if endpoint.is_coheres() => self == Self::Cohere,
            endpoint if endpoint.is_googles() => self == Self::Gemini,
            _ => self == Self::OpenAi,
        }
    }

    /// Whether the body of an error with this status says of the key what its head does not, `family` being who speaks
    /// OpenAI's dialect. xAI answers to a wrong key with 400, as Google does.
    #[must_use]
    pub fn tells_in_body(self, family: Family, status: u16) -> bool {
        match self {
            Self::Gemini => matches!(status, 400 | 429),
            Self::Bedrock => status == 403,
            Self::OpenAi => status == 400 && family == Family::Grok,
            _ => false,
        }
    }

    /// Whether such a provider streams in answer to a request. Replicate does in answer to another one, at an address
    /// that its first answer tells, and where it tells none the answer comes whole.
    #[must_use]
    pub fn streams(self) -> bool {
        self != Self::Replicate
    }

    /// Whether such a provider can serve `endpoint` at all.
    #[must_use]
    pub fn serves(self, endpoint: Endpoint) -> bool {
        match endpoint.operation() {
            chat if chat.is_chat() || chat.is_count() => self != Self::Voyage,
            Endpoint::Embeddings => !matches!(self, Self::Claude | Self::Replicate),
            Endpoint::Rerank => matches!(self, Self::OpenAi | Self::Cohere | Self::Voyage),
            _ => self == Self::OpenAi,
        }
    }
}

/// What is said to a chat that came to where there is none.
const NO_CHAT: &str = "The provider of this model has no chat.";

/// How requests are written.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The provider, as errors name it.
    pub provider: &'a str,
    /// Whether what a provider has nothing like is left out (`policy.drop_unsupported_params`).
    pub drop: bool,
    /// The most tokens of an answer, for providers that must be told, where the client does not say.
    pub max_tokens: u64,
    /// Whether streams must be asked for their usage.
    pub ask_usage: bool,
    /// Whether it is OpenAI's own API, which wants the new name of `max_tokens`.
    pub max_completion_tokens: bool,
    /// In whose ways, of those who speak OpenAI's dialect.
    pub family: Family,
    /// Whether it is Vertex AI, which has requests a little different.
    pub vertex: bool,
}

/// Reads a client's chat request, in the dialect of `endpoint`.
///
/// # Errors
/// What that dialect does not allow.
pub fn chat(endpoint: Endpoint, body: &[u8]) -> Result<Request<'_>, Refused> {
    match endpoint {
        Endpoint::Messages => claude::inbound::read_request(body),
        Endpoint::Responses => openai::responses::read_request(body),
        Endpoint::CohereChat => cohere::inbound::read_request(body),
        Endpoint::GenerateContent => gemini::inbound::read_request(body, false),
        Endpoint::StreamGenerateContent => gemini::inbound::read_request(body, true),
        _ => openai::chat::read_request(body),
    }
}

/// Writes a client's request for a provider that speaks something else: a chat that was read, or embeddings.
///
/// # Errors
/// What the client's dialect does not allow, or the provider's cannot express.
pub fn request(
    (endpoint, chat): (Endpoint, Option<&Request<'_>>),
    body: &[u8],
    wire: Wire,
    model: &str,
    rules: Rules<'_>,
    out: &mut Vec<u8>,
) -> Result<(Losses, Wanted), Refused> {
    let mut losses = Losses::new(rules.drop);
    if endpoint.is_coheres() {
        losses = losses.with_names(cohere::inbound::NAMES);
    } else if endpoint.is_googles() {
        losses = losses.with_names(gemini::inbound::NAMES);
    }
    let Some(request) = chat else {
        let (asked, to) = ((endpoint, body), (model, rules.provider));
        let wanted = match endpoint.operation() {
            Endpoint::Rerank => rerank::request(asked, wire, to, &mut losses, out)?,
            _ => embeddings::request(asked, (wire, rules.vertex), to, &mut losses, out)?,
        };
        return Ok((losses, wanted));
    };
    match wire {
        Wire::OpenAi => {
            let Rules { provider, ask_usage, max_completion_tokens, family, .. } = rules;
            let to = openai::chat::Target { model, provider, ask_usage, max_completion_tokens, family };
            openai::chat::write_request(request, &to, &mut losses, out)?;
        }
        Wire::Claude => {
            claude::write_request(request, model, rules.max_tokens, &mut losses, out)?;
            if rules.vertex {
                vertex::claude_body(model, out);
            }
        }
        Wire::Gemini => gemini::request::write_request(request, model, &mut losses, out)?,
        Wire::Cohere => cohere::write_request(request, model, &mut losses, out)?,
        Wire::Voyage => return Losses::refuse("model", NO_CHAT),
        Wire::Replicate => replicate::request::write_request(request, model, &mut losses, out)?,
        Wire::Bedrock => bedrock::write_request(request, model, rules.max_tokens, &mut losses, out)?,
    }
    Ok((losses, Wanted::default()))
}

/// Writes a provider's whole answer for a client that speaks something else; the tokens used.
///
/// # Errors
/// The provider's answer is not what its dialect says.
pub fn answer(
    wire: Wire,
    body: &[u8],
    (endpoint, wanted): (Endpoint, &Wanted),
    face: &Face<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<Usage>, Malformed> {
    match endpoint.operation() {
        Endpoint::Embeddings => return embeddings::answer(wire, body, face, (endpoint, wanted), out),
        Endpoint::Rerank => return rerank::answer(wire, body, face, wanted, out),
        _ => {}
    }
    let answer: Answer<'_> = match wire {
        Wire::OpenAi => openai::chat::read_answer(body)?,
        Wire::Claude => claude::read_answer(body)?,
        Wire::Gemini => gemini::answer::read_answer(body)?,
        Wire::Cohere => cohere::read_answer(body)?,
        Wire::Voyage => return Err(Malformed(NO_CHAT)),
        Wire::Replicate => replicate::answer::read_answer(body)?,
        Wire::Bedrock => bedrock::read_answer(body)?,
    };
    if wanted.events {
        stream::write_whole(&answer, endpoint, face, wanted.usage, out);
        return Ok(answer.usage);
    }
    match endpoint {
        Endpoint::Messages => claude::inbound::write_answer(&answer, face, out),
        Endpoint::Responses => openai::responses::write_answer(&answer, face, out),
        Endpoint::CohereChat => cohere::inbound::write_answer(&answer, face, out),
        endpoint if endpoint.is_googles() => gemini::inbound::write_answer(&answer, face, out),
        _ => openai::chat::write_answer(&answer, face, out),
    }
    Ok(answer.usage)
}

/// What a provider's error says, in OpenAI's words.
#[must_use]
pub fn error(wire: Wire, status: u16, body: &[u8]) -> ProviderError {
    match wire {
        Wire::OpenAi => openai::chat::read_error(status, body),
        // Vertex AI answers for Claude in Google's words where a request does not reach it.
        Wire::Claude => match gemini::error::read_status(status, body) {
            Some(error) => error,
            None => claude::read_error(status, body),
        },
        Wire::Gemini => gemini::error::read_error(status, body),
        Wire::Cohere => cohere::read_error(status, body),
        Wire::Voyage => voyage::read_error(status, body),
        Wire::Replicate => replicate::error::read_error(status, body),
        Wire::Bedrock => bedrock::read_error(status, body),
    }
}

/// What went wrong, where an answer with a status of success is not one but an error, as OpenRouter sends them. That a
/// key of ours is not known is nothing that a client can mend, and is not told.
#[must_use]
pub fn error_in_answer(wire: Wire, body: &[u8]) -> Option<ProviderError> {
    let failure = (wire == Wire::OpenAi).then(|| openai::chat::read_failure(body)).flatten();
    failure.filter(|error| error.status != 401)
}

/// What the body of an error says of the key where [`Wire::tells_in_body`]: the status that it stands for, and for how
/// many milliseconds the key is to rest.
#[must_use]
pub fn error_of_key(wire: Wire, status: u16, body: &[u8]) -> (u16, Option<u64>) {
    match wire {
        Wire::OpenAi if openai::chat::refuses_key(body) => (401, None),
        Wire::Bedrock if bedrock::error::refuses_key(body) => (401, None),
        Wire::Gemini if status == 429 => (status, gemini::error::retry_after_ms(body)),
        Wire::Gemini if gemini::error::read_error(status, body).status == 401 => (401, None),
        _ => (status, None),
    }
}

/// Writes an error's body as the client at `endpoint` expects it.
pub fn write_error(error: &ProviderError, endpoint: Endpoint, out: &mut Vec<u8>) {
    match endpoint {
        Endpoint::Messages => claude::inbound::write_provider_error(error, None, out),
        endpoint if endpoint.is_coheres() => cohere::inbound::write_error(error, out),
        endpoint if endpoint.is_googles() => gemini::inbound::write_error(error, out),
        _ => openai::chat::write_error(error, out),
    }
}

#[cfg(test)]
#[path = "translate/robust_tests.rs"]
#[allow(clippy::indexing_slicing)]
mod robust_tests;
