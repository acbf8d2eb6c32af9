//! `/v2/embed` as Cohere's clients ask for it, and what they are answered.
//!
//! Source: Cohere API reference, "Embed" (`texts`, `images`, `inputs`, `input_type`, `embedding_types`,
//! `output_dimension`, `truncate`; `embeddings` by type, `meta`).

use serde::Deserialize;

use crate::dialect::chat::fields::{self, Path, Str, required};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{Face, Malformed, Refused};
use crate::dialect::json::write;
use crate::dialect::translate::embeddings::{Asked, Purpose, Vectors, Wanted, write_vector};

/// Types of vectors by Cohere's names.
const TYPES: [&str; 6] = ["float", "base64", "int8", "uint8", "binary", "ubinary"];

/// A text and images that are embedded as one.
#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    content: Vec<Block<'a>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Str<'a>>,
}

/// Reads what a client asks, and the name of the type that the vectors are to have.
///
/// # Errors
/// What is wrong with it, or what only Cohere has: images, and several types at once.
pub fn read_request(body: &[u8]) -> Result<(Asked<'_>, &'static str), Refused> {
    let mut asked = Asked::default();
    let mut texts: Option<Vec<Str<'_>>> = None;
    let mut vectors = "float";
    for (name, value) in fields::members(body)? {
        match name.as_ref() {
            "model" => {}
            "texts" => texts = Some(fields::value("texts", value)?),
            "inputs" => texts = Some(only_texts(fields::value("inputs", value)?)?),
            "images" if value.get() != "[]" => {
                return Path::new("images").refuse(
                    "images: the provider of this model embeds text only. Choose a model of Cohere's.",
                );
            }
            "images" => {}
            "input_type" => asked.purpose = Some(Purpose::read(value)?),
            "embedding_types" => vectors = kind(&fields::value::<Vec<Str<'_>>>("embedding_types", value)?)?,
            "output_dimension" => asked.dimensions = Some(fields::value("output_dimension", value)?),
            "truncate" => match &*fields::value::<Str<'_>>("truncate", value)?.0 {
                "END" => asked.truncate = Some(true),
                "NONE" => asked.truncate = Some(false),
                // From the start, which others do not.
                _ => asked.other.push((name, value)),
            },
            "priority" if value.get() == "0" => {}
            _ => asked.other.push((name, value)),
        }
    }
    asked.inputs = required(texts, "texts")?;
    asked.base64 = vectors == "base64";
    asked.quantized = Some(vectors).filter(|kind| !matches!(*kind, "float" | "base64"));
    Ok((asked, vectors))
}

fn kind(types: &[Str<'_>]) -> Result<&'static str, Refused> {
    let at = Path::new("embedding_types");
    match types {
        [] => Ok("float"),
        [Str(asked)] => match TYPES.iter().find(|known| *known == asked) {
            Some(kind) => Ok(kind),
            None => at.refuse(format!("embedding_types: there is no type '{asked}'.")),
        },
        _ => at.refuse(
            "embedding_types: the provider of this model gives vectors of one type at a time. Ask for each apart.",
        ),
    }
}

fn only_texts(inputs: Vec<Input<'_>>) -> Result<Vec<Str<'_>>, Refused> {
    let mut texts = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let within = Path::new("inputs").at(index);
        let mut blocks = input.content.into_iter();
        match (blocks.next(), blocks.next()) {
            (Some(Block { kind, text }), None) if kind == "text" => {
                texts.push(required(text, within.field("content").at(0).field("text"))?);
            }
            _ => {
                return within.field("content").refuse(format!(
                    "{within}.content: the provider of this model embeds one text at a time. Choose a model of Cohere's."
                ));
            }
        }
    }
    Ok(texts)
}

/// Appends the answer: the vectors under the name of their type.
///
/// # Errors
/// Where a vector is none.
pub fn write_answer(
    answer: &Vectors<'_>,
    face: &Face<'_>,
    wanted: &Wanted,
    out: &mut Vec<u8>,
) -> Result<u64, Malformed> {
    let tokens = answer.tokens.unwrap_or(wanted.estimate);
    out.push(b'{');
    write::string(out, "id", face.id);
    write::name(out, "embeddings");
    out.push(b'{');
    write::name(out, wanted.vectors);
    out.push(b'[');
    for vector in &answer.vectors {
        write::comma(out);
        write_vector(vector, wanted.base64, out)?;
    }
    out.extend_from_slice(b"]}");
    write::strings(out, "texts", &wanted.documents);
    write_meta(Some(tokens), out);
    write::string(out, "response_type", "embeddings_by_type");
    out.push(b'}');
    Ok(tokens)
}

/// Appends `meta`, which says how many tokens were billed, where that is known.
pub fn write_meta(tokens: Option<u64>, out: &mut Vec<u8>) {
    write::raw(out, "meta", "{\"api_version\":{\"version\":\"2\"}");
    if let Some(tokens) = tokens {
        write::name(out, "billed_units");
        out.push(b'{');
        write::plain(out, "input_tokens", tokens);
        out.push(b'}');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked() {
        let body = r#"{"model":"m","texts":["a","b"],"input_type":"search_query","embedding_types":["int8"],
            "output_dimension":8,"truncate":"END","priority":0,"images":[]}"#;
        let (asked, vectors) = read_request(body.as_bytes()).unwrap();
        assert_eq!((asked.inputs.len(), asked.dimensions, asked.truncate), (2, Some(8), Some(true)));
        assert!(matches!(asked.purpose, Some(Purpose::Query)) && asked.other.is_empty());
        assert_eq!((asked.quantized, vectors), (Some("int8"), "int8"));
        let mixed = r#"{"inputs":[{"content":[{"type":"text","text":"a"}]}],"embedding_types":["base64"]}"#;
        let (asked, vectors) = read_request(mixed.as_bytes()).unwrap();
        assert_eq!((asked.inputs.len(), asked.base64, asked.quantized, vectors), (1, true, None, "base64"));
        for (body, param) in [
            (r#"{"input_type":"x"}"#, "texts"),
            (r#"{"texts":"a"}"#, "texts"),
            (r#"{"images":["data:image/png;base64,AAAA"]}"#, "images"),
            (r#"{"texts":["a"],"embedding_types":["float","int8"]}"#, "embedding_types"),
            (r#"{"texts":["a"],"embedding_types":["int4"]}"#, "embedding_types"),
            (r#"{"inputs":[{"content":[{"type":"image_url"}]}]}"#, "inputs[0].content"),
            (r#"{"inputs":[{"content":[{"type":"text"}]}]}"#, "inputs[0].content[0].text"),
        ] {
            assert_eq!(read_request(body.as_bytes()).unwrap_err().param, param, "{body}");
        }
    }
}
