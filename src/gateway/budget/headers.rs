//! `x-ratelimit-*`: what a client has left, in the form of the OpenAI API.
//!
//! Source: OpenAI API, "Rate limits in headers". *Reset* is how long until the limit is whole again if nothing
//! more is spent, as durations such as `17ms`, `6.5s` or `1m30s`.

use std::io::Write as _;

use coo_shards::{
    budget::{LimitId, Millis, Period},
    http1::encode,
};

use super::Budget;
use crate::config::{
    budgets::{Counts, KeyBudget},
    snapshot::Snapshot,
};

impl Budget {
    /// Appends the fields for the limits that `client` has. What is left is what this shard knows of: its lease,
    /// and what the limit's home last said.
    pub fn write_headers(&self, snapshot: &Snapshot, client: &KeyBudget, out: &mut Vec<u8>) {
        for (counts, limit_name, remaining_name, reset_name) in [
            (
                Counts::Requests,
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ),
            (
                Counts::Tokens,
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ),
        ] {
            let Some(id) = client.limit(counts) else { continue };
            let Some((limit, remaining, reset)) = self.left(snapshot, id) else { continue };
            encode::number_field(out, limit_name, limit);
            encode::number_field(out, remaining_name, remaining);
            let mut text = Vec::with_capacity(12);
            write_duration(&mut text, reset);
            encode::field(out, reset_name, &text);
        }
    }

    fn left(&self, snapshot: &Snapshot, id: LimitId) -> Option<(u64, u64, Millis)> {
        let limit = snapshot.budgets.limits.get(id as usize)?;
        let wallet = self.wallet.borrow();
        let (most, left) =
            (u64::try_from(limit.amount).ok()?, u64::try_from(wallet.remaining(id)).unwrap_or(0));
        let Period::Sliding(window) = limit.period else { return None };
        let spent = u128::from(most.saturating_sub(left));
        let even = u64::try_from(u128::from(window) * spent / u128::from(most.max(1))).unwrap_or(window);
        let blocked = wallet.not_before(id).saturating_sub(self.now());
        Some((most, left, even.max(blocked)))
    }
}

fn write_duration(out: &mut Vec<u8>, ms: Millis) {
    let (minutes, seconds, rest) = (ms / 60_000, ms / 1000 % 60, ms % 1000);
    let _ = match (minutes, seconds, rest) {
        (0, 0, rest) => write!(out, "{rest}ms"),
        (0, seconds, 0) => write!(out, "{seconds}s"),
        (0, seconds, rest) => write!(out, "{seconds}.{rest:03}s"),
        (minutes, seconds, _) => write!(out, "{minutes}m{seconds}s"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_like_the_providers() {
        for (ms, want) in
            [(0, "0ms"), (17, "17ms"), (6_000, "6s"), (6_500, "6.500s"), (90_000, "1m30s"), (360_000, "6m0s")]
        {
            let mut out = Vec::new();
            write_duration(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
