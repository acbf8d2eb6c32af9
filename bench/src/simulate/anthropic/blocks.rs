//! Reading messages and their content blocks.

use serde_json::Value;

use super::{
    ApiError,
    validate::{self, Fields, join, present},
};

/// What the messages say.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub(super) bytes: usize,
    pub(super) messages: usize,
    pub(super) images: usize,
    pub(super) files: usize,
    /// The text of the last message of the user that has some.
    pub(super) last_user: String,
    /// Whether the user spoke last.
    pub(super) user_last: bool,
    /// What the last message says of a tool's result, where it is one.
    pub(super) last_result: Option<String>,
    /// Tool calls of the message before, which this one must answer.
    open: Vec<String>,
    /// Results in this message.
    answered: Vec<String>,
    /// Calls in this message.
    called: Vec<String>,
}

/// The types of blocks, of which those that are not read below are taken as they are.
const TYPES: &[&str] = &[
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "container_upload",
    "document",
    "image",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "text",
    "text_editor_code_execution_tool_result",
    "thinking",
    "tool_result",
    "tool_search_tool_result",
    "tool_use",
    "web_fetch_tool_result",
    "web_search_tool_result",
];

/// Reads the messages.
pub(super) fn read(messages: &[Value]) -> Result<Talk, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::at("messages", "at least one message is required"));
    }
    let mut talk = Talk { messages: messages.len(), ..Talk::default() };
    for (at, message) in messages.iter().enumerate() {
        let path = format!("messages.{at}");
        let fields = validate::object(message, &path)?;
        let role = validate::required(fields, &path, "role")?;
        if role.as_str() == Some("system") {
            return Err(ApiError::at(
                "messages",
                "Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \
                 \"system\" as an input message role.",
            ));
        }
        let role = validate::one_of(role, &join(&path, "role"), &["user", "assistant"])?;
        validate::only(fields, &path, &["role", "content"])?;
        let content = validate::required(fields, &path, "content")?;
        read_message(&mut talk, role, content, &path, at + 1 == messages.len())?;
        talk.check_pairs(at)?;
        if at == 0 && role != "user" {
            return Err(ApiError::at("messages", "first message must use the \"user\" role"));
        }
        talk.user_last = role == "user";
    }
    if !talk.open.is_empty() {
        return Err(unanswered(messages.len() - 1, &talk.open));
    }
    Ok(talk)
}

fn unanswered(at: usize, ids: &[String]) -> ApiError {
    let message = format!(
        "`tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must \
         have a corresponding `tool_result` block in the next message.",
        ids.join(", ")
    );
    ApiError::at(&format!("messages.{at}"), &message)
}

impl Talk {
    /// Every call must be answered in the message behind it, and nothing else.
    fn check_pairs(&mut self, at: usize) -> Result<(), ApiError> {
        if let Some((block, id)) = self.answered.iter().enumerate().find(|(_, id)| !self.open.contains(id)) {
            let message = format!(
                "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have \
                 a corresponding `tool_use` block in the previous message."
            );
            return Err(ApiError::at(&format!("messages.{at}.content.{block}"), &message));
        }
        self.open.retain(|id| !self.answered.contains(id));
        if !self.open.is_empty() {
            return Err(unanswered(at.saturating_sub(1), &self.open));
        }
        self.answered.clear();
        self.open = std::mem::take(&mut self.called);
        Ok(())
    }
}

fn read_message(
    talk: &mut Talk,
    role: &str,
    content: &Value,
    path: &str,
    last: bool,
) -> Result<(), ApiError> {
    let mut words = String::new();
    talk.last_result = None;
    let empty = match content {
        Value::String(content) => {
            words.push_str(content);
            content.is_empty()
        }
        Value::Array(blocks) => {
            for (at, block) in blocks.iter().enumerate() {
                read_block(talk, &mut words, block, &format!("{path}.content.{at}"))?;
            }
            blocks.is_empty()
        }
        _ => return Err(ApiError::at(&join(path, "content"), "Input should be a valid string or list")),
    };
    if empty && !(last && role == "assistant") {
        let message =
            "all messages must have non-empty content except for the optional final assistant message";
        return Err(ApiError::at(path, message));
    }
    if last && role == "assistant" && words.ends_with(char::is_whitespace) {
        let message = "final assistant content cannot end with trailing whitespace";
        return Err(ApiError::at("messages", message));
    }
    talk.bytes += words.len();
    if role == "user" && !words.is_empty() {
        talk.last_user = words;
    }
    Ok(())
}

fn read_block(talk: &mut Talk, words: &mut String, block: &Value, path: &str) -> Result<(), ApiError> {
    let fields = validate::object(block, path)?;
    let kind = validate::required(fields, path, "type")?.as_str().unwrap_or_default();
    if !TYPES.contains(&kind) {
        let expected: Vec<String> = TYPES.iter().map(|name| format!("'{name}'")).collect();
        let message = format!(
            "Input tag '{kind}' found using 'type' does not match any of the expected tags: {}",
            expected.join(", ")
        );
        return Err(ApiError::at(path, &message));
    }
    let path = join(path, kind);
    match kind {
        "text" => {
            validate::only(fields, &path, &["type", "text", "cache_control", "citations"])?;
            let text = validate::text(fields, &path, "text")?;
            if text.is_empty() {
                return Err(ApiError::at("messages", "text content blocks must be non-empty"));
            }
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(text);
        }
        "image" => {
            validate::only(fields, &path, &["type", "source", "cache_control", "transformations"])?;
            source(fields, &path)?;
            talk.images += 1;
        }
        "document" => {
            source(fields, &path)?;
            talk.files += 1;
        }
        "thinking" => {
            validate::text(fields, &path, "signature")?;
            talk.bytes += validate::text(fields, &path, "thinking")?.len();
        }
        "tool_use" => {
            let known = ["type", "id", "name", "input", "cache_control", "caller", "toolset_name"];
            validate::only(fields, &path, &known)?;
            talk.called.push(validate::text(fields, &path, "id")?.to_owned());
            talk.bytes += validate::text(fields, &path, "name")?.len();
            let input = validate::required(fields, &path, "input")?;
            validate::object(input, &join(&path, "input"))?;
            talk.bytes += input.to_string().len();
        }
        "tool_result" => {
            let known = ["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"];
            validate::only(fields, &path, &known)?;
            talk.answered.push(validate::text(fields, &path, "tool_use_id")?.to_owned());
            validate::boolean(fields, &path, "is_error")?;
            let mut result = String::new();
            match present(fields, "content") {
                None => {}
                Some(Value::String(text)) => result.push_str(text),
                Some(Value::Array(blocks)) => {
                    for (at, block) in blocks.iter().enumerate() {
                        read_block(talk, &mut result, block, &format!("{path}.content.{at}"))?;
                    }
                }
                Some(_) => {
                    return Err(ApiError::at(
                        &join(&path, "content"),
                        "Input should be a valid string or list",
                    ));
                }
            }
            talk.bytes += result.len();
            talk.last_result = Some(result);
        }
        _ => {}
    }
    Ok(())
}

/// The source of an image or a document.
fn source(fields: &Fields, path: &str) -> Result<(), ApiError> {
    let path = join(path, "source");
    let source = fields.get("source").ok_or_else(|| ApiError::at(&path, "Field required"))?;
    let source = validate::object(source, &path)?;
    let kinds = ["base64", "content", "file", "text", "url"];
    match validate::one_of(validate::required(source, &path, "type")?, &join(&path, "type"), &kinds)? {
        "base64" => {
            let media = validate::required(source, &path, "media_type")?;
            let known = ["application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp"];
            validate::one_of(media, &join(&path, "base64.media_type"), &known)?;
            let data = validate::text(source, &path, "data")?;
            let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
            if data.is_empty() || !data.bytes().all(is_base64) {
                return Err(ApiError::at(&join(&path, "base64.data"), "Invalid base64 data"));
            }
        }
        "url" if !validate::text(source, &path, "url")?.starts_with("https://") => {
            return Err(ApiError::at(&join(&path, "url.url"), "Only HTTPS URLs are supported."));
        }
        _ => {}
    }
    Ok(())
}
