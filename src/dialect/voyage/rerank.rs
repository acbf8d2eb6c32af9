//! Ranking documents.
//!
//! Source: Voyage AI API reference, "Rerankers" (`query`, `documents`, `top_k`, `return_documents`, `truncation`;
//! `data`, `usage`).

use super::PROVIDER;
use crate::dialect::chat::{Losses, Refused};
use crate::dialect::json::write;
use crate::dialect::translate::rerank::Asked;

/// Appends the body that asks for the ranks. Documents are not asked back: the gateway has them.
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
    write::string(out, "query", &asked.query);
    write::strings(out, "documents", &asked.documents);
    if let Some(top) = asked.top {
        write::plain(out, "top_k", top);
    }
    for (name, value) in &asked.other {
        match name.as_ref() {
            "truncation" => write::raw(out, name, value.get()),
            name => losses.cannot(name.to_owned(), PROVIDER)?,
        }
    }
    out.push(b'}');
    Ok(())
}
