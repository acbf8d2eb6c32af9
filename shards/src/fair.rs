//! A line of those who wait for a turn, fair between whoever sent them: start-time fair queueing (Goyal, Vin, Chen,
//! SIGCOMM 1996) within classes of strict priority.
//!
//! One that sends a hundred times as much as another waits a hundred times as long, and the other hardly at all:
//! each has its own sequence of tags, one cost apart, that begins where service is, and the smallest tag is next.
//!
//! Adding is linear in the number of senders that have something waiting.

use std::collections::VecDeque;

/// Classes of priority.
pub const CLASSES: usize = 3;

/// So many waiting are much, beside one.
const MUCH: usize = 4;

/// Who waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Whose it is; those of one are served in the order they came.
    pub who: u32,
    /// 0 goes first; the last is [`CLASSES`] - 1, and what is beyond counts as that.
    pub class: u8,
}

impl Flow {
    fn class(self) -> usize {
        usize::from(self.class).min(CLASSES - 1)
    }
}

#[derive(Clone, Debug)]
struct Entry<T> {
    flow: Flow,
    /// That of the flow, but for one that goes before all others.
    class: usize,
    tag: u64,
    /// Whether many of its flow waited when it came.
    of_many: bool,
    value: T,
}

/// What one flow has waiting.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    flow: Flow,
    count: usize,
    /// The tag of its last.
    last: u64,
}

/// The line.
#[derive(Clone, Debug)]
pub struct Line<T> {
    /// By class and tag, those that came first before others.
    entries: VecDeque<Entry<T>>,
    /// Those who have something waiting.
    flows: Vec<Waiting>,
    /// The tag that was served last, by class.
    served: [u64; CLASSES],
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), flows: Vec::new(), served: [0; CLASSES] }
    }
}

impl<T> Line<T> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds one that takes `cost` of whatever is shared; 0 counts as 1.
    pub fn push(&mut self, flow: Flow, cost: u64, value: T) {
        let class = flow.class();
        let served = self.served.get(class).copied().unwrap_or_default();
        let known = self.flows.iter_mut().find(|known| known.flow == flow);
        let last = known.as_ref().map_or(0, |known| known.last);
        let tag = served.max(last).saturating_add(cost.max(1));
        let count = known.as_ref().map_or(1, |known| known.count + 1);
        match known {
            Some(known) => (known.count, known.last) = (count, tag),
            None => self.flows.push(Waiting { flow, count, last: tag }),
        }
        let of_many = count >= MUCH;
        let order = |entry: &Entry<T>| (entry.class, entry.tag);
        let after = self.entries.partition_point(|entry| order(entry) <= (class, tag));
        let mut at = after;
        if count == 1 {
            // Of those whose turn it is at once, it goes before the next of one that has many.
            let equal = self.entries.partition_point(|entry| order(entry) < (class, tag));
            let first = self.entries.range(equal..after).position(|entry| entry.of_many);
            at = first.map_or(after, |first| equal + first);
        }
        self.entries.insert(at, Entry { flow, class, tag, of_many, value });
    }

    /// Adds one whose turn has come before, in another line: it is next.
    pub fn push_front(&mut self, flow: Flow, value: T) {
        match self.flows.iter_mut().find(|known| known.flow == flow) {
            Some(known) => known.count += 1,
            None => self.flows.push(Waiting { flow, count: 1, last: 0 }),
        }
        self.entries.push_front(Entry { flow, class: 0, tag: 0, of_many: false, value });
    }

    /// Who is next.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.entries.front().map(|entry| &entry.value)
    }

    /// Whether who is next has nothing else waiting, and somebody else in its class has several times as much.
    #[must_use]
    pub fn is_front_light(&self) -> bool {
        self.entries.front().is_some_and(|front| self.is_light(front.flow))
    }

    /// Whether one with nothing else waiting of `flow` is beside another in its class that has several times as much.
    #[must_use]
    pub fn is_light(&self, flow: Flow) -> bool {
        let light = self.flows.iter().any(|known| known.flow == flow && known.count == 1);
        let class = flow.class();
        light && self.flows.iter().any(|known| known.count >= MUCH && known.flow.class() == class)
    }

    /// Whether all that wait have much waiting.
    #[must_use]
    pub fn is_all_heavy(&self) -> bool {
        self.flows.iter().all(|known| known.count >= MUCH)
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }

    /// Takes the next one out: it is served.
    pub fn pop_front(&mut self) -> Option<T> {
        self.take_out(0, true)
    }

    fn take_out(&mut self, at: usize, served: bool) -> Option<T> {
        let Entry { flow, tag, value, .. } = self.entries.remove(at)?;
        if let Some(known) = self.flows.iter().position(|known| known.flow == flow)
            && let Some(waiting) = self.flows.get_mut(known)
        {
            waiting.count -= 1;
            if waiting.count == 0 {
                self.flows.swap_remove(known);
            }
        }
        if served && let Some(last) = self.served.get_mut(flow.class()) {
            *last = tag.max(*last);
        }
        Some(value)
    }

    /// Takes out the one that `is` it; `served` where its turn had come, not where it gave up.
    pub fn remove(&mut self, is: impl Fn(&T) -> bool, served: bool) -> Option<T> {
        let at = self.entries.iter().position(|entry| is(&entry.value))?;
        self.take_out(at, served)
    }

    /// Takes out the one to be turned away where there is no room for another of `flow`: of the least urgent
    /// class, of who has most waiting in it, the one that would have been served last. `None` where that is the
    /// newcomer itself.
    pub fn make_room(&mut self, flow: Flow) -> Option<T> {
        let class = self.entries.back()?.class.max(flow.class());
        let of_class = self.flows.iter().filter(|known| known.flow.class() == class);
        let most = of_class.max_by_key(|known| known.count)?;
        let own = self.flows.iter().find(|known| known.flow == flow).map_or(0, |known| known.count);
        if class == flow.class() && most.count <= own + 1 {
            return None;
        }
        let worst = most.flow;
        let at = self.entries.iter().rposition(|entry| entry.flow == worst)?;
        self.take_out(at, false)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn flow(who: u32, class: u8) -> Flow {
        Flow { who, class }
    }

    fn drain(line: &mut Line<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| line.pop_front()).collect()
    }

    #[test]
    fn those_of_one_are_served_in_order() {
        let mut line = Line::default();
        for value in ["a", "b", "c"] {
            line.push(flow(1, 1), 1, value);
        }
        assert_eq!(line.front(), Some(&"a"));
        assert_eq!(drain(&mut line), ["a", "b", "c"]);
    }

    #[test]
    fn one_that_sends_little_hardly_waits_behind_one_that_sends_much() {
        let mut line = Line::default();
        for value in ["a1", "a2", "a3", "a4"] {
            line.push(flow(1, 1), 1, value);
        }
        line.pop_front();
        line.push(flow(2, 1), 1, "b1");
        line.push(flow(2, 1), 1, "b2");
        assert_eq!(drain(&mut line), ["a2", "b1", "a3", "b2", "a4"]);
    }

    #[test]
    fn who_was_served_much_owes_nothing_for_it_later() {
        let mut line = Line::default();
        for _ in 0..100 {
            line.push(flow(1, 1), 1, "a");
        }
        assert_eq!(drain(&mut line).len(), 100);
        line.push(flow(2, 1), 1, "b1");
        line.push(flow(2, 1), 1, "b2");
        line.push(flow(1, 1), 1, "a");
        assert_eq!(drain(&mut line), ["b1", "a", "b2"]);
    }

    #[test]
    fn who_comes_beside_one_that_has_many_is_next_at_once_but_not_each_time() {
        let mut line = Line::default();
        (0..10).for_each(|_| line.push(flow(1, 1), 1, "a"));
        let after: Vec<_> = (0..MUCH).filter_map(|_| line.pop_front()).collect();
        assert_eq!(after.len(), MUCH);
        line.push(flow(2, 1), 1, "b");
        line.push(flow(3, 1), 1, "c");
        assert!(line.is_front_light());
        assert_eq!([line.pop_front(), line.pop_front()], [Some("b"), Some("c")]);
        line.push(flow(2, 1), 1, "b");
        assert_eq!([line.pop_front(), line.pop_front()], [Some("a"), Some("b")]);
    }

    #[test]
    fn who_has_one_waiting_beside_many_is_known_once_it_is_next() {
        let mut line = Line::default();
        for _ in 0..MUCH {
            line.push(flow(1, 1), 1, "a");
        }
        line.pop_front();
        line.push(flow(1, 1), 1, "a");
        assert!(!line.is_front_light());
        line.push(flow(2, 1), 1, "b1");
        assert!(!line.is_front_light(), "one came as early");
        line.pop_front();
        line.push(flow(1, 1), 1, "a");
        assert!(line.is_front_light());
        line.push(flow(2, 1), 1, "b2");
        assert!(!line.is_front_light(), "it has two");
    }

    #[test]
    fn costs_count_and_not_only_turns() {
        let mut line = Line::default();
        for value in ["large1", "large2"] {
            line.push(flow(1, 1), 10, value);
        }
        for value in ["s1", "s2", "s3", "s4", "s5"] {
            line.push(flow(2, 1), 4, value);
        }
        assert_eq!(drain(&mut line), ["s1", "s2", "large1", "s3", "s4", "large2", "s5"]);
    }

    #[test]
    fn urgent_ones_go_first_whoever_sent_them() {
        let mut line = Line::default();
        line.push(flow(1, 2), 1, "low");
        line.push(flow(1, 1), 1, "normal");
        line.push(flow(1, 0), 1, "high");
        line.push(flow(2, 9), 1, "beyond");
        assert_eq!(drain(&mut line), ["high", "normal", "low", "beyond"]);
    }

    #[test]
    fn one_whose_turn_has_come_before_is_next() {
        let mut line = Line::default();
        line.push(flow(1, 0), 1, "a");
        line.push_front(flow(2, 2), "first");
        line.push(flow(2, 2), 1, "b");
        line.push(flow(2, 0), 1, "c");
        assert_eq!(drain(&mut line), ["first", "a", "c", "b"]);
        assert!(line.flows.is_empty());
    }

    #[test]
    fn room_is_made_by_who_has_most_waiting() {
        let mut line = Line::default();
        for value in ["a1", "a2", "a3"] {
            line.push(flow(1, 1), 1, value);
        }
        line.push(flow(2, 1), 1, "b1");
        assert_eq!(line.make_room(flow(1, 1)), None, "the newcomer has most");
        assert_eq!(line.make_room(flow(3, 1)), Some("a3"));
        assert_eq!(line.make_room(flow(3, 1)), Some("a2"));
        assert_eq!(line.make_room(flow(3, 1)), None, "all have one, and it would have one");
        assert_eq!(line.make_room(flow(3, 0)), Some("b1"), "but it is urgent");
        assert_eq!(line.make_room(flow(3, 2)), None, "or less urgent than any");
        assert_eq!(Line::<()>::default().make_room(flow(3, 0)), None);
    }

    #[test]
    fn who_gives_up_leaves_the_others_their_order() {
        let mut line = Line::default();
        for value in ["a", "b", "c"] {
            line.push(flow(1, 1), 1, value);
        }
        assert_eq!(line.remove(|value| *value == "b", false), Some("b"));
        assert_eq!(line.remove(|value| *value == "x", false), None);
        assert_eq!((line.len(), drain(&mut line)), (2, vec!["a", "c"]));
        assert!(line.is_empty());
    }

    /// Two that always have some waiting get equal shares, whatever one of them adds at a time.
    #[test]
    fn shares_are_equal_in_the_long_run() {
        let mut line = Line::default();
        let mut served = [0; 2];
        for round in 0..1000 {
            for _ in 0..(if round % 7 == 0 { 20 } else { 1 }) {
                line.push(flow(0, 1), 1, 0);
            }
            line.push(flow(1, 1), 1, 1);
            if round > 0 {
                served[line.pop_front().unwrap()] += 1;
                served[line.pop_front().unwrap()] += 1;
            }
        }
        assert!((990..=1010).contains(&served[1]), "{served:?}");
    }
}
