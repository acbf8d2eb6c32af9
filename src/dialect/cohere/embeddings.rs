//! Embeddings: `POST /v2/embed`.
//!
//! Source: Cohere API reference, "Embed" (`texts`, `input_type`, `embedding_types`, `output_dimension`, `truncate`;
//! `embeddings` by type, `meta`).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::PROVIDER;
use super::answer::Counts;
use crate::dialect::chat::{Losses, Malformed, Refused};
use crate::dialect::json::write;
use crate::dialect::json::write_string;
use crate::dialect::translate::embeddings::{Asked, Purpose, Vectors};

/// "Maximum number of texts per call is `96`."
pub const MAX_TEXTS: usize = 96;

/// Appends the members that say which texts are to be embedded, and what for, by `provider`. The latter must be said: a
/// client that does not is taken to store them, as most texts that are embedded are.
///
/// # Errors
/// Where there are more than [`MAX_TEXTS`].
pub fn write_texts(asked: &Asked<'_>, provider: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
    if asked.inputs.len() > MAX_TEXTS {
        return Losses::refuse(
            "input",
            format!(
                "The provider of this model ({provider}) takes {MAX_TEXTS} inputs at a time, and these are {}. Send \
                 them in several requests.",
                asked.inputs.len()
            ),
        );
    }
    write::name(out, "input_type");
    match asked.purpose {
        None | Some(Purpose::Document) => write_string(out, "search_document"),
        Some(Purpose::Query) => write_string(out, "search_query"),
        // Which there are, Cohere says.
        Some(Purpose::Other(purpose)) => out.extend_from_slice(purpose.get().as_bytes()),
    }
    write::strings(out, "texts", asked.inputs.iter().map(|input| &input.0));
    Ok(())
}

/// Appends the body that asks for an embedding of each input.
///
/// # Errors
/// Where there are more than [`MAX_TEXTS`], or something has no like.
pub fn write_request(
    asked: &Asked<'_>,
    model: &str,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    out.push(b'{');
    write::string(out, "model", model);
    write_texts(asked, PROVIDER, out)?;
    write::name(out, "embedding_types");
    out.extend_from_slice(if asked.base64 { b"[\"base64\"]" } else { b"[\"float\"]" });
    if let Some(dimensions) = asked.dimensions {
        write::plain(out, "output_dimension", dimensions);
    }
    if let Some(truncate) = asked.truncate {
        write::string(out, "truncate", if truncate { "END" } else { "NONE" });
    }
    for (name, value) in &asked.other {
        match name.as_ref() {
            // START, END or NONE, which is more than others have.
            "truncate" | "priority" | "max_tokens" => write::raw(out, name, value.get()),
            name => losses.cannot(name.to_owned(), PROVIDER)?,
        }
    }
    out.push(b'}');
    Ok(())
}

/// Reads an answer of `embed`.
///
/// # Errors
/// Where it is none, or its vectors are of another type.
pub fn read_answer(body: &[u8], base64: bool) -> Result<Vectors<'_>, Malformed> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        embeddings: ByType<'a>,
        meta: Option<Counts>,
    }
    #[derive(Deserialize)]
    struct ByType<'a> {
        #[serde(borrow)]
        float: Option<Vec<&'a RawValue>>,
        #[serde(borrow)]
        base64: Option<Vec<&'a RawValue>>,
    }
    let response: Response<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not Cohere's embeddings"))?;
    let ByType { float, base64: packed } = response.embeddings;
    let vectors = if base64 { packed } else { float };
    Ok(Vectors {
        vectors: vectors.ok_or(Malformed("the embeddings are not of the type that was asked for"))?,
        tokens: response.meta.and_then(Counts::usage).map(|usage| usage.prompt_tokens),
    })
}
