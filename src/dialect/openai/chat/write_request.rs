//! What a provider that speaks OpenAI's dialect is asked.
//!
//! Source: OpenAI API reference, "Create chat completion".

use serde_json::value::RawValue;

use super::family::Family;
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
    /// Whose ways it has.
    pub family: Family,
}

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
    write_messages(&request.messages, to.family, out)?;
    out.push(b']');
    if !request.tools.is_empty() {
        list(",\"tools\":", &request.tools, out, |tool, out| {
            write_tool(tool, to.family, out);
            Ok(())
        })?;
    }
    if let Some(choice) = &request.tool_choice {
        out.extend_from_slice(b",\"tool_choice\":");
        write_choice(choice, to.family, out);
    }
    flag("parallel_tool_calls", request.parallel_tool_calls, out);
    if let Some(format) = &request.response_format {
        out.extend_from_slice(b",\"response_format\":");
        write_format(format, out);
    }
    let stops = !to.family.refuses_stop(to.model);
    let penalties = [
        ("frequency_penalty", request.frequency_penalty.filter(|penalty| *penalty != 0.0 || stops)),
        ("presence_penalty", request.presence_penalty.filter(|penalty| *penalty != 0.0 || stops)),
    ];
    if !request.stop.is_empty() && !stops {
        losses.cannot("stop", to.provider)?;
    } else if !request.stop.is_empty() {
        list(",\"stop\":", &request.stop, out, |text, out| {
            write_string(out, text);
            Ok(())
        })?;
    }
    let max_tokens = if to.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    number(max_tokens, request.max_tokens, out);
    fraction("temperature", request.temperature, out);
    fraction("top_p", request.top_p, out);
    for (member, penalty) in penalties {
        if penalty.is_some() && !stops {
            losses.cannot(member, to.provider)?;
        } else {
            fraction(member, penalty, out);
        }
    }
    write_seed(request, to, losses, out)?;
    number("n", request.n, out);
    flag("logprobs", request.logprobs, out);
    number("top_logprobs", request.top_logprobs, out);
    if to.family.has_top_k() {
        number("top_k", request.top_k, out);
    } else if request.top_k.is_some() {
        losses.cannot("top_k", to.provider)?;
    }
    write_effort(request, to, losses, out)?;
    match &request.user {
        Some(_) if to.family == Family::Mistral => losses.leave_out("user"),
        user => text("user", user.as_deref(), out),
    }
    for (member, value) in &request.other {
        if to.family.knows(member) {
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

fn write_seed(
    request: &Request<'_>,
    to: &Target<'_>,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let Some(seed) = request.seed else { return Ok(()) };
    let mistral = to.family == Family::Mistral;
    if mistral && seed < 0 {
        return losses.cannot("seed", to.provider);
    }
    name(if mistral { "random_seed" } else { "seed" }, out);
    out.extend_from_slice(itoa::Buffer::new().format(seed).as_bytes());
    Ok(())
}

fn write_effort(
    request: &Request<'_>,
    to: &Target<'_>,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    // OpenRouter takes a number, and makes an effort of it where the model knows only that.
    if let (Family::OpenRouter, None, Some(tokens @ 1..)) =
        (to.family, request.reasoning_effort, request.reasoning_tokens)
    {
        out.extend_from_slice(b",\"reasoning\":{\"max_tokens\":");
        write_number(tokens, out);
        out.push(b'}');
        return Ok(());
    }
    let Some(effort) = request.reasoning_effort.or(request.reasoning_tokens.map(effort_of)) else {
        return Ok(());
    };
    let Some(word) = to.family.effort(to.model, effort) else {
        return losses.cannot("reasoning_effort", to.provider);
    };
    text("reasoning_effort", Some(word), out);
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

fn write_tool(tool: &Tool<'_>, family: Family, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    write_string(out, &tool.name);
    text("description", tool.description.as_deref(), out);
    match tool.parameters.as_deref() {
        // Mistral wants them of a function without any, too.
        None if family == Family::Mistral => out.extend_from_slice(b",\"parameters\":{}"),
        parameters => raw("parameters", parameters, out),
    }
    flag("strict", tool.strict, out);
    out.extend_from_slice(b"}}");
}

fn write_choice(choice: &ToolChoice<'_>, family: Family, out: &mut Vec<u8>) {
    match choice {
        ToolChoice::Required if family == Family::Mistral => out.extend_from_slice(b"\"any\""),
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
            raw("schema", schema.as_deref(), out);
            flag("strict", *strict, out);
            out.extend_from_slice(b"}}");
        }
    }
}

/// What stands between a function's result and the user's next words where Mistral is asked: it refuses them side by
/// side.
const BRIDGE: &[u8] = b",{\"role\":\"assistant\",\"content\":\"OK.\"}";

/// A function's result is text here. Images and such that it returned follow in a user's message, after the last of the
/// results: they must not stand between calls and results.
fn write_messages(messages: &[Message<'_>], family: Family, out: &mut Vec<u8>) -> Result<(), Refused> {
    let mut returned = Vec::new();
    let mut answered = false;
    for (at, (index, message)) in family.ordered(messages)?.into_iter().enumerate() {
        if !matches!(message, Message::Tool { .. }) {
            let bridged = write_returned(&mut returned, family, out)?;
            let more = matches!(message, Message::User(_) | Message::System(_));
            if family == Family::Mistral && answered && more && !bridged {
                out.extend_from_slice(BRIDGE);
            }
        }
        answered = matches!(message, Message::Tool { .. });
        if at > 0 {
            out.push(b',');
        }
        write_message(index, message, family, at + 1 == messages.len(), out)?;
        if let Message::Tool { parts, .. } = message {
            let more = parts.iter().enumerate().filter(|(_, part)| !matches!(part, Part::Text(_)));
            returned.extend(more.map(|(place, part)| (index, place, part)));
        }
    }
    write_returned(&mut returned, family, out).map(drop)
}

/// Whether there was something to write.
fn write_returned(
    returned: &mut Vec<(usize, usize, &Part<'_>)>,
    family: Family,
    out: &mut Vec<u8>,
) -> Result<bool, Refused> {
    if returned.is_empty() {
        return Ok(false);
    }
    if family == Family::Mistral {
        out.extend_from_slice(BRIDGE);
    }
    list(",{\"role\":\"user\",\"content\":", returned, out, |(message, place, part), out| {
        write_part(|| format!("messages[{message}].content[{place}]"), part, family, out)
    })?;
    out.push(b'}');
    returned.clear();
    Ok(true)
}

fn write_message(
    index: usize,
    message: &Message<'_>,
    family: Family,
    last: bool,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    match message {
        Message::System(parts) => {
            out.extend_from_slice(b"{\"role\":\"system\",\"content\":");
            write_parts(index, parts, |part| matches!(part, Part::Text(_)), family, out)?;
        }
        Message::User(parts) => {
            out.extend_from_slice(b"{\"role\":\"user\",\"content\":");
            write_parts(index, parts, |_| true, family, out)?;
        }
        Message::Assistant(message) => {
            write_assistant(index, message, family, out)?;
            // The start of the answer, which Mistral wants to be told from one that is over.
            if family == Family::Mistral && last && message.calls.is_empty() {
                flag("prefix", Some(true), out);
            }
        }
        Message::Tool { call_id, parts, is_error } => {
            out.extend_from_slice(b"{\"role\":\"tool\",\"tool_call_id\":");
            write_string(out, &family.call_id(call_id));
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

fn write_assistant(
    index: usize,
    message: &AssistantMessage<'_>,
    family: Family,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
    let only_text = |part: &Part<'_>| matches!(part, Part::Text(_));
    match &message.refusal {
        // Mistral's messages have no other place for it.
        Some(refusal) if family == Family::Mistral => {
            let refusal = Part::Text(refusal.clone());
            let parts: Vec<_> = message.parts.iter().cloned().chain([refusal]).collect();
            write_parts(index, &parts, only_text, family, out)?;
        }
        refusal => {
            if message.parts.is_empty() && !(message.calls.is_empty() && refusal.is_none()) {
                out.extend_from_slice(b"null");
            } else {
                write_parts(index, &message.parts, only_text, family, out)?;
            }
            text("refusal", refusal.as_deref(), out);
        }
    }
    if !message.calls.is_empty() {
        list(",\"tool_calls\":", &message.calls, out, |call, out| {
            write_call(&family.call_id(&call.id), &call.name, &call.arguments, out);
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
    family: Family,
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
                write_part(path, part, family, out)?;
                index += 1;
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn write_part(
    path: impl Fn() -> String,
    part: &Part<'_>,
    family: Family,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    match part {
        // Mistral's parts of these kinds: sound is its data alone, a document a URL of any scheme.
        Part::Audio(audio) if family == Family::Mistral => {
            out.extend_from_slice(b"{\"type\":\"input_audio\",\"input_audio\":");
            write_string(out, &audio.data);
            out.push(b'}');
        }
        Part::File(file) if family == Family::Mistral => {
            match &file.source {
                Source::Id(id) => {
                    out.extend_from_slice(b"{\"type\":\"file\",\"file_id\":");
                    write_string(out, id);
                }
                Source::Url(url) => {
                    out.extend_from_slice(b"{\"type\":\"document_url\",\"document_url\":");
                    write_string(out, url);
                    text("document_name", file.name.as_deref(), out);
                }
                Source::Data { media_type, data } => {
                    out.extend_from_slice(b"{\"type\":\"document_url\",\"document_url\":");
                    write_data_url(media_type, data, out);
                    text("document_name", file.name.as_deref(), out);
                }
            }
            out.push(b'}');
        }
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
