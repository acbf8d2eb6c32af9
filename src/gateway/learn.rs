//! What a provider's answer says of our key: how much it will still take, and whether it is to rest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coo_shards::{budget::Millis, http1::head::Known};

use super::{
    account::Account,
    attempt::{Answer, Outgoing},
    shard::Shard,
};
use crate::{
    config::budgets::Counts,
    dialect::ratelimit::{self, Advice},
};

/// How long a key rests after a 429 or 529 that does not say for how long.
const DEFAULT_REST: Duration = Duration::from_secs(1);
/// The longest that it rests on one answer's word.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Takes what the head of a provider's answer says, and its body, where that stands for another `status` and tells
/// how long to rest.
pub fn from(
    shard: &Shard,
    outgoing: &Outgoing<'_, '_>,
    account: &Account,
    answer: &Answer<'_>,
    (status, rest): (u16, Option<Duration>),
) {
    let Some(key) = account.key else { return };
    let refused = matches!(status, 429 | 529);
    let limits = outgoing.upstream.keys.get(key).map(|key| key.budget).unwrap_or_default();
    // One that is overloaded may say for how long.
    let busy = status == 503;
    if !refused && !busy && !limits.is_limited() {
        return;
    }
    let bytes = answer.head_bytes();
    let others = answer.head.fields.iter().filter(|field| field.known == Known::Other);
    let fields = others.map(|field| (field.name(bytes), field.value(bytes)));
    let unix = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let advice = ratelimit::read(fields, unix);
    if !refused && advice == Advice::default() {
        return;
    }
    let now = shard.budget.now();
    let after = |wait| after(now, wait);
    for (counts, left) in [(Counts::Requests, advice.requests), (Counts::Tokens, advice.tokens)] {
        if let (Some(id), Some(left)) = (limits.limit(counts), left)
            && let Some(limit) = shard.snapshot.budgets.limits.get(id as usize)
        {
            let remaining = i64::try_from(left.remaining).unwrap_or(i64::MAX);
            shard.budget.close(id, limit.home, remaining, after(left.reset));
        }
    }
    if refused || (busy && advice.retry_after.is_some()) {
        let wait = advice.retry_after.or(rest).unwrap_or(DEFAULT_REST);
        shard.budget.rest(outgoing.provider, key, after(wait));
    }
}

/// Takes what a stream says that begins with the error of a limit: no head says for how long.
pub fn from_event(shard: &Shard, account: &Account) {
    if let (Some(provider), Some(key)) = (account.provider, account.key) {
        shard.budget.rest(provider, key, after(shard.budget.now(), DEFAULT_REST));
    }
}

fn after(now: Millis, wait: Duration) -> Millis {
    now + u64::try_from(wait.min(LONGEST_REST).as_millis()).unwrap_or(0)
}
