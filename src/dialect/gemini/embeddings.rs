//! Embeddings: `batchEmbedContents`.
//!
//! Source: Gemini API reference, "Embeddings" (`BatchEmbedContentsRequest`, `ContentEmbedding`), and the guide
//! "Embeddings": one embedding for each request of the batch. OpenAI API reference, "The embedding object".
//!
//! Vectors are passed on as they come: `gemini-embedding-001` normalizes those of its full length only.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::UsageMetadata;
use super::write::{Array, Object};
use super::{PROVIDER, model};
use crate::dialect::base64;
use crate::dialect::chat::{Losses, Malformed, Refused};

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

/// Embeddings as they came.
#[derive(Debug)]
pub struct Embeddings<'a> {
    vectors: Vec<&'a RawValue>,
    /// Tokens read, where Gemini counted them: older models do not.
    pub prompt_tokens: Option<u64>,
}

/// Reads an answer of `batchEmbedContents`.
///
/// # Errors
/// Where it is none.
pub fn read_embeddings(body: &[u8]) -> Result<Embeddings<'_>, Malformed> {
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
    Ok(Embeddings { vectors, prompt_tokens: counted })
}

impl<'a> Embeddings<'a> {
    /// Vectors, each an array of numbers, and the tokens that were read.
    #[must_use]
    pub fn new(vectors: Vec<&'a RawValue>, prompt_tokens: Option<u64>) -> Self {
        Self { vectors, prompt_tokens }
    }

    /// How many there are: as many as inputs, in their order.
    #[must_use]
    pub fn count(&self) -> usize {
        self.vectors.len()
    }

    /// Appends OpenAI's object. `in_base64` is `encoding_format: base64`, which OpenAI's SDKs ask for by themselves: the
    /// vector's 32-bit floats, little-endian. `estimate` is the number of tokens to tell where Gemini did not count.
    ///
    /// # Errors
    /// Where a vector is none.
    pub fn write(
        &self,
        model: &str,
        in_base64: bool,
        estimate: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let mut body = Object::begin(out);
        body.text("object", "list");
        let mut data = Array::begin(body.key("data"));
        for (index, vector) in self.vectors.iter().enumerate() {
            let mut embedding = Object::begin(data.element());
            embedding.text("object", "embedding");
            embedding.value("index", Some(index));
            let values: Vec<f32> = serde_json::from_str(vector.get())
                .map_err(|_| Malformed("An embedding is not an array of numbers."))?;
            if in_base64 {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                let out = embedding.key("embedding");
                out.push(b'"');
                base64::encode(&bytes, out);
                out.push(b'"');
            } else {
                // As it was written: no digit is lost.
                embedding.raw("embedding", vector.get());
            }
            embedding.end();
        }
        data.end();
        body.text("model", model);
        let mut usage = Object::begin(body.key("usage"));
        let tokens = self.prompt_tokens.unwrap_or(estimate);
        usage.value("prompt_tokens", Some(tokens));
        usage.value("total_tokens", Some(tokens));
        usage.end();
        body.end();
        Ok(())
    }
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
    fn answers_in_both_encodings() {
        let read = read_embeddings(include_bytes!("fixtures/embeddings.json")).unwrap();
        assert_eq!((read.count(), read.prompt_tokens), (2, None));
        let write = |base64| -> Value {
            let mut out = Vec::new();
            read.write("text-embedding", base64, 7, &mut out).unwrap();
            serde_json::from_slice(&out).unwrap()
        };
        assert_eq!(
            write(false),
            json!({"object": "list", "model": "text-embedding",
                   "data": [{"object": "embedding", "index": 0, "embedding": [0.013168517, -0.00871158, 1]},
                            {"object": "embedding", "index": 1, "embedding": [0.5, 0.25, -2]}],
                   "usage": {"prompt_tokens": 7, "total_tokens": 7}})
        );
        // 0.5, 0.25 and -2 as Python's struct.pack('<3f', ...) and base64 write them.
        assert_eq!(write(true)["data"][1]["embedding"], "AAAAPwAAgD4AAADA");
        assert_eq!(
            read_embeddings(br#"{"embeddings":[],"usageMetadata":{"promptTokenCount":4}}"#)
                .unwrap()
                .prompt_tokens,
            Some(4)
        );
        assert!(read_embeddings(b"{}").is_err());
    }
}
