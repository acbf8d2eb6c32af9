//! Messages, and the documents that come with them.
//!
//! Source: Cohere API reference, "Chat" (`messages`, `documents`); the guides "Tool use" (a result is a JSON object as
//! text, or content blocks) and "Image inputs".

use std::borrow::Cow;

use crate::dialect::chat::{
    AssistantMessage, Call, File, Image, Losses, Message, Part, Refused, Request, Source,
    turns::{needed_arguments, object, part_name},
};
use crate::dialect::json::write;
use crate::dialect::json::write_string;
use crate::dialect::media::{decode_text, is_text};

/// A text file.
pub(super) struct Document<'a> {
    title: Option<Cow<'a, str>>,
    text: String,
}

impl Document<'_> {
    /// Appends it as Cohere has documents.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"data\":{");
        if let Some(title) = &self.title {
            write::string(out, "title", title);
        }
        write::string(out, "text", &self.text);
        out.extend_from_slice(b"}}");
    }
}

/// Appends `messages`; what the user's files say is returned. `thinks` is whether the model does.
///
/// Texts of no length are left out: they say nothing, and Cohere refuses a message without a word.
pub(super) fn write_messages<'r>(
    request: &'r Request<'_>,
    thinks: bool,
    out: &mut Vec<u8>,
) -> Result<Vec<Document<'r>>, Refused> {
    let mut files = Vec::new();
    write::name(out, "messages");
    out.push(b'[');
    let before = out.len();
    for (at, message) in request.messages.iter().enumerate() {
        match message {
            Message::System(parts) => write_said("system", at, parts, None, out)?,
            Message::User(parts) => write_said("user", at, parts, Some(&mut files), out)?,
            Message::Assistant(said) => write_assistant(at, said, thinks, out)?,
            Message::Tool { call_id, parts, is_error } => write_result(at, call_id, parts, *is_error, out)?,
        }
    }
    if out.len() == before {
        return Losses::refuse("messages", "Cohere needs at least one message that is not empty.");
    }
    out.push(b']');
    Ok(files)
}

/// The start of a message.
fn open(role: &str, out: &mut Vec<u8>) {
    write::comma(out);
    out.push(b'{');
    write::string(out, "role", role);
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        write::open(out, "text");
        write::string(out, "text", text);
        out.push(b'}');
    }
}

/// A message of the system, who has no `files`, or of the user.
fn write_said<'r>(
    role: &str,
    at: usize,
    parts: &'r [Part<'_>],
    mut files: Option<&mut Vec<Document<'r>>>,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let start = out.len();
    open(role, out);
    write::name(out, "content");
    if let [Part::Text(text)] = parts
        && !text.is_empty()
    {
        write_string(out, text);
        out.push(b'}');
        return Ok(());
    }
    out.push(b'[');
    let before = out.len();
    let mut filed = false;
    for (part_at, part) in parts.iter().enumerate() {
        match (part, &mut files) {
            (Part::Text(text), _) => write_text(text, out),
            (Part::Image(image), Some(_)) => write_image(&part_name(at, part_at), image, out)?,
            (Part::File(file), Some(files)) => {
                files.push(read_file(&part_name(at, part_at), file)?);
                filed = true;
            }
            (Part::Audio(_), Some(_)) => {
                return Losses::refuse(
                    part_name(at, part_at),
                    "Cohere does not hear: send audio to another model.",
                );
            }
            (_, None) => {
                return Losses::refuse(part_name(at, part_at), "Cohere's instructions are text only.");
            }
        }
    }
    if out.len() > before {
        out.extend_from_slice(b"]}");
        return Ok(());
    }
    out.truncate(start);
    if filed {
        return Losses::refuse(
            format!("messages[{at}].content"),
            "Cohere needs words of the user beside a file: say what is to be done with it.",
        );
    }
    Ok(())
}

fn write_image(param: &str, image: &Image<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    write::open(out, "image_url");
    write::name(out, "image_url");
    out.push(b'{');
    match &image.source {
        Source::Url(url) => write::string(out, "url", url),
        Source::Data { media_type, data } => {
            // A common slip that providers let pass.
            let media_type = if media_type == "image/jpg" { "image/jpeg" } else { media_type };
            write::string(out, "url", &format!("data:{media_type};base64,{data}"));
        }
        Source::Id(_) => {
            return Losses::refuse(
                param.to_owned(),
                "Cohere has no uploaded images: send it as a URL or as data.",
            );
        }
    }
    if let Some(detail) = &image.detail {
        write::string(out, "detail", detail);
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// Reads a text file. Those that are somewhere else, and those of other kinds, Cohere does not take.
fn read_file<'a>(param: &str, file: &'a File<'_>) -> Result<Document<'a>, Refused> {
    let Source::Data { media_type, data } = &file.source else {
        return Losses::refuse(param.to_owned(), "Cohere fetches no files: send it as data.");
    };
    if !is_text(media_type) {
        return Losses::refuse(param.to_owned(), format!("Cohere reads text files, not '{media_type}'."));
    }
    let Some(text) = decode_text(data) else {
        return Losses::refuse(param.to_owned(), "The file is not base64 of text in UTF-8.");
    };
    Ok(Document { title: file.name.as_deref().map(Cow::Borrowed), text })
}

/// Thoughts come first, or are the plan of the calls; then text, a refusal included; then calls.
fn write_assistant(
    at: usize,
    said: &AssistantMessage<'_>,
    thinks: bool,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let start = out.len();
    open("assistant", out);
    let empty = out.len();
    // One that another provider hid says nothing to this one.
    let mut thoughts =
        said.reasoning.iter().map(|(thought, _)| thought).filter(|text| !text.is_empty()).peekable();
    let plans = !said.calls.is_empty() && !thinks;
    if plans && thoughts.peek().is_some() {
        write::string(out, "tool_plan", &thoughts.by_ref().map(|thought| &**thought).collect::<String>());
    }
    let none = out.len();
    write::name(out, "content");
    out.push(b'[');
    let before = out.len();
    for thought in thoughts {
        write::open(out, "thinking");
        write::string(out, "thinking", thought);
        out.push(b'}');
    }
    for (part_at, part) in said.parts.iter().enumerate() {
        match part {
            Part::Text(text) => write_text(text, out),
            _ => return Losses::refuse(part_name(at, part_at), "Cohere itself says text only."),
        }
    }
    write_text(said.refusal.as_deref().unwrap_or_default(), out);
    if out.len() == before {
        out.truncate(none);
    } else {
        out.push(b']');
    }
    if !said.calls.is_empty() {
        write::name(out, "tool_calls");
        out.push(b'[');
        for (call_at, call) in said.calls.iter().enumerate() {
            write_call(at, call_at, call, out)?;
        }
        out.push(b']');
    }
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.push(b'}');
    }
    Ok(())
}

fn write_call(at: usize, call_at: usize, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    let arguments = needed_arguments(call, (at, call_at), "Cohere")?;
    write::comma(out);
    out.push(b'{');
    write::string(out, "id", &call.id);
    write::string(out, "type", "function");
    write::name(out, "function");
    out.push(b'{');
    write::string(out, "name", &call.name);
    write::string(out, "arguments", arguments);
    out.extend_from_slice(b"}}");
    Ok(())
}

/// What a function returned. That it failed can be said in words only; that it returned nothing is an empty object,
/// as a result must not be empty.
fn write_result(
    at: usize,
    call_id: &str,
    parts: &[Part<'_>],
    is_error: bool,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    open("tool", out);
    write::string(out, "tool_call_id", call_id);
    write::name(out, "content");
    match parts {
        [Part::Text(text)] if !is_error && object(text).is_some() => write_string(out, text),
        parts => {
            out.push(b'[');
            let before = out.len();
            if is_error {
                write_text("The call failed.", out);
            }
            for (part_at, part) in parts.iter().enumerate() {
                match part {
                    Part::Text(text) => write_text(text, out),
                    Part::File(file) => {
                        let document = read_file(&part_name(at, part_at), file)?;
                        write::open(out, "document");
                        write::name(out, "document");
                        document.write(out);
                        out.push(b'}');
                    }
                    Part::Image(_) | Part::Audio(_) => {
                        return Losses::refuse(
                            part_name(at, part_at),
                            "Cohere takes text as the result of a function: send an image in a message of the user.",
                        );
                    }
                }
            }
            if out.len() == before {
                out.pop();
                write_string(out, "{}");
            } else {
                out.push(b']');
            }
        }
    }
    out.push(b'}');
    Ok(())
}
