//! Anthropic's Messages API, as a provider speaks it: `POST /v1/messages` with `anthropic-version: 2023-06-01`.
//!
//! Source: Claude API reference, "Create a Message", "Streaming messages", "Errors", "Versions", and the types of the
//! official SDK. [`request::write_request`] makes the body, [`answer::read_answer`] and [`stream::StreamReader`] read
//! what comes back, [`error::read_error`] what goes wrong. What each family of models takes is in [`model`].

pub mod answer;
mod blocks;
pub mod error;
pub mod inbound;
pub mod model;
pub mod request;
pub mod stream;
pub(in crate::dialect) mod thinking;

use crate::dialect::chat::{Message, Part, Request, Source};

pub use answer::read_answer;
pub use error::read_error;
pub use request::write_request;
pub use stream::StreamReader;

/// How [`Losses`](crate::dialect::chat::Losses) name this dialect.
pub const PROVIDER: &str = "claude";

/// What stands before the data of a `redacted_thinking` block where it is kept as the signature of a thought without
/// text. Signatures are base64, which has no colon.
pub const REDACTED: &str = "redacted_thinking:";

/// The value of `anthropic-beta` that a request needs: that of the Files API where it names a file that was uploaded
/// before.
#[must_use]
pub fn beta(request: &Request<'_>) -> Option<&'static str> {
    let uploaded = |part: &Part<'_>| match part {
        Part::Image(image) => matches!(image.source, Source::Id(_)),
        Part::File(file) => matches!(file.source, Source::Id(_)),
        Part::Text(_) | Part::Audio(_) => false,
    };
    let any = request.messages.iter().any(|message| match message {
        Message::System(parts) | Message::User(parts) | Message::Tool { parts, .. } => {
            parts.iter().any(uploaded)
        }
        Message::Assistant(_) => false,
    });
    any.then_some("files-api-2025-04-14")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat::Image;

    #[test]
    fn an_uploaded_file_needs_its_beta() {
        let mut request = Request { messages: vec![Message::User(vec![])], ..Request::default() };
        assert_eq!(beta(&request), None);
        let image = Image { source: Source::Id("file_1".into()), detail: None };
        request.messages.push(Message::User(vec![Part::Image(image)]));
        assert_eq!(beta(&request), Some("files-api-2025-04-14"));
    }
}
