//! A conversation's messages as providers want them that have turns of content blocks, and what such writers share.

use serde_json::value::RawValue;

use super::{Call, Message, Refused};

/// The messages of one side that follow each other, each with its place in the conversation, by the side's role:
/// results of calls belong to the user. Instructions are left out.
pub fn turns<'m, 'r>(
    messages: &'m [Message<'r>],
) -> impl Iterator<Item = (&'static str, Vec<(usize, &'m Message<'r>)>)> {
    let sided = |(at, message)| side(message).map(|role| (role, (at, message)));
    let mut said = messages.iter().enumerate().filter_map(sided).peekable();
    std::iter::from_fn(move || {
        let (role, first) = said.next()?;
        let mut turn = vec![first];
        while let Some((_, more)) = said.next_if(|(next, _)| *next == role) {
            turn.push(more);
        }
        Some((role, turn))
    })
}

/// Whose turn a message belongs to; `None` for instructions.
fn side(message: &Message<'_>) -> Option<&'static str> {
    match message {
        Message::System(_) => None,
        Message::User(_) | Message::Tool { .. } => Some("user"),
        Message::Assistant(_) => Some("assistant"),
    }
}

/// How errors name a part of a message.
#[must_use]
pub fn part_name(at: usize, part: usize) -> String {
    format!("messages[{at}].content[{part}]")
}

/// The arguments of a call, where they are a JSON object. OpenAI's clients send back what the model wrote, which is
/// nothing where a function takes nothing.
#[must_use]
pub fn arguments<'c>(call: &'c Call<'_>) -> Option<&'c str> {
    let text = call.arguments.trim();
    if text.is_empty() { Some("{}") } else { object(text) }
}

/// The same, for a provider that needs one.
///
/// # Errors
/// Where they are none: names the call by its place.
pub fn needed_arguments<'c>(
    call: &'c Call<'_>,
    (at, call_at): (usize, usize),
    provider: &str,
) -> Result<&'c str, Refused> {
    arguments(call).ok_or_else(|| Refused {
        param: format!("messages[{at}].tool_calls[{call_at}].function.arguments").into(),
        message: format!("{provider} needs the arguments of a call to be a JSON object.").into(),
    })
}

/// `text` without the space around it, if it is a JSON object.
#[must_use]
pub fn object(text: &str) -> Option<&str> {
    let text = text.trim();
    (text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::AssistantMessage;
    use super::*;

    #[test]
    fn what_follows_from_one_side_is_one_turn() {
        let said = || Message::Assistant(AssistantMessage::default());
        let result = || Message::Tool { call_id: "c".into(), parts: vec![], is_error: false };
        let messages = [
            Message::System(vec![]),
            Message::User(vec![]),
            Message::System(vec![]),
            Message::User(vec![]),
            said(),
            said(),
            result(),
            Message::User(vec![]),
        ];
        let got: Vec<(&str, Vec<usize>)> = turns(&messages)
            .map(|(role, turn)| (role, turn.into_iter().map(|(at, _)| at).collect()))
            .collect();
        assert_eq!(got, [("user", vec![1, 3]), ("assistant", vec![4, 5]), ("user", vec![6, 7])]);
    }

    #[test]
    fn arguments_are_an_object_or_nothing() {
        for (text, wanted) in [
            ("", Some("{}")),
            (" {\"a\":1} ", Some("{\"a\":1}")),
            ("[]", None),
            ("{", None),
            ("{}{}", None),
            ("null", None),
        ] {
            let call = Call { id: "c".into(), name: "f".into(), arguments: text.into() };
            assert_eq!(arguments(&call), wanted, "{text}");
        }
    }
}
