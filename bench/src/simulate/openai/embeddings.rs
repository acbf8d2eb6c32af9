//! `POST /v1/embeddings` (https://platform.openai.com/docs/api-reference/embeddings/create).

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use serde_json::Value;

use super::{ApiError, validate};
use crate::simulate::{
    exchange::Call,
    json,
    reply::Reply,
    vector::{self, Input},
};

/// Most inputs of one request.
const MAX_INPUTS: usize = 2048;

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
        let vector = vector::embed(input, dimensions);
        if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            out.push(b'"');
            vector::base64_encode(out, &bytes);
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
