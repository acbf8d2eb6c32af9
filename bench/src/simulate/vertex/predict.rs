//! `predict` of a model for embeddings
//! (https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api).

use std::time::Duration;

use serde_json::{Value, json};

use super::ApiError;
use crate::simulate::{
    exchange::Call,
    gate,
    reply::Reply,
    vector::{self, Input},
};

/// Most inputs of a request; one for `gemini-embedding-001`.
const MAX_INSTANCES: usize = 250;
const DIMENSIONS: u64 = 768;
const GEMINI_DIMENSIONS: u64 = 3072;

pub(super) fn answer(call: &Call<'_>, model: &str, wait: Duration) -> Result<Reply, ApiError> {
    call.named(model, false);
    let body: Value =
        serde_json::from_slice(call.body).map_err(|_| ApiError::invalid("Invalid JSON payload."))?;
    let gemini = model.starts_with("gemini-");
    let most = if gemini { 1 } else { MAX_INSTANCES };
    let instances = body.get("instances").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if instances.is_empty() || instances.len() > most {
        let count = instances.len();
        return Err(ApiError::invalid(format!(
            "{count} instance(s) in the request, but 1 to {most} are allowed."
        )));
    }
    let full = if gemini { GEMINI_DIMENSIONS } else { DIMENSIONS };
    let wanted = body.pointer("/parameters/outputDimensionality").map(|wanted| wanted.as_u64().unwrap_or(0));
    let dimensions = wanted.unwrap_or(full);
    if !(1..=full).contains(&dimensions) {
        return Err(ApiError::invalid(format!("outputDimensionality must be in the range of [1, {full}].")));
    }
    let mut predictions = Vec::new();
    let (mut tokens, mut characters) = (0, 0);
    for instance in instances {
        let content = instance.get("content").and_then(Value::as_str).filter(|content| !content.is_empty());
        let content = content.ok_or_else(|| ApiError::invalid("The text content is empty."))?;
        let input = Input::Text(content);
        let count = input.tokens();
        tokens += count;
        characters += content.chars().count();
        let values = vector::embed(&input, usize::try_from(dimensions).unwrap_or(1));
        let statistics = json!({"truncated": false, "token_count": count});
        predictions.push(json!({"embeddings": {"values": values, "statistics": statistics}}));
    }
    gate::spend(call, tokens).map_err(|_| ApiError::exhausted())?;
    let answer = json!({"predictions": predictions, "metadata": {"billableCharacterCount": characters}});
    Ok(Reply { prompt_tokens: tokens as u64, ..super::whole(&answer, wait) })
}
