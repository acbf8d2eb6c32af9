//! The limits of keys, as the engine counts them: one list for all shards, and for each key which of them are its.

use std::{sync::Arc, time::Duration};

use coo_shards::budget::{
    Limit, LimitId, Period,
    home::{fnv1a, home_of},
};

use super::{provider::KeyLimits, schema::ClientLimits};

const MINUTE: Duration = Duration::from_secs(60);

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Tokens of a session's window.
    SessionTokens,
    /// Requests in flight.
    Held,
    /// Micro-USD a day.
    Day,
    /// Micro-USD a month.
    Month,
}

impl Counts {
    /// All, in order.
    pub const ALL: [Self; 6] =
        [Self::Requests, Self::Tokens, Self::SessionTokens, Self::Held, Self::Day, Self::Month];

    /// As metrics show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
            Self::SessionTokens => "session_tokens",
            Self::Held => "concurrent_requests",
            Self::Day => "micro_usd_per_day",
            Self::Month => "micro_usd_per_month",
        }
    }
}

/// Whose a limit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A provider's key: the provider's id and the key, masked.
    Key(String, String),
    /// A client, by id.
    Client(String),
}

/// One limit, for people and for other instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The same in every instance with the same key; no secret can be read from it.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
    /// What it counts.
    pub counts: Counts,
    /// The head fields of an answer up to the number of what is left, for a client's limit on requests or tokens.
    pub fields: String,
}

/// Which limits apply to one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyBudget {
    /// Each limit that exists, in the order of [`Counts`].
    pub limits: [Option<LimitId>; Counts::ALL.len()],
    /// Most output tokens that a request may ask for.
    pub max_tokens: Option<u64>,
}

impl KeyBudget {
    /// The limit on what `counts` says.
    #[must_use]
    pub fn limit(&self, counts: Counts) -> Option<LimitId> {
        self.limits.get(counts as usize).copied().flatten()
    }

    /// Whether there is any limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limits.iter().any(Option::is_some) || self.max_tokens.is_some()
    }

    /// Whether tokens or money are counted, for which a request must be estimated.
    #[must_use]
    pub fn counts_tokens(&self) -> bool {
        [Counts::Tokens, Counts::SessionTokens, Counts::Day, Counts::Month]
            .iter()
            .any(|&counts| self.limit(counts).is_some())
    }
}

/// All limits of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    /// By [`LimitId`].
    pub limits: Arc<[Limit]>,
    /// The same, described.
    pub described: Vec<Described>,
}

/// Collects limits.
pub(super) struct Builder {
    shards: usize,
    limits: Vec<Limit>,
    described: Vec<Described>,
}

impl Builder {
    pub(super) fn new(shards: usize) -> Self {
        Self { shards, limits: Vec::new(), described: Vec::new() }
    }

    /// Adds the limits of a provider's key. The name is made from a hash: other instances must come to the same,
    /// whatever order their keys are in.
    pub(super) fn key(&mut self, provider: &str, key: &str, masked: &str, limits: &KeyLimits) -> KeyBudget {
        let name = format!("key:{provider}:{:016x}", fingerprint(key));
        self.add(&name, &Owner::Key(provider.to_owned(), masked.to_owned()), limits, None, None)
    }

    /// Adds the limits of a client.
    pub(super) fn client(&mut self, id: &str, limits: &ClientLimits) -> KeyBudget {
        let money = |amount: Option<super::money::MicroUsd>| amount.map(|amount| amount.0);
        let (day, month) = (money(limits.spend_per_day), money(limits.spend_per_month));
        self.add(&format!("client:{id}"), &Owner::Client(id.to_owned()), &limits.requests, day, month)
    }

    fn add(
        &mut self,
        name: &str,
        owner: &Owner,
        limits: &KeyLimits,
        day: Option<u64>,
        month: Option<u64>,
    ) -> KeyBudget {
        let sliding =
            |length: Duration| Period::Sliding(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        let mut budget = KeyBudget { max_tokens: limits.max_tokens, ..KeyBudget::default() };
        for (counts, amount, period) in [
            (Counts::Requests, limits.req_per_min, sliding(MINUTE)),
            (Counts::Tokens, limits.tokens_per_min, sliding(MINUTE)),
            (Counts::SessionTokens, limits.session_limit, sliding(limits.session_window)),
            (Counts::Held, limits.max_concurrent, Period::Held),
            (Counts::Day, day, Period::Day),
            (Counts::Month, month, Period::Month),
        ] {
            let (Some(amount), Ok(id)) = (amount, LimitId::try_from(self.limits.len())) else { continue };
            let name = format!("{name}:{}", counts.name());
            self.limits.push(Limit {
                amount: i64::try_from(amount).unwrap_or(i64::MAX),
                period,
                home: home_of(&name, self.shards),
            });
            let unit = match (owner, counts) {
                (Owner::Client(_), Counts::Requests) => Some("requests"),
                (Owner::Client(_), Counts::Tokens) => Some("tokens"),
                _ => None,
            };
            let fields = unit
                .map(|unit| format!("x-ratelimit-limit-{unit}: {amount}\r\nx-ratelimit-remaining-{unit}: "));
            let fields = fields.unwrap_or_default();
            self.described.push(Described { name, owner: owner.clone(), counts, fields });
            if let Some(slot) = budget.limits.get_mut(counts as usize) {
                *slot = Some(id);
            }
        }
        budget
    }

    pub(super) fn build(self) -> Budgets {
        Budgets { limits: self.limits.into(), described: self.described }
    }
}

/// A hash with a final mix. A provider's key has far more entropy than 64 bits, so nothing can be found by trying
/// keys.
fn fingerprint(key: &str) -> u64 {
    let hash = fnv1a(key);
    (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
