//! What each of them refuses that OpenAI takes.

use serde_json::{Value, json};

use super::{Family, errors::Refusal};
use crate::simulate::openai::validate::{Fields, present};

/// What Mistral knows in a request (`ChatCompletionRequest` of `mistralai`). Everything else is refused.
const MISTRAL: [&str; 31] = [
    "frequency_penalty",
    "guardrails",
    "logprobs",
    "max_tokens",
    "messages",
    "metadata",
    "min_tokens",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_logprobs",
    "prompt_mode",
    "random_seed",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safe_prompt",
    "service_tier",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "top_prompt_logprobs",
];

/// What it knows in a message, by who speaks.
const MISTRAL_MESSAGES: [(&str, &[&str]); 4] = [
    ("system", &["role", "content"]),
    ("user", &["role", "content"]),
    ("assistant", &["role", "content", "tool_calls", "prefix"]),
    ("tool", &["role", "content", "tool_call_id", "name"]),
];

/// What Fireworks knows (`CompletionCreateParams` of `fireworks-ai`), and how a stream is asked for its usage.
const FIREWORKS: [&str; 47] = [
    "context_length_exceeded_behavior",
    "echo",
    "echo_last",
    "frequency_penalty",
    "function_call",
    "functions",
    "ignore_eos",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "min_p",
    "mirostat_lr",
    "mirostat_target",
    "model",
    "n",
    "parallel_tool_calls",
    "perf_metrics_in_response",
    "prediction",
    "presence_penalty",
    "prompt_cache_isolation_key",
    "prompt_cache_key",
    "prompt_truncate_len",
    "raw_output",
    "reasoning_effort",
    "reasoning_history",
    "repetition_penalty",
    "response_format",
    "return_token_ids",
    "safe_tokenization",
    "seed",
    "service_tier",
    "speculation",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "typical_p",
    "user",
];

/// What xAI's models that think refuse, and what it calls that.
const GROK_REFUSES: [(&str, &str); 3] =
    [("stop", "stop"), ("presence_penalty", "presencePenalty"), ("frequency_penalty", "frequencyPenalty")];

/// How long an id of a call is with Mistral.
pub(super) const CALL_ID_CHARS: usize = 9;

/// Whether one of xAI's models thinks.
pub(super) fn grok_thinks(model: &str) -> bool {
    !model.contains("non-reasoning")
        && ["grok-3-mini", "grok-4", "grok-code"].iter().any(|thinks| model.starts_with(thinks))
}

/// Refuses what the family does.
pub(super) fn check(family: Family, model: &str, fields: &Fields) -> Result<(), Refusal> {
    match family {
        Family::Mistral => mistral(fields),
        Family::Grok => grok(model, fields),
        Family::Fireworks => match fields.iter().find(|(name, _)| !FIREWORKS.contains(&name.as_str())) {
            Some((name, value)) => {
                let said = format!("Extra inputs are not permitted, field: '{name}', value: {value}");
                Err(Refusal::invalid(family, &said))
            }
            None => Ok(()),
        },
        Family::HuggingFace | Family::Tgi => inference(fields),
        Family::OpenRouter | Family::Together => Ok(()),
    }
}

/// The elements of a list, where it is one.
fn elements(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// A member that is not known, as pydantic has it.
fn extra(loc: Value, input: &Value) -> Value {
    json!({"type": "extra_forbidden", "loc": loc, "msg": "Extra inputs are not permitted", "input": input})
}

fn mistral(fields: &Fields) -> Result<(), Refusal> {
    let mut found = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| !MISTRAL.contains(&name.as_str())) {
        found.push(extra(json!(["body", name]), value));
    }
    // It is known, but nothing in it: usage comes unasked.
    for (name, value) in present(fields, "stream_options").and_then(Value::as_object).into_iter().flatten() {
        found.push(extra(json!(["body", "stream_options", name]), value));
    }
    for (at, message) in elements(fields.get("messages")).enumerate() {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        let known = MISTRAL_MESSAGES.iter().find(|(known, _)| *known == role).map(|(_, names)| *names);
        let Some(known) = known else {
            let msg = format!(
                "Input tag '{role}' found using 'role' does not match any of the expected tags: 'assistant', 'system', \
                 'tool', 'user'"
            );
            found.push(json!({"type": "union_tag_invalid", "loc": ["body", "messages", at], "msg": msg, "input": message}));
            continue;
        };
        for (name, value) in message.as_object().into_iter().flatten() {
            if !known.contains(&name.as_str()) {
                found.push(extra(json!(["body", "messages", at, role, name]), value));
            }
        }
    }
    for (at, tool) in elements(fields.get("tools")).enumerate() {
        if tool.get("function").is_some_and(|function| function.get("parameters").is_none()) {
            let loc = json!(["body", "tools", at, "function", "parameters"]);
            found.push(
                json!({"type": "missing", "loc": loc, "msg": "Field required", "input": tool["function"]}),
            );
        }
    }
    if let Some(choice) = present(fields, "tool_choice").and_then(Value::as_str)
        && !["auto", "none", "any", "required"].contains(&choice)
    {
        let msg = "Input should be 'auto', 'none', 'any' or 'required'";
        found.push(json!({"type": "enum", "loc": ["body", "tool_choice"], "msg": msg, "input": choice}));
    }
    if let Some(seed) = present(fields, "random_seed").filter(|seed| seed.as_u64().is_none()) {
        let msg = "Input should be greater than or equal to 0";
        found.push(
            json!({"type": "greater_than_equal", "loc": ["body", "random_seed"], "msg": msg, "input": seed}),
        );
    }
    if !found.is_empty() {
        return Err(Refusal::found(found));
    }
    conversation(fields)
}

/// The checks of `mistral-common`: who may speak after whom, and ids of calls.
fn conversation(fields: &Fields) -> Result<(), Refusal> {
    let messages: Vec<&Value> = elements(fields.get("messages")).collect();
    let role = |message: &Value| message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut before = String::new();
    for message in &messages {
        let now = role(message);
        let expected = match before.as_str() {
            "" => true,
            "tool" => matches!(now.as_str(), "assistant" | "tool"),
            "assistant" => matches!(now.as_str(), "assistant" | "user" | "tool"),
            _ => matches!(now.as_str(), "assistant" | "user" | "system"),
        };
        if !expected {
            let said = format!("Unexpected role '{now}' after role '{before}'");
            return Err(Refusal::mistral(400, &said, "invalid_request_message_order", "3230"));
        }
        let calls = elements(message.get("tool_calls")).filter_map(|call| call.get("id"));
        for id in calls.chain(message.get("tool_call_id")).filter_map(Value::as_str) {
            if id.len() != CALL_ID_CHARS || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let said = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.");
                return Err(Refusal::mistral(400, &said, "invalid_function_call", "3280"));
            }
        }
        before = now;
    }
    let begun = messages.last().is_some_and(|last| last.get("prefix") == Some(&Value::Bool(true)));
    if !(matches!(before.as_str(), "user" | "tool") || (before == "assistant" && begun)) {
        let said = format!(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got {before}"
        );
        return Err(Refusal::mistral(400, &said, "invalid_request_message_order", "3230"));
    }
    Ok(())
}

fn grok(model: &str, fields: &Fields) -> Result<(), Refusal> {
    let refuse = |name: &str| {
        Err(Refusal::invalid(Family::Grok, &format!("Argument not supported on this model: {name}")))
    };
    if grok_thinks(model)
        && let Some((_, name)) = GROK_REFUSES.iter().find(|(name, _)| present(fields, name).is_some())
    {
        return refuse(name);
    }
    // Of those that think most cannot be told how much.
    let told = !grok_thinks(model) || model.starts_with("grok-4.3");
    match present(fields, "reasoning_effort") {
        Some(effort)
            if model.starts_with("grok-3-mini") && *effort != json!("low") && *effort != json!("high") =>
        {
            let said = format!("Invalid reasoning effort: {effort}. It must be \"low\" or \"high\".");
            Err(Refusal::invalid(Family::Grok, &said))
        }
        Some(_) if !model.starts_with("grok-3-mini") && !told => refuse("reasoningEffort"),
        _ => Ok(()),
    }
}

/// The checks of Text Generation Inference, which many of the router's providers run.
fn inference(fields: &Fields) -> Result<(), Refusal> {
    let number = |name: &str| present(fields, name).and_then(Value::as_f64);
    let said = if number("top_p").is_some_and(|top_p| top_p <= 0.0 || top_p > 1.0) {
        "Input validation error: `top_p` must be > 0.0 and < 1.0"
    } else if number("max_tokens").is_some_and(|most| most < 1.0) {
        "Input validation error: `max_new_tokens` must be strictly positive"
    } else if elements(fields.get("stop")).count() > 4 {
        "Input validation error: `stop` supports up to 4 stop sequences. Given: 5"
    } else {
        return Ok(());
    };
    Err(Refusal::validation(said))
}
