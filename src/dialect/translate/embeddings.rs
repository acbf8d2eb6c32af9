//! Embeddings for clients of OpenAI's and of Cohere's dialect from providers that have others.
//!
//! Source: OpenAI API reference, "Create embeddings" and "The embedding object". Beside OpenAI's fields clients may
//! send what the provider's own API has: `input_type`, `output_dimension`, `truncation` or `truncate`, ... Cohere's
//! form stands in [`cohere::inbound::embeddings`].

use serde_json::value::RawValue;

use super::Wire;
use crate::dialect::{
    base64, bedrock,
    chat::{
        Face, Losses, Malformed, Refused,
        fields::{self, Str},
        request::Text,
    },
    cohere, gemini,
    json::write,
    openai::{self, request::Endpoint},
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
    /// Whether the answer is to have the form of version 2 of Cohere's API.
    pub as_cohere: bool,
    /// The name of the type of vectors there.
    pub vectors: &'static str,
    /// Documents that were ranked, or texts that were embedded, where they are to come back.
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
    /// Smaller numbers than floats (`int8`, ...), by the name that Cohere and Voyage have for them.
    pub quantized: Option<&'static str>,
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

impl<'a> Purpose<'a> {
    /// In Voyage's words and Cohere's.
    ///
    /// # Errors
    /// Where it is no text.
    pub fn read(value: &'a RawValue) -> Result<Self, Refused> {
        Ok(match fields::value::<Str<'_>>("input_type", value)?.0.as_ref() {
            "query" | "search_query" => Self::Query,
            "document" | "search_document" => Self::Document,
            _ => Self::Other(value),
        })
    }
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
            "input_type" => asked.purpose = Some(Purpose::read(value)?),
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

/// Writes a client's request, of OpenAI's or of Google's, for Vertex AI perhaps; what its answer depends on.
///
/// # Errors
/// What is wrong with the request, or cannot be expressed.
pub fn request(
    (endpoint, body): (Endpoint, &[u8]),
    (wire, is_vertex): (Wire, bool),
    (model, provider): (&str, &str),
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<Wanted, Refused> {
    let provider = match wire {
        Wire::Cohere => cohere::PROVIDER,
        Wire::Voyage => voyage::PROVIDER,
        Wire::OpenAi => provider,
        Wire::Bedrock => bedrock::PROVIDER,
        _ => "gemini",
    };
    let as_cohere = endpoint == Endpoint::CohereEmbed;
    let (mut asked, vectors) = match endpoint {
        Endpoint::CohereEmbed => cohere::inbound::embeddings::read_request(body)?,
        Endpoint::EmbedContent | Endpoint::BatchEmbedContents => {
            (gemini::inbound::read_embeddings(body, endpoint)?, "")
        }
        _ => (read_request(body, provider)?, ""),
    };
    asked.other.retain(|(name, _)| {
        // Whose request it is changes nothing of the answer, and none of these has a place for it.
        let is_user = name == "user";
        if is_user {
            losses.leave_out("user");
        }
        !is_user
    });
    if let (Some(kind), true) = (asked.quantized, wire != Wire::Voyage) {
        return Losses::refuse(
            "embedding_types",
            format!("The provider of this model ({provider}) has no vectors of type '{kind}': use 'float'."),
        );
    }
    match wire {
        Wire::OpenAi => {
            name_losses(&asked, (wire, provider), losses)?;
            openai::embeddings::write_request(&asked, model, out);
        }
        Wire::Cohere => cohere::embeddings::write_request(&asked, model, losses, out)?,
        Wire::Voyage => voyage::embeddings::write_request(&asked, model, losses, out)?,
        Wire::Bedrock => bedrock::embeddings::write_request(&asked, model, losses, out)?,
        _ => {
            name_losses(&asked, (wire, provider), losses)?;
            let texts: Vec<&str> = asked.inputs.iter().map(|Str(text)| text.as_ref()).collect();
            if is_vertex {
                vertex::embeddings::write_request(&texts, asked.dimensions, out)?;
            } else {
                gemini::embeddings::write_embeddings(&texts, model, asked.dimensions, out)?;
            }
        }
    }
    let documents = if as_cohere { asked.inputs } else { Vec::new() };
    Ok(Wanted {
        base64: asked.base64,
        vertex: is_vertex,
        as_cohere,
        vectors,
        documents: documents.into_iter().map(|Str(text)| text.into_owned()).collect(),
        ..Wanted::default()
    })
}

/// Names what providers have nothing like that only embed. What texts are for must be said to Cohere, and is left out
/// elsewhere: there is one vector for all that is done with it.
fn name_losses(
    asked: &Asked<'_>,
    (wire, provider): (Wire, &str),
    losses: &mut Losses,
) -> Result<(), Refused> {
    if asked.purpose.is_some() {
        losses.leave_out("input_type");
    }
    // OpenAI refuses what is too long by itself.
    if asked.truncate.is_some_and(|cut| cut || wire != Wire::OpenAi) {
        losses.cannot("truncation", provider)?;
    }
    for (name, _) in &asked.other {
        losses.cannot(name.to_string(), provider)?;
    }
    Ok(())
}

/// Writes a provider's answer as its client expects it.
///
/// # Errors
/// Where it is none.
pub fn answer(
    wire: Wire,
    body: &[u8],
    face: &Face<'_>,
    (endpoint, wanted): (Endpoint, &Wanted),
    out: &mut Vec<u8>,
) -> Result<Option<Usage>, Malformed> {
    let answer = match wire {
        Wire::Cohere => cohere::embeddings::read_answer(body, wanted.base64)?,
        Wire::OpenAi | Wire::Voyage => openai::embeddings::read_answer(body)?,
        Wire::Bedrock => bedrock::embeddings::read_answer(body)?,
        _ if wanted.vertex => vertex::embeddings::read_answer(body)?,
        _ => gemini::embeddings::read_embeddings(body)?,
    };
    let tokens = match endpoint {
        Endpoint::CohereEmbed => cohere::inbound::embeddings::write_answer(&answer, face, wanted, out)?,
        Endpoint::EmbedContent | Endpoint::BatchEmbedContents => {
            gemini::inbound::write_embeddings(&answer.vectors, endpoint, out);
            answer.tokens.unwrap_or(wanted.estimate)
        }
        _ => answer.write(face.model, wanted, out)?,
    };
    Ok(Some(Usage { prompt_tokens: tokens, total_tokens: tokens, ..Usage::default() }))
}

impl Vectors<'_> {
    /// Appends OpenAI's object; the tokens that it tells.
    fn write(&self, model: &str, wanted: &Wanted, out: &mut Vec<u8>) -> Result<u64, Malformed> {
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
            write::name(out, "embedding");
            write_vector(vector, wanted.base64, out)?;
            out.push(b'}');
        }
        out.push(b']');
        write::string(out, "model", model);
        write::name(out, "usage");
        out.push(b'{');
        write::plain(out, "prompt_tokens", tokens);
        write::plain(out, "total_tokens", tokens);
        out.extend_from_slice(b"}}");
        Ok(tokens)
    }
}

/// Appends a vector: as it was written, so that no digit is lost, or where base64 is wanted of a provider that has none,
/// its 32-bit floats, little-endian.
///
/// # Errors
/// Where it is none.
pub fn write_vector(vector: &RawValue, in_base64: bool, out: &mut Vec<u8>) -> Result<(), Malformed> {
    if !in_base64 || vector.get().starts_with('"') {
        out.extend_from_slice(vector.get().as_bytes());
        return Ok(());
    }
    let values: Vec<f32> = serde_json::from_str(vector.get())
        .map_err(|_| Malformed("an embedding is not an array of numbers"))?;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    out.push(b'"');
    base64::encode(&bytes, out);
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const FACE: Face<'_> = Face { id: "7", model: "m", created: 1 };

    fn sent(body: &str, wire: Wire) -> Result<(Value, Wanted), Refused> {
        sent_at((Endpoint::Embeddings, body), wire, &mut Losses::new(false))
    }

    fn sent_at(
        (endpoint, body): (Endpoint, &str),
        wire: Wire,
        losses: &mut Losses,
    ) -> Result<(Value, Wanted), Refused> {
        let mut out = Vec::new();
        let wanted = request((endpoint, body.as_bytes()), (wire, false), ("m", "p"), losses, &mut out)?;
        Ok((serde_json::from_slice(&out).unwrap(), wanted))
    }

    /// What Cohere's clients ask of others, and how they are answered.
    #[test]
    fn coheres_form_reaches_every_provider() {
        let body =
            |more: &str| format!(r#"{{"model":"x","texts":["a","b"],"input_type":"search_query"{more}}}"#);
        let openai = r#"{"object":"list","data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[0.50]}],"usage":{"total_tokens":4}}"#;
        let gemini = r#"{"embeddings":[{"values":[0.5]},{"values":[2]}]}"#;
        for (wire, more, wanted, back, vectors, dropped) in [
            (
                Wire::OpenAi,
                r#","output_dimension":8,"truncate":"NONE""#,
                json!({"model": "m", "input": ["a", "b"], "encoding_format": "float", "dimensions": 8}),
                openai,
                json!({"float": [[0.5], [2]]}),
                "input_type",
            ),
            (
                Wire::OpenAi,
                r#","embedding_types":["base64"]"#,
                json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64"}),
                openai,
                json!({"base64": ["AAAAPw==", "AAAAQA=="]}),
                "input_type",
            ),
            (
                Wire::Voyage,
                r#","embedding_types":["int8"],"truncate":"END""#,
                json!({"model": "m", "input": ["a", "b"], "input_type": "query", "output_dtype": "int8",
                    "truncation": true}),
                openai,
                json!({"int8": [[0.5], [2]]}),
                "",
            ),
            (
                Wire::Gemini,
                "",
                json!({"requests": [
                    {"model": "models/m", "content": {"parts": [{"text": "a"}]}},
                    {"model": "models/m", "content": {"parts": [{"text": "b"}]}}]}),
                gemini,
                json!({"float": [[0.5], [2]]}),
                "input_type",
            ),
        ] {
            let mut losses = Losses::new(false).with_names(cohere::inbound::NAMES);
            let (request, depends) =
                sent_at((Endpoint::CohereEmbed, &body(more)), wire, &mut losses).unwrap();
            assert_eq!((request, losses.dropped().join(",")), (wanted, dropped.to_owned()));
            let mut out = Vec::new();
            let depends = Wanted { estimate: 4, ..depends };
            let usage =
                answer(wire, back.as_bytes(), &FACE, (Endpoint::CohereEmbed, &depends), &mut out).unwrap();
            assert_eq!(usage.map(|usage| usage.prompt_tokens), Some(4));
            let got: Value = serde_json::from_slice(&out).unwrap();
            let meta = json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}});
            assert_eq!(
                got,
                json!({"id": "7", "embeddings": vectors, "texts": ["a", "b"], "meta": meta,
                    "response_type": "embeddings_by_type"})
            );
        }
        for (wire, more, param) in [
            (Wire::OpenAi, r#","embedding_types":["int8"]"#, "embedding_types"),
            (Wire::OpenAi, r#","truncate":"END""#, "truncate"),
            (Wire::Gemini, r#","truncate":"START""#, "truncate"),
            (Wire::Gemini, r#","max_tokens":9"#, "max_tokens"),
        ] {
            let mut losses = Losses::new(false).with_names(cohere::inbound::NAMES);
            let refused = sent_at((Endpoint::CohereEmbed, &body(more)), wire, &mut losses).unwrap_err();
            assert_eq!(refused.param, param, "{more}");
        }
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
            (r#"{"input":"a","service_tier":"flex"}"#, Wire::Voyage, "service_tier"),
            (r#"{"input":"a","output_dtype":"int8"}"#, Wire::Cohere, "output_dtype"),
            (&many, Wire::Cohere, "input"),
        ] {
            assert_eq!(sent(body, wire).unwrap_err().param, param, "{body}");
        }
    }

    #[test]
    fn whose_request_it_is_is_left_out_and_named() {
        for wire in [Wire::OpenAi, Wire::Gemini, Wire::Cohere, Wire::Voyage] {
            let mut losses = Losses::new(false);
            sent_at((Endpoint::Embeddings, r#"{"input":"a","user":"u"}"#), wire, &mut losses).unwrap();
            assert_eq!(losses.dropped(), ["user"], "{wire:?}");
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
            // 0.5, 0.25 and -2 as Python's struct.pack('<3f', ...) and base64 write them.
            (
                Wire::Gemini,
                r#"{"embeddings":[{"values":[0.5,0.25,-2]}]}"#,
                true,
                json!("AAAAPwAAgD4AAADA"),
                7,
            ),
            (Wire::Cohere, cohere, false, json!([0.5, -1.0]), 4),
            (Wire::Cohere, cohere, true, json!("AAAAPw=="), 4),
            (Wire::Cohere, r#"{"embeddings":{"float":[[1]]}}"#, false, json!([1]), 7),
            (Wire::Voyage, voyage, false, json!([0.5, -1.0]), 4),
            (Wire::Bedrock, r#"{"embedding":[0.5],"inputTextTokenCount":4}"#, true, json!("AAAAPw=="), 4),
            (Wire::Bedrock, r#"{"embeddings":{"float":[[0.5,-1.0]]}}"#, false, json!([0.5, -1.0]), 7),
        ] {
            let mut out = Vec::new();
            let wanted = Wanted { base64, estimate: 7, ..Wanted::default() };
            let usage =
                answer(wire, body.as_bytes(), &FACE, (Endpoint::Embeddings, &wanted), &mut out).unwrap();
            assert_eq!(usage.map(|usage| usage.prompt_tokens), Some(tokens));
            let got: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!((&got["data"][0]["embedding"], &got["model"]), (&first, &"m".into()), "{body}");
            assert_eq!((&got["object"], &got["usage"]["total_tokens"]), (&"list".into(), &tokens.into()));
        }
        let base64 = Wanted { base64: true, ..Wanted::default() };
        for (wire, body) in
            [(Wire::Cohere, r#"{"embeddings":{"float":[[1]]}}"#), (Wire::Cohere, "{}"), (Wire::Voyage, "{}")]
        {
            let base64 = (Endpoint::Embeddings, &base64);
            assert!(answer(wire, body.as_bytes(), &FACE, base64, &mut Vec::new()).is_err(), "{body}");
        }
    }

    #[test]
    fn googles_clients_are_answered_by_others() {
        let body = br#"{"requests":[{"model":"models/x","content":{"parts":[{"text":"a"}]},"outputDimensionality":8}]}"#;
        let openais = r#"{"object":"list","data":[{"object":"embedding","embedding":[2],"index":1},{"object":"embedding","embedding":[0.50],"index":0}],"usage":{"prompt_tokens":4,"total_tokens":4}}"#;
        let coheres = r#"{"id":"i","embeddings":{"float":[[0.50],[2]]}}"#;
        let endpoint = Endpoint::BatchEmbedContents;
        for (wire, sent, came, tokens) in [
            (
                Wire::OpenAi,
                r#"{"model":"m","input":["a"],"encoding_format":"float","dimensions":8}"#,
                openais,
                4,
            ),
            (Wire::Voyage, r#"{"model":"m","input":["a"],"output_dimension":8}"#, openais, 4),
            (
                Wire::Cohere,
                r#"{"model":"m","input_type":"search_document","texts":["a"],"embedding_types":["float"],"output_dimension":8}"#,
                coheres,
                7,
            ),
        ] {
            let mut out = Vec::new();
            request((endpoint, body), (wire, false), ("m", "p"), &mut Losses::new(false), &mut out).unwrap();
            assert_eq!(String::from_utf8(std::mem::take(&mut out)).unwrap(), sent);
            let wanted = Wanted { estimate: 7, ..Wanted::default() };
            let usage = answer(wire, came.as_bytes(), &FACE, (endpoint, &wanted), &mut out).unwrap();
            assert_eq!(usage.map(|usage| usage.prompt_tokens), Some(tokens));
            assert_eq!(
                String::from_utf8(out).unwrap(),
                r#"{"embeddings":[{"values":[0.50]},{"values":[2]}]}"#
            );
        }
        let for_query = br#"{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY"}"#;
        let asked = (Endpoint::EmbedContent, for_query.as_slice());
        let mut losses = Losses::new(false).with_names(gemini::inbound::NAMES);
        request(asked, (Wire::OpenAi, false), ("m", "p"), &mut losses, &mut Vec::new()).unwrap();
        assert_eq!(losses.dropped(), ["taskType"]);
    }
}
