//! How a model is to answer: `inferenceConfig`, `additionalModelRequestFields` and `outputConfig`.
//!
//! Source: Amazon Bedrock API reference, "InferenceConfiguration", "OutputConfig", "JsonSchemaDefinition"; the makers'
//! own parameters in the User Guide, "Inference request parameters": Anthropic Claude (`thinking`, `top_k`), Amazon Nova
//! (`inferenceConfig.topK`, `reasoningConfig`), OpenAI (`reasoning_effort`), Mistral AI (`top_k`), Cohere (`k`).

use super::PROVIDER;
use super::model::Family;
use crate::dialect::chat::{Effort, Losses, Refused, Request, ResponseFormat};
use crate::dialect::claude::{
    model::Sampling,
    thinking::{self, Plan},
};
use crate::dialect::json::write;

/// How much is to be thought, and how many tokens to write at most with that.
#[derive(Clone, Copy, Debug)]
pub struct Thoughts {
    plan: Plan,
    /// Of other models than Claude, in its maker's words.
    effort: Option<&'static str>,
    max_tokens: Option<u64>,
}

impl Thoughts {
    /// What a request asks of a model. What cannot be asked of it is named to `losses`.
    pub fn of(
        request: &Request<'_>,
        family: Family,
        max_tokens_default: u64,
        losses: &mut Losses,
    ) -> Result<Self, Refused> {
        let mut thoughts = Self { plan: Plan::Unsaid, effort: None, max_tokens: request.max_tokens };
        if let Family::Claude(claude) = family {
            let (plan, max_tokens) = thinking::plan(request, claude, max_tokens_default, losses)?;
            thoughts.plan = plan;
            if matches!(plan, Plan::Budget(_)) {
                thoughts.max_tokens = Some(max_tokens);
            }
            return Ok(thoughts);
        }
        if request.reasoning_tokens.is_some_and(|tokens| tokens > 0) {
            losses.cannot("thinking.budget_tokens", PROVIDER)?;
        }
        let Some(effort) = request.reasoning_effort else { return Ok(thoughts) };
        let word = match effort {
            Effort::None | Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High | Effort::XHigh => "high",
        };
        match family {
            // It thinks only where it is told to.
            Family::Nova { .. } if effort == Effort::None => {}
            Family::Nova { thinks: true } => thoughts.effort = Some(word),
            // It always thinks.
            Family::GptOss if effort != Effort::None => thoughts.effort = Some(word),
            _ => losses.cannot("reasoning_effort", PROVIDER)?,
        }
        Ok(thoughts)
    }
}

/// An object that is left out where it has no member.
fn object(
    out: &mut Vec<u8>,
    name: &str,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let start = out.len();
    write::name(out, name);
    out.push(b'{');
    let before = out.len();
    fill(out)?;
    if out.len() == before {
        out.truncate(start);
    } else {
        out.push(b'}');
    }
    Ok(())
}

/// Appends `inferenceConfig`. A temperature above 1 is off its scale; to clamp it would be to answer another question.
///
/// Claude takes no temperature while it thinks, and of `top_p` only 0.95 to 1; its newest models take neither, some not
/// both. A value that is its default anyway is left out there.
pub fn write_config(
    request: &Request<'_>,
    family: Family,
    thoughts: &Thoughts,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if request.n.is_some_and(|n| n != 1) {
        return Losses::refuse("n", "Bedrock gives one answer to a request: ask for each of them apart.");
    }
    for (param, asked) in [
        ("frequency_penalty", request.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("presence_penalty", request.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("seed", request.seed.is_some()),
        ("logprobs", request.logprobs == Some(true)),
        ("top_logprobs", request.top_logprobs.is_some_and(|count| count > 0)),
    ] {
        if asked {
            losses.cannot(param, PROVIDER)?;
        }
    }
    let claude = match family {
        Family::Claude(claude) => Some(claude.sampling),
        _ => None,
    };
    let is_default = |value: f64| claude.is_some() && value == 1.0;
    let fixed = claude == Some(Sampling::Fixed);
    object(out, "inferenceConfig", |out| {
        if let Some(max_tokens) = thoughts.max_tokens {
            write::plain(out, "maxTokens", max_tokens);
        }
        let mut warm = false;
        if let Some(temperature) = request.temperature.filter(|value| !is_default(*value)) {
            if fixed || thoughts.plan.on() || temperature > 1.0 {
                losses.cannot("temperature", PROVIDER)?;
            } else {
                write::plain(out, "temperature", temperature);
                warm = true;
            }
        }
        if let Some(top_p) = request.top_p.filter(|value| !is_default(*value)) {
            let one = warm && claude == Some(Sampling::One);
            if fixed || one || (thoughts.plan.on() && top_p < 0.95) {
                losses.cannot("top_p", PROVIDER)?;
            } else {
                write::plain(out, "topP", top_p);
            }
        }
        // No model can stop at nothing, and Claude not at what cannot be seen.
        let can = |stop: &str| !if claude.is_some() { stop.trim() } else { stop }.is_empty();
        let (stops, others): (Vec<_>, Vec<_>) = request.stop.iter().partition(|stop| can(stop));
        if !others.is_empty() {
            losses.cannot("stop", PROVIDER)?;
        }
        if !stops.is_empty() {
            write::strings(out, "stopSequences", stops);
        }
        Ok(())
    })
}

/// Appends `additionalModelRequestFields`, each model's own.
pub fn write_additional(
    request: &Request<'_>,
    family: Family,
    thoughts: &Thoughts,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    object(out, "additionalModelRequestFields", |out| {
        thoughts.plan.write(out);
        match (family, thoughts.effort) {
            (Family::Nova { .. }, Some(effort)) => {
                write::name(out, "reasoningConfig");
                out.push(b'{');
                write::string(out, "type", "enabled");
                write::string(out, "maxReasoningEffort", effort);
                out.push(b'}');
            }
            (_, Some(effort)) => write::string(out, "reasoning_effort", effort),
            (_, None) => {}
        }
        let Some(top_k) = request.top_k else { return Ok(()) };
        match family {
            Family::Claude(claude) if claude.sampling != Sampling::Fixed && !thoughts.plan.on() => {
                write::plain(out, "top_k", top_k);
            }
            Family::Nova { .. } => {
                write::name(out, "inferenceConfig");
                out.push(b'{');
                write::plain(out, "topK", top_k);
                out.push(b'}');
            }
            Family::Mistral => write::plain(out, "top_k", top_k),
            Family::Cohere => write::plain(out, "k", top_k),
            _ => losses.cannot("top_k", PROVIDER)?,
        }
        Ok(())
    })
}

/// Appends `outputConfig`: Claude's effort, and the form of the answer. Its schema is given as a text.
pub fn write_output(
    request: &Request<'_>,
    family: Family,
    thoughts: &Thoughts,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    object(out, "outputConfig", |out| {
        if let Plan::Adaptive(Some(effort)) = thoughts.plan {
            write::string(out, "effort", effort);
        }
        match &request.response_format {
            None | Some(ResponseFormat::Text) => Ok(()),
            Some(ResponseFormat::JsonObject) => losses.cannot("response_format", PROVIDER),
            Some(ResponseFormat::JsonSchema { .. }) if !family.is_structured() => {
                losses.cannot("response_format", PROVIDER)
            }
            Some(ResponseFormat::JsonSchema { schema: None, .. }) => {
                Losses::refuse("response_format.json_schema.schema", "The schema of the answer is missing.")
            }
            Some(ResponseFormat::JsonSchema { name, description, schema: Some(schema), .. }) => {
                write::name(out, "textFormat");
                out.push(b'{');
                write::string(out, "type", "json_schema");
                write::name(out, "structure");
                out.push(b'{');
                write::name(out, "jsonSchema");
                out.push(b'{');
                write::string(out, "schema", schema.get());
                write::string(out, "name", name);
                if let Some(description) = description {
                    write::string(out, "description", description);
                }
                out.extend_from_slice(b"}}}");
                Ok(())
            }
        }
    })
}
