//! Ranking documents, for providers that have other forms than their clients.
//!
//! Clients speak the form of Cohere's, Jina's and Together's APIs (`top_n`, `results`), or Voyage's (`top_k`, `data`);
//! what comes back has the form of what was asked. At `/v2/rerank` that is Cohere's version 2. Source: Cohere API reference, "Rerank", versions 1 and 2; Jina AI,
//! "Reranker API"; Voyage AI API reference, "Rerankers".

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Wire, embeddings::Wanted};
use crate::dialect::{
    chat::{
        Face, Losses, Malformed, Refused,
        fields::{self, Str},
        request::Text,
    },
    cohere,
    json::write,
    openai::{self, request::Endpoint},
    usage::Usage,
    voyage,
};

/// What a client asks.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// What is looked for.
    pub query: Text<'a>,
    /// Where it is looked for.
    pub documents: Vec<Text<'a>>,
    /// How many of them to tell; all where it is not said.
    pub top: Option<u64>,
    /// Whether the answer is to have the documents too.
    pub return_documents: bool,
    /// Whether the client speaks as Voyage's do.
    pub as_voyage: bool,
    /// All else.
    pub other: Vec<(Text<'a>, &'a RawValue)>,
}

/// What a provider answers.
#[derive(Debug)]
pub struct Ranks<'a> {
    /// Empty where there is none.
    pub id: Cow<'a, str>,
    /// The best first.
    pub ranked: Vec<Ranked<'a>>,
    /// Tokens read or searches, where they are told.
    pub usage: Option<Usage>,
    /// Cohere's `meta`, which tells the searches that are billed.
    pub meta: Option<&'a RawValue>,
}

/// A document's rank.
#[derive(Debug, Deserialize)]
pub struct Ranked<'a> {
    index: usize,
    #[serde(borrow)]
    relevance_score: &'a RawValue,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    text: Str<'a>,
}

/// Reads what a client asks.
///
/// # Errors
/// What is wrong with it.
pub fn read_request(body: &[u8]) -> Result<Asked<'_>, Refused> {
    let mut asked = Asked::default();
    let (mut query, mut documents) = (None, None);
    for (name, value) in fields::members(body)? {
        match name.as_ref() {
            "model" => {}
            "query" => query = Some(fields::value::<Str<'_>>("query", value)?.0),
            "documents" => documents = Some(fields::value::<Vec<&RawValue>>("documents", value)?),
            "top_n" => asked.top = Some(fields::value("top_n", value)?),
            "top_k" => {
                asked.top = Some(fields::value("top_k", value)?);
                asked.as_voyage = true;
            }
            "return_documents" => asked.return_documents = fields::value("return_documents", value)?,
            "truncation" => {
                asked.as_voyage = true;
                asked.other.push((name, value));
            }
            _ => asked.other.push((name, value)),
        }
    }
    asked.query = fields::required(query, "query")?;
    for (at, document) in fields::required(documents, "documents")?.into_iter().enumerate() {
        let text = match document.get().starts_with('{') {
            true => serde_json::from_str::<Document<'_>>(document.get()).map(|document| document.text),
            false => serde_json::from_str::<Str<'_>>(document.get()),
        };
        match text {
            Ok(Str(text)) => asked.documents.push(text),
            Err(_) => {
                return Losses::refuse(
                    format!("documents[{at}]"),
                    "A document must be a text, or an object with its 'text'.",
                );
            }
        }
    }
    Ok(asked)
}

/// Writes a client's request; what its answer depends on.
///
/// # Errors
/// What is wrong with the request, or cannot be expressed.
pub fn request(
    (endpoint, body): (Endpoint, &[u8]),
    wire: Wire,
    (model, provider): (&str, &str),
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<Wanted, Refused> {
    let asked = read_request(body)?;
    match wire {
        Wire::OpenAi => openai::rerank::write_request(&asked, (model, provider), losses, out)?,
        Wire::Cohere => cohere::rerank::write_request(&asked, model, losses, out)?,
        Wire::Voyage => voyage::rerank::write_request(&asked, model, losses, out)?,
        _ => return Losses::refuse("model", "The provider of this model ranks no documents."),
    }
    let kept = if asked.return_documents { asked.documents } else { Vec::new() };
    let as_cohere = endpoint == Endpoint::CohereRerank;
    Ok(Wanted {
        as_voyage: asked.as_voyage && !as_cohere,
        as_cohere,
        documents: kept.into_iter().map(Cow::into_owned).collect(),
        ..Wanted::default()
    })
}

/// Writes a provider's answer as its client expects it; the tokens used, where the provider tells them.
///
/// # Errors
/// Where it is none.
pub fn answer(
    wire: Wire,
    body: &[u8],
    face: &Face<'_>,
    wanted: &Wanted,
    out: &mut Vec<u8>,
) -> Result<Option<Usage>, Malformed> {
    let ranks = match wire {
        Wire::OpenAi | Wire::Voyage => openai::rerank::read_answer(body)?,
        Wire::Cohere => cohere::rerank::read_answer(body)?,
        _ => return Err(Malformed("the provider ranks no documents")),
    };
    let tokens = ranks.usage.map(|usage| usage.total_tokens).filter(|tokens| *tokens > 0);
    out.push(b'{');
    if wanted.as_voyage {
        write::string(out, "object", "list");
    } else {
        write::string(out, "id", if ranks.id.is_empty() { face.id } else { &ranks.id });
    }
    if !wanted.as_cohere {
        write::string(out, "model", face.model);
    }
    write::name(out, if wanted.as_voyage { "data" } else { "results" });
    out.push(b'[');
    for ranked in &ranks.ranked {
        write::comma(out);
        out.push(b'{');
        write::plain(out, "index", ranked.index);
        write::raw(out, "relevance_score", ranked.relevance_score.get());
        match wanted.documents.get(ranked.index) {
            Some(document) if wanted.as_voyage => write::string(out, "document", document),
            Some(document) => {
                write::name(out, "document");
                out.push(b'{');
                write::string(out, "text", document);
                out.push(b'}');
            }
            None => {}
        }
        out.push(b'}');
    }
    out.push(b']');
    if let Some(meta) = ranks.meta {
        write::raw(out, "meta", meta.get());
    }
    if wanted.as_cohere {
        cohere::inbound::embeddings::write_meta(tokens, out);
    } else if tokens.is_some() || wanted.as_voyage {
        write::name(out, "usage");
        out.push(b'{');
        write::plain(out, "total_tokens", tokens.unwrap_or(wanted.estimate));
        out.push(b'}');
    }
    out.push(b'}');
    Ok(ranks.usage)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const FACE: Face<'_> = Face { id: "rerank-1", model: "m", created: 1 };
    const COHERE: &str = r#"{"id":"c","results":[{"index":1,"relevance_score":0.90},{"index":0,"relevance_score":0.1}],"meta":{"billed_units":{"search_units":1}}}"#;
    const VOYAGE: &str = r#"{"object":"list","data":[{"relevance_score":0.9,"index":1},{"relevance_score":0.1,"index":0}],"model":"rerank-2.5","usage":{"total_tokens":7}}"#;

    fn exchange(body: &Value, wire: Wire, back: &str) -> (Value, Value, Option<Usage>) {
        exchange_at(Endpoint::Rerank, body, wire, back)
    }

    fn exchange_at(
        endpoint: Endpoint,
        body: &Value,
        wire: Wire,
        back: &str,
    ) -> (Value, Value, Option<Usage>) {
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        let wanted = request(
            (endpoint, body.to_string().as_bytes()),
            wire,
            ("r", "p"),
            &mut Losses::new(false),
            &mut sent,
        )
        .unwrap();
        let usage = answer(wire, back.as_bytes(), &FACE, &wanted, &mut got).unwrap();
        (serde_json::from_slice(&sent).unwrap(), serde_json::from_slice(&got).unwrap(), usage)
    }

    #[test]
    fn every_form_reaches_every_provider() {
        let common = json!({"model": "x", "query": "q", "documents": ["a", {"text": "b\n"}], "top_n": 2,
            "return_documents": true});
        let (sent, got, usage) = exchange(&common, Wire::Cohere, COHERE);
        assert_eq!(sent, json!({"model": "r", "query": "q", "documents": ["a", "b\n"], "top_n": 2}));
        let results = json!([{"index": 1, "relevance_score": 0.9, "document": {"text": "b\n"}},
            {"index": 0, "relevance_score": 0.1, "document": {"text": "a"}}]);
        let meta = json!({"billed_units": {"search_units": 1}});
        assert_eq!(got, json!({"id": "c", "model": "m", "results": results, "meta": meta}));
        assert_eq!(usage, Some(Usage { searches: 1, ..Usage::default() }));

        let (sent, got, usage) = exchange(&common, Wire::Voyage, VOYAGE);
        assert_eq!(sent, json!({"model": "r", "query": "q", "documents": ["a", "b\n"], "top_k": 2}));
        let wanted =
            json!({"id": "rerank-1", "model": "m", "results": results, "usage": {"total_tokens": 7}});
        assert_eq!((got, usage.map(|usage| usage.prompt_tokens)), (wanted, Some(7)));

        let voyages =
            json!({"model": "x", "query": "q", "documents": ["a", "b"], "top_k": 1, "truncation": true});
        let (sent, got, _) = exchange(&voyages, Wire::Voyage, VOYAGE);
        let mut same = voyages.clone();
        same["model"] = "r".into();
        assert_eq!(sent, same);
        let mut same: Value = serde_json::from_str(VOYAGE).unwrap();
        same["model"] = "m".into();
        assert_eq!(got, same);
        let (sent, got, _) = exchange(&voyages, Wire::Cohere, COHERE);
        assert_eq!(sent, json!({"model": "r", "query": "q", "documents": ["a", "b"], "top_n": 1}));
        assert_eq!((&got["data"][0]["index"], &got["usage"]["total_tokens"]), (&1.into(), &0.into()));
    }

    #[test]
    fn coheres_second_version_reaches_every_provider() {
        let body = json!({"model": "x", "query": "q", "documents": ["a", "b"], "top_n": 2, "priority": 0});
        let results = json!([{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]);
        let meta = json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}});
        let family = json!({"model": "n", "id": "t", "results": results, "usage": {"total_tokens": 7}});
        let (sent, got, _) = exchange_at(Endpoint::CohereRerank, &body, Wire::OpenAi, &family.to_string());
        let wanted = json!({"model": "r", "query": "q", "documents": ["a", "b"], "top_n": 2});
        assert_eq!(sent, wanted);
        assert_eq!(got, json!({"id": "t", "results": results, "meta": meta}));
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove("priority");
        let (sent, got, usage) = exchange_at(Endpoint::CohereRerank, &body, Wire::Voyage, VOYAGE);
        assert_eq!(sent, json!({"model": "r", "query": "q", "documents": ["a", "b"], "top_k": 2}));
        assert_eq!(got, json!({"id": "rerank-1", "results": results, "meta": meta}));
        assert_eq!(usage.map(|usage| usage.prompt_tokens), Some(7));
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (body, wire, param) in [
            (json!({"documents": ["a"]}), Wire::Cohere, "query"),
            (json!({"query": "q"}), Wire::Cohere, "documents"),
            (json!({"query": "q", "documents": ["a", {"image": "u"}]}), Wire::Voyage, "documents[1]"),
            (json!({"query": "q", "documents": ["a"], "top_n": "x"}), Wire::Cohere, "top_n"),
            (json!({"query": "q", "documents": ["a"], "rank_fields": ["x"]}), Wire::Cohere, "rank_fields"),
            (json!({"query": "q", "documents": ["a"], "truncation": false}), Wire::Cohere, "truncation"),
            (
                json!({"query": "q", "documents": ["a"], "max_tokens_per_doc": 9}),
                Wire::Voyage,
                "max_tokens_per_doc",
            ),
        ] {
            let body = body.to_string();
            let refused = request(
                (Endpoint::Rerank, body.as_bytes()),
                wire,
                ("r", "p"),
                &mut Losses::new(false),
                &mut Vec::new(),
            )
            .unwrap_err();
            assert_eq!(refused.param, param, "{body}");
        }
        for wire in [Wire::Cohere, Wire::Voyage, Wire::OpenAi] {
            assert!(answer(wire, b"{}", &FACE, &Wanted::default(), &mut Vec::new()).is_err());
        }
    }
}
