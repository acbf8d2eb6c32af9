//! What the simulator saw: a bounded ring of records per shard, for checkers and tests.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// One request that was received.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Record {
    /// When its last byte had been received, in µs since the simulator started.
    pub time_us: u64,
    /// The same in seconds since 1970.
    pub unix_s: f64,
    /// The bearer key it came with.
    pub key: String,
    /// The model it asked for; empty where it named none.
    pub model: String,
    /// The path.
    pub endpoint: String,
    /// The status it is answered with; 0 before that is known.
    pub status: u16,
    /// Prompt tokens counted.
    pub prompt_tokens: u64,
    /// Completion tokens handed to the connection so far.
    pub completion_tokens: u64,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether the whole answer was sent.
    pub complete: bool,
    /// Whether the client left before that.
    pub closed_early: bool,
    /// The connection it came on.
    pub connection: u64,
    /// When the answer was complete or the client gone, in µs since the simulator started; 0 before.
    pub end_us: u64,
}

/// The bytes of one request.
#[derive(Clone, Debug, Serialize)]
pub struct Raw {
    /// When, in µs since the simulator started.
    pub time_us: u64,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from its transfer coding.
    pub body: String,
}

#[derive(Default)]
struct Rings {
    records: VecDeque<Record>,
    /// Number of the first record kept.
    first: u64,
    raw: VecDeque<Raw>,
}

/// One shard's records. The lock is contended only while a checker reads.
pub(crate) struct Recorder {
    rings: Mutex<Rings>,
    keep: usize,
    keep_raw: usize,
}

impl Recorder {
    /// A recorder that keeps so many.
    pub(crate) fn new(keep: usize, keep_raw: usize) -> Self {
        Self { rings: Mutex::default(), keep, keep_raw }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Rings) -> T) -> T {
        f(&mut self.rings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether bytes are kept at all.
    pub(crate) fn wants_raw(&self) -> bool {
        self.keep_raw > 0
    }

    /// Keeps a record and returns its number.
    fn add(&self, record: Record) -> u64 {
        self.with(|rings| {
            if rings.records.len() >= self.keep && rings.records.pop_front().is_some() {
                rings.first += 1;
            }
            rings.records.push_back(record);
            rings.first + rings.records.len() as u64 - 1
        })
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut Record)) {
        self.with(|rings| {
            // A number before the first was pushed out or reset away.
            let at = number.checked_sub(rings.first).and_then(|at| usize::try_from(at).ok());
            if let Some(record) = at.and_then(|at| rings.records.get_mut(at)) {
                change(record);
            }
        });
    }

    /// Keeps the bytes of a request.
    pub(crate) fn add_raw(&self, raw: Raw) {
        self.with(|rings| {
            while rings.raw.len() >= self.keep_raw {
                rings.raw.pop_front();
            }
            rings.raw.push_back(raw);
        });
    }

    /// All records kept, oldest first.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.with(|rings| rings.records.iter().cloned().collect())
    }

    /// All bytes kept, oldest first.
    pub(crate) fn raws(&self) -> Vec<Raw> {
        self.with(|rings| rings.raw.iter().cloned().collect())
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) {
        self.with(|rings| {
            rings.first += rings.records.len() as u64;
            rings.records.clear();
            rings.raw.clear();
        });
    }
}

/// The record of the request being answered; does nothing where records are not kept.
pub(crate) struct Trace<'a> {
    recorder: Option<&'a Recorder>,
    number: Cell<u64>,
    begun: Cell<bool>,
    /// Completion tokens handed to the connection.
    pub(crate) sent_tokens: Cell<u64>,
}

impl<'a> Trace<'a> {
    /// A trace that has not begun.
    pub(crate) fn new(recorder: Option<&'a Recorder>) -> Self {
        Self { recorder, number: Cell::new(0), begun: Cell::new(false), sent_tokens: Cell::new(0) }
    }

    /// Records a request's arrival.
    pub(crate) fn begin(&self, record: impl FnOnce() -> Record) {
        if let Some(recorder) = self.recorder {
            self.number.set(recorder.add(record()));
            self.begun.set(true);
        }
    }

    /// Adds to the record.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Record)) {
        if let Some(recorder) = self.recorder
            && self.begun.get()
        {
            recorder.update(self.number.get(), change);
        }
    }

    /// Completes the record.
    pub(crate) fn finish(&self, complete: bool, closed_early: bool, now_us: impl FnOnce() -> u64) {
        let sent = self.sent_tokens.get();
        self.update(|record| {
            record.complete = complete;
            record.closed_early = closed_early;
            record.completion_tokens = sent;
            record.end_us = now_us();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_bounded_and_late_updates_hit_their_record_or_none() {
        let recorder = Recorder::new(2, 0);
        let trace = |model: &str| {
            let trace = Trace::new(Some(&recorder));
            trace.begin(|| Record { model: model.into(), ..Record::default() });
            trace
        };
        let (a, b) = (trace("a"), trace("b"));
        b.update(|record| record.status = 200);
        let c = trace("c");
        a.update(|record| record.status = 500);
        c.sent_tokens.set(9);
        c.finish(false, true, || 7);
        let seen: Vec<_> = recorder.records().iter().map(|r| (r.model.clone(), r.status, r.end_us)).collect();
        assert_eq!(seen, [("b".into(), 200, 0), ("c".into(), 0, 7)]);
        recorder.reset();
        b.update(|record| record.status = 1);
        let d = trace("d");
        d.update(|record| record.status = 2);
        assert_eq!(recorder.records().len(), 1);
        assert_eq!(recorder.records()[0].status, 2);
    }
}
