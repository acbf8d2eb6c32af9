//! What a client asks in Google's words.
//!
//! Source: Gemini API reference, "Generating content" (`GenerationConfig`, `ThinkingConfig`, `SafetySetting`), "Caching"
//! (`Tool`, `FunctionDeclaration`, `ToolConfig`) and "Counting tokens".
//!
//! Of what Gemini knows and the form in the middle does not:
//! - Filters that are told to let all pass (`safetySettings` of `BLOCK_NONE` or `OFF`) are passed over: others have none.
//!   Any others are named as what the provider has nothing like.
//! - A `thinkingBudget` of 0 or -1 is read as nothing asked: many models cannot be told not to think, and more have
//!   nothing to switch off. `includeThoughts` is too: thoughts are shown as the provider gives them.
//! - Several `allowedFunctionNames` are the only functions offered.
//! - Google's own tools (`googleSearch`, `codeExecution`, ...) are refused: no other provider knows them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::contents::{Content, Conversation};
use super::name::camel;
use super::schema::{Of, json_schema};
use crate::dialect::chat::fields::{self, Path, Str, required};
use crate::dialect::chat::request::{Schema, Text};
use crate::dialect::chat::{Effort, Message, Part, Refused, Request, ResponseFormat, Tool, ToolChoice};

/// Reads the body of `generateContent`, or with `stream` that of `streamGenerateContent`.
///
/// # Errors
/// Where it is none, or asks for what only Google's own servers can do.
pub fn read_request(body: &[u8], stream: bool) -> Result<Request<'_>, Refused> {
    // The stream's end tells the usage.
    let mut request = Request { stream, include_usage: stream, ..Request::default() };
    let mut said = Conversation::default();
    let (mut contents, mut tools, mut calling, mut resolution) = (None, None, None, None);
    for (name, raw) in fields::members(body)? {
        let name = camel(name);
        match &*name {
            // It is in the path.
            "model" => {}
            "contents" => contents = Some(fields::value::<Vec<Content<'_>>>("contents", raw)?),
            "systemInstruction" => {
                let content = fields::value("systemInstruction", raw)?;
                said.instruct(content, Path::new("systemInstruction"))?;
            }
            "tools" => tools = Some(fields::value::<Vec<&RawValue>>("tools", raw)?),
            "toolConfig" => calling = tool_config(raw, &mut request)?,
            "generationConfig" => resolution = generation_config(raw, &mut request)?,
            "safetySettings" if lets_all_pass(raw) => {}
            "labels" if raw.get() == "{}" => {}
            "store" if raw.get() == "false" => {}
            _ => request.other.push((name, raw)),
        }
    }
    // Instructions come first, wherever they stand in the body.
    for (index, content) in required(contents, "contents")?.into_iter().enumerate() {
        said.turn(content, Path::new("contents").at(index))?;
    }
    request.messages = said.messages;
    for (index, tool) in tools.unwrap_or_default().into_iter().enumerate() {
        read_tool(tool, index, &mut request)?;
    }
    if let Some(calling) = calling.filter(|_| !request.tools.is_empty()) {
        choose(calling, &mut request)?;
    }
    if let Some(detail) = resolution {
        look(&mut request, detail);
    }
    Ok(request)
}

/// Reads the body of `countTokens`: contents, or a whole request.
///
/// # Errors
/// See [`read_request`].
pub fn read_count(body: &[u8]) -> Result<Request<'_>, Refused> {
    for (name, raw) in fields::members(body)? {
        if camel(name) == "generateContentRequest" {
            return read_request(raw.get().as_bytes(), false);
        }
    }
    read_request(body, false)
}

fn lets_all_pass(settings: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Setting<'a> {
        #[serde(borrow)]
        threshold: Option<Str<'a>>,
    }
    let passes = |setting: &Setting<'_>| matches!(&setting.threshold, Some(Str(word)) if word == "BLOCK_NONE" || word == "OFF");
    serde_json::from_str::<Vec<Setting<'_>>>(settings.get()).is_ok_and(|settings| settings.iter().all(passes))
}

/// Reads `generationConfig`; how closely images are to be looked at.
fn generation_config<'a>(
    config: &'a RawValue,
    request: &mut Request<'a>,
) -> Result<Option<&'static str>, Refused> {
    let at = Path::new("generationConfig");
    let (mut mime_type, mut schema, mut resolution) = (None, None, None);
    for (name, raw) in members_of(config, at)? {
        let name = camel(name);
        let at = format_args!("generationConfig.{name}");
        match &*name {
            "temperature" => request.temperature = Some(fields::value(at, raw)?),
            "topP" => request.top_p = Some(fields::value(at, raw)?),
            "topK" => request.top_k = Some(whole(fields::value(at, raw)?)),
            "candidateCount" => request.n = Some(fields::value(at, raw)?),
            "maxOutputTokens" => request.max_tokens = Some(fields::value(at, raw)?),
            "stopSequences" => {
                let texts: Vec<Str<'_>> = fields::value(at, raw)?;
                request.stop = texts.into_iter().map(|Str(text)| text).collect();
            }
            "seed" => request.seed = Some(fields::value(at, raw)?),
            "presencePenalty" => request.presence_penalty = Some(fields::value(at, raw)?),
            "frequencyPenalty" => request.frequency_penalty = Some(fields::value(at, raw)?),
            "responseLogprobs" => request.logprobs = Some(fields::value(at, raw)?),
            "logprobs" => request.top_logprobs = Some(fields::value(at, raw)?),
            "responseMimeType" => mime_type = Some((fields::value::<Str<'_>>(at, raw)?.0, raw)),
            "responseSchema" => {
                schema = Some(json_schema(raw, Of::Answer).map_err(|refused| within(refused, at))?)
            }
            "responseJsonSchema" | "_responseJsonSchema" => schema = Some(Cow::Borrowed(raw)),
            "thinkingConfig" => thinking(raw, request)?,
            "mediaResolution" => {
                resolution = match &*fields::value::<Str<'_>>(at, raw)?.0 {
                    "MEDIA_RESOLUTION_LOW" => Some("low"),
                    "MEDIA_RESOLUTION_HIGH" => Some("high"),
                    _ => None,
                }
            }
            "responseModalities" if raw.get().trim() == "[\"TEXT\"]" => {}
            _ => request.other.push((at.to_string().into(), raw)),
        }
    }
    let format = |schema: Option<Schema<'a>>| match schema {
        // A schema has no name, and is followed as well as the provider can: not all have what makes one strict.
        Some(schema) => ResponseFormat::JsonSchema {
            name: "answer".into(),
            description: None,
            schema: Some(schema),
            strict: None,
        },
        None => ResponseFormat::JsonObject,
    };
    match mime_type {
        None => request.response_format = schema.map(|schema| format(Some(schema))),
        Some((kind, raw)) => match &*kind {
            "application/json" => request.response_format = Some(format(schema)),
            "" | "text/plain" => {}
            _ => request.other.push(("generationConfig.responseMimeType".into(), raw)),
        },
    }
    Ok(resolution)
}

/// The members of an object in the request, whose errors have its name.
fn members_of<'a>(object: &'a RawValue, at: Path<'_>) -> Result<Vec<(Text<'a>, &'a RawValue)>, Refused> {
    fields::members(object.get().as_bytes()).map_err(|refused| within(refused, at))
}

fn within(refused: Refused, at: impl std::fmt::Display) -> Refused {
    let message = format!("{at}: {}", refused.message);
    Refused { param: at.to_string().into(), message: message.into() }
}

/// SDKs have it as a number that may have decimals.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // such a cast ends at the ends of the scale
fn whole(number: f64) -> u64 {
    number as u64
}

fn thinking<'a>(config: &'a RawValue, request: &mut Request<'a>) -> Result<(), Refused> {
    for (name, raw) in members_of(config, Path::new("generationConfig").field("thinkingConfig"))? {
        let name = camel(name);
        let at = format_args!("generationConfig.thinkingConfig.{name}");
        match &*name {
            "includeThoughts" => {}
            "thinkingBudget" => {
                let budget: i64 = fields::value(at, raw)?;
                request.reasoning_tokens = u64::try_from(budget).ok().filter(|&budget| budget > 0);
            }
            "thinkingLevel" => {
                let Str(level) = fields::value::<Str<'_>>(at, raw)?;
                let known = Effort::named(&level.to_ascii_lowercase());
                if known.is_none() && level != "THINKING_LEVEL_UNSPECIFIED" {
                    let message = format!("{at}: there is no level '{level}'.");
                    return Err(Refused { param: at.to_string().into(), message: message.into() });
                }
                request.reasoning_effort = known;
            }
            _ => request.other.push((at.to_string().into(), raw)),
        }
    }
    Ok(())
}

/// All images are looked at alike.
fn look(request: &mut Request<'_>, detail: &'static str) {
    for message in &mut request.messages {
        let (Message::User(parts) | Message::Tool { parts, .. }) = message else { continue };
        for part in parts {
            if let Part::Image(image) = part {
                image.detail = Some(detail.into());
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    description: Option<Str<'a>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow, alias = "parameters_json_schema")]
    parameters_json_schema: Option<&'a RawValue>,
}

fn read_tool<'a>(tool: &'a RawValue, index: usize, request: &mut Request<'a>) -> Result<(), Refused> {
    let at = Path::new("tools").at(index);
    for (name, raw) in members_of(tool, at)? {
        let name = camel(name);
        if name != "functionDeclarations" {
            let param = format!("{at}.{name}");
            let message = format!(
                "{param}: this tool is one of Google's own, which the provider of this model does not know. Declare \
                 a function, or choose a model of Google's."
            );
            return Err(Refused { param: param.into(), message: message.into() });
        }
        let within_tool = at.field("functionDeclarations");
        let functions: Vec<Declaration<'_>> = fields::value(within_tool, raw)?;
        for (index, function) in functions.into_iter().enumerate() {
            let at = within_tool.at(index);
            let parameters = match (function.parameters_json_schema, function.parameters) {
                (Some(schema), _) => Some(Cow::Borrowed(schema)),
                (None, Some(schema)) => Some(
                    json_schema(schema, Of::Arguments)
                        .map_err(|refused| within(refused, at.field("parameters")))?,
                ),
                (None, None) => None,
            };
            request.tools.push(Tool {
                name: required(function.name, at.field("name"))?.0,
                description: function.description.map(|Str(text)| text),
                parameters,
                strict: None,
            });
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    #[serde(borrow)]
    mode: Option<&'a RawValue>,
    #[serde(borrow, alias = "allowed_function_names")]
    allowed_function_names: Option<Vec<Str<'a>>>,
}

/// Where modes are told.
const MODE: &str = "toolConfig.functionCallingConfig.mode";

fn tool_config<'a>(config: &'a RawValue, request: &mut Request<'a>) -> Result<Option<Calling<'a>>, Refused> {
    let mut calling = None;
    for (name, raw) in members_of(config, Path::new("toolConfig"))? {
        let name = camel(name);
        let at = format_args!("toolConfig.{name}");
        match &*name {
            "functionCallingConfig" => calling = Some(fields::value(at, raw)?),
            _ => request.other.push((at.to_string().into(), raw)),
        }
    }
    Ok(calling)
}

/// Whether and which functions are called. `VALIDATED`, which is `AUTO` that follows schemas to the letter, is named as
/// what others have nothing like.
fn choose<'a>(calling: Calling<'a>, request: &mut Request<'a>) -> Result<(), Refused> {
    let Some(raw) = calling.mode else { return Ok(()) };
    let allowed = calling.allowed_function_names.unwrap_or_default();
    request.tool_choice = match &*fields::value::<Str<'_>>(MODE, raw)?.0 {
        "MODE_UNSPECIFIED" => None,
        "AUTO" => Some(ToolChoice::Auto),
        "NONE" => Some(ToolChoice::None),
        "VALIDATED" => {
            request.other.push((MODE.into(), raw));
            Some(ToolChoice::Auto)
        }
        "ANY" => match allowed.as_slice() {
            [Str(only)] => Some(ToolChoice::Function(only.clone())),
            _ => Some(ToolChoice::Required),
        },
        other => {
            let message = format!("{MODE}: there is no mode '{other}'. Use 'AUTO', 'ANY' or 'NONE'.");
            return Err(Refused { param: MODE.into(), message: message.into() });
        }
    };
    if allowed.len() > 1 {
        request.tools.retain(|tool| allowed.iter().any(|Str(name)| *name == tool.name));
    }
    Ok(())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
