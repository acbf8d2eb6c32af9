//! A second attempt beside a first whose answer is late.
//!
//! Of two providers, or two keys, one may be slow for a moment where the other is not: the answers that take longest
//! become shorter where a second attempt is sent when a first is late, and the one that answers first is used ("The
//! Tail at Scale", Dean and Barroso, 2013). It costs what the other one used in vain, so it is asked for
//! (`policy.hedge`), it counts as a retry in the budget of these, and it is made once for a request, where somebody
//! else can serve it at once.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::Future,
    pin::{Pin, pin},
    task::Poll,
    time::{Duration, Instant},
};

use coo_shards::{http1::server::Responder, time};

use super::{
    account::Account,
    attempt::{self, Answer, Failed, Outgoing},
    balance::{Hope, Outcome, Tried},
    events::{self, Stream},
    forward::Wanted,
    overload::Slot,
    respond,
    select::tail::Tail,
    shard::Shard,
};
use crate::{
    config::{Hedge, snapshot::ProviderId},
    dialect::openai::error::GatewayError,
};

/// Models of one provider whose times are kept, on each shard. Names come from clients, so they must be bounded.
const MAX_MODELS: usize = 256;

/// How long the answers of each target lately took to begin, as one shard saw it.
#[derive(Debug, Default)]
pub struct Hedging {
    /// By provider and model; those that are no streams and those that are begin at very different times.
    tails: RefCell<Vec<HashMap<String, Box<[Tail; 2]>>>>,
}

/// Whose times, and of which kind.
#[derive(Clone, Copy, Debug)]
struct Kind<'a> {
    provider: ProviderId,
    model: &'a str,
    stream: bool,
}

impl Hedging {
    /// When an answer is late; `None` where nobody knows yet.
    fn late(&self, hedge: Hedge, kind: Kind<'_>) -> Option<Duration> {
        match hedge {
            Hedge::After(after) => Some(after),
            Hedge::P95 => {
                let tails = self.tails.borrow();
                let of_model = tails.get(kind.provider)?.get(kind.model)?;
                of_model.get(usize::from(kind.stream))?.p95_us().map(Duration::from_micros)
            }
        }
    }

    /// Takes how long an answer took to begin, or how long one was waited for in vain.
    fn observe(&self, kind: Kind<'_>, took: Duration) {
        let mut tails = self.tails.borrow_mut();
        if tails.len() <= kind.provider {
            tails.resize_with(kind.provider + 1, HashMap::new);
        }
        let Some(models) = tails.get_mut(kind.provider) else { return };
        if !models.contains_key(kind.model) {
            if models.len() >= MAX_MODELS {
                return;
            }
            models.insert(kind.model.to_owned(), Box::default());
        }
        let of_model = models.get_mut(kind.model);
        if let Some(tail) = of_model.and_then(|tails| tails.get_mut(usize::from(kind.stream))) {
            tail.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

/// An answer that has begun. It is on the heap with its attempt's future.
#[allow(clippy::large_enum_variant)]
pub(super) enum Ready<'a> {
    /// One that is no stream: its head has come.
    Answer(Answer<'a>),
    /// A stream: its first event has come.
    Stream(Box<Stream<'a>>),
}

impl Ready<'_> {
    fn is_success(&self) -> bool {
        match self {
            Self::Answer(answer) => answer.head.status,
            Self::Stream(stream) => stream.status(),
        }
        .is_success()
    }

    /// Passes it on; whether the client's connection may persist.
    ///
    /// # Errors
    /// The error to answer with, while nothing has been sent.
    pub(super) async fn pass_on(
        self,
        wanted: &Wanted<'_>,
        responder: &mut Responder,
        account: &mut Account,
    ) -> Result<bool, GatewayError> {
        account.told(Outcome::Answered);
        match self {
            Self::Answer(answer) => {
                respond::whole(wanted.shard, wanted.context, answer, responder, account).await
            }
            Self::Stream(stream) => Ok(stream.pass_on(wanted.shard, responder, account).await),
        }
    }
}

/// The first attempt of a request, and one beside it where its answer is late: `account` then is of the one that
/// answered first.
///
/// # Errors
/// Why the first attempt failed, where a second one did not answer either.
pub(super) async fn send<'a>(
    wanted: &Wanted<'a>,
    outgoing: &Outgoing<'_, 'a>,
    model: &str,
    (target, key): (usize, usize),
    tried: &mut Tried,
    account: &mut Account,
) -> Result<Ready<'a>, Failed<'a>> {
    let shard = wanted.shard;
    let kind = Kind { provider: outgoing.provider, model, stream: wanted.facts.stream };
    let begun = Instant::now();
    // What is refused is refused fast.
    let took = |ready: &Ready<'_>, kind, begun: Instant| {
        if ready.is_success() {
            shard.hedging.observe(kind, begun.elapsed());
        }
    };
    let late = shard.balance.rules().hedge.and_then(|hedge| shard.hedging.late(hedge, kind));
    let tries = account.tries + 1;
    let mut first = Box::pin(ready(wanted, outgoing, model, account));
    let early = match late {
        // It is woken on every tick until then: hedging costs a little for each request that waits.
        Some(late) => match race(first.as_mut(), pin!(time::sleep(late))).await {
            Won::First(result) => Some(result),
            Won::Second(()) => None,
        },
        None => Some(first.as_mut().await),
    };
    if let Some(result) = early {
        return result.inspect(|ready| took(ready, kind, begun));
    }
    tried.add(target, key);
    let Some((mut beside, slot, target, key)) = second(wanted, tried, tries) else {
        return first.await.inspect(|ready| took(ready, kind, begun));
    };
    // It was chosen, so all of these are there.
    let (Some((provider, upstream)), Some((_, model))) =
        (wanted.plan.upstream(target), wanted.plan.get(target))
    else {
        return first.await;
    };
    let Some(with) = upstream.keys.get(key) else { return first.await };
    tried.add(target, key);
    shard.metrics.borrow_mut().hedges_sent += 1;
    beside.with(provider, model, key, wanted.ask, slot);
    let Ok(prepared) = wanted.prepare(upstream, with, model, &mut beside) else { return first.await };
    let other = Outgoing { request: wanted.request, prepared: &prepared, upstream, provider };
    let (other_kind, other_begun) = (Kind { provider, model, ..kind }, Instant::now());
    let mut other = Box::pin(ready(wanted, &other, model, &mut beside));
    let ready = match race(first.as_mut(), other.as_mut()).await {
        Won::First(Ok(ready)) => {
            took(&ready, kind, begun);
            drop((first, other));
            account.count(&beside);
            return Ok(ready);
        }
        Won::First(Err(failed)) => {
            drop(first);
            let result = other.as_mut().await;
            drop(other);
            match result {
                Ok(ready) => {
                    account.told(failed.why.outcome());
                    failed.instead.discard();
                    ready
                }
                Err(second) => {
                    beside.told(second.why.outcome());
                    second.instead.discard();
                    account.count(&beside);
                    return Err(failed);
                }
            }
        }
        Won::Second(Ok(ready)) => {
            drop((first, other));
            // It would have taken longer. Were that not counted the tail would seem to begin ever earlier.
            shard.hedging.observe(kind, begun.elapsed());
            ready
        }
        Won::Second(Err(failed)) => {
            drop(other);
            beside.told(failed.why.outcome());
            failed.instead.discard();
            let result = first.as_mut().await.inspect(|ready| took(ready, kind, begun));
            drop(first);
            account.count(&beside);
            return result;
        }
    };
    took(&ready, other_kind, other_begun);
    account.overtaken_by(&mut beside);
    shard.metrics.borrow_mut().hedges_won += 1;
    Ok(ready)
}

/// Where a second attempt may be made at once, with its account.
fn second(wanted: &Wanted<'_>, tried: &Tried, tries: u32) -> Option<(Account, Slot, usize, usize)> {
    let Shard { balance, budget, .. } = &**wanted.shard;
    if tries >= balance.rules().max_attempts || balance.hope(wanted.plan, tried, budget) != Hope::Other {
        return None;
    }
    let mut account = Account::beside(wanted.shard, wanted.context, wanted.facts.stream, tries);
    let (target, key) = wanted.place_at_once(tried, &mut account)?;
    account.waited();
    let slot = balance.gates.enter(wanted.plan.get(target)?.0)?;
    balance.may_retry(budget.now()).then_some((account, slot, target, key))
}

/// One attempt, until an answer has begun.
async fn ready<'a>(
    wanted: &Wanted<'a>,
    outgoing: &Outgoing<'_, 'a>,
    model: &str,
    account: &mut Account,
) -> Result<Ready<'a>, Failed<'a>> {
    let answer = attempt::send(wanted.shard, outgoing, model, account).await?;
    if !respond::is_event_stream(&answer) {
        return Ok(Ready::Answer(answer));
    }
    let asks = wanted.asks_usage();
    let stream = events::begun(wanted.shard, wanted.context, answer, asks, account).await?;
    Ok(Ready::Stream(stream))
}

/// Which of two was done first.
enum Won<A, B> {
    First(A),
    Second(B),
}

async fn race<A: Future, B: Future>(
    mut first: Pin<&mut A>,
    mut second: Pin<&mut B>,
) -> Won<A::Output, B::Output> {
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = first.as_mut().poll(cx) {
            return Poll::Ready(Won::First(done));
        }
        second.as_mut().poll(cx).map(Won::Second)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_apart_and_names_bounded() {
        let hedging = Hedging::default();
        let kind = Kind { provider: 3, model: "m", stream: false };
        let given = Duration::from_millis(7);
        assert_eq!(hedging.late(Hedge::After(given), kind), Some(given));
        assert_eq!(hedging.late(Hedge::P95, kind), None);
        for _ in 0..20 {
            hedging.observe(kind, Duration::from_millis(100));
        }
        let late = hedging.late(Hedge::P95, kind).unwrap();
        assert!((100..113).contains(&late.as_millis()), "{late:?}");
        for other in [
            Kind { provider: 2, ..kind },
            Kind { provider: 4, ..kind },
            Kind { model: "n", ..kind },
            Kind { stream: true, ..kind },
        ] {
            assert_eq!(hedging.late(Hedge::P95, other), None, "{other:?}");
        }
        for n in 0..2 * MAX_MODELS {
            hedging.observe(Kind { model: &format!("invented-{n}"), ..kind }, given);
        }
        assert_eq!(hedging.tails.borrow().iter().map(HashMap::len).sum::<usize>(), MAX_MODELS);
        assert!(hedging.late(Hedge::P95, kind).is_some());
    }
}
