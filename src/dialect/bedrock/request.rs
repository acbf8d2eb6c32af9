//! A request as Converse wants it.
//!
//! Source: Amazon Bedrock API reference, "Converse" (request body), "ToolConfiguration", "ServiceTier".

use super::inference::{self, Thoughts};
use super::model::Family;
use super::{PROVIDER, blocks};
use crate::dialect::chat::{
    Losses, Refused, Request, Tool, ToolChoice,
    idle::{IDLE, is_idle},
    schema::write_parameters,
};
use crate::dialect::json::write;

/// Members of Converse's own that a client may give, and that go on as they are.
const OWN: [&str; 3] = ["guardrailConfig", "performanceConfig", "promptVariables"];

/// Appends the body of a request. The model stands in its path.
///
/// `max_tokens_default` is needed only where a share of it is to be thought with: else the API's own default, the most
/// that the model writes, is left alone.
///
/// - System messages all become the top-level `system`, also those from the middle of the conversation.
/// - What only models of one maker have (`top_k`, thinking) goes where that maker's models have it.
/// - A function cannot be offered and forbidden at once (`tool_choice: none`): functions are left out then, which comes
///   to the same unless some were called before.
///
/// # Errors
/// Where the request has content that cannot be sent, or parameters that the API does not have and `losses` is not to
/// drop.
pub fn write_request(
    request: &Request<'_>,
    model: &str,
    max_tokens_default: u64,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if matches!(model, "." | "..") {
        // Of a path they mean another one, which would be signed, and the key be blamed for it.
        return Losses::refuse("model", "This is not the id of a model.");
    }
    let family = Family::of(model);
    let thoughts = Thoughts::of(request, family, max_tokens_default, losses)?;
    out.push(b'{');
    blocks::write_messages(request, losses, out)?;
    blocks::write_system(request, out)?;
    inference::write_config(request, family, &thoughts, losses, out)?;
    write_tools(request, family, losses, out)?;
    inference::write_additional(request, family, &thoughts, losses, out)?;
    inference::write_output(request, family, &thoughts, losses, out)?;
    write_other(request, losses, out)?;
    out.push(b'}');
    Ok(())
}

fn write_tools(
    request: &Request<'_>,
    family: Family,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let has_calls = blocks::has_calls(request);
    if request.tools.is_empty() {
        if has_calls {
            return Losses::refuse(
                "tools",
                "Bedrock wants the 'tools' of a conversation that has called some: send them again.",
            );
        }
        return match &request.tool_choice {
            None | Some(ToolChoice::Auto | ToolChoice::None) => Ok(()),
            Some(_) => Losses::refuse("tool_choice", "A call cannot be asked for without 'tools'."),
        };
    }
    if request.tool_choice == Some(ToolChoice::None) {
        if !has_calls {
            return Ok(());
        }
        losses.cannot("tool_choice", PROVIDER)?;
    }
    if request.parallel_tool_calls == Some(false) {
        losses.cannot("parallel_tool_calls", PROVIDER)?;
    }
    write::name(out, "toolConfig");
    out.push(b'{');
    write::name(out, "tools");
    out.push(b'[');
    for (at, tool) in request.tools.iter().enumerate() {
        write_tool(at, tool, family, losses, out)?;
    }
    out.push(b']');
    let forced_tools = !matches!(family, Family::Claude(claude) if !claude.forced_tools);
    match &request.tool_choice {
        // Not all models take the default where it is said.
        None | Some(ToolChoice::Auto | ToolChoice::None) => {}
        Some(_) if !forced_tools => losses.cannot("tool_choice", PROVIDER)?,
        Some(choice) => {
            write::name(out, "toolChoice");
            out.push(b'{');
            if let ToolChoice::Function(name) = choice {
                write::name(out, "tool");
                out.push(b'{');
                write::string(out, "name", name);
                out.push(b'}');
            } else {
                write::raw(out, "any", "{}");
            }
            out.push(b'}');
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_tool(
    at: usize,
    tool: &Tool<'_>,
    family: Family,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    write::comma(out);
    out.push(b'{');
    write::name(out, "toolSpec");
    out.push(b'{');
    write::string(out, "name", &tool.name);
    if let Some(description) = tool.description.as_ref().filter(|text| !text.trim().is_empty()) {
        write::string(out, "description", description);
    }
    write::name(out, "inputSchema");
    out.push(b'{');
    write::name(out, "json");
    write_parameters(at, tool, out)?;
    out.push(b'}');
    if tool.strict == Some(true) {
        if family.is_structured() {
            write::plain(out, "strict", true);
        } else {
            losses.cannot(format!("tools[{at}].function.strict"), PROVIDER)?;
        }
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// All else: what is Converse's own, the tier, and who asks, which Converse has as something to find log entries by.
fn write_other(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    let mut metadata = None;
    for (name, value) in &request.other {
        let value = value.get().trim();
        match (name.as_ref(), value) {
            (name, value) if is_idle(IDLE, name, value) => {}
            ("requestMetadata", _) => metadata = Some(value),
            ("service_tier", "\"default\"" | "\"flex\"" | "\"priority\"") => {
                write::name(out, "serviceTier");
                out.push(b'{');
                write::raw(out, "type", value);
                out.push(b'}');
            }
            (own, _) if OWN.contains(&own) => write::raw(out, own, value),
            _ => losses.cannot(name.to_string(), PROVIDER)?,
        }
    }
    match (metadata, &request.user) {
        (Some(metadata), user) => {
            if user.is_some() {
                losses.leave_out("user");
            }
            write::raw(out, "requestMetadata", metadata);
        }
        (None, Some(user)) if fits_metadata(user) => {
            write::name(out, "requestMetadata");
            out.push(b'{');
            write::string(out, "user", user);
            out.push(b'}');
        }
        (None, Some(_)) => losses.leave_out("user"),
        (None, None) => {}
    }
    Ok(())
}

/// Whether a text may be a value of `requestMetadata`: `[a-zA-Z0-9\s:_@$#=/+,-.]{0,256}`.
fn fits_metadata(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == ' ' || ":_@$#=/+,-.".contains(c);
    text.len() <= 256 && text.chars().all(fits)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
