//! What a shard has in hand of one limit, what it owes the limit's home to know, and what it wants.

use super::{Answer, Ask, Dated, LimitId, Millis, Period, Report, date, demand::Demand, window::bucket};

/// Ticks without demand after which a shard returns all it holds: 160 ms.
const IDLE_TICKS: u32 = 8;

/// A part of a limit that may be spent without asking.
#[derive(Clone, Debug)]
pub struct Lease {
    limit: LimitId,
    period: Period,
    available: i64,
    demand: Demand,
    asked: bool,
    waiting: Option<Ask>,
    not_before: Millis,
    free: i64,
    spent: Vec<Dated>,
    corrections: Vec<Dated>,
    returned: i64,
}

impl Lease {
    /// An empty lease.
    #[must_use]
    pub fn new(limit: LimitId, period: Period) -> Self {
        Self {
            limit,
            period,
            available: 0,
            demand: Demand::new(IDLE_TICKS),
            asked: false,
            waiting: None,
            not_before: 0,
            free: 0,
            spent: Vec::new(),
            corrections: Vec::new(),
            returned: 0,
        }
    }

    /// What may be spent now.
    #[must_use]
    pub fn available(&self) -> i64 {
        self.available
    }

    /// What the authority last said it could still grant, and what is in hand.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        self.free.saturating_add(self.available).max(0)
    }

    /// Until when asking is in vain; 0 or a time that has passed where it is not.
    #[must_use]
    pub fn not_before(&self) -> Millis {
        self.not_before
    }

    /// Spends `amount` now, where there is as much; otherwise nothing. A [`Period::Held`] is to be released.
    #[must_use]
    pub fn take(&mut self, amount: i64, now: Millis) -> bool {
        if self.available < amount {
            return false;
        }
        self.available -= amount;
        self.demand.took(amount);
        if self.period != Period::Held {
            date(&mut self.spent, bucket(self.period, now), amount);
        }
        true
    }

    /// Undoes a [`Lease::take`] whose spend never happened.
    pub fn put_back(&mut self, amount: i64, taken: Millis) {
        let dated = bucket(self.period, taken);
        match self.spent.iter_mut().find(|(index, _)| *index == dated) {
            _ if self.period == Period::Held => self.available += amount,
            // Not reported yet: as if it had never been taken.
            Some((_, spent)) if *spent >= amount => {
                *spent -= amount;
                self.available += amount;
            }
            _ => date(&mut self.corrections, dated, -amount),
        }
    }

    /// Corrects a spend of `taken` by `change`: a refund is dated as the spend was; what came on top counts from
    /// now, since it could not be prevented then. Ends a [`Period::Held`].
    pub fn settle(&mut self, change: i64, taken: Millis, now: Millis) {
        if self.period == Period::Held {
            self.available -= change;
        } else if change != 0 {
            let at = if change < 0 { taken } else { now };
            date(&mut self.corrections, bucket(self.period, at), change);
        }
    }

    /// Says that a request waits for `ask.need`; `None` when none does any more.
    pub fn wait(&mut self, ask: Option<Ask>) {
        self.waiting = ask;
    }

    /// Notes that `amount` was wanted and not there.
    pub fn missed(&mut self, amount: i64) {
        self.demand.took(amount);
    }

    /// A tick has passed.
    pub fn tick(&mut self) {
        self.demand.tick();
    }

    /// Returns everything in hand; for a lease whose time is over.
    pub fn surrender(&mut self) {
        self.returned += self.available.max(0);
        self.available = self.available.min(0);
    }

    /// What the authority should hear now; `None` where there is nothing to say.
    ///
    /// More than demand explains is given back on a tick only: between ticks a request that needs several limits
    /// may be collecting them, and two that each gave back what the other waits for would go on for ever.
    #[must_use]
    pub fn report(&mut self, ticked: bool) -> Option<Report> {
        let target = self.demand.target();
        let mut ask = None;
        match self.waiting {
            Some(waiting) if waiting.need > self.available => {
                if !self.asked {
                    // What is in hand is too little for who waits here and may be enough elsewhere: pieces that
                    // everyone keeps while waiting for more would add up to a limit that nobody can use.
                    self.surrender();
                    ask = Some(Ask { want: waiting.want.max(waiting.need + target), ..waiting });
                }
            }
            Some(_) => {}
            None => {
                if self.available > 2 * target && ticked {
                    self.returned += self.available - target;
                    self.available = target;
                } else if !self.asked && self.available < (target + 1) / 2 {
                    ask = Some(Ask { need: 0, want: target - self.available, until: 0 });
                }
            }
        }
        self.asked |= ask.is_some();
        let report = Report {
            limit: self.limit,
            spent: std::mem::take(&mut self.spent),
            corrections: std::mem::take(&mut self.corrections),
            returned: std::mem::take(&mut self.returned),
            ask,
        };
        let empty = Report { limit: self.limit, ..Report::default() };
        (report != empty).then_some(report)
    }

    /// Takes an answer.
    pub fn answered(&mut self, answer: &Answer) {
        self.available += answer.granted;
        self.free = answer.free;
        self.asked &= !answer.solicited;
        if answer.granted > 0 || answer.not_before > 0 || !answer.solicited {
            self.not_before = if answer.granted > 0 { 0 } else { answer.not_before };
        }
    }

    /// Whether the holder may stop thinking of it: nothing in hand, nothing to tell, no demand.
    #[must_use]
    pub fn is_dormant(&self) -> bool {
        self.demand.is_idle()
            && self.available == 0
            && self.returned == 0
            && self.waiting.is_none()
            && !self.asked
            && self.spent.is_empty()
            && self.corrections.is_empty()
    }
}
