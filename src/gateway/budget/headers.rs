//! `x-ratelimit-*`: what a client has left, in the form of the OpenAI API.
//!
//! Source: OpenAI API, "Rate limits in headers". *Reset* is how long until the limit is whole again if nothing
//! more is spent, as durations such as `17ms`, `6.5s` or `1m30s`.

use coo_shards::budget::{LimitId, Millis, Period};

use super::Budget;
use crate::config::{
    budgets::{Counts, KeyBudget},
    snapshot::Snapshot,
};

impl Budget {
    /// Appends the fields for the limits that `client` has. What is left is what this shard knows of: its lease,
    /// and what the limit's home last said.
    pub fn write_headers(&self, snapshot: &Snapshot, client: &KeyBudget, out: &mut Vec<u8>) {
        for (counts, reset_name) in [
            (Counts::Requests, "\r\nx-ratelimit-reset-requests: "),
            (Counts::Tokens, "\r\nx-ratelimit-reset-tokens: "),
        ] {
            let Some(id) = client.limit(counts) else { continue };
            let Some(described) = snapshot.budgets.described.get(id as usize) else { continue };
            let Some((left, reset)) = self.left(snapshot, id) else { continue };
            out.extend_from_slice(described.fields.as_bytes());
            out.extend_from_slice(itoa::Buffer::new().format(left).as_bytes());
            out.extend_from_slice(reset_name.as_bytes());
            write_duration(out, reset);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn left(&self, snapshot: &Snapshot, id: LimitId) -> Option<(u64, Millis)> {
        let limit = snapshot.budgets.limits.get(id as usize)?;
        let wallet = self.wallet.borrow();
        let (most, left) =
            (u64::try_from(limit.amount).ok()?, u64::try_from(wallet.remaining(id)).unwrap_or(0));
        let Period::Sliding(window) = limit.period else { return None };
        let (spent, most_or_one) = (most.saturating_sub(left), most.max(1));
        let even = match window.checked_mul(spent) {
            Some(product) => product / most_or_one,
            None => u64::try_from(u128::from(window) * u128::from(spent) / u128::from(most_or_one))
                .unwrap_or(window),
        };
        let blocked = match wallet.not_before(id) {
            0 => 0,
            not_before => not_before.saturating_sub(self.now()),
        };
        Some((left, even.max(blocked)))
    }
}

fn write_duration(out: &mut Vec<u8>, ms: Millis) {
    let mut number = |value: u64, unit: &str| {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        out.extend_from_slice(unit.as_bytes());
    };
    let (minutes, seconds, rest) = (ms / 60_000, ms / 1000 % 60, ms % 1000);
    match (minutes, seconds, rest) {
        (0, 0, rest) => number(rest, "ms"),
        (0, seconds, 0) => number(seconds, "s"),
        (0, seconds, rest) => {
            number(seconds, ".");
            // Its leading zeros.
            number(rest / 100, "");
            number(rest / 10 % 10, "");
            number(rest % 10, "s");
        }
        (minutes, seconds, _) => {
            number(minutes, "m");
            number(seconds, "s");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_like_the_providers() {
        for (ms, want) in [
            (0, "0ms"),
            (17, "17ms"),
            (6_000, "6s"),
            (6_500, "6.500s"),
            (1_007, "1.007s"),
            (90_000, "1m30s"),
            (360_000, "6m0s"),
        ] {
            let mut out = Vec::new();
            write_duration(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
