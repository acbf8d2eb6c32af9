//! An error as a provider told it, in OpenAI's words.

/// An error that a provider answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    /// The status that OpenAI would have answered with.
    pub status: u16,
    /// OpenAI's `type`: `invalid_request_error`, `rate_limit_error`, `server_error`, ...
    pub kind: &'static str,
    /// OpenAI's `code`, where it has one for it: `context_length_exceeded`, `rate_limit_exceeded`,
    /// `model_not_found`, ...
    pub code: Option<&'static str>,
    /// The field that is wrong, where the provider named it.
    pub param: Option<String>,
    /// What the provider said.
    pub message: String,
}

/// The longest text of a body in nobody's dialect that is shown, in characters.
const SHOWN: usize = 300;

/// What to show of a body that is not in the provider's dialect, such as that of a proxy before it: its text, if it is
/// one for people.
#[must_use]
pub fn shown(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() || text.starts_with(['<', '{', '[']) {
        return format!("The provider answered with status {status}.");
    }
    text.chars().take(SHOWN).collect()
}
