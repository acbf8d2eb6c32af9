//! What is tried: how many processes and shards, which limits, how the load falls on them, what goes wrong.

use std::time::Duration;

use crate::{judge::Measure, load::profile::Profile};

/// Length of the window that the gateway's limits are in.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// The limits per minute that scenarios without a fault sweep where `--limits` does not say.
pub(super) const LIMITS: [u64; 4] = [3, 60, 6_000, 100_000];
/// Those of the others: few permits to spread, and many.
const FEW_TO_MANY: [u64; 3] = [60, 600, 6_000];
/// Demand as a multiple of the limit.
const DEMAND: f64 = 1.35;
/// Demand where one of three instances fails. The others must still see so much that what was spent within seconds
/// at the start of a window is spent again within seconds: otherwise demand is too slow for what becomes free at
/// once, and an ideal limiter could not use it either.
const DEMAND_WITHOUT_ONE: f64 = 4.0;

/// Demand where Redis forgets: a window's limit is spent in a third of it, so that spending it again shows.
const DEMAND_AFTER_LOSS: f64 = 3.0;
/// How long a turn lasts: no divisor of the window, so that turns fall differently in each.
const TURN: Duration = Duration::from_secs(17);
/// Demand in pulses: a turn is enough to spend a window's limit.
const DEMAND_IN_PULSES: f64 = 4.0;

/// What goes wrong after two windows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Redis is killed and starts again, empty.
    RedisKilled,
    /// An instance is killed and stays dead.
    InstanceKilled,
    /// An instance is stopped and goes on later, not knowing that time has passed.
    InstanceStopped,
}

impl Fault {
    /// When it begins: a bursty limiter spends at the start of each window and then waits. One that forgets is
    /// caught while it should wait, one that dies or sleeps with permission in hand while it spends.
    pub(super) fn begins(self) -> Duration {
        let into_window = match self {
            Fault::RedisKilled => 30,
            Fault::InstanceKilled | Fault::InstanceStopped => 10,
        };
        WINDOW * 2 + Duration::from_secs(into_window)
    }

    /// From its beginning to its end.
    pub(super) fn length(self) -> Duration {
        match self {
            Fault::RedisKilled => Duration::from_secs(5),
            Fault::InstanceKilled => Duration::ZERO,
            Fault::InstanceStopped => Duration::from_secs(10),
        }
    }
}

/// How the load falls on instances and shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skew {
    /// Evenly on all.
    None,
    /// That of a key comes on one connection to each instance, and so on one shard.
    OneShard,
    /// All of it comes to one instance.
    OneInstance,
    /// All of it comes to one instance at a time, for [`TURN`] each, in so many turns. With more turns than
    /// instances nothing comes in those beyond.
    InTurns(usize),
}

impl Skew {
    /// Of so many instances, those that get load.
    pub(super) fn loaded(self, instances: usize) -> usize {
        if self == Skew::OneInstance { 1 } else { instances }
    }

    /// The rate over a run of `length` at instance `index` of those loaded, where the whole demand is `rate`.
    pub(super) fn profile(self, rate: f64, index: usize, instances: usize, length: Duration) -> Profile {
        match self {
            Skew::InTurns(turns) => Profile::in_turns(rate, TURN, (index, turns), length),
            _ => Profile::constant(rate / self.loaded(instances) as f64, length),
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Gateway processes; more than one share a Redis.
    pub(super) instances: usize,
    /// Shards of each.
    pub(super) shards: usize,
    pub(super) measure: Measure,
    /// Limits per minute; each is that of a provider of its own, with one key, loaded at the same time.
    pub(super) limits: Vec<u64>,
    pub(super) skew: Skew,
    /// Demand as a multiple of each limit, over all instances.
    pub(super) demand: f64,
    pub(super) fault: Option<Fault>,
}

impl Scenario {
    /// Whether there is demand all the time, so that what is not used is lost.
    pub(super) fn always_demanded(&self) -> bool {
        !matches!(self.skew, Skew::InTurns(turns) if turns > self.instances)
    }
}

/// All scenarios; `limits` are those swept.
pub(super) fn all(limits: &[u64]) -> Vec<Scenario> {
    let base = Scenario {
        name: "",
        instances: 1,
        shards: 1,
        measure: Measure::Requests,
        limits: limits.to_vec(),
        skew: Skew::None,
        demand: DEMAND,
        fault: None,
    };
    let three = Scenario { instances: 3, shards: 2, ..base.clone() };
    let failing = |name, fault, demand| Scenario {
        name,
        fault: Some(fault),
        demand,
        limits: FEW_TO_MANY.to_vec(),
        ..three.clone()
    };
    vec![
        Scenario { name: "shards-1", ..base.clone() },
        Scenario { name: "shards-2", shards: 2, ..base.clone() },
        Scenario { name: "shards-8", shards: 8, ..base.clone() },
        Scenario {
            name: "shards-skewed",
            shards: 8,
            skew: Skew::OneShard,
            limits: FEW_TO_MANY.to_vec(),
            ..base.clone()
        },
        Scenario {
            name: "shards-pulsed",
            shards: 8,
            skew: Skew::InTurns(2),
            demand: DEMAND_IN_PULSES,
            ..base.clone()
        },
        Scenario { name: "tokens", shards: 2, measure: Measure::Tokens, limits: vec![100_000], ..base },
        Scenario { name: "instances-3", ..three.clone() },
        Scenario {
            name: "instances-skewed",
            skew: Skew::OneInstance,
            limits: FEW_TO_MANY.to_vec(),
            ..three.clone()
        },
        Scenario {
            name: "instances-in-turn",
            skew: Skew::InTurns(3),
            limits: FEW_TO_MANY.to_vec(),
            ..three.clone()
        },
        failing("redis-killed", Fault::RedisKilled, DEMAND_AFTER_LOSS),
        failing("instance-killed", Fault::InstanceKilled, DEMAND_WITHOUT_ONE),
        failing("instance-stopped", Fault::InstanceStopped, DEMAND_WITHOUT_ONE),
    ]
}

/// When what happens, counted from the start of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    /// When demand ends.
    pub(super) length: Duration,
    /// When the fault begins and when it ends.
    pub(super) fault: Option<(Duration, Duration)>,
}

impl Timeline {
    /// That of a run of about `minutes`; one with a fault is longer by its length and the time into a window at
    /// which it begins, and goes on for whole windows after it.
    pub(super) fn new(minutes: u32, fault: Option<Fault>) -> Self {
        match fault {
            None => Self { length: WINDOW * minutes.max(2), fault: None },
            Some(fault) => {
                let (begins, ends) = (fault.begins(), fault.begins() + fault.length());
                let after = WINDOW * minutes.saturating_sub(2).max(1);
                Self { length: ends + after, fault: Some((begins, ends)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_names_of_their_own_and_demand_beyond_the_limit() {
        let all = all(&LIMITS);
        for (n, scenario) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|other| other.name != scenario.name), "{}", scenario.name);
            let lost = f64::from(scenario.fault.is_some_and(|fault| fault != Fault::RedisKilled));
            let left = scenario.demand * (1.0 - lost / scenario.instances as f64);
            assert!(left >= 1.3, "{}: {left}", scenario.name);
        }
    }

    #[test]
    fn a_run_goes_on_for_whole_windows_after_a_fault() {
        assert_eq!(Timeline::new(3, None), Timeline { length: WINDOW * 3, fault: None });
        for fault in [Fault::RedisKilled, Fault::InstanceKilled, Fault::InstanceStopped] {
            let line = Timeline::new(4, Some(fault));
            let (begins, ends) = line.fault.unwrap();
            assert!(begins > WINDOW * 2, "there is a whole window before it, beyond the first");
            assert_eq!(line.length - ends, WINDOW * 2);
        }
        assert_eq!(Timeline::new(1, None).length, WINDOW * 2, "use needs more than a window");
    }
}
