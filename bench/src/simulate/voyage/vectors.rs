//! `POST /v1/embeddings` (https://docs.voyageai.com/reference/embeddings-api) and `POST /v1/rerank`
//! (https://docs.voyageai.com/reference/reranker-api).

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use serde_json::{Map, Value, json};

use super::ApiError;
use crate::simulate::{
    exchange::Call,
    faults::Fault,
    gate,
    reply::Reply,
    vector::{self, Input},
};

const EMBEDDINGS: &[&str] =
    &["encoding_format", "input", "input_type", "model", "output_dimension", "output_dtype", "truncation"];
const RERANK: &[&str] = &["documents", "model", "query", "return_documents", "top_k", "truncation"];
/// Most texts of one request, and most documents.
const MAX_TEXTS: usize = 1000;
/// The lengths of vectors that can be chosen, the usual one first.
const DIMENSIONS: [u64; 4] = [1024, 256, 512, 2048];

pub(super) fn embed(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fields = body(call.body, EMBEDDINGS)?;
    let (model, fault) = begin(call, &fields)?;
    let one = present(&fields, "input").and_then(Value::as_str);
    let texts = match one {
        Some(one) => vec![one],
        None => texts(&fields, "input")?,
    };
    choice(&fields, "input_type", &["query", "document"])?;
    let packed = choice(&fields, "encoding_format", &["base64"])?.is_some();
    let kind = choice(&fields, "output_dtype", &["float", "int8", "uint8", "binary", "ubinary"])?;
    boolean(&fields, "truncation")?;
    let [usual, ..] = DIMENSIONS;
    let dimensions = match present(&fields, "output_dimension").map(Value::as_u64) {
        None => usual,
        Some(Some(dimensions)) if DIMENSIONS.contains(&dimensions) => dimensions,
        Some(_) => return Err(ApiError::value("output_dimension", "256, 512, 1024, 2048")),
    };
    let tokens = count(&texts);
    spend(call, model, tokens)?;
    let embedding = |(index, text): (usize, &&str)| {
        let vector = vector::embed(&Input::Text(text), usize::try_from(dimensions).unwrap_or(1));
        let value = encoded(&vector, kind.unwrap_or("float"), packed);
        json!({"object": "embedding", "embedding": value, "index": index})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(embedding).collect();
    let answer = json!({"object": "list", "data": data, "model": model, "usage": {"total_tokens": tokens}});
    Ok(Reply { prompt_tokens: tokens as u64, ..whole(&answer, wait, fault) })
}

/// A vector in numbers of this type, or in base64 of their bytes.
fn encoded(vector: &[f32], kind: &str, packed: bool) -> Value {
    let small = vector::quantized(vector, kind);
    if !packed {
        return small.map_or_else(|| vector.into(), Into::into);
    }
    let bytes: Vec<u8> = match small {
        // Each is of one byte, with a sign or without.
        Some(small) => small.iter().map(|x| *x as u8).collect(),
        None => vector.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    let mut out = Vec::new();
    vector::base64_encode(&mut out, &bytes);
    String::from_utf8_lossy(&out).into()
}

/// Ranks documents by the words they have in common with the query.
pub(super) fn rerank(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fields = body(call.body, RERANK)?;
    let (model, fault) = begin(call, &fields)?;
    let Some(query) = present(&fields, "query").and_then(Value::as_str) else {
        return Err(ApiError::invalid("Argument 'query' must be a string."));
    };
    let documents = texts(&fields, "documents")?;
    let top = match present(&fields, "top_k").map(Value::as_i64) {
        None => None,
        Some(Some(top)) if top > 0 => Some(top),
        Some(_) => return Err(ApiError::value("top_k", "a positive integer")),
    };
    boolean(&fields, "truncation")?;
    let returned = boolean(&fields, "return_documents")?.unwrap_or(false);
    let tokens = count(&documents) + Input::Text(query).tokens() * documents.len();
    spend(call, model, tokens)?;
    let ranked = |(index, score): &(usize, f32)| {
        let mut one = json!({"relevance_score": score, "index": index});
        if let (true, Some(document), Some(fields)) = (returned, documents.get(*index), one.as_object_mut()) {
            fields.insert("document".to_owned(), (*document).into());
        }
        one
    };
    let data: Vec<Value> = vector::rank(query, &documents, top).iter().map(ranked).collect();
    let answer = json!({"object": "list", "data": data, "model": model, "usage": {"total_tokens": tokens}});
    Ok(Reply { prompt_tokens: tokens as u64, ..whole(&answer, wait, fault) })
}

/// The body as a JSON object of known fields.
fn body(body: &[u8], known: &[&str]) -> Result<Map<String, Value>, ApiError> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err(ApiError::invalid("Your request body is not valid JSON."));
    };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(ApiError::invalid(format!("Argument '{name}' is not supported by our API."))),
        None => Ok(fields),
    }
}

/// The model, which must exist, and the fault chosen for this request.
fn begin<'f>(call: &Call<'_>, fields: &'f Map<String, Value>) -> Result<(&'f str, Option<Fault>), ApiError> {
    let Some(model) = present(fields, "model").and_then(Value::as_str) else {
        return Err(ApiError::invalid("Argument 'model' must be a string."));
    };
    call.named(model, false);
    let fault = gate::fault(call, model).map_err(|trouble| ApiError::of(trouble, model))?;
    Ok((model, fault))
}

/// Spends a request of `tokens` from its key's limits, and draws the random errors. Voyage does not tell what is left.
fn spend(call: &Call<'_>, model: &str, tokens: usize) -> Result<(), ApiError> {
    gate::spend(call, tokens).map(|_| ()).map_err(|trouble| ApiError::of(trouble, model))
}

fn count(texts: &[&str]) -> usize {
    texts.iter().map(|text| Input::Text(text).tokens()).sum()
}

/// A field that is there and not null.
fn present<'f>(fields: &'f Map<String, Value>, name: &str) -> Option<&'f Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn boolean(fields: &Map<String, Value>, name: &str) -> Result<Option<bool>, ApiError> {
    match present(fields, name).map(Value::as_bool) {
        None => Ok(None),
        Some(Some(value)) => Ok(Some(value)),
        Some(None) => Err(ApiError::value(name, "true, false")),
    }
}

/// A text that must be one of some.
fn choice<'f>(
    fields: &'f Map<String, Value>,
    name: &str,
    accepted: &[&str],
) -> Result<Option<&'f str>, ApiError> {
    match present(fields, name).map(Value::as_str) {
        None => Ok(None),
        Some(Some(value)) if accepted.contains(&value) => Ok(Some(value)),
        Some(_) => Err(ApiError::value(name, &accepted.join(", "))),
    }
}

fn texts<'f>(fields: &'f Map<String, Value>, name: &str) -> Result<Vec<&'f str>, ApiError> {
    let Some(Value::Array(all)) = present(fields, name) else {
        return Err(ApiError::invalid(format!("Argument '{name}' must be a list of strings.")));
    };
    if all.is_empty() || all.len() > MAX_TEXTS {
        return Err(ApiError::invalid(format!("Argument '{name}' must have 1 to {MAX_TEXTS} elements.")));
    }
    let text = |text: &'f Value| text.as_str().filter(|text| !text.is_empty());
    all.iter()
        .map(|one| {
            let wrong = || ApiError::invalid(format!("Argument '{name}' must not have empty strings."));
            text(one).ok_or_else(wrong)
        })
        .collect()
}

fn whole(answer: &Value, wait: Duration, fault: Option<Fault>) -> Reply {
    let mut body = Buf::with_capacity(LARGE_BYTES);
    body.put(answer.to_string().as_bytes());
    super::whole(body, wait, fault)
}
