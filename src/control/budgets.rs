//! All limits as they stand, for people: metrics show them, an admin interface can.

use crate::{
    config::{budgets::Owner, snapshot::Snapshot},
    gateway::shard::Sample,
};

/// A limit as it stands. Amounts are requests, tokens or micro-USD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget<'a> {
    /// The provider whose key it is of; empty for a client's.
    pub provider: &'a str,
    /// That key, masked.
    pub key: &'a str,
    /// The client whose it is; empty for a key's.
    pub client: &'a str,
    /// What it counts, and over what time.
    pub counts: &'static str,
    /// The limit.
    pub limit: i64,
    /// Spent within its window; where instances share it, by this one.
    pub spent: i64,
    /// Granted to shards and not heard of as spent yet.
    pub granted: i64,
    /// Left to grant.
    pub free: i64,
    /// Held by other instances that no longer renew their leases: wasted until it ages out.
    pub expired: i64,
    /// Spent beyond what was reserved, since the process began: answers that were longer than expected.
    pub excess: i64,
}

/// The limits of `snapshot` as the shards know them.
#[must_use]
pub fn standings<'a>(snapshot: &'a Snapshot, samples: &[Sample]) -> Vec<Budget<'a>> {
    let budgets = &snapshot.budgets;
    let mut all: Vec<Budget<'a>> = budgets
        .limits
        .iter()
        .zip(&budgets.described)
        .map(|(limit, described)| {
            let (provider, key, client) = match &described.owner {
                Owner::Key(provider, key) => (provider.as_str(), key.as_str(), ""),
                Owner::Client(client) => ("", "", client.as_str()),
            };
            let counts = described.counts.name();
            let limit = limit.amount;
            Budget {
                provider,
                key,
                client,
                counts,
                limit,
                spent: 0,
                granted: 0,
                free: 0,
                expired: 0,
                excess: 0,
            }
        })
        .collect();
    for Sample { standings, excesses, .. } in samples {
        for standing in standings {
            // Each is known in full at its home, and nowhere else.
            if let Some(budget) = all.get_mut(standing.limit as usize) {
                budget.spent = standing.spent;
                budget.granted = standing.granted;
                budget.free = standing.free;
                budget.expired = standing.expired;
            }
        }
        for (budget, excess) in all.iter_mut().zip(excesses) {
            budget.excess = budget.excess.saturating_add(*excess);
        }
    }
    all
}
