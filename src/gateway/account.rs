//! The account of one request: opened when it is known, settled when it is dropped, whatever happened to it.

use std::{
    cell::OnceCell,
    rc::Rc,
    time::{Duration, Instant},
};

use http::StatusCode;

use super::{
    balance::{Outcome, Underway},
    budget::{
        reserve::{Need, Reservation},
        settle::Outcome as Settled,
    },
    overload::{Slot, usual::Kind},
    price,
    request::Context,
    select::speed::Ask,
    shard::Shard,
};
use crate::{
    config::{
        prices::Price,
        snapshot::{ClientId, ProviderId},
    },
    dialect::{
        openai::error::GatewayError,
        translate::{embeddings::Wanted, stream::Filter},
        usage::{PicoUsd, Usage},
    },
};

/// The status logged for a client that left before its answer was complete (nginx's convention).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Longest model name kept for logs and metrics.
const MAX_MODEL_BYTES: usize = 128;

/// What is known of a request's course and cost.
pub struct Account {
    shard: Rc<Shard>,
    /// When its head was complete.
    pub received: Instant,
    /// Who sent it.
    pub client: Option<ClientId>,
    /// The client's address, method and path, where a head was understood.
    pub from: Option<(std::net::SocketAddr, http::Method, String)>,
    /// Where it went.
    pub provider: Option<ProviderId>,
    /// With which of the provider's keys.
    pub key: Option<usize>,
    /// The provider's name of the model.
    pub model: String,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Times that it was sent.
    pub attempts: u32,
    /// Keys that it was tried with; one more time with the same counts again.
    pub tries: u32,
    /// How long it may take at most, where its client said so.
    pub patience: Option<Duration>,
    /// Bytes of the request body.
    pub request_bytes: u64,
    /// Bytes sent to the client.
    pub response_bytes: u64,
    /// Until the head of the answer came.
    pub first_byte: Option<Duration>,
    /// Until the first event with content came.
    pub first_token: Option<Duration>,
    /// The status answered, 499 where the client left.
    pub status: u16,
    /// The code of an error of ours, or `client_closed`.
    pub error: Option<&'static str>,
    /// What the system said of a failure, for the operator: never sent to a client.
    pub detail: Option<String>,
    /// Parameters that were left out, where that is allowed: a header's value.
    pub dropped: Option<String>,
    /// What the answer depends on, where it is translated.
    pub wanted: Wanted,
    /// Tokens used, as the provider counted them.
    pub usage: Option<Usage>,
    /// What was taken from limits for it.
    pub reservation: Option<Box<Reservation>>,
    /// Whether the provider refused it, so that it used nothing.
    pub refused: bool,
    /// Whether it was sent since something was reserved for it.
    sent: bool,
    /// The attempt that is under way.
    underway: Option<Underway>,
    /// Its place on the way to the provider.
    slot: Option<Slot>,
    /// When the attempt began, where it was not at once.
    began: Duration,
    /// What the model costs there, once somebody asked.
    price: OnceCell<Option<Price>>,
    /// Of an attempt beside another one: the request is accounted elsewhere.
    is_beside: bool,
}

impl Account {
    /// Opens the account; until told otherwise the request counts as abandoned by its client.
    #[must_use]
    pub fn open(shard: &Rc<Shard>, context: Option<&Context>) -> Self {
        Self {
            shard: Rc::clone(shard),
            received: context.map_or_else(Instant::now, |context| context.received),
            client: context.and_then(|context| context.client),
            from: context.map(|context| (context.peer, context.method.clone(), context.path.clone())),
            provider: None,
            key: None,
            model: String::new(),
            stream: false,
            attempts: 0,
            tries: 0,
            patience: context.and_then(|context| context.patience),
            request_bytes: 0,
            response_bytes: 0,
            first_byte: None,
            first_token: None,
            status: CLIENT_CLOSED_REQUEST,
            error: Some("client_closed"),
            detail: None,
            usage: None,
            dropped: None,
            wanted: Wanted::default(),
            reservation: None,
            refused: false,
            sent: false,
            underway: None,
            slot: None,
            began: Duration::ZERO,
            price: OnceCell::new(),
            is_beside: false,
        }
    }

    /// Opens the account of an attempt beside another one of the same request, the `tries`-th.
    #[must_use]
    pub fn beside(shard: &Rc<Shard>, context: &Context, stream: bool, tries: u32) -> Self {
        let mut this = Self::open(shard, None);
        (this.received, this.patience, this.client) = (context.received, context.patience, context.client);
        (this.stream, this.tries, this.is_beside) = (stream, tries, true);
        this
    }

    /// Counts an attempt that was made beside this one.
    pub fn count(&mut self, beside: &Self) {
        self.attempts += beside.attempts;
        self.tries = self.tries.max(beside.tries);
    }

    /// Goes on with the attempt `beside`, which takes over the one that was this request's.
    pub fn overtaken_by(&mut self, beside: &mut Self) {
        use std::mem::swap;
        self.count(beside);
        swap(&mut self.provider, &mut beside.provider);
        swap(&mut self.key, &mut beside.key);
        swap(&mut self.model, &mut beside.model);
        swap(&mut self.first_byte, &mut beside.first_byte);
        swap(&mut self.first_token, &mut beside.first_token);
        swap(&mut self.detail, &mut beside.detail);
        swap(&mut self.dropped, &mut beside.dropped);
        swap(&mut self.wanted, &mut beside.wanted);
        swap(&mut self.reservation, &mut beside.reservation);
        swap(&mut self.refused, &mut beside.refused);
        swap(&mut self.sent, &mut beside.sent);
        swap(&mut self.underway, &mut beside.underway);
        swap(&mut self.slot, &mut beside.slot);
        swap(&mut self.began, &mut beside.began);
        swap(&mut self.price, &mut beside.price);
    }

    /// Notes where the request goes.
    pub fn to(&mut self, provider: ProviderId, model: &str, stream: bool) {
        let same = self.provider.replace(provider) == Some(provider) && self.model == model;
        self.stream = stream;
        if same {
            return;
        }
        self.price.take();
        self.model.clear();
        let end = model.len().min(MAX_MODEL_BYTES);
        let end = (0..=end).rev().find(|&at| model.is_char_boundary(at)).unwrap_or(0);
        self.model.push_str(model.get(..end).unwrap_or_default());
    }

    /// Notes that the request had to wait before it could be sent.
    pub fn waited(&mut self) {
        self.began = self.received.elapsed();
    }

    /// Notes with which key, and over which place, the next attempt is made.
    pub fn with(&mut self, provider: ProviderId, model: &str, key: usize, ask: Ask, slot: Slot) {
        self.slot = Some(slot);
        self.to(provider, model, self.stream);
        self.key = Some(key);
        self.underway = Some(self.shard.balance.sent(provider, key, ask, self.shard.budget.about_now()));
    }

    /// Notes what the attempt under way showed of the key and the provider.
    pub fn told(&mut self, outcome: Outcome) {
        if let Some(underway) = &mut self.underway {
            let now = self.shard.budget.about_now();
            for news in self.shard.balance.told(underway, outcome, now) {
                self.shard.budget.tell(news);
            }
        }
    }

    /// Closes a failed attempt before another one.
    pub fn start_over(&mut self) {
        self.end_attempt();
        self.settle();
        (self.sent, self.refused) = (false, false);
        self.first_byte = None;
        self.waited();
    }

    fn end_attempt(&mut self) {
        self.observe();
        let Some(underway) = self.underway.take() else { return };
        let tokens = self.usage.and_then(|usage| u32::try_from(usage.output_tokens()).ok());
        self.shard.balance.over(underway, tokens, self.shard.budget.about_now());
    }

    /// Lets the provider's limit know how long the answer took.
    fn observe(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let output = self.usage.map(|usage| usage.output_tokens());
        let (kind, took) = match (self.stream, output) {
            _ if self.refused || self.error.is_some() => return,
            (true, _) => (Kind::stream(self.request_bytes), self.first_token),
            (false, Some(output)) => (Kind::whole(output, self.request_bytes), self.first_byte),
            (false, None) => return,
        };
        if let Some(took) = took {
            let now = self.shard.budget.about_now();
            slot.answered(&self.model, kind, took.saturating_sub(self.began), now);
        }
    }

    /// Notes that it is about to be sent: what it spends counts from now.
    pub fn sending(&mut self) {
        self.sent = true;
        if let Some(reservation) = &mut self.reservation {
            self.shard.budget.sending(reservation);
        }
    }

    /// Notes that all of it went out.
    pub fn is_sent(&mut self) {
        if let Some(reservation) = &mut self.reservation {
            self.shard.budget.sent(reservation);
        }
    }

    /// Notes that the provider has begun to answer.
    pub fn first_byte(&mut self) {
        self.first_byte = Some(self.received.elapsed());
        if let Some(reservation) = &mut self.reservation {
            self.shard.budget.answered(reservation);
        }
    }

    /// Notes the first event with content.
    pub fn first_token(&mut self) {
        self.first_token = Some(self.received.elapsed());
        if let Some(underway) = &mut self.underway {
            self.shard.balance.first_token(underway, self.shard.budget.about_now());
        }
    }

    /// Notes the status of the answer. It counts as abandoned until [`Account::sent`].
    pub fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
        self.refused = status.as_u16() >= 400;
        self.error = None;
        if self.provider.is_some() {
            self.error = Some("client_closed");
        }
    }

    /// Notes that the answer went out, or that the client left before.
    pub fn sent(&mut self, bytes: u64, complete: bool) {
        self.response_bytes += bytes;
        if !complete {
            self.status = CLIENT_CLOSED_REQUEST;
            self.error = Some("client_closed");
        } else if self.error == Some("client_closed") {
            self.error = None;
        }
    }

    /// Notes an error of ours, answered with `status`.
    pub fn failed(&mut self, error: &GatewayError, status: StatusCode) {
        self.status = status.as_u16();
        self.error = Some(error.kind().code.unwrap_or("error"));
    }

    /// Takes what a stream told of its usage.
    pub fn stream_ended(&mut self, filter: &Filter) {
        self.usage = filter.usage();
        if filter.error_seen() {
            self.error = Some("upstream_stream_error");
        }
    }

    /// What it cost: nothing where nobody knows the model's price.
    #[must_use]
    pub fn cost(&self) -> PicoUsd {
        self.usage
            .zip(self.price())
            .map_or_else(PicoUsd::default, |(usage, price)| price::cost(&usage, &price))
    }

    /// What the model costs, where that is known.
    #[must_use]
    pub fn price(&self) -> Option<Price> {
        let find = || self.shard.snapshot.providers.get(self.provider?)?.prices.of(&self.model);
        *self.price.get_or_init(find)
    }
}

impl Account {
    fn settle(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        let outcome = match &self.usage {
            _ if !self.sent => Settled::Unsent,
            Some(usage) => {
                if let Some(provider) = self.provider {
                    let budget = &self.shard.budget;
                    budget.learn(&reservation, provider, &self.model, usage, self.request_bytes);
                }
                let tokens = usage.prompt_tokens.saturating_add(usage.output_tokens());
                Settled::Used(Need {
                    tokens: i64::try_from(tokens).unwrap_or(i64::MAX),
                    micro_usd: self.cost().micro_usd(),
                })
            }
            None if self.refused => Settled::Refused,
            None => Settled::Unknown,
        };
        self.shard.budget.settle(&reservation, outcome);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.error == Some("client_closed") {
            self.status = CLIENT_CLOSED_REQUEST;
        }
        self.end_attempt();
        self.settle();
        if self.is_beside {
            return;
        }
        let took = self.received.elapsed();
        let shard = Rc::clone(&self.shard);
        shard.metrics.borrow_mut().record(self, took);
        shard.log.borrow_mut().write(self, took, &shard.snapshot);
    }
}
