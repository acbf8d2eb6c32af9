//! A request that goes to a provider, and to another one where the first fails.
//!
//! While nothing of an answer has gone to the client, a failed attempt may be repeated: with another key, then at
//! another provider, then with the same key after a pause. Bounds are the attempts and the time that a request may
//! take, and a budget of retries over all requests, so that an outage is not made worse.

use std::{rc::Rc, time::Duration};

use coo_shards::{
    http1::server::{Request, Responder},
    time,
};

use super::{
    account::Account,
    attempt::{self, Why},
    balance::{Hope, OUTPUT_TOKENS, Outcome, Tried},
    budget::reserve::{Begun, Lacking, Reservation, Spender},
    request::Context,
    respond,
    route::{self, Plan},
    select::speed::Ask,
    shard::Shard,
};
use crate::{
    config::budgets::{Counts, KeyBudget},
    dialect::openai::{
        error::GatewayError,
        request::{self, Endpoint, RequestFacts},
        splice::Splice,
    },
};

/// The limits of who has none.
static UNLIMITED: KeyBudget = KeyBudget { limits: [None; Counts::ALL.len()], max_tokens: None };

/// Forwards `request` and passes the answer on; whether the client's connection may persist.
///
/// # Errors
/// The error to answer with, while nothing of an answer has been sent.
pub async fn forward(
    shard: &Rc<Shard>,
    context: &Context,
    endpoint: Endpoint,
    request: &Request,
    responder: &mut Responder,
    account: &mut Account,
) -> Result<bool, GatewayError> {
    let body = request.body();
    let facts = request::scan(body, endpoint).map_err(GatewayError::Body)?;
    let name = facts.model(body);
    let plan = route::plan(&shard.snapshot, context.client, &name)?;
    // Where it fails before it was sent it is accounted to the first.
    if let Some((provider, model)) = plan.get(0) {
        account.to(provider, model, facts.stream);
    }
    let no_capacity = || GatewayError::NoCapacity { model: name.to_string() };
    let _place = shard.admit().ok_or_else(no_capacity)?;
    shard.balance.came();
    let client = context.client.and_then(|client| shard.snapshot.clients.get(client));
    let client = client.map_or(&UNLIMITED, |client| &client.budget);
    let ask = asked(endpoint, &facts);
    let wanted = Wanted { shard, plan: &plan, facts: &facts, ask, body, client };
    let mut tried = Tried::default();
    loop {
        let (target, chosen) = wanted.place(&tried, account).await?;
        let (provider, upstream) = plan.upstream(target).ok_or(GatewayError::Internal)?;
        let (_, model) = plan.get(target).ok_or(GatewayError::Internal)?;
        let key = upstream.keys.get(chosen).ok_or_else(no_capacity)?;
        account.with(provider, model, chosen, ask);
        let prepared = match endpoint {
            Endpoint::ChatCompletions => key.chat_head(),
            Endpoint::Embeddings => key.embeddings_head(),
        };
        let splice = Splice::new(body, &facts, model, upstream.ask_usage);
        let outgoing = attempt::Outgoing { request, prepared, splice: &splice, upstream, provider };
        let failed = match attempt::send(shard, &outgoing, model, account).await {
            Ok(answer) => {
                account.told(Outcome::Answered);
                let hide_usage = facts.stream && upstream.ask_usage && !facts.asks_usage();
                return respond::pass_on(shard, context, answer, hide_usage, responder, account).await;
            }
            Err(failed) => failed,
        };
        account.told(match failed.why {
            Why::Failed | Why::Unreachable => Outcome::Failed,
            Why::Limited => Outcome::Limited,
            Why::Revoked => Outcome::Revoked,
            Why::NoRoom => Outcome::Cancelled,
        });
        tried.add(target, chosen);
        if !wanted.again(&mut tried, failed.why, (provider, chosen), account).await {
            let answer = failed.instead?;
            return respond::pass_on(shard, context, answer, false, responder, account).await;
        }
        if let Ok(answer) = failed.instead {
            answer.discard();
        }
        account.start_over();
    }
}

/// What the time of an answer depends on, as far as its request tells.
fn asked(endpoint: Endpoint, facts: &RequestFacts) -> Ask {
    let most = facts.max_output_tokens.and_then(|most| u32::try_from(most).ok()).unwrap_or(u32::MAX);
    let tokens = match endpoint {
        Endpoint::ChatCompletions => most.min(OUTPUT_TOKENS),
        Endpoint::Embeddings => 0,
    };
    Ask { is_stream: facts.stream, tokens }
}

/// What a request wants, whoever serves it.
struct Wanted<'a> {
    shard: &'a Rc<Shard>,
    plan: &'a Plan<'a>,
    facts: &'a RequestFacts,
    ask: Ask,
    body: &'a [u8],
    client: &'a KeyBudget,
}

impl<'a> Wanted<'a> {
    /// Chooses a target and a key, and reserves what is needed.
    async fn place(&self, tried: &Tried, account: &mut Account) -> Result<(usize, usize), GatewayError> {
        let mut skipped = tried.clone();
        let mut best: Option<(usize, usize, Box<Reservation>, Lacking)> = None;
        let bytes = self.body.len();
        while let Some((target, key)) =
            self.shard.balance.choose(self.plan, &skipped, &self.shard.budget, bytes, self.ask)
        {
            let Some(spender) = self.spender(target, key, 1) else { break };
            if !spender.upstream.limited && !self.client.is_limited() {
                return Ok((target, key));
            }
            let (_, model) = self.plan.get(target).unwrap_or_default();
            match self.shard.budget.begin(&spender, self.facts, model, self.body)? {
                Begun::Taken(key, reservation) => {
                    account.reservation = reservation;
                    return Ok((target, key));
                }
                Begun::Lacking(key, reservation, lack) => {
                    let of_client = lack.is_of(self.client);
                    if of_client || best.as_ref().is_none_or(|(.., known)| lack.when() < known.when()) {
                        best = Some((target, key, reservation, lack));
                    }
                    if of_client {
                        // The same wherever it goes.
                        break;
                    }
                    skipped.add(target, key);
                }
            }
        }
        let (target, spender, lacking) = match best {
            Some((target, key, reservation, lack)) => {
                (target, self.spender(target, key, 1), (key, reservation, lack))
            }
            // All that are left rest, as their provider said.
            None => {
                let target = (0..self.plan.len())
                    .find(|&target| {
                        self.plan.get(target).is_some_and(|(provider, _)| self.plan.allows(provider))
                    })
                    .ok_or(GatewayError::Internal)?;
                let (_, model) = self.plan.get(target).unwrap_or_default();
                let spender = self.spender(target, 0, usize::MAX).ok_or(GatewayError::Internal)?;
                match self.shard.budget.begin(&spender, self.facts, model, self.body)? {
                    Begun::Taken(key, reservation) => {
                        account.reservation = reservation;
                        return Ok((target, key));
                    }
                    Begun::Lacking(key, reservation, lack) => {
                        (target, Some(spender), (key, reservation, lack))
                    }
                }
            }
        };
        let spender = spender.ok_or(GatewayError::Internal)?;
        // On the heap: its waiting would burden every request's future.
        let (key, reservation) = Box::pin(self.shard.budget.wait(spender, lacking)).await?;
        account.reservation = Some(reservation);
        Ok((target, key))
    }

    fn spender(&self, target: usize, turn: usize, turns: usize) -> Option<Spender<'a>> {
        let (provider, upstream) = self.plan.upstream(target)?;
        Some(Spender { snapshot: self.plan.snapshot, client: self.client, provider, upstream, turn, turns })
    }

    /// Whether to try again after a failure; waits where it is to be with the same key.
    async fn again(
        &self,
        tried: &mut Tried,
        why: Why,
        (provider, key): (usize, usize),
        account: &Account,
    ) -> bool {
        let Shard { balance, budget, .. } = &**self.shard;
        if account.tries >= balance.rules().max_attempts {
            return false;
        }
        let hope = balance.hope(self.plan, tried, budget);
        let own_fault = matches!(why, Why::Limited | Why::Revoked | Why::NoRoom);
        if hope == Hope::None || (hope == Hope::Same && own_fault) {
            return false;
        }
        let now = budget.now();
        if !balance.may_retry(now) {
            return false;
        }
        if hope == Hope::Other {
            return true;
        }
        let rest = Duration::from_millis(budget.rests(provider, key).saturating_sub(now));
        let pause = balance.pause(account.tries.saturating_sub(1)).max(rest);
        // A longer rest is for the client to wait for.
        if rest > budget.patience() || pause >= self.shard.time_left(account) {
            return false;
        }
        Box::pin(time::sleep(pause)).await;
        tried.clear();
        true
    }
}
