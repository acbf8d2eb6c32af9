//! Probabilities, from OpenAI's `logprobs` object.
//!
//! Source: OpenAI API reference, "The chat completion object" (`logprobs`); Gemini API reference, "Generating content"
//! (`LogprobsResult`).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::chat::fields::Str;
use crate::dialect::gemini::write::{Array, Object};

#[derive(Deserialize)]
struct Logprobs<'a> {
    #[serde(borrow)]
    content: Option<Vec<Token<'a>>>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    token: Option<Str<'a>>,
    /// As it was written: no digit is lost.
    #[serde(borrow)]
    logprob: Option<&'a RawValue>,
    #[serde(borrow, default)]
    top_logprobs: Vec<Token<'a>>,
}

/// Writes `logprobsResult`, where there is something to say.
pub(super) fn write(json: &str, candidate: &mut Object<'_>) {
    let Ok(Logprobs { content: Some(tokens) }) = serde_json::from_str(json) else { return };
    let mut result = Object::begin(candidate.key("logprobsResult"));
    let mut chosen = Array::begin(result.key("chosenCandidates"));
    for token in &tokens {
        write_token(token, chosen.element());
    }
    chosen.end();
    let mut top = Array::begin(result.key("topCandidates"));
    for token in &tokens {
        let mut place = Object::begin(top.element());
        let mut candidates = Array::begin(place.key("candidates"));
        for token in &token.top_logprobs {
            write_token(token, candidates.element());
        }
        candidates.end();
        place.end();
    }
    top.end();
    result.end();
}

fn write_token(token: &Token<'_>, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.text("token", token.token.as_ref().map_or("", |Str(text)| text));
    if let Some(number) = token.logprob {
        object.raw("logProbability", number.get());
    }
    object.end();
}
