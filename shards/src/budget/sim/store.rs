//! The store that instances share, by the rules of `budget.lua`: a change there is a change here.

use std::collections::{BTreeMap, BTreeSet};

use crate::budget::{LimitId, Millis};

/// An instance that spoke this lately is there.
pub(super) const LIVE_MS: Millis = 5_000;
/// One silent for longer than this while others spoke is not.
pub(super) const GONE_MS: Millis = 70_000;
/// How long a lease is good for after an exchange.
pub(super) const VALIDITY_MS: Millis = 2_000;

/// When it began, who began it, the how many-th.
pub(super) type Epoch = (Millis, usize, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sync,
    Before,
    Register,
}

/// What an instance sends.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) me: usize,
    pub(super) seq: u64,
    pub(super) last: u64,
    pub(super) epoch: Option<Epoch>,
    pub(super) known: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) was_down: bool,
    pub(super) lines: Vec<Line>,
}

/// One limit's part of it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) limit: LimitId,
    pub(super) amount: i64,
    pub(super) window: Millis,
    pub(super) longer: Millis,
    pub(super) hold: i64,
    pub(super) acknowledged: i64,
    pub(super) need: i64,
    pub(super) want: i64,
    /// When each ages out, in the store's time.
    pub(super) changes: Vec<(Millis, i64)>,
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Sync(Epoch),
    Register(Epoch),
    Late,
    Done(Done),
}

#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) now: Millis,
    pub(super) valid_until: Millis,
    pub(super) members: Vec<usize>,
    pub(super) live: i64,
    /// Granted (negative: lapsed), free, not before, expired.
    pub(super) limits: Vec<(i64, i64, Millis, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    seen: Millis,
    valid: Millis,
    joined: Millis,
}

#[derive(Clone, Debug)]
struct State {
    epoch: Epoch,
    run: u64,
    lost: bool,
    born: Millis,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    /// Its length and what is added for transit.
    window: Millis,
    total: i64,
    buckets: BTreeMap<Millis, i64>,
    held: BTreeMap<usize, i64>,
    granted: BTreeMap<usize, i64>,
}

/// Its memory, all of which may be lost or be replaced by an older copy.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// [`LIVE_MS`], [`GONE_MS`] and [`VALIDITY_MS`], where a test has no time for them.
    times: (Millis, Millis, Millis),
    state: Option<State>,
    begun: u64,
    members: BTreeMap<usize, Member>,
    expected: BTreeSet<usize>,
    limits: BTreeMap<LimitId, Kept>,
    replies: BTreeMap<usize, (u64, Reply)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::with((LIVE_MS, GONE_MS, VALIDITY_MS))
    }
}

impl Memory {
    /// An empty one by these times.
    pub(super) fn with(times: (Millis, Millis, Millis)) -> Self {
        Self {
            times,
            state: None,
            begun: 0,
            members: BTreeMap::new(),
            expected: BTreeSet::new(),
            limits: BTreeMap::new(),
            replies: BTreeMap::new(),
        }
    }

    fn begin(&mut self, call: &Call, lost: bool, run: u64, now: Millis) -> State {
        self.expected = [call.me].into_iter().chain(call.known.iter().copied()).collect();
        self.expected.extend(self.members.keys());
        if lost {
            self.limits.clear();
        }
        self.begun += 1;
        let state = State { epoch: (now, call.me, self.begun), run, lost, born: now };
        self.state = Some(state.clone());
        state
    }

    /// One call of the script, on the server that runs as `run`.
    pub(super) fn call(&mut self, call: &Call, run: u64, now: Millis) -> Reply {
        let me = call.me;
        let (live_ms, gone_ms, validity_ms) = self.times;
        let before = self.replies.get(&me);
        if let Some((seq, reply)) = before
            && *seq >= call.seq
        {
            return if *seq == call.seq { reply.clone() } else { Reply::Late };
        }
        let current = self.state.clone();
        let forgot = call.kind != Kind::Register
            && current.as_ref().is_some_and(|state| call.epoch == Some(state.epoch))
            && call.last > 0
            && before.is_none_or(|(seq, _)| *seq < call.last);
        let latest = self.members.values().map(|member| member.seen).max().unwrap_or(0);
        let gone: Vec<_> = self.members.iter().map(|(id, member)| (*id, *member)).collect();
        for (id, member) in
            gone.into_iter().filter(|(id, member)| *id != me && member.seen + gone_ms < latest)
        {
            self.members.remove(&id);
            for kept in self.limits.values_mut() {
                kept.lose(id, member, now);
            }
        }
        let current = match current {
            Some(state)
                if !forgot && state.run == run && !(call.was_down && call.epoch == Some(state.epoch)) =>
            {
                state
            }
            Some(state) if !forgot => {
                let lost = state.lost && !self.expected.is_empty();
                self.begin(call, lost, run, now)
            }
            _ => self.begin(call, true, run, now),
        };
        if call.epoch != Some(current.epoch) {
            return if current.lost { Reply::Register(current.epoch) } else { Reply::Sync(current.epoch) };
        }
        let known = self.members.get(&me).copied();
        let mine = known.unwrap_or(Member { seen: 0, valid: 0, joined: now });
        if call.kind == Kind::Register || (call.kind == Kind::Sync && !current.lost) {
            self.expected.remove(&me);
        }
        let mut granting = self.expected.is_empty() || now > current.born + validity_ms + gone_ms;
        let others: Vec<_> =
            self.members.iter().filter(|(id, _)| **id != me).map(|(i, m)| (*i, *m)).collect();
        let (mut live, mut unheard) = (1, 0);
        for (_, member) in &others {
            if member.seen + live_ms > now {
                live += 1;
                if member.seen < mine.joined {
                    (granting, unheard) = (false, 1);
                }
            }
        }
        let mut limits = Vec::new();
        for line in &call.lines {
            let kept = self.limits.entry(line.limit).or_default();
            limits.push(kept.line(line, call, mine, &others, granting, live, now));
        }
        let members = [me].into_iter().chain(others.iter().map(|(id, _)| *id)).collect();
        self.members.insert(me, Member { seen: now, valid: now + validity_ms, joined: mine.joined });
        let reply =
            Reply::Done(Done { now, valid_until: now + validity_ms, members, live: live - unheard, limits });
        self.replies.insert(me, (call.seq, reply.clone()));
        reply
    }
}

impl Kept {
    /// What one that is gone held counts as spent as late as it could have been.
    fn lose(&mut self, id: usize, member: Member, now: Millis) {
        let (held, age) = (self.held.remove(&id).unwrap_or(0), member.valid + self.window);
        if held > 0 && age > now {
            *self.buckets.entry(age).or_insert(0) += held;
            self.total += held;
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn line(
        &mut self,
        line: &Line,
        call: &Call,
        mine: Member,
        others: &[(usize, Member)],
        granting: bool,
        live: i64,
        now: Millis,
    ) -> (i64, i64, Millis, i64) {
        while let Some(bucket) = self.buckets.first_entry()
            && *bucket.key() <= now
        {
            self.total -= bucket.remove();
        }
        for &(age, change) in &line.changes {
            if age > now {
                let counted = self.buckets.entry(age).or_insert(0);
                let change = change.max(-*counted);
                *counted += change;
                self.total += change;
            }
        }
        let over = |valid: Millis| valid + line.window + line.longer < now;
        let lapsed = call.kind != Kind::Register && over(mine.valid) && (mine.valid > 0 || call.last > 0);
        let mut before = self.granted.get(&call.me).copied().unwrap_or(line.acknowledged);
        if call.kind == Kind::Register || before < line.acknowledged {
            before = line.acknowledged;
        }
        let held = if lapsed { 0 } else { line.hold + before - line.acknowledged };
        let (mut all, mut expired) = (held, 0);
        for (id, member) in others {
            if over(member.valid) {
                self.held.remove(id);
            } else {
                let theirs = self.held.get(id).copied().unwrap_or(0);
                all += theirs;
                expired += if member.valid < now { theirs } else { 0 };
            }
        }
        let free = line.amount - self.total - all;
        let (mut granted, mut not_before) = (0, 0);
        let share = |left: i64| left.div_euclid(2 * live).max(left.min(1)).max(0);
        if granting && !lapsed {
            if line.need > 0 {
                if free >= line.need {
                    granted = line.need + (line.want - line.need).min(share(free - line.need)).max(0);
                } else {
                    let mut freed = free;
                    for (age, amount) in &self.buckets {
                        freed += amount;
                        if freed >= line.need {
                            not_before = *age;
                            break;
                        }
                    }
                }
            } else if line.want > 0 {
                granted = line.want.min(share(free)).max(0);
            }
        }
        self.window = line.window + line.longer;
        self.held.insert(call.me, held + granted);
        self.granted.insert(call.me, before + granted);
        (if lapsed { -1 } else { granted }, (free - granted).max(0), not_before, expired)
    }
}
