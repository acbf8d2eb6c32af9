//! The conversation of a request.
//!
//! Source: OpenAI API reference, "Create chat completion", `messages`; DeepSeek, "Thinking mode" (`reasoning_content`);
//! OpenRouter, "Reasoning tokens" (`reasoning`, `reasoning_details`).

use std::borrow::Cow;
use std::fmt::Arguments;

use serde_json::value::RawValue;

use super::read_answer::{Thought, read_thoughts};
use super::read_request::{keep, missing, unknown};
use super::wire::{List, Str, TextOr, object};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{
    AssistantMessage, Audio, Call, File, Image, Losses, Message, Part, Refused, Source,
};

object! { MessageWire<'a> {
    role = "role": Str<'a>,
    content = "content": TextOr<'a, List<PartWire<'a>>>,
    name = "name": &'a RawValue,
    tool_calls = "tool_calls": List<CallWire<'a>>,
    tool_call_id = "tool_call_id": Str<'a>,
    function_call = "function_call": FunctionWire<'a>,
    refusal = "refusal": Str<'a>,
    audio = "audio": &'a RawValue,
    reasoning_content = "reasoning_content": Str<'a>,
    reasoning = "reasoning": Str<'a>,
    reasoning_details = "reasoning_details": &'a RawValue,
} }

object! { PartWire<'a> {
    kind = "type": Str<'a>,
    text = "text": Str<'a>,
    refusal = "refusal": Str<'a>,
    image_url = "image_url": TextOr<'a, ImageWire<'a>>,
    input_audio = "input_audio": AudioWire<'a>,
    file = "file": FileWire<'a>,
} }

object! { ImageWire<'a> { url = "url": Str<'a>, detail = "detail": Str<'a>, } }

object! { AudioWire<'a> { data = "data": Str<'a>, format = "format": Str<'a>, } }

object! { FileWire<'a> {
    file_data = "file_data": Str<'a>,
    file_id = "file_id": Str<'a>,
    filename = "filename": Str<'a>,
} }

object! { CallWire<'a> {
    id = "id": Str<'a>,
    kind = "type": Str<'a>,
    function = "function": FunctionWire<'a>,
} }

object! { FunctionWire<'a> { name = "name": Str<'a>, arguments = "arguments": Str<'a>, } }

/// Members of an answer's message that clients send back with it. They say nothing to the model.
const ECHOES: [&str; 3] = ["annotations", "parsed", "index"];

/// Members that have no place, by their path.
type Other<'a> = Vec<(Text<'a>, &'a RawValue)>;

/// Reads all messages.
pub(super) fn read_messages<'a>(
    wires: Vec<MessageWire<'a>>,
    other: &mut Other<'a>,
) -> Result<Vec<Message<'a>>, Refused> {
    let mut messages = Vec::with_capacity(wires.len());
    let mut called = None;
    for (index, wire) in wires.into_iter().enumerate() {
        messages.push(read_message(index, format_args!("messages[{index}]"), wire, &mut called, other)?);
    }
    Ok(messages)
}

/// `called` is the last function that was called the deprecated way. Such calls have a name only; ids are given here.
fn read_message<'a>(
    index: usize,
    path: Arguments<'_>,
    mut wire: MessageWire<'a>,
    called: &mut Option<Call<'a>>,
    other: &mut Other<'a>,
) -> Result<Message<'a>, Refused> {
    let Some(Str(role)) = wire.role.take() else { return missing(format!("{path}.role")) };
    if role == "assistant" {
        wire.other.retain(|(name, _)| !ECHOES.contains(&&**name));
    }
    keep(path, std::mem::take(&mut wire.other), other);
    if role != "function"
        && let Some(name) = wire.name
    {
        other.push((format!("{path}.name").into(), name));
    }
    Ok(match &*role {
        "system" | "developer" => Message::System(content(path, wire.content, &["text"], other)?),
        "user" => {
            let known = ["text", "image_url", "input_audio", "file"];
            Message::User(content(path, wire.content, &known, other)?)
        }
        "assistant" => {
            let function_call = wire.function_call.take();
            let mut message = assistant(path, wire, other)?;
            if let Some(call) = function_call {
                let call =
                    function(format_args!("{path}.function_call"), call, format!("call_{index}").into())?;
                *called = Some(call.clone());
                message.calls.push(call);
            }
            let spoke = !message.parts.is_empty() || !message.reasoning.is_empty();
            if !spoke && message.calls.is_empty() && message.refusal.is_none() {
                return Losses::refuse(
                    format!("{path}.content"),
                    format!("'{path}' says nothing. Give it 'content' or 'tool_calls', or leave it out."),
                );
            }
            Message::Assistant(message)
        }
        "tool" => {
            let Some(Str(call_id)) = wire.tool_call_id else {
                return missing(format!("{path}.tool_call_id"));
            };
            // Images are not OpenAI's, but other providers take them here.
            let parts = content(path, wire.content, &["text", "image_url"], other)?;
            Message::Tool { call_id, parts, is_error: false }
        }
        "function" => {
            let name = wire.name.and_then(|name| serde_json::from_str::<Str<'_>>(name.get()).ok());
            let Some(Str(name)) = name else { return missing(format!("{path}.name")) };
            let Some(call) = called.take_if(|call| call.name == name) else {
                return Losses::refuse(
                    format!("{path}.name"),
                    format!(
                        "'{path}' is the result of a function that no message before it calls. Send the call too."
                    ),
                );
            };
            let parts = content(path, wire.content, &["text"], other)?;
            Message::Tool { call_id: call.id, parts, is_error: false }
        }
        _ => {
            let known = "'developer', 'system', 'user', 'assistant' or 'tool'";
            return unknown(format!("{path}.role"), &role, known);
        }
    })
}

fn assistant<'a>(
    path: Arguments<'_>,
    mut wire: MessageWire<'a>,
    other: &mut Other<'a>,
) -> Result<AssistantMessage<'a>, Refused> {
    if wire.audio.is_some() {
        return Losses::refuse(
            format!("{path}.audio"),
            format!(
                "'{path}.audio' is known only to the provider that made it. Send its transcript as 'content'."
            ),
        );
    }
    let mut message = AssistantMessage {
        refusal: wire.refusal.take().map(|Str(text)| text).filter(|text| !text.is_empty()),
        reasoning: read_thoughts(
            wire.reasoning_details,
            wire.reasoning_content.take().or(wire.reasoning.take()),
        )
        .into_iter()
        .map(|Thought { text, signature }| (text, signature))
        .collect(),
        ..AssistantMessage::default()
    };
    for (index, call) in wire.tool_calls.map_or_else(Vec::new, |List(calls)| calls).into_iter().enumerate() {
        message.calls.push(read_call(format_args!("{path}.tool_calls[{index}]"), call, other)?);
    }
    match wire.content {
        None => {}
        // Clients send an empty text back beside calls and refusals: there was none.
        Some(TextOr::Text(text))
            if text.is_empty() && (!message.calls.is_empty() || message.refusal.is_some()) => {}
        Some(TextOr::Text(text)) => message.parts.push(Part::Text(text)),
        Some(TextOr::Other(List(parts))) => {
            for (index, mut part) in parts.into_iter().enumerate() {
                let refuses = part.kind.as_ref().is_some_and(|Str(kind)| kind == "refusal");
                match part.refusal.take() {
                    Some(Str(text)) if refuses => {
                        message.refusal = Some(match message.refusal.take() {
                            None => text,
                            Some(before) => before + text,
                        });
                    }
                    None if refuses => return missing(format!("{path}.content[{index}].refusal")),
                    _ => {
                        let path = format_args!("{path}.content[{index}]");
                        message.parts.push(read_part(path, part, &["text", "refusal"], other)?);
                    }
                }
            }
        }
    }
    Ok(message)
}

fn read_call<'a>(
    path: Arguments<'_>,
    call: CallWire<'a>,
    other: &mut Other<'a>,
) -> Result<Call<'a>, Refused> {
    if let Some(Str(kind)) = &call.kind
        && kind != "function"
    {
        return unknown(format!("{path}.type"), kind, "'function'");
    }
    let Some(Str(id)) = call.id else { return missing(format!("{path}.id")) };
    let Some(wire) = call.function else { return missing(format!("{path}.function")) };
    keep(path, call.other.into_iter().filter(|(name, _)| name != "index"), other);
    function(format_args!("{path}.function"), wire, id)
}

fn function<'a>(path: Arguments<'_>, wire: FunctionWire<'a>, id: Text<'a>) -> Result<Call<'a>, Refused> {
    let Some(Str(name)) = wire.name else { return missing(format!("{path}.name")) };
    let arguments = wire.arguments.map_or(Cow::Borrowed("{}"), |Str(text)| text);
    Ok(Call { id, name, arguments })
}

fn content<'a>(
    path: Arguments<'_>,
    content: Option<TextOr<'a, List<PartWire<'a>>>>,
    known: &[&str],
    other: &mut Other<'a>,
) -> Result<Vec<Part<'a>>, Refused> {
    match content {
        None => missing(format!("{path}.content")),
        Some(TextOr::Text(text)) => Ok(vec![Part::Text(text)]),
        Some(TextOr::Other(List(parts))) => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| read_part(format_args!("{path}.content[{index}]"), part, known, other))
            .collect(),
    }
}

fn read_part<'a>(
    path: Arguments<'_>,
    part: PartWire<'a>,
    known: &[&str],
    other: &mut Other<'a>,
) -> Result<Part<'a>, Refused> {
    let Some(Str(kind)) = part.kind else { return missing(format!("{path}.type")) };
    if !known.contains(&&*kind) {
        return unknown(format!("{path}.type"), &kind, &format!("'{}'", known.join("', '")));
    }
    keep(path, part.other, other);
    match &*kind {
        "text" => match part.text {
            Some(Str(text)) => Ok(Part::Text(text)),
            None => missing(format!("{path}.text")),
        },
        "image_url" => {
            let (url, detail) = match part.image_url {
                None => return missing(format!("{path}.image_url")),
                // Some clients leave the object out, and several providers let them.
                Some(TextOr::Text(url)) => (url, None),
                Some(TextOr::Other(image)) => match image.url {
                    None => return missing(format!("{path}.image_url.url")),
                    Some(Str(url)) => (url, image.detail.map(|Str(detail)| detail)),
                },
            };
            let source = source(format_args!("{path}.image_url.url"), url)?;
            Ok(Part::Image(Image { source, detail }))
        }
        "input_audio" => {
            let Some(audio) = part.input_audio else { return missing(format!("{path}.input_audio")) };
            let Some(Str(data)) = audio.data else { return missing(format!("{path}.input_audio.data")) };
            let Some(Str(format)) = audio.format else {
                return missing(format!("{path}.input_audio.format"));
            };
            Ok(Part::Audio(Audio { data, format }))
        }
        _ => {
            let Some(file) = part.file else { return missing(format!("{path}.file")) };
            let source = match (file.file_data, file.file_id) {
                (Some(Str(data)), _) if data.starts_with("data:") => {
                    source(format_args!("{path}.file.file_data"), data)?
                }
                // Bare base64: the API takes PDF only.
                (Some(Str(data)), _) => Source::Data { media_type: "application/pdf".into(), data },
                (None, Some(Str(id))) => Source::Id(id),
                (None, None) => return missing(format!("{path}.file.file_data")),
            };
            Ok(Part::File(File { source, name: file.filename.map(|Str(name)| name) }))
        }
    }
}

/// A URL, or what a `data:` URL carries (RFC 2397).
fn source<'a>(path: Arguments<'_>, url: Text<'a>) -> Result<Source<'a>, Refused> {
    let Some(rest) = url.strip_prefix("data:") else { return Ok(Source::Url(url)) };
    let parsed = rest.split_once(',').and_then(|(head, _)| {
        let media_type = head.strip_suffix(";base64")?;
        // Parameters, such as a charset, are not part of the type.
        let media_type = media_type.split(';').next().unwrap_or_default();
        Some((media_type.len(), head.len()))
    });
    let Some((type_len, head_len)) = parsed.filter(|(type_len, _)| *type_len > 0) else {
        return Losses::refuse(
            path.to_string(),
            format!(
                "'{path}' is a data URL without a media type or base64. Send 'data:image/png;base64,...'."
            ),
        );
    };
    let media_type = "data:".len().."data:".len() + type_len;
    Ok(Source::of_data_url(url, media_type, "data:".len() + head_len + 1))
}
