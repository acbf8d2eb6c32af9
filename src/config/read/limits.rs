//! Sections `llm_providers[].limits` and `api_keys[].limits`: what one key may use.
//!
//! 0 is "no limit" everywhere, as in the original.

use std::time::Duration;

use crate::config::duration::Bare;
use crate::config::field::Section;
use crate::config::limits::{
    DEFAULT_SESSION_WINDOW, MAX_CONNECTIONS, MAX_RATE, MAX_SESSION_WINDOW, MAX_SPEND_USD,
};
use crate::config::money::MicroUsd;
use crate::config::provider::KeyLimits;
use crate::config::schema::ClientLimits;

/// The limits of one key, a provider's or a client's.
pub(super) fn of_key(section: &Section<'_>) -> KeyLimits {
    let limit = |key: &str, max: u64| section.get(key)?.integer(0..=max).filter(|n| *n > 0);
    let second = Duration::from_secs(1);
    KeyLimits {
        req_per_min: limit("req_per_min", MAX_RATE),
        tokens_per_min: limit("tokens_per_min", MAX_RATE),
        max_tokens: limit("max_tokens", MAX_RATE),
        session_limit: limit("session_limit", MAX_RATE),
        session_window: section
            .get("session_type")
            .and_then(|field| field.duration(Bare::Seconds, second..=MAX_SESSION_WINDOW))
            .unwrap_or(DEFAULT_SESSION_WINDOW),
        max_concurrent: limit("max_concurrent", MAX_CONNECTIONS),
    }
}

/// The limits of a client: those of a key, and money.
pub(super) fn of_client(section: &Section<'_>) -> ClientLimits {
    let spend = |key: &str| {
        let micro = section.get(key)?.micro_units(MAX_SPEND_USD)?;
        (micro > 0).then_some(MicroUsd(micro))
    };
    let (day, month) = (spend("spend_per_day"), spend("spend_per_month"));
    if let (Some(day), Some(month)) = (day, month)
        && day > month
        && let Some(field) = section.get("spend_per_day")
    {
        field.warn(format!("never reached: `spend_per_month` is {month}"), None);
    }
    ClientLimits { requests: of_key(section), spend_per_day: day, spend_per_month: month }
}
