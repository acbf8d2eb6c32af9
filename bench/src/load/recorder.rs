//! Counting on one shard: the whole run, and the current second, which is reported when it is over.

use std::{
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use super::{
    Plan,
    sse::Event,
    stats::{Entry, Fate, Finished, Second, Stats},
};

/// Counts of one shard.
pub(super) struct Recorder {
    start: Instant,
    counted_from: Instant,
    total: Stats,
    second: Second,
    last_end: Instant,
    log: Option<Vec<Entry>>,
    sender: Sender<Second>,
}

impl Recorder {
    pub(super) fn new(start: Instant, plan: &Plan, sender: Sender<Second>) -> Self {
        let (total, second) = (Stats::default(), Second::new(0));
        let log = plan.log.then(Vec::new);
        Self { start, counted_from: start + plan.warmup, total, second, last_end: start, log, sender }
    }

    /// Whether a request due at `due` is past the warm-up.
    pub(super) fn counts(&self, due: Instant) -> bool {
        due >= self.counted_from
    }

    /// A request due at `due` is finished.
    pub(super) fn finish(&mut self, due: Instant, finished: &Finished) {
        self.last_end = self.last_end.max(due + finished.latency);
        if finished.failure.is_none() {
            self.second.ok += 1;
            self.second.latency.record(finished.latency);
        } else {
            self.second.failed += 1;
        }
        if self.counts(due) {
            self.total.finish(finished);
        }
        self.note(due, finished.failure.map_or(Fate::Ok, Fate::Failed), finished);
    }

    /// A request due at `due` was not sent.
    pub(super) fn miss(&mut self, due: Instant) {
        self.second.missed += 1;
        self.total.missed += u64::from(self.counts(due));
        self.note(due, Fate::Missed, &Finished::default());
    }

    fn note(&mut self, due: Instant, fate: Fate, finished: &Finished) {
        let due = due.saturating_duration_since(self.start);
        let Finished { latency, service, first_token, status, .. } = *finished;
        if let Some(log) = &mut self.log {
            log.push(Entry { due, latency, service, first_token, status, fate });
        }
    }

    /// An event came, `gap` after the text before it; `counted` where its request is past the warm-up.
    pub(super) fn event(&mut self, event: Event, gap: Option<Duration>, counted: bool) {
        let token = event == Event::Token;
        self.second.tokens += u64::from(token);
        if counted && event != Event::Done {
            self.total.events += 1;
            self.total.tokens += u64::from(token);
            if let Some(gap) = gap {
                self.total.between_tokens.record(gap);
            }
        }
    }

    /// When the last request ended.
    pub(super) fn last_end(&self) -> Instant {
        self.last_end
    }

    /// Reports the current second where it is over at `now`.
    pub(super) fn roll(&mut self, now: Instant, in_flight: usize) {
        let at = now.saturating_duration_since(self.start).as_secs();
        if at > self.second.at {
            self.report(in_flight, at);
        }
    }

    fn report(&mut self, in_flight: usize, next: u64) {
        self.second.in_flight = in_flight as u64;
        // The receiver is gone only when the run was given up.
        let _ = self.sender.send(self.second.clone());
        self.second.restart(next);
    }

    /// Reports the last second and gives the counts and the log of the run.
    pub(super) fn end(&mut self) -> (Stats, Vec<Entry>) {
        let next = self.second.at + 1;
        self.report(0, next);
        (std::mem::take(&mut self.total), self.log.take().unwrap_or_default())
    }
}
