//! A chat as a `GenerateContentRequest`.
//!
//! Source: Gemini API reference, "Generating content" (`GenerationConfig`, `ThinkingConfig`) and "Caching" (`Tool`,
//! `ToolConfig`); `FunctionDeclaration.parametersJsonSchema` and `GenerationConfig.responseJsonSchema` of the SDK's
//! types, which take JSON Schema as OpenAI does; the guide "OpenAI compatibility" for what an effort means.

use std::borrow::Cow;

use serde::Deserialize;

use super::PROVIDER;
use super::contents::{write_contents, write_system};
use super::model::Model;
use super::write::{Array, Object, plain};
use crate::dialect::chat::{
    Effort, Losses, Message, Part, Refused, Request, ResponseFormat, Tool, ToolChoice, schema::described,
};

/// "Up to 5" (`GenerationConfig.stopSequences`).
const MAX_STOPS: usize = 5;

/// Appends the body that asks `model` the same.
///
/// # Errors
/// Where something cannot be said in this dialect. What stands in `out` is of no use then.
pub fn write_request(
    request: &Request<'_>,
    model: &str,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let model = Model::of(model);
    let mut body = Object::begin(out);
    write_contents(request, model, body.key("contents"))?;
    write_system(request, &mut body)?;
    let search = write_other(request, losses, &mut body)?;
    write_tools(request, search, losses, &mut body)?;
    write_config(request, model, losses, body.key("generationConfig"))?;
    body.end();
    Ok(())
}

/// `tools` and `toolConfig`.
fn write_tools(
    request: &Request<'_>,
    search: bool,
    losses: &mut Losses,
    body: &mut Object<'_>,
) -> Result<(), Refused> {
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        losses.cannot("parallel_tool_calls", PROVIDER)?;
    }
    if request.tools.is_empty() && !search {
        return Ok(());
    }
    let mut tools = Array::begin(body.key("tools"));
    if !request.tools.is_empty() {
        let mut tool = Object::begin(tools.element());
        let mut functions = Array::begin(tool.key("functionDeclarations"));
        for function in &request.tools {
            write_function(function, functions.element());
        }
        functions.end();
        tool.end();
    }
    if search {
        tools.element().extend_from_slice(b"{\"googleSearch\":{}}");
    }
    tools.end();
    // VALIDATED is AUTO that follows the schemas to the letter; ANY does so by itself.
    let strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    let (mode, only) = match &request.tool_choice {
        _ if request.tools.is_empty() => return Ok(()),
        None | Some(ToolChoice::Auto) if strict => ("VALIDATED", None),
        None => return Ok(()),
        Some(ToolChoice::Auto) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Required) => ("ANY", None),
        Some(ToolChoice::Function(name)) => ("ANY", Some(name)),
    };
    let mut config = Object::begin(body.key("toolConfig"));
    let mut calling = Object::begin(config.key("functionCallingConfig"));
    calling.text("mode", mode);
    calling.value("allowedFunctionNames", only.map(|name| [name]));
    calling.end();
    config.end();
    Ok(())
}

fn write_function(function: &Tool<'_>, out: &mut Vec<u8>) {
    let mut declaration = Object::begin(out);
    declaration.text("name", &function.name);
    if let Some(description) = &function.description {
        declaration.text("description", description);
    }
    if let Some(parameters) = function.parameters.as_deref().filter(|schema| schema.get() != "null") {
        declaration.raw("parametersJsonSchema", parameters.get());
    }
    declaration.end();
}

/// `generationConfig`.
fn write_config(
    request: &Request<'_>,
    model: Model,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let mut config = Object::begin(out);
    config.value("temperature", request.temperature);
    config.value("topP", request.top_p);
    config.value("topK", request.top_k);
    config.value("maxOutputTokens", request.max_tokens);
    config.value("presencePenalty", request.presence_penalty);
    config.value("frequencyPenalty", request.frequency_penalty);
    config.value("candidateCount", request.n.filter(|&n| n != 1));
    // A 32-bit number there. Which one does not matter as long as the same seed gives the same one.
    #[allow(clippy::cast_possible_truncation)]
    config.value("seed", request.seed.map(|seed| seed as i32));
    if request.stop.len() > MAX_STOPS {
        losses.cannot("stop", PROVIDER)?;
    }
    if !request.stop.is_empty() {
        let mut stops = Array::begin(config.key("stopSequences"));
        for stop in request.stop.iter().take(MAX_STOPS) {
            plain(stops.element(), stop);
        }
        stops.end();
    }
    if request.logprobs == Some(true) {
        config.value("responseLogprobs", Some(true));
        config.value("logprobs", request.top_logprobs);
    }
    write_format(request.response_format.as_ref(), &mut config);
    write_thinking(request, model, losses, &mut config)?;
    write_resolution(request, losses, &mut config)?;
    config.end();
    Ok(())
}

fn write_format(format: Option<&ResponseFormat<'_>>, config: &mut Object<'_>) {
    match format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => config.text("responseMimeType", "application/json"),
        // Schemas are always followed to the letter here, and have no name. What they are for is told where JSON Schema
        // has a place for it.
        Some(ResponseFormat::JsonSchema { description, schema, .. }) => {
            config.text("responseMimeType", "application/json");
            let Some(schema) = schema.as_deref().filter(|schema| schema.get() != "null") else { return };
            config.raw("responseJsonSchema", &described(schema, description.as_deref()));
        }
    }
}

/// `thinkingConfig`: levels from the third generation on, budgets before, by the table of "OpenAI compatibility".
/// Thoughts are shown where the client asked for thinking.
fn write_thinking(
    request: &Request<'_>,
    model: Model,
    losses: &mut Losses,
    config: &mut Object<'_>,
) -> Result<(), Refused> {
    let (level, budget) = match (request.reasoning_tokens, request.reasoning_effort) {
        (Some(tokens), _) => (None, Some(tokens)),
        (None, None) => return Ok(()),
        (None, Some(effort)) if model.third() => {
            if effort == Effort::None {
                // It cannot be turned off there.
                losses.cannot("reasoning_effort", PROVIDER)?;
            }
            let level = match effort {
                Effort::None | Effort::Minimal if !model.pro => "minimal",
                Effort::None | Effort::Minimal | Effort::Low => "low",
                Effort::Medium => "medium",
                Effort::High | Effort::XHigh => "high",
            };
            (Some(level), None)
        }
        (None, Some(effort)) => {
            let budget = match effort {
                Effort::None => 0,
                Effort::Minimal | Effort::Low => 1024,
                Effort::Medium => 8192,
                Effort::High | Effort::XHigh => 24_576,
            };
            (None, Some(budget))
        }
    };
    let shown = budget != Some(0) && request.reasoning_effort != Some(Effort::None);
    let mut thinking = Object::begin(config.key("thinkingConfig"));
    thinking.value("includeThoughts", shown.then_some(true));
    thinking.value("thinkingLevel", level);
    thinking.value("thinkingBudget", budget);
    thinking.end();
    Ok(())
}

/// `mediaResolution`: how closely images are looked at, which is one for all of them.
fn write_resolution(
    request: &Request<'_>,
    losses: &mut Losses,
    config: &mut Object<'_>,
) -> Result<(), Refused> {
    let images = request.messages.iter().flat_map(|message| match message {
        Message::User(parts) | Message::Tool { parts, .. } => parts.as_slice(),
        _ => &[],
    });
    let mut details = images.filter_map(|part| match part {
        Part::Image(image) => Some(image.detail.as_deref().unwrap_or("auto")),
        _ => None,
    });
    let Some(first) = details.next() else { return Ok(()) };
    if details.any(|detail| detail != first) {
        return losses.cannot("messages[].content[].image_url.detail", PROVIDER);
    }
    match first {
        "auto" => {}
        "low" => config.text("mediaResolution", "MEDIA_RESOLUTION_LOW"),
        "high" => config.text("mediaResolution", "MEDIA_RESOLUTION_HIGH"),
        _ => losses.cannot("messages[].content[].image_url.detail", PROVIDER)?,
    }
    Ok(())
}

/// What the client sent beside the common fields. Returns whether it wants the web searched.
fn write_other(request: &Request<'_>, losses: &mut Losses, body: &mut Object<'_>) -> Result<bool, Refused> {
    let mut search = false;
    if request.user.is_some() {
        losses.leave_out("user");
    }
    for (name, value) in &request.other {
        match (name.as_ref(), value.get()) {
            (_, "null")
            | ("store", "false")
            | ("logit_bias" | "metadata", "{}")
            | ("modalities", "[\"text\"]")
            | ("service_tier", "\"auto\"")
            | ("stream_options", _) => {}
            ("web_search_options", options) => {
                search = true;
                name_search_losses(options, losses)?;
            }
            // Gemini's own, by the names that clients of other gateways use for them.
            ("safety_settings" | "safetySettings", settings) => body.raw("safetySettings", settings),
            ("cached_content" | "cachedContent", name) => body.raw("cachedContent", name),
            ("service_tier", "\"default\"") => body.text("serviceTier", "standard"),
            ("service_tier", tier @ ("\"flex\"" | "\"priority\"")) => body.raw("serviceTier", tier),
            (name, _) => losses.cannot(name.to_owned(), PROVIDER)?,
        }
    }
    Ok(search)
}

fn name_search_losses(options: &str, losses: &mut Losses) -> Result<(), Refused> {
    #[derive(Default, Deserialize)]
    struct Options<'a> {
        search_context_size: Option<Cow<'a, str>>,
        user_location: Option<serde::de::IgnoredAny>,
    }
    let options: Options<'_> = serde_json::from_str(options).unwrap_or_default();
    if options.search_context_size.is_some_and(|size| size != "medium") {
        losses.cannot("web_search_options.search_context_size", PROVIDER)?;
    }
    if options.user_location.is_some() {
        losses.cannot("web_search_options.user_location", PROVIDER)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
