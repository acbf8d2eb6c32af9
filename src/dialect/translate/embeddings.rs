//! OpenAI's embeddings for providers that have others.
//!
//! Source: OpenAI API reference, "Create embeddings" and "The embedding object". Beside OpenAI's fields clients may
//! send what the provider's own API has: `input_type`, `output_dimension`, `truncation` or `truncate`, ...

use serde_json::value::RawValue;

use super::Wire;
use crate::dialect::{
    bedrock,
    chat::{
        Losses, Malformed, Refused,
        fields::{self, Str},
        request::Text,
    },
    cohere, gemini,
    json::write,
    usage::Usage,
    vertex, voyage,
};

/// What the answer to embeddings or ranks depends on.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Whether vectors are to be base64, as OpenAI's own SDKs ask for.
    pub base64: bool,
    /// Whether it is Vertex AI that answers.
    pub vertex: bool,
    /// Tokens to tell where the provider does not count them.
    pub estimate: u64,
    /// Whether ranks are to have Voyage's form.
    pub as_voyage: bool,
    /// Documents that were ranked, where they are to come back.
    pub documents: Vec<String>,
    /// Whether a whole answer is to be written as the events of a stream.
    pub events: bool,
    /// Whether those end with the usage.
    pub usage: bool,
}

/// What a client asks.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// The texts.
    pub inputs: Vec<Str<'a>>,
    /// How long the vectors are to be.
    pub dimensions: Option<u64>,
    /// Whether they are to be base64.
    pub base64: bool,
    /// What they are for.
    pub purpose: Option<Purpose<'a>>,
    /// Whether what is too long is cut instead of refused.
    pub truncate: Option<bool>,
    /// All else.
    pub other: Vec<(Text<'a>, &'a RawValue)>,
}

/// What embeddings are for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// To look for.
    Query,
    /// To be found.
    Document,
    /// Something else, by the client's own word as JSON.
    Other(&'a RawValue),
}

/// What a provider answers: vectors as they came, in the order of the inputs.
#[derive(Debug)]
pub struct Vectors<'a> {
    /// Each an array of numbers, or base64 where that was asked for.
    pub vectors: Vec<&'a RawValue>,
    /// Tokens read, where the provider tells.
    pub tokens: Option<u64>,
}

/// Reads what a client asks, `provider` being who is to answer.
///
/// # Errors
/// What is wrong with it.
pub fn read_request<'a>(body: &'a [u8], provider: &str) -> Result<Asked<'a>, Refused> {
    let mut asked = Asked::default();
    let mut input = None;
    for (name, value) in fields::members(body)? {
        match name.as_ref() {
            "model" => {}
            "input" => input = Some(value),
            "dimensions" | "output_dimension" => asked.dimensions = Some(fields::value("dimensions", value)?),
            "encoding_format" => {
                asked.base64 = match fields::value::<Str<'_>>("encoding_format", value)?.0.as_ref() {
                    "float" => false,
                    "base64" => true,
                    _ => {
                        let message = "'encoding_format' must be 'float' or 'base64'.";
                        return Losses::refuse("encoding_format", message);
                    }
                };
            }
            // Voyage's words and Cohere's.
            "input_type" => {
                asked.purpose = Some(match fields::value::<Str<'_>>("input_type", value)?.0.as_ref() {
                    "query" | "search_query" => Purpose::Query,
                    "document" | "search_document" => Purpose::Document,
                    _ => Purpose::Other(value),
                });
            }
            "truncation" => asked.truncate = Some(fields::value("truncation", value)?),
            _ => asked.other.push((name, value)),
        }
    }
    let input = fields::required(input, "input")?.get();
    asked.inputs = match serde_json::from_str::<Str<'_>>(input) {
        Ok(one) => vec![one],
        Err(_) => match serde_json::from_str(input) {
            Ok(several) => several,
            Err(_) => {
                return Losses::refuse(
                    "input",
                    format!(
                        "The provider of this model ({provider}) takes text: make 'input' a text or an array of \
                         texts, not token numbers."
                    ),
                );
            }
        },
    };
    Ok(asked)
}

/// Writes a client's request, for Vertex AI perhaps; what its answer depends on.
///
/// # Errors
/// What is wrong with the request, or cannot be expressed.
pub fn request(
    body: &[u8],
    (wire, is_vertex): (Wire, bool),
    model: &str,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<Wanted, Refused> {
    let provider = match wire {
        Wire::Cohere => cohere::PROVIDER,
        Wire::Voyage => voyage::PROVIDER,
        Wire::Bedrock => bedrock::PROVIDER,
        _ => "gemini",
    };
    let asked = read_request(body, provider)?;
    match wire {
        Wire::Cohere => cohere::embeddings::write_request(&asked, model, losses, out)?,
        Wire::Voyage => voyage::embeddings::write_request(&asked, model, losses, out)?,
        Wire::Bedrock => bedrock::embeddings::write_request(&asked, model, losses, out)?,
        _ => {
            let texts: Vec<&str> = asked.inputs.iter().map(|Str(text)| text.as_ref()).collect();
            if is_vertex {
                vertex::embeddings::write_request(&texts, asked.dimensions, out)?;
            } else {
                gemini::embeddings::write_embeddings(&texts, model, asked.dimensions, out)?;
            }
        }
    }
    Ok(Wanted { base64: asked.base64, vertex: is_vertex, ..Wanted::default() })
}

/// Writes a provider's answer as OpenAI's.
///
/// # Errors
/// Where it is none.
pub fn answer(
    wire: Wire,
    body: &[u8],
    model: &str,
    wanted: &Wanted,
    out: &mut Vec<u8>,
) -> Result<Option<Usage>, Malformed> {
    let tokens = match wire {
        Wire::Cohere => cohere::embeddings::read_answer(body, wanted.base64)?.write(model, wanted, out),
        Wire::Voyage => voyage::embeddings::read_answer(body)?.write(model, wanted, out),
        _ => {
            let answer = match (wire, wanted.vertex) {
                (Wire::Bedrock, _) => bedrock::embeddings::read_answer(body)?,
                (_, true) => vertex::embeddings::read_answer(body)?,
                (_, false) => gemini::embeddings::read_embeddings(body)?,
            };
            answer.write(model, wanted.base64, wanted.estimate, out)?;
            answer.prompt_tokens.unwrap_or(wanted.estimate)
        }
    };
    Ok(Some(Usage { prompt_tokens: tokens, total_tokens: tokens, ..Usage::default() }))
}

impl Vectors<'_> {
    /// Appends OpenAI's object; the tokens that it tells.
    fn write(&self, model: &str, wanted: &Wanted, out: &mut Vec<u8>) -> u64 {
        let tokens = self.tokens.unwrap_or(wanted.estimate);
        out.push(b'{');
        write::string(out, "object", "list");
        write::name(out, "data");
        out.push(b'[');
        for (index, vector) in self.vectors.iter().enumerate() {
            write::comma(out);
            out.push(b'{');
            write::string(out, "object", "embedding");
            write::plain(out, "index", index);
            // As it was written: no digit is lost.
            write::raw(out, "embedding", vector.get());
            out.push(b'}');
        }
        out.push(b']');
        write::string(out, "model", model);
        write::name(out, "usage");
        out.push(b'{');
        write::plain(out, "prompt_tokens", tokens);
        write::plain(out, "total_tokens", tokens);
        out.extend_from_slice(b"}}");
        tokens
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sent(body: &str, wire: Wire) -> Result<(Value, Wanted), Refused> {
        let mut out = Vec::new();
        let wanted = request(body.as_bytes(), (wire, false), "m", &mut Losses::new(false), &mut out)?;
        Ok((serde_json::from_slice(&out).unwrap(), wanted))
    }

    #[test]
    fn texts_are_taken_and_token_numbers_refused() {
        for (body, count) in [
            (r#"{"model":"m","input":"a"}"#, 1),
            (r#"{"model":"m","input":["a","b\n"],"encoding_format":"base64","dimensions":8}"#, 2),
        ] {
            let (sent, wanted) = sent(body, Wire::Gemini).unwrap();
            assert_eq!(wanted.base64, count == 2);
            assert_eq!(sent["requests"].as_array().unwrap().len(), count);
        }
        let many = json!({"input": vec!["a"; 97]}).to_string();
        for (body, wire, param) in [
            (r#"{"model":"m","input":[1,2]}"#, Wire::Gemini, "input"),
            (r#"{"model":"m","input":[[1,2]]}"#, Wire::Cohere, "input"),
            (r#"{"model":"m"}"#, Wire::Voyage, "input"),
            (r#"{"model":"m","input":"a","encoding_format":"hex"}"#, Wire::Gemini, "encoding_format"),
            (r#"{"input":"a","input_type":"clustering"}"#, Wire::Voyage, "input_type"),
            (r#"{"input":"a","user":"u"}"#, Wire::Voyage, "user"),
            (r#"{"input":"a","output_dtype":"int8"}"#, Wire::Cohere, "output_dtype"),
            (&many, Wire::Cohere, "input"),
        ] {
            assert_eq!(sent(body, wire).unwrap_err().param, param, "{body}");
        }
    }

    #[test]
    fn each_provider_is_asked_in_its_words() {
        let openais = r#"{"model":"x","input":["a","b\n"],"dimensions":256,"encoding_format":"base64"}"#;
        let more = r#"{"model":"x","input":"a","input_type":"search_query","truncation":false,"encoding_format":"float"}"#;
        for (body, wire, wanted) in [
            (
                openais,
                Wire::Cohere,
                json!({"model": "m", "input_type": "search_document", "texts": ["a", "b\n"],
                    "embedding_types": ["base64"], "output_dimension": 256}),
            ),
            (
                openais,
                Wire::Voyage,
                json!({"model": "m", "input": ["a", "b\n"], "output_dimension": 256, "encoding_format": "base64"}),
            ),
            (
                more,
                Wire::Cohere,
                json!({"model": "m", "input_type": "search_query", "texts": ["a"], "embedding_types": ["float"],
                    "truncate": "NONE"}),
            ),
            (
                more,
                Wire::Voyage,
                json!({"model": "m", "input": ["a"], "input_type": "query", "truncation": false}),
            ),
            (
                r#"{"input":"a","input_type":"clustering","truncate":"START"}"#,
                Wire::Cohere,
                json!({"model": "m", "input_type": "clustering", "texts": ["a"], "embedding_types": ["float"],
                    "truncate": "START"}),
            ),
        ] {
            assert_eq!(sent(body, wire).unwrap().0, wanted, "{body} to {wire:?}");
        }
    }

    #[test]
    fn vectors_come_back_as_asked() {
        let cohere = r#"{"id":"i","embeddings":{"float":[[0.5,-1.0]],"base64":["AAAAPw=="]},"meta":{"billed_units":{"input_tokens":4}}}"#;
        let voyage = r#"{"object":"list","data":[{"object":"embedding","embedding":[2],"index":1},{"object":"embedding","embedding":[0.5,-1.0],"index":0}],"model":"v","usage":{"total_tokens":4}}"#;
        for (wire, body, base64, first, tokens) in [
            (Wire::Gemini, r#"{"embeddings":[{"values":[0.5,-1]}]}"#, false, json!([0.5, -1]), 7),
            (Wire::Cohere, cohere, false, json!([0.5, -1.0]), 4),
            (Wire::Cohere, cohere, true, json!("AAAAPw=="), 4),
            (Wire::Cohere, r#"{"embeddings":{"float":[[1]]}}"#, false, json!([1]), 7),
            (Wire::Voyage, voyage, false, json!([0.5, -1.0]), 4),
            (Wire::Bedrock, r#"{"embedding":[0.5],"inputTextTokenCount":4}"#, true, json!("AAAAPw=="), 4),
            (Wire::Bedrock, r#"{"embeddings":{"float":[[0.5,-1.0]]}}"#, false, json!([0.5, -1.0]), 7),
        ] {
            let mut out = Vec::new();
            let wanted = Wanted { base64, estimate: 7, ..Wanted::default() };
            let usage = answer(wire, body.as_bytes(), "m", &wanted, &mut out).unwrap();
            assert_eq!(usage.map(|usage| usage.prompt_tokens), Some(tokens));
            let got: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!((&got["data"][0]["embedding"], &got["model"]), (&first, &"m".into()), "{body}");
            assert_eq!((&got["object"], &got["usage"]["total_tokens"]), (&"list".into(), &tokens.into()));
        }
        let base64 = Wanted { base64: true, ..Wanted::default() };
        for (wire, body) in
            [(Wire::Cohere, r#"{"embeddings":{"float":[[1]]}}"#), (Wire::Cohere, "{}"), (Wire::Voyage, "{}")]
        {
            assert!(answer(wire, body.as_bytes(), "m", &base64, &mut Vec::new()).is_err(), "{body}");
        }
    }
}
