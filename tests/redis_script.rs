//! `budget.lua` on a real Redis does what the model of it does that the simulations of `coo-shards` run against: the
//! same calls, in random order with all that may go wrong, get the same answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

/// Where the model expects what it uses.
mod budget {
    pub use coo_shards::budget::{LimitId, Millis};
}

#[allow(dead_code)] // the simulations read more of it
#[path = "../shards/src/budget/sim/store.rs"]
mod store;

use std::{collections::BTreeMap, thread, time::Duration};

use common::redis::Redis;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use store::{Call, Done, Epoch, Kind, Line, Memory, Reply};

/// Short enough for a test to wait for: an instance is there, is gone, a lease is valid.
const TIMES: (u64, u64, u64) = (60, 250, 120);
/// Of the limits' windows, and what is added for transit.
const WINDOW_MS: u64 = 200;
const LONGER_MS: u64 = 10;
const INSTANCES: usize = 3;
const AMOUNT: i64 = 20;

/// What a step does.
#[derive(Clone, Debug)]
enum Step {
    Call(Wish),
    /// The same call once more, as if its answer had been lost.
    Again(usize),
    /// Time passes.
    Wait(u64),
    /// The store loses its memory.
    Forget,
}

/// What one instance says next, beside what it must.
#[derive(Clone, Debug)]
struct Wish {
    me: usize,
    /// Answers that it missed are as many sequence numbers.
    skips: u64,
    was_down: bool,
    before: bool,
    knows: Vec<usize>,
    lines: Vec<Ask>,
}

/// What it says of one limit.
#[derive(Clone, Debug)]
struct Ask {
    limit: u32,
    hold: i64,
    unacknowledged: i64,
    need: i64,
    want: i64,
    changes: Vec<(i64, i64)>,
}

fn ask() -> impl Strategy<Value = Ask> {
    let changes = prop::collection::vec((-150i64..250, -6i64..8), 0..3);
    (0u32..2, 0i64..12, 0i64..4, 0i64..12, 0i64..8, changes).prop_map(
        |(limit, hold, unacknowledged, need, more, changes)| {
            let need = (need - 6).max(0);
            Ask { limit, hold, unacknowledged, need, want: need + more, changes }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let rarely = || prop::bool::weighted(0.04);
    let wish = (
        0..INSTANCES,
        prop_oneof![9 => Just(0u64), 1 => 1u64..3],
        rarely(),
        rarely(),
        prop::collection::vec(0..INSTANCES, 0..3),
        prop::collection::vec(ask(), 0..3),
    )
        .prop_map(|(me, skips, was_down, before, knows, lines)| {
            Step::Call(Wish { me, skips, was_down, before, knows, lines })
        });
    prop_oneof![
        30 => wish,
        3 => (0..INSTANCES).prop_map(Step::Again),
        6 => (1u64..60).prop_map(Step::Wait),
        1 => (100u64..400).prop_map(Step::Wait),
        1 => Just(Step::Forget),
    ]
}

/// What an instance remembers.
#[derive(Clone, Debug, Default)]
struct Memo {
    seq: u64,
    last: u64,
    epoch: Option<Epoch>,
    register: bool,
    granted: BTreeMap<u32, i64>,
    sent: Option<Call>,
}

/// The script's arguments for a call.
fn arguments(call: &Call) -> Vec<String> {
    let kind = match call.kind {
        Kind::Sync => "sync",
        Kind::Before => "before",
        Kind::Register => "register",
    };
    let known: Vec<_> = call.known.iter().map(|id| format!("i{id}")).collect();
    let mut out = vec![
        format!("i{}", call.me),
        call.seq.to_string(),
        call.last.to_string(),
        call.epoch.map(|(at, me, count)| format!("{at}-i{me}-{count}")).unwrap_or_default(),
        TIMES.2.to_string(),
        known.join(","),
        kind.to_owned(),
        u8::from(call.was_down).to_string(),
    ];
    for line in &call.lines {
        out.push(format!("l{}", line.limit));
        let numbers = [line.amount, line.window as i64, line.longer as i64, line.hold, line.acknowledged];
        out.extend(numbers.into_iter().chain([line.need, line.want]).map(|number| number.to_string()));
        out.push(line.changes.len().to_string());
        for (age, change) in &line.changes {
            out.extend([age.to_string(), change.to_string()]);
        }
    }
    out
}

/// What the script said, and when, where it says so.
fn read(text: &str) -> (Reply, Option<u64>) {
    let words: Vec<&str> = text.split(' ').collect();
    let id = |text: &str| text.strip_prefix('i').unwrap().parse::<usize>().unwrap();
    let epoch = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        (parts[0].parse().unwrap(), id(parts[1]), parts[2].parse().unwrap())
    };
    match words[0] {
        "late" => (Reply::Late, None),
        "sync" => (Reply::Sync(epoch(words[1])), Some(epoch(words[1]).0)),
        "register" => (Reply::Register(epoch(words[1])), Some(epoch(words[1]).0)),
        "ok" => {
            let (members, live) = words[4].split_once('/').unwrap();
            let mut members: Vec<usize> = members.split(',').map(id).collect();
            members.sort_unstable();
            let number = |at: usize| words[at].parse::<i64>().unwrap();
            let limits = (5..words.len())
                .step_by(4)
                .map(|at| (number(at), number(at + 1), number(at + 2) as u64, number(at + 3)))
                .collect();
            let (now, valid_until) = (number(1) as u64, number(3) as u64);
            (Reply::Done(Done { now, valid_until, members, live: live.parse().unwrap(), limits }), Some(now))
        }
        _ => panic!("{text}"),
    }
}

/// Both stores.
struct Stores<'a> {
    connection: &'a mut redis::Connection,
    script: &'a redis::Script,
    key: String,
    model: Memory,
    memos: Vec<Memo>,
    /// Redis' clock as it last told it.
    now: u64,
}

impl Stores<'_> {
    /// Redis' clock.
    fn clock(&mut self) -> u64 {
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(self.connection).unwrap();
        seconds * 1000 + micros / 1000
    }

    /// Calls both; they must agree.
    fn call(&mut self, call: &Call) -> Result<Reply, TestCaseError> {
        let text: String = self
            .script
            .key(&self.key)
            .arg(arguments(call))
            .invoke(self.connection)
            .unwrap_or_else(|error| panic!("{call:?}: {error}"));
        let (said, at) = read(&text);
        // An answer that does not tell the time depends on it only where an epoch begins, and that is told.
        let at = at.filter(|_| matches!(said, Reply::Done(_)) || at > Some(self.now)).unwrap_or(self.now);
        let mut modelled = self.model.call(call, 1, at);
        if let Reply::Done(done) = &mut modelled {
            done.members.sort_unstable();
        }
        prop_assert_eq!(format!("{said:?}"), format!("{modelled:?}"), "{:?} -> {}", call, text);
        self.now = self.now.max(at);
        Ok(said)
    }

    fn wish(&mut self, wish: &Wish) -> Result<(), TestCaseError> {
        let now = self.clock();
        let memo = &mut self.memos[wish.me];
        memo.seq += 1 + wish.skips;
        let kind = match (memo.register, wish.before) {
            (true, _) => Kind::Register,
            (false, true) => Kind::Before,
            (false, false) => Kind::Sync,
        };
        let lines = wish.lines.iter().map(|ask| {
            let granted = memo.granted.get(&ask.limit).copied().unwrap_or(0);
            Line {
                limit: ask.limit,
                amount: AMOUNT,
                window: WINDOW_MS,
                longer: LONGER_MS,
                hold: ask.hold,
                acknowledged: (granted - ask.unacknowledged).max(0),
                need: ask.need,
                want: ask.want,
                changes: ask
                    .changes
                    .iter()
                    .map(|(age, change)| ((now as i64 + age) as u64, *change))
                    .collect(),
            }
        });
        let call = Call {
            me: wish.me,
            seq: memo.seq,
            last: memo.last,
            epoch: memo.epoch,
            known: wish.knows.clone(),
            kind,
            was_down: wish.was_down,
            lines: lines.collect(),
        };
        memo.sent = Some(call.clone());
        self.settle(call)
    }

    /// Calls, and takes the answer.
    fn settle(&mut self, call: Call) -> Result<(), TestCaseError> {
        let said = self.call(&call)?;
        let memo = &mut self.memos[call.me];
        match said {
            Reply::Sync(epoch) => (memo.epoch, memo.register) = (Some(epoch), false),
            Reply::Register(epoch) => (memo.epoch, memo.register) = (Some(epoch), true),
            Reply::Late => {}
            Reply::Done(done) => {
                (memo.last, memo.register) = (call.seq, false);
                for (line, (granted, ..)) in call.lines.iter().zip(done.limits) {
                    *memo.granted.entry(line.limit).or_insert(0) += granted.max(0);
                }
            }
        }
        Ok(())
    }
}

#[test]
fn the_script_does_what_its_model_does() {
    let server = Redis::start();
    let mut connection =
        redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap().get_connection().unwrap();
    // Its times are shortened; all else is as it runs.
    let mut text = include_str!("../src/control/redis_sync/budget.lua").to_owned();
    for (name, value) in [("LIVE_MS = 5000 ", TIMES.0), ("GONE_MS = 70000 ", TIMES.1)] {
        assert!(text.contains(name), "{name}");
        let (word, _) = name.split_once(" = ").unwrap();
        text = text.replace(name, &format!("{word} = {value} "));
    }
    let script = redis::Script::new(&text);
    let cases = std::env::var("COO_SCRIPT_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(40);
    let config = Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let mut runs = 0;
    let connection = std::cell::RefCell::new(&mut connection);
    let runs = std::cell::RefCell::new(&mut runs);
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 1..60), |steps| {
            **runs.borrow_mut() += 1;
            let mut connection = connection.borrow_mut();
            let mut stores = Stores {
                connection: &mut connection,
                script: &script,
                key: format!("t{0}:{{t{0}}}:budget", runs.borrow()),
                model: Memory::with(TIMES),
                memos: vec![Memo::default(); INSTANCES],
                now: 0,
            };
            for step in &steps {
                match step {
                    Step::Call(wish) => stores.wish(wish)?,
                    Step::Again(me) => {
                        if let Some(call) = stores.memos[*me].sent.clone() {
                            stores.settle(call)?;
                        }
                    }
                    Step::Wait(ms) => thread::sleep(Duration::from_millis(*ms)),
                    Step::Forget => {
                        let _: () = redis::cmd("FLUSHALL").query(stores.connection).unwrap();
                        stores.model = Memory::with(TIMES);
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}
