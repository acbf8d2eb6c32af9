//! Sources that an answer rests on, as OpenAI's annotations.
//!
//! Source: Gemini API reference, "Generating content" (`GroundingMetadata`, `Segment`: offsets in bytes of a part);
//! OpenAI API reference, "The chat completion object" (`annotations`: offsets in characters of the message).

use super::wire::{Grounding, Segment};
use super::write::{Array, Object};

/// The `annotations` array; `None` where there would be nothing in it. `text` is the message, and `starts` is where in
/// it each part's text begins.
pub(super) fn annotations(metadata: &Grounding<'_>, text: &str, starts: &[usize]) -> Option<String> {
    let mut out = Vec::new();
    let mut list = Array::begin(&mut out);
    let mut any = false;
    for support in &metadata.grounding_supports {
        let Some((start, end)) = locate(&support.segment, text, starts) else { continue };
        for &chunk in &support.grounding_chunk_indices {
            let Some(web) = metadata.grounding_chunks.get(chunk).and_then(|chunk| chunk.web.as_ref()) else {
                continue;
            };
            any = true;
            let mut annotation = Object::begin(list.element());
            annotation.text("type", "url_citation");
            let mut citation = Object::begin(annotation.key("url_citation"));
            citation.value("start_index", Some(start));
            citation.value("end_index", Some(end));
            citation.text("title", &web.title);
            citation.text("url", &web.uri);
            citation.end();
            annotation.end();
        }
    }
    list.end();
    if any { String::from_utf8(out).ok() } else { None }
}

/// Where a segment stands in the message, in characters.
///
/// Streams come in many parts that Gemini counts as one, so what stands there is compared, and searched for where it is
/// something else.
fn locate(segment: &Segment<'_>, text: &str, starts: &[usize]) -> Option<(usize, usize)> {
    let base = starts.get(segment.part_index).copied().unwrap_or(0);
    let fits = |base: usize| {
        let (start, end) = (base.checked_add(segment.start_index)?, base.checked_add(segment.end_index)?);
        let there = text.get(start..end)?;
        (segment.text.is_empty() || there == segment.text).then_some((start, end))
    };
    let (start, end) = fits(base).or_else(|| fits(0)).or_else(|| {
        if segment.text.is_empty() {
            return None;
        }
        let start = text.find(segment.text.as_ref())?;
        Some((start, start + segment.text.len()))
    })?;
    let before = text.get(..start)?.chars().count();
    Some((before, before + text.get(start..end)?.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_characters() {
        let text = "Größe: Zürich";
        let at = |start_index, end_index, said: &str| {
            let segment = Segment { part_index: 0, start_index, end_index, text: said.to_owned().into() };
            locate(&segment, text, &[0])
        };
        assert_eq!(at(9, 16, "Zürich"), Some((7, 13)));
        assert_eq!(at(9, 16, ""), Some((7, 13)));
        assert_eq!(at(2, 9, "Zürich"), Some((7, 13)));
        assert_eq!(at(3, 9, ""), None);
        assert_eq!(at(0, 99, "Bern"), None);
    }
}
