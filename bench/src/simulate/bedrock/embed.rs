//! `InvokeModel` of models that make embeddings: Amazon's Titan
//! (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html) and Cohere's Embed
//! (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html).

use std::time::Duration;

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::encode::number_field,
};
use serde_json::{Value, json};

use super::{
    errors::ApiError,
    fields::{self, Fields, malformed, present},
};
use crate::simulate::{
    exchange::Call,
    reply::Reply,
    vector::{self, Input},
};

/// Most texts of one request to Cohere's.
const MAX_TEXTS: usize = 96;
/// How long vectors are, of Cohere's version 4 at most.
const TITAN_V1: i64 = 1536;
const TITAN: i64 = 1024;
const COHERE: i64 = 1024;
const COHERE_V4: i64 = 1536;

pub(super) fn answer(call: &Call<'_>, model: &str, wait: Duration) -> Result<Reply, ApiError> {
    call.named(model, false);
    let fault = super::fault_or_error(call, model)?;
    let fields = fields::body(call.body)?;
    let (answer, tokens) = if model.contains("amazon.titan-embed-text") {
        titan(&fields, !model.contains("v2"))?
    } else if model.contains("cohere.embed") {
        cohere(call, &fields, model.contains("v4"))?
    } else {
        return Err(ApiError::invalid("The provided model identifier is invalid."));
    };
    super::spend(call, tokens)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    body.put(answer.to_string().as_bytes());
    let mut reply = super::whole(body, wait, fault, &call.shard.rng);
    number_field(reply.headers.vec_mut(), "x-amzn-bedrock-input-token-count", tokens as u64);
    Ok(Reply { prompt_tokens: tokens as u64, ..reply })
}

/// An answer of Titan's, and the tokens read.
fn titan(fields: &Fields, bare: bool) -> Result<(Value, usize), ApiError> {
    let known: &[&str] =
        if bare { &["inputText"] } else { &["inputText", "dimensions", "normalize", "embeddingTypes"] };
    fields::only(fields, "", known)?;
    let input = Input::Text(fields::text(fields, "", "inputText")?);
    let dimensions = match present(fields, "dimensions").map(Value::as_i64) {
        None => {
            if bare {
                TITAN_V1
            } else {
                TITAN
            }
        }
        Some(Some(dimensions @ (256 | 512 | 1024))) => dimensions,
        Some(_) => return Err(malformed("dimensions", "expected one of 256, 512, 1024")),
    };
    let vector = vector::embed(&input, usize::try_from(dimensions).unwrap_or(1));
    let tokens = input.tokens();
    let mut answer = json!({"embedding": vector, "inputTextTokenCount": tokens});
    if let (false, Some(answer)) = (bare, answer.as_object_mut()) {
        answer.insert("embeddingsByType".to_owned(), json!({"float": vector}));
    }
    Ok((answer, tokens))
}

/// An answer of Cohere's, and the tokens read.
fn cohere(call: &Call<'_>, fields: &Fields, v4: bool) -> Result<(Value, usize), ApiError> {
    let mut known = vec!["texts", "input_type", "embedding_types", "truncate"];
    if v4 {
        known.extend(["output_dimension", "max_tokens", "images", "inputs"]);
    }
    fields::only(fields, "", &known)?;
    let kind = fields::text(fields, "", "input_type")?;
    if !["search_document", "search_query", "classification", "clustering"].contains(&kind) {
        return Err(malformed("input_type", &format!("{kind} is not a valid enum value")));
    }
    let ends: &[&str] = if v4 { &["NONE", "LEFT", "RIGHT"] } else { &["NONE", "START", "END"] };
    if let Some(end) = present(fields, "truncate")
        && !end.as_str().is_some_and(|end| ends.contains(&end))
    {
        return Err(malformed("truncate", &format!("{end} is not a valid enum value")));
    }
    let texts: Option<Vec<&str>> = fields::list(fields, "", "texts")?.iter().map(Value::as_str).collect();
    let texts = texts
        .filter(|texts| (1..=MAX_TEXTS).contains(&texts.len()))
        .ok_or_else(|| malformed("texts", &format!("expected 1 to {MAX_TEXTS} texts")))?;
    let dimensions = match present(fields, "output_dimension").map(Value::as_i64) {
        None => {
            if v4 {
                COHERE_V4
            } else {
                COHERE
            }
        }
        Some(Some(dimensions @ (256 | 512 | 1024 | 1536))) => dimensions,
        Some(_) => return Err(malformed("output_dimension", "expected one of 256, 512, 1024, 1536")),
    };
    let dimensions = usize::try_from(dimensions).unwrap_or(1);
    let tokens = texts.iter().map(|text| Input::Text(text).tokens()).sum();
    let vectors: Vec<Vec<f32>> =
        texts.iter().map(|text| vector::embed(&Input::Text(text), dimensions)).collect();
    let types = fields::list(fields, "", "embedding_types")?;
    let (response_type, embeddings) = match types {
        [] => ("embeddings_floats", json!(vectors)),
        types => {
            let mut by_type = Fields::new();
            for kind in types.iter().filter_map(Value::as_str) {
                let all: Option<Vec<Value>> = match kind {
                    "float" => Some(vectors.iter().map(|vector| json!(vector)).collect()),
                    small => {
                        vectors.iter().map(|one| vector::quantized(one, small).map(Into::into)).collect()
                    }
                };
                let all = all.ok_or_else(|| {
                    malformed("embedding_types", &format!("{kind} is not a valid enum value"))
                })?;
                by_type.insert(kind.to_owned(), all.into());
            }
            ("embeddings_by_type", by_type.into())
        }
    };
    let id = super::uuid(&call.shard.rng);
    Ok((json!({"id": id, "texts": texts, "response_type": response_type, "embeddings": embeddings}), tokens))
}
