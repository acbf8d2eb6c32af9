//! Embeddings: `POST /model/{modelId}/invoke`, each maker in his own words, since Converse has none.
//!
//! Source: Amazon Bedrock API reference, "InvokeModel" (and its header `X-Amzn-Bedrock-Input-Token-Count`); User Guide,
//! "Amazon Titan Embeddings Text" (`inputText`, `dimensions`, `normalize`), "Cohere Embed v3" and "v4" (`texts`,
//! `input_type`, `embedding_types`, `truncate`, and of v4 `output_dimension` and `max_tokens`).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::PROVIDER;
use crate::dialect::chat::{Losses, Malformed, Refused};
use crate::dialect::cohere;
use crate::dialect::json::write;
use crate::dialect::path::strict;
use crate::dialect::translate::embeddings::{Asked, Vectors};

/// The header field of an answer that tells how many tokens were read.
pub const TOKENS_FIELD: &str = "x-amzn-bedrock-input-token-count";

/// The path of a request below the API's root.
#[must_use]
pub fn path(model: &str) -> String {
    format!("/model/{}/invoke", strict(model, b""))
}

/// Whose words a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    /// Amazon's Titan, which of version 1 takes a text and nothing else.
    Titan { bare: bool },
    /// Cohere's Embed, which of version 4 has vectors of several lengths.
    Cohere { v4: bool },
}

impl Maker {
    fn of(model: &str) -> Option<Self> {
        let is = |name: &str| model.contains(name);
        if is("titan-embed-text") || is("titan-embed-g1-text") {
            Some(Self::Titan { bare: !is("titan-embed-text-v2") })
        } else if is("cohere.embed") {
            Some(Self::Cohere { v4: is("embed-v4") })
        } else {
            None
        }
    }
}

/// Appends the body that asks for an embedding of each input.
///
/// # Errors
/// Where the model is none that is known here, takes fewer inputs, or something has no like.
pub fn write_request(
    asked: &Asked<'_>,
    model: &str,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    match Maker::of(model) {
        Some(Maker::Titan { bare }) => titan(asked, bare, losses, out),
        Some(Maker::Cohere { v4 }) => coheres(asked, v4, losses, out),
        None => Losses::refuse(
            "model",
            format!(
                "Of this provider's models ({PROVIDER}) Amazon's Titan Text Embeddings and Cohere's Embed make \
                 embeddings here."
            ),
        ),
    }
}

fn titan(asked: &Asked<'_>, bare: bool, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    let [input] = &asked.inputs[..] else {
        return Losses::refuse(
            "input",
            format!(
                "This model takes one input at a time, and these are {}. Send them in several requests.",
                asked.inputs.len()
            ),
        );
    };
    out.push(b'{');
    write::string(out, "inputText", &input.0);
    match asked.dimensions {
        Some(_) if bare => losses.cannot("dimensions", PROVIDER)?,
        Some(dimensions) => write::plain(out, "dimensions", dimensions),
        None => {}
    }
    if asked.purpose.is_some() {
        // There is one vector for all that is done with it.
        losses.leave_out("input_type");
    }
    // Too long is an error in any case.
    if asked.truncate == Some(true) {
        losses.cannot("truncation", PROVIDER)?;
    }
    for (name, value) in &asked.other {
        match name.as_ref() {
            "normalize" if !bare => write::raw(out, name, value.get()),
            name => losses.cannot(name.to_owned(), PROVIDER)?,
        }
    }
    out.push(b'}');
    Ok(())
}

fn coheres(asked: &Asked<'_>, v4: bool, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    out.push(b'{');
    cohere::embeddings::write_texts(asked, PROVIDER, out)?;
    write::name(out, "embedding_types");
    out.extend_from_slice(b"[\"float\"]");
    match asked.dimensions {
        Some(dimensions) if v4 => write::plain(out, "output_dimension", dimensions),
        Some(_) => losses.cannot("dimensions", PROVIDER)?,
        None => {}
    }
    if let Some(truncate) = asked.truncate {
        // The end is cut off by both names.
        let end = if v4 { "RIGHT" } else { "END" };
        write::string(out, "truncate", if truncate { end } else { "NONE" });
    }
    for (name, value) in &asked.other {
        match name.as_ref() {
            "truncate" => write::raw(out, name, value.get()),
            "max_tokens" if v4 => write::raw(out, name, value.get()),
            name => losses.cannot(name.to_owned(), PROVIDER)?,
        }
    }
    out.push(b'}');
    Ok(())
}

/// Reads an answer, whoever made the model. Cohere's does not tell the tokens: the head does.
///
/// # Errors
/// Where it is none.
pub fn read_answer(body: &[u8]) -> Result<Vectors<'_>, Malformed> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        embedding: Option<&'a RawValue>,
        #[serde(rename = "inputTextTokenCount")]
        tokens: Option<u64>,
        #[serde(borrow)]
        embeddings: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct ByType<'a> {
        #[serde(borrow)]
        float: Vec<&'a RawValue>,
    }
    const NONE: Malformed = Malformed("the answer is not embeddings of Titan or Cohere");
    let response: Response<'_> = serde_json::from_slice(body).map_err(|_| NONE)?;
    let vectors = match (response.embedding, response.embeddings) {
        (Some(one), _) => vec![one],
        // A list, or lists by their type where types were asked for.
        (None, Some(several)) if several.get().starts_with('[') => {
            serde_json::from_str(several.get()).map_err(|_| NONE)?
        }
        (None, Some(several)) => serde_json::from_str::<ByType<'_>>(several.get()).map_err(|_| NONE)?.float,
        (None, None) => return Err(NONE),
    };
    Ok(Vectors { vectors, tokens: response.tokens })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::translate::embeddings::read_request;

    const TITAN: &str = "amazon.titan-embed-text-v2:0";
    const TITAN_V1: &str = "amazon.titan-embed-text-v1";
    const COHERE: &str = "cohere.embed-multilingual-v3";
    const COHERE_V4: &str = "global.cohere.embed-v4:0";

    fn sent(model: &str, body: &Value, drop: bool) -> Result<(Value, Vec<String>), Refused> {
        let body = body.to_string();
        let asked = read_request(body.as_bytes(), PROVIDER)?;
        let (mut losses, mut out) = (Losses::new(drop), Vec::new());
        write_request(&asked, model, &mut losses, &mut out)?;
        let dropped = losses.dropped().iter().map(ToString::to_string).collect();
        Ok((serde_json::from_slice(&out).unwrap(), dropped))
    }

    #[test]
    fn each_maker_is_asked_in_his_words() {
        let texts = json!(["a", "b\n"]);
        for (model, body, wanted) in [
            (
                TITAN_V1,
                json!({"input": "a \"b\"", "encoding_format": "base64"}),
                json!({"inputText": "a \"b\""}),
            ),
            (
                TITAN,
                json!({"input": ["a"], "dimensions": 256, "normalize": false, "truncation": false}),
                json!({"inputText": "a", "dimensions": 256, "normalize": false}),
            ),
            (
                COHERE,
                json!({"input": texts, "input_type": "query", "truncation": true}),
                json!({"texts": texts, "input_type": "search_query", "embedding_types": ["float"], "truncate": "END"}),
            ),
            (
                COHERE_V4,
                json!({"input": texts, "dimensions": 512, "truncation": true, "max_tokens": 9}),
                json!({"texts": texts, "input_type": "search_document", "embedding_types": ["float"],
                    "output_dimension": 512, "truncate": "RIGHT", "max_tokens": 9}),
            ),
            (
                COHERE,
                json!({"input": "a", "input_type": "clustering", "truncate": "START"}),
                json!({"texts": ["a"], "input_type": "clustering", "embedding_types": ["float"], "truncate": "START"}),
            ),
        ] {
            assert_eq!(sent(model, &body, false).unwrap(), (wanted, Vec::new()), "{model}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_named() {
        for (model, more, param) in [
            (TITAN_V1, json!({"dimensions": 256}), "dimensions"),
            (TITAN_V1, json!({"normalize": true}), "normalize"),
            (TITAN, json!({"truncation": true}), "truncation"),
            (TITAN, json!({"service_tier": "flex"}), "service_tier"),
            (COHERE, json!({"dimensions": 256}), "dimensions"),
            (COHERE, json!({"max_tokens": 9}), "max_tokens"),
            (COHERE_V4, json!({"normalize": true}), "normalize"),
        ] {
            let mut body = json!({"input": "a"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(sent(model, &body, false).unwrap_err().param, param, "{model}");
            assert_eq!(sent(model, &body, true).unwrap().1, [param], "{model}");
        }
        let for_queries = json!({"input": "a", "input_type": "query"});
        assert_eq!(
            sent(TITAN, &for_queries, false).unwrap().1,
            ["input_type"],
            "there is one vector for all"
        );
        for (model, input, param) in [
            (TITAN, json!(["a", "b"]), "input"),
            (TITAN, json!([]), "input"),
            (COHERE, json!(vec!["a"; 97]), "input"),
            ("amazon.nova-lite-v1:0", json!("a"), "model"),
        ] {
            let refused = sent(model, &json!({"input": input}), true).unwrap_err();
            assert_eq!(refused.param, param, "{model}");
        }
    }

    #[test]
    fn answers_are_read_whoever_made_the_model() {
        for (body, count, tokens) in [
            (
                r#"{"embedding":[0.5,-1],"inputTextTokenCount":3,"embeddingsByType":{"float":[0.5,-1]}}"#,
                1,
                Some(3),
            ),
            (
                r#"{"id":"i","texts":["a"],"response_type":"embeddings_floats","embeddings":[[1],[2]]}"#,
                2,
                None,
            ),
            (r#"{"id":"i","response_type":"embeddings_by_type","embeddings":{"float":[[1],[2]]}}"#, 2, None),
        ] {
            let read = read_answer(body.as_bytes()).unwrap();
            assert_eq!((read.vectors.len(), read.tokens), (count, tokens), "{body}");
        }
        for body in
            ["{}", "[]", r#"{"embeddings":{"int8":[[1]]}}"#, r#"{"embeddings":5}"#, r#"{"message":"m"}"#]
        {
            assert!(read_answer(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn paths_are_escaped_as_aws_escapes_them() {
        assert_eq!(path(TITAN), "/model/amazon.titan-embed-text-v2%3A0/invoke");
    }
}
