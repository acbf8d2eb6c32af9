//! What those who speak OpenAI's dialect do each in its own way, where they are asked.
//!
//! Source: Mistral, "Chat Completion" and "Reasoning", what its own client can send, and the checks of its
//! `mistral-common` (ids of calls, the order of messages); xAI, "Reasoning" (what its models refuse), and what its API
//! answers to a wrong key; OpenRouter, "Reasoning tokens" and "Parameters"; Fireworks and Together, "Chat completions"
//! (`top_k`), and what Fireworks' own client can send.

use std::borrow::Cow;

use coo_shards::budget::home::fnv1a;

use super::error::read_error;
use crate::dialect::chat::{Effort, Losses, Message, Refused};

/// Whose ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// As OpenAI does, as far as is known.
    #[default]
    OpenAi,
    /// Mistral, which refuses what it does not know.
    Mistral,
    /// xAI.
    Grok,
    /// OpenRouter.
    OpenRouter,
    /// Fireworks, which refuses what it does not know.
    Fireworks,
    /// Together.
    Together,
}

/// What Mistral knows of the members that a request keeps in `other`.
const MISTRAL: [&str; 5] = ["metadata", "prediction", "prompt_cache_key", "prompt_mode", "safe_prompt"];

/// What Fireworks knows of them.
const FIREWORKS: [&str; 5] = ["logit_bias", "metadata", "prediction", "prompt_cache_key", "service_tier"];

/// Members of OpenAI's own request, which the others know or overlook.
const OPENAI: [&str; 13] = [
    "audio",
    "logit_bias",
    "metadata",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options",
];

/// How long an id of a call is with Mistral, and what it is made of.
const CALL_ID_CHARS: usize = 9;
const ALPHABET: [u8; 62] = *b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Models of xAI's that think always as much as they do, and refuse to be told how much.
const GROK_UNTOLD: [&str; 6] = ["grok-2", "grok-3", "grok-4-", "grok-4.1", "grok-4.2", "grok-code"];

impl Family {
    /// Whether a member of `other` may be sent.
    pub(super) fn knows(self, member: &str) -> bool {
        match self {
            Self::Mistral => MISTRAL.contains(&member),
            Self::Fireworks => FIREWORKS.contains(&member),
            _ => OPENAI.contains(&member),
        }
    }

    /// Whether there is a `top_k`.
    pub(super) fn has_top_k(self) -> bool {
        matches!(self, Self::Mistral | Self::OpenRouter | Self::Fireworks | Self::Together)
    }

    /// Whether stop texts and penalties are refused, as models of xAI's that think do.
    pub(super) fn refuses_stop(self, model: &str) -> bool {
        self == Self::Grok
            && !model.contains("non-reasoning")
            && ["grok-3-mini", "grok-4", "grok-code"].iter().any(|thinks| model.starts_with(thinks))
    }

    /// The word for an effort, where the model can be told.
    pub(super) fn effort(self, model: &str, effort: Effort) -> Option<&'static str> {
        let three = match effort {
            Effort::None => "none",
            Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High | Effort::XHigh => "high",
        };
        match self {
            Self::Mistral if model.starts_with("magistral") => None,
            Self::Mistral if model.starts_with("mistral-large") => Some(three),
            // These think or do not.
            Self::Mistral if effort == Effort::None => Some("none"),
            Self::Mistral => Some("high"),
            Self::Grok if model.starts_with("grok-3-mini") => match effort {
                Effort::None => None,
                Effort::Minimal | Effort::Low => Some("low"),
                _ => Some("high"),
            },
            Self::Grok if model == "grok-4" || GROK_UNTOLD.iter().any(|name| model.starts_with(name)) => None,
            Self::Grok => Some(three),
            _ => Effort::NAMES.iter().find(|(_, known)| *known == effort).map(|(name, _)| *name),
        }
    }

    /// The messages in the order that they are sent in, each with its place in the request. Mistral refuses instructions
    /// behind an answer or a function's result ("Unexpected role 'system' after role 'assistant'"): these go to the front,
    /// behind those that are there. So they stay instructions, as with providers that have one place for all of them.
    ///
    /// # Errors
    /// Where an answer that was over would be the last message then, and be gone on with.
    pub(super) fn ordered<'m, 'r>(
        self,
        messages: &'m [Message<'r>],
    ) -> Result<Vec<(usize, &'m Message<'r>)>, Refused> {
        let all = messages.iter().enumerate();
        if self != Self::Mistral {
            return Ok(all.collect());
        }
        let first = messages.iter().take_while(|message| matches!(message, Message::System(_))).count();
        let mut before: Option<&Message<'_>> = None;
        let (late, mut ordered): (Vec<_>, Vec<_>) = all.partition(|(_, message)| {
            let is_late = matches!(message, Message::System(_))
                && matches!(before, Some(Message::Assistant(_) | Message::Tool { .. }));
            if !is_late {
                before = Some(*message);
            }
            is_late
        });
        if let (Some((index, _)), Some(Message::Assistant(_))) = (late.last(), before)
            && index + 1 == messages.len()
        {
            return Losses::refuse(
                format!("messages[{index}]"),
                "The provider of this model (mistral) takes no instructions behind an answer where nothing follows: \
                 put them in front, or into a message of the user.",
            );
        }
        ordered.splice(first..first, late);
        Ok(ordered)
    }

    /// The id of a call as it may be sent. The same id makes the same one, so that a result finds its call.
    pub(super) fn call_id(self, id: &str) -> Cow<'_, str> {
        let fits = id.len() == CALL_ID_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if self != Self::Mistral || fits {
            return Cow::Borrowed(id);
        }
        // What is wanted is only that two ids of one conversation do not become one.
        let mut rest = fnv1a(id);
        let mut made = String::with_capacity(CALL_ID_CHARS);
        for _ in 0..CALL_ID_CHARS {
            let at = usize::try_from(rest % ALPHABET.len() as u64).unwrap_or_default();
            made.push(char::from(ALPHABET.get(at).copied().unwrap_or(b'0')));
            rest /= ALPHABET.len() as u64;
        }
        Cow::Owned(made)
    }
}

/// Whether a 400 says that the key is not known, as xAI's does: "Incorrect API key provided: sk***am. You can obtain an
/// API key from https://console.x.ai.", which it has also sent with its spaces escaped.
#[must_use]
pub fn refuses_key(body: &[u8]) -> bool {
    let said = read_error(400, body).message;
    ["Incorrect API key", "Incorrect%20API%20key"].iter().any(|words| said.starts_with(words))
}

#[cfg(test)]
#[path = "family_tests.rs"]
mod tests;
