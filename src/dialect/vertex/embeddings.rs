//! Embeddings by `predict`.
//!
//! Source: Vertex AI, "Text embeddings API": `instances[].content` and `parameters.outputDimensionality`; the answer's
//! `predictions[].embeddings` has the `values` and, in `statistics`, how many tokens there were. How many inputs a
//! request may have is the model's to say (one for `gemini-embedding-001`, 250 for the others).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{
    chat::{Losses, Malformed, Refused},
    json::write_string,
    translate::embeddings::Vectors,
};

/// "The API accepts a maximum of 250 input texts".
pub const MAX_INSTANCES: usize = 250;

/// Appends the body that asks for an embedding of each input.
///
/// # Errors
/// Where there are more than [`MAX_INSTANCES`].
pub fn write_request(inputs: &[&str], dimensions: Option<u64>, out: &mut Vec<u8>) -> Result<(), Refused> {
    if inputs.len() > MAX_INSTANCES {
        return Losses::refuse(
            "input",
            format!(
                "The provider of this model (vertex) takes {MAX_INSTANCES} inputs at a time, and these are {}. Send \
                 them in several requests.",
                inputs.len()
            ),
        );
    }
    out.extend_from_slice(b"{\"instances\":[");
    for (at, input) in inputs.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b",{\"content\":" } else { b"{\"content\":" });
        write_string(out, input);
        out.push(b'}');
    }
    out.push(b']');
    if let Some(dimensions) = dimensions {
        out.extend_from_slice(
            format!(",\"parameters\":{{\"outputDimensionality\":{dimensions}}}").as_bytes(),
        );
    }
    out.push(b'}');
    Ok(())
}

/// Reads an answer of `predict`.
///
/// # Errors
/// Where it is none.
pub fn read_answer(body: &[u8]) -> Result<Vectors<'_>, Malformed> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        predictions: Vec<Prediction<'a>>,
    }
    #[derive(Deserialize)]
    struct Prediction<'a> {
        #[serde(borrow)]
        embeddings: One<'a>,
    }
    #[derive(Deserialize)]
    struct One<'a> {
        #[serde(borrow)]
        values: &'a RawValue,
        #[serde(default)]
        statistics: Statistics<'a>,
    }
    #[derive(Default, Deserialize)]
    struct Statistics<'a> {
        /// A whole number, which some models write as one with a fraction of zero.
        #[serde(borrow, default)]
        token_count: Option<Cow<'a, RawValue>>,
    }
    let response: Response<'_> = serde_json::from_slice(body)
        .map_err(|_| Malformed("The answer is not one of predict for embeddings."))?;
    let mut vectors = Vec::with_capacity(response.predictions.len());
    let mut tokens = 0;
    for Prediction { embeddings } in response.predictions {
        vectors.push(embeddings.values);
        let count = embeddings.statistics.token_count.and_then(|count| count.get().parse::<f64>().ok());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let count = count.filter(|count| (0.0..1e12).contains(count)).map_or(0, |count| count as u64);
        tokens += count;
    }
    Ok(Vectors { vectors, tokens: Some(tokens).filter(|&tokens| tokens > 0) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn asks_for_one_embedding_of_each_input() {
        let mut out = Vec::new();
        write_request(&["a \"b\"", "c"], Some(256), &mut out).unwrap();
        let written: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            written,
            json!({"instances": [{"content": "a \"b\""}, {"content": "c"}], "parameters": {"outputDimensionality": 256}})
        );
        out.clear();
        write_request(&["a"], None, &mut out).unwrap();
        assert_eq!(out, br#"{"instances":[{"content":"a"}]}"#);
        assert_eq!(write_request(&["x"; 251], None, &mut out).unwrap_err().param, "input");
    }

    #[test]
    fn answers_count_their_tokens() {
        let body = br#"{"predictions":[{"embeddings":{"statistics":{"truncated":false,"token_count":6},"values":[0.5,-1]}},
            {"embeddings":{"values":[1],"statistics":{"token_count":2.0}}}],"metadata":{"billableCharacterCount":9}}"#;
        let read = read_answer(body).unwrap();
        assert_eq!((read.vectors.len(), read.tokens), (2, Some(8)));
        assert_eq!(read_answer(br#"{"predictions":[{"embeddings":{"values":[1]}}]}"#).unwrap().tokens, None);
        assert!(read_answer(b"{}").is_err());
    }
}
