//! True round robin: every key of a provider in turn.

use std::cell::Cell;

/// One turn counter per provider. Each shard has its own and starts at another key, so that shards that begin
/// together do not all begin with the first key.
#[derive(Debug)]
pub struct RoundRobin {
    next: Vec<Cell<usize>>,
}

impl RoundRobin {
    /// Counters for `providers` providers, starting at turn `start`.
    #[must_use]
    pub fn new(providers: usize, start: usize) -> Self {
        Self { next: vec![Cell::new(start); providers] }
    }

    /// The key whose turn it is, of `keys` keys of `provider`; `None` where there are none.
    #[must_use]
    pub fn next(&self, provider: usize, keys: usize) -> Option<usize> {
        let turn = self.next.get(provider)?;
        let key = turn.get().checked_rem(keys)?;
        turn.set((key + 1) % keys);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_take_exact_turns_and_providers_do_not_disturb_each_other() {
        let turns = RoundRobin::new(2, 1);
        let seen: Vec<_> = (0..7)
            .map(|n| {
                if n % 2 == 0 {
                    assert!(turns.next(1, 5).is_some());
                }
                turns.next(0, 3).unwrap()
            })
            .collect();
        assert_eq!(seen, [1, 2, 0, 1, 2, 0, 1]);
        assert_eq!(turns.next(0, 0), None);
        assert_eq!(turns.next(9, 3), None);
    }
}
