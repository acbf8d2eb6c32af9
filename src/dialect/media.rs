//! Files that a request carries.

use super::base64;

/// Whether a file of this media type is text, whatever it says.
#[must_use]
pub fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json" | "application/xml" | "application/yaml" | "application/x-yaml"
        )
}

/// Base64 of text in UTF-8, as text.
#[must_use]
pub fn decode_text(text: &str) -> Option<String> {
    base64::decode(text).and_then(|bytes| String::from_utf8(bytes).ok())
}
