//! Turns: one after the other, leaving out those that do not take part.
//!
//! Who is next is whoever comes after the last one chosen. One that is left out loses its turn, and those
//! behind it do not move: were turns counted by a number modulo the length, the successor of one that is away
//! would get its turns on top of its own.

use super::{
    Candidate, Rng,
    strategy::{Field, Route, ramp, takes_turn},
};

/// Targets take turns, and the keys of each take turns.
pub(super) fn targets<P: Fn(&Candidate) -> bool>(
    route: &mut Route,
    candidates: &[Candidate],
    field: &Field<P>,
    rng: &mut Rng,
) -> Option<usize> {
    let from = around(route.next, candidates.len());
    let later = by_target(candidates).filter(|(first, _)| *first >= from);
    let earlier = by_target(candidates).filter(|(first, _)| *first < from);
    let (first, keys) = later.chain(earlier).find(|(_, keys)| {
        let ramp = most_ramp(keys, |key| field.may(key));
        ramp > 0.0 && takes_turn(ramp, field.most_ramp, rng)
    })?;
    route.next = first + keys.len();
    key(route, first, keys, |key| field.may(key), rng)
}

/// The key whose turn it is of those of the target at `first`.
pub(super) fn key(
    route: &mut Route,
    first: usize,
    keys: &[Candidate],
    may: impl Fn(&Candidate) -> bool,
    rng: &mut Rng,
) -> Option<usize> {
    let slot = route.slots.get_mut(first)?;
    let most_ramp = most_ramp(keys, &may);
    let key = next(keys, slot.next_key, |key| may(key) && takes_turn(ramp(key), most_ramp, rng))?;
    slot.next_key = key + 1;
    Some(first + key)
}

/// The first candidate at `from` or later that takes its turn, or else the first one before it.
pub(super) fn next(
    candidates: &[Candidate],
    from: usize,
    mut takes_turn: impl FnMut(&Candidate) -> bool,
) -> Option<usize> {
    let (earlier, later) = candidates.split_at_checked(around(from, candidates.len()))?;
    let found = later.iter().position(&mut takes_turn).map(|found| earlier.len() + found);
    found.or_else(|| earlier.iter().position(takes_turn))
}

/// The candidates by target, each with the index of its first.
pub(super) fn by_target(candidates: &[Candidate]) -> impl Iterator<Item = (usize, &[Candidate])> {
    let mut first = 0;
    candidates.chunk_by(|one, other| one.target == other.target).map(move |keys| {
        let target = (first, keys);
        first += keys.len();
        target
    })
}

/// The ramp of the one that has started the furthest of those that may be chosen; 0 where none may.
fn most_ramp(candidates: &[Candidate], may: impl Fn(&Candidate) -> bool) -> f32 {
    candidates.iter().filter(|candidate| may(candidate)).map(ramp).fold(0.0, f32::max)
}

/// A place counted around so many.
fn around(place: usize, count: usize) -> usize {
    if place < count { place } else { place.checked_rem(count).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use crate::{
        config::Algorithm,
        gateway::select::tests::{grid, strategies},
    };

    /// The next choices, as `(target, key)`.
    fn chosen(grid: &[super::Candidate], times: usize) -> Vec<(u16, u16)> {
        let mut strategies = strategies(1);
        // Whatever the start, the first choices bring the turns to a known place.
        let whole = crate::gateway::select::tests::grid(&[2, 3]);
        while strategies.choose(Algorithm::RoundRobin, 0, &whole) != Some(4) {}
        let choice = |_| strategies.choose(Algorithm::RoundRobin, 0, grid);
        (0..times).map(choice).map(|at| (grid[at.unwrap()].target, grid[at.unwrap()].key)).collect()
    }

    #[test]
    fn targets_take_turns_and_their_keys_do() {
        let all = grid(&[2, 3]);
        let turns = chosen(&all, 12);
        for pair in turns.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "{turns:?}");
        }
        for (key, times) in [((0, 0), 3), ((0, 1), 3), ((1, 0), 2), ((1, 1), 2), ((1, 2), 2)] {
            assert_eq!(turns.iter().filter(|turn| **turn == key).count(), times, "{key:?} {turns:?}");
        }
    }

    #[test]
    fn one_that_is_away_gives_its_turns_to_all_others() {
        let mut all = grid(&[2, 3]);
        all[3].available = false;
        let turns = chosen(&all, 8);
        assert_eq!(turns.iter().filter(|turn| **turn == (1, 0)).count(), 2, "{turns:?}");
        assert_eq!(turns.iter().filter(|turn| **turn == (1, 2)).count(), 2, "{turns:?}");

        // A target all of whose keys are away.
        let mut all = grid(&[1, 1, 1, 1]);
        all[1].available = false;
        let mut strategies = strategies(2);
        let mut counts = [0; 4];
        for _ in 0..300 {
            counts[strategies.choose(Algorithm::RoundRobin, 0, &all).unwrap()] += 1;
        }
        assert_eq!(counts, [100, 0, 100, 100]);
    }

    #[test]
    fn one_that_misses_a_turn_does_not_move_the_turns_of_others() {
        let mut strategies = strategies(3);
        let all = grid(&[1, 1, 1, 1]);
        let start = strategies.choose(Algorithm::RoundRobin, 0, &all).unwrap();
        let order = |by: usize| (start + by) % 4;
        let mut without = all.clone();
        without[order(1)].available = false;
        assert_eq!(strategies.choose(Algorithm::RoundRobin, 0, &without), Some(order(2)));
        for by in [3, 4, 5, 6, 7] {
            assert_eq!(strategies.choose(Algorithm::RoundRobin, 0, &all), Some(order(by)));
        }
    }

    #[test]
    fn routes_do_not_disturb_each_other() {
        let mut both = strategies(4);
        let mut alone = strategies(4);
        let all = grid(&[3, 3]);
        for n in 0..50 {
            for _ in 0..n % 3 {
                both.choose(Algorithm::RoundRobin, 1, &all);
            }
            let choice = both.choose(Algorithm::RoundRobin, 0, &all);
            assert_eq!(choice, alone.choose(Algorithm::RoundRobin, 0, &all));
        }
    }
}
