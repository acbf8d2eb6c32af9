//! Taking what a request needs from all its limits, before it is sent.

use coo_shards::{
    budget::{
        LimitId, Millis,
        stalls::Sent,
        wallet::{Lack, Take},
    },
    fair::Flow,
    time,
};

use super::{Budget, Collecting};
use crate::{
    config::{
        TokenReserve,
        budgets::{Counts, KeyBudget},
        prices::Price,
        snapshot::{ProviderId, Snapshot, Upstream},
    },
    dialect::{
        estimate::{self, Estimate},
        openai::{
            error::{GatewayError, Limit},
            request::RequestFacts,
        },
        usage::Usage,
    },
    gateway::price,
    gateway::waiter::Heard,
};

/// What limits count.
const KINDS: usize = Counts::ALL.len();

/// Most limits that one request spends from: the client's and the key's.
const MOST: usize = 2 * KINDS;

/// Output tokens reserved at worst for a request whose output nothing bounds. Few models give more at once.
const UNBOUNDED_OUTPUT: u64 = 16_384;

/// The least a request waits for the word of a limit's home, which may want to see first whether something just
/// taken comes back: a refusal needs to know when to come again.
const LEAST_WAIT_MS: Millis = 300;

/// What a limit's home said is believed for so long; while there is demand it is asked on every tick.
const FRESH_MS: Millis = 100;

/// What a request is going to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Tokens, in and out.
    pub tokens: i64,
    /// Money, in micro-USD.
    pub micro_usd: i64,
}

impl Need {
    /// Of so many tokens at a model's price; at `worst` all of the prompt is written to the provider's cache, which may
    /// cost more. That some will come from it is not counted on.
    fn of(input: u64, output: u64, price: &Price, worst: bool) -> Self {
        let total_tokens = input.saturating_add(output);
        let cache_write_tokens = if worst { input } else { 0 };
        let usage = Usage {
            prompt_tokens: input,
            completion_tokens: output,
            total_tokens,
            cache_write_tokens,
            ..Usage::default()
        };
        Self {
            tokens: i64::try_from(total_tokens).unwrap_or(i64::MAX),
            micro_usd: price::cost(&usage, price).micro_usd(),
        }
    }
}

/// What is reckoned for a request.
#[derive(Clone, Copy, Debug, Default)]
struct Reckoned {
    /// What is taken for it.
    need: Need,
    /// What it counts as, should nobody say what it used.
    presumed: Need,
    /// Where its model's means are kept.
    model: Option<usize>,
}

/// What was taken for a request.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// From which limits, and what they count.
    from: [(LimitId, Counts); MOST],
    /// How many of them are the client's; the others are the key's.
    of_client: usize,
    len: usize,
    /// What was taken from each, by what it counts.
    amounts: [i64; KINDS],
    reckoned: Reckoned,
    /// When; the date of the spends.
    pub(super) taken: Millis,
    /// Whether its request went out then.
    pub(super) sent: Sent,
}

impl Reservation {
    fn new(client: &KeyBudget, reckoned: Reckoned) -> Self {
        let Need { tokens, micro_usd } = reckoned.need;
        let mut this = Self {
            from: [(0, Counts::Requests); MOST],
            of_client: 0,
            len: 0,
            amounts: Counts::ALL.map(|counts| match counts {
                Counts::Requests | Counts::Held => 1,
                Counts::Tokens | Counts::SessionTokens => tokens,
                Counts::Day | Counts::Month => micro_usd,
            }),
            reckoned,
            taken: 0,
            sent: Sent::Before,
        };
        this.add(client);
        this.of_client = this.len;
        this
    }

    /// Takes from the limits of `key`, and from no other key's.
    fn with_key(&mut self, key: &KeyBudget) {
        self.len = self.of_client;
        self.add(key);
    }

    fn add(&mut self, budget: &KeyBudget) {
        for (limit, counts) in budget.limits.iter().zip(Counts::ALL) {
            if let &Some(limit) = limit
                && let Some(from) = self.from.get_mut(self.len)
            {
                *from = (limit, counts);
                self.len += 1;
            }
        }
    }

    /// What was taken, and what it counts.
    pub(super) fn takes(&self) -> impl Iterator<Item = (Take, Counts)> + Clone {
        let from = self.from.get(..self.len).unwrap_or_default();
        from.iter().map(|&(limit, counts)| {
            let amount = self.amounts.get(counts as usize).copied().unwrap_or_default();
            (Take { limit, amount }, counts)
        })
    }

    /// What it counts as, should nobody say what it used.
    pub(super) fn presumed(&self) -> Need {
        self.reckoned.presumed
    }

    /// Where its model's means are kept.
    pub(super) fn model(&self) -> Option<usize> {
        self.reckoned.model
    }

    fn find(&self, limit: LimitId) -> Option<Take> {
        self.takes().map(|(take, _)| take).find(|take| take.limit == limit)
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
    /// How many keys may be tried, from there on.
    pub turns: usize,
    /// Whose turn it is among those that wait.
    pub flow: Flow,
}

impl Spender<'_> {
    fn key(&self, index: usize) -> Option<&KeyBudget> {
        self.upstream.keys.get(index).map(|key| &key.budget)
    }
}

impl Budget {
    /// Takes what a request needs, in tokens and money and as one request, from the client's limits and those of
    /// one of the provider's keys: the one whose turn it is, or the next that has enough. The prompt is estimated only
    /// where that takes more than the length of `body`.
    ///
    /// # Errors
    /// It asks for more output than is allowed.
    pub fn begin(
        &self,
        spender: &Spender<'_>,
        facts: &RequestFacts,
        model: &str,
        body: &[u8],
        estimate: &dyn Fn() -> Estimate,
    ) -> Result<Begun, GatewayError> {
        let Spender { client, upstream, provider, turn, .. } = *spender;
        let of_key = upstream.keys.first().and_then(|key| key.budget.max_tokens);
        let configured = of_key.into_iter().chain(client.max_tokens).min();
        if let (Some(most), Some(requested)) = (configured, facts.max_output_tokens)
            && requested > most
        {
            return Err(GatewayError::MaxTokensTooLarge { most, requested });
        }
        let mut reckoned = Reckoned::default();
        if upstream.counts_tokens || client.counts_tokens() {
            let (slot, mean) = self.means.find(provider, model);
            let price = upstream.prices.of(model).unwrap_or_default();
            let bound =
                facts.max_output_tokens.or(configured).map(|most| most.saturating_mul(facts.n.max(1)));
            let expected = self.rules.tokens == TokenReserve::Expected;
            let output = if expected {
                bound.map_or(mean.output, |bound| bound.min(mean.output))
            } else {
                bound.unwrap_or(UNBOUNDED_OUTPUT)
            };
            // Where there is ample, what is taken need not be close: what was too much comes back soon. So the
            // prompt is not read; only what must be charged without the provider's word needs a likelier number.
            if let Some(upper) = estimate::rough_upper(body, facts.hex_escapes)
                && let Some(input) = if expected { mean.prompt_tokens(body.len()) } else { Some(upper) }
            {
                let need = Need::of(upper, output, &price, !expected);
                let presumed = Need::of(input.min(upper), output, &price, !expected);
                if self.is_ample(client, need) && spender.key(turn).is_none_or(|key| self.is_ample(key, need))
                {
                    let reckoned = Reckoned { need, presumed, model: slot };
                    let mut reservation = Box::new(Reservation::new(client, reckoned));
                    if let Ok(key) = self.try_keys(&Spender { turns: 1, ..*spender }, &mut reservation) {
                        return Ok(Begun::Taken(key, Some(reservation)));
                    }
                }
            }
            let prompt = estimate();
            let need =
                Need::of(if expected { prompt.expected } else { prompt.upper }, output, &price, !expected);
            reckoned = Reckoned { need, presumed: need, model: slot };
        }
        let mut reservation = Box::new(Reservation::new(client, reckoned));
        match self.try_keys(spender, &mut reservation) {
            Ok(key) => Ok(Begun::Taken(key, (reservation.len > 0).then_some(reservation))),
            Err((key, lacking)) => Ok(Begun::Lacking(key, reservation, lacking)),
        }
    }

    #[inline]
    fn is_ample(&self, budget: &KeyBudget, need: Need) -> bool {
        let wallet = self.wallet.borrow();
        [
            (Counts::Tokens, need.tokens),
            (Counts::SessionTokens, need.tokens),
            (Counts::Day, need.micro_usd),
            (Counts::Month, need.micro_usd),
        ]
        .into_iter()
        .all(|(counts, amount)| budget.limit(counts).is_none_or(|limit| wallet.is_ample(limit, amount)))
    }

    /// Waits for the first key that will have enough, as long as the configuration allows.
    ///
    /// # Errors
    /// The error to answer with when nothing will be free in time.
    pub async fn wait(
        &self,
        spender: Spender<'_>,
        (mut key, mut reservation, mut lack): (usize, Box<Reservation>, Lacking),
    ) -> Result<(usize, Box<Reservation>), GatewayError> {
        let mut now = self.now();
        let until = now.saturating_add(super::millis(self.rules.wait).max(LEAST_WAIT_MS));
        let mut collecting: Option<Collecting<'_>> = None;
        loop {
            let at = match lack {
                Lacking::Resting(at) | Lacking::Limit(Lack::Later(_, at)) => at,
                Lacking::Limit(Lack::Wait(_)) => now,
                Lacking::Limit(Lack::Never(limit)) => {
                    let asked = reservation.find(limit).map_or(0, |take| take.amount);
                    return Err(too_large(spender.snapshot, limit, asked));
                }
            };
            if at > until
                || now >= until
                || (self.rules.wait.is_zero() && self.is_used_up(lack, &reservation))
            {
                return Err(refusal(spender.snapshot, lack, at.saturating_sub(now)));
            }
            if let Lacking::Limit(Lack::Wait(limit) | Lack::Later(limit, _)) = lack {
                let refused = |now| Err(refusal(spender.snapshot, lack, at.saturating_sub(now)));
                let Some(line) =
                    self.get_in_line(&reservation, limit, until, spender.flow, collecting.as_ref())
                else {
                    return refused(now);
                };
                let left = std::time::Duration::from_millis(until.saturating_sub(now));
                let heard = time::timeout(left, line.waiter.called()).await;
                if heard == Some(Heard::TurnedAway) {
                    return refused(self.now());
                }
                // Called: what this limit lacked is there and nobody else may have it. Others may lack now. One whose
                // time is over has no part in what is there for those before it.
                let ticket = line.ticket;
                let is_next = heard.is_some() || self.wallet.borrow().next(limit, self.now()) == Some(ticket);
                let taken = if is_next {
                    self.take(&mut reservation, Some(ticket))
                } else {
                    Err(Lack::Later(limit, until))
                };
                let Err(lacks) = taken else {
                    line.served.set(true);
                    drop(line);
                    return Ok((key, reservation));
                };
                drop(line);
                if matches!(lacks, Lack::Wait(_)) && self.wallet.borrow().collects(ticket) {
                    collecting.get_or_insert_with(|| Collecting { budget: self, ticket });
                    (lack, now) = (Lacking::Limit(lacks), self.now());
                    continue;
                }
                collecting = None;
            } else {
                let left = std::time::Duration::from_millis(at.saturating_sub(now).max(1));
                time::sleep(left).await;
            }
            now = self.now();
            match self.try_keys(&spender, &mut reservation) {
                Ok(key) => return Ok((key, reservation)),
                Err(lacking) => (key, lack) = lacking,
            }
        }
    }

    /// Whether all of a limit on requests at a time is in use, as far as its home said: when that ends nobody can
    /// know, so there is no word to wait for. What is lacking counts as demand, so the home is asked again.
    fn is_used_up(&self, lack: Lacking, reservation: &Reservation) -> bool {
        let Lacking::Limit(Lack::Wait(limit)) = lack else { return false };
        let held = reservation.takes().any(|(take, counts)| take.limit == limit && counts == Counts::Held);
        let said = self.wallet.borrow().answered_at(limit);
        held && self.remaining(limit) <= 0 && self.now().saturating_sub(said) < FRESH_MS
    }

    /// Tries the keys in turn; which will be ready first, for which `reservation` is then made out, and what it
    /// lacks.
    fn try_keys(
        &self,
        spender: &Spender<'_>,
        reservation: &mut Reservation,
    ) -> Result<usize, (usize, Lacking)> {
        let Spender { client, upstream, provider, turn, turns, .. } = *spender;
        let keys = upstream.keys.len();
        let mut best: Option<(usize, Lacking)> = None;
        for step in 0..keys.min(turns) {
            let index = (turn + step) % keys;
            let Some(key) = spender.key(index) else { continue };
            reservation.with_key(key);
            let rests = self.rests(provider, index);
            let lack = if rests > 0 && rests > self.now() {
                Lacking::Resting(rests)
            } else {
                match self.take(reservation, None) {
                    Ok(()) => return Ok(index),
                    Err(lack) => Lacking::Limit(lack),
                }
            };
            let of_client = lack.is_of(client);
            if best.is_none_or(|(_, known)| lack.when() < known.when()) || of_client {
                best = Some((index, lack));
            }
            if of_client {
                // The same with every key.
                break;
            }
        }
        let best = best.unwrap_or((0, Lacking::Resting(Millis::MAX)));
        reservation.with_key(spender.key(best.0).unwrap_or(&KeyBudget::default()));
        Err(best)
    }

    fn take(&self, reservation: &mut Reservation, ticket: Option<u64>) -> Result<(), Lack> {
        let now = self.now();
        let takes = reservation.takes().map(|(take, _)| take);
        self.wallet.borrow_mut().take(takes, ticket, now)?;
        reservation.taken = now;
        reservation.sent = self.stalls.borrow().dated();
        Ok(())
    }
}

/// What became of [`Budget::begin`].
#[derive(Debug)]
pub enum Begun {
    /// Which of the provider's keys is to be used, and what was taken; nothing where nothing is limited.
    Taken(usize, Option<Box<Reservation>>),
    /// Which key is worth waiting for, what it would take, and what lacks: see [`Budget::wait`].
    Lacking(usize, Box<Reservation>, Lacking),
}

/// Why no key can be used now.
#[derive(Clone, Copy, Debug)]
pub enum Lacking {
    /// A limit has too little.
    Limit(Lack),
    /// Its provider told it to rest.
    Resting(Millis),
}

impl Lacking {
    /// Whether it is one of the limits of `client`, which no other key would change.
    #[must_use]
    pub fn is_of(&self, client: &KeyBudget) -> bool {
        matches!(self, Self::Limit(Lack::Wait(limit) | Lack::Later(limit, _) | Lack::Never(limit))
            if client.limits.contains(&Some(*limit)))
    }

    /// When it will be over, as far as is known: 0 where it may be any moment.
    #[must_use]
    pub fn when(&self) -> Millis {
        match *self {
            Self::Limit(Lack::Wait(_)) => 0,
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
