//! `POST /v2/embed` (https://docs.cohere.com/reference/embed) and `POST /v2/rerank`
//! (https://docs.cohere.com/reference/rerank).

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use serde_json::{Value, json};

use super::{
    ApiError,
    fields::{self, Fields, present, wrong},
};
use crate::simulate::{
    exchange::Call,
    reply::Reply,
    vector::{self, Input},
};

const EMBED: &[&str] = &[
    "embedding_types",
    "images",
    "input_type",
    "inputs",
    "max_tokens",
    "model",
    "output_dimension",
    "priority",
    "texts",
    "truncate",
];
const RERANK: &[&str] =
    &["documents", "max_tokens_per_doc", "model", "priority", "query", "relevant_spans", "top_n"];
/// Most texts of one request, and most documents.
const MAX_TEXTS: usize = 96;
const MAX_DOCUMENTS: usize = 1000;
/// Documents of a search unit.
const UNIT: usize = 100;
/// Dimensions of `embed-v4.0`, and of those before.
const DIMENSIONS: i64 = 1536;
const OLD_DIMENSIONS: i64 = 1024;

pub(super) fn embed(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fields = fields::body(call.body, EMBED)?;
    let model = fields::required(&fields, "model")?;
    call.named(model, false);
    let fault = super::fault_or_error(call, model)?;
    let kind = fields::required(&fields, "input_type")?;
    if !["search_document", "search_query", "classification", "clustering", "image"].contains(&kind) {
        return Err(ApiError::invalid(format!("invalid request: input_type '{kind}' is not valid")));
    }
    let texts = texts(&fields, "texts", MAX_TEXTS)?;
    let most = if model.contains("v4") { DIMENSIONS } else { OLD_DIMENSIONS };
    let dimensions = fields::integer(&fields, "output_dimension", 1, most)?.unwrap_or(most);
    let dimensions = usize::try_from(dimensions).unwrap_or(1);
    let types = match fields::list(&fields, "embedding_types")? {
        [] => vec!["float"],
        types => types.iter().filter_map(Value::as_str).collect(),
    };
    let tokens: usize = texts.iter().map(|text| Input::Text(text).tokens()).sum();
    super::spend(call, model, tokens)?;
    let vectors: Vec<Vec<f32>> =
        texts.iter().map(|text| vector::embed(&Input::Text(text), dimensions)).collect();
    let mut embeddings = Fields::new();
    for kind in types {
        let all = vectors.iter().map(|vector| encoded(vector, kind)).collect::<Option<Vec<Value>>>();
        let Some(all) = all else {
            return Err(ApiError::invalid(format!("invalid request: embedding type '{kind}' is not valid")));
        };
        embeddings.insert(kind.to_owned(), all.into());
    }
    let answer = json!({
        "id": super::uuid(&call.shard.rng), "embeddings": embeddings, "texts": texts,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
        "response_type": "embeddings_by_type"
    });
    Ok(Reply { prompt_tokens: tokens as u64, ..whole(&answer, wait, fault) })
}

/// A vector as `kind` has it.
fn encoded(vector: &[f32], kind: &str) -> Option<Value> {
    match kind {
        "float" => Some(vector.into()),
        "base64" => {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            let mut out = Vec::new();
            vector::base64_encode(&mut out, &bytes);
            Some(String::from_utf8_lossy(&out).into())
        }
        small => vector::quantized(vector, small).map(Into::into),
    }
}

/// Ranks documents by the words they have in common with the query.
pub(super) fn rerank(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fields = fields::body(call.body, RERANK)?;
    let model = fields::required(&fields, "model")?;
    call.named(model, false);
    let fault = super::fault_or_error(call, model)?;
    let query = fields::required(&fields, "query")?;
    let documents = texts(&fields, "documents", MAX_DOCUMENTS)?;
    let top = fields::integer(&fields, "top_n", 1, i64::MAX)?;
    let tokens: usize = documents.iter().map(|text| Input::Text(text).tokens()).sum();
    super::spend(call, model, tokens)?;
    let results: Vec<Value> = vector::rank(query, &documents, top)
        .iter()
        .map(|(index, score)| json!({"index": index, "relevance_score": score}))
        .collect();
    let units = documents.len().div_ceil(UNIT);
    let answer = json!({
        "id": super::uuid(&call.shard.rng), "results": results,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}
    });
    Ok(Reply { prompt_tokens: tokens as u64, ..whole(&answer, wait, fault) })
}

fn texts<'a>(fields: &'a Fields, name: &str, most: usize) -> Result<Vec<&'a str>, ApiError> {
    if present(fields, name).is_none() {
        return Err(ApiError::invalid(format!("invalid request: {name} is a required parameter")));
    }
    let all = fields::list(fields, name)?;
    if all.is_empty() || all.len() > most {
        return Err(ApiError::invalid(format!("invalid request: {name} must have 1 to {most} elements")));
    }
    all.iter().map(|text| text.as_str().ok_or_else(|| wrong(name, "a list of strings"))).collect()
}

fn whole(answer: &Value, wait: Duration, fault: Option<crate::simulate::Fault>) -> Reply {
    let mut body = Buf::with_capacity(LARGE_BYTES);
    body.put(answer.to_string().as_bytes());
    super::whole(body, wait, fault)
}
