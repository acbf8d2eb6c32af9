//! What a client asks, read from the body that it sent.
//!
//! Source: OpenAI API reference, "Create chat completion"; OpenRouter, "Reasoning tokens" (`reasoning`).

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::value::RawValue;

use super::read_messages::{MessageWire, read_messages};
use super::wire::{self, List, Str, TextOr, object};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{Effort, Losses, Refused, Request, ResponseFormat, Tool, ToolChoice};

object! { Body<'a> {
    model = "model": Str<'a>,
    messages = "messages": List<MessageWire<'a>>,
    tools = "tools": List<ToolWire<'a>>,
    functions = "functions": List<FunctionWire<'a>>,
    tool_choice = "tool_choice": TextOr<'a, ChoiceWire<'a>>,
    function_call = "function_call": TextOr<'a, NameWire<'a>>,
    parallel_tool_calls = "parallel_tool_calls": bool,
    response_format = "response_format": FormatWire<'a>,
    stop = "stop": TextOr<'a, List<Str<'a>>>,
    max_completion_tokens = "max_completion_tokens": u64,
    max_tokens = "max_tokens": u64,
    temperature = "temperature": f64,
    top_p = "top_p": f64,
    top_k = "top_k": i64,
    frequency_penalty = "frequency_penalty": f64,
    presence_penalty = "presence_penalty": f64,
    seed = "seed": i64,
    n = "n": u64,
    logprobs = "logprobs": bool,
    top_logprobs = "top_logprobs": u64,
    reasoning_effort = "reasoning_effort": Str<'a>,
    reasoning = "reasoning": ReasoningWire<'a>,
    stream = "stream": bool,
    stream_options = "stream_options": StreamOptionsWire<'a>,
    safety_identifier = "safety_identifier": Str<'a>,
    user = "user": Str<'a>,
} }

object! { ToolWire<'a> { kind = "type": Str<'a>, function = "function": FunctionWire<'a>, } }

object! { FunctionWire<'a> {
    name = "name": Str<'a>,
    description = "description": Str<'a>,
    parameters = "parameters": &'a RawValue,
    strict = "strict": bool,
} }

object! { ChoiceWire<'a> { kind = "type": Str<'a>, function = "function": NameWire<'a>, } }

object! { NameWire<'a> { name = "name": Str<'a>, } }

object! { FormatWire<'a> { kind = "type": Str<'a>, json_schema = "json_schema": SchemaWire<'a>, } }

object! { SchemaWire<'a> {
    name = "name": Str<'a>,
    description = "description": Str<'a>,
    schema = "schema": &'a RawValue,
    strict = "strict": bool,
} }

object! { ReasoningWire<'a> {
    effort = "effort": Str<'a>,
    max_tokens = "max_tokens": u64,
    enabled = "enabled": bool,
} }

object! { StreamOptionsWire<'a> { include_usage = "include_usage": bool, } }

/// Members that say, with this value, what is so anyway.
const NO_OPS: [(&str, &[&str]); 7] = [
    ("store", &["false"]),
    ("service_tier", &["\"auto\"", "\"default\""]),
    ("modalities", &["[\"text\"]"]),
    ("verbosity", &["\"medium\""]),
    ("logit_bias", &["{}"]),
    ("metadata", &["{}"]),
    // It pads events against eavesdropping; what they say stays the same.
    ("stream_options.include_obfuscation", &["false", "true"]),
];

/// Reads the body of a chat completion request.
///
/// Null is as good as absent. What has no place in [`Request`] is kept in `other`: members of the body by their name,
/// those of objects inside it by their path (`messages[0].name`).
///
/// # Errors
/// Where it is not what the API takes, or asks for what no other dialect has.
pub fn read_request(body: &[u8]) -> Result<Request<'_>, Refused> {
    let Ok(body) = simdutf8::basic::from_utf8(body) else {
        return Losses::refuse("", "The body is not UTF-8. Send JSON in UTF-8.");
    };
    let wire: Body<'_> = serde_json::from_str(body).map_err(|error| wire::refused(&error))?;
    let mut other = wire.other;
    let Some(Str(model)) = wire.model else { return missing("model") };
    let Some(List(messages)) = wire.messages else { return missing("messages") };
    if messages.is_empty() {
        return Losses::refuse("messages", "'messages' is empty. Send at least one message.");
    }
    let messages = read_messages(messages, &mut other)?;
    let tools = read_tools(wire.tools, wire.functions, &mut other)?;
    let tool_choice = match (wire.tool_choice, wire.function_call) {
        (Some(choice), _) => Some(read_choice(choice)?),
        (None, Some(TextOr::Text(mode))) => Some(read_mode("function_call", &mode)?),
        (None, Some(TextOr::Other(NameWire { name: Some(Str(name)), .. }))) => {
            Some(ToolChoice::Function(name))
        }
        (None, Some(TextOr::Other(_))) => return missing("function_call.name"),
        (None, None) => None,
    };
    let response_format = wire.response_format.map(|format| read_format(format, &mut other)).transpose()?;
    let stop = match wire.stop {
        None => Vec::new(),
        Some(TextOr::Text(text)) => vec![text],
        Some(TextOr::Other(List(texts))) => texts.into_iter().map(|Str(text)| text).collect(),
    };
    let (reasoning_effort, reasoning_tokens) =
        read_reasoning(wire.reasoning_effort, wire.reasoning, &mut other)?;
    let options = wire.stream_options.unwrap_or_default();
    keep("stream_options", options.other, &mut other);
    other.retain(|(name, value)| {
        !NO_OPS.iter().any(|(known, values)| name == known && values.contains(&value.get()))
    });
    Ok(Request {
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: wire.parallel_tool_calls,
        response_format,
        stop,
        max_tokens: wire.max_completion_tokens.or(wire.max_tokens),
        temperature: wire.temperature,
        top_p: wire.top_p,
        // vLLM and others take -1 for "of all tokens".
        top_k: wire.top_k.and_then(|most| u64::try_from(most).ok()),
        frequency_penalty: wire.frequency_penalty,
        presence_penalty: wire.presence_penalty,
        seed: wire.seed,
        n: wire.n,
        logprobs: wire.logprobs,
        top_logprobs: wire.top_logprobs,
        reasoning_effort,
        reasoning_tokens,
        stream: wire.stream.unwrap_or(false),
        include_usage: options.include_usage.unwrap_or(false),
        user: wire.safety_identifier.or(wire.user).map(|Str(user)| user),
        other,
    })
}

/// Keeps members that have no place, by their path.
pub(super) fn keep<'a>(
    path: impl Display,
    members: impl IntoIterator<Item = (Text<'a>, &'a RawValue)>,
    other: &mut Vec<(Text<'a>, &'a RawValue)>,
) {
    for (name, value) in members {
        other.push((format!("{path}.{name}").into(), value));
    }
}

/// Refuses what lacks a member.
pub(super) fn missing<T>(path: impl Into<String>) -> Result<T, Refused> {
    let path = path.into();
    let message = format!("'{path}' is missing. Add it.");
    Losses::refuse(path, message)
}

/// Refuses a `type`, `role` or mode that is not one of `known`.
pub(super) fn unknown<T>(path: impl Into<String>, value: &str, known: &str) -> Result<T, Refused> {
    let path = path.into();
    let short = value.char_indices().nth(64).and_then(|(at, _)| value.get(..at)).unwrap_or(value);
    let message =
        format!("'{path}' is '{short}', which can not be sent to the provider of this model. Use {known}.");
    Losses::refuse(path, message)
}

fn read_tools<'a>(
    tools: Option<List<ToolWire<'a>>>,
    functions: Option<List<FunctionWire<'a>>>,
    other: &mut Vec<(Text<'a>, &'a RawValue)>,
) -> Result<Vec<Tool<'a>>, Refused> {
    let mut read = Vec::new();
    for (index, tool) in tools.map_or_else(Vec::new, |List(tools)| tools).into_iter().enumerate() {
        match tool.kind {
            // Several clients leave it out, and OpenAI's first version had only this one.
            None => {}
            Some(Str(kind)) if kind == "function" => {}
            Some(Str(kind)) => return unknown(format!("tools[{index}].type"), &kind, "'function'"),
        }
        let Some(function) = tool.function else { return missing(format!("tools[{index}].function")) };
        keep(format_args!("tools[{index}]"), tool.other, other);
        read.push(read_function(format_args!("tools[{index}].function"), function, other)?);
    }
    for (index, function) in functions.map_or_else(Vec::new, |List(list)| list).into_iter().enumerate() {
        read.push(read_function(format_args!("functions[{index}]"), function, other)?);
    }
    Ok(read)
}

fn read_function<'a>(
    path: std::fmt::Arguments<'_>,
    function: FunctionWire<'a>,
    other: &mut Vec<(Text<'a>, &'a RawValue)>,
) -> Result<Tool<'a>, Refused> {
    let Some(Str(name)) = function.name else { return missing(format!("{path}.name")) };
    keep(path, function.other, other);
    Ok(Tool {
        name,
        description: function.description.map(|Str(text)| text),
        parameters: function.parameters.map(Cow::Borrowed),
        strict: function.strict,
    })
}

fn read_choice<'a>(choice: TextOr<'a, ChoiceWire<'a>>) -> Result<ToolChoice<'a>, Refused> {
    let choice = match choice {
        TextOr::Text(mode) => return read_mode("tool_choice", &mode),
        TextOr::Other(choice) => choice,
    };
    match choice.kind {
        Some(Str(kind)) if kind == "allowed_tools" => {
            return Losses::refuse(
                "tool_choice.allowed_tools",
                "'tool_choice.allowed_tools' can not be sent to the provider of this model. Send in 'tools' only \
                 those that are allowed, and 'auto' or 'required' as 'tool_choice'.",
            );
        }
        Some(Str(kind)) if kind != "function" => {
            return unknown(
                "tool_choice.type",
                &kind,
                "'function', or 'auto', 'none' or 'required' instead of an object",
            );
        }
        _ => {}
    }
    match choice.function.and_then(|function| function.name) {
        Some(Str(name)) => Ok(ToolChoice::Function(name)),
        None => missing("tool_choice.function.name"),
    }
}

fn read_mode(path: &'static str, mode: &str) -> Result<ToolChoice<'static>, Refused> {
    match mode {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        // What Mistral calls it.
        "any" => Ok(ToolChoice::Required),
        _ => unknown(path, mode, "'auto', 'none', 'required' or an object that names a function"),
    }
}

fn read_format<'a>(
    format: FormatWire<'a>,
    other: &mut Vec<(Text<'a>, &'a RawValue)>,
) -> Result<ResponseFormat<'a>, Refused> {
    keep("response_format", format.other, other);
    let Some(Str(kind)) = format.kind else { return missing("response_format.type") };
    match &*kind {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => {
            let Some(schema) = format.json_schema else { return missing("response_format.json_schema") };
            let Some(Str(name)) = schema.name else { return missing("response_format.json_schema.name") };
            keep("response_format.json_schema", schema.other, other);
            Ok(ResponseFormat::JsonSchema {
                name,
                description: schema.description.map(|Str(text)| text),
                schema: schema.schema.map(Cow::Borrowed),
                strict: schema.strict,
            })
        }
        _ => unknown("response_format.type", &kind, "'text', 'json_object' or 'json_schema'"),
    }
}

/// OpenAI's `reasoning_effort` and OpenRouter's `reasoning`; where both say something the first is meant.
fn read_reasoning<'a>(
    effort: Option<Str<'a>>,
    reasoning: Option<ReasoningWire<'a>>,
    other: &mut Vec<(Text<'a>, &'a RawValue)>,
) -> Result<(Option<Effort>, Option<u64>), Refused> {
    let mut read = effort.map(|Str(name)| read_effort("reasoning_effort", &name)).transpose()?;
    let Some(mut reasoning) = reasoning else { return Ok((read, None)) };
    if let (None, Some(Str(name))) = (read, &reasoning.effort) {
        read = Some(read_effort("reasoning.effort", name)?);
    }
    if read.is_none() && reasoning.max_tokens.is_none() {
        // OpenRouter: true means medium.
        read = reasoning.enabled.map(|enabled| if enabled { Effort::Medium } else { Effort::None });
    }
    reasoning.other.retain(|(name, value)| !(name == "exclude" && value.get() == "false"));
    keep("reasoning", reasoning.other, other);
    Ok((read, reasoning.max_tokens))
}

fn read_effort(path: &'static str, name: &str) -> Result<Effort, Refused> {
    match Effort::named(name) {
        Some(effort) => Ok(effort),
        None => unknown(path, name, "'none', 'minimal', 'low', 'medium', 'high', 'xhigh' or 'max'"),
    }
}
