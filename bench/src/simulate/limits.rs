//! True enforcement of per-key limits, exact over all shards: this is the judge, not the data path, so one
//! mutex guards the windows. Without configured keys there is no ledger and no lock is taken.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;

/// Limits of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// The key, as sent behind `Bearer `.
    pub key: String,
    /// Requests in any window; `None` is no limit.
    pub req_per_min: Option<u64>,
    /// Prompt and completion tokens in any window; `None` is no limit.
    pub tokens_per_min: Option<u64>,
}

/// What one key has done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KeyState {
    /// The key.
    pub key: String,
    /// Requests admitted since the start or the last reset.
    pub admitted: u64,
    /// Requests refused for a limit.
    pub refused: u64,
    /// Tokens of the admitted requests.
    pub tokens: u64,
    /// Requests in the present window.
    pub window_requests: u64,
    /// Tokens in the present window.
    pub window_tokens: u64,
    /// Most requests any window has held.
    pub peak_requests: u64,
    /// Most tokens any window has held.
    pub peak_tokens: u64,
}

/// What is left to a key, for the rate-limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) limit_requests: Option<u64>,
    pub(crate) limit_tokens: Option<u64>,
    pub(crate) remaining_requests: u64,
    pub(crate) remaining_tokens: u64,
    /// Until the window is empty again.
    pub(crate) reset_requests: Duration,
    pub(crate) reset_tokens: Duration,
}

/// The limit that refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Requests,
    Tokens,
}

/// A refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) which: Which,
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) requested: u64,
    /// When the same request would be admitted; `None` where it is larger than the limit.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) left: Left,
}

/// The judgement on one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    Admitted(Left),
    Refused(Refused),
}

struct Window {
    limits: KeyLimits,
    /// Admitted requests still in the window: when (µs), and tokens.
    events: VecDeque<(u64, u64)>,
    in_window: u64,
    state: KeyState,
}

/// The windows of all keys.
pub(crate) struct Ledger {
    keys: Mutex<HashMap<Vec<u8>, Window>>,
    window_us: u64,
}

impl Ledger {
    /// A ledger with empty windows of the given length.
    pub(crate) fn new(keys: &[KeyLimits], window: Duration) -> Self {
        let entry = |limits: &KeyLimits| {
            let state = KeyState { key: limits.key.clone(), ..KeyState::default() };
            let window = Window { limits: limits.clone(), events: VecDeque::new(), in_window: 0, state };
            (limits.key.clone().into_bytes(), window)
        };
        let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(1);
        Self { keys: Mutex::new(keys.iter().map(entry).collect()), window_us }
    }

    /// Whether `key` is one of those configured.
    pub(crate) fn knows(&self, key: &[u8]) -> bool {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Judges a request of `tokens` (prompt and answer) and counts it if it is admitted. `now_us` is asked under
    /// the lock, so that events are in order. `None` for an unknown key.
    pub(crate) fn admit(&self, key: &[u8], tokens: u64, now_us: impl Fn() -> u64) -> Option<Verdict> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let window = keys.get_mut(key)?;
        let now = now_us();
        window.expire(now, self.window_us);
        Some(window.judge(now, tokens, self.window_us))
    }

    /// The state of every key, by name.
    pub(crate) fn states(&self, now_us: u64) -> Vec<KeyState> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states: Vec<KeyState> = keys
            .values_mut()
            .map(|window| {
                window.expire(now_us, self.window_us);
                KeyState {
                    window_requests: window.events.len() as u64,
                    window_tokens: window.in_window,
                    ..window.state.clone()
                }
            })
            .collect();
        states.sort_by(|a, b| a.key.cmp(&b.key));
        states
    }
}

impl Window {
    /// The window is half-open: an event leaves it exactly one window length after it happened.
    fn expire(&mut self, now: u64, window_us: u64) {
        while let Some(&(at, tokens)) = self.events.front()
            && at + window_us <= now
        {
            self.in_window -= tokens;
            self.events.pop_front();
        }
    }

    fn judge(&mut self, now: u64, tokens: u64, window_us: u64) -> Verdict {
        let requests = self.events.len() as u64;
        let refusal = match (self.limits.req_per_min, self.limits.tokens_per_min) {
            (Some(limit), _) if requests + 1 > limit => Some((Which::Requests, limit, requests, 1)),
            (_, Some(limit)) if self.in_window + tokens > limit => {
                Some((Which::Tokens, limit, self.in_window, tokens))
            }
            _ => None,
        };
        if let Some((which, limit, used, requested)) = refusal {
            self.state.refused += 1;
            let retry_after = self.retry_after(which, limit, requested, now, window_us);
            let left = self.left(now, window_us);
            return Verdict::Refused(Refused { which, limit, used, requested, retry_after, left });
        }
        self.events.push_back((now, tokens));
        self.in_window += tokens;
        self.state.admitted += 1;
        self.state.tokens += tokens;
        self.state.peak_requests = self.state.peak_requests.max(requests + 1);
        self.state.peak_tokens = self.state.peak_tokens.max(self.in_window);
        Verdict::Admitted(self.left(now, window_us))
    }

    /// When enough of the window has expired for the request.
    fn retry_after(
        &self,
        which: Which,
        limit: u64,
        requested: u64,
        now: u64,
        window_us: u64,
    ) -> Option<Duration> {
        let mut used = match which {
            Which::Requests => self.events.len() as u64,
            Which::Tokens => self.in_window,
        };
        if requested > limit {
            return None;
        }
        for &(at, tokens) in &self.events {
            used -= if which == Which::Requests { 1 } else { tokens };
            if used + requested <= limit {
                return Some(Duration::from_micros((at + window_us).saturating_sub(now)));
            }
        }
        Some(Duration::ZERO)
    }

    fn left(&self, now: u64, window_us: u64) -> Left {
        let requests = self.events.len() as u64;
        let full = self.events.back().map_or(0, |&(at, _)| (at + window_us).saturating_sub(now));
        let reset = Duration::from_micros(full);
        Left {
            limit_requests: self.limits.req_per_min,
            limit_tokens: self.limits.tokens_per_min,
            remaining_requests: self.limits.req_per_min.unwrap_or(0).saturating_sub(requests),
            remaining_tokens: self.limits.tokens_per_min.unwrap_or(0).saturating_sub(self.in_window),
            reset_requests: reset,
            reset_tokens: reset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(requests: Option<u64>, tokens: Option<u64>) -> Ledger {
        let key = KeyLimits { key: "k".into(), req_per_min: requests, tokens_per_min: tokens };
        Ledger::new(&[key], Duration::from_secs(60))
    }

    fn admitted(ledger: &Ledger, at_s: f64, tokens: u64) -> Result<Left, Refused> {
        match ledger.admit(b"k", tokens, || (at_s * 1e6) as u64).unwrap() {
            Verdict::Admitted(left) => Ok(left),
            Verdict::Refused(refused) => Err(refused),
        }
    }

    #[test]
    fn requests_slide() {
        let ledger = ledger(Some(2), None);
        assert_eq!(admitted(&ledger, 0.0, 5).unwrap().remaining_requests, 1);
        assert!(admitted(&ledger, 10.0, 5).is_ok());
        let refused = admitted(&ledger, 20.0, 5).unwrap_err();
        assert_eq!((refused.which, refused.limit, refused.used), (Which::Requests, 2, 2));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(40)));
        assert!(admitted(&ledger, 59.999_999, 5).is_err(), "still inside the window");
        assert!(admitted(&ledger, 60.0, 5).is_ok(), "exactly a window later");
        assert!(admitted(&ledger, 69.9, 5).is_err());
        assert!(admitted(&ledger, 70.0, 5).is_ok());
        let state = &ledger.states(71_000_000)[0];
        assert_eq!((state.admitted, state.refused, state.peak_requests), (4, 3, 2));
        assert_eq!((state.tokens, state.peak_tokens, state.window_requests), (20, 10, 2));
    }

    #[test]
    fn tokens_slide_and_too_large_is_never() {
        let ledger = ledger(None, Some(100));
        assert!(admitted(&ledger, 0.0, 60).is_ok());
        assert!(admitted(&ledger, 1.0, 30).is_ok());
        let refused = admitted(&ledger, 2.0, 40).unwrap_err();
        assert_eq!((refused.which, refused.used, refused.requested), (Which::Tokens, 90, 40));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(58)));
        assert_eq!(admitted(&ledger, 2.0, 101).unwrap_err().retry_after, None);
        assert!(admitted(&ledger, 2.0, 10).is_ok(), "a smaller one still fits");
        assert!(admitted(&ledger, 60.0, 60).is_ok());
    }

    #[test]
    fn unknown_keys_are_unknown() {
        let ledger = ledger(None, None);
        assert!(ledger.admit(b"x", 1, || 0).is_none());
        assert!(!ledger.knows(b"x") && ledger.knows(b"k"));
    }

    #[test]
    fn no_window_is_ever_over_under_random_load() {
        let (ledger, rng) = (ledger(Some(20), Some(300)), super::super::rng::Rng::new(3));
        let (mut now, mut admitted) = (0u64, Vec::new());
        for _ in 0..5000 {
            now += rng.bits() % 4_000_000;
            let tokens = rng.bits() % 40;
            if let Some(Verdict::Admitted(_)) = ledger.admit(b"k", tokens, || now) {
                admitted.push((now, tokens));
            }
        }
        for (i, &(end, _)) in admitted.iter().enumerate() {
            let window = admitted[..=i].iter().rev().take_while(|(at, _)| at + 60_000_000 > end);
            let (requests, tokens) = window.fold((0, 0), |(n, sum), (_, tokens)| (n + 1, sum + tokens));
            assert!(requests <= 20 && tokens <= 300, "{requests} {tokens}");
        }
    }
}
