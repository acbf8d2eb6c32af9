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
        })
    }

    /// What the first of those needs who were told to come back and may be told to come sooner.
    #[must_use]
    pub fn turned_away(&self) -> Option<Ask> {
        self.told.iter().map(|&(_, need, _)| need).min().map(|need| Ask { need, want: need, until: 0 })
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
        Answer { limit: self.limit, granted, free: (free - granted).max(0), not_before, solicited }
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
