//! A request as Claude wants it.
//!
//! Source: Claude API reference, "Create a Message" (body parameters); "Structured outputs"; "Tool use"
//! (`tool_choice`, `strict`, parallel tool use).

use super::model::{Model, Sampling};
use super::thinking::{self, Plan};
use super::{PROVIDER, blocks};
use crate::dialect::chat::{
    Losses, Refused, Request, ResponseFormat, Tool, ToolChoice,
    idle::{IDLE, is_idle},
    schema::{described, write_parameters},
};
use crate::dialect::json::write;

/// Appends the body of a request for `model`, as the provider names it.
///
/// Claude must be told how many tokens to write at most: `max_tokens_default` where the client does not say.
///
/// - System messages all become the top-level `system`, also those from the middle of the conversation.
/// - A schema for the answer becomes `output_config.format`, which every model since Opus 4.1 has. Any JSON object
///   (`json_object`) cannot be had: Claude has only schemas, and those name every member.
/// - A temperature above 1 is off Claude's scale; to clamp it would be to answer another question.
///
/// # Errors
/// Where the request has content that Claude cannot be sent, or parameters that it does not have and `losses` is not
/// to drop.
pub fn write_request(
    request: &Request<'_>,
    model: &str,
    max_tokens_default: u64,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let takes = Model::named(model);
    let (plan, max_tokens) = thinking::plan(request, takes, max_tokens_default, losses)?;
    out.push(b'{');
    write::string(out, "model", model);
    write::plain(out, "max_tokens", max_tokens);
    blocks::write_system(request, out)?;
    blocks::write_messages(request, losses, out)?;
    write_tools(request, takes, losses, out)?;
    plan.write(out);
    write_output(request, takes, plan, losses, out)?;
    write_sampling(request, takes, plan, losses, out)?;
    write_stop(request, losses, out)?;
    if let Some(user) = &request.user {
        write::name(out, "metadata");
        out.push(b'{');
        write::string(out, "user_id", user);
        out.push(b'}');
    }
    if request.stream {
        write::plain(out, "stream", true);
    }
    write_other(request, losses, out)?;
    out.push(b'}');
    Ok(())
}

fn write_tools(
    request: &Request<'_>,
    takes: Model,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if request.tools.is_empty() {
        return match &request.tool_choice {
            None | Some(ToolChoice::Auto | ToolChoice::None) => Ok(()),
            Some(_) => Losses::refuse("tool_choice", "A call cannot be asked for without 'tools'."),
        };
    }
    write::name(out, "tools");
    out.push(b'[');
    for (at, tool) in request.tools.iter().enumerate() {
        write_tool(at, tool, takes, losses, out)?;
    }
    out.push(b']');
    let one_at_a_time = request.parallel_tool_calls == Some(false);
    let choice = match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Function(_)) if !takes.forced_tools => {
            losses.cannot("tool_choice", PROVIDER)?;
            Some(&ToolChoice::Auto)
        }
        None if one_at_a_time => Some(&ToolChoice::Auto),
        choice => choice.as_ref(),
    };
    let Some(choice) = choice else { return Ok(()) };
    write::name(out, "tool_choice");
    out.push(b'{');
    match choice {
        ToolChoice::Auto => write::string(out, "type", "auto"),
        ToolChoice::None => write::string(out, "type", "none"),
        ToolChoice::Required => write::string(out, "type", "any"),
        ToolChoice::Function(name) => {
            write::string(out, "type", "tool");
            write::string(out, "name", name);
        }
    }
    if one_at_a_time && *choice != ToolChoice::None {
        write::plain(out, "disable_parallel_tool_use", true);
    }
    out.push(b'}');
    Ok(())
}

fn write_tool(
    at: usize,
    tool: &Tool<'_>,
    takes: Model,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    write::comma(out);
    out.push(b'{');
    write::string(out, "name", &tool.name);
    if let Some(description) = &tool.description {
        write::string(out, "description", description);
    }
    write::name(out, "input_schema");
    write_parameters(at, tool, out)?;
    if tool.strict == Some(true) {
        if takes.structured {
            write::plain(out, "strict", true);
        } else {
            losses.cannot(format!("tools[{at}].function.strict"), PROVIDER)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// `output_config`: the effort, and the form of the answer.
fn write_output(
    request: &Request<'_>,
    takes: Model,
    plan: Plan,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let effort = match plan {
        Plan::Adaptive(effort) => effort,
        _ => None,
    };
    let schema = match &request.response_format {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject) => {
            losses.cannot("response_format", PROVIDER)?;
            None
        }
        Some(ResponseFormat::JsonSchema { .. }) if !takes.structured => {
            losses.cannot("response_format", PROVIDER)?;
            None
        }
        Some(ResponseFormat::JsonSchema { schema: None, .. }) => {
            return Losses::refuse(
                "response_format.json_schema.schema",
                "The schema of the answer is missing.",
            );
        }
        // The name is only a label, and Claude follows every schema to the letter.
        Some(ResponseFormat::JsonSchema { schema: Some(schema), description, .. }) => {
            Some(described(schema, description.as_deref()))
        }
    };
    if effort.is_none() && schema.is_none() {
        return Ok(());
    }
    write::name(out, "output_config");
    out.push(b'{');
    if let Some(effort) = effort {
        write::string(out, "effort", effort);
    }
    if let Some(schema) = schema {
        write::name(out, "format");
        out.push(b'{');
        write::string(out, "type", "json_schema");
        write::raw(out, "schema", &schema);
        out.push(b'}');
    }
    out.push(b'}');
    Ok(())
}

/// The parameters of sampling, and those that only other providers have.
///
/// With thinking, Claude takes no temperature and no `top_k`, and of `top_p` only 0.95 to 1 ("Extended thinking",
/// feature compatibility). A value that is the default anyway is left out where it is not taken.
fn write_sampling(
    request: &Request<'_>,
    takes: Model,
    plan: Plan,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let mut cannot = |param: &'static str| losses.cannot(param, PROVIDER);
    let fixed = takes.sampling == Sampling::Fixed;
    let mut warm = false;
    if let Some(temperature) = request.temperature
        && temperature != 1.0
    {
        if fixed || plan.on() || temperature > 1.0 {
            cannot("temperature")?;
        } else {
            write::plain(out, "temperature", temperature);
            warm = true;
        }
    }
    if let Some(top_p) = request.top_p
        && top_p != 1.0
    {
        if fixed || (plan.on() && top_p < 0.95) || (warm && takes.sampling == Sampling::One) {
            cannot("top_p")?;
        } else {
            write::plain(out, "top_p", top_p);
        }
    }
    if let Some(top_k) = request.top_k {
        if fixed || plan.on() {
            cannot("top_k")?;
        } else {
            write::plain(out, "top_k", top_k);
        }
    }
    if request.n.is_some_and(|n| n != 1) {
        return Losses::refuse("n", "Claude gives one answer to a request: ask for each of them apart.");
    }
    for (param, asked) in [
        ("frequency_penalty", request.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("presence_penalty", request.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("seed", request.seed.is_some()),
        ("logprobs", request.logprobs == Some(true)),
        ("top_logprobs", request.top_logprobs.is_some_and(|count| count > 0)),
    ] {
        if asked {
            cannot(param)?;
        }
    }
    Ok(())
}

/// `stop_sequences`, which must have a visible character.
fn write_stop(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    let (visible, blank): (Vec<_>, Vec<_>) = request.stop.iter().partition(|stop| !stop.trim().is_empty());
    if !blank.is_empty() {
        losses.cannot("stop", PROVIDER)?;
    }
    if visible.is_empty() {
        return Ok(());
    }
    write::strings(out, "stop_sequences", visible);
    Ok(())
}

/// Of all else, `cache_control` is Claude's own and `service_tier` has its like.
fn write_other(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    for (name, value) in &request.other {
        let value = value.get().trim();
        match (name.as_ref(), value) {
            (name, value) if is_idle(IDLE, name, value) => {}
            ("cache_control", _) => write::raw(out, "cache_control", value),
            // OpenAI's standard processing is Claude's without what was bought ahead.
            ("service_tier", "\"default\"") => write::string(out, "service_tier", "standard_only"),
            _ => losses.cannot(name.to_string(), PROVIDER)?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
