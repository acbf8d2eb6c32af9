//! Sources that an answer rests on, as OpenAI's annotations.
//!
//! Source: Cohere API reference, "Chat" (`citations`: places count characters of the content block); OpenAI API
//! reference, "The chat completion object" (`annotations`, of which chat has those of the web only).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::chat::fields::Str;
use crate::dialect::json::write;

/// A passage and what it rests on.
#[derive(Deserialize)]
pub(super) struct Citation<'a> {
    start: Option<u64>,
    end: Option<u64>,
    content_index: Option<usize>,
    #[serde(rename = "type", borrow)]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    sources: Option<Vec<Source<'a>>>,
}

/// A document of the client, or what a tool returned: any object.
#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    document: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_output: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    url: Str<'a>,
    #[serde(borrow)]
    title: Option<Str<'a>>,
}

impl Source<'_> {
    /// Where it is and what it is called, if it says so.
    fn page(&self) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
        let object = self.document.or(self.tool_output)?;
        let Page { url: Str(url), title } = serde_json::from_str(object.get()).ok()?;
        let title = title.map_or_else(|| url.clone(), |Str(title)| title);
        (!url.is_empty()).then_some((url, title))
    }
}

/// The `annotations` array; `None` where there would be nothing in it. `starts` is where in the text each content
/// block begins. Thoughts and plans are cited too, and have no place in the text.
pub(super) fn annotations(citations: &[Citation<'_>], starts: &[u64]) -> Option<String> {
    let mut out = b"[".to_vec();
    for citation in citations {
        if citation.kind.as_ref().is_some_and(|Str(kind)| kind != "TEXT_CONTENT") {
            continue;
        }
        let (Some(start), Some(end)) = (citation.start, citation.end) else { continue };
        let base = citation.content_index.and_then(|index| starts.get(index)).copied().unwrap_or(0);
        for (url, title) in citation.sources.iter().flatten().filter_map(Source::page) {
            write::open(&mut out, "url_citation");
            write::name(&mut out, "url_citation");
            out.push(b'{');
            write::plain(&mut out, "start_index", base.saturating_add(start));
            write::plain(&mut out, "end_index", base.saturating_add(end));
            write::string(&mut out, "url", &url);
            write::string(&mut out, "title", &title);
            out.extend_from_slice(b"}}");
        }
    }
    out.push(b']');
    if out.len() > 2 { String::from_utf8(out).ok() } else { None }
}
