//! Ranking documents: `POST /v2/rerank`.
//!
//! Source: Cohere API reference, "Rerank" (`query`, `documents`, `top_n`, `max_tokens_per_doc`; `results`, `meta`).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::PROVIDER;
use super::answer::{Counts, text};
use crate::dialect::chat::{Losses, Malformed, Refused, fields::Str};
use crate::dialect::json::write;
use crate::dialect::translate::rerank::{Asked, Ranked, Ranks};

/// Appends the body that asks for the ranks. Documents are not asked back: version 2 does not return them.
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
        write::plain(out, "top_n", top);
    }
    for (name, value) in &asked.other {
        match (name.as_ref(), value.get()) {
            ("max_tokens_per_doc" | "relevant_spans" | "priority", value) => write::raw(out, name, value),
            // It truncates in any case.
            ("truncation", "true") => {}
            (name, _) => losses.cannot(name.to_owned(), PROVIDER)?,
        }
    }
    out.push(b'}');
    Ok(())
}

/// Reads an answer of `rerank`.
///
/// # Errors
/// Where it is none.
pub fn read_answer(body: &[u8]) -> Result<Ranks<'_>, Malformed> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        id: Option<Str<'a>>,
        #[serde(borrow)]
        results: Vec<Ranked<'a>>,
        #[serde(borrow)]
        meta: Option<&'a RawValue>,
    }
    let response: Response<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not Cohere's ranks"))?;
    let counts = response.meta.and_then(|meta| serde_json::from_str::<Counts>(meta.get()).ok());
    Ok(Ranks {
        id: text(response.id),
        ranked: response.results,
        usage: counts.and_then(Counts::usage),
        meta: response.meta,
    })
}
