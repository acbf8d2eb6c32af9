//! `models/{model}:embedContent` and `:batchEmbedContents` (https://ai.google.dev/api/embeddings).

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use serde_json::Value;

use super::{
    ApiError, contents,
    proto::{self, Fields, get, join},
};
use crate::simulate::{
    exchange::Call,
    reply::Reply,
    vector::{self, Input},
};

const KNOWN: &[&str] =
    &["content", "embedContentConfig", "model", "outputDimensionality", "taskType", "title"];
/// Most requests of a batch.
const MAX_BATCH: usize = 100;
/// Dimensions of `gemini-embedding-001`, which is also the most, and of older models.
const DIMENSIONS: i64 = 3072;
const OLD_DIMENSIONS: i64 = 768;

/// One text to embed.
struct Asked {
    words: String,
    dimensions: usize,
}

impl Asked {
    fn read(fields: &Fields, path: &str, model: &str) -> Result<Self, ApiError> {
        proto::only(fields, path, KNOWN)?;
        let named = proto::text(fields, path, "model")?;
        if !named.is_empty() && named.strip_prefix("models/").unwrap_or(named) != model {
            return Err(ApiError::invalid(format!(
                "The model \"{named}\" of a request does not match \"models/{model}\" of the path."
            )));
        }
        let Some(content) = get(fields, "content") else {
            let path = join(path, "content");
            return Err(ApiError::invalid(format!(
                "* EmbedContentRequest.{path}: content is not specified\n"
            )));
        };
        let words = contents::words(content, &join(path, "content"))?;
        if words.is_empty() {
            return Err(ApiError::invalid("* EmbedContentRequest.content: contains an empty Part.\n"));
        }
        let config = get(fields, "embedContentConfig").and_then(Value::as_object).unwrap_or(fields);
        let most = if model.contains("embedding-001") { DIMENSIONS } else { OLD_DIMENSIONS };
        let dimensions = proto::integer(config, path, "outputDimensionality")?.unwrap_or(most);
        if !(1..=most).contains(&dimensions) {
            let message =
                format!("* EmbedContentRequest.output_dimensionality: must be between 1 and {most}\n");
            return Err(ApiError::invalid(message));
        }
        Ok(Self { words, dimensions: usize::try_from(dimensions).unwrap_or(1) })
    }

    fn tokens(&self) -> usize {
        Input::Text(&self.words).tokens()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"values\":");
        // Serialising numbers to a vector cannot fail.
        let _ = serde_json::to_writer(&mut *out, &vector::embed(&Input::Text(&self.words), self.dimensions));
        out.push(b'}');
    }
}

pub(super) fn one(call: &Call<'_>, model: &str, wait: Duration) -> Result<Reply, ApiError> {
    call.named(model, false);
    let fault = super::fault_or_error(call, model)?;
    let asked = Asked::read(&proto::body(call.body)?, "", model)?;
    super::spend(call, model, asked.tokens())?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    body.put(b"{\"embedding\":");
    asked.write(body.vec_mut());
    body.put(b"}");
    Ok(Reply { prompt_tokens: asked.tokens() as u64, ..super::whole(body, wait, fault) })
}

pub(super) fn batch(call: &Call<'_>, model: &str, wait: Duration) -> Result<Reply, ApiError> {
    call.named(model, false);
    let fault = super::fault_or_error(call, model)?;
    let fields = proto::body(call.body)?;
    proto::only(&fields, "", &["requests"])?;
    let requests = proto::list(&fields, "requests");
    if requests.is_empty() || requests.len() > MAX_BATCH {
        let message = format!("* BatchEmbedContentsRequest.requests: must have 1 to {MAX_BATCH} elements\n");
        return Err(ApiError::invalid(message));
    }
    let mut asked = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        let path = format!("requests[{at}]");
        let fields = proto::message(request, &path, "EmbedContentRequest")?;
        if get(fields, "model").is_none() {
            let message = format!("* BatchEmbedContentsRequest.{path}.model: model is not specified\n");
            return Err(ApiError::invalid(message));
        }
        asked.push(Asked::read(fields, &path, model)?);
    }
    let tokens = asked.iter().map(Asked::tokens).sum();
    super::spend(call, model, tokens)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    body.put(b"{\"embeddings\":[");
    for (at, one) in asked.iter().enumerate() {
        if at > 0 {
            body.put(b",");
        }
        one.write(body.vec_mut());
    }
    body.put(b"]}");
    Ok(Reply { prompt_tokens: tokens as u64, ..super::whole(body, wait, fault) })
}
