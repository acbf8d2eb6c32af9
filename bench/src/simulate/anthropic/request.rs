//! Reading a request (https://docs.anthropic.com/en/api/messages).

use serde_json::Value;

use super::{
    ApiError,
    blocks::{self, Talk},
    tools,
    validate::{self, Fields, present},
};
use crate::simulate::{
    plan::{Rare, Wanted},
    text,
};

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) max_tokens: usize,
    pub(super) thinking: Thinking,
    pub(super) prompt_tokens: usize,
    pub(super) rare: Rare,
}

/// What is shown of the thoughts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Thinking {
    /// There are none.
    #[default]
    Off,
    Shown,
    /// A block without text.
    Omitted,
}

/// The parameters of both endpoints, of which counting takes no others.
const COUNTED: &[&str] = &[
    "cache_control",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
];
/// The parameters of `POST /v1/messages` alone.
const CREATED: &[&str] = &[
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "metadata",
    "service_tier",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
];
/// Fewest tokens to think with (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking).
const LEAST_BUDGET: i64 = 1024;

/// Reads `body`.
pub(super) fn read(body: &[u8]) -> Result<Chat, ApiError> {
    let fields = validate::body(body)?;
    let known: Vec<&str> = COUNTED.iter().chain(CREATED).copied().collect();
    validate::only(&fields, "", &known)?;
    let model = model(&fields)?;
    let max = validate::integer(validate::required(&fields, "", "max_tokens")?, "max_tokens", 1)?;
    let talk = talk(&fields)?;
    let temperature = validate::share(&fields, "temperature")?;
    validate::share(&fields, "top_p")?;
    if let Some(value) = present(&fields, "top_k") {
        validate::integer(value, "top_k", 0)?;
    }
    if let Some(value) = present(&fields, "metadata") {
        let metadata = validate::object(value, "metadata")?;
        validate::only(metadata, "metadata", &["user_id"])?;
        present(metadata, "user_id").map_or(Ok(""), |id| validate::string(id, "metadata.user_id"))?;
    }
    if let Some(value) = present(&fields, "service_tier") {
        validate::one_of(value, "service_tier", &["auto", "standard_only"])?;
    }
    let tools = tools::read(&fields)?;
    let thinking = thinking(&fields, max)?;
    if thinking != Thinking::Off {
        if temperature.is_some_and(|n| n < 1.0) {
            return Err(ApiError::invalid(
                "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation \
                 at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking",
            ));
        }
        if tools.is_forced() {
            return Err(ApiError::invalid("Thinking may not be enabled when tool_choice forces tool use."));
        }
    }
    let schema = schema(&fields)?;
    let prompt_tokens = talk.tokens() + tools.tokens();
    let wanted = match (tools.called(&talk), &talk.last_result, schema) {
        (Some(functions), ..) => Wanted::Calls(functions),
        (None, Some(result), _) => Wanted::after_tool(result),
        (None, None, Some(schema)) => Wanted::Schema(schema),
        (None, None, None) => Wanted::seeing(talk.images, talk.files),
    };
    Ok(Chat {
        model,
        stream: validate::boolean(&fields, "", "stream")?.unwrap_or(false),
        max_tokens: usize::try_from(max).unwrap_or(usize::MAX),
        thinking,
        prompt_tokens,
        rare: Rare { wanted, stop: stops(&fields)?, logprobs: None, last_user: talk.last_user },
    })
}

/// The model and the tokens of a prompt to be counted.
pub(super) fn counted(body: &[u8]) -> Result<(String, usize), ApiError> {
    let fields = validate::body(body)?;
    validate::only(&fields, "", COUNTED)?;
    let model = model(&fields)?;
    Ok((model, talk(&fields)?.tokens() + tools::read(&fields)?.tokens()))
}

fn model(fields: &Fields) -> Result<String, ApiError> {
    match validate::text(fields, "", "model")? {
        "" => Err(ApiError::at("model", "String should have at least 1 character")),
        model => Ok(model.to_owned()),
    }
}

fn talk(fields: &Fields) -> Result<Talk, ApiError> {
    let messages = validate::list(validate::required(fields, "", "messages")?, "messages")?;
    let mut talk = blocks::read(messages)?;
    match present(fields, "system") {
        None => {}
        Some(Value::String(words)) => talk.bytes += words.len(),
        Some(Value::Array(all)) => {
            for (at, block) in all.iter().enumerate() {
                let path = format!("system.{at}");
                let block = validate::object(block, &path)?;
                validate::one_of(
                    validate::required(block, &path, "type")?,
                    &format!("{path}.type"),
                    &["text"],
                )?;
                validate::only(block, &path, &["type", "text", "cache_control", "citations"])?;
                match validate::text(block, &path, "text")? {
                    "" => return Err(ApiError::invalid("system: text content blocks must be non-empty")),
                    words => talk.bytes += words.len(),
                }
            }
        }
        Some(_) => return Err(ApiError::at("system", "Input should be a valid string or list")),
    }
    Ok(talk)
}

fn stops(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let Some(value) = present(fields, "stop_sequences") else { return Ok(Vec::new()) };
    let all = validate::list(value, "stop_sequences")?.iter().enumerate();
    all.map(|(at, stop)| match validate::string(stop, &format!("stop_sequences.{at}"))? {
        stop if stop.trim().is_empty() => {
            Err(ApiError::at("stop_sequences", "each stop sequence must contain non-whitespace"))
        }
        stop => Ok(stop.to_owned()),
    })
    .collect()
}

/// https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking
fn thinking(fields: &Fields, max_tokens: u64) -> Result<Thinking, ApiError> {
    let Some(value) = present(fields, "thinking") else { return Ok(Thinking::Off) };
    let config = validate::object(value, "thinking")?;
    let kinds = ["adaptive", "between_tools", "disabled", "enabled"];
    let kind = validate::one_of(validate::required(config, "thinking", "type")?, "thinking.type", &kinds)?;
    if kind == "enabled" {
        let path = "thinking.enabled";
        validate::only(config, path, &["type", "budget_tokens", "display"])?;
        let budget = validate::required(config, path, "budget_tokens")?;
        let budget = validate::integer(budget, "thinking.enabled.budget_tokens", LEAST_BUDGET)?;
        if budget >= max_tokens {
            return Err(ApiError::invalid(
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at \
                 https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
            ));
        }
    }
    let display = present(config, "display");
    let display =
        display.map(|value| validate::one_of(value, "thinking.display", &["omitted", "summarized"]));
    Ok(match (kind, display.transpose()?) {
        ("disabled" | "between_tools", _) => Thinking::Off,
        (_, Some("omitted")) => Thinking::Omitted,
        _ => Thinking::Shown,
    })
}

/// The schema of `output_config.format` (https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs).
fn schema(fields: &Fields) -> Result<Option<Value>, ApiError> {
    let Some(value) = present(fields, "output_config") else { return Ok(None) };
    let config = validate::object(value, "output_config")?;
    validate::only(config, "output_config", &["effort", "format"])?;
    if let Some(effort) = present(config, "effort") {
        validate::one_of(effort, "output_config.effort", &["high", "low", "max", "medium", "xhigh"])?;
    }
    let Some(format) = present(config, "format") else { return Ok(None) };
    let path = "output_config.format";
    let format = validate::object(format, path)?;
    validate::one_of(
        validate::required(format, path, "type")?,
        "output_config.format.type",
        &["json_schema"],
    )?;
    validate::only(format, path, &["type", "schema"])?;
    let schema = validate::required(format, path, "schema")?;
    if is_open(schema) {
        return Err(ApiError::at(
            "output_config.format.schema",
            "For 'object' type, 'additionalProperties' must be explicitly set to false",
        ));
    }
    Ok(Some(schema.clone()))
}

/// Whether a schema has an object that may have properties beyond those it lists.
fn is_open(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let object = fields.get("type").and_then(Value::as_str) == Some("object");
            (object && fields.get("additionalProperties") != Some(&Value::Bool(false)))
                || fields.values().any(is_open)
        }
        Value::Array(all) => all.iter().any(is_open),
        _ => false,
    }
}

impl Talk {
    /// What the prompt counts, tools aside: each image about as much as a small one of OpenAI's.
    fn tokens(&self) -> usize {
        text::prompt_tokens(self.bytes, self.messages) + 85 * self.images
    }
}
