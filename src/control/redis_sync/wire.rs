//! What goes to `budget.lua` and what comes back, as text.

use coo_shards::budget::{
    Limit, Millis, Period,
    relay::{StoreAnswer, StoreReport},
    window::{DAY_MS, TRANSIT_MS, ages_out},
};

/// What an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reports and wishes.
    Sync,
    /// A report from before this instance went on alone: it does not say all that was spent until now.
    Before,
    /// All that this instance knows, for a store that lost its memory.
    Register,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Before => "before",
            Self::Register => "register",
        }
    }
}

/// Appends the arguments of one limit's report. `offset_ms` is how far the store's clock may be ahead of ours.
pub(super) fn report(
    args: &mut Vec<String>,
    name: &str,
    limit: &Limit,
    report: &StoreReport,
    offset_ms: i64,
) {
    let (window, longer) = match limit.period {
        Period::Sliding(window) => (window, TRANSIT_MS),
        Period::Day => (DAY_MS, 0),
        Period::Month => (31 * DAY_MS, 0),
        Period::Held => (0, 0),
    };
    let (need, want) = report.ask.map_or((0, 0), |ask| (ask.need, ask.want));
    args.push(name.to_owned());
    args.extend(
        [limit.amount.to_string(), window.to_string(), longer.to_string()]
            .into_iter()
            .chain([report.hold, report.acknowledged, need, want].map(|number| number.to_string())),
    );
    args.push(report.changes.len().to_string());
    for &(bucket, amount) in &report.changes {
        let ends = ages_out(limit.period, bucket);
        // Days and months end when the calendar says, whichever clock is read.
        let ends = if matches!(limit.period, Period::Sliding(_)) { shifted(ends, offset_ms) } else { ends };
        args.push(ends.to_string());
        args.push(amount.to_string());
    }
}

fn shifted(time: Millis, by: i64) -> Millis {
    time.saturating_add_signed(by)
}

/// What the script answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Say it again in this epoch.
    Sync(String),
    /// Say all that you know, in this epoch.
    Register(String),
    /// Done.
    Done(Done),
}

/// A finished exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// The store's time.
    pub(super) now: Millis,
    /// Until when leases are valid, in the store's time.
    pub(super) valid_until: Millis,
    /// All instances known, comma-separated.
    pub(super) members: String,
    /// How many of them are there.
    pub(super) live: i64,
    /// For each limit reported, in order.
    pub(super) limits: Vec<Granted>,
}

/// What is said of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    /// Negative where the lease had lapsed.
    granted: i64,
    free: i64,
    /// The store's time; 0 where it is not known.
    not_before: Millis,
    expired: i64,
}

impl Reply {
    /// Reads a reply; `None` for what `budget.lua` would not say.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        match words.next()? {
            "sync" => Some(Self::Sync(words.next()?.to_owned())),
            "register" => Some(Self::Register(words.next()?.to_owned())),
            "ok" => {
                let now = words.next()?.parse().ok()?;
                let _epoch = words.next()?;
                let valid_until = words.next()?.parse().ok()?;
                let (members, live) = words.next()?.split_once('/')?;
                let (members, live) = (members.to_owned(), live.parse().ok()?);
                let mut limits = Vec::new();
                while let Some(granted) = words.next() {
                    limits.push(Granted {
                        granted: granted.parse().ok()?,
                        free: words.next()?.parse().ok()?,
                        not_before: words.next()?.parse().ok()?,
                        expired: words.next()?.parse().ok()?,
                    });
                }
                Some(Self::Done(Done { now, valid_until, members, live, limits }))
            }
            _ => None,
        }
    }
}

/// The answer to one report, in our time.
pub(super) fn answer(report: &StoreReport, said: &Granted, offset_ms: i64) -> StoreAnswer {
    StoreAnswer {
        limit: report.limit,
        granted: (said.granted >= 0).then_some(said.granted),
        free: said.free,
        not_before: if said.not_before == 0 { 0 } else { shifted(said.not_before, -offset_ms) },
        expired: said.expired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_and_nonsense_is_refused() {
        let text = "ok 1795594226000 179-a 1795594228000 a,b/2 5 90 0 0 -1 0 1795594229000 7";
        let Some(Reply::Done(done)) = Reply::read(text) else { panic!() };
        assert_eq!((done.live, done.members.as_str()), (2, "a,b"));
        let granted = Granted { granted: 5, free: 90, not_before: 0, expired: 0 };
        let lapsed = Granted { granted: -1, free: 0, not_before: 1_795_594_229_000, expired: 7 };
        assert_eq!(done.limits, [granted, lapsed]);
        assert_eq!(Reply::read("sync e"), Some(Reply::Sync("e".into())));
        for bad in ["", "ok", "ok 1 e 2 a", "ok 1 e 2 a/1 5", "ok 1 e 2 a/1 5 6 7", "ok x e 2 a/1", "maybe"] {
            assert_eq!(Reply::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_sliding_windows_follow_the_stores_clock() {
        let limit = |period| Limit { amount: 10, period, home: 0 };
        let told = StoreReport { limit: 0, changes: vec![(20_000, 4)], hold: 1, acknowledged: 1, ask: None };
        let mut args = Vec::new();
        report(&mut args, "n", &limit(Period::Sliding(60_000)), &told, 7);
        assert_eq!(args, ["n", "10", "60000", "100", "1", "1", "0", "0", "1", "2060207", "4"]);
        args.clear();
        report(&mut args, "n", &limit(Period::Day), &told, 7);
        assert_eq!(args.get(9).map(String::as_str), Some("1728086400000"));
    }
}
