//! What the gateway must know of a body whose model and method are in the path, found in one pass.
//!
//! Source: Gemini API reference, "Generating content", "Counting tokens" and "Embeddings" (request bodies).

use std::borrow::Cow;

use super::name::camel;
use crate::dialect::json::{self, Cursor, Span, Text};
use crate::dialect::openai::request::{BodyError, Endpoint, RequestFacts, StreamOptions};

/// Scans a body. Members that decide nothing here are checked to be JSON and passed over.
///
/// # Errors
/// What is not JSON, or lacks what there is nothing to do without.
pub fn scan(body: &[u8], endpoint: Endpoint) -> Result<RequestFacts, BodyError> {
    let mut cursor = Cursor::new(body);
    if cursor.peek() != b'{' {
        json::validate(body)?;
        return Err(BodyError::NotAnObject);
    }
    let mut config = Config::default();
    let mut given: [Option<Span>; NEEDED.len()] = [None; NEEDED.len()];
    let mut configured = false;
    let mut more = cursor.begin_object()?;
    let mut insert_at = cursor.pos();
    while more {
        let key = cursor.key()?;
        let name = camel(key.get(body));
        let needed = NEEDED.iter().zip(&mut given).find(|(needed, _)| *needed == &name);
        if let Some((needed, given)) = needed {
            if given.replace(cursor.value()?).is_some() {
                return Err(BodyError::Repeated(needed));
            }
        } else if name == "generationConfig" && cursor.peek() == b'{' {
            if std::mem::replace(&mut configured, true) {
                return Err(BodyError::Repeated("generationConfig"));
            }
            config = Config::scan(&mut cursor, body)?;
        } else {
            cursor.value()?;
        }
        insert_at = cursor.pos();
        more = cursor.next_member()?;
    }
    cursor.finish()?;
    check(endpoint, given.map(|span| span.map(|span| span.of(body))))?;
    Ok(RequestFacts {
        model: Text { span: Span::empty(body.len()), escaped: false },
        stream: endpoint == Endpoint::StreamGenerateContent,
        stream_options: StreamOptions::Absent,
        max_output_tokens: config.max_output_tokens,
        n: config.candidates.unwrap_or(1),
        insert_at,
        hex_escapes: cursor.hex_escapes(),
    })
}

/// Members of which a request has the one that its method is about.
const NEEDED: [&str; 4] = ["contents", "generateContentRequest", "content", "requests"];

fn check(
    endpoint: Endpoint,
    [contents, whole, content, requests]: [Option<&[u8]>; NEEDED.len()],
) -> Result<(), BodyError> {
    match endpoint {
        Endpoint::GoogleCountTokens if whole.is_some() => Ok(()),
        Endpoint::EmbedContent => content.map(|_| ()).ok_or(BodyError::Missing("content")),
        Endpoint::BatchEmbedContents => filled(requests, "requests"),
        _ => filled(contents, "contents"),
    }
}

fn filled(array: Option<&[u8]>, name: &'static str) -> Result<(), BodyError> {
    match array {
        None | Some(b"null") => Err(BodyError::Missing(name)),
        Some([b'[', elements @ ..]) => match json::skip_space(elements) {
            [b']', ..] => Err(BodyError::EmptyArray(name)),
            _ => Ok(()),
        },
        Some(_) => Err(BodyError::NotAnArray(name)),
    }
}

/// What budgets need of `generationConfig`.
#[derive(Default)]
struct Config {
    max_output_tokens: Option<u64>,
    candidates: Option<u64>,
}

impl Config {
    fn scan(cursor: &mut Cursor<'_>, body: &[u8]) -> Result<Self, BodyError> {
        let mut config = Self::default();
        let mut more = cursor.begin_object()?;
        while more {
            let name: Cow<'_, str> = camel(cursor.key()?.get(body));
            let value = cursor.value()?.of(body);
            let (known, place) = match &*name {
                "maxOutputTokens" => {
                    ("generationConfig.maxOutputTokens", Some(&mut config.max_output_tokens))
                }
                "candidateCount" => ("generationConfig.candidateCount", Some(&mut config.candidates)),
                _ => ("", None),
            };
            if let Some(place) = place {
                if place.is_some() {
                    return Err(BodyError::Repeated(known));
                }
                *place = json::count(value);
            }
            more = cursor.next_member()?;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_facts() {
        let body =
            r#"{"contents":[{}],"generation_config":{"max_output_tokens":7,"candidateCount":2},"new":1.50}"#;
        for (endpoint, stream) in
            [(Endpoint::GenerateContent, false), (Endpoint::StreamGenerateContent, true)]
        {
            let facts = scan(body.as_bytes(), endpoint).unwrap();
            assert_eq!((facts.stream, facts.max_output_tokens, facts.n), (stream, Some(7), 2));
            assert_eq!(facts.model(body.as_bytes()), "");
        }
        for (endpoint, body) in [
            (Endpoint::GoogleCountTokens, r#"{"generateContentRequest":{"contents":[1]}}"#),
            (Endpoint::GoogleCountTokens, r#"{"contents":[1]}"#),
            (Endpoint::EmbedContent, r#"{"content":{"parts":[]}}"#),
            (Endpoint::BatchEmbedContents, r#"{"requests":[{}]}"#),
        ] {
            let facts = scan(body.as_bytes(), endpoint).unwrap();
            assert_eq!((facts.stream, facts.max_output_tokens, facts.n), (false, None, 1));
        }
    }

    #[test]
    fn refuses() {
        use BodyError as E;
        let chat = Endpoint::GenerateContent;
        for (endpoint, body, error) in [
            (chat, "[]", E::NotAnObject),
            (chat, "{}", E::Missing("contents")),
            (chat, r#"{"contents":null}"#, E::Missing("contents")),
            (chat, r#"{"contents":[ ]}"#, E::EmptyArray("contents")),
            (chat, r#"{"contents":"hi"}"#, E::NotAnArray("contents")),
            (chat, r#"{"contents":[1],"contents":[2]}"#, E::Repeated("contents")),
            (
                chat,
                r#"{"contents":[1],"generationConfig":{},"generation_config":{}}"#,
                E::Repeated("generationConfig"),
            ),
            (
                chat,
                r#"{"contents":[1],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}"#,
                E::Repeated("generationConfig.maxOutputTokens"),
            ),
            (Endpoint::GoogleCountTokens, "{}", E::Missing("contents")),
            (Endpoint::EmbedContent, "{}", E::Missing("content")),
            (Endpoint::BatchEmbedContents, r#"{"requests":[]}"#, E::EmptyArray("requests")),
        ] {
            assert_eq!(scan(body.as_bytes(), endpoint), Err(error), "{body}");
        }
        assert!(matches!(scan(b"", chat), Err(E::Malformed(_))));
        assert!(matches!(scan(br#"{"contents":[1]} x"#, chat), Err(E::Malformed(_))));
    }
}
