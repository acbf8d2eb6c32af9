//! Reading a chat request (https://platform.openai.com/docs/api-reference/chat/create).
//!
//! Two readers: a scan that builds nothing, for the plain requests that load tests send, and a full parse with
//! OpenAI's validation for all others. What the scan accepts, the full parse reads the same way.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    ApiError,
    validate::{self, Fields, present, wrong_type},
};
use crate::simulate::{
    plan::{self, Rare, Wanted},
    scan, text,
};

/// What a chat request asks for.
#[derive(Debug)]
pub(super) struct Chat<'a> {
    pub(super) model: Cow<'a, str>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// Answers wanted.
    pub(super) n: usize,
    pub(super) max_tokens: Option<usize>,
    pub(super) seed: Option<i64>,
    pub(super) prompt_tokens: usize,
    /// What few requests ask for.
    pub(super) rare: Option<Box<Rare>>,
}

/// Reads `body`.
pub(super) fn read(body: &[u8]) -> Result<Chat<'_>, ApiError> {
    scanned(body).map_or_else(|| parsed(body), Ok)
}

fn text_of(value: &[u8]) -> Option<&str> {
    scan::plain_string(value).and_then(|inside| std::str::from_utf8(inside).ok())
}

fn number(value: &[u8], min: f64, max: f64) -> Option<()> {
    let text = std::str::from_utf8(value).ok().filter(|_| scan::is_number(value))?;
    text.parse().is_ok_and(|n: f64| (min..=max).contains(&n)).then_some(())
}

fn integer<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok().filter(|_| scan::is_number(value))?.parse().ok()
}

/// The plain request: text messages that end with the user's, and only common parameters.
fn scanned(body: &[u8]) -> Option<Chat<'_>> {
    std::str::from_utf8(body).ok()?;
    let (mut model, mut stream, mut include_usage, mut max_tokens, mut seed) = ("", false, false, None, None);
    let (mut bytes, mut messages, mut user_last) = (0, 0, false);
    scan::object(body, |key, value| match key {
        b"model" => text_of(value).map(|name| model = name),
        b"messages" => {
            (bytes, messages) = (0, 0);
            scan::array(value, |message| {
                let (role, len) = plain_message(message)?;
                user_last = role == b"user";
                bytes += len;
                messages += 1;
                Some(())
            })
        }
        b"stream" => match value {
            b"true" | b"false" => {
                stream = value == b"true";
                Some(())
            }
            _ => None,
        },
        b"stream_options" => scan::object(value, |key, value| {
            include_usage = value == b"true";
            (key == b"include_usage" && matches!(value, b"true" | b"false")).then_some(())
        }),
        b"max_tokens" | b"max_completion_tokens" => {
            max_tokens = Some(integer(value).filter(|&n| n >= 1)?);
            Some(())
        }
        b"temperature" => number(value, 0.0, 2.0),
        b"top_p" => number(value, 0.0, 1.0),
        b"presence_penalty" | b"frequency_penalty" => number(value, -2.0, 2.0),
        b"seed" => {
            seed = Some(integer(value)?);
            Some(())
        }
        b"user" => scan::plain_string(value).map(|_| ()),
        b"store" => matches!(value, b"true" | b"false").then_some(()),
        b"n" => (value == b"1").then_some(()),
        _ => None,
    })?;
    if model.is_empty() || !user_last || (include_usage && !stream) {
        return None;
    }
    let prompt_tokens = text::prompt_tokens(bytes, messages);
    let model = Cow::Borrowed(model);
    Some(Chat { model, stream, include_usage, n: 1, max_tokens, seed, prompt_tokens, rare: None })
}

/// Role and content length of a message with a plain role and a string as content.
fn plain_message(message: &[u8]) -> Option<(&[u8], usize)> {
    let (mut role, mut len) = (None, None);
    scan::object(message, |key, value| match key {
        b"role" => {
            role = scan::plain_string(value)
                .filter(|role| matches!(*role, b"user" | b"system" | b"developer" | b"assistant"));
            role.map(|_| ())
        }
        b"content" => {
            len = value.starts_with(b"\"").then(|| value.len() - 2);
            len.map(|_| ())
        }
        b"name" => scan::plain_string(value).map(|_| ()),
        _ => None,
    })?;
    role.zip(len)
}

/// What the messages say.
#[derive(Default)]
struct Conversation {
    bytes: usize,
    images: usize,
    files: usize,
    last_user: String,
    last_role: String,
    last_text: String,
}

/// Any request, with validation.
pub(super) fn parsed(body: &[u8]) -> Result<Chat<'static>, ApiError> {
    let fields = validate::object(body)?;
    let model = validate::model(&fields)?.to_owned();
    let messages = validate::list(&fields, "messages")?.ok_or_else(|| ApiError::missing("messages"))?;
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an \
            empty array instead.";
        return Err(ApiError::param("messages", "empty_array", message));
    }
    let mut talk = Conversation::default();
    for (at, message) in messages.iter().enumerate() {
        read_message(&mut talk, message, at)?;
    }
    for (name, min, max) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("presence_penalty", -2.0, 2.0),
        ("frequency_penalty", -2.0, 2.0),
    ] {
        validate::decimal(&fields, name, min, max)?;
    }
    let stream = validate::boolean(&fields, "stream")?.unwrap_or(false);
    let options = validate::map(&fields, "stream_options")?;
    if options.is_some() && !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(ApiError { param: Some("stream_options".into()), ..ApiError::invalid(message) });
    }
    let include_usage = match options {
        Some(options) => validate::boolean(options, "include_usage")?.unwrap_or(false),
        None => false,
    };
    let n = validate::integer(&fields, "n", 1, 128)?.unwrap_or(1);
    let seed = validate::integer(&fields, "seed", i64::MIN, i64::MAX)?;
    let max = validate::integer(&fields, "max_completion_tokens", 1, i64::MAX)?.or(validate::integer(
        &fields,
        "max_tokens",
        1,
        i64::MAX,
    )?);
    let logprobs = validate::boolean(&fields, "logprobs")?.unwrap_or(false);
    let top = validate::integer(&fields, "top_logprobs", 0, 20)?;
    if top.is_some() && !logprobs {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(ApiError { param: Some("top_logprobs".into()), ..ApiError::invalid(message) });
    }
    if let Some(user) = present(&fields, "user").filter(|user| !user.is_string()) {
        return Err(wrong_type("user", "a string", user));
    }
    let rare = Rare {
        stop: stops(&fields)?,
        logprobs: logprobs.then(|| top.unwrap_or(0) as usize),
        wanted: wanted(&fields, &talk)?,
        last_user: talk.last_user,
    };
    Ok(Chat {
        model: Cow::Owned(model),
        stream,
        include_usage,
        n: n as usize,
        max_tokens: max.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        seed,
        prompt_tokens: text::prompt_tokens(talk.bytes, messages.len()) + 85 * talk.images,
        rare: Some(Box::new(rare)),
    })
}

fn read_message(talk: &mut Conversation, message: &Value, at: usize) -> Result<(), ApiError> {
    let param = |field: &str| format!("messages[{at}]{field}");
    let Some(fields) = message.as_object() else {
        return Err(wrong_type(&param(""), "an object", message));
    };
    let role = match fields.get("role") {
        None => return Err(ApiError::missing(&param(".role"))),
        Some(Value::String(role)) => role.as_str(),
        Some(other) => return Err(wrong_type(&param(".role"), "a string", other)),
    };
    if !matches!(role, "system" | "assistant" | "user" | "function" | "tool" | "developer") {
        let message = format!(
            "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', \
             'tool', and 'developer'."
        );
        return Err(ApiError::param(&param(".role"), "invalid_value", message));
    }
    if role == "tool" && !fields.get("tool_call_id").is_some_and(Value::is_string) {
        let message =
            "Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'.";
        return Err(ApiError::param(&param(".tool_call_id"), "missing_required_parameter", message));
    }
    let mut words = String::new();
    match fields.get("content") {
        Some(Value::String(content)) => words.push_str(content),
        Some(Value::Array(parts)) => {
            for (part_at, part) in parts.iter().enumerate() {
                read_part(talk, &mut words, part, &param(&format!(".content[{part_at}]")))?;
            }
        }
        None | Some(Value::Null) if role == "assistant" => {}
        None => return Err(ApiError::missing(&param(".content"))),
        Some(other) => {
            return Err(wrong_type(&param(".content"), "one of a string or array of objects", other));
        }
    }
    if let Some(calls) = fields.get("tool_calls") {
        talk.bytes += calls.to_string().len();
    }
    talk.bytes += words.len();
    if role == "user" {
        talk.last_user.clone_from(&words);
    }
    talk.last_text = words;
    role.clone_into(&mut talk.last_role);
    Ok(())
}

fn read_part(talk: &mut Conversation, words: &mut String, part: &Value, param: &str) -> Result<(), ApiError> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "text" | "refusal" => match part.get(kind) {
            Some(Value::String(text)) => {
                if !words.is_empty() {
                    words.push(' ');
                }
                words.push_str(text);
                Ok(())
            }
            Some(other) => Err(wrong_type(&format!("{param}.{kind}"), "a string", other)),
            None => Err(ApiError::missing(&format!("{param}.{kind}"))),
        },
        "image_url" => {
            if !part.pointer("/image_url/url").is_some_and(Value::is_string) {
                return Err(ApiError::missing(&format!("{param}.image_url.url")));
            }
            talk.images += 1;
            Ok(())
        }
        "input_audio" | "file" => {
            talk.files += 1;
            Ok(())
        }
        other => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'text', 'image_url', 'input_audio', \
                 'refusal', and 'file'."
            );
            Err(ApiError::param(&format!("{param}.type"), "invalid_value", message))
        }
    }
}

fn stops(fields: &Fields) -> Result<Vec<String>, ApiError> {
    match present(fields, "stop") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(all)) if all.len() <= 4 => all
            .iter()
            .map(|one| one.as_str().map(str::to_owned).ok_or_else(|| wrong_type("stop", "a string", one)))
            .collect(),
        Some(Value::Array(all)) => {
            let message = format!(
                "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array \
                 with length {} instead.",
                all.len()
            );
            Err(ApiError::param("stop", "array_above_max_length", message))
        }
        Some(other) => Err(wrong_type("stop", "a string or an array", other)),
    }
}

/// https://platform.openai.com/docs/guides/function-calling: a function is called where one is demanded, and
/// where the user spoke last and calls are allowed.
fn wanted(fields: &Fields, talk: &Conversation) -> Result<Wanted, ApiError> {
    let tools = tools(fields)?;
    let choice = present(fields, "tool_choice");
    if choice.is_some() && tools.is_empty() {
        let message =
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.";
        return Err(ApiError { param: Some("tool_choice".into()), ..ApiError::invalid(message) });
    }
    let named = choice.and_then(|choice| choice.pointer("/function/name")).and_then(Value::as_str);
    let mode = choice.and_then(Value::as_str).unwrap_or("auto");
    if let Some(name) = named {
        let Some(tool) = tools.into_iter().find(|(tool, _)| tool == name) else {
            let message = format!(
                "Invalid value for 'tool_choice': '{name}' was not found in the list of 'tools' provided."
            );
            return Err(ApiError { param: Some("tool_choice".into()), ..ApiError::invalid(message) });
        };
        return Ok(Wanted::Calls(vec![tool]));
    }
    if !tools.is_empty() && (mode == "required" || (mode != "none" && talk.last_role == "user")) {
        let parallel = validate::boolean(fields, "parallel_tool_calls")?.unwrap_or(true);
        return Ok(Wanted::Calls(plan::chosen(tools, &talk.last_user, parallel)));
    }
    if talk.last_role == "tool" || talk.last_role == "function" {
        return Ok(Wanted::after_tool(&talk.last_text));
    }
    if let Some(format) = validate::map(fields, "response_format")? {
        match format.get("type").and_then(Value::as_str) {
            Some("text") => {}
            Some("json_object") => return Ok(Wanted::JsonObject),
            Some("json_schema") => {
                let Some(schema) = format.get("json_schema").and_then(|schema| schema.get("schema")) else {
                    return Err(ApiError::missing("response_format.json_schema.schema"));
                };
                return Ok(Wanted::Schema(schema.clone()));
            }
            Some(other) => {
                let message = format!(
                    "Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'."
                );
                return Err(ApiError::param("response_format.type", "invalid_value", message));
            }
            None => return Err(ApiError::missing("response_format.type")),
        }
    }
    Ok(Wanted::seeing(talk.images, talk.files))
}

/// The functions offered: name and parameter schema.
fn tools(fields: &Fields) -> Result<Vec<(String, Value)>, ApiError> {
    let mut all = Vec::new();
    for (at, tool) in validate::list(fields, "tools")?.into_iter().flatten().enumerate() {
        let function = match tool.get("type").and_then(Value::as_str) {
            Some("function") => tool.get("function"),
            Some(_) => continue,
            None => return Err(ApiError::missing(&format!("tools[{at}].type"))),
        };
        let Some(function) = function else {
            return Err(ApiError::missing(&format!("tools[{at}].function")));
        };
        let Some(name) = function.get("name").and_then(Value::as_str) else {
            return Err(ApiError::missing(&format!("tools[{at}].function.name")));
        };
        let empty = || serde_json::json!({"type": "object", "properties": {}});
        all.push((name.to_owned(), function.get("parameters").cloned().unwrap_or_else(empty)));
    }
    Ok(all)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
