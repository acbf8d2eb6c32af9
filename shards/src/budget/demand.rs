//! How much of a limit a holder should have in hand: what its recent demand will use soon.

/// Holdings cover this many ticks of recent demand: one to notice, one for the answer, two to spare.
const HORIZON_TICKS: i64 = 4;
/// Fixed point of the rate.
const SCALE: i64 = 16;
/// The weight of the past in the average, against 1 for the last tick.
const MEMORY: i64 = 3;

/// Recent demand, in units per tick.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    taken: i64,
    rate: i64,
    idle: u32,
    patience: u32,
}

impl Demand {
    /// No demand yet. After `patience` ticks without any nothing is held: what one sits on, another may need.
    #[must_use]
    pub fn new(patience: u32) -> Self {
        Self { taken: 0, rate: 0, idle: u32::MAX, patience }
    }

    /// Notes that so much was taken, or asked for in vain.
    pub fn took(&mut self, amount: i64) {
        self.taken = self.taken.saturating_add(amount);
        self.idle = 0;
    }

    /// A tick has passed.
    pub fn tick(&mut self) {
        let last = self.taken.saturating_mul(SCALE);
        self.rate = self.rate.saturating_mul(MEMORY).saturating_add(last) / (MEMORY + 1);
        self.taken = 0;
        self.idle = self.idle.saturating_add(1);
    }

    /// What should be in hand: for a while at the recent rate, and at least what this tick has taken so far, which
    /// after a pause says more.
    #[must_use]
    pub fn target(&self) -> i64 {
        if self.is_idle() {
            return 0;
        }
        (self.rate.saturating_mul(HORIZON_TICKS) / SCALE).max(self.taken).saturating_add(1)
    }

    /// Whether there has been none for a while.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.idle > self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_follows_demand_and_ends_with_it() {
        let mut demand = Demand::new(8);
        for _ in 0..30 {
            demand.took(100);
            demand.tick();
        }
        assert!((350..=401).contains(&demand.target()), "{}", demand.target());
        let mut ticks = 0;
        while demand.target() > 0 {
            demand.tick();
            ticks += 1;
        }
        assert!(ticks <= 10, "{ticks}");
        demand.took(i64::MAX);
        demand.took(i64::MAX);
        demand.tick();
        assert!(demand.target() > 0);
    }
}
