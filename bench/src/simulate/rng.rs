//! A small random generator (SplitMix64) per shard: fast, seedable, good enough for latencies and identifiers.

use std::cell::Cell;

/// One stream of random numbers.
#[derive(Debug)]
pub(crate) struct Rng {
    state: Cell<u64>,
}

/// The output function of SplitMix64; also a good hash of a 64-bit number.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Rng {
    /// The stream of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Cell::new(seed) }
    }

    /// The next 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        mix(state)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with the given probability; draws nothing for 0.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// A number in `[low, high]`.
    pub(crate) fn between(&self, low: usize, high: usize) -> usize {
        let span = (high.saturating_sub(low) as u64).saturating_add(1);
        low + (self.bits() % span) as usize
    }

    /// A standard normal number (Box–Muller).
    pub(crate) fn normal(&self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Appends `len` random letters and digits.
    pub(crate) fn alphanumeric(&self, out: &mut Vec<u8>, len: usize) {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789xz";
        self.draw(out, len, LETTERS, 6);
    }

    /// Appends `len` random hexadecimal digits.
    pub(crate) fn hex(&self, out: &mut Vec<u8>, len: usize) {
        self.draw(out, len, b"0123456789abcdef", 4);
    }

    fn draw(&self, out: &mut Vec<u8>, len: usize, alphabet: &[u8], bits: u32) {
        let (mut pool, mut left) = (0u64, 0u32);
        for _ in 0..len {
            if left < bits {
                (pool, left) = (self.bits(), 64);
            }
            let at = (pool & ((1 << bits) - 1)) as usize;
            out.push(alphabet.get(at).copied().unwrap_or(b'0'));
            pool >>= bits;
            left -= bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_their_ranges_and_a_seed_repeats() {
        let (a, b) = (Rng::new(7), Rng::new(7));
        for _ in 0..10_000 {
            let unit = a.unit();
            assert!((0.0..1.0).contains(&unit) && unit == b.unit());
            assert!((3..=5).contains(&a.between(3, 5)));
            b.bits();
        }
        let mean = (0..10_000).map(|_| a.normal()).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.1, "{mean}");
        let mut id = Vec::new();
        a.alphanumeric(&mut id, 29);
        a.hex(&mut id, 3);
        assert!(id.len() == 32 && id.iter().all(u8::is_ascii_alphanumeric));
    }
}
