//! The path and the query of a request: which model, which method, and whose key.
//!
//! Source: Gemini API reference, `models.generateContent` and its like (`POST /v1beta/{model=models/*}:generateContent`),
//! "All methods" (`?key=`, `?alt=sse`).

use std::borrow::Cow;

use crate::dialect::openai::request::{BodyError, Endpoint};

const METHODS: [(&str, Endpoint); 5] = [
    ("generateContent", Endpoint::GenerateContent),
    ("streamGenerateContent", Endpoint::StreamGenerateContent),
    ("countTokens", Endpoint::GoogleCountTokens),
    ("embedContent", Endpoint::EmbedContent),
    ("batchEmbedContents", Endpoint::BatchEmbedContents),
];

/// What a path is for, and the model in it, still with its escapes. A model's name may have colons and slashes of its
/// own: the last colon ends it.
#[must_use]
pub fn read(path: &str) -> Option<(Endpoint, &str)> {
    let path = path.strip_prefix("/api").unwrap_or(path);
    let below = path.strip_prefix("/v1beta/").or_else(|| path.strip_prefix("/v1/"))?;
    let (model, method) = below.strip_prefix("models/")?.rsplit_once(':')?;
    METHODS.into_iter().find(|(known, _)| *known == method).map(|(_, endpoint)| (endpoint, model))
}

/// The name of the model in a path that [`read`] knows.
///
/// # Errors
/// Where it is none: empty, with escapes that are none, or with parts that would lead elsewhere in a path.
pub fn model(path: &str) -> Result<Cow<'_, str>, BodyError> {
    let (_, model) = read(path).ok_or(BodyError::ModelMissing)?;
    if model.is_empty() {
        return Err(BodyError::ModelEmpty);
    }
    let model = decoded(model, false).ok_or(BodyError::ModelNotAName)?;
    // What is before a colon may be the provider's name, and what is behind it a path of its own.
    let leads_elsewhere =
        model.split('/').any(str::is_empty) || model.split(['/', ':']).any(|part| matches!(part, "." | ".."));
    if leads_elsewhere || model.chars().any(char::is_control) {
        return Err(BodyError::ModelNotAName);
    }
    Ok(model)
}

/// The value of a parameter of a query; `None` where it is not there exactly once, is empty or is no text.
#[must_use]
pub fn parameter<'q>(query: &'q [u8], name: &str) -> Option<Cow<'q, str>> {
    let mut values = std::str::from_utf8(query).ok()?.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => decoded(value, true),
        _ => None,
    }
}

/// Text with its escapes resolved; `None` where one is broken or the bytes are no text. In a query a plus is a space.
fn decoded(text: &str, query: bool) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(text.into());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        out.push(match byte {
            b'%' => u8::try_from(digit()? * 16 + digit()?).ok()?,
            b'+' if query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_colon_ends_the_models_name() {
        for (path, endpoint, name) in [
            (
                "/v1beta/models/gemini-2.5-flash:generateContent",
                Endpoint::GenerateContent,
                "gemini-2.5-flash",
            ),
            (
                "/v1/models/openai:gpt-4o:streamGenerateContent",
                Endpoint::StreamGenerateContent,
                "openai:gpt-4o",
            ),
            ("/api/v1beta/models/a%3Ab%2fc:countTokens", Endpoint::GoogleCountTokens, "a:b/c"),
            (
                "/v1beta/models/openrouter:anthropic/claude-x:free:embedContent",
                Endpoint::EmbedContent,
                "openrouter:anthropic/claude-x:free",
            ),
            ("/v1beta/models/gr%C3%B6%C3%9Fe+1:batchEmbedContents", Endpoint::BatchEmbedContents, "größe+1"),
        ] {
            assert_eq!(read(path).map(|(endpoint, _)| endpoint), Some(endpoint), "{path}");
            assert_eq!(model(path).unwrap(), name);
        }
        for path in [
            "/v1beta/models/m",
            "/v1beta/models/m:generate",
            "/v1beta/models/m:generateContent/",
            "/v1beta/models:generateContent",
            "/v2/models/m:generateContent",
            "/v1beta/tunedModels/m:generateContent",
            "/v1/chat/completions",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (name, error) in [
            ("", BodyError::ModelEmpty),
            ("a%", BodyError::ModelNotAName),
            ("a%4", BodyError::ModelNotAName),
            ("a%zz", BodyError::ModelNotAName),
            ("a%ff", BodyError::ModelNotAName),
            ("a%0d%0ab", BodyError::ModelNotAName),
            ("gemini:../x", BodyError::ModelNotAName),
            ("gemini:x/..", BodyError::ModelNotAName),
            ("%2e%2e/x", BodyError::ModelNotAName),
            ("a//b", BodyError::ModelNotAName),
        ] {
            let path = format!("/v1beta/models/{name}:generateContent");
            assert_eq!(model(&path), Err(error), "{name}");
        }
    }

    #[test]
    fn parameters_of_a_query() {
        for (query, wanted) in [
            ("key=sk-1", Some("sk-1")),
            ("alt=sse&key=a%2Bb+c&x", Some("a+b c")),
            ("key=", None),
            ("key", None),
            ("", None),
            ("key=a&key=b", None),
            ("key=%", None),
            ("monkey=a", None),
        ] {
            assert_eq!(parameter(query.as_bytes(), "key").as_deref(), wanted, "{query}");
        }
    }
}
