//! Taking what a request needs from all its limits, before it is sent.

use coo_shards::{
    budget::{
        LimitId, Millis,
        wallet::{Lack, Take},
    },
    time,
};

use super::Budget;
use crate::{
    config::{
        TokenReserve,
        budgets::{Counts, KeyBudget},
        snapshot::{ProviderId, Snapshot, Upstream},
    },
    dialect::{
        estimate,
        openai::{
            error::{GatewayError, Limit},
            request::RequestFacts,
        },
    },
};

/// Most limits that one request spends from: six of the client's, six of the key's.
const MOST: usize = 12;

/// Output tokens reserved at worst for a request whose output nothing bounds. Few models give more at once.
const UNBOUNDED_OUTPUT: u64 = 16_384;

/// The least a request waits for the word of a limit's home, which may want to see first whether something just
/// taken comes back: a refusal needs to know when to come again.
const LEAST_WAIT_MS: Millis = 300;

/// What a request is going to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Tokens, in and out.
    pub tokens: i64,
    /// Money, in micro-USD.
    pub micro_usd: i64,
}

/// What was taken for a request.
#[derive(Clone, Debug)]
pub struct Reservation {
    takes: [(Take, Counts); MOST],
    len: usize,
    /// When; the date of the spends.
    pub(super) taken: Millis,
    /// Stalls of the process until then.
    pub(super) stalls: u32,
}

impl Reservation {
    fn new(client: &KeyBudget, key: &KeyBudget, need: Need) -> Self {
        let nothing = (Take { limit: 0, amount: 0 }, Counts::Requests);
        let mut this = Self { takes: [nothing; MOST], len: 0, taken: 0, stalls: 0 };
        for budget in [client, key] {
            for (counts, amount) in [
                (Counts::Requests, 1),
                (Counts::Tokens, need.tokens),
                (Counts::SessionTokens, need.tokens),
                (Counts::Held, 1),
                (Counts::Day, need.micro_usd),
                (Counts::Month, need.micro_usd),
            ] {
                if let Some(limit) = budget.limit(counts)
                    && let Some(slot) = this.takes.get_mut(this.len)
                {
                    *slot = (Take { limit, amount }, counts);
                    this.len += 1;
                }
            }
        }
        this
    }

    /// What was taken, and what it counts.
    pub(super) fn takes(&self) -> &[(Take, Counts)] {
        self.takes.get(..self.len).unwrap_or_default()
    }

    fn find(&self, limit: LimitId) -> Option<(Take, Counts)> {
        self.takes().iter().find(|(take, _)| take.limit == limit).copied()
    }
}

/// Who spends on what.
#[derive(Clone, Copy)]
pub struct Spender<'a> {
    /// The compiled configuration.
    pub snapshot: &'a Snapshot,
    /// The client's limits.
    pub client: &'a KeyBudget,
    /// The provider.
    pub provider: ProviderId,
    /// The same.
    pub upstream: &'a Upstream,
    /// Whose turn it is among its keys.
    pub turn: usize,
}

impl Budget {
    /// What a request is going to use, as the configuration says to reckon.
    ///
    /// # Errors
    /// It asks for more output than is allowed.
    pub fn need(
        &self,
        spender: &Spender<'_>,
        facts: &RequestFacts,
        model: &str,
        body: &[u8],
    ) -> Result<Need, GatewayError> {
        let Spender { client, upstream, provider, .. } = spender;
        let of_key = upstream.keys.first().and_then(|key| key.budget.max_tokens);
        let configured = of_key.into_iter().chain(client.max_tokens).min();
        if let (Some(most), Some(requested)) = (configured, facts.max_output_tokens)
            && requested > most
        {
            return Err(GatewayError::MaxTokensTooLarge { most, requested });
        }
        let counts = client.counts_tokens() || upstream.keys.iter().any(|key| key.budget.counts_tokens());
        if !counts {
            return Ok(Need::default());
        }
        let prompt = estimate::prompt_tokens(body);
        let bound = facts.max_output_tokens.or(configured).map(|most| most.saturating_mul(facts.n.max(1)));
        let (input, output) = match self.rules.tokens {
            TokenReserve::WorstCase => (prompt.upper, bound.unwrap_or(UNBOUNDED_OUTPUT)),
            TokenReserve::Expected => {
                let mean = self.outputs.expected(*provider, model);
                (prompt.expected, bound.map_or(mean, |bound| bound.min(mean)))
            }
        };
        let price = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let cost = price(input, upstream.input_price.0) + price(output, upstream.output_price.0);
        Ok(Need {
            tokens: i64::try_from(input.saturating_add(output)).unwrap_or(i64::MAX),
            micro_usd: i64::try_from(cost.div_ceil(1_000_000)).unwrap_or(i64::MAX),
        })
    }

    /// Takes `need` and one request from the client's limits and those of one of the provider's keys: the one
    /// whose turn it is, or the next that has enough. Where none has, waits for the first that will, as long as
    /// the configuration allows.
    ///
    /// # Errors
    /// The error to answer with when nothing will be free in time.
    pub async fn reserve(&self, spender: Spender<'_>, need: Need) -> Result<Taken, GatewayError> {
        let started = self.now();
        let wait = super::millis(self.rules.wait).max(LEAST_WAIT_MS);
        let until = started.saturating_add(wait);
        loop {
            let now = self.now();
            let (key, mut reservation, lack) = match self.try_keys(&spender, need, now) {
                Ok(taken) => return Ok(taken),
                Err(lacking) => lacking,
            };
            let at = match lack {
                Lacking::Resting(at) | Lacking::Limit(Lack::Later(_, at)) => at,
                Lacking::Limit(Lack::Wait(_)) => now,
                Lacking::Limit(Lack::Never(limit)) => {
                    let asked = reservation.find(limit).map_or(0, |(take, _)| take.amount);
                    return Err(too_large(spender.snapshot, limit, asked));
                }
            };
            if at > until || now >= until {
                return Err(refusal(spender.snapshot, lack, at.saturating_sub(now)));
            }
            let Lacking::Limit(Lack::Wait(limit) | Lack::Later(limit, _)) = lack else {
                let left = std::time::Duration::from_millis(at.saturating_sub(now).max(1));
                time::sleep(left).await;
                continue;
            };
            let Some((take, _)) = reservation.find(limit) else { return Err(GatewayError::Internal) };
            let Some(line) = self.wait(take, until) else {
                return Err(refusal(spender.snapshot, lack, at.saturating_sub(now)));
            };
            let left = std::time::Duration::from_millis(until.saturating_sub(now));
            let _ = time::timeout(left, line.called()).await;
            // Called: what this limit lacked is there and nobody else may have it. Others may lack now.
            if self.take(&mut reservation, Some(line.ticket)).is_ok() {
                drop(line);
                return Ok((key, Some(reservation)));
            }
        }
    }

    /// Tries the keys in turn; the lack of the one that will be ready first.
    fn try_keys(&self, spender: &Spender<'_>, need: Need, now: Millis) -> Result<Taken, Untaken> {
        let Spender { client, upstream, provider, turn, .. } = *spender;
        let keys = upstream.keys.len();
        let mut best: Option<Untaken> = None;
        for step in 0..keys {
            let index = (turn + step) % keys;
            let Some(key) = upstream.keys.get(index) else { continue };
            let mut reservation = Box::new(Reservation::new(client, &key.budget, need));
            let rests = self.rests(provider, index);
            let lack = if rests > now {
                Lacking::Resting(rests)
            } else {
                match self.take(&mut reservation, None) {
                    Ok(()) => return Ok((index, (reservation.len > 0).then_some(reservation))),
                    Err(lack) => Lacking::Limit(lack),
                }
            };
            let of_client = matches!(lack, Lacking::Limit(Lack::Wait(limit) | Lack::Later(limit, _) | Lack::Never(limit))
                if client.limits.contains(&Some(limit)));
            if best.as_ref().is_none_or(|(_, _, known)| lack.when(now) < known.when(now)) || of_client {
                best = Some((index, reservation, lack));
            }
            if of_client {
                // The same with every key.
                break;
            }
        }
        let nothing = || Box::new(Reservation::new(client, &KeyBudget::default(), need));
        Err(best.unwrap_or_else(|| (0, nothing(), Lacking::Resting(Millis::MAX))))
    }

    fn take(&self, reservation: &mut Reservation, ticket: Option<u64>) -> Result<(), Lack> {
        let mut takes = [Take { limit: 0, amount: 0 }; MOST];
        for (to, (take, _)) in takes.iter_mut().zip(reservation.takes()) {
            *to = *take;
        }
        let now = self.now();
        let takes = takes.get(..reservation.len).unwrap_or_default();
        self.wallet.borrow_mut().take(takes, ticket, now)?;
        reservation.taken = now;
        reservation.stalls = self.stalls.get();
        Ok(())
    }
}

/// Which of the provider's keys is to be used, and what was taken; nothing where nothing is limited.
type Taken = (usize, Option<Box<Reservation>>);
/// Which key is worth waiting for, what it would take, and what lacks.
type Untaken = (usize, Box<Reservation>, Lacking);

/// Why no key can be used now.
#[derive(Clone, Copy, Debug)]
enum Lacking {
    Limit(Lack),
    /// Its provider told it to rest.
    Resting(Millis),
}

impl Lacking {
    /// When it will be over, as far as is known.
    fn when(&self, now: Millis) -> Millis {
        match *self {
            Self::Limit(Lack::Wait(_)) => now,
            Self::Limit(Lack::Later(_, at)) | Self::Resting(at) => at,
            Self::Limit(Lack::Never(_)) => Millis::MAX,
        }
    }
}

fn kind(counts: Counts) -> Option<Limit> {
    match counts {
        Counts::Requests => Some(Limit::Requests),
        Counts::Tokens => Some(Limit::Tokens),
        Counts::SessionTokens => Some(Limit::SessionTokens),
        Counts::Held => Some(Limit::Concurrency),
        Counts::Day | Counts::Month => None,
    }
}

fn refusal(snapshot: &Snapshot, lack: Lacking, wait: Millis) -> GatewayError {
    let retry_after_ms = wait.max(1);
    let counts = match lack {
        Lacking::Limit(Lack::Wait(limit) | Lack::Later(limit, _) | Lack::Never(limit)) => {
            snapshot.budgets.described.get(limit as usize).map(|described| described.counts)
        }
        Lacking::Resting(_) => Some(Counts::Requests),
    };
    match counts.map(kind) {
        Some(Some(limit)) => GatewayError::RateLimited { limit, retry_after_ms },
        Some(None) if counts == Some(Counts::Day) => {
            GatewayError::BudgetSpent { period: "day", retry_after_ms }
        }
        Some(None) => GatewayError::BudgetSpent { period: "month", retry_after_ms },
        None => GatewayError::Internal,
    }
}

fn too_large(snapshot: &Snapshot, limit: LimitId, requested: i64) -> GatewayError {
    let most = snapshot.budgets.limits.get(limit as usize).map_or(0, |limit| limit.amount);
    match snapshot.budgets.described.get(limit as usize).map(|described| kind(described.counts)) {
        Some(Some(limit)) => GatewayError::RequestTooLarge { limit, most, requested },
        // More money than a whole period has: no time would help.
        Some(None) => GatewayError::BudgetSpent { period: "period", retry_after_ms: Millis::MAX },
        None => GatewayError::Internal,
    }
}
