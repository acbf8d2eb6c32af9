//! Messages as turns of content blocks.
//!
//! Source: Amazon Bedrock API reference, "Message", "ContentBlock", "AudioBlock", "ToolUseBlock", "ToolResultBlock",
//! "ReasoningContentBlock"; User Guide, "Using the Converse API". Images and documents are in [`media`].

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{PROVIDER, media};
use crate::dialect::chat::{
    AssistantMessage, Audio, Call, File, Image, Losses, Message, Part, Refused, Request, Source,
    turns::{needed_arguments, part_name, turns},
};
use crate::dialect::claude::REDACTED;
use crate::dialect::json::write;

/// The longest id of a call ("ToolUseBlock", `toolUseId`).
const MOST_ID_BYTES: usize = 64;
/// Appends `system`: all system messages in their order, those from the middle of the conversation too, since hardly
/// any model takes them there.
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
                _ => return Losses::refuse(part_name(at, part_at), "Bedrock's instructions are text only."),
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

/// Appends `messages`: what follows from one side becomes one turn, since turns must alternate. Results stand first in
/// the turn after their calls.
///
/// Texts without any visible character are left out, since the API refuses them and they say nothing.
pub fn write_messages(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    write::name(out, "messages");
    out.push(b'[');
    let before = out.len();
    let mut writer = Writer { losses, out, names: Vec::new() };
    for (role, turn) in turns(&request.messages) {
        writer.turn(role, &turn)?;
    }
    if out.len() == before {
        return Losses::refuse(
            "messages",
            "Bedrock needs at least one message of the user that is not empty.",
        );
    }
    out.push(b']');
    Ok(())
}

/// Whether a conversation has called functions: the API wants to know those then.
pub fn has_calls(request: &Request<'_>) -> bool {
    request.messages.iter().any(|message| match message {
        Message::Tool { .. } => true,
        Message::Assistant(said) => !said.calls.is_empty(),
        Message::System(_) | Message::User(_) => false,
    })
}

/// The start of a block: an object with one member, which is an object.
fn open(out: &mut Vec<u8>, kind: &str) {
    write::comma(out);
    out.push(b'{');
    write::name(out, kind);
    out.push(b'{');
}

fn close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}}");
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    if !text.trim().is_empty() {
        write::comma(out);
        out.push(b'{');
        write::string(out, "text", text);
        out.push(b'}');
    }
}

struct Writer<'w> {
    losses: &'w mut Losses,
    out: &'w mut Vec<u8>,
    /// Of documents so far, which must differ.
    names: Vec<String>,
}

impl Writer<'_> {
    fn turn(&mut self, role: &str, turn: &[(usize, &Message<'_>)]) -> Result<(), Refused> {
        let start = self.out.len();
        write::comma(self.out);
        self.out.push(b'{');
        write::string(self.out, "role", role);
        write::name(self.out, "content");
        self.out.push(b'[');
        let blocks = self.out.len();
        for (at, message) in turn {
            match message {
                Message::Tool { call_id, parts, is_error } => self.result(*at, call_id, parts, *is_error)?,
                Message::Assistant(said) => self.assistant(*at, said)?,
                Message::System(_) | Message::User(_) => {}
            }
        }
        for (at, message) in turn {
            if let Message::User(parts) = message {
                self.parts(*at, parts)?;
            }
        }
        if self.out.len() == blocks {
            self.out.truncate(start);
        } else {
            self.out.extend_from_slice(b"]}");
        }
        Ok(())
    }

    fn parts(&mut self, at: usize, parts: &[Part<'_>]) -> Result<(), Refused> {
        for (part_at, part) in parts.iter().enumerate() {
            match part {
                Part::Text(text) => write_text(self.out, text),
                Part::Image(image) => self.image(&part_name(at, part_at), image)?,
                Part::File(file) => self.file(&part_name(at, part_at), file)?,
                Part::Audio(audio) => self.audio(audio),
            }
        }
        Ok(())
    }

    /// Thoughts come first, then text, a refusal included, then calls.
    fn assistant(&mut self, at: usize, said: &AssistantMessage<'_>) -> Result<(), Refused> {
        for (thought, signature) in &said.reasoning {
            match signature.as_deref() {
                // Claude takes thoughts only with its signature over them, and others do not want theirs back.
                None => self.losses.leave_out(format!("messages[{at}].reasoning_content")),
                Some(signature) => {
                    open(self.out, "reasoningContent");
                    match signature.strip_prefix(REDACTED) {
                        Some(data) => write::string(self.out, "redactedContent", data),
                        None => {
                            write::name(self.out, "reasoningText");
                            self.out.push(b'{');
                            write::string(self.out, "text", thought);
                            write::string(self.out, "signature", signature);
                            self.out.push(b'}');
                        }
                    }
                    close(self.out);
                }
            }
        }
        for (part_at, part) in said.parts.iter().enumerate() {
            match part {
                Part::Text(text) => write_text(self.out, text),
                _ => {
                    return Losses::refuse(
                        part_name(at, part_at),
                        "What a model of Bedrock said is text only.",
                    );
                }
            }
        }
        if let Some(refusal) = &said.refusal {
            write_text(self.out, refusal);
        }
        for (call_at, call) in said.calls.iter().enumerate() {
            self.call(at, call_at, call)?;
        }
        Ok(())
    }

    fn call(&mut self, at: usize, call_at: usize, call: &Call<'_>) -> Result<(), Refused> {
        let input = needed_arguments(call, (at, call_at), "Bedrock")?;
        open(self.out, "toolUse");
        write::string(self.out, "toolUseId", &fitting(&call.id));
        write::string(self.out, "name", &call.name);
        write::raw(self.out, "input", input);
        close(self.out);
        Ok(())
    }

    fn result(&mut self, at: usize, id: &str, parts: &[Part<'_>], is_error: bool) -> Result<(), Refused> {
        open(self.out, "toolResult");
        write::string(self.out, "toolUseId", &fitting(id));
        write::name(self.out, "content");
        self.out.push(b'[');
        self.parts(at, parts)?;
        self.out.push(b']');
        if is_error {
            write::string(self.out, "status", "error");
        }
        close(self.out);
        Ok(())
    }

    fn image(&mut self, param: &str, image: &Image<'_>) -> Result<(), Refused> {
        if image.detail.as_ref().is_some_and(|detail| detail != "auto") {
            self.losses.cannot(format!("{param}.image_url.detail"), PROVIDER)?;
        }
        self.picture(param, &image.source)
    }

    fn picture(&mut self, param: &str, source: &Source<'_>) -> Result<(), Refused> {
        let Some(format) = media::image_format(source) else {
            return Losses::refuse(
                param.to_owned(),
                media::unreadable(source, "PNG, JPEG, GIF and WebP images"),
            );
        };
        open(self.out, "image");
        write::string(self.out, "format", format);
        self.source(source);
        close(self.out);
        Ok(())
    }

    fn file(&mut self, param: &str, file: &File<'_>) -> Result<(), Refused> {
        if let Source::Data { media_type, .. } = &file.source
            && media_type.starts_with("image/")
        {
            return self.picture(param, &file.source);
        }
        let Some(format) = media::document_format(&file.source) else {
            return Losses::refuse(
                param.to_owned(),
                media::unreadable(&file.source, "PDF, Word, Excel, CSV, HTML and text files"),
            );
        };
        let name = media::document_name(&mut self.names, file.name.as_deref(), format);
        open(self.out, "document");
        write::string(self.out, "format", format);
        write::string(self.out, "name", &name);
        self.source(&file.source);
        close(self.out);
        Ok(())
    }

    fn audio(&mut self, audio: &Audio<'_>) {
        open(self.out, "audio");
        write::string(self.out, "format", &audio.format);
        self.bytes(&audio.data);
        close(self.out);
    }

    fn bytes(&mut self, data: &str) {
        write::name(self.out, "source");
        self.out.push(b'{');
        write::string(self.out, "bytes", data);
        self.out.push(b'}');
    }

    fn source(&mut self, source: &Source<'_>) {
        match source {
            Source::Data { data, .. } => self.bytes(data),
            Source::Url(uri) | Source::Id(uri) => {
                write::name(self.out, "source");
                self.out.push(b'{');
                write::name(self.out, "s3Location");
                self.out.push(b'{');
                write::string(self.out, "uri", uri);
                self.out.extend_from_slice(b"}}");
            }
        }
    }
}

/// An id of a call as the API takes it: other providers' are longer or of other characters, and a conversation may have
/// begun with those. Another one for each of them, and always the same.
fn fitting(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    if (1..=MOST_ID_BYTES).contains(&id.len()) && id.chars().all(fits) {
        return id.into();
    }
    // Its keys are constant: the same on every shard.
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    format!("call_{:016x}", hasher.finish()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fit_and_stay_apart() {
        for id in ["tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "call_1", "a.b:c-d"] {
            assert_eq!(fitting(id), id);
        }
        let long = "x".repeat(65);
        let other: Vec<Cow<'_, str>> = ["", "a b", "é", &long].into_iter().map(fitting).collect();
        for (at, id) in other.iter().enumerate() {
            assert!(id.len() <= MOST_ID_BYTES && !other[..at].contains(id), "{other:?}");
        }
        assert_eq!(fitting("a b"), fitting("a b"));
    }
}
