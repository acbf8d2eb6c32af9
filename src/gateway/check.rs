//! Checks of providers and keys that are out, so that no client's request has to find out whether they work again:
//! `GET models`, which costs nothing. Each provider is checked by one shard, which tells the others.

use std::{cell::Cell, rc::Rc, time::Duration};

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    time,
};
use http::Method;

use super::{balance::Check, select::check::Finding, shard::Shard};
use crate::config::{ProviderType, snapshot::Upstream};

/// How often it is looked whether a check is due, as a fraction of the interval, and at most.
const LOOKS_PER_INTERVAL: u64 = 20;
const MOST_BETWEEN_LOOKS_MS: u64 = 500;
/// Patience with a check: an interval, within these.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// Most of an answer that is received to keep its connection; of what is longer, the connection is closed.
const MOST_RECEIVED: usize = 256 * 1024;

/// Checks on this shard's ticks what is due, of every `shards`-th provider.
pub fn begin(shard: &Rc<Shard>, shards: usize) {
    let (shard, last) = (Rc::clone(shard), Cell::new(0));
    let interval = shard.balance.rules().check_interval;
    let between = (interval / LOOKS_PER_INTERVAL).min(MOST_BETWEEN_LOOKS_MS);
    time::on_tick(Rc::new(move |now| {
        if now.saturating_sub(last.get()) < between || shard.draining.is_raised() {
            return;
        }
        last.set(now);
        let is_mine = |provider: usize| provider % shards.max(1) == shard.index;
        for check in shard.balance.checks_due(shard.budget.now(), is_mine) {
            monoio::spawn(run(Rc::clone(&shard), check, Duration::from_millis(interval)));
        }
    }));
}

async fn run(shard: Rc<Shard>, check: Check, interval: Duration) {
    let patience = interval.clamp(PATIENCE.0, PATIENCE.1);
    let status = time::timeout(patience, ask(&shard, check, patience)).await.flatten();
    // With nothing else to be wrong in a request without a body, it is the key.
    let is_one = |provider: &Upstream| matches!(provider.kind, ProviderType::Gemini | ProviderType::Grok);
    let refuses_so = shard.snapshot.providers.get(check.provider).is_some_and(is_one);
    let status = if refuses_so && status == Some(400) { Some(401) } else { status };
    for news in shard.balance.checked(check, Finding::of(status), shard.budget.now()) {
        shard.budget.tell(news);
    }
}

/// Asks a provider for its models, on a connection of its own: one that lay idle may be as dead as the provider was.
async fn ask(shard: &Shard, check: Check, patience: Duration) -> Option<u16> {
    let head = shard.snapshot.providers.get(check.provider)?.keys.get(check.key)?.models_head();
    let mut request = Buf::with_capacity(LARGE_BYTES / 4);
    request.vec_mut().extend_from_slice(head);
    if let Some(token) = shard.tokens.of(check.provider) {
        request.vec_mut().extend_from_slice(&token);
    }
    request.vec_mut().extend_from_slice(b"\r\n");
    let mut connection = shard.pool.open(check.provider).await.ok()?;
    let head = match connection.exchange(&Method::GET, request, patience, shard.upstream_head, || {}).await {
        Ok(head) => head,
        Err(failed) => {
            connection.failed(&failed.kind);
            return None;
        }
    };
    connection.answered();
    connection.consume_head(&head);
    let mut received = 0;
    while !connection.is_complete() && received < MOST_RECEIVED {
        let n = connection.content().ok()?.len();
        connection.consume(n);
        received += n;
        if n == 0 && !connection.is_complete() && !matches!(connection.receive(patience).await, Ok(true)) {
            break;
        }
    }
    if connection.is_complete() {
        connection.release();
    }
    Some(head.status.as_u16())
}
