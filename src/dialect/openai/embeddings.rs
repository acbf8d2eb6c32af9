//! Embeddings for a client of another dialect.
//!
//! Source: OpenAI API reference, "Create embeddings".

use crate::dialect::chat::{Losses, Refused};
use crate::dialect::json::write;
use crate::dialect::translate::embeddings::Asked;

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
