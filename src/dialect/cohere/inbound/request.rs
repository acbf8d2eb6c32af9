//! What a client asks in Cohere's words.
//!
//! Source: Cohere API reference, "Chat" (body parameters); the guides "Structured outputs" and "Reasoning".
//!
//! Of what Cohere knows and the form in the middle does not:
//! - `documents`, `citation_options`, `safety_mode` and `priority` are named to whoever cannot: only Cohere has them.
//!   Values that ask for nothing, or for what is so by itself, are passed over.
//! - A schema of the answer is asked for without OpenAI's `strict`, under which schemas are refused that are fine here
//!   (those that allow other members than they name). `strict_tools` asks for it by name, and is passed on.
//! - `thinking: {"type":"disabled"}` is read as nothing asked: many models cannot be told not to think, and more have
//!   nothing to switch off. Thinking without a bound is the highest effort that all have.
//! - A `k` of 0 turns it off, as if it were not said.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::messages::{self, Said};
use crate::dialect::chat::fields::{self, Path, Str, required};
use crate::dialect::chat::idle::{Idle, is_idle};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{Effort, Refused, Request, ResponseFormat, Tool, ToolChoice};

/// What says nothing to a provider that is not Cohere: no sources, citations as they are by themselves or none, no
/// instructions of safety but the client's own or those that come unasked, and no haste.
const IDLE: &Idle = &[
    ("documents", &["[]"]),
    ("citation_options", &["{}", r#"{"mode":"OFF"}"#, r#"{"mode":"DISABLED"}"#, r#"{"mode":"ENABLED"}"#]),
    ("safety_mode", &[r#""CONTEXTUAL""#, r#""OFF""#, r#""NONE""#]),
    ("priority", &["0"]),
];

/// Reads the body of `POST /v2/chat`.
///
/// # Errors
/// Where it is not one.
pub fn read_request(body: &[u8]) -> Result<Request<'_>, Refused> {
    let mut request = Request::default();
    let (mut model, mut messages, mut strict) = (None, None, false);
    for (name, raw) in fields::members(body)? {
        match &*name {
            "model" => model = Some(fields::value::<Str<'_>>("model", raw)?.0),
            "messages" => messages = Some(fields::value::<Vec<Said<'_>>>("messages", raw)?),
            "max_tokens" => request.max_tokens = Some(fields::value("max_tokens", raw)?),
            "stop_sequences" => {
                let texts: Vec<Str<'_>> = fields::value("stop_sequences", raw)?;
                request.stop = texts.into_iter().map(|Str(text)| text).collect();
            }
            "temperature" => request.temperature = Some(fields::value("temperature", raw)?),
            "p" => request.top_p = Some(fields::value("p", raw)?),
            "k" => request.top_k = Some(fields::value("k", raw)?).filter(|&k| k != 0),
            "frequency_penalty" => request.frequency_penalty = Some(fields::value("frequency_penalty", raw)?),
            "presence_penalty" => request.presence_penalty = Some(fields::value("presence_penalty", raw)?),
            "seed" => request.seed = Some(fields::value("seed", raw)?),
            "logprobs" => request.logprobs = Some(fields::value("logprobs", raw)?).filter(|&asked| asked),
            "stream" => request.stream = fields::value("stream", raw)?,
            "tools" => request.tools = tools(fields::value("tools", raw)?)?,
            "strict_tools" => strict = fields::value("strict_tools", raw)?,
            "tool_choice" => request.tool_choice = Some(tool_choice(&fields::value("tool_choice", raw)?)?),
            "response_format" => {
                request.response_format = Some(response_format(fields::value("response_format", raw)?)?);
            }
            "thinking" => thinking(&fields::value("thinking", raw)?, &mut request)?,
            other if is_idle(IDLE, other, raw.get()) => {}
            _ => request.other.push((name, raw)),
        }
    }
    if strict {
        request.tools.iter_mut().for_each(|tool| tool.strict = Some(true));
    }
    request.model = required(model, "model")?;
    request.include_usage = request.stream; // the stream's end tells it
    request.messages = messages::conversation(required(messages, "messages")?)?;
    Ok(request)
}

#[derive(Deserialize)]
struct Definition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    description: Option<Str<'a>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    /// `schema` is what it was called first.
    #[serde(borrow, alias = "schema")]
    json_schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Thinking<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    token_budget: Option<u64>,
}

fn tools<'a>(definitions: Vec<Definition<'a>>) -> Result<Vec<Tool<'a>>, Refused> {
    let read = |(index, tool): (usize, Definition<'a>)| {
        let at = Path::new("tools").at(index);
        if let Some(Str(kind)) = tool.kind.filter(|Str(kind)| kind != "function") {
            return at.refuse(format!("{at}: there are no tools of type '{kind}'. Use 'function'."));
        }
        let function = required(tool.function, at.field("function"))?;
        Ok(Tool {
            name: required(function.name, at.field("function").field("name"))?.0,
            description: function.description.map(|Str(text)| text),
            parameters: function.parameters.map(Cow::Borrowed),
            strict: None,
        })
    };
    definitions.into_iter().enumerate().map(read).collect()
}

fn tool_choice(choice: &Str<'_>) -> Result<ToolChoice<'static>, Refused> {
    match &*choice.0 {
        "REQUIRED" => Ok(ToolChoice::Required),
        "NONE" => Ok(ToolChoice::None),
        other => Path::new("tool_choice")
            .refuse(format!("tool_choice: there is no choice '{other}'. Use 'REQUIRED' or 'NONE'.")),
    }
}

/// Cohere's schemas have no name where OpenAI wants one.
fn response_format(format: Format<'_>) -> Result<ResponseFormat<'_>, Refused> {
    let schema = format.json_schema.filter(|schema| schema.get() != "null");
    match (&*format.kind, schema) {
        ("text", None) => Ok(ResponseFormat::Text),
        ("text", Some(_)) => Path::new("response_format")
            .refuse("response_format: text follows no schema. Use the type 'json_object'."),
        ("json_object", None) => Ok(ResponseFormat::JsonObject),
        ("json_object", schema) => {
            let schema = schema.map(Cow::Borrowed);
            Ok(ResponseFormat::JsonSchema { name: "answer".into(), description: None, schema, strict: None })
        }
        (other, _) => Path::new("response_format")
            .refuse(format!("response_format: there is no format '{other}'. Use 'text' or 'json_object'.")),
    }
}

fn thinking(thinking: &Thinking<'_>, request: &mut Request<'_>) -> Result<(), Refused> {
    match (&*thinking.kind, thinking.token_budget) {
        ("disabled", _) => {}
        ("enabled", Some(budget)) => request.reasoning_tokens = Some(budget),
        ("enabled", None) => request.reasoning_effort = Some(Effort::High),
        (other, _) => {
            return Path::new("thinking")
                .refuse(format!("thinking: there is no type '{other}'. Use 'enabled' or 'disabled'."));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
