//! Reading a conversation (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html).

use serde_json::Value;

use super::{
    errors::ApiError,
    fields::{self, Fields, list, malformed, object, only, present},
};
use crate::simulate::{
    plan::{self, Rare, Wanted},
    text,
};

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) max_tokens: Option<usize>,
    pub(super) thinking: bool,
    pub(super) prompt_tokens: usize,
    pub(super) rare: Rare,
}

const KNOWN: &[&str] = &[
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "inferenceConfig",
    "messages",
    "outputConfig",
    "performanceConfig",
    "projectIdentifier",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
    "system",
    "toolConfig",
];
const IMAGES: &[&str] = &["png", "jpeg", "gif", "webp"];
const DOCUMENTS: &[&str] = &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];

/// What the messages say.
#[derive(Default)]
struct Talk {
    bytes: usize,
    images: usize,
    files: usize,
    last_user: String,
    last_role: String,
    /// What the last message's results said.
    results: Option<String>,
    /// Calls of the message before, which this one must answer.
    open: Vec<String>,
    has_tools: bool,
    names: Vec<String>,
}

/// Reads `body`.
pub(super) fn read(body: &[u8]) -> Result<Chat, ApiError> {
    let fields = fields::body(body)?;
    only(&fields, "", KNOWN)?;
    let messages = list(&fields, "", "messages")?;
    if messages.is_empty() {
        return Err(malformed("", "required key [messages] not found"));
    }
    let mut talk = Talk { has_tools: fields.contains_key("toolConfig"), ..Talk::default() };
    for (at, message) in messages.iter().enumerate() {
        read_message(&mut talk, message, at)?;
    }
    for (at, block) in list(&fields, "", "system")?.iter().enumerate() {
        let path = format!("system.{at}");
        let (kind, value) = fields::union(block, &path, &["text", "guardContent", "cachePoint"])?;
        if kind == "text" {
            talk.bytes += visible(value, &path)?.len();
        }
    }
    let none = Fields::new();
    let part = |name: &str| present(&fields, name).map_or(Ok(&none), |value| object(value, name));
    let config = part("inferenceConfig")?;
    only(config, "inferenceConfig", &["maxTokens", "temperature", "topP", "stopSequences"])?;
    let number = |name, range| fields::number(config, "inferenceConfig", name, range);
    let max_tokens = number("maxTokens", (1.0, 1e9))?.map(|n| n as usize);
    number("temperature", (0.0, 1.0))?;
    number("topP", (0.0, 1.0))?;
    let stop: Vec<String> = list(config, "inferenceConfig", "stopSequences")?
        .iter()
        .filter_map(|stop| stop.as_str().map(str::to_owned))
        .collect();
    let thinking = thinking(part("additionalModelRequestFields")?, max_tokens)?;
    let tools = part("toolConfig")?;
    let wanted = wanted(tools, part("outputConfig")?, &talk, thinking)?;
    let tool_bytes = if tools.is_empty() { 0 } else { Value::Object(tools.clone()).to_string().len() };
    let prompt_tokens = text::prompt_tokens(talk.bytes + tool_bytes, messages.len()) + 85 * talk.images;
    Ok(Chat {
        max_tokens,
        thinking,
        prompt_tokens,
        rare: Rare { wanted, stop, logprobs: None, last_user: talk.last_user },
    })
}

fn read_message(talk: &mut Talk, message: &Value, at: usize) -> Result<(), ApiError> {
    let path = format!("messages.{at}");
    let fields = object(message, &path)?;
    only(fields, &path, &["role", "content"])?;
    let role = fields::text(fields, &path, "role")?;
    if !["user", "assistant"].contains(&role) {
        return Err(malformed(&format!("{path}.role"), "not one of user, assistant"));
    }
    if at == 0 && role != "user" {
        return Err(ApiError::invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a user \
             message.",
        ));
    }
    if role == talk.last_role {
        return Err(ApiError::invalid(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates \
             between user and assistant roles and try again.",
        ));
    }
    role.clone_into(&mut talk.last_role);
    let blocks = list(fields, &path, "content")?;
    if blocks.is_empty() {
        return Err(ApiError::invalid(format!(
            "The content field in the Message object at {path} is empty. Add a ContentBlock object to the content \
             field and try again."
        )));
    }
    let mut words = String::new();
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    talk.results = None;
    for (number, block) in blocks.iter().enumerate() {
        let path = format!("{path}.content.{number}");
        let kinds =
            ["text", "image", "document", "audio", "toolUse", "toolResult", "reasoningContent", "cachePoint"];
        let (kind, value) = fields::union(block, &path, &kinds)?;
        match kind {
            "text" => words.push_str(visible(value, &path)?),
            "image" | "document" | "audio" => media(talk, kind, value, &path)?,
            "toolUse" => {
                let call = object(value, &path)?;
                only(call, &path, &["toolUseId", "name", "input"])?;
                fields::text(call, &path, "name")?;
                if !call.get("input").is_some_and(Value::is_object) {
                    return Err(ApiError::invalid(format!(
                        "The format of the value at {path}.toolUse.input is invalid. Provide a json object for the \
                         field and try again."
                    )));
                }
                calls.push(tool_use_id(call, &path)?);
                talk.bytes += value.to_string().len();
            }
            "toolResult" => {
                let result = object(value, &path)?;
                only(result, &path, &["toolUseId", "content", "status"])?;
                results.push(tool_use_id(result, &path)?);
                let said = result_text(talk, result, &path)?;
                talk.bytes += said.len();
                talk.results = Some(said);
            }
            "reasoningContent" => {
                let (kind, value) = fields::union(value, &path, &["reasoningText", "redactedContent"])?;
                if kind == "reasoningText" {
                    let thought = object(value, &path)?;
                    fields::text(thought, &path, "signature")?;
                }
            }
            _ => {}
        }
    }
    let uses_tools = !calls.is_empty() || !results.is_empty();
    if uses_tools && !talk.has_tools {
        return Err(ApiError::invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    let unanswered: Vec<&String> = talk.open.iter().filter(|id| !results.contains(id)).collect();
    if !unanswered.is_empty() {
        return Err(ApiError::invalid(format!(
            "Expected toolResult blocks at {path}.content for the following Ids: {unanswered:?}"
        )));
    }
    if results.len() > talk.open.len() {
        return Err(ApiError::invalid(format!(
            "The number of toolResult blocks at {path}.content exceeds the number of toolUse blocks of previous turn."
        )));
    }
    talk.open = calls;
    talk.bytes += words.len();
    if role == "user" {
        talk.last_user = words;
    }
    Ok(())
}

/// A text that says something.
fn visible<'a>(value: &'a Value, path: &str) -> Result<&'a str, ApiError> {
    let text = value.as_str().ok_or_else(|| malformed(path, "expected type: String"))?;
    if text.trim().is_empty() {
        return Err(ApiError::invalid(format!(
            "The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try again."
        )));
    }
    Ok(text)
}

fn tool_use_id(fields: &Fields, path: &str) -> Result<String, ApiError> {
    let id = fields::text(fields, path, "toolUseId")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    if id.len() > 64 || !id.chars().all(fits) {
        return Err(ApiError::invalid(format!(
            "Value '{id}' at '{path}.toolUseId' failed to satisfy constraint: Member must satisfy regular expression \
             pattern: [a-zA-Z0-9_.:-]+ and have length less than or equal to 64"
        )));
    }
    Ok(id.to_owned())
}

/// An image, a document, or sound: counted.
fn media(talk: &mut Talk, kind: &str, value: &Value, path: &str) -> Result<(), ApiError> {
    let fields = object(value, path)?;
    let format = fields::text(fields, path, "format")?;
    let formats = match kind {
        "image" => IMAGES,
        "document" => DOCUMENTS,
        _ => &["mp3", "wav", "opus", "aac", "flac", "ogg"],
    };
    if !formats.contains(&format) {
        return Err(malformed(
            &format!("{path}.{kind}.format"),
            &format!("{format} is not a valid enum value"),
        ));
    }
    let source =
        present(fields, "source").ok_or_else(|| malformed(path, "required key [source] not found"))?;
    let (place, data) = fields::union(source, path, &["bytes", "s3Location"])?;
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let good = |data: &str| !data.is_empty() && data.len().is_multiple_of(4) && data.chars().all(is_base64);
    if place == "bytes" && !data.as_str().is_some_and(good) {
        return Err(malformed(path, "expected base64"));
    }
    if kind == "document" {
        let name = fields::text(fields, path, "name")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
        if !name.chars().all(fits) || name.contains("  ") {
            return Err(ApiError::invalid(
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, \
                 parentheses, and square brackets. The name can't contain more than one consecutive whitespace \
                 character.",
            ));
        }
        if talk.names.iter().any(|known| known == name) {
            return Err(ApiError::invalid("Request contains duplicate document file names."));
        }
        talk.names.push(name.to_owned());
    }
    match kind {
        "image" => talk.images += 1,
        _ => talk.files += 1,
    }
    Ok(())
}

fn result_text(talk: &mut Talk, result: &Fields, path: &str) -> Result<String, ApiError> {
    let mut said = String::new();
    for block in list(result, path, "content")? {
        match fields::union(block, path, &["text", "json", "image", "document"])? {
            ("text", text) => said.push_str(text.as_str().unwrap_or_default()),
            ("json", json) => said.push_str(&json.to_string()),
            (kind, value) => media(talk, kind, value, path)?,
        }
    }
    Ok(said)
}

/// Whether thinking is asked for, as Claude's models have it.
fn thinking(fields: &Fields, max_tokens: Option<usize>) -> Result<bool, ApiError> {
    let Some(thinking) = present(fields, "thinking") else { return Ok(false) };
    let thinking = object(thinking, "thinking")?;
    let kind = fields::text(thinking, "thinking", "type")?;
    if kind == "enabled" {
        let most = max_tokens.map_or(1e9, |max| max.saturating_sub(1) as f64);
        let budget = fields::number(thinking, "thinking", "budget_tokens", (1024.0, most))?;
        budget.ok_or_else(|| malformed("thinking", "required key [budget_tokens] not found"))?;
    }
    Ok(kind != "disabled")
}

fn wanted(config: &Fields, output: &Fields, talk: &Talk, thinking: bool) -> Result<Wanted, ApiError> {
    only(config, "toolConfig", &["tools", "toolChoice"])?;
    let mut tools = Vec::new();
    for (at, tool) in list(config, "toolConfig", "tools")?.iter().enumerate() {
        let path = format!("toolConfig.tools.{at}");
        let (kind, spec) = fields::union(tool, &path, &["toolSpec", "cachePoint"])?;
        if kind != "toolSpec" {
            continue;
        }
        let spec = object(spec, &path)?;
        only(spec, &path, &["name", "description", "inputSchema", "strict"])?;
        let name = fields::text(spec, &path, "name")?;
        if spec.contains_key("description") {
            fields::text(spec, &path, "description")?;
        }
        let schema = spec.get("inputSchema").and_then(|schema| schema.get("json"));
        let schema = schema.filter(|schema| schema.get("type").is_some_and(|kind| kind == "object"));
        let Some(schema) = schema else {
            return Err(ApiError::invalid(format!(
                "The value at {path}.toolSpec.inputSchema.json.type must be one of the following: object."
            )));
        };
        tools.push((name.to_owned(), schema.clone()));
    }
    if !config.is_empty() && tools.is_empty() {
        return Err(malformed("toolConfig", "required key [tools] not found"));
    }
    let choice = match present(config, "toolChoice") {
        None => "auto",
        Some(choice) => {
            let (kind, value) = fields::union(choice, "toolConfig.toolChoice", &["auto", "any", "tool"])?;
            if kind == "tool" {
                let name = fields::text(object(value, "toolConfig.toolChoice.tool")?, "toolChoice", "name")?;
                tools.retain(|(known, _)| known == name);
                if tools.is_empty() {
                    return Err(malformed("toolConfig.toolChoice.tool", "no such tool"));
                }
            }
            kind
        }
    };
    if thinking && choice != "auto" {
        return Err(ApiError::invalid(
            "The model returned the following errors: Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    if !tools.is_empty() && (choice != "auto" || talk.results.is_none()) {
        return Ok(Wanted::Calls(plan::chosen(tools, &talk.last_user, true)));
    }
    if let Some(said) = &talk.results {
        return Ok(Wanted::after_tool(said));
    }
    only(output, "outputConfig", &["textFormat", "effort"])?;
    let Some(format) = present(output, "textFormat") else {
        return Ok(Wanted::seeing(talk.images, talk.files));
    };
    let schema = format.pointer("/structure/jsonSchema/schema").and_then(Value::as_str);
    let schema = schema.and_then(|schema| serde_json::from_str::<Value>(schema).ok());
    match schema.filter(|_| format.get("type").is_some_and(|kind| kind == "json_schema")) {
        Some(schema) => Ok(Wanted::Schema(schema)),
        None => Err(malformed("outputConfig.textFormat", "expected a JSON schema as a text")),
    }
}
