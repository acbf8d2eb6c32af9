//! What a shard has in hand of one limit, what it owes the limit's home to know, and what it wants.

use std::ops::Range;

use super::{
    Answer, Ask, Dated, LimitId, Millis, Period, Report, date,
    demand::Demand,
    window::{bucket, span},
};

/// Ticks without demand after which a shard returns all it holds: 160 ms.
const IDLE_TICKS: u32 = 8;

/// A part of a limit that may be spent without asking.
#[derive(Clone, Debug)]
pub struct Lease {
    hot: Hot,
    limit: LimitId,
    period: Period,
    demand: Demand,
    asked: bool,
    waiting: Option<Ask>,
    expected: Option<Ask>,
    not_before: Millis,
    free: i64,
    kept: i64,
    holds: i64,
    spent: Vec<Dated>,
    corrections: Vec<Dated>,
    returned: i64,
    excess: i64,
    answered_at: Millis,
    /// What is released next and is to go back.
    recalled: i64,
    /// Whether something urgent was asked for since the last tick.
    urged: bool,
    /// Others wait for what stands idle.
    spare: bool,
    /// What stood idle all through the last tick.
    idle: i64,
}

/// What every request needs, in one cache line: a request that spends from ten limits costs ten of them. The
/// rest of a lease is brought up to date by [`Lease::catch_up`].
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Hot {
    available: i64,
    /// Demand not told yet, if any.
    wanted: i64,
    is_wanted: bool,
    is_awaited: bool,
    is_held: bool,
    is_recalled: bool,
    /// Of a [`Period::Held`], the least that was in hand since the last tick.
    least: i32,
    /// The bucket of the last spend, and its times: the next likely belongs to it as well.
    bucket: u64,
    span: Range<Millis>,
    /// Spent in that bucket, and corrections dated to it, beside those in the lists.
    spent: i64,
    corrected: i64,
}

impl Lease {
    /// An empty lease.
    #[must_use]
    pub fn new(limit: LimitId, period: Period) -> Self {
        Self {
            hot: Hot {
                available: 0,
                wanted: 0,
                is_wanted: false,
                is_awaited: false,
                is_held: period == Period::Held,
                is_recalled: false,
                least: 0,
                bucket: 0,
                span: 0..0,
                spent: 0,
                corrected: 0,
            },
            limit,
            period,
            demand: Demand::new(IDLE_TICKS),
            asked: false,
            waiting: None,
            expected: None,
            not_before: 0,
            free: 0,
            kept: 0,
            holds: 0,
            spent: Vec::new(),
            corrections: Vec::new(),
            returned: 0,
            excess: 0,
            answered_at: 0,
            recalled: 0,
            urged: false,
            spare: false,
            idle: 0,
        }
    }

    /// What settling found spent beyond what was taken, since the process began.
    #[must_use]
    pub fn excess(&self) -> i64 {
        self.excess
    }

    /// What may be spent now.
    #[must_use]
    pub fn available(&self) -> i64 {
        self.hot.available
    }

    /// What the authority last said it could still grant, and what is in hand.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        self.free.saturating_add(self.hot.available).saturating_add(self.kept).max(0)
    }

    /// Of a [`Period::Held`], what is in hand and in use.
    #[must_use]
    pub fn holds(&self) -> i64 {
        self.holds
    }

    /// When the authority last answered; 0 if it never did.
    #[must_use]
    pub fn answered_at(&self) -> Millis {
        self.answered_at
    }

    /// Until when asking is in vain; 0 or a time that has passed where it is not.
    #[must_use]
    pub fn not_before(&self) -> Millis {
        self.not_before
    }

    /// Whether a request waits.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.hot.is_awaited
    }

    /// Keeps up to `amount` apart, with what is kept already: it is not available until [`Lease::release`].
    pub fn keep(&mut self, amount: i64) {
        let more = (amount - self.kept).min(self.hot.available).max(0);
        self.hot.available -= more;
        self.kept += more;
    }

    /// Makes what was kept available.
    pub fn release(&mut self) {
        self.hot.available += std::mem::take(&mut self.kept);
    }

    fn wanted(&mut self, amount: i64) {
        self.hot.wanted = self.hot.wanted.saturating_add(amount);
        self.hot.is_wanted = true;
    }

    /// Writes down what only [`Hot`] knows.
    fn catch_up(&mut self) {
        let hot = &mut self.hot;
        if std::mem::take(&mut hot.is_wanted) {
            self.demand.took(std::mem::take(&mut hot.wanted));
        }
        for (amount, list) in [(&mut hot.spent, &mut self.spent), (&mut hot.corrected, &mut self.corrections)]
        {
            if *amount != 0 {
                date(list, hot.bucket, std::mem::take(amount));
            }
        }
    }

    /// Spends `amount` now, where there is as much; otherwise nothing. A [`Period::Held`] is to be released.
    #[must_use]
    pub fn take(&mut self, amount: i64, now: Millis) -> bool {
        if self.hot.available < amount {
            return false;
        }
        self.hot.available -= amount;
        self.wanted(amount);
        if self.hot.is_held {
            self.hot.least = self.hot.least.min(i32::try_from(self.hot.available).unwrap_or(i32::MAX));
        } else {
            if !self.hot.span.contains(&now) {
                self.catch_up();
                self.hot.bucket = bucket(self.period, now);
                self.hot.span = span(self.period, self.hot.bucket);
            }
            self.hot.spent += amount;
        }
        true
    }

    /// Undoes a [`Lease::take`] whose spend never happened.
    pub fn put_back(&mut self, amount: i64, taken: Millis) {
        if self.hot.is_held {
            self.hot.available += amount;
            return;
        }
        self.catch_up();
        let dated = bucket(self.period, taken);
        match self.spent.iter_mut().find(|(index, _)| *index == dated) {
            // Not reported yet: as if it had never been taken.
            Some((_, spent)) if *spent >= amount => {
                *spent -= amount;
                self.hot.available += amount;
            }
            _ => date(&mut self.corrections, dated, -amount),
        }
    }

    /// Corrects a spend of `taken` by `change`: a refund is dated as the spend was; what came on top counts from
    /// now, since it could not be prevented then. Ends a [`Period::Held`].
    pub fn settle(&mut self, change: i64, taken: Millis, now: Millis) {
        if self.hot.is_held {
            self.hot.available -= change;
        } else if change < 0 {
            self.correct(change, taken);
        } else {
            self.excess = self.excess.saturating_add(change);
            self.correct(change, now);
        }
    }

    fn correct(&mut self, change: i64, at: Millis) {
        if self.hot.span.contains(&at) {
            self.hot.corrected += change;
        } else {
            date(&mut self.corrections, bucket(self.period, at), change);
        }
    }

    /// Dates a spend of `amount` at `taken` to `now`.
    pub fn redate(&mut self, amount: i64, taken: Millis, now: Millis) {
        if !self.hot.is_held {
            self.correct(-amount, taken);
            self.correct(amount, now);
        }
    }

    /// Says that a request waits for `ask.need`; `None` when none does any more.
    pub fn wait(&mut self, ask: Option<Ask>) {
        self.hot.is_awaited = ask.is_some();
        self.waiting = ask;
    }

    /// Says that a request which waits for another limit will need `ask.need` of this one, so that it need not ask for
    /// one after the other. It is asked for once.
    pub fn expect(&mut self, ask: Ask) {
        self.expected = Some(self.expected.map_or(ask, |known| Ask {
            need: known.need.max(ask.need),
            want: known.want.saturating_add(ask.want),
            until: known.until.max(ask.until),
            ..ask
        }));
    }

    /// Notes that `amount` was wanted and not there.
    pub fn missed(&mut self, amount: i64) {
        self.wanted(amount);
    }

    /// A tick has passed.
    pub fn tick(&mut self) {
        self.catch_up();
        self.demand.tick();
        self.urged = false;
        self.idle = i64::from(self.hot.least).min(self.hot.available);
        self.hot.least = i32::try_from(self.hot.available).unwrap_or(i32::MAX);
    }

    /// Gives back so much of what is in hand.
    fn give_back(&mut self, amount: i64) {
        self.hot.available -= amount;
        self.returned += amount;
        self.holds -= amount;
        self.recalled = (self.recalled - amount).max(0);
        self.hot.is_recalled = self.recalled > 0;
    }

    /// Gives back what was recalled, as far as the `released` suffices; whether the home should hear of it now.
    pub fn yields(&mut self, released: i64) -> bool {
        if !self.hot.is_recalled {
            return false;
        }
        let amount = self.recalled.min(released).min(self.hot.available).max(0);
        self.give_back(amount);
        amount > 0
    }

    /// Returns everything in hand; for a lease whose time is over.
    pub fn surrender(&mut self) {
        self.give_back(self.hot.available.max(0));
    }

    /// What the authority should hear now; `None` where there is nothing to say.
    ///
    /// More than demand explains is given back on a tick only: between ticks a request that needs several limits
    /// may be collecting them, and two that each gave back what the other waits for would go on for ever.
    #[must_use]
    pub fn report(&mut self, ticked: bool) -> Option<Report> {
        self.catch_up();
        let target = self.demand.target();
        let mut ask = None;
        match self.waiting {
            Some(waiting) if waiting.need > self.hot.available => {
                // Once a tick for one that has an ask out already: an urgent one costs a message to each holder.
                let urgent = waiting.urgent && self.hot.is_held && !std::mem::replace(&mut self.urged, true);
                if !self.asked || urgent {
                    // What is in hand is too little for who waits here and may be enough elsewhere: pieces that
                    // everyone keeps while waiting for more would add up to a limit that nobody can use.
                    self.surrender();
                    // More slots than there are requests would stand idle beside those who wait for one.
                    let ahead = if self.hot.is_held { 0 } else { target };
                    ask = Some(Ask { want: waiting.want.max(waiting.need + ahead), urgent, ..waiting });
                }
            }
            Some(_) => {}
            None => {
                if ticked && std::mem::take(&mut self.spare) {
                    self.give_back(self.idle.min(self.hot.available).max(0));
                }
                let expected = self.expected.take_if(|_| !self.asked);
                if let Some(expected) = expected.filter(|expected| expected.need > self.hot.available) {
                    ask = Some(Ask { want: expected.want.max(target - self.hot.available), ..expected });
                } else if self.hot.available > 2 * target && ticked {
                    self.give_back(self.hot.available - target);
                } else if !self.asked && self.hot.available < (target + 1) / 2 {
                    let want = target - self.hot.available;
                    ask = Some(Ask { need: 0, want, until: 0, urgent: false });
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
    pub fn answered(&mut self, answer: &Answer, now: Millis) {
        self.hot.available += answer.granted;
        self.holds += answer.granted;
        (self.free, self.answered_at) = (answer.free, now);
        self.asked &= !answer.solicited;
        self.spare |= answer.spare;
        self.recalled = answer.recall;
        self.hot.is_recalled = answer.recall > 0;
        if answer.granted > 0 || answer.not_before > 0 || !answer.solicited {
            self.not_before = if answer.granted > 0 { 0 } else { answer.not_before };
        }
    }

    /// Whether the holder may stop thinking of it: nothing in hand, nothing to tell, no demand.
    #[must_use]
    pub fn is_dormant(&self) -> bool {
        !self.hot.is_wanted
            && self.hot.spent == 0
            && self.hot.corrected == 0
            && self.demand.is_idle()
            && self.hot.available == 0
            && self.kept == 0
            && self.returned == 0
            && self.waiting.is_none()
            && self.expected.is_none()
            && !self.asked
            && self.spent.is_empty()
            && self.corrections.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Period = Period::Sliding(60_000);

    fn answer() -> Answer {
        Answer { limit: 0, granted: 0, free: 0, not_before: 0, solicited: true, recall: 0, spare: false }
    }

    fn lease(granted: i64) -> Lease {
        let mut lease = Lease::new(0, MINUTE);
        lease.answered(&Answer { granted, ..answer() }, 0);
        lease
    }

    /// What is reported as spent and as corrections, by the time it is dated to.
    fn told(lease: &mut Lease) -> (Vec<Dated>, Vec<Dated>) {
        let report = lease.report(false).unwrap_or_default();
        (report.spent, report.corrections)
    }

    #[test]
    fn spends_are_dated_to_the_bucket_they_were_made_in() {
        let mut lease = lease(100);
        for (amount, now) in [(1, 1_000), (2, 1_099), (4, 1_100), (8, 1_250)] {
            assert!(lease.take(amount, now));
        }
        assert!(!lease.take(86, 1_250), "more than there is");
        lease.settle(-2, 1_099, 1_260);
        lease.settle(-5, 1_250, 1_260);
        lease.settle(3, 1_100, 1_290);
        assert_eq!(told(&mut lease), (vec![(10, 3), (11, 4), (12, 8)], vec![(10, -2), (12, -2)]));
        assert_eq!((told(&mut lease), lease.excess()), ((vec![], vec![]), 3));
    }

    #[test]
    fn what_was_never_spent_is_put_back_or_corrected_once_reported() {
        let mut lease = lease(10);
        assert!(lease.take(4, 1_000) && lease.take(3, 1_200));
        lease.put_back(4, 1_000);
        assert_eq!(lease.available(), 7);
        assert_eq!(told(&mut lease).0.iter().map(|(_, amount)| amount).sum::<i64>(), 3);
        lease.put_back(3, 1_200);
        assert_eq!((lease.available(), told(&mut lease).1), (7, vec![(12, -3)]));
    }

    #[test]
    fn a_spend_dated_anew_counts_once_and_later() {
        let mut lease = lease(10);
        assert!(lease.take(4, 1_000));
        lease.redate(4, 1_000, 1_500);
        assert_eq!(told(&mut lease), (vec![(10, 4)], vec![(15, 4), (10, -4)]));
        assert_eq!(lease.excess(), 0);
    }

    #[test]
    fn what_is_expected_is_asked_for_once_and_not_where_it_is_there() {
        let mut lease = lease(4);
        let expect = |need| Ask { need, want: need, until: 9, urgent: false };
        lease.expect(expect(3));
        assert_eq!(lease.report(false), None);
        lease.expect(expect(5));
        lease.expect(expect(6));
        let ask = lease.report(false).and_then(|report| report.ask);
        assert_eq!(ask.map(|ask| (ask.need, ask.want, ask.until)), Some((6, 11, 9)));
        assert_eq!((lease.report(false), lease.available()), (None, 4));
    }

    #[test]
    fn what_is_kept_is_neither_spent_nor_returned() {
        let mut lease = lease(10);
        lease.keep(6);
        assert_eq!((lease.available(), lease.remaining()), (4, 10));
        assert!(!lease.take(5, 1_000) && !lease.is_dormant());
        lease.wait(Some(Ask { need: 5, want: 5, until: 2_000, urgent: false }));
        let report = lease.report(true).unwrap_or_default();
        assert_eq!((report.returned, lease.available()), (4, 0));
        lease.keep(8);
        lease.release();
        assert!(lease.take(6, 1_000));
    }

    #[test]
    fn what_is_recalled_goes_back_when_released_and_what_stands_idle_with_the_tick() {
        let mut lease = Lease::new(0, Period::Held);
        lease.answered(&Answer { granted: 4, ..answer() }, 0);
        assert!((0..3).all(|_| lease.take(1, 0)));
        lease.answered(&Answer { recall: 2, ..answer() }, 0);
        lease.settle(-1, 0, 0);
        assert!(lease.yields(1));
        lease.answered(&Answer { recall: 0, ..answer() }, 0);
        lease.settle(-1, 0, 0);
        assert!(!lease.yields(1), "the last word counts");
        assert_eq!((lease.available(), lease.report(false).map(|report| report.returned)), (2, Some(1)));
        lease.tick();
        lease.answered(&Answer { spare: true, ..answer() }, 0);
        assert!(lease.take(1, 0));
        lease.settle(-1, 0, 0);
        lease.tick();
        assert_eq!(lease.report(true).map(|report| report.returned), Some(1), "one was there all the time");
        assert_eq!(lease.available(), 1);
    }

    #[test]
    fn all_that_a_request_touches_is_one_cache_line() {
        assert_eq!(size_of::<Hot>(), 64);
    }
}
