//! A request that goes to a provider.

use std::rc::Rc;

use coo_shards::http1::server::{Request, Responder};

use super::{
    account::Account,
    attempt,
    budget::reserve::{Begun, Spender},
    request::Context,
    respond, route,
    shard::Shard,
};
use crate::{
    config::budgets::KeyBudget,
    dialect::openai::{
        error::GatewayError,
        request::{self, Endpoint},
        splice::Splice,
    },
};

/// The limits of who has none.
static UNLIMITED: KeyBudget = KeyBudget { limits: [None; 6], max_tokens: None };

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
    let target = route::target(&shard.snapshot, context.client, &name)?;
    let upstream = shard.snapshot.providers.get(target.provider).ok_or(GatewayError::Internal)?;
    account.to(target.provider, &target.model, facts.stream);
    let no_capacity = || GatewayError::NoCapacity { model: name.to_string() };
    let _place = shard.admit().ok_or_else(no_capacity)?;

    let turn = shard.turns.next(target.provider, upstream.keys.len()).ok_or_else(no_capacity)?;
    let client = context.client.and_then(|client| shard.snapshot.clients.get(client));
    let client = client.map_or(&UNLIMITED, |client| &client.budget);
    let chosen = if upstream.limited || client.is_limited() || shard.budget.has_rested(target.provider) {
        let spender = Spender {
            snapshot: &shard.snapshot,
            client,
            provider: target.provider,
            upstream,
            turn,
            turns: upstream.keys.len(),
        };
        match shard.budget.begin(&spender, &facts, &target.model, body)? {
            Begun::Taken(chosen, reservation) => {
                account.reservation = reservation;
                chosen
            }
            Begun::Lacking(key, reservation, lacking) => {
                // On the heap: its waiting would burden every request's future.
                let waiting = Box::pin(shard.budget.wait(spender, (key, reservation, lacking)));
                let (chosen, reservation) = waiting.await?;
                account.reservation = Some(reservation);
                chosen
            }
        }
    } else {
        turn
    };
    let key = upstream.keys.get(chosen).ok_or_else(no_capacity)?;
    account.key = Some(chosen);
    let prepared = match endpoint {
        Endpoint::ChatCompletions => key.chat_head(),
        Endpoint::Embeddings => key.embeddings_head(),
    };
    let splice = Splice::new(body, &facts, &target.model, upstream.ask_usage);
    let outgoing =
        attempt::Outgoing { request, prepared, splice: &splice, upstream, provider: target.provider };
    let answer = attempt::send(shard, &outgoing, &target.model, account).await?;
    let hide_usage = facts.stream && upstream.ask_usage && !facts.asks_usage();
    respond::pass_on(shard, context, answer, hide_usage, responder, account).await
}
