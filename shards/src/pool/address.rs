//! How each address of an origin does, and in which order they are to be tried. Pure but for the cell.
//!
//! ```text
//! in ──not connected, or silent──▶ out ──time──▶ one connection at a time ──connects, answers──▶ in
//!                                   ▲                        │
//!                                   └──── twice as long ─────┘
//! ```

use std::{cell::Cell, net::SocketAddr, rc::Rc};

/// The first time out, in milliseconds; each one after it takes twice as long.
const FIRST_OUT_MS: u64 = 1000;
/// The longest.
const MAX_OUT_MS: u64 = 30_000;
/// An address that was in for so long begins with the first time out again.
const GOOD_MS: u64 = 60_000;
/// Exchanges in a row that bring no byte of an answer before an address is out: one may be a request that takes
/// long, where a connection that cannot be made says all.
const MAX_SILENT: u32 = 3;
/// A probe of which nothing is heard for so long no longer stands in the way of another.
const PATIENCE_MS: u64 = 60_000;

/// How one address does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Health {
    state: State,
    /// Times out since it was last in for long.
    times: u32,
    /// Exchanges in a row that brought nothing.
    silent: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    In {
        since: u64,
    },
    Out {
        until: u64,
        /// When a probe of which nothing has been heard yet was sent.
        probed: Option<u64>,
        /// Whether it took connections and did not answer: then only an answer brings it back.
        silent: bool,
    },
}

impl Health {
    fn new() -> Self {
        Self { state: State::In { since: 0 }, times: 0, silent: 0 }
    }

    fn is_in(&self) -> bool {
        matches!(self.state, State::In { .. })
    }

    fn out_until(&self) -> u64 {
        match self.state {
            State::In { .. } => 0,
            State::Out { until, .. } => until,
        }
    }

    /// Whether a probe is due; if so, one is under way from now on.
    fn take_probe(&mut self, now: u64) -> bool {
        let State::Out { until, probed, .. } = &mut self.state else { return false };
        let free = probed.is_none_or(|sent| now.saturating_sub(sent) >= PATIENCE_MS);
        let due = now >= *until && free;
        if due {
            *probed = Some(now);
        }
        due
    }

    /// A connection was made; `kept` says that it can wait for a request, which will show whether it is answered.
    fn connected(&mut self, now: u64, kept: bool) {
        if let State::Out { silent, .. } = self.state {
            if !silent {
                self.come_back(now, 0);
            } else if !kept {
                self.come_back(now, MAX_SILENT - 1);
            }
        }
    }

    /// No connection was made, or far later than to another address.
    fn not_connected(&mut self, now: u64) {
        self.leave(now, false);
    }

    /// An answer began, on a connection that was a probe or not. What answers on an older connection says nothing
    /// of new ones.
    fn answered(&mut self, now: u64, probe: bool) {
        self.silent = 0;
        if probe && !self.is_in() {
            self.come_back(now, 0);
        }
    }

    /// An exchange brought no byte; whether idle connections should not be used any more.
    fn unanswered(&mut self, now: u64, probe: bool, timed_out: bool) -> bool {
        self.silent = self.silent.saturating_add(1);
        match self.state {
            State::In { .. } if self.silent < MAX_SILENT => return false,
            State::Out { .. } if !probe => return timed_out,
            _ => self.leave(now, true),
        }
        timed_out
    }

    fn leave(&mut self, now: u64, silent: bool) {
        if let State::In { since } = self.state
            && now.saturating_sub(since) >= GOOD_MS
        {
            self.times = 0;
        }
        let was_silent = matches!(self.state, State::Out { silent: true, .. });
        let time = 2_u64.saturating_pow(self.times).saturating_mul(FIRST_OUT_MS).min(MAX_OUT_MS);
        self.times = self.times.saturating_add(1);
        let until = now.saturating_add(time);
        self.state = State::Out { until, probed: None, silent: silent || was_silent };
    }

    fn come_back(&mut self, now: u64, silent: u32) {
        self.state = State::In { since: now };
        self.silent = silent;
    }
}

/// One address of an origin; connections know theirs.
#[derive(Debug)]
pub(super) struct Address {
    /// Where it is.
    pub(super) at: SocketAddr,
    health: Cell<Health>,
}

impl Address {
    pub(super) fn new(at: SocketAddr) -> Rc<Self> {
        Rc::new(Self { at, health: Cell::new(Health::new()) })
    }

    fn update<T>(&self, change: impl FnOnce(&mut Health) -> T) -> T {
        let mut health = self.health.get();
        let out = change(&mut health);
        self.health.set(health);
        out
    }

    /// Whether it is in use; a connection to one that is not is a probe.
    pub(super) fn is_in(&self) -> bool {
        self.health.get().is_in()
    }

    /// See [`Health::take_probe`].
    pub(super) fn take_probe(&self, now: u64) -> bool {
        self.update(|health| health.take_probe(now))
    }

    /// See [`Health::connected`].
    pub(super) fn connected(&self, now: u64, kept: bool) {
        self.update(|health| health.connected(now, kept));
    }

    /// See [`Health::not_connected`].
    pub(super) fn not_connected(&self, now: u64) {
        self.update(|health| health.not_connected(now));
    }

    /// See [`Health::answered`].
    pub(super) fn answered(&self, now: u64, probe: bool) {
        self.update(|health| health.answered(now, probe));
    }

    /// See [`Health::unanswered`].
    pub(super) fn unanswered(&self, now: u64, probe: bool, timed_out: bool) -> bool {
        self.update(|health| health.unanswered(now, probe, timed_out))
    }
}

/// The order in which to try `addresses`: those in use in turns from the `first`, then the others by when their
/// time out ends. So where all are out, all can still be tried.
pub(super) fn order(addresses: &[Rc<Address>], first: usize) -> Vec<Rc<Address>> {
    let (mut order, mut out): (Vec<_>, Vec<_>) = addresses.iter().cloned().partition(|one| one.is_in());
    let turn = first.checked_rem(order.len()).unwrap_or(0);
    order.rotate_left(turn);
    out.sort_by_key(|one| one.health.get().out_until());
    order.append(&mut out);
    order
}

/// `known` after its name was resolved again: addresses that stay keep what is known of them.
pub(super) fn resolved(known: &[Rc<Address>], now: Vec<SocketAddr>) -> Vec<Rc<Address>> {
    let kept = |at: SocketAddr| known.iter().find(|one| one.at == at).cloned();
    now.into_iter().map(|at| kept(at).unwrap_or_else(|| Address::new(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(count: u8) -> Vec<Rc<Address>> {
        (1..=count).map(|n| Address::new(SocketAddr::from(([10, 0, 0, n], 80)))).collect()
    }

    fn shown(order: &[Rc<Address>]) -> Vec<u8> {
        order
            .iter()
            .map(|one| match one.at {
                SocketAddr::V4(at) => at.ip().octets()[3],
                SocketAddr::V6(_) => 0,
            })
            .collect()
    }

    #[test]
    fn times_out_double_to_a_bound_and_begin_anew_after_good_time() {
        let mut health = Health::new();
        let mut now = 100_000;
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            health.not_connected(now);
            assert!(!health.take_probe(now + expected * 1000 - 1), "{expected} s");
            now += expected * 1000;
            assert!(health.take_probe(now), "{expected} s");
        }
        health.connected(now, true);
        assert!(health.is_in());
        now += 1000;
        health.not_connected(now);
        assert!(!health.take_probe(now + 29_999), "soon again: out for as long as before");
        health.connected(now + 30_000, true);
        now += 30_000 + GOOD_MS;
        health.not_connected(now);
        assert!(health.take_probe(now + 1000), "after good time the first again");
    }

    #[test]
    fn one_probe_at_a_time_and_one_that_is_never_heard_of_does_not_block() {
        let mut health = Health::new();
        assert!(!health.take_probe(5000), "one in use needs none");
        health.not_connected(5000);
        assert!(health.take_probe(6000) && !health.take_probe(6001));
        assert!(!health.take_probe(6000 + PATIENCE_MS - 1) && health.take_probe(6000 + PATIENCE_MS));
        health.not_connected(70_000);
        assert!(health.take_probe(72_000), "failed: twice as long, then the next");
    }

    #[test]
    fn what_does_not_answer_comes_back_by_an_answer_only() {
        let mut health = Health::new();
        assert!(!health.unanswered(0, false, true) && !health.unanswered(0, false, true));
        health.answered(0, false);
        for last in [false, false, true] {
            assert!(health.is_in());
            assert_eq!(health.unanswered(1000, false, true), last, "three in a row close what is idle");
        }
        assert!(!health.is_in());
        assert!(health.take_probe(2000));
        health.connected(2000, true);
        assert!(!health.is_in(), "its kernel may accept what it never answers");
        health.answered(2000, false);
        assert!(!health.is_in(), "an older connection");
        health.answered(2000, true);
        assert!(health.is_in());
        // Nothing can wait on it: it is on trial.
        for _ in 0..MAX_SILENT {
            health.unanswered(3000, false, false);
        }
        health.connected(9000, false);
        assert!(health.is_in());
        health.unanswered(9000, false, false);
        assert!(!health.is_in(), "one failure is enough");
    }

    #[test]
    fn idle_connections_are_closed_only_where_silence_says_so() {
        let mut refused = Health::new();
        refused.not_connected(0);
        assert!(!refused.unanswered(0, false, false), "reset: the others are seen to be closed");
        assert!(refused.unanswered(0, false, true), "neither connects nor answers");
        let until = refused.out_until();
        refused.unanswered(10, false, true);
        assert_eq!(refused.out_until(), until, "what was under way before does not prolong it");
        assert!(refused.unanswered(10, true, true));
        assert!(refused.out_until() > until, "the probe does");
    }

    #[test]
    fn those_in_use_take_turns_and_the_others_come_last() {
        let all = list(4);
        assert_eq!(shown(&order(&all, 0)), [1, 2, 3, 4]);
        assert_eq!(shown(&order(&all, 6)), [3, 4, 1, 2]);
        all[1].not_connected(500);
        all[0].not_connected(1000);
        assert_eq!(shown(&order(&all, 1)), [4, 3, 2, 1]);
        all[2].not_connected(0);
        all[3].not_connected(2000);
        assert_eq!(shown(&order(&all, 3)), [3, 2, 1, 4], "all are out: the one whose time ends first");
        assert!(order(&[], 1).is_empty());
    }

    #[test]
    fn addresses_that_stay_keep_what_is_known() {
        let all = list(3);
        all[1].not_connected(0);
        let again = resolved(&all, vec![all[2].at, all[1].at, SocketAddr::from(([10, 0, 0, 9], 80))]);
        assert_eq!(shown(&again), [3, 2, 9]);
        assert_eq!(again.iter().map(|one| one.is_in()).collect::<Vec<_>>(), [true, false, true]);
    }
}
