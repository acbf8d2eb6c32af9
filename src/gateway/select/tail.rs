//! Where the tail of times to the first byte begins.

/// The shortest time told apart is 2^10 µs, about a millisecond: no provider answers sooner.
const LEAST_BITS: u32 = 10;
/// Each doubling is told apart in so many steps, as a power of two: within an eighth.
const STEP_BITS: u32 = 3;
/// Doublings: to 2^28 µs, four and a half minutes.
const DOUBLINGS: u32 = 18;
const BUCKETS: usize = (DOUBLINGS << STEP_BITS) as usize;
/// Below this many samples nothing is known of a tail.
const LEAST_SAMPLES: u32 = 20;
/// When so many samples are counted each counts half, so that what is old is forgotten.
const MOST_SAMPLES: u32 = 1000;

/// The recent times to the first byte of one target, on a logarithmic scale.
#[derive(Clone, Debug)]
pub struct Tail {
    counts: [u16; BUCKETS],
    total: u32,
}

impl Default for Tail {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Tail {
    /// Takes a sample.
    pub fn observe(&mut self, us: u64) {
        if let Some(count) = self.counts.get_mut(bucket(us)) {
            *count += 1;
            self.total += 1;
        }
        if self.total >= MOST_SAMPLES {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|&count| u32::from(count)).sum();
        }
    }

    /// A time, in µs, that 19 of 20 samples do not exceed; `None` while there are too few.
    #[must_use]
    pub fn p95_us(&self) -> Option<u64> {
        if self.total < LEAST_SAMPLES {
            return None;
        }
        let mut left = (self.total * 19).div_ceil(20);
        let found = self.counts.iter().position(|&count| {
            left = left.saturating_sub(u32::from(count));
            left == 0
        });
        found.map(upper_us)
    }
}

fn bucket(us: u64) -> usize {
    let us = us.clamp(1 << LEAST_BITS, (1 << (LEAST_BITS + DOUBLINGS)) - 1);
    let doubling = us.ilog2() - LEAST_BITS;
    // The bits after the highest one.
    let step = (us >> (doubling + LEAST_BITS - STEP_BITS)) & ((1 << STEP_BITS) - 1);
    (doubling << STEP_BITS) as usize + step as usize
}

/// Where the next bucket begins.
fn upper_us(bucket: usize) -> u64 {
    let (doubling, step) = (bucket >> STEP_BITS, bucket & ((1 << STEP_BITS) - 1));
    ((step as u64) + (1 << STEP_BITS) + 1) << (doubling + (LEAST_BITS - STEP_BITS) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_its_bucket() {
        for us in [0, 1, 1023, 1024, 1151, 1152, 2047, 2048, 5000, 99_999, 1_234_567, 268_435_455, u64::MAX] {
            let held = us.clamp(1024, (1 << 28) - 1);
            let upper = upper_us(bucket(us));
            assert!(upper > held && upper - held <= held / 8 + 1, "{us}: {upper}");
        }
        let buckets: Vec<_> = (1024..100_000).map(bucket).collect();
        assert!(buckets.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_tail_begins_after_nineteen_of_twenty() {
        let mut tail = Tail::default();
        for n in 0..19 {
            assert_eq!(tail.p95_us(), None, "{n}");
            tail.observe(10_000);
        }
        tail.observe(5_000_000);
        let p95 = tail.p95_us().unwrap();
        assert!((10_000..=11_300).contains(&p95), "{p95}");
        tail.observe(5_000_000);
        assert!(tail.p95_us().unwrap() > 5_000_000);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut tail = Tail::default();
        for _ in 0..100_000 {
            tail.observe(1_000_000);
        }
        for _ in 0..3000 {
            tail.observe(10_000);
        }
        assert!(tail.p95_us().unwrap() < 12_000);
        assert!(tail.total < MOST_SAMPLES);
    }
}
