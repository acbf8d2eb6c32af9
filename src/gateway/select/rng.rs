//! Random numbers for choices and jitter.

/// A xorshift generator (Marsaglia, "Xorshift RNGs", 2003, with shifts 13, 7, 17). Fast and good enough to
/// spread load; predictable, so never for secrets. Each shard has its own.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Starts from `seed`; seeds that are close together give sequences that have nothing in common.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // The finaliser of SplitMix64: xorshift alone needs some hundred steps to get away from a small seed.
        let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // Zero would stay zero.
        Self((mixed ^ (mixed >> 31)).max(1))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, each equally likely (to within `bound` / 2³²); 0 where `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        let high = self.bits() >> 32;
        ((high * u64::from(bound)) >> 32) as u32
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f32 {
        // As many bits as the mantissa holds.
        (self.bits() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// A number from 0 to `most`, both included.
    pub fn up_to(&mut self, most: u64) -> u64 {
        match most.checked_add(1) {
            Some(values) => ((u128::from(self.bits()) * u128::from(values)) >> 64) as u64,
            None => self.bits(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::select::tests::chi_square;

    #[test]
    fn numbers_are_spread_evenly() {
        let mut rng = Rng::new(1);
        let (mut below, mut unit, mut up_to) = ([0_u32; 10], [0_u32; 10], [0_u32; 10]);
        for _ in 0..100_000 {
            below[rng.below(10) as usize] += 1;
            unit[(rng.unit() * 10.0) as usize] += 1;
            up_to[rng.up_to(9) as usize] += 1;
        }
        for counts in [below, unit, up_to] {
            chi_square(&counts, &[0.1; 10]);
        }
        assert_eq!((rng.below(0), rng.up_to(0)), (0, 0));
        rng.up_to(u64::MAX);
    }

    #[test]
    fn shards_get_sequences_of_their_own() {
        let mut firsts: Vec<_> = (0..1000).map(|seed| Rng::new(seed).below(1000)).collect();
        firsts.sort_unstable();
        firsts.dedup();
        // 1000 draws of 1000 numbers hit 632 different ones on average.
        assert!(firsts.len() > 580, "{}", firsts.len());
    }
}
