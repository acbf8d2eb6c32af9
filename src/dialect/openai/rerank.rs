//! Ranks of OpenAI's family, which OpenAI itself has not, for clients of another form. (Those of theirs pass as they
//! are.)
//!
//! Source: Together and Jina AI, "Reranker API" (`query`, `documents`, `top_n`; `results`, `usage`), which vLLM has
//! too; Fireworks, "Rerank documents", which calls the results `data`.

use serde::Deserialize;

use crate::dialect::chat::{Losses, Malformed, Refused, fields::Str};
use crate::dialect::json::write;
use crate::dialect::translate::rerank::{Asked, Ranked, Ranks};
use crate::dialect::usage;

/// Appends the body that asks for the ranks. Documents that come back all the same are not read.
///
/// # Errors
/// Where something has no like.
pub fn write_request(
    asked: &Asked<'_>,
    (model, provider): (&str, &str),
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    for (name, value) in &asked.other {
        if (name.as_ref(), value.get()) != ("priority", "0") {
            losses.cannot(name.to_string(), provider)?;
        }
    }
    out.push(b'{');
    write::string(out, "model", model);
    write::string(out, "query", &asked.query);
    write::strings(out, "documents", &asked.documents);
    if let Some(top) = asked.top {
        write::plain(out, "top_n", top);
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
        id: Option<Str<'a>>,
        #[serde(borrow, alias = "data")]
        results: Vec<Ranked<'a>>,
        usage: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Usage {
        total_tokens: Option<u64>,
    }
    let response: Response<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not a list of ranks"))?;
    let tokens = response.usage.and_then(|usage| usage.total_tokens);
    Ok(Ranks {
        id: response.id.map(|Str(id)| id).unwrap_or_default(),
        ranked: response.results,
        usage: tokens.map(|tokens| usage::Usage {
            prompt_tokens: tokens,
            total_tokens: tokens,
            ..Default::default()
        }),
        meta: None,
    })
}
