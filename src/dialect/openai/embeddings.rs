//! Embeddings for a client of another dialect.
//!
//! Source: OpenAI API reference, "Create embeddings" and "The embedding object".

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::chat::{Losses, Malformed, Refused};
use crate::dialect::json::write;
use crate::dialect::translate::embeddings::{Asked, Vectors};

/// Appends the body that asks for an embedding of each input.
///
/// # Errors
/// Where something has no like.
pub fn write_request(
    asked: &Asked<'_>,
    (model, provider): (&str, &str),
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    out.push(b'{');
    write::string(out, "model", model);
    write::strings(out, "input", asked.inputs.iter().map(|input| &input.0));
    if let Some(dimensions) = asked.dimensions {
        write::plain(out, "dimensions", dimensions);
    }
    write::string(out, "encoding_format", "float");
    if asked.purpose.is_some() {
        losses.cannot("taskType", provider)?;
    }
    for (name, _) in &asked.other {
        losses.cannot(name.to_string(), provider)?;
    }
    out.push(b'}');
    Ok(())
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
        prompt_tokens: Option<u64>,
        total_tokens: Option<u64>,
    }
    let mut response: Response<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is no list of embeddings"))?;
    response.data.sort_by_key(|embedding| embedding.index.unwrap_or(u64::MAX));
    Ok(Vectors {
        vectors: response.data.into_iter().map(|embedding| embedding.embedding).collect(),
        tokens: response.usage.and_then(|usage| usage.prompt_tokens.or(usage.total_tokens)),
    })
}
