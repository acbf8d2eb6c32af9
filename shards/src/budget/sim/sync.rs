//! The part of an instance that exchanges with the store: the rules of the gateway's synchroniser, as a machine
//! that is told what happens and says what to do.

use std::collections::{BTreeMap, VecDeque};

use super::store::{Call, Done, Epoch, Kind, Line, Reply, VALIDITY_MS};
use crate::budget::{
    Limit, LimitId, Millis, Period,
    relay::{StoreAnswer, StoreReport},
    window::{TRANSIT_MS, ages_out},
};

const SIGN_OF_LIFE: Millis = 500;
const AGREED_FOR: Millis = 5_000;
const DOWN_FOR: Millis = 1_000;
const RECONNECT: Millis = 100;
const COMPARE_CLOCKS: Millis = 60_000;

#[derive(Debug)]
struct Batch {
    seq: u64,
    kind: Kind,
    reports: Vec<StoreReport>,
    /// When it was sent first of the times whose outcome is not known.
    sent: Option<Millis>,
}

/// What comes from the shards.
pub(super) enum Told {
    Sync(Vec<StoreReport>),
    Ready(Vec<StoreReport>),
}

/// What homes are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Rejoin,
    Ledger,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Do {
    /// The round is over.
    Rest,
    Connect,
    Ask(Question),
    Send(Call),
}

/// What shards are to be told at once.
pub(super) enum Tell {
    Valid(Millis, i64),
    Store(usize, Vec<StoreAnswer>),
    Leave(i64, bool),
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Connecting,
    Asking(Question, usize),
    /// For the answer to what was sent first at, and last at.
    Waiting(Millis, Millis),
}

pub(super) struct Sync {
    me: usize,
    shards: usize,
    limits: Vec<Limit>,
    connected: bool,
    tried: Option<Millis>,
    epoch: Option<Epoch>,
    seq: u64,
    answered: u64,
    batch: Option<Batch>,
    next: BTreeMap<LimitId, StoreReport>,
    members: Vec<usize>,
    live: i64,
    offset: Option<(i64, Millis)>,
    spoke: Option<Millis>,
    down_since: Option<Millis>,
    alone: bool,
    was_down: bool,
    phase: Phase,
    turns: u32,
    pub(super) inbox: VecDeque<(usize, Told)>,
}

impl Sync {
    pub(super) fn new(me: usize, shards: usize, limits: Vec<Limit>) -> Self {
        Self {
            me,
            shards,
            limits,
            connected: false,
            tried: None,
            epoch: None,
            seq: 0,
            answered: 0,
            batch: None,
            next: BTreeMap::new(),
            members: Vec::new(),
            live: 1,
            offset: None,
            spoke: None,
            down_since: None,
            alone: false,
            was_down: false,
            phase: Phase::Idle,
            turns: 0,
            inbox: VecDeque::new(),
        }
    }

    fn collect(&mut self, anew: bool) -> usize {
        let mut ready = 0;
        while let Some((from, told)) = self.inbox.pop_front() {
            let reports = match told {
                Told::Sync(reports) => reports,
                Told::Ready(reports) => {
                    ready += 1;
                    if anew {
                        let limits = &self.limits;
                        self.next.retain(|limit, _| limits[*limit as usize].home != from);
                    }
                    reports
                }
            };
            for report in reports {
                match self.next.get_mut(&report.limit) {
                    Some(known) => known.merge(report),
                    None => drop(self.next.insert(report.limit, report)),
                }
            }
        }
        ready
    }

    /// A round begins.
    pub(super) fn round(&mut self, now: Millis) -> Do {
        self.collect(false);
        if self.connected {
            return self.go(now);
        }
        if self.tried.is_some_and(|tried| now < tried + RECONNECT) {
            return Do::Rest;
        }
        self.tried = Some(now);
        self.phase = Phase::Connecting;
        Do::Connect
    }

    pub(super) fn opened(&mut self, now: Millis) -> Do {
        if self.phase != Phase::Connecting {
            return Do::Rest;
        }
        self.connected = true;
        self.go(now)
    }

    fn go(&mut self, now: Millis) -> Do {
        self.turns = 3;
        if !std::mem::take(&mut self.alone) {
            return self.exchange(now);
        }
        if let Some(batch) = &mut self.batch {
            batch.kind = Kind::Before;
        }
        self.ask(Question::Rejoin)
    }

    fn ask(&mut self, question: Question) -> Do {
        self.phase = Phase::Asking(question, 0);
        Do::Ask(question)
    }

    /// Something came from a shard; what follows, if all have answered.
    pub(super) fn told(&mut self, now: Millis) -> Option<Do> {
        let Phase::Asking(question, before) = self.phase else { return None };
        let ready = before + self.collect(question == Question::Ledger);
        self.phase = Phase::Asking(question, ready);
        if ready < self.shards {
            return None;
        }
        if question == Question::Ledger {
            self.pack(Kind::Register);
            self.turns -= 1;
        }
        Some(self.exchange(now))
    }

    fn pack(&mut self, kind: Kind) {
        self.seq += 1;
        let reports = std::mem::take(&mut self.next).into_values().collect();
        self.batch = Some(Batch { seq: self.seq, kind, reports, sent: None });
    }

    fn exchange(&mut self, now: Millis) -> Do {
        self.phase = Phase::Idle;
        if self.turns == 0 {
            return Do::Rest;
        }
        if self.batch.is_none() {
            let silent = self.spoke.is_none_or(|spoke| now >= spoke + SIGN_OF_LIFE);
            if self.next.is_empty() && !silent {
                return Do::Rest;
            }
            self.pack(Kind::Sync);
        }
        let offset = self.offset.map_or(0, |(offset, _)| offset);
        let batch = self.batch.as_mut().unwrap();
        let limits = &self.limits;
        self.phase = Phase::Waiting(*batch.sent.get_or_insert(now), now);
        Do::Send(Call {
            me: self.me,
            seq: batch.seq,
            last: self.answered,
            epoch: self.epoch,
            known: self.members.clone(),
            kind: batch.kind,
            was_down: self.was_down,
            lines: batch
                .reports
                .iter()
                .map(|report| line(&limits[report.limit as usize], report, offset))
                .collect(),
        })
    }

    pub(super) fn reply(&mut self, reply: Reply, now: Millis, tell: &mut Vec<Tell>) -> Do {
        let Phase::Waiting(sent, again) = self.phase else { return Do::Rest };
        match reply {
            Reply::Done(done) => {
                self.done(&done, sent, again, now, tell);
                self.phase = Phase::Idle;
                Do::Rest
            }
            Reply::Sync(epoch) => {
                (self.epoch, self.was_down) = (Some(epoch), false);
                self.batch.as_mut().unwrap().sent = None;
                self.turns -= 1;
                self.exchange(now)
            }
            Reply::Late => unreachable!("nobody waits for it"),
            Reply::Register(epoch) => {
                (self.epoch, self.was_down) = (Some(epoch), false);
                self.ask(Question::Ledger)
            }
        }
    }

    fn done(&mut self, done: &Done, sent: Millis, again: Millis, now: Millis, tell: &mut Vec<Tell>) {
        let batch = self.batch.take().unwrap();
        (self.down_since, self.spoke) = (None, Some(now));
        self.answered = batch.seq;
        (self.members, self.live) = (done.members.clone(), done.live);
        let found = done.now as i64 - sent as i64;
        let fresh = |at: Millis| sent == again && now > at + COMPARE_CLOCKS;
        let least = done.now as i64 - now as i64;
        if self.offset.is_none_or(|(known, at)| found < known || known < least || fresh(at)) {
            self.offset = Some((found, now));
        }
        let offset = self.offset.map_or(0, |(offset, _)| offset);
        let mut by_home = vec![Vec::new(); self.shards];
        for (report, &(granted, free, at, expired)) in batch.reports.iter().zip(&done.limits) {
            by_home[self.limits[report.limit as usize].home].push(StoreAnswer {
                limit: report.limit,
                granted: (granted >= 0).then_some(granted),
                free,
                not_before: if at == 0 { 0 } else { at.saturating_add_signed(-offset) },
                expired,
            });
        }
        let by_home = by_home.into_iter().enumerate().filter(|(_, answers)| !answers.is_empty());
        tell.extend(by_home.map(|(home, answers)| Tell::Store(home, answers)));
        tell.push(Tell::Valid(sent + done.valid_until - done.now, self.live));
    }

    /// No answer came in time.
    pub(super) fn timed_out(&mut self) -> Do {
        self.down_since = None;
        self.phase = Phase::Idle;
        Do::Rest
    }

    /// Refused or broken off.
    pub(super) fn broken(&mut self, now: Millis, tell: &mut Vec<Tell>) -> Do {
        let began = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Waiting(_, again) => again,
            _ => self.tried.unwrap_or(0),
        };
        (self.connected, self.was_down) = (false, true);
        let since = *self.down_since.get_or_insert(now);
        if self.answered > 0 && !self.alone && now >= since + DOWN_FOR {
            self.alone = true;
            let known = self.members.len() as i64;
            let agreed = self.live == known && self.spoke.is_some_and(|spoke| now < spoke + AGREED_FOR);
            tell.push(Tell::Leave(known, agreed));
        }
        if self.alone {
            tell.push(Tell::Valid(began + VALIDITY_MS, self.live));
        }
        Do::Rest
    }
}

fn line(limit: &Limit, report: &StoreReport, offset: i64) -> Line {
    let Period::Sliding(window) = limit.period else { panic!("only sliding windows are tried here") };
    let (need, want) = report.ask.map_or((0, 0), |ask| (ask.need, ask.want));
    let ends = |bucket| ages_out(limit.period, bucket).saturating_add_signed(offset);
    Line {
        limit: report.limit,
        amount: limit.amount,
        window,
        longer: TRANSIT_MS,
        hold: report.hold,
        acknowledged: report.acknowledged,
        need,
        want,
        changes: report.changes.iter().map(|&(bucket, amount)| (ends(bucket), amount)).collect(),
    }
}
