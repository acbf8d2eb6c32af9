//! What a provider decides about a request whatever its wire format: keys, models, limits, faults, lengths, paces.

use std::time::Duration;

use super::{
    exchange::Call,
    faults::Fault,
    limits::{Left, Refused, Verdict, Which},
    reply::Pace,
    settings::Tokens,
};

/// Why a request is refused; each format words it as its provider does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    NoKey,
    WrongKey,
    /// The model does not exist.
    NoModel,
    /// The account has nothing left.
    Quota,
    /// The prompt is longer than the model's context.
    Context,
    /// A limit of the key.
    Limited(Refused),
    /// An error that was asked for by its status, and when it says to come back.
    Status(u16, Option<Duration>),
}

/// Whether the request's key is one.
pub(crate) fn authenticate(call: &Call<'_>) -> Result<(), Trouble> {
    let Some(key) = call.key else {
        let open = call.live.ledger.is_none() && !call.live.settings.require_key;
        return if open { Ok(()) } else { Err(Trouble::NoKey) };
    };
    if call.live.settings.revoked.iter().any(|revoked| revoked.as_bytes() == key) {
        return Err(Trouble::WrongKey);
    }
    match &call.live.ledger {
        Some(ledger) if !ledger.knows(key) => Err(Trouble::WrongKey),
        _ => Ok(()),
    }
}

/// The fault chosen for a request that names `model`: trouble where it is an error answer, the fault itself
/// otherwise.
pub(crate) fn fault_of(call: &Call<'_>, model: &str) -> Result<Option<Fault>, Trouble> {
    match call.chosen_fault(Some(model)) {
        Some(Fault::Error(status)) => Err(injected(call, status)),
        Some(Fault::Quota) => Err(Trouble::Quota),
        Some(Fault::Context) => Err(Trouble::Context),
        fault => Ok(fault),
    }
}

/// Like [`fault_of`]; also checks that the model exists.
pub(crate) fn fault(call: &Call<'_>, model: &str) -> Result<Option<Fault>, Trouble> {
    let fault = fault_of(call, model)?;
    let models = &call.live.settings.models;
    let exists = if models.is_empty() {
        !model.contains("no-such-model")
    } else {
        models.iter().any(|one| one == model)
    };
    if exists { Ok(fault) } else { Err(Trouble::NoModel) }
}

/// The error that was asked for by its status.
fn injected(call: &Call<'_>, status: u16) -> Trouble {
    let configured = call.live.settings.retry_after;
    match status {
        429 => {
            let mut refused = exhausted();
            refused.retry_after = configured.or(refused.retry_after);
            Trouble::Limited(refused)
        }
        503 => Trouble::Status(status, configured),
        _ => Trouble::Status(status, None),
    }
}

/// A limit that is used up, where none is kept.
fn exhausted() -> Refused {
    Refused {
        which: Which::Requests,
        limit: 500,
        used: 500,
        requested: 1,
        retry_after: Some(Duration::from_millis(20)),
        left: Left {
            limit_requests: Some(500),
            limit_tokens: Some(200_000),
            remaining_requests: 0,
            remaining_tokens: 150_000,
            reset_requests: Duration::from_secs(60),
            reset_tokens: Duration::from_secs(15),
        },
    }
}

/// Spends a request of `tokens` from its key's limits, and draws the random errors.
pub(crate) fn spend(call: &Call<'_>, tokens: usize) -> Result<Option<Left>, Trouble> {
    let settings = &call.live.settings;
    if call.shard.rng.chance(settings.rate_limit_rate) {
        return Err(injected(call, 429));
    }
    if call.shard.rng.chance(settings.error_rate) {
        return Err(injected(call, settings.error_status));
    }
    let (Some(ledger), Some(key)) = (&call.live.ledger, call.key) else { return Ok(None) };
    match ledger.admit(key, tokens as u64, || call.shard.shared.now_us()) {
        Some(Verdict::Admitted(left)) => Ok(Some(left)),
        Some(Verdict::Refused(refused)) => Err(Trouble::Limited(refused)),
        None => Err(Trouble::WrongKey),
    }
}

/// How long an answer is where its request does not say.
pub(crate) fn length(call: &Call<'_>) -> Tokens {
    call.knobs.tokens.map_or(call.live.settings.answer_tokens, Tokens::exactly)
}

/// Tokens in each event of a stream.
pub(crate) fn chunk_tokens(call: &Call<'_>) -> usize {
    call.knobs.chunk_tokens.unwrap_or(call.live.settings.chunk_tokens).max(1)
}

/// How a stream is paced.
pub(crate) fn pace(call: &Call<'_>) -> Pace {
    let settings = &call.live.settings;
    let per_s = call.knobs.tokens_per_s.unwrap_or(settings.tokens_per_s);
    let first = call.knobs.first_token.unwrap_or(settings.first_token).sample(&call.shard.rng);
    let per_token = if per_s > 0.0 { Duration::try_from_secs_f64(1.0 / per_s).ok() } else { None };
    Pace { first: call.stretched(first), per_token: call.stretched(per_token.unwrap_or_default()) }
}

/// The models there are: those configured, or else `listed`.
pub(crate) fn models<'a>(call: &'a Call<'_>, listed: &'a [&'static str]) -> impl Iterator<Item = &'a str> {
    let configured = &call.live.settings.models;
    let listed = listed.iter().copied().filter(|_| configured.is_empty());
    configured.iter().map(String::as_str).chain(listed)
}
