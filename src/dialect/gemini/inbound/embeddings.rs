//! What a client asks to be embedded in Google's words, and the answer.
//!
//! Source: Gemini API reference, "Embeddings" (`models.embedContent`, `models.batchEmbedContents`,
//! `EmbedContentRequest`, `TaskType`).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::contents::{Content, text};
use crate::dialect::chat::fields::{self, Path, Str, required};
use crate::dialect::chat::{Losses, Refused};
use crate::dialect::gemini::write::{Array, Object};
use crate::dialect::openai::request::Endpoint;
use crate::dialect::translate::embeddings::{Asked, Purpose};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow, alias = "task_type")]
    task_type: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(alias = "output_dimensionality")]
    output_dimensionality: Option<u64>,
}

/// Reads the body of `embedContent` or of `batchEmbedContents`. Others are told once for all texts what they are for.
///
/// # Errors
/// What is wrong with it, or cannot be said of all at once.
pub fn read_embeddings(body: &[u8], endpoint: Endpoint) -> Result<Asked<'_>, Refused> {
    #[derive(Deserialize)]
    struct Batch<'a> {
        #[serde(borrow)]
        requests: Option<Vec<One<'a>>>,
    }
    let of_body = |error: serde_json::Error| Refused {
        param: "body".into(),
        message: format!("The body is not what this endpoint takes: {error}.").into(),
    };
    let requests = match endpoint {
        Endpoint::EmbedContent => vec![serde_json::from_slice(body).map_err(of_body)?],
        _ => {
            let batch: Batch<'_> = serde_json::from_slice(body).map_err(of_body)?;
            required(batch.requests, "requests")?
        }
    };
    let mut asked = Asked::default();
    let mut first: Option<(Option<&RawValue>, Option<u64>)> = None;
    for (index, one) in requests.into_iter().enumerate() {
        let at = Path::new("requests").at(index);
        let settings = (one.task_type, one.output_dimensionality);
        let (task, dimensions) = *first.get_or_insert(settings);
        if task.map(RawValue::get) != settings.0.map(RawValue::get) || dimensions != settings.1 {
            return at.refuse(format!(
                "{at}: the provider of this model embeds texts of one request for one purpose and in one length. \
                 Send those with another taskType or outputDimensionality apart."
            ));
        }
        asked.inputs.push(Str(text(required(one.content, at.field("content"))?, at.field("content"))?));
        if let Some(title) = one.title.filter(|_| !asked.other.iter().any(|(name, _)| name == "title")) {
            asked.other.push(("title".into(), title));
        }
    }
    let (task, dimensions) = first.unwrap_or_default();
    asked.dimensions = dimensions;
    if let Some(raw) = task {
        match &*fields::value::<Str<'_>>("taskType", raw)?.0 {
            "TASK_TYPE_UNSPECIFIED" => {}
            "RETRIEVAL_DOCUMENT" => asked.purpose = Some(Purpose::Document),
            "RETRIEVAL_QUERY" | "QUESTION_ANSWERING" | "FACT_VERIFICATION" | "CODE_RETRIEVAL_QUERY" => {
                asked.purpose = Some(Purpose::Query);
            }
            // Others that have the like do not call it so.
            _ => asked.other.push(("taskType".into(), raw)),
        }
    }
    if asked.inputs.is_empty() {
        return Losses::refuse("requests", "There is nothing to embed.");
    }
    Ok(asked)
}

/// Appends the answer: one embedding, or a list of them.
pub fn write_embeddings(vectors: &[&RawValue], endpoint: Endpoint, out: &mut Vec<u8>) {
    let write = |vector: &RawValue, out: &mut Vec<u8>| {
        let mut embedding = Object::begin(out);
        // As it was written: no digit is lost.
        embedding.raw("values", vector.get());
        embedding.end();
    };
    let mut body = Object::begin(out);
    match (endpoint, vectors) {
        (Endpoint::EmbedContent, [only, ..]) => write(only, body.key("embedding")),
        _ => {
            let mut list = Array::begin(body.key("embeddings"));
            for vector in vectors {
                write(vector, list.element());
            }
            list.end();
        }
    }
    body.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_for_one_purpose() {
        let body = r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"},{"text":"b"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":8},{"content":{"parts":[{"text":"c"}]},"task_type":"RETRIEVAL_QUERY","output_dimensionality":8}]}"#;
        let asked = read_embeddings(body.as_bytes(), Endpoint::BatchEmbedContents).unwrap();
        let texts: Vec<&str> = asked.inputs.iter().map(|Str(text)| &**text).collect();
        assert_eq!((texts, asked.dimensions), (vec!["ab", "c"], Some(8)));
        assert!(matches!(asked.purpose, Some(Purpose::Query)) && asked.other.is_empty());
        let one = r#"{"content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING","title":"t"}"#;
        let asked = read_embeddings(one.as_bytes(), Endpoint::EmbedContent).unwrap();
        let names: Vec<&str> = asked.other.iter().map(|(name, _)| &**name).collect();
        assert_eq!((asked.inputs.len(), names), (1, vec!["title", "taskType"]));
        for (body, param) in [
            ("[]", "body"),
            ("{}", "requests"),
            (r#"{"requests":[{}]}"#, "requests[0].content"),
            (r#"{"requests":[{"content":{"parts":[{"inlineData":{}}]}}]}"#, "requests[0].content.parts[0]"),
            (
                r#"{"requests":[{"content":{"parts":[]}},{"content":{"parts":[]},"outputDimensionality":1}]}"#,
                "requests[1]",
            ),
        ] {
            let refused = read_embeddings(body.as_bytes(), Endpoint::BatchEmbedContents).unwrap_err();
            assert_eq!(refused.param, param, "{body}");
        }
    }

    #[test]
    fn answers_have_the_form_that_was_asked_for() {
        let vectors: Vec<&RawValue> = vec![serde_json::from_str("[0.50,-1]").unwrap()];
        for (endpoint, wanted) in [
            (Endpoint::EmbedContent, r#"{"embedding":{"values":[0.50,-1]}}"#),
            (Endpoint::BatchEmbedContents, r#"{"embeddings":[{"values":[0.50,-1]}]}"#),
        ] {
            let mut out = Vec::new();
            write_embeddings(&vectors, endpoint, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }
}
