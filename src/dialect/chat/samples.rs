//! Pieces for the tests of dialects, and how a stream is read there.

use super::{Malformed, Piece};

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
