//! OpenAI's embeddings for providers that have others.
//!
//! Source: OpenAI API reference, "Create embeddings".

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{
    chat::{Losses, Malformed, Refused},
    gemini::embeddings,
    usage::Usage,
};

/// What the answer depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Whether vectors are to be base64, as OpenAI's own SDKs ask for.
    pub base64: bool,
    /// Tokens to tell where the provider does not count them.
    pub estimate: u64,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    input: &'a RawValue,
    dimensions: Option<u64>,
    encoding_format: Option<Cow<'a, str>>,
}

/// Writes the request for Gemini; what its answer depends on.
///
/// # Errors
/// What is wrong with the request, or cannot be expressed.
pub fn request(body: &[u8], model: &str, out: &mut Vec<u8>) -> Result<Wanted, Refused> {
    let Ok(asked) = serde_json::from_slice::<Asked<'_>>(body) else {
        return Losses::refuse("input", "'dimensions' must be a number and 'encoding_format' a text.");
    };
    let inputs: Vec<String> = match serde_json::from_str::<String>(asked.input.get()) {
        Ok(one) => vec![one],
        Err(_) => match serde_json::from_str(asked.input.get()) {
            Ok(several) => several,
            Err(_) => {
                return Losses::refuse(
                    "input",
                    "The provider of this model (gemini) takes text: make 'input' a text or an array of texts, not \
                     token numbers.",
                );
            }
        },
    };
    let base64 = match asked.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            return Losses::refuse("encoding_format", "'encoding_format' must be 'float' or 'base64'.");
        }
    };
    let texts: Vec<&str> = inputs.iter().map(String::as_str).collect();
    embeddings::write_embeddings(&texts, model, asked.dimensions, out)?;
    Ok(Wanted { base64, estimate: 0 })
}

/// Writes Gemini's answer as OpenAI's.
///
/// # Errors
/// Where it is none.
pub fn answer(
    body: &[u8],
    model: &str,
    wanted: Wanted,
    out: &mut Vec<u8>,
) -> Result<Option<Usage>, Malformed> {
    let answer = embeddings::read_embeddings(body)?;
    answer.write(model, wanted.base64, wanted.estimate, out)?;
    let tokens = answer.prompt_tokens.unwrap_or(wanted.estimate);
    Ok(Some(Usage { prompt_tokens: tokens, total_tokens: tokens, ..Usage::default() }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_and_token_numbers_refused() {
        for (body, count) in [
            (r#"{"model":"m","input":"a"}"#, 1),
            (r#"{"model":"m","input":["a","b\n"],"encoding_format":"base64","dimensions":8}"#, 2),
        ] {
            let mut out = Vec::new();
            let wanted = request(body.as_bytes(), "gemini-embedding-001", &mut out).unwrap();
            assert_eq!(wanted.base64, count == 2);
            let sent: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(sent["requests"].as_array().unwrap().len(), count);
        }
        for (body, param) in [
            (r#"{"model":"m","input":[1,2]}"#, "input"),
            (r#"{"model":"m","input":"a","encoding_format":"hex"}"#, "encoding_format"),
        ] {
            assert_eq!(request(body.as_bytes(), "m", &mut Vec::new()).unwrap_err().param, param);
        }
    }

    #[test]
    fn vectors_come_back_as_asked() {
        let answer_body = br#"{"embeddings":[{"values":[0.5,-1]}]}"#;
        let mut out = Vec::new();
        let usage = answer(answer_body, "m", Wanted { base64: false, estimate: 7 }, &mut out).unwrap();
        assert_eq!(usage.map(|usage| usage.prompt_tokens), Some(7));
        let got: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(got["data"][0]["embedding"], serde_json::json!([0.5, -1]));
        assert_eq!((&got["object"], &got["usage"]["total_tokens"]), (&"list".into(), &7.into()));
    }
}
