//! How long answers usually take, by what kind of answer they are.
//!
//! A long answer takes longer than a short one, so a provider that is asked for longer ones is not slower. What is
//! compared is therefore alike: the time to the first token of streams whose prompts are of one size, and the whole
//! time of other answers of one length, each of one model. Sizes are alike within a factor of two.
//!
//! Times are kept as logarithms: those of language models have long tails, which would dominate a mean.

use coo_shards::budget::Millis;

/// Sizes told apart: up to 2^23 bytes or tokens.
const SIZES: usize = 24;
/// Kinds of answers: streams by prompt bytes, others by output tokens, others without output tokens (embeddings)
/// by prompt bytes.
const KINDS: usize = 3 * SIZES;
/// Models told apart; names come from clients. All others count as one.
const MAX_MODELS: usize = 32;
/// Until when a time has lost 1/e of its weight.
const MEMORY_MS: f32 = 30_000.0;
/// The most that one time counts once there are some.
const MOST_WEIGHT: f32 = 0.1;
/// Times of a kind that must be known before another is compared with them.
const ENOUGH: u32 = 8;
/// Times of which the plain mean is taken, before the past begins to count less.
const PLAIN: u32 = 50;

/// What is compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(usize);

impl Kind {
    /// A stream, whose time is that to its first token.
    #[must_use]
    pub fn stream(prompt_bytes: u64) -> Self {
        Self(size(prompt_bytes))
    }

    /// An answer that comes as a whole.
    #[must_use]
    pub fn whole(output_tokens: u64, prompt_bytes: u64) -> Self {
        if output_tokens > 0 {
            Self(SIZES + size(output_tokens))
        } else {
            Self(2 * SIZES + size(prompt_bytes))
        }
    }
}

fn size(amount: u64) -> usize {
    (amount.max(1).ilog2() as usize).min(SIZES - 1)
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    log2_us: f32,
    count: u32,
    at: Millis,
}

/// The usual times of one provider.
#[derive(Clone, Debug, Default)]
pub struct Usual {
    models: Vec<(String, Box<[Mean]>)>,
}

impl Usual {
    fn of(&mut self, model: &str, kind: Kind) -> Option<&mut Mean> {
        let known = self.models.iter().position(|(name, _)| name == model);
        let at = known.unwrap_or_else(|| {
            if self.models.len() < MAX_MODELS {
                self.models.push((model.to_owned(), vec![Mean::default(); KINDS].into()));
            }
            self.models.len() - 1
        });
        self.models.get_mut(at)?.1.get_mut(kind.0)
    }

    /// How much slower than usual an answer was, as a power of two; `None` where too little is known. It counts
    /// towards the usual where it is faster, or where `learn` says that nothing is out of the ordinary.
    pub fn compare(
        &mut self,
        model: &str,
        kind: Kind,
        took_us: u64,
        learn: bool,
        now: Millis,
    ) -> Option<f32> {
        let mean = self.of(model, kind)?;
        let log2_us = (took_us.max(1) as f32).log2();
        let known = mean.count >= ENOUGH;
        let over = log2_us - mean.log2_us;
        if learn || over < 0.0 {
            // The first are a plain mean, later ones count by the time that they stand for.
            let first = 1.0 / (mean.count.saturating_add(1) as f32);
            let elapsed = now.saturating_sub(mean.at) as f32 / MEMORY_MS;
            mean.log2_us += over * elapsed.min(MOST_WEIGHT).max(if mean.count < PLAIN { first } else { 0.0 });
            mean.count = mean.count.saturating_add(1);
            mean.at = now;
        }
        known.then_some(over)
    }

    /// All answers take so much longer now, as a power of two, for a reason that is not ours.
    pub fn slower(&mut self, log2: f32) {
        for mean in self.models.iter_mut().flat_map(|(_, means)| means.iter_mut()) {
            mean.log2_us += log2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(usual: &mut Usual, kind: Kind, us: u64) {
        for n in 0..100 {
            usual.compare("m", kind, us, true, n * 100);
        }
    }

    #[test]
    fn longer_answers_are_not_slower_ones() {
        let mut usual = Usual::default();
        settled(&mut usual, Kind::whole(10, 100), 100_000);
        settled(&mut usual, Kind::whole(1000, 100), 9_000_000);
        let over = usual.compare("m", Kind::whole(1000, 100), 9_000_000, false, 0);
        assert!(over.is_some_and(|over| over.abs() < 0.01), "{over:?}");
        let over = usual.compare("m", Kind::whole(10, 100), 400_000, false, 0);
        assert!(over.is_some_and(|over| (over - 2.0).abs() < 0.01), "{over:?}");
    }

    #[test]
    fn what_is_not_known_is_not_compared() {
        let mut usual = Usual::default();
        for n in 0..ENOUGH {
            assert_eq!(usual.compare("m", Kind::stream(10), 1000, true, 0), None, "{n}");
        }
        assert_eq!(usual.compare("m", Kind::stream(10), 1000, true, 0), Some(0.0));
        assert_eq!(usual.compare("other", Kind::stream(10), 1000, true, 0), None);
        assert_eq!(usual.compare("m", Kind::stream(1000), 1000, true, 0), None);
    }

    #[test]
    fn a_burst_of_slow_answers_does_not_become_usual() {
        let mut usual = Usual::default();
        let kind = Kind::stream(10);
        settled(&mut usual, kind, 1000);
        // 200 a second for half a second.
        let over = (0..100).filter_map(|n| usual.compare("m", kind, 8000, true, 10_000 + n * 5)).last();
        assert!(over.is_some_and(|over| over > 2.8), "{over:?}");
        // For five minutes.
        let over = (0..3000).filter_map(|n| usual.compare("m", kind, 8000, true, 11_000 + n * 100)).last();
        assert!(over.is_some_and(|over| over < 0.1), "{over:?}");
    }

    #[test]
    fn faster_ones_count_even_while_nothing_is_learnt() {
        let mut usual = Usual::default();
        let kind = Kind::stream(10);
        settled(&mut usual, kind, 8000);
        for n in 0..3000 {
            usual.compare("m", kind, 1000, false, 10_000 + n * 100);
        }
        assert!(usual.compare("m", kind, 1000, false, 400_000).is_some_and(|over| over > -0.1));
        usual.slower(1.0);
        assert!(usual.compare("m", kind, 2000, false, 400_000).is_some_and(|over| over.abs() < 0.1));
    }

    #[test]
    fn names_of_models_take_bounded_memory() {
        let mut usual = Usual::default();
        for n in 0..10 * MAX_MODELS {
            usual.compare(&n.to_string(), Kind::whole(u64::MAX, u64::MAX), u64::MAX, true, 0);
        }
        assert_eq!(usual.models.len(), MAX_MODELS);
    }
}
