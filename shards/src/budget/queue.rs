//! Who waits for an authority to have something to grant, in order.

use std::collections::VecDeque;

use super::{Answer, Ask, LimitId, Millis};

/// The holders that wait, and those that were told to come back.
#[derive(Clone, Debug)]
pub struct Queue {
    limit: LimitId,
    holders: i64,
    pending: VecDeque<(usize, Ask)>,
    told: Vec<(usize, i64, Millis)>,
    stirred: Millis,
}

/// Nobody is turned away before this long has passed since something was last spent or given back: what was
/// reserved moments ago may be settled for less, which is told a tick later.
const SETTLING_MS: Millis = 50;

/// An answer and to whom.
pub type To = (usize, Answer);

impl Queue {
    /// Nobody waits. `holders` is how many may come.
    #[must_use]
    pub fn new(limit: LimitId, holders: usize) -> Self {
        let holders = i64::try_from(holders).unwrap_or(1).max(1);
        Self { limit, holders, pending: VecDeque::new(), told: Vec::new(), stirred: 0 }
    }

    /// The first ask that waits, with all that those behind it need.
    #[must_use]
    pub fn waiting(&self) -> Option<Ask> {
        let (_, first) = self.pending.front()?;
        Some(Ask {
            need: first.need,
            want: self.pending.iter().map(|(_, ask)| ask.need).sum(),
            until: self.pending.iter().map(|(_, ask)| ask.until).max().unwrap_or(first.until),
            urgent: false,
        })
    }

    /// All asks that wait, in order, and whose they are.
    pub fn pending(&self) -> impl Iterator<Item = &(usize, Ask)> + Clone {
        self.pending.iter()
    }

    /// What nobody asked for: how much is free now.
    #[must_use]
    pub fn news(&self, holder: usize, free: i64) -> To {
        (holder, self.answer(0, free, 0, false))
    }

    /// What the first of those needs who were told to come back and may be told to come sooner.
    #[must_use]
    pub fn turned_away(&self) -> Option<Ask> {
        self.told.iter().map(|&(_, need, _)| need).min().map(|need| Ask {
            need,
            want: need,
            until: 0,
            urgent: false,
        })
    }

    /// Whether nobody waits or has to be told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.told.is_empty()
    }

    /// Prefetching must not take the last from those who will need it: what is beyond a need comes from half of
    /// what is left, evenly, and at the end one by one.
    fn share(&self, free: i64) -> i64 {
        (free / (2 * self.holders)).max(free.min(1)).max(0)
    }

    fn grant(&self, ask: &Ask, free: i64) -> i64 {
        ask.need + (ask.want - ask.need).clamp(0, self.share(free - ask.need))
    }

    fn answer(&self, granted: i64, free: i64, not_before: Millis, solicited: bool) -> Answer {
        let (limit, free) = (self.limit, (free - granted).max(0));
        Answer { limit, granted, free, not_before, solicited, recall: 0, spare: false }
    }

    /// Notes that something was spent or given back.
    pub fn stir(&mut self, now: Millis) {
        self.stirred = now;
    }

    /// Takes an ask while `free` may be granted; what is granted of it. `frees` tells when more will be free.
    pub fn ask(
        &mut self,
        holder: usize,
        ask: Ask,
        free: i64,
        frees: impl Fn(i64) -> Option<Millis>,
        now: Millis,
        out: &mut Vec<To>,
    ) -> i64 {
        if ask.need > 0 {
            // One that only looks ahead is still to hear that it may come back.
            self.told.retain(|(told, _, _)| *told != holder);
        }
        if self.pending.is_empty() && ask.need <= free {
            let granted = self.grant(&ask, free);
            out.push((holder, self.answer(granted, free, 0, true)));
            return granted;
        }
        if ask.need == 0 {
            out.push((holder, self.answer(0, free, 0, true)));
            return 0;
        }
        let ahead: i64 = self.pending.iter().map(|(_, ask)| ask.need).sum();
        match frees(ahead + ask.need - free) {
            Some(at) if at > ask.until && now > self.stirred + SETTLING_MS => {
                self.told.push((holder, ask.need, at));
                out.push((holder, self.answer(0, free, at, true)));
            }
            at => {
                let vain = at.is_some_and(|at| at > ask.until);
                let until = if vain { ask.until.min(now + SETTLING_MS) } else { ask.until };
                self.pending.retain(|(waiting, _)| *waiting != holder);
                self.pending.push_back((holder, Ask { until, ..ask }));
            }
        }
        0
    }

    /// Grants in order what can be granted of `free`, and dismisses those whose time is up; what was granted.
    pub fn serve(
        &mut self,
        free: i64,
        frees: impl Fn(i64) -> Option<Millis>,
        now: Millis,
        out: &mut Vec<To>,
    ) -> i64 {
        let mut left = free;
        while let Some((holder, ask)) = self.pending.front().copied() {
            if ask.need <= left {
                let granted = self.grant(&ask, left);
                out.push((holder, self.answer(granted, left, 0, true)));
                left -= granted;
            } else if ask.until < now {
                let at = frees(ask.need - left).unwrap_or(0);
                self.told.push((holder, ask.need, at.max(now)));
                out.push((holder, self.answer(0, left, at, true)));
            } else {
                break;
            }
            self.pending.pop_front();
        }
        if self.pending.is_empty() && !self.told.is_empty() {
            let mut told = std::mem::take(&mut self.told);
            told.retain(|&(holder, need, at)| {
                if need <= left {
                    out.push((holder, self.answer(0, left, now, false)));
                }
                need > left && at > now
            });
            self.told = told;
        }
        free - left
    }

    /// Grants `free` of a limit on what is in use, piece by piece to whose `rank` is least of those that wait: what
    /// it has, and since when; but one to whoever is urgent once all have one. Dismisses those whose time is up; what was granted.
    ///
    /// Who waits gets all it wants, not only what it needs: what it does not use comes back once others wait. When
    /// something is released nobody can know, so nobody is told when to come back.
    pub fn serve_evenly(
        &mut self,
        free: i64,
        rank: impl Fn(usize) -> (i64, Millis),
        now: Millis,
        out: &mut Vec<To>,
    ) -> i64 {
        let mut left = free;
        let mut given = vec![0; self.pending.len()];
        loop {
            let hungry = self.pending.iter().zip(&mut given).filter(|((_, ask), given)| **given < ask.want);
            let poorest = hungry.min_by_key(|((holder, ask), given)| {
                let (held, since) = rank(*holder);
                let has = held + **given;
                let hurries = ask.urgent && has > 0 && **given == 0;
                (has > 0, !hurries, has, since)
            });
            let Some(((_, ask), given)) = poorest else { break };
            let piece = if *given == 0 { ask.need.max(1) } else { 1 };
            if piece > left {
                break;
            }
            (*given, left) = (*given + piece, left - piece);
        }
        let mut given = given.into_iter();
        for (holder, ask) in std::mem::take(&mut self.pending) {
            match given.next() {
                Some(granted @ 1..) => out.push((holder, self.answer(granted, granted + left, 0, true))),
                _ if ask.until < now => out.push((holder, self.answer(0, left, 0, true))),
                _ => self.pending.push_back((holder, ask)),
            }
        }
        free - left
    }

    /// Dismisses everyone for whom `not_before` is too late.
    pub fn dismiss(&mut self, not_before: Millis, out: &mut Vec<To>) {
        let pending = std::mem::take(&mut self.pending);
        for (holder, ask) in pending {
            if ask.until < not_before {
                self.told.push((holder, ask.need, not_before));
                out.push((holder, self.answer(0, 0, not_before, true)));
            } else {
                self.pending.push_back((holder, ask));
            }
        }
    }
}
