//! Reading a chat request (https://docs.cohere.com/reference/chat).

use serde_json::{Value, json};

use super::{
    ApiError,
    fields::{self, Fields, present, wrong},
};
use crate::simulate::{
    plan::{self, Rare, Wanted},
    text,
};

/// What a chat request asks for.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) max_tokens: Option<usize>,
    pub(super) seed: Option<i64>,
    pub(super) thinking: bool,
    pub(super) prompt_tokens: usize,
    pub(super) rare: Rare,
}

const KNOWN: &[&str] = &[
    "citation_options",
    "documents",
    "frequency_penalty",
    "k",
    "logprobs",
    "max_tokens",
    "messages",
    "model",
    "p",
    "presence_penalty",
    "priority",
    "response_format",
    "safety_mode",
    "seed",
    "stop_sequences",
    "stream",
    "strict_tools",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
];
/// Most stop sequences.
const MAX_STOPS: usize = 5;

/// What the messages say.
#[derive(Default)]
struct Talk {
    bytes: usize,
    images: usize,
    last_user: String,
    last_role: String,
    last_text: String,
    /// Calls that no message has answered yet.
    open: Vec<String>,
}

/// Reads `body`.
pub(super) fn read(body: &[u8]) -> Result<Chat, ApiError> {
    let fields = fields::body(body, KNOWN)?;
    let model = fields::required(&fields, "model")?.to_owned();
    let messages = fields::list(&fields, "messages")?;
    if messages.is_empty() {
        return Err(ApiError::invalid("invalid request: messages must contain at least one message"));
    }
    let mut talk = Talk::default();
    for (at, message) in messages.iter().enumerate() {
        read_message(&mut talk, message, at)?;
    }
    if let Some(id) = talk.open.first() {
        return Err(ApiError::invalid(format!(
            "invalid request: tool call id {id} has no tool message with its result"
        )));
    }
    for (name, low, high) in [
        ("temperature", 0.0, 1.0),
        ("p", 0.01, 0.99),
        ("frequency_penalty", 0.0, 1.0),
        ("presence_penalty", 0.0, 1.0),
    ] {
        fields::number(&fields, name, low, high)?;
    }
    fields::integer(&fields, "k", 0, 500)?;
    let max = fields::integer(&fields, "max_tokens", 1, i64::MAX)?;
    let stop = fields::list(&fields, "stop_sequences")?;
    if stop.len() > MAX_STOPS {
        return Err(ApiError::invalid("invalid request: stop_sequences must have at most 5 elements"));
    }
    let thinking = present(&fields, "thinking").and_then(|config| config.get("type")?.as_str());
    if !matches!(thinking, None | Some("enabled" | "disabled")) {
        return Err(ApiError::invalid("invalid request: thinking.type must be one of enabled, disabled"));
    }
    let tools = tools(&fields)?;
    let tool_bytes = present(&fields, "tools").map_or(0, |tools| tools.to_string().len());
    let prompt_tokens = text::prompt_tokens(talk.bytes + tool_bytes, messages.len()) + 85 * talk.images;
    Ok(Chat {
        model,
        stream: fields::boolean(&fields, "stream")?.unwrap_or(false),
        max_tokens: max.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        seed: fields::integer(&fields, "seed", i64::MIN, i64::MAX)?,
        thinking: thinking == Some("enabled"),
        prompt_tokens,
        rare: Rare {
            wanted: wanted(&fields, &talk, tools)?,
            stop: stop.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            logprobs: None,
            last_user: talk.last_user,
        },
    })
}

fn read_message(talk: &mut Talk, message: &Value, at: usize) -> Result<(), ApiError> {
    let Some(fields) = message.as_object() else {
        return Err(wrong(&format!("messages[{at}]"), "an object"));
    };
    let role = fields.get("role").and_then(Value::as_str).unwrap_or_default();
    let known: &[&str] = match role {
        "user" | "system" => &["role", "content"],
        "assistant" => &["role", "content", "tool_calls", "tool_plan", "citations"],
        "tool" => &["role", "content", "tool_call_id"],
        other => {
            return Err(ApiError::invalid(format!(
                "invalid request: invalid role '{other}' in messages[{at}]; must be one of user, assistant, system, tool"
            )));
        }
    };
    if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(ApiError::field(format!(
            "unknown field: parameter 'messages[{at}].{name}' is not a valid field"
        )));
    }
    let mut words = String::new();
    match present(fields, "content") {
        Some(Value::String(content)) => words.push_str(content),
        Some(Value::Array(parts)) => {
            for part in parts {
                read_part(talk, &mut words, part, at)?;
            }
        }
        None if role == "assistant" => {}
        _ => return Err(wrong(&format!("messages[{at}].content"), "a string or a list")),
    }
    if words.is_empty() && role != "assistant" && talk.images == 0 {
        return Err(ApiError::invalid(format!(
            "invalid request: messages[{at}] must be at least 1 token long"
        )));
    }
    if role == "tool" {
        let id = fields::required(fields, "tool_call_id")?;
        if !talk.open.iter().any(|open| open == id) {
            return Err(ApiError::invalid(format!(
                "invalid request: tool call id {id} of messages[{at}] was not called"
            )));
        }
        talk.open.retain(|open| open != id);
    }
    let calls = fields::list(fields, "tool_calls")?;
    for call in calls {
        let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
        let is_object = |text: &str| serde_json::from_str::<Fields>(text).is_ok();
        if !arguments.is_some_and(is_object) {
            return Err(ApiError::invalid(format!(
                "invalid request: arguments of tool calls in messages[{at}] must be a JSON object"
            )));
        }
        talk.open.extend(call.get("id").and_then(Value::as_str).map(str::to_owned));
        talk.bytes += call.to_string().len();
    }
    talk.bytes += words.len();
    if role == "user" {
        talk.last_user.clone_from(&words);
    }
    talk.last_text = words;
    role.clone_into(&mut talk.last_role);
    Ok(())
}

fn read_part(talk: &mut Talk, words: &mut String, part: &Value, at: usize) -> Result<(), ApiError> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    let document = || {
        let data = part.pointer("/document/data")?;
        Some(data.as_str().map_or_else(|| data.to_string(), str::to_owned))
    };
    let said = match kind {
        "text" | "thinking" => part.get(kind).and_then(Value::as_str).map(str::to_owned),
        "document" => document(),
        "image_url" => part.pointer("/image_url/url").and_then(Value::as_str).map(|_| {
            talk.images += 1;
            String::new()
        }),
        other => {
            return Err(ApiError::invalid(format!(
                "invalid request: invalid content type '{other}' in messages[{at}]"
            )));
        }
    };
    let Some(said) = said else { return Err(wrong(&format!("messages[{at}].content"), "of its type")) };
    if !words.is_empty() && !said.is_empty() {
        words.push(' ');
    }
    words.push_str(&said);
    Ok(())
}

/// The functions offered: name and parameter schema.
fn tools(fields: &Fields) -> Result<Vec<(String, Value)>, ApiError> {
    let read = |(at, tool): (usize, &Value)| {
        let name = tool.pointer("/function/name").and_then(Value::as_str);
        let Some(name) = name.filter(|_| tool.get("type").and_then(Value::as_str) == Some("function")) else {
            return Err(ApiError::invalid(format!(
                "invalid request: tools[{at}] must be a function with a name"
            )));
        };
        let schema = tool.pointer("/function/parameters").cloned();
        Ok((name.to_owned(), schema.unwrap_or_else(|| json!({"type": "object"}))))
    };
    fields::list(fields, "tools")?.iter().enumerate().map(read).collect()
}

fn wanted(fields: &Fields, talk: &Talk, tools: Vec<(String, Value)>) -> Result<Wanted, ApiError> {
    let choice = present(fields, "tool_choice").map(|choice| choice.as_str().unwrap_or_default());
    if !matches!(choice, None | Some("REQUIRED" | "NONE")) {
        return Err(ApiError::invalid("invalid request: tool_choice must be one of REQUIRED, NONE"));
    }
    if choice.is_some() && tools.is_empty() {
        return Err(ApiError::invalid("invalid request: tool_choice is only allowed with tools"));
    }
    let format = present(fields, "response_format");
    if format.is_some() && !tools.is_empty() {
        return Err(ApiError::invalid("invalid request: response_format is not supported with tools"));
    }
    if !tools.is_empty() && (choice == Some("REQUIRED") || (choice.is_none() && talk.last_role == "user")) {
        return Ok(Wanted::Calls(plan::chosen(tools, &talk.last_user, true)));
    }
    if talk.last_role == "tool" {
        return Ok(Wanted::after_tool(&talk.last_text));
    }
    match format.map(|format| (format.get("type").and_then(Value::as_str), format.get("json_schema"))) {
        None | Some((Some("text"), None)) => Ok(Wanted::seeing(talk.images, 0)),
        Some((Some("json_object"), None | Some(Value::Null))) => Ok(Wanted::JsonObject),
        Some((Some("json_object"), Some(schema))) => Ok(Wanted::Schema(schema.clone())),
        Some(_) => {
            Err(ApiError::invalid("invalid request: response_format.type must be one of text, json_object"))
        }
    }
}
