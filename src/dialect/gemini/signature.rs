//! Where thought signatures travel while an OpenAI client keeps the conversation.
//!
//! Source: Gemini API guide "Thought signatures". Gemini 3 refuses a conversation in which the first function call of a
//! step of the current turn comes without the signature it was made with. OpenAI's calls have no field for it, and
//! clients drop fields that they do not know, but every client sends a call's id back: the signature is put behind it,
//! `{id}__thought__{signature}`, as LiteLLM does too. The signature of a text, which Gemini only likes to have, travels
//! as the signature of a thought, with a mark that tells it from those of other providers.

use std::borrow::Cow;

const SEPARATOR: &str = "__thought__";

const MARK: &str = "gemini:";

/// What the guide says to send for a call that Gemini did not make, such as one of another provider before it.
pub(super) const NOT_OURS: &str = "skip_thought_signature_validator";

/// A call's id as the client is to see it.
pub(super) fn join<'a>(id: Cow<'a, str>, signature: Option<&str>) -> Cow<'a, str> {
    match signature {
        Some(signature) if !signature.is_empty() => format!("{id}{SEPARATOR}{signature}").into(),
        _ => id,
    }
}

/// The id that Gemini knows, and the signature, of an id as the client sent it.
pub(super) fn split(id: &str) -> (&str, Option<&str>) {
    match id.split_once(SEPARATOR) {
        Some((id, signature)) if !signature.is_empty() => (id, Some(signature)),
        _ => (id, None),
    }
}

/// The id of a call that came without one: the same whenever the answer is read.
pub(super) fn made_up(response: &str, choice: u32, index: u32) -> String {
    format!("call_{response}_{choice}_{index}")
}

/// A text's signature as the client is to see it.
pub(super) fn mark(signature: &str) -> Cow<'static, str> {
    format!("{MARK}{signature}").into()
}

/// A text's signature out of a thought's, if it is one of Gemini's.
pub(super) fn unmark(signature: &str) -> Option<&str> {
    signature.strip_prefix(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_come_back() {
        for (id, signature) in
            [("fc-1", Some("AbC+/=")), ("call_x_0_1", None), ("", Some("s_-")), ("a__b", Some("t"))]
        {
            let joined = join(id.into(), signature);
            assert_eq!(split(&joined), (id, signature));
        }
        assert_eq!(split("call__thought__"), ("call__thought__", None));
        assert_eq!(unmark(&mark("AbC")), Some("AbC"));
        assert_eq!(unmark("EqQB"), None);
    }
}
