//! Limits that all shards, and all instances, share exactly, without a message per spend.
//!
//! Permission to spend is created in one place and only moves. Each limit has one authority, on its *home* shard
//! ([`home`]) or, with several instances, in a store that they share. The authority counts what was spent in a
//! sliding [`window`] and what it has given out but not yet heard of. A shard that shows demand holds a
//! [`lease`]: an amount it may spend without asking. It reports what it spent and when, returns what it does not
//! need, and asks ahead of need, all once a tick. A request takes from several leases at once, or from none
//! ([`wallet`]).
//!
//! Two invariants, asserted by the simulation in `sim`: in every sliding window of the limit's length at most
//! the limit is spent (B1), and while demand exceeds the limit at least 98 % of it is (B2).
//!
//! Everything here is pure: time comes in as an argument, messages go out as values. Times are milliseconds
//! since 1970 on a clock that never jumps; amounts are whole units (requests, tokens, micro-USD).

mod active;
pub mod demand;
mod even;
pub mod home;
pub mod lease;
pub mod queue;
pub mod relay;
#[cfg(test)]
mod sim;
pub mod stalls;
pub mod wallet;
pub mod window;

/// Milliseconds since 1970, on a clock that never jumps.
pub type Millis = u64;

/// A limit, by its place in the configuration.
pub type LimitId = u32;

/// Over what time a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Any window of so many milliseconds.
    Sliding(Millis),
    /// A calendar day, UTC.
    Day,
    /// A calendar month, UTC.
    Month,
    /// What is in use now: a spend ends when it is released.
    Held,
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Most units within the period.
    pub amount: i64,
    /// The period.
    pub period: Period,
    /// The shard that keeps it.
    pub home: usize,
}

/// How a limit stands at its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which limit.
    pub limit: LimitId,
    /// Spent within the window; where instances share the limit, by this one.
    pub spent: i64,
    /// Granted to shards, or held for them, and not heard of as spent.
    pub granted: i64,
    /// What could still be granted.
    pub free: i64,
    /// Held by instances that have not renewed their leases: it counts as spent, and nobody can spend it.
    pub expired: i64,
}

/// An amount spent, by the bucket of [`window::Window`] that it is dated to.
pub type Dated = (u64, i64);

/// Adds `amount` to the entry of `bucket`; the latest is the likeliest.
fn date(entries: &mut Vec<Dated>, bucket: u64, amount: i64) {
    match entries.iter_mut().rev().find(|(index, _)| *index == bucket) {
        Some((_, sum)) => *sum += amount,
        None => entries.push((bucket, amount)),
    }
}

/// What a holder tells the authority of one limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Which limit.
    pub limit: LimitId,
    /// Spent out of the lease since the last report.
    pub spent: Vec<Dated>,
    /// Changes to what was reported before: refunds are negative. Spends that no lease covered are here too.
    pub corrections: Vec<Dated>,
    /// Given back unspent.
    pub returned: i64,
    /// What the holder wants now.
    pub ask: Option<Ask>,
}

/// A wish for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Less than this is of no use: a request waits for it. 0 where none waits.
    pub need: i64,
    /// What recent demand would use soon; at least `need`.
    pub want: i64,
    /// Until when it is worth waiting.
    pub until: Millis,
    /// Who waits first has little waiting beside others that have much, and so is to have what any holder of a
    /// [`Period::Held`] releases next.
    pub urgent: bool,
}

/// What the authority answers; every [`Ask`] is answered, at once or when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which limit.
    pub limit: LimitId,
    /// Added to the lease.
    pub granted: i64,
    /// What the authority could still grant, for those who want to know.
    pub free: i64,
    /// Nothing will be granted before; 0 where that is not known. A time that has passed means: ask again.
    pub not_before: Millis,
    /// Whether this answers an ask; otherwise it is only news.
    pub solicited: bool,
    /// Of a [`Period::Held`], so much of what is released next is to come back at once, since others that wait have
    /// less. The last word counts.
    pub recall: i64,
    /// Others wait: what stands idle of a [`Period::Held`] is to come back with the next tick.
    pub spare: bool,
}
