//! The conversation as `contents` and `systemInstruction`.
//!
//! Source: Gemini API reference, "Caching" (`Content`, `Part`, `Blob`, `FileData`, `FunctionCall`, `FunctionResponse`);
//! the guides "Function calling", "Thought signatures" and "File input methods".

use super::model::Model;
use super::signature;
use super::write::{Array, Object};
use crate::dialect::chat::{
    AssistantMessage, Call, Image, Losses, Message, Part, Refused, Request, Source,
    turns::{arguments, object},
};

/// Files that were uploaded to Google, by the name that the Files API gave them.
const FILES: &str = "https://generativelanguage.googleapis.com/v1beta/";

/// Appends the `contents` array.
pub(super) fn write_contents(request: &Request<'_>, model: Model, out: &mut Vec<u8>) -> Result<(), Refused> {
    let messages = request.messages.as_slice();
    let mut contents = Contents { out: Array::begin(out), turn: None, model };
    let mut at = 0;
    while let Some(message) = messages.get(at) {
        match message {
            // Instructions alone are what the user says: there is no request without contents.
            Message::System(parts) if instructions_alone(request) => {
                contents.parts(Turn::User, parts, at)?;
            }
            Message::System(_) => {}
            Message::User(parts) => contents.parts(Turn::User, parts, at)?,
            Message::Assistant(message) => contents.assistant(message, at)?,
            Message::Tool { .. } => {
                let rest = messages.get(at..).unwrap_or_default();
                let count = rest.iter().take_while(|message| matches!(message, Message::Tool { .. })).count();
                contents.results(messages, at, count)?;
                at += count.saturating_sub(1);
            }
        }
        at += 1;
    }
    contents.close();
    contents.out.end();
    Ok(())
}

/// Writes `systemInstruction`, where there is one.
pub(super) fn write_system(request: &Request<'_>, body: &mut Object<'_>) -> Result<(), Refused> {
    let has_one = request.messages.iter().any(|message| matches!(message, Message::System(_)));
    if !has_one || instructions_alone(request) {
        return Ok(());
    }
    let mut instruction = Object::begin(body.key("systemInstruction"));
    let mut written = Array::begin(instruction.key("parts"));
    for (at, message) in request.messages.iter().enumerate() {
        let Message::System(parts) = message else { continue };
        for (place, part) in parts.iter().enumerate() {
            let Part::Text(text) = part else {
                let param = format!("messages[{at}].content[{place}]");
                return Losses::refuse(param, "Instructions to Gemini are text. Send the rest as the user.");
            };
            write_text(text, None, written.element());
        }
    }
    written.end();
    instruction.end();
    Ok(())
}

fn instructions_alone(request: &Request<'_>) -> bool {
    request.messages.iter().all(|message| matches!(message, Message::System(_)))
}

/// Whose turn it is. Results of functions are the user's too, but stand apart: what the user says beside them would
/// begin a new turn within theirs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    User,
    Model,
    Functions,
}

/// The array with its last element open.
struct Contents<'o> {
    out: Array<'o>,
    turn: Option<Turn>,
    model: Model,
}

impl Contents<'_> {
    /// The place of the next part in a turn. Consecutive messages of one are merged.
    fn part(&mut self, turn: Turn) -> &mut Vec<u8> {
        if self.turn == Some(turn) {
            let out = self.out.inside();
            out.push(b',');
            return out;
        }
        self.close();
        self.turn = Some(turn);
        let role: &[u8] = if turn == Turn::Model { b"model" } else { b"user" };
        let out = self.out.element();
        out.extend_from_slice(b"{\"role\":\"");
        out.extend_from_slice(role);
        out.extend_from_slice(b"\",\"parts\":[");
        out
    }

    fn close(&mut self) {
        if self.turn.take().is_some() {
            self.out.inside().extend_from_slice(b"]}");
        }
    }

    fn parts(&mut self, turn: Turn, parts: &[Part<'_>], at: usize) -> Result<(), Refused> {
        let model = self.model;
        for (place, part) in parts.iter().enumerate() {
            write_part(part, model, &|| format!("messages[{at}].content[{place}]"), self.part(turn))?;
        }
        Ok(())
    }

    fn assistant(&mut self, message: &AssistantMessage<'_>, at: usize) -> Result<(), Refused> {
        let model = self.model;
        let signature = message
            .reasoning
            .iter()
            .rev()
            .find_map(|(_, signature)| signature::unmark(signature.as_deref()?));
        let last_text =
            message.parts.iter().rposition(|part| matches!(part, Part::Text(text) if !text.is_empty()));
        for (place, part) in message.parts.iter().enumerate() {
            match part {
                // Clients send an empty text beside calls.
                Part::Text(text) if text.is_empty() => {}
                Part::Text(text) => {
                    let signature = signature.filter(|_| last_text == Some(place));
                    write_text(text, signature, self.part(Turn::Model));
                }
                part => {
                    let param = || format!("messages[{at}].content[{place}]");
                    write_part(part, model, &param, self.part(Turn::Model))?;
                }
            }
        }
        if let Some(refusal) = &message.refusal {
            write_text(refusal, None, self.part(Turn::Model));
        }
        for (place, call) in message.calls.iter().enumerate() {
            let arguments = arguments(call).ok_or_else(|| Refused {
                param: format!("messages[{at}].tool_calls[{place}].function.arguments").into(),
                message: "The arguments of a call are a JSON object for Gemini. Send one.".into(),
            })?;
            let (id, signature) = signature::split(&call.id);
            let missing = place == 0 && model.third();
            let signature = signature.or(missing.then_some(signature::NOT_OURS));
            let mut part = Object::begin(self.part(Turn::Model));
            let mut function = Object::begin(part.key("functionCall"));
            if model.third() && !id.is_empty() {
                function.text("id", id);
            }
            function.text("name", &call.name);
            function.raw("args", arguments);
            function.end();
            if let Some(signature) = signature {
                part.text("thoughtSignature", signature);
            }
            part.end();
        }
        Ok(())
    }

    /// Results that follow each other, in the order of the calls that they answer: models before the third generation
    /// match them by it.
    fn results(&mut self, messages: &[Message<'_>], start: usize, count: usize) -> Result<(), Refused> {
        let mut results = Vec::with_capacity(count);
        for (at, message) in messages.iter().enumerate().skip(start).take(count) {
            let Message::Tool { call_id, parts, is_error } = message else { continue };
            let Some((place, call)) = find_call(messages.get(..start).unwrap_or_default(), call_id) else {
                return Losses::refuse(
                    format!("messages[{at}].tool_call_id"),
                    "No call before this message has this id. Send the assistant's message with its tool_calls first.",
                );
            };
            results.push((place, at, call, parts, *is_error));
        }
        results.sort_by_key(|&(place, at, ..)| (place, at));
        let model = self.model;
        for (_, at, call, parts, is_error) in results {
            write_result(call, parts, is_error, model, at, self.part(Turn::Functions))?;
        }
        Ok(())
    }
}

/// The nearest call with this id, and where it stands.
fn find_call<'m, 'a>(messages: &'m [Message<'a>], id: &str) -> Option<((usize, usize), &'m Call<'a>)> {
    messages.iter().enumerate().rev().find_map(|(at, message)| {
        let Message::Assistant(message) = message else { return None };
        let place = message.calls.iter().position(|call| call.id == id)?;
        Some(((at, place), message.calls.get(place)?))
    })
}

fn write_result(
    call: &Call<'_>,
    parts: &[Part<'_>],
    is_error: bool,
    model: Model,
    at: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let mut text = String::new();
    let mut media = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        match part {
            Part::Text(more) => text.push_str(more),
            _ if model.third() => media.push((place, part)),
            _ => {
                return Losses::refuse(
                    format!("messages[{at}].content[{place}]"),
                    "What a function returns is text for this model. Send the rest as the user, or choose Gemini 3.",
                );
            }
        }
    }
    let mut part = Object::begin(out);
    let mut result = Object::begin(part.key("functionResponse"));
    let id = signature::split(&call.id).0;
    if model.third() && !id.is_empty() {
        result.text("id", id);
    }
    result.text("name", &call.name);
    // It has to be an object. "error" is the key that tells the model so.
    match object(&text) {
        Some(object) if !is_error => result.raw("response", object),
        _ => {
            let mut response = Object::begin(result.key("response"));
            response.text(if is_error { "error" } else { "result" }, &text);
            response.end();
        }
    }
    if !media.is_empty() {
        let mut written = Array::begin(result.key("parts"));
        for (place, part) in media {
            write_part(part, model, &|| format!("messages[{at}].content[{place}]"), written.element())?;
        }
        written.end();
    }
    result.end();
    part.end();
    Ok(())
}

fn write_text(text: &str, signature: Option<&str>, out: &mut Vec<u8>) {
    let mut part = Object::begin(out);
    part.text("text", text);
    if let Some(signature) = signature {
        part.text("thoughtSignature", signature);
    }
    part.end();
}

fn write_part(
    part: &Part<'_>,
    model: Model,
    param: &dyn Fn() -> String,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    match part {
        Part::Text(text) => write_text(text, None, out),
        Part::Image(Image { source, .. }) => write_source(source, model, param, out)?,
        Part::File(file) => write_source(&file.source, model, param, out)?,
        Part::Audio(audio) => write_blob(&format!("audio/{}", audio.format), &audio.data, out),
    }
    Ok(())
}

fn write_blob(media_type: &str, data: &str, out: &mut Vec<u8>) {
    let mut part = Object::begin(out);
    let mut blob = Object::begin(part.key("inlineData"));
    blob.text("mimeType", media_type);
    blob.text("data", data);
    blob.end();
    part.end();
}

fn write_source(
    source: &Source<'_>,
    model: Model,
    param: &dyn Fn() -> String,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let uri = match source {
        Source::Data { media_type, data } => {
            write_blob(media_type, data, out);
            return Ok(());
        }
        Source::Id(id) if id.starts_with("files/") => format!("{FILES}{id}").into(),
        Source::Id(uri) if uri.starts_with(FILES) => uri.clone(),
        Source::Id(_) => {
            return Losses::refuse(
                param(),
                "Gemini does not have this file. Send its contents, or the name that Gemini's Files API gave it \
                 ('files/...').",
            );
        }
        Source::Url(uri) if !uri.starts_with("https://") && !uri.starts_with("http://") => {
            return Losses::refuse(
                param(),
                "Gemini fetches http and https only. Send the contents as base64.",
            );
        }
        Source::Url(uri) if model.without_urls() && !uri.starts_with(FILES) => {
            return Losses::refuse(
                param(),
                "This model does not fetch files. Send the contents as base64, or choose Gemini 2.5 or later.",
            );
        }
        Source::Url(uri) => uri.clone(),
    };
    let mut part = Object::begin(out);
    let mut file = Object::begin(part.key("fileData"));
    if let Some(media_type) = media_type_of(&uri) {
        file.text("mimeType", media_type);
    }
    file.text("fileUri", &uri);
    file.end();
    part.end();
    Ok(())
}

/// By the end of the path. Where that does not tell, Gemini goes by what the server says.
fn media_type_of(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next()?;
    let end = path.rsplit('/').next()?.rsplit_once('.')?.1;
    let known = [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("webp", "image/webp"),
        ("heic", "image/heic"),
        ("heif", "image/heif"),
        ("gif", "image/gif"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("html", "text/html"),
        ("css", "text/css"),
        ("csv", "text/csv"),
        ("xml", "text/xml"),
        ("json", "application/json"),
    ];
    known.iter().find(|(name, _)| end.eq_ignore_ascii_case(name)).map(|&(_, media_type)| media_type)
}
