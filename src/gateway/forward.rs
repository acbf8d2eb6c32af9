//! A request that goes to a provider, and to another one where the first fails.
//!
//! While nothing of an answer has gone to the client (of a stream: until its first event has come), a failed attempt
//! may be repeated: with another key, then at another provider, then with the same key after a pause. Bounds are the
//! attempts and the time that a request may take, and a budget of retries over all requests, so that an outage is not
//! made worse.

use std::{cell::OnceCell, rc::Rc, time::Duration};

use coo_shards::{
    fair::Flow,
    http1::{
        head::Known,
        server::{Request, Responder},
    },
    time,
};

use super::{
    account::Account,
    attempt::{self, Why},
    balance::{Hope, OUTPUT_TOKENS, Outcome, Tried},
    budget::reserve::{Begun, Lacking, Reservation, Spender},
    events, hedge,
    overload::Slot,
    request::Context,
    respond,
    route::{self, Plan},
    select::speed::Ask,
    shard::Shard,
    translate::{self, Prepared},
};
use crate::{
    config::{
        budgets::{Counts, KeyBudget},
        snapshot::{Key, ProviderId, Upstream},
    },
    dialect::{
        chat::{Refused, Request as Chat},
        estimate::{self, Estimate},
        gemini,
        openai::{
            error::GatewayError,
            form,
            request::{self, Endpoint, RequestFacts},
        },
        translate::chat as read_chat,
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
    let facts = match endpoint {
        endpoint if endpoint.is_form() => form::scan(body, content_type(request)),
        endpoint if endpoint.is_googles() => gemini::inbound::scan(body, endpoint),
        _ => request::scan(body, endpoint),
    };
    let facts = facts.map_err(GatewayError::Body)?;
    let name = match endpoint.is_googles() {
        true => gemini::inbound::target::model(&context.path).map_err(GatewayError::Body)?,
        false => facts.model(body),
    };
    let plan = route::plan(&shard.snapshot, context.client, &name, endpoint)?;
    // Where it fails before it was sent it is accounted to the first.
    if let Some((provider, model)) = plan.get(0) {
        account.to(provider, model, facts.stream);
    }
    let no_capacity = || GatewayError::NoCapacity { model: name.to_string() };
    if endpoint.is_count() && !translate::counts(&plan, endpoint) {
        return Box::pin(translate::count(context, shard, (endpoint, body), responder, account)).await;
    }
    let _place = shard.admit(context.client).ok_or_else(no_capacity)?;
    shard.balance.came();
    let client = context.client.and_then(|client| shard.snapshot.clients.get(client));
    let client = client.map_or(&UNLIMITED, |client| &client.budget);
    let ask = asked(endpoint, &facts);
    let flow = context.flow;
    let plan = &plan;
    let (facts, chat) = (&facts, OnceCell::new());
    let wanted = Wanted { shard, context, request, endpoint, plan, facts, ask, body, client, flow, chat };
    let mut tried = Tried::default();
    // Why a target could not express the request.
    let mut unable: Option<Box<GatewayError>> = None;
    loop {
        let (target, chosen) = wanted.place(&tried, account).await?;
        let (provider, upstream) = plan.upstream(target).ok_or(GatewayError::Internal)?;
        let (_, model) = plan.get(target).ok_or(GatewayError::Internal)?;
        let key = upstream.keys.get(chosen).ok_or_else(no_capacity)?;
        let slot = wanted.enter(provider, account).await.ok_or_else(no_capacity)?;
        account.with(provider, model, chosen, ask, slot);
        let prepared = match wanted.prepare(upstream, key, model, account) {
            Ok(prepared) => prepared,
            Err(error) if wanted.others_may(&error, &mut tried, target) => {
                unable.get_or_insert_with(|| Box::new(error));
                account.start_over();
                if account.tries > 0 {
                    Box::pin(wanted.resume(&mut tried, account)).await;
                }
                continue;
            }
            // The first that was asked is the one that the client's developer had in mind.
            Err(error) => return Err(unable.map_or(error, |first| *first)),
        };
        let outgoing = attempt::Outgoing { request, prepared: &prepared, upstream, provider };
        let hedges = account.tries == 0 && shard.balance.rules().hedge.is_some();
        let sent = if hedges {
            // On the heap: two attempts at a time are rare, and large.
            let place = (target, chosen);
            match Box::pin(hedge::send(&wanted, &outgoing, model, place, &mut tried, account)).await {
                Ok(ready) => return Box::pin(ready.pass_on(&wanted, responder, account)).await,
                Err(failed) => Err(failed),
            }
        } else {
            attempt::send(shard, &outgoing, model, account).await
        };
        let failed = match sent {
            Ok(answer) if respond::is_event_stream(&answer) => {
                let asks = wanted.asks_usage();
                // On the heap: long-lived, and its size would burden every request's future.
                match Box::pin(events::pass_on(shard, context, answer, asks, responder, account)).await {
                    Ok(persist) => return Ok(persist),
                    Err(failed) => failed,
                }
            }
            Ok(answer) => {
                account.told(Outcome::Answered);
                return respond::whole(shard, context, answer, responder, account).await;
            }
            Err(failed) => failed,
        };
        account.told(failed.why.outcome());
        tried.add(target, chosen);
        if !wanted.again(&mut tried, failed.why, (provider, chosen), account).await {
            let instead = failed.instead;
            // On the heap: rare.
            return Box::pin(respond::pass_on_instead(shard, context, instead, responder, account)).await;
        }
        failed.instead.discard();
        account.start_over();
    }
}

/// What the client says of its body.
pub(super) fn content_type(request: &Request) -> &[u8] {
    let field = request.head.fields.iter().find(|field| field.known == Known::ContentType);
    field.map(|field| field.value(request.head_bytes())).unwrap_or_default()
}

/// What the time of an answer depends on, as far as its request tells.
fn asked(endpoint: Endpoint, facts: &RequestFacts) -> Ask {
    let most = facts.max_output_tokens.and_then(|most| u32::try_from(most).ok()).unwrap_or(u32::MAX);
    let tokens = match endpoint {
        Endpoint::Completions => most.min(OUTPUT_TOKENS),
        _ if endpoint.is_chat() => most.min(OUTPUT_TOKENS),
        _ => 0,
    };
    Ask { is_stream: facts.stream, tokens }
}

/// The key worth waiting for, what it would take, and what lacks.
type Lacked = (usize, Box<Reservation>, Lacking);

/// What a request wants, whoever serves it.
pub(super) struct Wanted<'a> {
    pub(super) shard: &'a Rc<Shard>,
    pub(super) context: &'a Context,
    pub(super) request: &'a Request,
    pub(super) endpoint: Endpoint,
    pub(super) plan: &'a Plan<'a>,
    pub(super) facts: &'a RequestFacts,
    pub(super) ask: Ask,
    pub(super) body: &'a [u8],
    client: &'a KeyBudget,
    flow: Flow,
    /// On the heap: most requests are not read, and its size would burden every request's future.
    chat: OnceCell<Box<Result<Chat<'a>, Refused>>>,
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
            if !self.is_limited(&spender) {
                return Ok((target, key));
            }
            match self.reserve(&spender, target, account)? {
                Ok(key) => return Ok((target, key)),
                Err((key, reservation, lack)) => {
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
                let target = self.able(tried).ok_or(GatewayError::Internal)?;
                let spender = self.spender(target, 0, usize::MAX).ok_or(GatewayError::Internal)?;
                match self.reserve(&spender, target, account)? {
                    Ok(key) => return Ok((target, key)),
                    Err(lacking) => (target, Some(spender), lacking),
                }
            }
        };
        let spender = spender.ok_or(GatewayError::Internal)?;
        // On the heap: its waiting would burden every request's future.
        let (key, reservation) = Box::pin(self.shard.budget.wait(spender, lacking)).await?;
        account.reservation = Some(reservation);
        account.waited();
        Ok((target, key))
    }

    /// The same for an attempt beside another one, which is not worth waiting for.
    pub(super) fn place_at_once(&self, tried: &Tried, account: &mut Account) -> Option<(usize, usize)> {
        let Shard { balance, budget, .. } = &**self.shard;
        let (target, key) = balance.choose(self.plan, tried, budget, self.body.len(), self.ask)?;
        let spender = self.spender(target, key, 1)?;
        if !self.is_limited(&spender) {
            return Some((target, key));
        }
        let key = self.reserve(&spender, target, account).ok()?.ok()?;
        Some((target, key))
    }

    fn is_limited(&self, spender: &Spender<'_>) -> bool {
        spender.upstream.limited || self.client.is_limited()
    }

    /// Reserves what is needed with one of the spender's keys: which, or what lacks.
    fn reserve(
        &self,
        spender: &Spender<'_>,
        target: usize,
        account: &mut Account,
    ) -> Result<Result<usize, Lacked>, GatewayError> {
        let (_, model) = self.plan.get(target).unwrap_or_default();
        Ok(match self.shard.budget.begin(spender, self.facts, model, self.body, &|| self.estimate())? {
            Begun::Taken(key, reservation) => {
                account.reservation = reservation;
                Ok(key)
            }
            Begun::Lacking(key, reservation, lack) => Err((key, reservation, lack)),
        })
    }

    /// Whether another target may be able to express what this one cannot, which is then left out.
    fn others_may(&self, error: &GatewayError, tried: &mut Tried, target: usize) -> bool {
        matches!(error, GatewayError::Untranslatable(_))
            && tried.rule_out(target)
            && self.able(tried).is_some()
    }

    /// Makes ready for what is left where an attempt failed and the one that was to be asked instead cannot express the
    /// request: those that failed it already, after a pause.
    async fn resume(&self, tried: &mut Tried, account: &Account) {
        let Shard { balance, budget, .. } = &**self.shard;
        if balance.hope(self.plan, tried, budget) != Hope::Other {
            time::sleep(balance.pause(account.tries.saturating_sub(1))).await;
            tried.clear();
        }
    }

    /// The first target that the client may use and that is not known to be unable to express the request.
    fn able(&self, tried: &Tried) -> Option<usize> {
        let allows =
            |target: usize| self.plan.get(target).is_some_and(|(provider, _)| self.plan.allows(provider));
        (0..self.plan.len()).find(|&target| allows(target) && !tried.is_ruled_out(target))
    }

    /// Whether the usage that a stream tells is for the client, too.
    pub(super) fn asks_usage(&self) -> bool {
        !self.endpoint.has_usage_chunk() || !self.facts.stream || self.facts.asks_usage()
    }

    /// Makes the request ready for a provider.
    pub(super) fn prepare(
        &self,
        upstream: &Upstream,
        key: &'a Key,
        model: &'a str,
        account: &mut Account,
    ) -> Result<Prepared<'a>, GatewayError> {
        translate::prepare(self, (upstream, key, model), account)
    }

    /// The chat that is asked for, read once, for whoever needs it.
    ///
    /// # Errors
    /// What the client's dialect does not allow.
    pub(super) fn chat(&self) -> Result<&Chat<'a>, &Refused> {
        (**self.chat.get_or_init(|| Box::new(read_chat(self.endpoint, self.body)))).as_ref()
    }

    /// About how many tokens the prompt has. The bytes of a chat completion tell its text from its images; of other
    /// dialects only what was read does.
    fn estimate(&self) -> Estimate {
        if self.endpoint.is_form() {
            return estimate::file_tokens(self.body.len());
        }
        let other = matches!(
            self.endpoint,
            Endpoint::Messages
                | Endpoint::Responses
                | Endpoint::GenerateContent
                | Endpoint::StreamGenerateContent
        );
        match other.then(|| self.chat()) {
            Some(Ok(chat)) => estimate::chat_tokens(chat),
            _ => estimate::prompt_tokens(self.body),
        }
    }

    fn spender(&self, target: usize, turn: usize, turns: usize) -> Option<Spender<'a>> {
        let (provider, upstream) = self.plan.upstream(target)?;
        let (snapshot, client, flow) = (self.plan.snapshot, self.client, self.flow);
        Some(Spender { snapshot, client, provider, upstream, turn, turns, flow })
    }

    /// A place on the way to the provider, after some waiting perhaps; `None` where too many wait already.
    async fn enter(&self, provider: ProviderId, account: &mut Account) -> Option<Slot> {
        let Shard { balance, budget, .. } = &**self.shard;
        if let Some(slot) = balance.gates.enter(provider) {
            return Some(slot);
        }
        let patience = (budget.patience(), self.shard.time_left(account));
        let slot = Box::pin(balance.gates.wait(provider, self.flow, patience, budget.now())).await;
        account.waited();
        slot
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
        let own_fault = matches!(why, Why::Limited | Why::Revoked | Why::NoRoom | Why::NoToken);
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
