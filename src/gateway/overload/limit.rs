//! How many requests a provider can have under way: found out, since no provider says.
//!
//! More than a provider can work on at a time only wait there, where all of them wait the longer. That shows as
//! answers that take longer than usual, while ever more are under way and no more are answered; then the number is
//! limited so that they take little longer than usual, and grows again while they do. Until it shows there is no limit:
//! a provider that works on more requests at a time answers each later, and that is no reason to send it fewer.
//!
//! Providers also become slower for reasons of their own, and where clients wait for their answers more are under way
//! then. So the first limit is a trial, and the others wait instead of being refused. A limit that does not make
//! answers faster again was not the remedy: it is lifted, and what was slow is usual from then on.
//!
//! Each shard limits its own requests. What other shards and other instances send is part of how a provider behaves,
//! as with TCP's flows over one link.

use coo_shards::budget::Millis;

/// So much slower than usual, as a power of two, and more under way than usual: overload. Waiting lines of a
/// provider that is busy but not overloaded are shorter than that.
const OVERLOADED: f32 = 1.0;
/// By so much at least: less may as well be our own doing.
const LEAST_EXCESS_MS: f32 = 10.0;
/// And this much more than usual under way, and more than when it began to show.
const MORE: f32 = 1.25;
/// While no more are answered than then; judgements of few answers are as inexact as that.
const NO_MORE_ANSWERED: f32 = 1.3;
/// What a limit aims at: 1.1 × the usual time. Less would leave capacity unused whenever an answer is quick.
const AIM: f32 = 0.14;
/// It is lowered above 1.25 × and raised below 1.06 × the usual time.
const TOO_SLOW: f32 = 0.32;
const FAST: f32 = 0.08;
/// Answers that are judged together, and the least time for them, without a limit and with one.
const FREE_WINDOW: (u32, Millis) = (20, 200);
const LIMITED_WINDOW: (u32, Millis) = (20, 100);
/// Under a limit, the time is also this many times as long as an answer takes.
const TOOK_TIMES: u64 = 2;
/// Judgements of overload in a row that it takes, and after how many without more and more under way it is usual.
const IN_A_ROW: u32 = 3;
const STEADY: u32 = 25;
/// The least part of what is under way that is sent under the first limit, and under each next one.
const LEAST_ON_TRIAL: f32 = 0.15;
const LEAST: f32 = 0.5;
/// A limit helps that makes answers 0.8 × as slow as before, with 0.7 × as many under way.
const HELPED: f32 = 0.32;
/// Judgements in a row that a limit does not help.
const IN_VAIN: u32 = 2;
/// A limit that held nobody back for so long is lifted.
const UNUSED_MS: Millis = 10_000;
/// Of those that may be under way, the part that may wait: each waits for a quarter of the usual time then.
const WAITING_PART: f32 = 4.0;
/// The weight of one judgement's load among the usual ones, at most; and the time after which one has lost 1/e.
const MOST_WEIGHT: f32 = 0.3;
const MEMORY_MS: f32 = 30_000.0;

/// One answer.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How much slower than usual, as a power of two.
    pub over: f32,
    /// Requests under way when it was sent, it included.
    pub in_flight: u32,
    /// [`Limit::epoch`] when it was sent.
    pub epoch: u32,
    /// How long it took.
    pub took: Millis,
}

/// What a sample led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing.
    Same,
    /// The limit is another one.
    Changed,
    /// All answers take so much longer, as a power of two, and not because of what is under way.
    Slower(f32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Millis,
    count: u32,
    over: f32,
    in_flight: f32,
    took: Millis,
}

/// The limit of one provider on one shard.
#[derive(Clone, Debug, Default)]
pub struct Limit {
    most: Option<f32>,
    /// Grows when the limit changes: what was sent before says nothing of the new one.
    epoch: u32,
    window: Window,
    in_a_row: u32,
    in_vain: u32,
    /// Load, and answers in a millisecond, when overload began to show.
    first: (f32, f32),
    /// Whether it is not known yet that fewer are answered faster.
    on_trial: bool,
    /// Load and slowness before it was lowered.
    before: (f32, f32),
    /// Requests under way while all is as usual.
    usual: Option<f32>,
    judged: Millis,
    held_back: bool,
    held_back_at: Millis,
}

impl Limit {
    /// How many may be under way; `None` for any number.
    #[must_use]
    pub fn most(&self) -> Option<u32> {
        self.most.map(|most| most.round() as u32)
    }

    /// How many may wait for one of those.
    #[must_use]
    pub fn room(&self) -> usize {
        let most = self.most.unwrap_or(f32::INFINITY);
        // Twice as many as were under way before find room, so who waited for an answer then waits now.
        let room = if self.on_trial { 2.0 * self.before.0 } else { most / WAITING_PART };
        room.max(1.0) as usize
    }

    /// Whether it may be lifted soon: those that wait should stay as long as for an answer.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        self.on_trial
    }

    /// To be noted with what is sent.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether what is measured now is as it usually is.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.most.is_none() && self.in_a_row == 0
    }

    /// Notes that one had to wait, or was refused.
    pub fn held_back(&mut self, now: Millis) {
        (self.held_back, self.held_back_at) = (true, now);
    }

    /// Takes an answer.
    pub fn observe(&mut self, sample: Sample, now: Millis) -> Verdict {
        if self.most.is_some() && now.saturating_sub(self.held_back_at) > UNUSED_MS {
            self.lift();
            return Verdict::Changed;
        }
        if self.most.is_some() && sample.epoch != self.epoch {
            return Verdict::Same;
        }
        let window = &mut self.window;
        if window.count == 0 {
            window.began = now.saturating_sub(sample.took);
        }
        window.count += 1;
        window.took += sample.took;
        window.over += sample.over;
        window.in_flight += sample.in_flight as f32;
        let (answers, time) = match self.most {
            None => FREE_WINDOW,
            // Of what is sent under a new limit, the quick come back first.
            Some(_) => {
                (LIMITED_WINDOW.0, LIMITED_WINDOW.1.max(TOOK_TIMES * window.took / u64::from(window.count)))
            }
        };
        if window.count < answers || now.saturating_sub(window.began) < time {
            return Verdict::Same;
        }
        let Window { count, over, in_flight, took, began } = std::mem::take(window);
        let (over, load) = (over / count as f32, in_flight / count as f32);
        match self.most {
            None => {
                let took_ms = took as f32 / count as f32;
                let excess_ms = took_ms - took_ms * (-over).exp2();
                let over = if excess_ms < LEAST_EXCESS_MS { over.min(OVERLOADED) } else { over };
                self.judge_free(over, load, count as f32 / now.saturating_sub(began).max(1) as f32, now)
            }
            Some(most) => self.judge_limited(most, over, load),
        }
    }

    fn judge_free(&mut self, over: f32, load: f32, rate: f32, now: Millis) -> Verdict {
        let usual = *self.usual.get_or_insert(load);
        if over > OVERLOADED && load > MORE * usual {
            if self.in_a_row == 0 {
                self.first = (load, rate);
            }
            self.in_a_row += 1;
            let (first_load, first_rate) = self.first;
            let runs_away = load > MORE * first_load && rate < NO_MORE_ANSWERED * first_rate;
            if self.in_a_row >= IN_A_ROW && runs_away {
                self.held_back_at = now;
                self.on_trial = true;
                self.lower(load, over);
                return Verdict::Changed;
            }
            if self.in_a_row < STEADY {
                return Verdict::Same;
            }
            self.in_a_row = 0;
            self.usual = Some(load);
            return Verdict::Slower(over);
        }
        self.in_a_row = 0;
        let elapsed = now.saturating_sub(self.judged) as f32 / MEMORY_MS;
        self.usual = Some(usual + (load - usual) * elapsed.min(MOST_WEIGHT));
        self.judged = now;
        Verdict::Same
    }

    fn judge_limited(&mut self, most: f32, over: f32, load: f32) -> Verdict {
        let held_back = std::mem::take(&mut self.held_back);
        let (load_before, over_before) = self.before;
        if over > TOO_SLOW && load <= 0.7 * load_before && over > over_before - HELPED {
            self.in_vain += 1;
            if self.in_vain < IN_VAIN {
                return Verdict::Same;
            }
            self.lift();
            // Little's law again: of what takes longer, more is under way.
            self.usual = self.usual.map(|usual| usual * over.exp2());
            return Verdict::Slower(over);
        }
        self.on_trial = false;
        if over > TOO_SLOW {
            self.lower(load.min(most), over);
            return Verdict::Changed;
        }
        self.in_vain = 0;
        if over < FAST && held_back {
            self.change(most * 1.1 + 0.5);
            return Verdict::Changed;
        }
        Verdict::Same
    }

    fn change(&mut self, most: f32) {
        self.most = Some(most);
        self.epoch = self.epoch.wrapping_add(1);
        self.window = Window::default();
    }

    fn lower(&mut self, load: f32, over: f32) {
        self.before = (load, over);
        let least = if self.on_trial { LEAST_ON_TRIAL } else { LEAST };
        // Little's law: of those under way, the share that does not wait.
        self.change((load * (AIM - over).exp2().max(least)).max(1.0));
        (self.in_a_row, self.in_vain) = (0, 0);
    }

    fn lift(&mut self) {
        self.most = None;
        self.window = Window::default();
        (self.in_a_row, self.in_vain, self.held_back, self.on_trial) = (0, 0, false, false);
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
