//! `POST /v1/embeddings` (https://platform.openai.com/docs/api-reference/embeddings/create).
//!
//! Vectors are made from the words of the input, so that texts with words in common are near each other.

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use serde_json::Value;

use super::{ApiError, validate};
use crate::simulate::{
    exchange::Call,
    json,
    reply::Reply,
    rng::{Rng, mix},
    text,
};

/// Most inputs of one request.
const MAX_INPUTS: usize = 2048;
/// Dimensions that each word of a text moves.
const PER_WORD: usize = 24;

pub(super) fn answer(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fields = validate::object(call.body)?;
    let model = validate::model(&fields)?;
    call.named(model, false);
    let fault = super::fault_or_error(call, model)?;
    let inputs = inputs(fields.get("input"))?;
    let large = model.ends_with("3-large");
    let most = if large { 3072 } else { 1536 };
    let dimensions = validate::integer(&fields, "dimensions", 1, most as i64)?.map_or(most, |n| n as usize);
    let base64 = match fields.get("encoding_format") {
        None | Some(Value::Null) => false,
        Some(Value::String(format)) if format == "float" => false,
        Some(Value::String(format)) if format == "base64" => true,
        Some(other) => {
            let message = format!("Invalid value: {other}. Supported values are: 'float' and 'base64'.");
            return Err(ApiError::param("encoding_format", "invalid_value", message));
        }
    };
    let tokens: usize = inputs.iter().map(Input::tokens).sum();
    let left = super::spend(call, model, tokens)?;

    let mut body = Buf::with_capacity(LARGE_BYTES);
    let out = body.vec_mut();
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, input) in inputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"object\":\"embedding\",\"index\":");
        json::number(out, index);
        out.extend_from_slice(b",\"embedding\":");
        let vector = embed(input, dimensions);
        if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            out.push(b'"');
            base64_encode(out, &bytes);
            out.push(b'"');
        } else {
            // Serialising numbers to a vector cannot fail.
            let _ = serde_json::to_writer(&mut *out, &vector);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"model\":");
    json::string(out, model);
    out.extend_from_slice(b",\"usage\":{\"prompt_tokens\":");
    json::number(out, tokens);
    out.extend_from_slice(b",\"total_tokens\":");
    json::number(out, tokens);
    out.extend_from_slice(b"}}");
    Ok(Reply { prompt_tokens: tokens as u64, ..super::json(call, body, wait, fault, left.as_ref()) })
}

enum Input<'a> {
    Text(&'a str),
    Tokens(&'a [Value]),
}

impl Input<'_> {
    fn tokens(&self) -> usize {
        match self {
            Input::Text(text) => text::prompt_tokens(text.len(), 0) - 2,
            Input::Tokens(tokens) => tokens.len(),
        }
    }
}

/// The input is a text, a list of texts, a list of tokens or a list of lists of tokens.
fn inputs(input: Option<&Value>) -> Result<Vec<Input<'_>>, ApiError> {
    let wrong = || {
        ApiError::invalid(
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
        )
    };
    let is_tokens = |all: &[Value]| all.iter().all(Value::is_u64);
    match input {
        None => Err(ApiError::missing("input")),
        Some(Value::String(text)) if text.is_empty() => Err(wrong()),
        Some(Value::String(text)) => Ok(vec![Input::Text(text)]),
        Some(Value::Array(all)) if all.is_empty() || all.len() > MAX_INPUTS && !is_tokens(all) => {
            Err(wrong())
        }
        Some(Value::Array(all)) if is_tokens(all) => Ok(vec![Input::Tokens(all)]),
        Some(Value::Array(all)) => all
            .iter()
            .map(|one| match one {
                Value::String(text) if !text.is_empty() => Ok(Input::Text(text)),
                Value::Array(tokens) if !tokens.is_empty() && is_tokens(tokens) => Ok(Input::Tokens(tokens)),
                _ => Err(wrong()),
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// A unit vector: each word moves a few dimensions chosen by its hash, over a faint noise from the whole.
fn embed(input: &Input<'_>, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0f32; dimensions];
    let mut whole = 0u64;
    let mut word = |hash: u64| {
        whole = whole.wrapping_add(mix(hash));
        let rng = Rng::new(hash);
        for _ in 0..PER_WORD {
            let bits = rng.bits();
            if let Some(x) = vector.get_mut((bits >> 1) as usize % dimensions) {
                *x += if bits & 1 == 0 { 1.0 } else { -1.0 };
            }
        }
    };
    match input {
        Input::Text(text) => text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|part| !part.is_empty())
            .for_each(|part| word(hash(part))),
        Input::Tokens(tokens) => {
            tokens.iter().filter_map(Value::as_u64).for_each(|token| word(token.wrapping_add(1)));
        }
    }
    let noise = Rng::new(whole);
    for x in &mut vector {
        *x += 0.02 * (noise.unit() as f32 - 0.5);
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}

fn hash(word: &str) -> u64 {
    word.chars()
        .flat_map(char::to_lowercase)
        .fold(0xcbf2_9ce4_8422_2325, |hash, c| (hash ^ u64::from(c)).wrapping_mul(0x0100_0000_01b3))
}

/// Appends base64 (RFC 4648 §4).
pub(crate) fn base64_encode(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at) & 63) as usize;
            out.push(if at <= group.len() { ALPHABET.get(digit).copied().unwrap_or(b'A') } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_rfc() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            base64_encode(&mut out, plain.as_bytes());
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn texts_with_words_in_common_are_near() {
        let embed = |text: &str| embed(&Input::Text(text), 1536);
        let near = |a: &str, b: &str| -> f32 { embed(a).iter().zip(embed(b)).map(|(x, y)| x * y).sum() };
        assert!(
            (near("What is the capital of France?", "What is the capital of France?") - 1.0).abs() < 1e-3
        );
        assert!(near("What is the capital of France?", "what's the capital of france") > 0.7);
        assert!(near("What is the capital of France?", "Write a poem on rust").abs() < 0.4);
    }
}
