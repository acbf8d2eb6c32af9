//! Embeddings, which are nearly OpenAI's: other names for a few fields, and only the sum of the tokens.
//!
//! Source: Voyage AI API reference, "Text embedding models" (`input`, `input_type`, `truncation`, `output_dimension`,
//! `output_dtype`, `encoding_format`: null or `base64`).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::PROVIDER;
use crate::dialect::chat::{Losses, Malformed, Refused};
use crate::dialect::json::write;
use crate::dialect::translate::embeddings::{Asked, Purpose, Vectors};

/// Appends the body that asks for an embedding of each input.
///
/// # Errors
/// Where something has no like.
pub fn write_request(
    asked: &Asked<'_>,
    model: &str,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    out.push(b'{');
    write::string(out, "model", model);
    write::strings(out, "input", asked.inputs.iter().map(|input| &input.0));
    match asked.purpose {
        None => {}
        Some(Purpose::Document) => write::string(out, "input_type", "document"),
        Some(Purpose::Query) => write::string(out, "input_type", "query"),
        Some(Purpose::Other(_)) => losses.cannot("input_type", PROVIDER)?,
    }
    if let Some(dimensions) = asked.dimensions {
        write::plain(out, "output_dimension", dimensions);
    }
    if asked.base64 {
        write::string(out, "encoding_format", "base64");
    }
    if let Some(truncate) = asked.truncate {
        write::plain(out, "truncation", truncate);
    }
    for (name, value) in &asked.other {
        match name.as_ref() {
            "output_dtype" => write::raw(out, name, value.get()),
            name => losses.cannot(name.to_owned(), PROVIDER)?,
        }
    }
    out.push(b'}');
    Ok(())
}

/// Reads an answer, which has the form of OpenAI's.
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
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is no list of embeddings"))?;
    // They come in the order of the inputs; that of their numbers is the one that is promised.
    response.data.sort_by_key(|embedding| embedding.index.unwrap_or(u64::MAX));
    Ok(Vectors {
        vectors: response.data.into_iter().map(|embedding| embedding.embedding).collect(),
        tokens: response.usage.and_then(|usage| usage.total_tokens),
    })
}
