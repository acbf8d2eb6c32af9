//! Requests at a time, spread evenly over those who wait for more.
//!
//! What is released on a shard goes to who waits there, without a message. So whatever split there was when all
//! began to wait would stay, and some would wait long beside others that hardly do. The home levels it out: while
//! someone waits who has clearly less than another, that other is told to give back what it releases next. Once
//! all have as much, nothing is told any more.
//!
//! A request of one that sends little is at the front of its shard's line at once. That it need not wait for that
//! shard, a few others are told to give back one as well; the first that comes is its, and what it has too much then
//! is levelled out.

use super::{Answer, Ask, Millis, queue::To};

/// Who has one more than another that waits keeps it for so long, and then they change places. Where there is less
/// than one for each, this is whose turn it is. Long beside what a change leaves idle, which is two messages.
const TURN_MS: Millis = 200;

/// Who got something and waits for more has said so again by then: a tick, and the way there and back.
const AGAIN_MS: Millis = 50;

/// So many holders are asked for what they release next where somebody is in a hurry: of a few, one does soon, and
/// what the others give back meanwhile is in vain.
const MOST_HURRIED: usize = 3;

/// What the home knows of one holder.
#[derive(Clone, Copy, Debug, Default)]
struct Holder {
    /// What it was granted and has not given back.
    held: i64,
    /// Of that, what it was told to give back.
    recalled: i64,
    /// When it last got something, or was told to give something back.
    since: Millis,
    /// What it should have, and could make use of; reckoned anew each time.
    level: i64,
    most: i64,
    waits: bool,
    urgent: bool,
    /// Whether it is to hear of a change.
    untold: bool,
}

impl Holder {
    fn had_its_turn(&self, now: Millis) -> bool {
        now >= self.since.saturating_add(if self.waits { TURN_MS } else { AGAIN_MS })
    }
}

/// What all holders have of one limit.
#[derive(Clone, Debug)]
pub(super) struct Even {
    holders: Vec<Holder>,
    /// Whether somebody waited at the last tick.
    contended: bool,
    /// Whether somebody was in a hurry last, and who is the first to help.
    hurries: bool,
    first: usize,
}

impl Even {
    /// So many holders that have nothing.
    pub(super) fn new(holders: usize) -> Self {
        Self { holders: vec![Holder::default(); holders], contended: false, hurries: false, first: 0 }
    }

    /// Who is to get what is free: who has least, and of these the one whose turn was over first.
    pub(super) fn rank(&self, holder: usize) -> (i64, Millis) {
        self.holders.get(holder).map_or((0, 0), |holder| (holder.held, holder.since))
    }

    /// A holder gave something back.
    pub(super) fn returned(&mut self, holder: usize, amount: i64) {
        if let Some(holder) = self.holders.get_mut(holder) {
            holder.held -= amount;
            holder.recalled = (holder.recalled - amount).max(0);
        }
    }

    /// Takes down what `answers` grant.
    pub(super) fn granted(&mut self, answers: &[To], now: Millis) {
        for (holder, answer) in answers.iter().filter(|(_, answer)| answer.granted > 0) {
            if let Some(holder) = self.holders.get_mut(*holder) {
                // What came in a hurry is not a turn.
                if holder.held == 0 || !holder.urgent {
                    holder.since = now;
                }
                holder.held += answer.granted;
            }
        }
    }

    /// Says in the answers in `out` since `from` who is to give back how much, and in `further` ones to whom it is
    /// news and who gets none of these.
    pub(super) fn tell(&mut self, out: &mut Vec<To>, from: usize, further: impl Fn(usize) -> To) {
        for (at, holder) in self.holders.iter_mut().enumerate() {
            for (_, answer) in out.iter_mut().skip(from).filter(|(to, _)| *to == at) {
                (answer.recall, holder.untold) = (holder.recalled, false);
            }
            if std::mem::take(&mut holder.untold) {
                let (to, news) = further(at);
                out.push((to, Answer { recall: holder.recalled, ..news }));
            }
        }
    }

    /// Reckons what each should have while these wait, and so who is to give something back.
    pub(super) fn level<'a>(&mut self, waiting: impl Iterator<Item = &'a (usize, Ask)>, now: Millis) {
        for holder in &mut self.holders {
            (holder.level, holder.most) = (holder.held, holder.held);
            (holder.waits, holder.urgent) = (false, false);
        }
        for (holder, ask) in waiting {
            if let Some(holder) = self.holders.get_mut(*holder) {
                holder.most = holder.held.saturating_add(ask.want.max(ask.need));
                (holder.waits, holder.urgent) = (true, ask.urgent);
            }
        }
        while let Some((poorest, richest)) = self.apart(now) {
            let (Some(&poor), Some(&rich)) = (self.holders.get(poorest), self.holders.get(richest)) else {
                break;
            };
            let part = ((rich.level - poor.level) / 2).min(poor.most - poor.level);
            if part == 0 {
                self.turn(poor, richest, now);
                break;
            }
            for (at, change) in [(poorest, part), (richest, -part)] {
                if let Some(holder) = self.holders.get_mut(at) {
                    holder.level += change;
                }
            }
        }
        for holder in &mut self.holders {
            let recalled = (holder.held - holder.level).max(0);
            if holder.recalled == 0 && recalled > 0 {
                holder.since = now;
            }
            holder.level = recalled;
        }
        self.hurry();
        for holder in &mut self.holders {
            holder.untold |= holder.recalled != holder.level;
            holder.recalled = holder.level;
        }
    }

    /// Where somebody is in a hurry, a few others give back one more than they would: each time others of them. But
    /// nobody his only one: that goes by turns. What each is to give back is in `level` by now.
    fn hurry(&mut self) {
        let hurries = self.holders.iter().any(|holder| holder.urgent);
        if hurries && !std::mem::replace(&mut self.hurries, hurries) {
            self.first = (self.first + MOST_HURRIED) % self.holders.len().max(1);
        }
        self.hurries = hurries;
        if hurries {
            let (before, from) = self.holders.split_at_mut(self.first);
            let others = from.iter_mut().chain(before).filter(|holder| !holder.urgent && holder.held > 1);
            others.take(MOST_HURRIED).for_each(|holder| holder.level = holder.level.max(1));
        }
    }

    /// Who waits and has least, and who has most; of several of these the one whose turn is over first, if it was
    /// not told to give something back already.
    fn apart(&self, now: Millis) -> Option<(usize, usize)> {
        let all = || self.holders.iter().enumerate();
        let poorest = all()
            .filter(|(_, holder)| holder.waits && holder.level < holder.most)
            .min_by_key(|(_, holder)| (holder.level, holder.since))?;
        let richest = all().max_by_key(|(_, holder)| {
            (holder.level, holder.recalled > 0, holder.had_its_turn(now), Millis::MAX - holder.since)
        })?;
        Some((poorest.0, richest.0))
    }

    /// Lets `poor` change places with who has one more.
    fn turn(&mut self, poor: Holder, richest: usize, now: Millis) {
        let Some(rich) = self.holders.get_mut(richest) else { return };
        let one_more = rich.level > poor.level && rich.level == rich.held;
        let turns = now >= poor.since.saturating_add(TURN_MS);
        if one_more && turns && (rich.recalled > 0 || rich.had_its_turn(now)) {
            rich.level -= 1;
        }
    }

    /// Whom to tell that others wait for what may stand idle, and what else each is to give back: all that do not
    /// wait themselves, once a tick has not helped.
    pub(super) fn tick(&mut self, waits: bool) -> impl Iterator<Item = (usize, i64)> + '_ {
        let long = std::mem::replace(&mut self.contended, waits) && waits;
        let idle = self.holders.iter().enumerate().filter(move |(_, one)| long && !one.waits && one.held > 0);
        idle.map(|(at, one)| (at, one.recalled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holders that have had so much since `now`.
    fn even(held: &[i64], now: Millis) -> Even {
        let mut even = Even::new(held.len());
        for (holder, &held) in even.holders.iter_mut().zip(held) {
            (holder.held, holder.since) = (held, now);
        }
        even
    }

    /// What each is to give back while these want so much.
    fn recalled(even: &mut Even, wants: &[(usize, i64)], now: Millis) -> Vec<i64> {
        let asks: Vec<_> = wants
            .iter()
            .map(|&(holder, want)| (holder, Ask { need: 1, want, until: 0, urgent: false }))
            .collect();
        even.level(asks.iter(), now);
        even.holders.iter().map(|holder| holder.recalled).collect()
    }

    #[test]
    fn half_of_the_difference_is_recalled_and_no_more_than_is_wanted() {
        assert_eq!(recalled(&mut even(&[2, 18], 0), &[(0, 50), (1, 50)], 0), [0, 8]);
        assert_eq!(recalled(&mut even(&[2, 18], 0), &[(0, 3), (1, 50)], 0), [0, 3]);
        assert_eq!(recalled(&mut even(&[2, 18], 0), &[(1, 50)], 0), [0, 0], "who has little wants no more");
        assert_eq!(recalled(&mut even(&[0, 9, 3], 0), &[(0, 50)], 0), [0, 4, 0]);
        assert_eq!(recalled(&mut even(&[4, 5], 0), &[(0, 50), (1, 50)], 0), [0, 0]);
    }

    #[test]
    fn a_difference_of_one_is_a_matter_of_turns() {
        let mut even = even(&[1, 0, 0], 0);
        let all = [(0, 5), (1, 5), (2, 5)];
        assert_eq!(recalled(&mut even, &all, TURN_MS - 1), [0, 0, 0]);
        assert_eq!(recalled(&mut even, &all, TURN_MS), [1, 0, 0]);
        assert_eq!(recalled(&mut even, &all, TURN_MS + 5), [1, 0, 0], "until it is given back");
        even.returned(0, 1);
        even.granted(&[(1, Answer { granted: 1, ..answer() })], TURN_MS + 9);
        assert_eq!(recalled(&mut even, &all, 2 * TURN_MS), [0, 0, 0]);
        assert_eq!(recalled(&mut even, &all, 2 * TURN_MS + 9), [0, 1, 0]);
        assert!(even.rank(2) < even.rank(0), "who waits longest is next");
    }

    #[test]
    fn others_are_to_give_one_to_who_is_urgent() {
        let mut even = even(&[5, 5, 0, 5], 0);
        let ask = |urgent| Ask { need: 1, want: 9, until: 0, urgent };
        even.level([(0, ask(true)), (1, ask(false))].iter(), 0);
        let recalled: Vec<_> = even.holders.iter().map(|holder| holder.recalled).collect();
        assert_eq!(recalled, [0, 1, 0, 1]);
    }

    #[test]
    fn each_change_is_told_once() {
        let mut even = even(&[2, 18], 0);
        let mut told = |wants: &[(usize, i64)]| {
            recalled(&mut even, wants, 0);
            let mut out = Vec::new();
            even.tell(&mut out, 0, |holder| (holder, answer()));
            out.into_iter().map(|(holder, answer)| (holder, answer.recall)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[(0, 50)]), [(1, 8)]);
        assert_eq!(told(&[(0, 50)]), []);
        assert_eq!(told(&[]), [(1, 0)], "nobody waits any more");
    }

    #[test]
    fn who_waits_for_a_tick_hears_from_others_what_stands_idle() {
        let mut even = even(&[2, 3, 0], 0);
        recalled(&mut even, &[(0, 1)], 0);
        assert_eq!(even.tick(true).count(), 0);
        assert_eq!(even.tick(true).collect::<Vec<_>>(), [(1, 0)]);
        assert_eq!(even.tick(false).count(), 0);
    }

    fn answer() -> Answer {
        Answer { limit: 0, granted: 0, free: 0, not_before: 0, solicited: false, recall: 0, spare: false }
    }
}
