//! Messages as turns of content blocks.
//!
//! Source: Claude API reference, "Create a Message" (`messages`, `system`); "Handle tool calls" (results stand first
//! in the turn after the call); "Vision", "PDF support".

use super::{PROVIDER, REDACTED};
use crate::dialect::chat::{
    AssistantMessage, Call, File, Image, Losses, Message, Part, Refused, Request, Source,
    turns::{needed_arguments, part_name, turns},
};
use crate::dialect::json::write;
use crate::dialect::json::write_string;
use crate::dialect::media::{decode_text, is_text};

/// The images that Claude reads.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Appends `system`: all system messages in their order, those from the middle of the conversation too, since not
/// every model takes them there.
pub fn write_system(request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    let start = out.len();
    write::name(out, "system");
    out.push(b'[');
    let before = out.len();
    for (at, message) in request.messages.iter().enumerate() {
        let Message::System(parts) = message else { continue };
        for (part_at, part) in parts.iter().enumerate() {
            match part {
                Part::Text(text) => write_text(out, text),
                _ => return Losses::refuse(part_name(at, part_at), "Claude's instructions are text only."),
            }
        }
    }
    if out.len() == before {
        out.truncate(start);
    } else {
        out.push(b']');
    }
    Ok(())
}

/// Appends `messages`: what follows from one side becomes one turn.
///
/// Texts without any visible character are left out, since Claude refuses them and they say nothing.
pub fn write_messages(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    write::name(out, "messages");
    out.push(b'[');
    let before = out.len();
    for (role, turn) in turns(&request.messages) {
        let start = out.len();
        write::comma(out);
        out.push(b'{');
        write::string(out, "role", role);
        write::name(out, "content");
        out.push(b'[');
        let blocks = out.len();
        for (at, message) in &turn {
            match message {
                Message::Tool { call_id, parts, is_error } => {
                    write_result(*at, call_id, parts, *is_error, losses, out)?
                }
                Message::Assistant(said) => write_assistant(*at, said, losses, out)?,
                Message::System(_) | Message::User(_) => {}
            }
        }
        for (at, message) in &turn {
            if let Message::User(parts) = message {
                write_parts(*at, parts, losses, out)?;
            }
        }
        if out.len() == blocks {
            out.truncate(start);
        } else {
            out.extend_from_slice(b"]}");
        }
    }
    if out.len() == before {
        return Losses::refuse(
            "messages",
            "Claude needs at least one message of the user that is not empty.",
        );
    }
    out.push(b']');
    Ok(())
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    if !text.trim().is_empty() {
        write::open(out, "text");
        write::string(out, "text", text);
        out.push(b'}');
    }
}

fn write_parts(at: usize, parts: &[Part<'_>], losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    for (part_at, part) in parts.iter().enumerate() {
        match part {
            Part::Text(text) => write_text(out, text),
            Part::Image(image) => write_image(&part_name(at, part_at), image, losses, out)?,
            Part::File(file) => write_file(&part_name(at, part_at), file, out)?,
            Part::Audio(_) => {
                return Losses::refuse(
                    part_name(at, part_at),
                    "Claude does not hear: send audio to another model.",
                );
            }
        }
    }
    Ok(())
}

/// Thoughts come first, then text, a refusal included, then calls.
fn write_assistant(
    at: usize,
    said: &AssistantMessage<'_>,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    for (thought, signature) in &said.reasoning {
        match signature.as_deref() {
            // Claude takes thoughts only with its own signature over them, and goes on without those of others.
            None => losses.leave_out(format!("messages[{at}].reasoning_content")),
            Some(signature) => match signature.strip_prefix(REDACTED) {
                Some(data) => {
                    write::open(out, "redacted_thinking");
                    write::string(out, "data", data);
                    out.push(b'}');
                }
                None => {
                    write::open(out, "thinking");
                    write::string(out, "thinking", thought);
                    write::string(out, "signature", signature);
                    out.push(b'}');
                }
            },
        }
    }
    for (part_at, part) in said.parts.iter().enumerate() {
        match part {
            Part::Text(text) => write_text(out, text),
            _ => return Losses::refuse(part_name(at, part_at), "Claude itself says text only."),
        }
    }
    if let Some(refusal) = &said.refusal {
        write_text(out, refusal);
    }
    for (call_at, call) in said.calls.iter().enumerate() {
        write_call(at, call_at, call, out)?;
    }
    Ok(())
}

fn write_call(at: usize, call_at: usize, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    let input = needed_arguments(call, (at, call_at), "Claude")?;
    write::open(out, "tool_use");
    write_id(out, "id", &call.id);
    write::string(out, "name", &call.name);
    write::raw(out, "input", input);
    out.push(b'}');
    Ok(())
}

/// An id of a call: Claude's are of `[a-zA-Z0-9_-]`, other providers' of anything, and a conversation may have begun
/// with those.
fn write_id(out: &mut Vec<u8>, member: &str, id: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.chars().all(fits) {
        write::string(out, member, id);
    } else {
        let id: String = id.chars().map(|c| if fits(c) { c } else { '_' }).collect();
        write::string(out, member, &id);
    }
}

fn write_result(
    at: usize,
    call_id: &str,
    parts: &[Part<'_>],
    is_error: bool,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    write::open(out, "tool_result");
    write_id(out, "tool_use_id", call_id);
    if is_error {
        write::plain(out, "is_error", true);
    }
    let start = out.len();
    write::name(out, "content");
    match parts {
        [Part::Text(text)] => write_string(out, text),
        parts => {
            out.push(b'[');
            let before = out.len();
            write_parts(at, parts, losses, out)?;
            if out.len() == before {
                // A function that returns nothing.
                out.truncate(start);
            } else {
                out.push(b']');
            }
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_image(
    param: &str,
    image: &Image<'_>,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if image.detail.as_ref().is_some_and(|detail| detail != "auto") {
        losses.cannot(format!("{param}.image_url.detail"), PROVIDER)?;
    }
    write_picture(param, &image.source, out)
}

fn write_picture(param: &str, source: &Source<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    write::open(out, "image");
    match source {
        Source::Data { media_type, data } => {
            // A common slip that providers let pass.
            let media_type = if media_type == "image/jpg" { "image/jpeg" } else { media_type };
            if !IMAGES.contains(&media_type) {
                return Losses::refuse(
                    param.to_owned(),
                    format!("Claude reads {}, not '{media_type}'.", IMAGES.join(", ")),
                );
            }
            write_base64(out, media_type, data);
        }
        Source::Url(url) => write_reference(out, "url", "url", url),
        Source::Id(id) => write_reference(out, "file", "file_id", id),
    }
    out.push(b'}');
    Ok(())
}

fn write_file(param: &str, file: &File<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    if let Source::Data { media_type, .. } = &file.source
        && media_type.starts_with("image/")
    {
        return write_picture(param, &file.source, out);
    }
    write::open(out, "document");
    if let Some(name) = &file.name {
        write::string(out, "title", name);
    }
    match &file.source {
        Source::Data { media_type, data } if media_type == "application/pdf" => {
            write_base64(out, media_type, data)
        }
        Source::Data { media_type, data } if is_text(media_type) => {
            let Some(text) = decode_text(data) else {
                return Losses::refuse(param.to_owned(), "The file is not base64 of text in UTF-8.");
            };
            write::name(out, "source");
            out.push(b'{');
            write::string(out, "type", "text");
            write::string(out, "media_type", "text/plain");
            write::string(out, "data", &text);
            out.push(b'}');
        }
        Source::Data { media_type, .. } => {
            return Losses::refuse(
                param.to_owned(),
                format!("Claude reads PDF and text files, not '{media_type}'."),
            );
        }
        Source::Url(url) => write_reference(out, "url", "url", url),
        Source::Id(id) => write_reference(out, "file", "file_id", id),
    }
    out.push(b'}');
    Ok(())
}

fn write_base64(out: &mut Vec<u8>, media_type: &str, data: &str) {
    write::name(out, "source");
    out.push(b'{');
    write::string(out, "type", "base64");
    write::string(out, "media_type", media_type);
    write::string(out, "data", data);
    out.push(b'}');
}

fn write_reference(out: &mut Vec<u8>, kind: &str, member: &str, value: &str) {
    write::name(out, "source");
    out.push(b'{');
    write::string(out, "type", kind);
    write::string(out, member, value);
    out.push(b'}');
}
