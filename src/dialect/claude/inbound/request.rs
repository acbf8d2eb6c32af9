//! What a client asks in Anthropic's words.
//!
//! Source: Anthropic API reference, "Create a Message" and "Count Message tokens".
//!
//! Of what Anthropic knows and the form in the middle does not:
//! - `cache_control` is passed over: it changes what a request costs, not what is answered.
//! - `redacted_thinking` is passed over: nobody but Anthropic can read it, and to Anthropic go the client's own
//!   bytes. Thoughts that can be read are kept, with their signature.
//! - `thinking: {"type":"disabled"}` is read as nothing asked: many models cannot be told not to think, and more
//!   have nothing to switch off. `adaptive` leaves it to the model, by `output_config.effort`.
//! - An effort of `max` is read as `xhigh`, the most that others have.
//! - Anthropic's own tools, whether its servers run them (`web_search_...`) or it only defines them (`bash_...`),
//!   are refused, and so are their results: no other provider knows them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::blocks::{Content, Read};
use crate::dialect::chat::fields::{self, Path, Str, TextOr, required};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{
    AssistantMessage, Call, Effort, Message, Refused, Request, ResponseFormat, Tool, ToolChoice,
};

/// Reads the body of `POST /v1/messages`.
///
/// # Errors
/// Where it is not one, or asks for what only Anthropic's own servers can do.
pub fn read_request(body: &[u8]) -> Result<Request<'_>, Refused> {
    let request = read_count(body)?;
    required(request.max_tokens, "max_tokens")?;
    Ok(request)
}

/// Reads the body of `POST /v1/messages/count_tokens`, which has no `max_tokens`.
///
/// # Errors
/// See [`read_request`].
pub fn read_count(body: &[u8]) -> Result<Request<'_>, Refused> {
    let mut request = Request::default();
    let (mut model, mut system, mut messages) = (None, None, None);
    for (name, raw) in fields::members(body)? {
        match &*name {
            "model" => model = Some(fields::value::<Str<'_>>("model", raw)?.0),
            "system" => system = Some(fields::value::<Content<'_>>("system", raw)?),
            "messages" => messages = Some(fields::value::<Vec<Turn<'_>>>("messages", raw)?),
            "max_tokens" => request.max_tokens = Some(fields::value("max_tokens", raw)?),
            "stop_sequences" => {
                let texts: Vec<Str<'_>> = fields::value("stop_sequences", raw)?;
                request.stop = texts.into_iter().map(|Str(text)| text).collect();
            }
            "temperature" => request.temperature = Some(fields::value("temperature", raw)?),
            "top_p" => request.top_p = Some(fields::value("top_p", raw)?),
            "top_k" => request.top_k = Some(fields::value("top_k", raw)?),
            "stream" => request.stream = fields::value("stream", raw)?,
            "metadata" => {
                let metadata: Metadata<'_> = fields::value("metadata", raw)?;
                request.user = metadata.user_id.map(|Str(user)| user);
            }
            "tools" => tools(fields::value("tools", raw)?, &mut request)?,
            "tool_choice" => tool_choice(&fields::value("tool_choice", raw)?, &mut request)?,
            "thinking" => {
                let thinking: Thinking<'_> = fields::value("thinking", raw)?;
                match &*thinking.kind {
                    "enabled" => {
                        let budget = required(thinking.budget_tokens, "thinking.budget_tokens")?;
                        request.reasoning_tokens = Some(budget);
                    }
                    "disabled" | "adaptive" => {}
                    _ => request.other.push((name, raw)),
                }
            }
            "output_config" => {
                let config: OutputConfig<'_> = fields::value("output_config", raw)?;
                if let Some(effort) = config.effort {
                    request.reasoning_effort = Some(read_effort(&effort.0)?);
                }
                if let Some(form) = config.format {
                    request.response_format = Some(response_format(form, "output_config.format")?);
                }
            }
            // Its name before it was a part of `output_config`.
            "output_format" => {
                let form = fields::value("output_format", raw)?;
                request.response_format = Some(response_format(form, "output_format")?);
            }
            "mcp_servers" if raw.get() != "[]" => {
                let at = Path::new("mcp_servers");
                return at.refuse(
                    "mcp_servers: only Anthropic's own API calls MCP servers itself. Call them in the client, and \
                     send their tools as tools.",
                );
            }
            // What is so by itself, or changes only what it costs.
            "cache_control" | "mcp_servers" => {}
            "service_tier" if raw.get() == "\"auto\"" => {}
            "speed" if raw.get() == "\"standard\"" => {}
            _ => request.other.push((name, raw)),
        }
    }
    request.model = required(model, "model")?;
    request.include_usage = request.stream; // the stream's end tells it
    let mut citations = None;
    if let Some(system) = system {
        request.messages.push(system_message(system, Path::new("system"))?);
    }
    for (index, turn) in required(messages, "messages")?.into_iter().enumerate() {
        let within = Path::new("messages").at(index);
        let at = within.field("content");
        match &*turn.role {
            "user" => citations = user(turn.content, at, &mut request.messages)?.or(citations),
            "assistant" => request.messages.push(assistant(turn.content, at)?),
            "system" => request.messages.push(system_message(turn.content, at)?),
            other => {
                return within.field("role").refuse(format!(
                    "{within}.role: there is no role '{other}'. Use 'user' or 'assistant'."
                ));
            }
        }
    }
    request.other.extend(citations.map(|raw| (Cow::Borrowed("citations"), raw)));
    Ok(request)
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Content<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    user_id: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct Thinking<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    budget_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputConfig<'a> {
    #[serde(borrow)]
    effort: Option<Str<'a>>,
    #[serde(borrow)]
    format: Option<Form<'a>>,
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Definition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    description: Option<Str<'a>>,
    #[serde(borrow)]
    input_schema: Option<&'a RawValue>,
    strict: Option<bool>,
    #[serde(borrow)]
    input_examples: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(default)]
    disable_parallel_tool_use: bool,
}

fn system_message<'a>(content: Content<'a>, at: Path<'_>) -> Result<Message<'a>, Refused> {
    let mut read = Read::default();
    read.content(content, at)?;
    Ok(Message::System(read.parts))
}

/// A user's turn: what functions returned, one message each, and then what the user says. Anthropic wants results
/// before all else in a turn; others want them right after the calls.
fn user<'a>(
    content: Content<'a>,
    at: Path<'_>,
    to: &mut Vec<Message<'a>>,
) -> Result<Option<&'a RawValue>, Refused> {
    let mut said = Read::default();
    let blocks = match content {
        TextOr::List(blocks) => blocks,
        content => {
            said.content(content, at)?;
            Vec::new()
        }
    };
    for (index, block) in blocks.into_iter().enumerate() {
        let at = at.at(index);
        if block.kind != "tool_result" {
            said.block(block, at)?;
            continue;
        }
        let Str(call_id) = required(block.tool_use_id, at.field("tool_use_id"))?;
        let mut result = Read { parts: Vec::new(), citations: said.citations };
        if let Some(content) = block.content {
            result.content(content, at.field("content"))?;
        }
        said.citations = result.citations;
        let is_error = block.is_error.unwrap_or(false);
        to.push(Message::Tool { call_id, parts: result.parts, is_error });
    }
    if !said.parts.is_empty() {
        to.push(Message::User(said.parts));
    }
    Ok(said.citations)
}

fn assistant<'a>(content: Content<'a>, at: Path<'_>) -> Result<Message<'a>, Refused> {
    let mut message = AssistantMessage::default();
    let mut said = Read::default();
    let blocks = match content {
        TextOr::List(blocks) => blocks,
        content => {
            said.content(content, at)?;
            Vec::new()
        }
    };
    for (index, block) in blocks.into_iter().enumerate() {
        let at = at.at(index);
        match &*block.kind {
            "thinking" => {
                let Str(thought) = required(block.thinking, at.field("thinking"))?;
                let signature = block.signature.map(|Str(signature)| signature);
                message.reasoning.push((thought, signature.filter(|signature| !signature.is_empty())));
            }
            "redacted_thinking" => {}
            "tool_use" => message.calls.push(Call {
                id: required(block.id, at.field("id"))?.0,
                name: required(block.name, at.field("name"))?.0,
                arguments: block.input.map_or("{}", RawValue::get).into(),
            }),
            _ => said.block(block, at)?,
        }
    }
    message.parts = said.parts;
    Ok(Message::Assistant(message))
}

fn tools<'a>(definitions: Vec<Definition<'a>>, request: &mut Request<'a>) -> Result<(), Refused> {
    for (index, tool) in definitions.into_iter().enumerate() {
        let at = Path::new("tools").at(index);
        if let Some(Str(kind)) = tool.kind.filter(|Str(kind)| kind != "custom") {
            return at.refuse(format!(
                "{at}: the tool '{kind}' is one of Anthropic's own, which the provider of this model does not know. \
                 Define the tool with a name and an input_schema, or choose a model of Anthropic's."
            ));
        }
        request.tools.push(Tool {
            name: required(tool.name, at.field("name"))?.0,
            description: tool.description.map(|Str(text)| text),
            parameters: Some(Cow::Borrowed(required(tool.input_schema, at.field("input_schema"))?)),
            strict: tool.strict,
        });
        if let Some(examples) = tool.input_examples {
            request.other.push(("input_examples".into(), examples));
        }
    }
    Ok(())
}

fn tool_choice<'a>(choice: &Choice<'a>, request: &mut Request<'a>) -> Result<(), Refused> {
    request.tool_choice = Some(match &*choice.kind {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Function(required(choice.name.clone(), "tool_choice.name")?.0),
        other => {
            let at = Path::new("tool_choice").field("type").to_string();
            let message = format!("{at}: there is no choice '{other}'. Use 'auto', 'any', 'tool' or 'none'.");
            return Err(Refused { param: at.into(), message: message.into() });
        }
    });
    if choice.disable_parallel_tool_use {
        request.parallel_tool_calls = Some(false);
    }
    Ok(())
}

fn read_effort(name: &str) -> Result<Effort, Refused> {
    Effort::named(name).ok_or_else(|| Refused {
        param: "output_config.effort".into(),
        message: format!("output_config.effort: there is no effort '{name}'.").into(),
    })
}

/// Anthropic's answers follow the schema to the letter, and have no name for it where OpenAI wants one.
fn response_format<'a>(form: Form<'a>, at: &'static str) -> Result<ResponseFormat<'a>, Refused> {
    if form.kind != "json_schema" {
        let message = format!("{at}: there is no format '{}'. Use 'json_schema'.", form.kind);
        return Err(Refused { param: at.into(), message: message.into() });
    }
    let schema = Some(Cow::Borrowed(required(form.schema, format_args!("{at}.schema"))?));
    Ok(ResponseFormat::JsonSchema { name: "answer".into(), description: None, schema, strict: Some(true) })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
