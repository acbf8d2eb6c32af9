//! Embeddings, which are nearly OpenAI's: other names for a few fields, and only the sum of the tokens.
//!
//! Source: Voyage AI API reference, "Text embedding models" (`input`, `input_type`, `truncation`, `output_dimension`,
//! `output_dtype`, `encoding_format`: null or `base64`). Answers are read as OpenAI's.

use super::PROVIDER;
use crate::dialect::chat::{Losses, Refused};
use crate::dialect::json::write;
use crate::dialect::translate::embeddings::{Asked, Purpose};

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
    if let Some(kind) = asked.quantized {
        write::string(out, "output_dtype", kind);
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
