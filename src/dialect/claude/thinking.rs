//! How much a model is told to think, and what that leaves of the other parameters.
//!
//! Source: Claude documentation, "Extended thinking" and "Adaptive thinking" (with tools, feature compatibility),
//! "Effort".

use super::PROVIDER;
use super::model::{Model, Off, Thinking};
use crate::dialect::chat::{Effort, Losses, Message, Refused, Request, ToolChoice};
use crate::dialect::json::write;

/// The least `budget_tokens`.
const LEAST_BUDGET: u64 = 1024;

/// What is said of thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: as the model does of itself.
    Unsaid,
    /// Not to, by this `thinking.type`.
    Off(&'static str),
    /// At most so many tokens.
    Budget(u64),
    /// As it sees fit, with this effort.
    Adaptive(Option<&'static str>),
}

impl Plan {
    /// Whether the model is told to think.
    pub fn on(self) -> bool {
        matches!(self, Self::Budget(_) | Self::Adaptive(_))
    }

    /// Appends `thinking`.
    pub fn write(self, out: &mut Vec<u8>) {
        if self == Self::Unsaid {
            return;
        }
        write::name(out, "thinking");
        out.push(b'{');
        match self {
            Self::Unsaid => {}
            Self::Off(kind) => write::string(out, "type", kind),
            Self::Budget(tokens) => {
                write::string(out, "type", "enabled");
                write::plain(out, "budget_tokens", tokens);
            }
            Self::Adaptive(_) => {
                write::string(out, "type", "adaptive");
                // From Opus 4.7 on thoughts come without their text unless it is asked for.
                write::string(out, "display", "summarized");
            }
        }
        out.push(b'}');
    }
}

/// What to say of thinking, and the `max_tokens` that go with it: those of the client, or the default, above a budget
/// that the client gave.
///
/// Efforts become `output_config.effort` where the model has that, `minimal` as the least and `xhigh` as the most
/// there is; else a share of `max_tokens`. Where thinking cannot be, it is named to `losses` and left out.
pub fn plan(
    request: &Request<'_>,
    model: Model,
    max_tokens_default: u64,
    losses: &mut Losses,
) -> Result<(Plan, u64), Refused> {
    let max_tokens = request.max_tokens.unwrap_or(max_tokens_default);
    let forced = forces_tools(request);
    // Models that think of themselves have to be told not to where a tool is forced.
    let unasked = match model.off {
        Off::Said(kind) if forced && model.forced_tools => Plan::Off(kind),
        _ => Plan::Unsaid,
    };
    let param =
        if request.reasoning_tokens.is_some() { "thinking.budget_tokens" } else { "reasoning_effort" };
    let effort = match (request.reasoning_tokens, request.reasoning_effort) {
        (None, None) => return Ok((unasked, max_tokens)),
        (Some(0), _) | (None, Some(Effort::None)) => {
            let plan = match model.off {
                Off::Unsaid => Plan::Unsaid,
                Off::Said(kind) => Plan::Off(kind),
                Off::Never => {
                    losses.cannot(param, PROVIDER)?;
                    Plan::Unsaid
                }
            };
            return Ok((plan, max_tokens));
        }
        (_, effort) => effort,
    };
    // Thinking goes with no forced tool, except in models that cannot do without.
    if model.thinking == Thinking::Never || (forced && model.forced_tools && model.off != Off::Never) {
        losses.cannot(param, PROVIDER)?;
        return Ok((unasked, max_tokens));
    }
    let budgeted = match model.thinking {
        Thinking::Never | Thinking::Budget => true,
        Thinking::Either => request.reasoning_tokens.is_some(),
        Thinking::Adaptive => false,
    };
    if !budgeted {
        if request.reasoning_tokens.is_some() {
            losses.cannot(param, PROVIDER)?;
        }
        return Ok((Plan::Adaptive(effort.map(|effort| word(effort, model))), max_tokens));
    }
    if unfinished_without_thoughts(&request.messages) {
        losses.cannot(param, PROVIDER)?;
        return Ok((unasked, max_tokens));
    }
    if let Some(tokens) = request.reasoning_tokens {
        if tokens < LEAST_BUDGET {
            return Losses::refuse(param, "Claude thinks with at least 1024 tokens.");
        }
        let max_tokens = request.max_tokens.unwrap_or(max_tokens_default.saturating_add(tokens));
        if tokens >= max_tokens {
            return Losses::refuse(param, "The tokens to think with must be fewer than 'max_tokens'.");
        }
        return Ok((Plan::Budget(tokens), max_tokens));
    }
    let tokens = share(effort.unwrap_or(Effort::Medium), max_tokens).max(LEAST_BUDGET);
    if tokens >= max_tokens {
        losses.cannot(param, PROVIDER)?;
        return Ok((unasked, max_tokens));
    }
    Ok((Plan::Budget(tokens), max_tokens))
}

/// Whether the request makes the model call a tool.
pub fn forces_tools(request: &Request<'_>) -> bool {
    matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_)))
}

fn word(effort: Effort, model: Model) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh if model.thinking == Thinking::Adaptive => "xhigh",
        // Claude 4.6 has `max` and no `xhigh`.
        Effort::XHigh => "max",
    }
}

/// The tokens to think with, of all that may be written: the shares that OpenRouter documents for the same purpose
/// ("Reasoning tokens", `reasoning.effort`).
fn share(effort: Effort, max_tokens: u64) -> u64 {
    let percent = match effort {
        Effort::None | Effort::Minimal => 10,
        Effort::Low => 20,
        Effort::Medium => 50,
        Effort::High => 80,
        Effort::XHigh => 95,
    };
    max_tokens.saturating_mul(percent) / 100
}

/// Whether the model last called functions and its thoughts before that are not there, as with most clients of
/// OpenAI's API: with a budget, Claude wants them back beside the results.
fn unfinished_without_thoughts(messages: &[Message<'_>]) -> bool {
    let last = messages.iter().rev().find_map(|message| match message {
        Message::Assistant(said) => Some(said),
        _ => None,
    });
    last.is_some_and(|said| {
        !said.calls.is_empty() && !said.reasoning.iter().any(|(_, signature)| signature.is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat::{AssistantMessage, Call};

    #[test]
    fn thinking_is_said_as_each_model_takes_it() {
        use Plan::{Adaptive, Budget, Off, Unsaid};
        let (e, none) = (Some::<Effort>, None::<Effort>);
        for (model, effort, tokens, max, forced, plan, max_tokens, lost) in [
            // Of itself.
            ("claude-sonnet-4-5", none, None, None, false, Unsaid, 4096, None),
            ("claude-opus-5", none, None, Some(9), false, Unsaid, 9, None),
            ("claude-opus-5", none, None, None, true, Off("disabled"), 4096, None),
            // Not.
            ("claude-sonnet-4-5", e(Effort::None), None, None, false, Unsaid, 4096, None),
            ("claude-sonnet-5", e(Effort::None), None, None, false, Off("disabled"), 4096, None),
            ("claude-sonnet-5-5", none, Some(0), None, false, Off("between_tools"), 4096, None),
            ("claude-opus-5-5", e(Effort::None), None, None, false, Unsaid, 4096, Some("reasoning_effort")),
            // With a budget.
            (
                "claude-3-5-haiku-20241022",
                e(Effort::Low),
                None,
                None,
                false,
                Unsaid,
                4096,
                Some("reasoning_effort"),
            ),
            ("claude-sonnet-4-5", e(Effort::Minimal), None, None, false, Budget(1024), 4096, None),
            ("claude-sonnet-4-5", e(Effort::High), None, Some(20_000), false, Budget(16_000), 20_000, None),
            (
                "claude-sonnet-4-5",
                e(Effort::High),
                None,
                Some(1024),
                false,
                Unsaid,
                1024,
                Some("reasoning_effort"),
            ),
            ("claude-sonnet-4-5", e(Effort::Low), None, None, true, Unsaid, 4096, Some("reasoning_effort")),
            ("claude-sonnet-4-5", none, Some(5000), None, false, Budget(5000), 9096, None),
            ("claude-sonnet-4-6", none, Some(5000), Some(6000), false, Budget(5000), 6000, None),
            // As it sees fit.
            ("claude-sonnet-4-6", e(Effort::XHigh), None, None, false, Adaptive(Some("max")), 4096, None),
            ("claude-opus-4-7", e(Effort::XHigh), None, None, false, Adaptive(Some("xhigh")), 4096, None),
            ("claude-opus-5-5", e(Effort::Minimal), None, None, false, Adaptive(Some("low")), 4096, None),
            (
                "claude-opus-5",
                none,
                Some(5000),
                None,
                false,
                Adaptive(None),
                4096,
                Some("thinking.budget_tokens"),
            ),
            (
                "claude-opus-5",
                e(Effort::Low),
                None,
                None,
                true,
                Off("disabled"),
                4096,
                Some("reasoning_effort"),
            ),
            ("claude-fable-5", e(Effort::Medium), None, None, true, Adaptive(Some("medium")), 4096, None),
        ] {
            let request = Request {
                reasoning_effort: effort,
                reasoning_tokens: tokens,
                max_tokens: max,
                tool_choice: forced.then_some(ToolChoice::Required),
                ..Request::default()
            };
            let mut losses = Losses::new(true);
            let made = super::plan(&request, Model::named(model), 4096, &mut losses).unwrap();
            assert_eq!(made, (plan, max_tokens), "{model} {effort:?} {tokens:?}");
            assert_eq!(losses.dropped().first().map(AsRef::as_ref), lost, "{model} {effort:?} {tokens:?}");
        }
    }

    #[test]
    fn a_budget_that_cannot_be_is_refused() {
        for (tokens, max) in [(1000, None), (2000, Some(2000))] {
            let request = Request { reasoning_tokens: Some(tokens), max_tokens: max, ..Request::default() };
            let model = Model::named("claude-haiku-4-5");
            let refused = plan(&request, model, 4096, &mut Losses::new(true)).unwrap_err();
            assert_eq!(refused.param, "thinking.budget_tokens");
        }
    }

    #[test]
    fn a_budget_needs_the_thoughts_before_a_call() {
        let call = Call { id: "1".into(), name: "f".into(), arguments: "{}".into() };
        let result = || Message::Tool { call_id: "1".into(), parts: vec![], is_error: false };
        for (reasoning, after, wanted) in [
            (vec![], vec![], Plan::Unsaid),
            (vec![("hm".into(), None)], vec![], Plan::Unsaid),
            (vec![("hm".into(), Some("sig".into()))], vec![], Plan::Budget(2048)),
            (vec![], vec![Message::User(vec![])], Plan::Unsaid),
            (vec![], vec![Message::Assistant(AssistantMessage::default())], Plan::Budget(2048)),
        ] {
            let said =
                AssistantMessage { calls: vec![call.clone()], reasoning, ..AssistantMessage::default() };
            let mut messages = vec![Message::Assistant(said), result()];
            messages.extend(after);
            let request = Request { messages, reasoning_effort: Some(Effort::Medium), ..Request::default() };
            for (model, wanted) in
                [("claude-haiku-4-5", wanted), ("claude-opus-5", Plan::Adaptive(Some("medium")))]
            {
                let mut losses = Losses::new(true);
                let (made, _) = plan(&request, Model::named(model), 4096, &mut losses).unwrap();
                assert_eq!(made, wanted);
                assert_eq!(losses.dropped().is_empty(), made.on());
            }
        }
    }
}
