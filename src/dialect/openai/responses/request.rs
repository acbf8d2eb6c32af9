//! What a client asks in the words of the Responses API.
//!
//! Source: OpenAI API reference, "Create a model response".
//!
//! Passed over, because an answer is the same without: `store` (nothing is kept), `prompt_cache_key` and its like
//! (what a request costs), `include` but for probabilities (thoughts are always shown as the provider gives them, and
//! the rest is of tools that are refused), `reasoning.summary`, and `max_tool_calls` (of those tools). An effort of
//! `max` is read as `xhigh`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::{Item, conversation};
use crate::dialect::chat::fields::{self, Path, Str, TextOr, required};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{Effort, Message, Part, Refused, Request, ResponseFormat, Tool, ToolChoice};

/// Reads the body of `POST /v1/responses`.
///
/// # Errors
/// Where it is not one, or needs state or tools that only OpenAI's servers have.
pub fn read_request(body: &[u8]) -> Result<Request<'_>, Refused> {
    let mut request = Request::default();
    let (mut model, mut input, mut instructions, mut choice) = (None, None, None, None);
    for (name, raw) in fields::members(body)? {
        match &*name {
            "model" => model = Some(fields::value::<Str<'_>>("model", raw)?.0),
            "input" => input = Some(fields::value::<TextOr<'_, Item<'_>>>("input", raw)?),
            "instructions" => instructions = Some(fields::value::<Str<'_>>("instructions", raw)?.0),
            "max_output_tokens" => request.max_tokens = Some(fields::value("max_output_tokens", raw)?),
            "temperature" => request.temperature = Some(fields::value("temperature", raw)?),
            "top_p" => request.top_p = Some(fields::value("top_p", raw)?),
            "top_logprobs" => request.top_logprobs = Some(fields::value("top_logprobs", raw)?),
            "parallel_tool_calls" => {
                request.parallel_tool_calls = Some(fields::value("parallel_tool_calls", raw)?);
            }
            "stream" => request.stream = fields::value("stream", raw)?,
            "user" | "safety_identifier" => request.user = Some(fields::value::<Str<'_>>(&name, raw)?.0),
            "tools" => tools(fields::value("tools", raw)?, &mut request)?,
            "tool_choice" => choice = Some(raw),
            "text" => {
                let text: TextConfig<'_> = fields::value("text", raw)?;
                request.response_format = text.format.map(response_format).transpose()?;
                request.other.extend(text.verbosity.map(|raw| ("verbosity".into(), raw)));
            }
            "reasoning" => {
                let reasoning: Reasoning<'_> = fields::value("reasoning", raw)?;
                request.reasoning_effort =
                    reasoning.effort.map(|effort| read_effort(&effort.0)).transpose()?;
            }
            "include" => {
                let include: Vec<Str<'_>> = fields::value("include", raw)?;
                if include.iter().any(|Str(name)| name == "message.output_text.logprobs") {
                    request.logprobs = Some(true);
                }
            }
            "previous_response_id" | "conversation" | "prompt" => return keeps_nothing(&name),
            "background" if raw.get() == "true" => return keeps_nothing(&name),
            "background" | "store" | "stream_options" | "max_tool_calls" => {}
            "prompt_cache_key" | "prompt_cache_retention" | "prompt_cache_options" => {}
            "service_tier" if raw.get() == "\"auto\"" => {}
            "truncation" if raw.get() == "\"disabled\"" => {}
            "metadata" if raw.get() == "{}" => {}
            _ => request.other.push((name, raw)),
        }
    }
    request.model = required(model, "model")?;
    request.include_usage = request.stream; // the last event tells it
    if let Some(raw) = choice {
        tool_choice(raw, &mut request)?;
    }
    request.messages.extend(instructions.map(|text| Message::System(vec![Part::Text(text)])));
    match required(input, "input")? {
        TextOr::Text(text) => request.messages.push(Message::User(vec![Part::Text(text)])),
        TextOr::List(items) => conversation(items, &mut request.messages)?,
        TextOr::Object => return Path::new("input").refuse("input: send a text or an array of items."),
    }
    Ok(request)
}

fn keeps_nothing<T>(name: &str) -> Result<T, Refused> {
    let message = format!(
        "{name}: this gateway keeps no responses, so there are none to refer to or to fetch later. Send the whole \
         conversation as input, and wait for the answer."
    );
    Err(Refused { param: name.to_owned().into(), message: message.into() })
}

#[derive(Deserialize)]
struct TextConfig<'a> {
    #[serde(borrow)]
    format: Option<Form<'a>>,
    #[serde(borrow)]
    verbosity: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    description: Option<Str<'a>>,
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    strict: Option<bool>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow)]
    effort: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct Definition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    description: Option<Str<'a>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    strict: Option<bool>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    mode: Option<Str<'a>>,
    #[serde(borrow, default)]
    tools: Vec<Definition<'a>>,
}

fn tools<'a>(definitions: Vec<Definition<'a>>, request: &mut Request<'a>) -> Result<(), Refused> {
    for (index, tool) in definitions.into_iter().enumerate() {
        let at = Path::new("tools").at(index);
        if tool.kind != "function" {
            return at.refuse(format!(
                "{at}: tools of type '{}' belong to OpenAI's own servers; this gateway has none and keeps no state \
                 for them. Use tools of type 'function'.",
                tool.kind
            ));
        }
        request.tools.push(Tool {
            name: required(tool.name, at.field("name"))?.0,
            description: tool.description.map(|Str(text)| text),
            parameters: tool.parameters.map(Cow::Borrowed),
            strict: tool.strict,
        });
    }
    Ok(())
}

/// Where only some tools are allowed the others are not sent: a model cannot call what it does not know. (OpenAI
/// sends them for its prompt cache.)
fn tool_choice<'a>(raw: &'a RawValue, request: &mut Request<'a>) -> Result<(), Refused> {
    let at = Path::new("tool_choice");
    let word = |word: &str| match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        other => at.refuse(format!("{at}: there is no choice '{other}'. Use 'auto', 'none' or 'required'.")),
    };
    if raw.get().starts_with('"') {
        request.tool_choice = Some(word(&fields::value::<Str<'_>>(at, raw)?.0)?);
        return Ok(());
    }
    let choice: Choice<'_> = fields::value(at, raw)?;
    request.tool_choice = Some(match &*choice.kind {
        "function" => ToolChoice::Function(required(choice.name, at.field("name"))?.0),
        "allowed_tools" => {
            let allowed = |tool: &Tool<'_>| {
                choice
                    .tools
                    .iter()
                    .any(|allowed| allowed.name.as_ref().is_some_and(|name| name.0 == tool.name))
            };
            request.tools.retain(allowed);
            word(choice.mode.as_ref().map_or("auto", |Str(mode)| mode))?
        }
        other => {
            return at.refuse(format!("{at}: tools of type '{other}' belong to OpenAI's own servers."));
        }
    });
    Ok(())
}

fn response_format(form: Form<'_>) -> Result<ResponseFormat<'_>, Refused> {
    let within = Path::new("text");
    let at = within.field("format");
    Ok(match &*form.kind {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject,
        "json_schema" => ResponseFormat::JsonSchema {
            name: required(form.name, at.field("name"))?.0,
            description: form.description.map(|Str(text)| text),
            schema: Some(Cow::Borrowed(required(form.schema, at.field("schema"))?)),
            strict: form.strict,
        },
        other => return at.refuse(format!("{at}: there is no format '{other}'.")),
    })
}

fn read_effort(name: &str) -> Result<Effort, Refused> {
    Effort::named(name).ok_or_else(|| Refused {
        param: "reasoning.effort".into(),
        message: format!("reasoning.effort: there is no effort '{name}'.").into(),
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
