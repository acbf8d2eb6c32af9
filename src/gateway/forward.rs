//! A request that goes to a provider.

use std::rc::Rc;

use coo_shards::http1::server::{Request, Responder};

use super::{account::Account, attempt, request::Context, respond, route, shard::Shard};
use crate::dialect::openai::{
    error::GatewayError,
    request::{self, Endpoint},
    splice::Splice,
};

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
    let key = upstream.keys.get(turn).ok_or_else(no_capacity)?;
    account.key = Some(turn);
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
