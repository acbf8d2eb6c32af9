//! Embeddings: `batchEmbedContents`.
//!
//! Source: Gemini API reference, "Embeddings" (`BatchEmbedContentsRequest`, `ContentEmbedding`), and the guide
//! "Embeddings": one embedding for each request of the batch.
//!
//! Vectors are passed on as they come: `gemini-embedding-001` normalizes those of its full length only.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::UsageMetadata;
use super::write::{Array, Object};
use super::{PROVIDER, model};
use crate::dialect::chat::{Losses, Malformed, Refused};
use crate::dialect::translate::embeddings::Vectors;

/// "At most 100 requests can be in one batch", as the API answers to more.
pub const MAX_BATCH: usize = 100;

/// Appends the body that asks for an embedding of each input.
///
/// # Errors
/// Where there are more than [`MAX_BATCH`].
pub fn write_embeddings(
    inputs: &[&str],
    model: &str,
    dimensions: Option<u64>,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if inputs.len() > MAX_BATCH {
        return Losses::refuse(
            "input",
            format!(
                "The provider of this model ({PROVIDER}) takes {MAX_BATCH} inputs at a time, and these are {}. Send \
                 them in several requests.",
                inputs.len()
            ),
        );
    }
    let resource = model::resource(model);
    let mut body = Object::begin(out);
    let mut requests = Array::begin(body.key("requests"));
    for input in inputs {
        let mut request = Object::begin(requests.element());
        request.text("model", &resource);
        let mut content = Object::begin(request.key("content"));
        let mut parts = Array::begin(content.key("parts"));
        let mut part = Object::begin(parts.element());
        part.text("text", input);
        part.end();
        parts.end();
        content.end();
        request.value("outputDimensionality", dimensions);
        request.end();
    }
    requests.end();
    body.end();
    Ok(())
}

/// Reads an answer of `batchEmbedContents`.
///
/// # Errors
/// Where it is none.
pub fn read_embeddings(body: &[u8]) -> Result<Vectors<'_>, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Response<'a> {
        #[serde(borrow)]
        embeddings: Vec<Embedding<'a>>,
        usage_metadata: Option<UsageMetadata>,
    }
    #[derive(Deserialize)]
    struct Embedding<'a> {
        #[serde(borrow)]
        values: &'a RawValue,
    }
    let response: Response<'_> = serde_json::from_slice(body)
        .map_err(|_| Malformed("The answer is not a BatchEmbedContentsResponse."))?;
    let counted =
        response.usage_metadata.map(|usage| usage.usage().prompt_tokens).filter(|&tokens| tokens > 0);
    let vectors = response.embeddings.into_iter().map(|embedding| embedding.values).collect();
    Ok(Vectors { vectors, tokens: counted })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn asks_for_one_embedding_of_each_input() {
        let mut out = Vec::new();
        write_embeddings(&["a \"b\"", "c"], "gemini-embedding-001", Some(768), &mut out).unwrap();
        let request = |text: &str| {
            json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
                   "outputDimensionality": 768})
        };
        let written: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(written, json!({"requests": [request("a \"b\""), request("c")]}));
        let refused = write_embeddings(&["x"; 101], "m", None, &mut out).unwrap_err();
        assert_eq!(refused.param, "input");
    }

    #[test]
    fn answers_count_their_tokens_or_do_not() {
        let read = read_embeddings(include_bytes!("fixtures/embeddings.json")).unwrap();
        assert_eq!((read.vectors.len(), read.tokens), (2, None));
        assert_eq!(
            read_embeddings(br#"{"embeddings":[],"usageMetadata":{"promptTokenCount":4}}"#).unwrap().tokens,
            Some(4)
        );
        assert!(read_embeddings(b"{}").is_err());
    }
}
