//! Images and documents: which of them the API reads, and by what names.
//!
//! Source: Amazon Bedrock API reference, "ImageBlock", "DocumentBlock", "S3Location".

use crate::dialect::chat::Source;

/// Media types of images and the API's names of them.
const IMAGES: [(&str, &str); 5] = [
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    // A common slip that providers let pass.
    ("image/jpg", "jpeg"),
];

/// Media types of documents and the API's names of them. All other text is `txt`.
const DOCUMENTS: [(&str, &str); 9] = [
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
];

/// The longest name of a document, in characters ("DocumentBlock", `name`).
const MOST_NAME: usize = 200;

/// The API's name of an image's format; `None` where it reads none such.
pub fn image_format(source: &Source<'_>) -> Option<&'static str> {
    match source {
        Source::Data { media_type, .. } => {
            IMAGES.iter().find(|(known, _)| known == media_type).map(|(_, format)| *format)
        }
        Source::Url(url) => ending(url).and_then(|ending| {
            let ending = if ending == "jpg" { "jpeg" } else { ending };
            IMAGES.iter().map(|(_, format)| *format).find(|format| *format == ending)
        }),
        Source::Id(_) => None,
    }
    .filter(|_| is_sendable(source))
}

/// The same of a document's.
pub fn document_format(source: &Source<'_>) -> Option<&'static str> {
    match source {
        Source::Data { media_type, .. } => document(media_type),
        Source::Url(url) => ending(url)
            .and_then(|ending| DOCUMENTS.iter().map(|(_, format)| *format).find(|format| *format == ending)),
        Source::Id(_) => None,
    }
    .filter(|_| is_sendable(source))
}

/// Whether the API can be given this: what is in the request, or in S3.
fn is_sendable(source: &Source<'_>) -> bool {
    match source {
        Source::Data { .. } => true,
        Source::Url(url) => url.starts_with("s3://"),
        Source::Id(_) => false,
    }
}

/// Why a file cannot be sent, where it is none of these.
pub fn unreadable(source: &Source<'_>, what: &str) -> String {
    match source {
        Source::Data { media_type, .. } => format!("Bedrock reads {what}, not '{media_type}'."),
        Source::Url(url) if url.starts_with("s3://") => {
            format!("Bedrock reads {what}: which one this is must be told by the ending of its name.")
        }
        Source::Url(_) => {
            "Bedrock fetches nothing from the web: send the data itself, or the s3:// URI of an object."
                .to_owned()
        }
        Source::Id(_) => "Bedrock knows no files that were uploaded before: send the data itself.".to_owned(),
    }
}

/// The ending of a file's name.
fn ending(url: &str) -> Option<&str> {
    url.rsplit('/').next()?.rsplit_once('.').map(|(_, ending)| ending)
}

/// The API's name of a document's media type.
fn document(media_type: &str) -> Option<&'static str> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let known = DOCUMENTS.iter().find(|(known, _)| *known == essence).map(|(_, format)| *format);
    let is_text = essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json" | "application/xml" | "application/yaml" | "application/x-yaml"
        );
    known.or(is_text.then_some("txt"))
}

/// A name that the API takes, of a file's without its ending: letters, digits, hyphens, brackets and single
/// spaces, another one for each document.
pub fn document_name(taken: &mut Vec<String>, name: Option<&str>, format: &str) -> String {
    let given = name.unwrap_or_default();
    let given = given.strip_suffix(format).and_then(|stem| stem.strip_suffix('.')).unwrap_or(given);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
    let mut name = String::new();
    for word in given.split(|c| !fits(c)).filter(|word| !word.is_empty()) {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(word);
    }
    // All is ASCII, and room is left for a number.
    name.truncate(MOST_NAME - 8);
    if name.is_empty() {
        name.push_str("document");
    }
    let mut unique = name.clone();
    let mut number = 2;
    while taken.contains(&unique) {
        unique = format!("{name} {number}");
        number += 1;
    }
    taken.push(unique.clone());
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_names_that_the_api_takes() {
        let mut taken = Vec::new();
        let long = "n".repeat(300);
        for (given, wanted) in [
            (None, "document"),
            (None, "document 2"),
            (Some("report_2025 final.pdf"), "report 2025 final"),
            (Some("report  2025..final"), "report 2025 final 2"),
            (Some("../é"), "document 3"),
            (Some("a (1) [b]-c.txt"), "a (1) [b]-c txt"),
            (Some(long.as_str()), &long[..192]),
        ] {
            assert_eq!(document_name(&mut taken, given, "pdf"), wanted);
        }
        for (media_type, format) in [
            ("application/pdf", Some("pdf")),
            ("text/csv; charset=utf-8", Some("csv")),
            ("text/x-rust", Some("txt")),
            ("application/json", Some("txt")),
            ("application/zip", None),
        ] {
            assert_eq!(document(media_type), format);
        }
    }
}
