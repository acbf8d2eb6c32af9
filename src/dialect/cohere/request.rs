//! A chat as Cohere wants it.
//!
//! Source: Cohere API reference, "Chat" (body parameters); the guides "Structured outputs" (`response_format`,
//! `strict_tools`), "Tool use" (`tool_choice`) and "Reasoning" (`thinking`).

use serde_json::value::RawValue;

use super::messages::{self, Document};
use super::{PROVIDER, thinks};
use crate::dialect::chat::{
    Effort, Losses, Refused, Request, ResponseFormat, Tool, ToolChoice, schema::described,
};
use crate::dialect::json::write;

/// "A list of up to 5 strings" (`stop_sequences`).
const MAX_STOPS: usize = 5;
/// The most `k`.
const MAX_K: u64 = 500;
/// The ends of the scale of `p`. OpenAI's ends at 0 and 1, which differ from these in nothing that is heard of.
const P: (f64, f64) = (0.01, 0.99);

/// Members of other dialects that mean nothing where they have these values.
const NOTHING: [(&str, &[&str]); 7] = [
    ("store", &["false"]),
    ("stream_options", &[]),
    ("service_tier", &["\"auto\"", "\"default\""]),
    ("modalities", &["[\"text\"]"]),
    ("verbosity", &["\"medium\""]),
    ("logit_bias", &["{}"]),
    ("metadata", &["{}"]),
];

/// Members of Cohere's own that clients send beside OpenAI's.
const OWN: [&str; 3] = ["citation_options", "safety_mode", "priority"];

/// Appends the body of a request for `model`, as the provider names it.
///
/// # Errors
/// Where the request has content that Cohere cannot be sent, or parameters that it does not have and `losses` is not
/// to drop.
pub fn write_request(
    request: &Request<'_>,
    model: &str,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    out.push(b'{');
    write::string(out, "model", model);
    if request.stream {
        write::plain(out, "stream", true);
    }
    let files = messages::write_messages(request, thinks(model), out)?;
    write_documents(request, &files, out)?;
    write_tools(request, losses, out)?;
    write_format(request, losses, out)?;
    write_thinking(request, model, losses, out)?;
    write_sampling(request, losses, out)?;
    write_other(request, losses, out)?;
    out.push(b'}');
    Ok(())
}

/// `documents`: those that the client sends by this name, and text files of its messages.
fn write_documents(request: &Request<'_>, files: &[Document<'_>], out: &mut Vec<u8>) -> Result<(), Refused> {
    let given =
        request.other.iter().find(|(name, _)| name == "documents").map(|(_, value)| value.get().trim());
    let given = match given {
        None | Some("null") => "",
        Some(list) => match list.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
            Some(elements) => elements.trim(),
            None => return Losses::refuse("documents", "'documents' must be an array."),
        },
    };
    if given.is_empty() && files.is_empty() {
        return Ok(());
    }
    write::name(out, "documents");
    out.push(b'[');
    out.extend_from_slice(given.as_bytes());
    for file in files {
        write::comma(out);
        file.write(out);
    }
    out.push(b']');
    Ok(())
}

fn write_tools(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    if request.tools.is_empty() {
        return match &request.tool_choice {
            None | Some(ToolChoice::Auto | ToolChoice::None) => Ok(()),
            Some(_) => Losses::refuse("tool_choice", "A call cannot be asked for without 'tools'."),
        };
    }
    if request.parallel_tool_calls == Some(false) {
        losses.cannot("parallel_tool_calls", PROVIDER)?;
    }
    let is_offered = |tool: &Tool<'_>| match &request.tool_choice {
        Some(ToolChoice::Function(name)) => tool.name == *name,
        _ => true,
    };
    let offered: Vec<_> = request.tools.iter().enumerate().filter(|(_, tool)| is_offered(tool)).collect();
    if offered.is_empty() {
        return Losses::refuse("tool_choice", "'tool_choice' names a function that is not among 'tools'.");
    }
    write::name(out, "tools");
    out.push(b'[');
    for (_, tool) in &offered {
        write_tool(tool, out);
    }
    out.push(b']');
    // All of them follow their schemas to the letter, or none does.
    let loose = |(_, tool): &&(usize, &Tool<'_>)| tool.strict != Some(true);
    let strict = offered.iter().find(|tool| !loose(tool));
    match (strict, offered.iter().find(loose)) {
        (Some(_), None) => write::plain(out, "strict_tools", true),
        (Some((at, _)), Some(_)) => losses.cannot(format!("tools[{at}].function.strict"), PROVIDER)?,
        (None, _) => {}
    }
    match &request.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        Some(ToolChoice::None) => write::string(out, "tool_choice", "NONE"),
        Some(ToolChoice::Required | ToolChoice::Function(_)) => {
            write::string(out, "tool_choice", "REQUIRED");
        }
    }
    Ok(())
}

fn write_tool(tool: &Tool<'_>, out: &mut Vec<u8>) {
    write::open(out, "function");
    write::name(out, "function");
    out.push(b'{');
    write::string(out, "name", &tool.name);
    if let Some(description) = &tool.description {
        write::string(out, "description", description);
    }
    // A schema must be there.
    let schema = tool.parameters.as_deref().map(RawValue::get).filter(|schema| schema.trim() != "null");
    write::raw(out, "parameters", schema.unwrap_or("{\"type\":\"object\",\"properties\":{}}"));
    out.extend_from_slice(b"}}");
}

/// `response_format`, which goes with no tools. Schemas are always followed to the letter, and have no name.
fn write_format(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    let schema = match &request.response_format {
        None | Some(ResponseFormat::Text) => return Ok(()),
        Some(_) if !request.tools.is_empty() => return losses.cannot("response_format", PROVIDER),
        Some(ResponseFormat::JsonObject) => None,
        Some(ResponseFormat::JsonSchema { schema: None, .. }) => {
            return Losses::refuse(
                "response_format.json_schema.schema",
                "The schema of the answer is missing.",
            );
        }
        Some(ResponseFormat::JsonSchema { schema, description, .. }) => {
            schema.as_deref().map(|schema| described(schema, description.as_deref()))
        }
    };
    write::name(out, "response_format");
    out.push(b'{');
    write::string(out, "type", "json_object");
    if let Some(schema) = schema {
        write::raw(out, "json_schema", &schema);
    }
    out.push(b'}');
    Ok(())
}

/// `thinking`, which models that can think do unasked. An effort is a bound of the tokens to think with.
fn write_thinking(
    request: &Request<'_>,
    model: &str,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let (kind, budget) = match (request.reasoning_tokens, request.reasoning_effort) {
        (None, None) => return Ok(()),
        (Some(0), _) | (None, Some(Effort::None)) if thinks(model) => ("disabled", None),
        (Some(0), _) | (None, Some(Effort::None)) => return Ok(()),
        (tokens, _) if !thinks(model) => {
            let param = if tokens.is_some() { "thinking.budget_tokens" } else { "reasoning_effort" };
            return losses.cannot(param, PROVIDER);
        }
        (Some(tokens), _) => ("enabled", Some(tokens)),
        (None, Some(Effort::Minimal | Effort::Low)) => ("enabled", Some(1024)),
        (None, Some(Effort::Medium)) => ("enabled", Some(8192)),
        (None, Some(Effort::High | Effort::XHigh)) => ("enabled", None),
    };
    write::name(out, "thinking");
    out.push(b'{');
    write::string(out, "type", kind);
    if let Some(budget) = budget {
        write::plain(out, "token_budget", budget);
    }
    out.push(b'}');
    Ok(())
}

/// The parameters of sampling. What is off Cohere's scale is not moved to its end: that would be to answer another
/// question.
fn write_sampling(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    if request.user.is_some() {
        losses.leave_out("user");
    }
    let mut cannot = |param: &'static str| losses.cannot(param, PROVIDER);
    if let Some(most) = request.max_tokens {
        write::plain(out, "max_tokens", most);
    }
    match request.temperature {
        Some(temperature) if (0.0..=1.0).contains(&temperature) => {
            write::plain(out, "temperature", temperature);
        }
        Some(_) => cannot("temperature")?,
        None => {}
    }
    match request.top_p {
        Some(top_p) if (0.0..=1.0).contains(&top_p) => write::plain(out, "p", top_p.clamp(P.0, P.1)),
        Some(_) => cannot("top_p")?,
        None => {}
    }
    match request.top_k {
        Some(top_k) if top_k <= MAX_K => write::plain(out, "k", top_k),
        Some(_) => cannot("top_k")?,
        None => {}
    }
    for (param, penalty) in
        [("frequency_penalty", request.frequency_penalty), ("presence_penalty", request.presence_penalty)]
    {
        match penalty {
            Some(penalty) if (0.0..=1.0).contains(&penalty) => write::plain(out, param, penalty),
            Some(_) => cannot(param)?,
            None => {}
        }
    }
    // None is negative there. Which one it is does not matter as long as the same seed gives the same one.
    if let Some(seed) = request.seed {
        write::plain(out, "seed", seed.unsigned_abs());
    }
    if request.n.is_some_and(|n| n != 1) {
        return Losses::refuse("n", "Cohere gives one answer to a request: ask for each of them apart.");
    }
    if request.logprobs == Some(true) {
        write::plain(out, "logprobs", true);
    }
    if request.top_logprobs.is_some_and(|count| count > 0) {
        cannot("top_logprobs")?;
    }
    if request.stop.len() > MAX_STOPS || request.stop.iter().any(|stop| stop.is_empty()) {
        cannot("stop")?;
    }
    let mut stops = request.stop.iter().filter(|stop| !stop.is_empty()).take(MAX_STOPS).peekable();
    if stops.peek().is_some() {
        write::strings(out, "stop_sequences", stops);
    }
    Ok(())
}

fn write_other(request: &Request<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Refused> {
    for (name, value) in &request.other {
        let value = value.get().trim();
        let is_nothing = |(known, values): &(&str, &[&str])| {
            *known == name && (values.is_empty() || values.contains(&value))
        };
        match name.as_ref() {
            _ if value == "null" || NOTHING.iter().any(is_nothing) => {}
            // Written with the files of the messages.
            "documents" => {}
            own if OWN.contains(&own) => write::raw(out, own, value),
            _ => losses.cannot(name.to_string(), PROVIDER)?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
