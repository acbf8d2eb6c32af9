//! Embeddings of providers that speak OpenAI's dialect, for clients that do not. (OpenAI's clients' bytes pass as they
//! are.)
//!
//! Source: OpenAI API reference, "Create embeddings" and "The embedding object". Voyage's answers are the same.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::chat::Malformed;
use crate::dialect::json::write;
use crate::dialect::translate::embeddings::{Asked, Vectors};

/// Appends the body that asks for an embedding of each input.
pub fn write_request(asked: &Asked<'_>, model: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    write::string(out, "model", model);
    write::strings(out, "input", asked.inputs.iter().map(|input| &input.0));
    write::string(out, "encoding_format", if asked.base64 { "base64" } else { "float" });
    if let Some(dimensions) = asked.dimensions {
        write::plain(out, "dimensions", dimensions);
    }
    out.push(b'}');
}

/// Reads an answer.
///
/// # Errors
/// Where it is none.
pub fn read_answer(body: &[u8]) -> Result<Vectors<'_>, Malformed> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        data: Vec<Embedding<'a>>,
        usage: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Embedding<'a> {
        index: Option<u64>,
        #[serde(borrow)]
        embedding: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Usage {
        total_tokens: Option<u64>,
    }
    let mut response: Response<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not a list of embeddings"))?;
    // They come in the order of the inputs; that of their numbers is the one that is promised.
    response.data.sort_by_key(|embedding| embedding.index.unwrap_or(u64::MAX));
    Ok(Vectors {
        vectors: response.data.into_iter().map(|embedding| embedding.embedding).collect(),
        tokens: response.usage.and_then(|usage| usage.total_tokens),
    })
}
