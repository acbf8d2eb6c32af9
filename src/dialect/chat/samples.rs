//! Pieces and calls for the tests of dialects, and how a stream is read there.

use proptest::prelude::*;

use super::{Call, Finish, Malformed, Piece};
use crate::dialect::{provider_error::ProviderError, usage::Usage};

/// Text of the first choice.
pub fn text(text: &str) -> Piece<'_> {
    Piece::Text { choice: 0, text: text.into() }
}

/// A thought of it.
pub fn thought(text: &str) -> Piece<'_> {
    Piece::Reasoning { choice: 0, text: text.into() }
}

/// A signature over its thought.
pub fn signature(signature: &str) -> Piece<'_> {
    Piece::Signature { choice: 0, signature: signature.into() }
}

/// A call of a function.
pub fn call(index: u32, id: &'static str, name: &'static str) -> Piece<'static> {
    Piece::Call { choice: 0, index, id: id.into(), name: name.into() }
}

/// A call of the function `f`.
pub fn call_f(index: u32, id: &str) -> Piece<'_> {
    Piece::Call { choice: 0, index, id: id.into(), name: "f".into() }
}

/// Arguments of a call.
pub fn arguments(index: u32, json: &str) -> Piece<'_> {
    Piece::Arguments { choice: 0, index, json: json.into() }
}

/// Each piece as it prints: a piece does not outlive its event.
pub fn printed(pieces: &[Piece<'_>]) -> Vec<String> {
    pieces.iter().map(|piece| format!("{piece:?}")).collect()
}

/// What a stream says, each piece as it prints. `read` feeds its reader, or ends it where there is no input.
///
/// # Errors
/// The reader's.
pub fn read_with<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
    mut read: impl FnMut(Option<&[u8]>, &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed>,
) -> Result<Vec<String>, Malformed> {
    let mut said = Vec::new();
    let mut each = |piece: Piece<'_>| said.push(format!("{piece:?}"));
    for part in parts {
        read(Some(part), &mut each)?;
    }
    read(None, &mut each)?;
    Ok(said)
}

/// Any piece of a stream, in any state of it, with these sources and probabilities.
pub fn any_piece(annotations: &'static str, logprobs: &'static str) -> impl Strategy<Value = Piece<'static>> {
    let word = || prop_oneof![Just(""), Just("a"), Just("\"\\\n\r\u{2028}"), Just("{\"x\":")].boxed();
    let choice = || prop_oneof![9 => Just(0u32), 1 => Just(1)];
    let error =
        ProviderError { status: 500, kind: "server_error", code: None, param: None, message: "x\ny".into() };
    prop_oneof![
        2 => word().prop_map(|id| Piece::Start { id: id.into(), model: "m".into() }),
        8 => (choice(), word()).prop_map(|(choice, text)| Piece::Text { choice, text: text.into() }),
        8 => (choice(), word()).prop_map(|(choice, text)| Piece::Reasoning { choice, text: text.into() }),
        4 => (choice(), word()).prop_map(|(choice, text)| Piece::Signature { choice, signature: text.into() }),
        4 => (choice(), word()).prop_map(|(choice, text)| Piece::Refusal { choice, text: text.into() }),
        8 => (choice(), 0..3u32, word()).prop_map(|(choice, index, id)| Piece::Call {
            choice, index, id: id.into(), name: "f".into(),
        }),
        8 => (choice(), 0..3u32, word()).prop_map(|(choice, index, json)| Piece::Arguments {
            choice, index, json: json.into(),
        }),
        2 => choice().prop_map(move |choice| Piece::Annotations { choice, json: annotations.into() }),
        2 => choice().prop_map(move |choice| Piece::Logprobs { choice, json: logprobs.into() }),
        2 => choice().prop_map(|choice| Piece::Finish { choice, reason: Finish::Length }),
        2 => Just(Piece::Usage(Usage::default())),
        1 => Just(Piece::Error(error)),
        1 => Just(Piece::Done),
    ]
}

/// A whole call of the function `f`.
pub fn called(id: &'static str, arguments: &'static str) -> Call<'static> {
    Call { id: id.into(), name: "f".into(), arguments: arguments.into() }
}
