//! A chat as the input of a prediction.
//!
//! Source: the inputs of Replicate's language models, as their pages list them: Meta's (`prompt`, `system_prompt`,
//! `max_tokens`, `stop_sequences`, ...), which most follow; OpenAI's (`max_completion_tokens`) and Google's
//! (`system_instruction`, `max_output_tokens`).

use super::{PROVIDER, version};
use crate::dialect::{
    chat::{Losses, Message, Part, Refused, Request, ResponseFormat, ToolChoice},
    json::write_string,
};

/// What an owner's models call the instructions, and the most tokens.
const NAMES: [(&str, &str, &str); 2] = [
    ("openai/", "system_prompt", "max_completion_tokens"),
    ("google/", "system_instruction", "max_output_tokens"),
];

/// What OpenAI's clients may send that no language model there has an input for.
const OPENAIS: [&str; 16] = [
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "metadata",
    "modalities",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "thinking",
    "verbosity",
    "web_search_options",
    "context_management",
];

/// Appends the body that asks `model` the same.
///
/// - Models take one text. A conversation of several turns is written as one, each turn with the name of who spoke.
/// - Texts that end the answer are one input, separated by commas.
///
/// # Errors
/// Where something cannot be said in this dialect. What stands in `out` is of no use then.
pub fn write_request(
    request: &Request<'_>,
    model: &str,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if !model.contains('/') {
        return Losses::refuse(
            "model",
            "Replicate's models are named 'owner/name', or 'owner/name:version'.",
        );
    }
    name_losses(request, losses)?;
    let named = NAMES.iter().find(|(owner, ..)| model.starts_with(owner));
    let (system_name, max_tokens_name) =
        named.map_or(("system_prompt", "max_tokens"), |(_, system, most)| (system, most));
    let (system, prompt) = texts(request)?;
    out.push(b'{');
    if let Some(version) = version(model) {
        out.extend_from_slice(b"\"version\":");
        write_string(out, version);
        out.push(b',');
    }
    if request.stream {
        out.extend_from_slice(b"\"stream\":true,");
    }
    out.extend_from_slice(b"\"input\":{\"prompt\":");
    write_string(out, &prompt);
    if !system.is_empty() {
        key(out, system_name);
        write_string(out, &system);
    }
    number(out, max_tokens_name, request.max_tokens);
    number(out, "temperature", request.temperature);
    number(out, "top_p", request.top_p);
    number(out, "top_k", request.top_k);
    number(out, "presence_penalty", request.presence_penalty);
    number(out, "frequency_penalty", request.frequency_penalty);
    number(out, "seed", request.seed);
    if !request.stop.is_empty() {
        key(out, "stop_sequences");
        write_string(out, &request.stop.join(","));
    }
    for (name, value) in &request.other {
        if !is_no_input(name) {
            out.push(b',');
            write_string(out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// Whether no model has an input of this name: it is OpenAI's own, or Google's, whose names are not in snake case or are
/// places in its request (`safetySettings`, `generationConfig.speechConfig`).
fn is_no_input(name: &str) -> bool {
    let is_googles = name == "labels" || name.contains(|char: char| char == '.' || char.is_ascii_uppercase());
    name == "stream_options" || OPENAIS.contains(&name) || is_googles
}

/// Names what there is nothing like.
fn name_losses(request: &Request<'_>, losses: &mut Losses) -> Result<(), Refused> {
    if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_))) {
        return Losses::refuse("tool_choice", "The models of this provider (replicate) call no functions.");
    }
    for (param, asked) in [
        ("tools", !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::None)),
        ("response_format", !matches!(request.response_format, None | Some(ResponseFormat::Text))),
        ("n", request.n.is_some_and(|n| n != 1)),
        ("logprobs", request.logprobs == Some(true)),
        ("reasoning_effort", request.reasoning_effort.is_some()),
        ("thinking", request.reasoning_tokens.is_some()),
        ("user", request.user.is_some()),
        ("stop", request.stop.iter().any(|text| text.contains(','))),
    ] {
        if asked {
            losses.cannot(param, PROVIDER)?;
        }
    }
    for (name, value) in &request.other {
        let nothing = matches!(
            (&**name, value.get()),
            ("store", "false")
                | ("metadata" | "logit_bias", "{}")
                | ("modalities", "[\"text\"]")
                | ("service_tier", "\"auto\"" | "\"default\"")
                | ("stream_options", _)
        );
        if is_no_input(name) && !nothing {
            losses.cannot(name.clone().into_owned(), PROVIDER)?;
        }
    }
    Ok(())
}

/// The instructions, and all that was said.
fn texts(request: &Request<'_>) -> Result<(String, String), Refused> {
    let mut system = String::new();
    let mut turns: Vec<(&str, String)> = Vec::new();
    for (index, message) in request.messages.iter().enumerate() {
        match message {
            Message::System(parts) => {
                if !system.is_empty() {
                    system.push_str("\n\n");
                }
                append(&mut system, parts, index)?;
            }
            Message::User(parts) => {
                let mut text = String::new();
                append(&mut text, parts, index)?;
                turns.push(("User", text));
            }
            Message::Assistant(message) if message.calls.is_empty() => {
                let mut text = String::new();
                append(&mut text, &message.parts, index)?;
                text.push_str(message.refusal.as_deref().unwrap_or_default());
                turns.push(("Assistant", text));
            }
            Message::Assistant(_) | Message::Tool { .. } => {
                return Losses::refuse(
                    format!("messages[{index}]"),
                    "The models of this provider (replicate) call no functions, so a conversation with calls cannot go on there.",
                );
            }
        }
    }
    if let [("User", text)] = &mut turns[..] {
        return Ok((system, std::mem::take(text)));
    }
    let mut prompt = String::new();
    for (who, text) in &turns {
        prompt.push_str(who);
        prompt.push_str(": ");
        prompt.push_str(text);
        prompt.push_str("\n\n");
    }
    prompt.push_str("Assistant:");
    Ok((system, prompt))
}

fn append(text: &mut String, parts: &[Part<'_>], message: usize) -> Result<(), Refused> {
    for (index, part) in parts.iter().enumerate() {
        let what = match part {
            Part::Text(part) => {
                text.push_str(part);
                continue;
            }
            Part::Image(_) => "Images",
            Part::Audio(_) => "Sound",
            Part::File(_) => "Documents",
        };
        return Losses::refuse(
            format!("messages[{message}].content[{index}]"),
            format!(
                "{what} cannot be sent to this provider (replicate): each of its models takes them in its own way."
            ),
        );
    }
    Ok(())
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number<T: serde::Serialize>(out: &mut Vec<u8>, name: &str, number: Option<T>) {
    if let Some(number) = number {
        key(out, name);
        // Numbers can be written.
        let _ = serde_json::to_writer(out, &number);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::openai::chat::read_request;

    fn sent(model: &str, body: &Value, drop: bool) -> Result<(Value, Vec<String>), Refused> {
        let body = body.to_string();
        let request = read_request(body.as_bytes())?;
        let (mut losses, mut out) = (Losses::new(drop), Vec::new());
        write_request(&request, model, &mut losses, &mut out)?;
        let dropped = losses.dropped().iter().map(ToString::to_string).collect();
        Ok((serde_json::from_slice(&out).unwrap(), dropped))
    }

    const LLAMA: &str = "meta/meta-llama-3-70b-instruct";

    #[test]
    fn one_turn_is_the_prompt() {
        let body = json!({"model": "m", "messages": [
                {"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be \"kind\"."},
                {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}],
            "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "presence_penalty": 1, "frequency_penalty": 0,
            "seed": 7, "stop": ["a", "b"], "n": 1, "stream": true, "stream_options": {"include_usage": true},
            "store": false, "min_tokens": 3, "prompt_template": "{prompt}"});
        let (body, _) = sent(LLAMA, &body, false).unwrap();
        let wanted = json!({"stream": true, "input": {"prompt": "Hello", "system_prompt": "Be brief.\n\nBe \"kind\".", "max_tokens": 5,
            "temperature": 0.5, "top_p": 0.9, "presence_penalty": 1.0, "frequency_penalty": 0.0, "seed": 7,
            "stop_sequences": "a,b", "min_tokens": 3, "prompt_template": "{prompt}"}});
        assert_eq!(body, wanted);
    }

    #[test]
    fn several_turns_are_told_with_their_speakers() {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Who?"}], "max_tokens": 9});
        for (model, system, most, version) in [
            (LLAMA, "system_prompt", "max_tokens", None),
            ("openai/gpt-4o", "system_prompt", "max_completion_tokens", None),
            ("google/gemini-2.5-flash", "system_instruction", "max_output_tokens", None),
            ("me/mine:abc", "system_prompt", "max_tokens", Some("abc")),
        ] {
            let (body, _) = sent(model, &body, false).unwrap();
            assert_eq!(body["input"]["prompt"], "User: Hi\n\nAssistant: Hello.\n\nUser: Who?\n\nAssistant:");
            assert_eq!((&body["input"][most], body["input"].get(system)), (&9.into(), None), "{model}");
            assert_eq!(body.get("version").and_then(Value::as_str), version);
        }
    }

    #[test]
    fn what_there_is_nothing_like_is_named() {
        let tools =
            json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
        for (more, param) in [
            (json!({"tools": tools}), "tools"),
            (json!({"response_format": {"type": "json_object"}}), "response_format"),
            (json!({"n": 2}), "n"),
            (json!({"logprobs": true}), "logprobs"),
            (json!({"reasoning_effort": "low"}), "reasoning_effort"),
            (json!({"user": "u"}), "user"),
            (json!({"stop": "a,b"}), "stop"),
            (json!({"logit_bias": {"1": 1}}), "logit_bias"),
            (json!({"store": true}), "store"),
            (json!({"safetySettings": []}), "safetySettings"),
            (json!({"generationConfig.speechConfig": {}}), "generationConfig.speechConfig"),
        ] {
            let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(sent(LLAMA, &body, false).unwrap_err().param, param);
            let (sent, dropped) = sent(LLAMA, &body, true).unwrap();
            assert_eq!(dropped, [param], "{sent}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let user = |content: Value| json!([{"role": "user", "content": content}]);
        let image = json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]);
        let calls = json!([{"role": "assistant", "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "1", "content": "r"}]);
        for (model, messages, param) in [
            (LLAMA, user(image), "messages[0].content[0]"),
            (LLAMA, calls, "messages[0]"),
            ("llama", user("Hi".into()), "model"),
        ] {
            let body = json!({"model": "m", "messages": messages});
            assert_eq!(sent(model, &body, true).unwrap_err().param, param);
        }
    }
}
