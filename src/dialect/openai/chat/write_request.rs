//! What a provider that speaks OpenAI's dialect is asked.
//!
//! Source: OpenAI API reference, "Create chat completion".

use serde_json::value::RawValue;

use super::write_answer::{write_call, write_number};
use crate::dialect::chat::{
    AssistantMessage, Effort, Image, Losses, Message, Part, Refused, Request, ResponseFormat, Source, Tool,
    ToolChoice,
};
use crate::dialect::json::write_string;

/// Whom to ask.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The model by the provider's own name.
    pub model: &'a str,
    /// The provider's id, for messages.
    pub provider: &'a str,
    /// Whether a stream is asked to end with its usage. Some providers do so unasked and refuse to be asked.
    pub ask_usage: bool,
    /// Whether it is OpenAI's own API, which wants `max_completion_tokens`. All others know `max_tokens`, and only some
    /// of them the new name.
    pub max_completion_tokens: bool,
}

/// Members of OpenAI's own request that a [`Request`] keeps in `other`.
const KNOWN: [&str; 13] = [
    "audio",
    "logit_bias",
    "metadata",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options",
];

/// The least tokens of thought that are taken for an effort. Providers with efforts have no number for them; these are
/// the steps that LiteLLM takes, so that a client sees no difference.
const EFFORTS: [(u64, Effort); 3] = [(10_000, Effort::High), (5_000, Effort::Medium), (2_000, Effort::Low)];

/// Appends a request as a body for the provider.
///
/// What was thought in earlier answers is not written: OpenAI's API has no place for it and refuses messages with more
/// than it knows, and a model goes on without.
///
/// # Errors
/// Where something cannot be said in this dialect.
pub fn write_request(
    request: &Request<'_>,
    to: &Target<'_>,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    out.extend_from_slice(b"{\"model\":");
    write_string(out, to.model);
    out.extend_from_slice(b",\"messages\":[");
    write_messages(&request.messages, out)?;
    out.push(b']');
    if !request.tools.is_empty() {
        list(",\"tools\":", &request.tools, out, |tool, out| {
            write_tool(tool, out);
            Ok(())
        })?;
    }
    if let Some(choice) = &request.tool_choice {
        out.extend_from_slice(b",\"tool_choice\":");
        write_choice(choice, out);
    }
    flag("parallel_tool_calls", request.parallel_tool_calls, out);
    if let Some(format) = &request.response_format {
        out.extend_from_slice(b",\"response_format\":");
        write_format(format, out);
    }
    if !request.stop.is_empty() {
        list(",\"stop\":", &request.stop, out, |text, out| {
            write_string(out, text);
            Ok(())
        })?;
    }
    let max_tokens = if to.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    number(max_tokens, request.max_tokens, out);
    fraction("temperature", request.temperature, out);
    fraction("top_p", request.top_p, out);
    fraction("frequency_penalty", request.frequency_penalty, out);
    fraction("presence_penalty", request.presence_penalty, out);
    if let Some(seed) = request.seed {
        name("seed", out);
        out.extend_from_slice(itoa::Buffer::new().format(seed).as_bytes());
    }
    number("n", request.n, out);
    flag("logprobs", request.logprobs, out);
    number("top_logprobs", request.top_logprobs, out);
    if request.top_k.is_some() {
        losses.cannot("top_k", to.provider)?;
    }
    if let Some(effort) = request.reasoning_effort.or(request.reasoning_tokens.map(effort_of)) {
        let known = Effort::NAMES.iter().find(|(_, known)| *known == effort);
        name("reasoning_effort", out);
        write_string(out, known.map_or("medium", |(name, _)| name));
    }
    if let Some(user) = &request.user {
        name("user", out);
        write_string(out, user);
    }
    for (member, value) in &request.other {
        if KNOWN.contains(&&**member) {
            raw(member, Some(value), out);
        } else {
            losses.cannot(member.to_string(), to.provider)?;
        }
    }
    if request.stream {
        flag("stream", Some(true), out);
        if to.ask_usage {
            out.extend_from_slice(b",\"stream_options\":{\"include_usage\":true}");
        }
    }
    out.push(b'}');
    Ok(())
}

fn effort_of(tokens: u64) -> Effort {
    if tokens == 0 {
        return Effort::None;
    }
    EFFORTS.iter().find(|(least, _)| tokens >= *least).map_or(Effort::Minimal, |(_, effort)| *effort)
}

/// Appends `,"name":`.
fn name(name: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_string(out, name);
    out.push(b':');
}

fn flag(member: &str, value: Option<bool>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        name(member, out);
        out.extend_from_slice(if value { b"true" } else { b"false" });
    }
}

fn number(member: &str, value: Option<u64>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        name(member, out);
        write_number(value, out);
    }
}

fn fraction(member: &str, value: Option<f64>, out: &mut Vec<u8>) {
    // JSON has no infinity; no reader makes one.
    if let Some(value) = value.and_then(serde_json::Number::from_f64) {
        name(member, out);
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

fn text(member: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        name(member, out);
        write_string(out, value);
    }
}

fn raw(member: &str, value: Option<&RawValue>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        name(member, out);
        out.extend_from_slice(value.get().as_bytes());
    }
}

fn list<T>(
    start: &str,
    elements: &[T],
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    out.extend_from_slice(start.as_bytes());
    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(element, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_tool(tool: &Tool<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    write_string(out, &tool.name);
    text("description", tool.description.as_deref(), out);
    raw("parameters", tool.parameters, out);
    flag("strict", tool.strict, out);
    out.extend_from_slice(b"}}");
}

fn write_choice(choice: &ToolChoice<'_>, out: &mut Vec<u8>) {
    match choice {
        ToolChoice::Auto => out.extend_from_slice(b"\"auto\""),
        ToolChoice::None => out.extend_from_slice(b"\"none\""),
        ToolChoice::Required => out.extend_from_slice(b"\"required\""),
        ToolChoice::Function(name) => {
            out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
            write_string(out, name);
            out.extend_from_slice(b"}}");
        }
    }
}

fn write_format(format: &ResponseFormat<'_>, out: &mut Vec<u8>) {
    match format {
        ResponseFormat::Text => out.extend_from_slice(b"{\"type\":\"text\"}"),
        ResponseFormat::JsonObject => out.extend_from_slice(b"{\"type\":\"json_object\"}"),
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            out.extend_from_slice(b"{\"type\":\"json_schema\",\"json_schema\":{\"name\":");
            write_string(out, name);
            text("description", description.as_deref(), out);
            raw("schema", *schema, out);
            flag("strict", *strict, out);
            out.extend_from_slice(b"}}");
        }
    }
}

/// A function's result is text here. Images and such that it returned follow in a user's message, after the last of the
/// results: they must not stand between calls and results.
fn write_messages(messages: &[Message<'_>], out: &mut Vec<u8>) -> Result<(), Refused> {
    let mut returned = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if !matches!(message, Message::Tool { .. }) {
            write_returned(&mut returned, out)?;
        }
        if index > 0 {
            out.push(b',');
        }
        write_message(index, message, out)?;
        if let Message::Tool { parts, .. } = message {
            let more = parts.iter().enumerate().filter(|(_, part)| !matches!(part, Part::Text(_)));
            returned.extend(more.map(|(place, part)| (index, place, part)));
        }
    }
    write_returned(&mut returned, out)
}

fn write_returned(returned: &mut Vec<(usize, usize, &Part<'_>)>, out: &mut Vec<u8>) -> Result<(), Refused> {
    if returned.is_empty() {
        return Ok(());
    }
    list(",{\"role\":\"user\",\"content\":", returned, out, |(message, place, part), out| {
        write_part(|| format!("messages[{message}].content[{place}]"), part, out)
    })?;
    out.push(b'}');
    returned.clear();
    Ok(())
}

fn write_message(index: usize, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    match message {
        Message::System(parts) => {
            out.extend_from_slice(b"{\"role\":\"system\",\"content\":");
            write_parts(index, parts, |part| matches!(part, Part::Text(_)), out)?;
        }
        Message::User(parts) => {
            out.extend_from_slice(b"{\"role\":\"user\",\"content\":");
            write_parts(index, parts, |_| true, out)?;
        }
        Message::Assistant(message) => write_assistant(index, message, out)?,
        Message::Tool { call_id, parts, is_error } => {
            out.extend_from_slice(b"{\"role\":\"tool\",\"tool_call_id\":");
            write_string(out, call_id);
            out.extend_from_slice(b",\"content\":");
            write_result(parts, *is_error, out)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// What a function returned, as text. That it failed can be said in words only.
fn write_result(parts: &[Part<'_>], is_error: bool, out: &mut Vec<u8>) -> Result<(), Refused> {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(&**text),
        _ => None,
    });
    let more = parts.iter().any(|part| !matches!(part, Part::Text(_)));
    let mut texts: Vec<_> = is_error.then_some("The call failed.").into_iter().chain(texts).collect();
    if more {
        texts.push("The rest of the result follows in the next message of the user.");
    }
    match &texts[..] {
        [] => out.extend_from_slice(b"\"\""),
        [text] => write_string(out, text),
        texts => list("", texts, out, |text, out| {
            write_text(text, out);
            Ok(())
        })?,
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    write_string(out, text);
    out.push(b'}');
}

fn write_assistant(index: usize, message: &AssistantMessage<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
    if message.parts.is_empty() && !(message.calls.is_empty() && message.refusal.is_none()) {
        out.extend_from_slice(b"null");
    } else {
        write_parts(index, &message.parts, |part| matches!(part, Part::Text(_)), out)?;
    }
    text("refusal", message.refusal.as_deref(), out);
    if !message.calls.is_empty() {
        list(",\"tool_calls\":", &message.calls, out, |call, out| {
            write_call(&call.id, &call.name, &call.arguments, out);
            Ok(())
        })?;
    }
    Ok(())
}

/// One text, which all providers take, as a string; all else as an array.
fn write_parts(
    message: usize,
    parts: &[Part<'_>],
    allowed: impl Fn(&Part<'_>) -> bool,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    match parts {
        [] => out.extend_from_slice(b"\"\""),
        [Part::Text(text)] => write_string(out, text),
        parts => {
            let mut index = 0;
            list("", parts, out, |part, out| {
                let path = || format!("messages[{message}].content[{index}]");
                if !allowed(part) {
                    return Losses::refuse(
                        path(),
                        format!(
                            "The provider of this model takes '{}' as text only. Move it to a user's message.",
                            path()
                        ),
                    );
                }
                write_part(path, part, out)?;
                index += 1;
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn write_part(path: impl Fn() -> String, part: &Part<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    match part {
        Part::Text(text) => write_text(text, out),
        Part::Image(Image { source, detail }) => {
            out.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":");
            match source {
                Source::Url(url) => write_string(out, url),
                Source::Data { media_type, data } => write_data_url(media_type, data, out),
                Source::Id(_) => {
                    return Losses::refuse(
                        path(),
                        format!(
                            "'{}' is an uploaded image, which the provider of this model can not read. Send its data or a URL.",
                            path()
                        ),
                    );
                }
            }
            text("detail", detail.as_deref(), out);
            out.extend_from_slice(b"}}");
        }
        Part::Audio(audio) => {
            out.extend_from_slice(b"{\"type\":\"input_audio\",\"input_audio\":{\"data\":");
            write_string(out, &audio.data);
            text("format", Some(&audio.format), out);
            out.extend_from_slice(b"}}");
        }
        Part::File(file) => {
            out.extend_from_slice(b"{\"type\":\"file\",\"file\":{");
            match &file.source {
                Source::Id(id) => {
                    out.extend_from_slice(b"\"file_id\":");
                    write_string(out, id);
                    text("filename", file.name.as_deref(), out);
                }
                Source::Data { media_type, data } => {
                    out.extend_from_slice(b"\"file_data\":");
                    write_data_url(media_type, data, out);
                    // The API wants a name with data.
                    let name = file.name.as_deref();
                    text("filename", Some(name.unwrap_or(default_name(media_type))), out);
                }
                Source::Url(_) => {
                    return Losses::refuse(
                        path(),
                        format!(
                            "'{}' is a document by URL, which the provider of this model can not fetch. Send its data.",
                            path()
                        ),
                    );
                }
            }
            out.extend_from_slice(b"}}");
        }
    }
    Ok(())
}

fn default_name(media_type: &str) -> &'static str {
    match media_type {
        "application/pdf" => "document.pdf",
        _ => "document.txt",
    }
}

/// Appends a `data:` URL as a string. Base64 and media types need no escapes, but a client may send anything.
fn write_data_url(media_type: &str, data: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"data:");
    for piece in [media_type, ";base64,", data] {
        for escaped in crate::dialect::json::escaped(piece) {
            out.extend_from_slice(escaped);
        }
    }
    out.push(b'"');
}
