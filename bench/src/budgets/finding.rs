//! What a run found about one key, and whether that passes.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::scenario::Scenario;
use crate::{
    judge::{Measure, Ruling},
    versus::table::{Cell, Table},
};

/// Least demand, as a multiple of the limit, at which use says something.
const LEAST_DEMAND: f64 = 1.1;
/// Names of [`Finding::cells`], behind the row's name.
const COLUMNS: [&str; 12] = [
    "",
    "limit/min",
    "demand",
    "spent",
    "worst minute",
    "over in s",
    "use",
    "of ideal",
    "Redis/s",
    "Redis/req",
    "p50 ms",
    "p99 ms",
];

/// What must hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Least use.
    pub(super) least_use: f64,
    /// How much shorter than the window the time may be in which more than the limit was spent.
    pub(super) jitter_us: u64,
}

/// What Redis was made to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RedisUse {
    /// Commands a second, for each instance.
    pub(super) per_s: f64,
    /// Commands for each answered request, over all keys.
    pub(super) per_request: f64,
    /// Commands by name; those that a script ran are counted beside the script.
    pub(super) calls: BTreeMap<String, u64>,
}

impl RedisUse {
    /// Of the calls `before` and `after` a run that answered so many requests.
    pub(super) fn new(
        before: &BTreeMap<String, u64>,
        mut after: BTreeMap<String, u64>,
        instances: usize,
        length: Duration,
        answered: u64,
    ) -> Self {
        for (name, count) in &mut after {
            *count -= before.get(name).copied().unwrap_or(0).min(*count);
        }
        after.retain(|_, count| *count > 0);
        let all = after.values().sum::<u64>() as f64;
        Self {
            per_s: all / instances.max(1) as f64 / length.as_secs_f64(),
            per_request: all / answered.max(1) as f64,
            calls: after,
        }
    }
}

/// What was found about one key in one run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) scenario: &'static str,
    pub(super) subject: String,
    pub(super) instances: usize,
    pub(super) shards: usize,
    /// The judgement on all of the run.
    pub(super) ruling: Ruling,
    /// Share used of what an ideal limiter would have let through in all of the run, the fault included; `None`
    /// without a fault.
    pub(super) of_ideal: Option<f64>,
    /// What was asked for as a multiple of the limit, counting only requests that were answered.
    pub(super) demand: f64,
    /// Requests answered 429.
    pub(super) refused: u64,
    /// Half of the requests that were let through took no longer.
    pub(super) p50_ms: f64,
    /// 99 % of them.
    pub(super) p99_ms: f64,
    pub(super) redis: Option<RedisUse>,
    /// Open connections by instance and shard, of all keys and of the look itself.
    pub(super) connections: Vec<Vec<u64>>,
    /// Answers other than 200 and 429, and failures.
    pub(super) unexpected: BTreeMap<String, u64>,
    /// Why it does not pass; empty where it does.
    pub(super) problems: Vec<String>,
}

impl Finding {
    /// Fills in the problems.
    pub(super) fn decide(&mut self, terms: Terms, scenario: &Scenario, whole_record: bool) {
        let faulty = scenario.fault.is_some();
        let mut problems = Vec::new();
        if !whole_record {
            problems.push("the record is not complete".to_owned());
        }
        if self.ruling.over(terms.jitter_us) {
            problems.push(format!("over by {}", self.ruling.overshoot));
        }
        match self.of_ideal.or(self.ruling.steady_use) {
            None => problems.push("nothing spent".to_owned()),
            Some(_) if !scenario.always_demanded() => {}
            Some(used) if used < terms.least_use => {
                problems.push(format!("use {used:.3} is less than {}", terms.least_use));
            }
            Some(_) => {}
        }
        if self.demand < LEAST_DEMAND {
            problems.push(format!("demand of {:.2} × the limit is too little to tell use", self.demand));
        }
        if !faulty && !self.unexpected.is_empty() {
            problems.push("requests failed".to_owned());
        }
        self.problems = problems;
    }

    /// Whether everything held.
    pub(super) fn passes(&self) -> bool {
        self.problems.is_empty()
    }

    /// In a line, while others still run.
    pub(super) fn line(&self) -> String {
        let Ruling { rule, spent, worst, steady_use, .. } = &self.ruling;
        let verdict = if self.passes() { "holds".to_owned() } else { self.problems.join("; ") };
        format!(
            "  {:7} a minute: spent {spent}, worst minute {}, use {:.3}: {verdict}",
            rule.limit,
            worst.amount,
            self.of_ideal.or(*steady_use).unwrap_or(0.0),
        )
    }

    fn cells(&self) -> Vec<Cell> {
        let Ruling { rule, spent, worst, tightest_us, steady_use, .. } = &self.ruling;
        // Only a span shorter than the window is news.
        let tightest = tightest_us.filter(|&span| span < rule.window_us).map(|span| span as f64 / 1e6);
        let redis = |figure: fn(&RedisUse) -> f64| self.redis.as_ref().map(figure);
        let limit = match rule.measure {
            Measure::Requests => Cell::number(rule.limit as f64, 0),
            Measure::Tokens => Cell::text(format!("{} tokens", rule.limit)),
        };
        vec![
            limit,
            Cell::number(self.demand, 2),
            Cell::number(*spent as f64, 0),
            Cell::number(worst.amount as f64, 0),
            Cell::maybe(tightest, 4),
            Cell::maybe(*steady_use, 3),
            Cell::maybe(self.of_ideal, 3),
            Cell::maybe(redis(|redis| redis.per_s), 1),
            Cell::maybe(redis(|redis| redis.per_request), 3),
            Cell::number(self.p50_ms, 2),
            Cell::number(self.p99_ms, 2),
            Cell::text(if self.passes() { "holds".to_owned() } else { self.problems.join("; ") }),
        ]
    }
}

/// The table of all findings.
pub(super) fn table(findings: &[Finding], minutes: u32, terms: Terms) -> Table {
    let columns: Vec<&str> = COLUMNS.into_iter().chain(["verdict"]).collect();
    let mut table = Table::new(format!("Limits held, in runs of {minutes} minutes"), &columns);
    for finding in findings {
        table.row(&format!("{} {}", finding.subject, finding.scenario), finding.cells());
    }
    table.note(format!(
        "Judged by the provider's record. Worst minute: most spent in any sliding minute. Over in s: the shortest \
         time in which more than the limit was spent, where that is less than a minute. Use: spent of what the \
         limit allows after the first minute. Of ideal: spent of what a limiter that knows all would have let through \
         of the same arrivals, in all of the run. At least {} while demand is above the limit. Redis/s: commands a \
         second for each instance. Latencies: of requests let through.",
        terms.least_use
    ));
    for finding in findings {
        if !finding.unexpected.is_empty() {
            table.note(format!(
                "{} {} {}: {}.",
                finding.subject,
                finding.scenario,
                finding.ruling.rule.limit,
                counts(&finding.unexpected)
            ));
        }
    }
    let mut last = (String::new(), "");
    for finding in findings {
        let run = (finding.subject.clone(), finding.scenario);
        if std::mem::replace(&mut last, run.clone()) == run {
            continue;
        }
        let name = format!("{} {}", finding.subject, finding.scenario);
        if finding.connections.iter().any(|shards| shards.len() > 1) {
            let connections = &finding.connections;
            table.note(format!(
                "{name}: connections by shard, one of them the question's own, {connections:?}."
            ));
        }
        if let Some(redis) = &finding.redis {
            let calls = if redis.calls.is_empty() { "none".to_owned() } else { counts(&redis.calls) };
            table.note(format!("{name}: Redis commands: {calls}."));
        }
    }
    table
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::scenario;
    use crate::judge::{Rule, Spend, rule_on};

    fn scenario(name: &str) -> Scenario {
        scenario::all(&[10]).into_iter().find(|scenario| scenario.name == name).unwrap()
    }

    const TERMS: Terms = Terms { least_use: 0.98, jitter_us: 0 };

    /// A finding on `per_window` requests at the start of each of three windows, against a limit of 10.
    fn finding(per_window: u64, demand: f64) -> Finding {
        let spends: Vec<Spend> = (0..3)
            .flat_map(|window| {
                (0..per_window).map(move |n| Spend { at_us: window * 60_000_000 + n, amount: 1 })
            })
            .collect();
        let rule = Rule { measure: Measure::Requests, limit: 10, window_us: 60_000_000 };
        let mut finding = Finding {
            scenario: "s",
            subject: "gateway".into(),
            instances: 1,
            shards: 1,
            ruling: rule_on(&spends, rule, 180_000_000),
            of_ideal: None,
            demand,
            refused: 1,
            p50_ms: 1.0,
            p99_ms: 2.0,
            redis: None,
            connections: Vec::new(),
            unexpected: BTreeMap::new(),
            problems: Vec::new(),
        };
        finding.decide(TERMS, &scenario("shards-1"), true);
        finding
    }

    #[test]
    fn what_holds_passes_and_what_does_not_says_why() {
        assert!(finding(10, 1.3).passes());
        for (per_window, demand, why) in [
            (11, 1.3, "over by 1"),
            (9, 1.3, "use 0.900 is less than 0.98"),
            (10, 1.0, "demand of 1.00"),
            (0, 1.3, "nothing spent"),
        ] {
            let problems = finding(per_window, demand).problems;
            assert!(problems.iter().any(|problem| problem.contains(why)), "{why}: {problems:?}");
        }
        let mut failing = finding(10, 1.3);
        failing.unexpected.insert("503".into(), 2);
        failing.decide(TERMS, &scenario("shards-1"), true);
        assert!(!failing.passes());
        failing.decide(TERMS, &scenario("redis-killed"), true);
        assert!(failing.passes(), "a fault may fail requests");
        failing.decide(TERMS, &scenario("redis-killed"), false);
        assert!(!failing.passes(), "an incomplete record judges nothing");
    }

    #[test]
    fn an_ideal_limiter_is_the_measure_where_there_is_a_fault() {
        let mut faulty = finding(9, 1.3);
        faulty.of_ideal = Some(0.9);
        faulty.decide(TERMS, &scenario("redis-killed"), true);
        assert!(!faulty.passes());
        faulty.of_ideal = Some(1.0);
        faulty.decide(TERMS, &scenario("redis-killed"), true);
        assert!(faulty.passes());
    }

    #[test]
    fn use_is_not_asked_for_where_demand_pauses() {
        let mut pulsed = finding(9, 1.3);
        pulsed.decide(TERMS, &scenario("shards-pulsed"), true);
        assert!(pulsed.passes());
        pulsed.decide(TERMS, &scenario("instances-in-turn"), true);
        assert!(!pulsed.passes(), "there is always one instance with demand");
    }

    #[test]
    fn redis_is_charged_by_instance_and_by_request() {
        let before = BTreeMap::from([("hello".to_owned(), 3), ("get".to_owned(), 1)]);
        let after = BTreeMap::from([("hello".to_owned(), 3), ("get".to_owned(), 61)]);
        let redis = RedisUse::new(&before, after, 3, Duration::from_secs(10), 600);
        assert_eq!((redis.per_s, redis.per_request), (2.0, 0.1));
        assert_eq!(redis.calls, BTreeMap::from([("get".to_owned(), 60)]));
    }

    #[test]
    fn tables_have_a_cell_for_each_column() {
        let table = table(&[finding(11, 1.3)], 3, TERMS);
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
        assert!(table.aligned().contains("over by 1"), "{}", table.aligned());
    }
}
