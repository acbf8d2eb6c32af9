//! How long an answer takes with a key.
//!
//! What counts differs with the kind of answer. Of a stream the first token is waited for, and the rest is read
//! as it comes; any other answer is of use when it is whole, and its first byte already comes after all of its
//! tokens. So the two are measured apart, and a key may be the best for one and the worst for the other.

use coo_shards::budget::Millis;

use super::latency::{Ewma, PeakEwma};

/// Where streams have not shown it, the first token is taken to come after the time of so many: half a second at
/// 50 tokens a second.
const START_TOKENS: f32 = 25.0;

/// The most that the time per token adds to a stream's time to its first: so it decides among those whose first
/// token comes about as soon, and nothing else.
const PER_TOKEN_SHARE: f32 = 0.1;

/// With so much per token half of that is added: 50 tokens a second again.
const USUAL_TOKEN_US: f32 = 20e3;

/// An answer that is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Whether it is to be streamed.
    pub is_stream: bool,
    /// Tokens it is expected to have.
    pub tokens: u32,
}

/// What is known of a key's speed.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Of streams, to the first token.
    first_token: PeakEwma,
    /// Of streams, between tokens.
    per_token: Ewma,
    /// Of streams, the time to the first token, in tokens.
    start: Ewma,
    /// Of others, to the first byte.
    first_byte: PeakEwma,
    /// Of others, the time for each token, with those counted as which the first token's time is.
    pace: PeakEwma,
}

impl Speed {
    /// Knows nothing yet. What is observed is forgotten to 1/e after `memory`.
    #[must_use]
    pub fn new(memory: Millis) -> Self {
        Self {
            first_token: PeakEwma::new(memory),
            per_token: Ewma::new(memory),
            start: Ewma::new(memory),
            first_byte: PeakEwma::new(memory),
            pace: PeakEwma::new(memory),
        }
    }

    /// The first token of a stream came after so long.
    pub fn stream_began(&mut self, first_us: f32, now: Millis) {
        self.first_token.observe(first_us, now);
    }

    /// A stream ended, so long after its first token.
    pub fn stream_ended(&mut self, first_us: f32, rest_us: f32, tokens: u32, now: Millis) {
        let per_token_us = rest_us / tokens.saturating_sub(1) as f32;
        // A chunk of some providers is many tokens, and the first may be all.
        if tokens > 1 && per_token_us > 0.0 {
            self.per_token.observe(per_token_us, now);
            self.start.observe(first_us / per_token_us, now);
        }
    }

    /// An answer that is not a stream began after so long.
    pub fn whole_began(&mut self, first_us: f32, now: Millis) {
        self.first_byte.observe(first_us, now);
    }

    /// It ended and had so many tokens.
    pub fn whole_ended(&mut self, first_us: f32, tokens: u32, now: Millis) {
        self.pace.observe(first_us / (tokens as f32 + self.start_tokens()), now);
    }

    /// The time to the first byte of such an answer, for a stream to its first token, in µs; 0 where not known.
    #[must_use]
    pub fn first_us(&self, is_stream: bool, now: Millis) -> f32 {
        if is_stream { self.first_token.value(now) } else { self.first_byte.value(now) }
    }

    /// How long an answer takes, as far as that counts, in µs; 0 where not known.
    ///
    /// Where nothing is known of its kind, the other kind tells: what a stream takes to its end, and that a
    /// stream's first token takes no less than any token. The second is too little, and so will be tried.
    #[must_use]
    pub fn expected_us(&self, ask: Ask, now: Millis) -> f32 {
        let tokens = ask.tokens as f32;
        let per_token_us = self.per_token.value();
        if ask.is_stream {
            let first_us = self.first_token.value(now);
            if first_us > 0.0 {
                let share = per_token_us / (per_token_us + USUAL_TOKEN_US);
                return first_us * (1.0 + PER_TOKEN_SHARE * share);
            }
            return self.pace.value(now);
        }
        let pace_us = self.pace.value(now);
        if pace_us > 0.0 {
            return pace_us * (tokens + self.start_tokens());
        }
        let first_us = self.first_token.value(now);
        if first_us > 0.0 { first_us + per_token_us * tokens } else { self.first_byte.value(now) }
    }

    fn start_tokens(&self) -> f32 {
        match self.start.value() {
            known if known > 0.0 => known,
            _ => START_TOKENS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1000;
    const STREAM: Ask = Ask { is_stream: true, tokens: 256 };

    fn whole(tokens: u32) -> Ask {
        Ask { is_stream: false, tokens }
    }

    /// A key that needs so long to the first token and for each, and has answered so many streams and others.
    fn key(first_us: f32, per_token_us: f32, streams: u32, others: u32) -> Speed {
        let mut speed = Speed::new(10_000);
        for n in 0..streams {
            let tokens = 20 + n;
            speed.stream_began(first_us, NOW);
            speed.stream_ended(first_us, per_token_us * (tokens - 1) as f32, tokens, NOW);
        }
        for n in 0..others {
            let tokens = 10 + 50 * (n % 3);
            let us = first_us + per_token_us * tokens as f32;
            speed.whole_began(us, NOW);
            speed.whole_ended(us, tokens, NOW);
        }
        speed
    }

    #[test]
    fn what_counts_of_a_stream_is_its_first_token_and_of_others_the_end() {
        // (first, per token) of one key and of another, what is asked for, and whether the first key is expected
        // to take less.
        for (one, other, ask, is_first) in [
            ((100e3, 20e3), (300e3, 5e3), STREAM, true),
            ((100e3, 20e3), (300e3, 5e3), whole(256), false),
            ((100e3, 20e3), (300e3, 5e3), whole(4), true),
            // Where the first tokens come about as soon, the time per token decides.
            ((100e3, 20e3), (102e3, 5e3), STREAM, false),
            ((100e3, 90e3), (108e3, 1e3), STREAM, true),
            ((100e3, 5e3), (100e3, 20e3), STREAM, true),
        ] {
            // The others that a key answered do not change that, nor do streams what is expected of others.
            for others in [0, 5] {
                let us =
                    |(first, per_token): (f32, f32)| key(first, per_token, 3, others).expected_us(ask, NOW);
                assert_eq!(us(one) < us(other), is_first, "{one:?} {other:?} {ask:?} {others}");
            }
        }
    }

    #[test]
    fn the_time_to_the_end_is_that_of_the_first_token_and_of_each() {
        for (streams, others) in [(3, 0), (3, 4)] {
            let us = key(100e3, 10e3, streams, others).expected_us(whole(50), NOW);
            assert!((us - 600e3).abs() < 1e3, "{streams} {others}: {us}");
        }
        // Without streams the first token's share is a guess, but answers of any length tell of one another.
        let us = key(250e3, 10e3, 0, 6).expected_us(whole(50), NOW);
        assert!((us - 750e3).abs() < 1e3, "{us}");
    }

    #[test]
    fn a_slow_answer_counts_at_once_and_is_forgotten() {
        let mut speed = key(100e3, 10e3, 3, 3);
        speed.whole_ended(6000e3, 50, NOW);
        let us = speed.expected_us(whole(50), NOW);
        assert!((us - 6000e3).abs() < 10e3, "{us}");
        let later = speed.expected_us(whole(50), NOW + 10_000);
        assert!((later - us / std::f32::consts::E).abs() < 10e3, "{later}");
    }

    #[test]
    fn kinds_are_measured_apart() {
        let speed = key(100e3, 10e3, 3, 1);
        assert_eq!((speed.first_us(true, NOW), speed.first_us(false, NOW)), (100e3, 200e3));
        let new = Speed::new(10_000);
        for ask in [STREAM, whole(256)] {
            assert_eq!((new.expected_us(ask, NOW), new.first_us(ask.is_stream, NOW)), (0.0, 0.0));
        }
        // One that has answered no stream is expected to be fast enough to be tried with one.
        let untried = key(100e3, 10e3, 0, 3).expected_us(STREAM, NOW);
        assert!(0.0 < untried && untried < 20e3, "{untried}");
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let mut speed = Speed::new(10_000);
        speed.stream_ended(1e3, 5e3, 0, NOW);
        speed.stream_ended(1e3, 5e3, 1, NOW);
        speed.stream_ended(1e3, 0.0, 9, NOW);
        speed.whole_ended(0.0, 9, NOW);
        assert_eq!(speed.expected_us(whole(9), NOW), 0.0);
        // An answer without tokens: embeddings.
        speed.whole_ended(25e3, 0, NOW);
        assert_eq!(speed.expected_us(whole(0), NOW), 25e3);
    }
}
