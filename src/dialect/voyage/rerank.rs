//! Ranking documents.
//!
//! Source: Voyage AI API reference, "Rerankers" (`query`, `documents`, `top_k`, `return_documents`, `truncation`;
//! `data`, `usage`).

use serde::Deserialize;

use super::PROVIDER;
use crate::dialect::chat::{Losses, Malformed, Refused};
use crate::dialect::json::write;
use crate::dialect::translate::rerank::{Asked, Ranked, Ranks};

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

/// Reads an answer.
///
/// # Errors
/// Where it is none.
pub fn read_answer(body: &[u8]) -> Result<Ranks<'_>, Malformed> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        data: Vec<Ranked<'a>>,
        usage: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Usage {
        total_tokens: Option<u64>,
    }
    let response: Response<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not Voyage's ranks"))?;
    Ok(Ranks {
        id: "".into(),
        ranked: response.data,
        tokens: response.usage.and_then(|usage| usage.total_tokens),
        meta: None,
    })
}
