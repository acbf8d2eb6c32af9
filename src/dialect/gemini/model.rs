//! Models: their paths, and what their names tell of what they can do.

use std::borrow::Cow;

use crate::dialect::openai::request::Endpoint;
use crate::dialect::path;

/// The path of a request below the API's version: `/models/{model}:generateContent`, or `:streamGenerateContent` with
/// server-sent events.
#[must_use]
pub fn path(model: &str, stream: bool) -> String {
    path_to(model, if stream { Endpoint::StreamGenerateContent } else { Endpoint::GenerateContent })
}

/// The path of one of Google's own requests.
#[must_use]
pub fn path_to(model: &str, endpoint: Endpoint) -> String {
    format!("/{}{}", path::segments(&resource(model)), endpoint.path())
}

/// The path of a request for embeddings.
#[must_use]
pub fn path_embeddings(model: &str) -> String {
    path_to(model, Endpoint::BatchEmbedContents)
}

/// The model as a resource's name: `models/{model}`, where it does not say already what it is (`tunedModels/...`).
pub(super) fn resource(model: &str) -> Cow<'_, str> {
    let model = model.trim_start_matches('/');
    if model.contains('/') { model.into() } else { format!("models/{model}").into() }
}

/// What a model's name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Version: 2.5 is `(2, 5)`. `None` where it is not a Gemini model or does not say.
    version: Option<(u32, u32)>,
    /// A model of the `pro` size.
    pub pro: bool,
}

impl Model {
    /// Reads a name such as `models/gemini-2.5-flash-lite`.
    pub fn of(name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name);
        let pro = name.split('-').any(|word| word == "pro");
        let Some(rest) = name.strip_prefix("gemini-") else { return Self { version: None, pro } };
        let version = rest.split('-').find_map(version);
        // `gemini-flash-latest` and its like move with the newest generation.
        let version = version.or_else(|| rest.ends_with("latest").then_some((3, 0)));
        Self { version, pro }
    }

    /// Whether this is of the third generation or a later one: it thinks in levels, gives its calls ids and demands
    /// its signatures back.
    pub fn third(self) -> bool {
        self.version.is_some_and(|version| version >= (3, 0))
    }

    /// Whether this is one that takes files only from Google ("File input methods": external URLs are not for the
    /// models of the generations 2.0 and before).
    pub fn without_urls(self) -> bool {
        self.version.is_some_and(|version| version < (2, 5))
    }
}

/// `2.5` or `3`. Dates such as in `gemini-exp-1206` are no versions.
fn version(word: &str) -> Option<(u32, u32)> {
    let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
    let version = (major.parse().ok()?, minor.parse().ok()?);
    (version.0 < 100 && major.len() < 3 && !(major.len() > 1 && major.starts_with('0'))).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (model, stream, wanted) in [
            ("gemini-2.5-flash", false, "/models/gemini-2.5-flash:generateContent"),
            ("gemini-2.5-flash", true, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
            (
                "models/gemini-3-pro-preview",
                true,
                "/models/gemini-3-pro-preview:streamGenerateContent?alt=sse",
            ),
            ("tunedModels/mine-1", false, "/tunedModels/mine-1:generateContent"),
            ("a\r\nb: c", false, "/models/a%0D%0Ab%3A%20c:generateContent"),
        ] {
            assert_eq!(path(model, stream), wanted);
        }
        assert_eq!(
            path_embeddings("gemini-embedding-001"),
            "/models/gemini-embedding-001:batchEmbedContents"
        );
    }

    #[test]
    fn names_tell() {
        for (name, third, without_urls, pro) in [
            ("gemini-2.5-flash-lite", false, false, false),
            ("models/gemini-2.0-flash-001", false, true, false),
            ("gemini-1.5-pro-002", false, true, true),
            ("gemini-3-pro-preview", true, false, true),
            ("gemini-3.1-flash-lite", true, false, false),
            ("gemini-flash-latest", true, false, false),
            ("gemini-exp-1206", false, false, false),
            ("gemma-3-27b-it", false, false, false),
            ("tunedModels/mine-3", false, false, false),
        ] {
            let model = Model::of(name);
            assert_eq!(
                (model.third(), model.without_urls(), model.pro),
                (third, without_urls, pro),
                "{name}"
            );
        }
    }
}
