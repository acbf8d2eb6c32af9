//! What is tried: which providers and keys there are, how much is asked of them, what goes wrong.

use std::time::Duration;

/// How often the gateway is told to look after a provider that is out, and how long a key is to rest. Short, so
/// that a run shows several of them.
pub(super) const HEALTH: Duration = Duration::from_secs(1);
/// Requests a second where capacity does not say otherwise: enough for a 99th percentile of a few seconds, and
/// little for any machine.
const RATE: f64 = 400.0;
/// Time a provider takes for an answer, on average: what it is made of follows in [`LATENCY`].
const SERVICE: Duration = Duration::from_millis(20);
/// The same as the simulator reads it: nearly constant, so that what is added shows, and long enough that the
/// noise of a machine does not.
pub(super) const LATENCY: &str = "uniform:18ms..22ms";
/// Tokens of an answer and their pace in streams: 8 ms for all of them.
pub(super) const ANSWER_TOKENS: usize = 16;
pub(super) const TOKENS_PER_S: usize = 2000;
/// On and off of a provider that flaps: shorter than the health interval, so that a look may find either.
const FLAP: &str = "300ms";
/// Which of several providers, or of the keys of one, is at fault: not the first, which might be preferred.
pub(super) const AT_FAULT: usize = 1;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// All requests to one provider are answered 500.
    Fails,
    /// One provider's process stands still; its connections stay open, and new ones are accepted by the kernel.
    Stalls,
    /// All requests to one provider are answered 429 with `retry-after`.
    Limits,
    /// One provider's process is killed and is back later.
    Dies,
    /// Half of the addresses of one provider drop what is sent to them.
    BlackHoles,
    /// One provider fails and works in turn.
    Flaps,
    /// One provider answers bytes that are not HTTP.
    Corrupts,
    /// All providers fail.
    Outage,
    /// One key of a provider is refused from then on.
    KeyRevoked,
    /// One key of a provider is 10 × as slow from then on.
    KeySlow,
    /// More is asked of a provider than it can serve. Whether the gateway is told how much that is.
    Overload { told: bool },
    /// One client asks for 100 × as much as another, and more than there is.
    Unfair,
}

impl Trouble {
    /// The order that makes a provider's simulator misbehave, and the one that ends it; `None` where what
    /// happens is not an order.
    pub(super) fn orders(self, key: &str) -> Option<(String, String)> {
        let of = |fault: &str| {
            (
                format!("{{\"fault\":\"{fault}\"}}"),
                "{\"fault\":null,\"flap\":null,\"retry_after\":null}".to_owned(),
            )
        };
        match self {
            Trouble::Fails | Trouble::Outage => Some(of("error-500")),
            Trouble::Corrupts => Some(of("garbage")),
            Trouble::Limits => {
                let after = HEALTH.as_secs();
                Some((format!("{{\"fault\":\"error-429\",\"retry_after\":\"{after}s\"}}"), of("").1))
            }
            Trouble::Flaps => Some((format!("{{\"fault\":\"error-500\",\"flap\":\"{FLAP}\"}}"), of("").1)),
            Trouble::KeyRevoked => Some((format!("{{\"revoked\":[\"{key}\"]}}"), "{\"revoked\":[]}".into())),
            Trouble::KeySlow => {
                Some((format!("{{\"slow_keys\":{{\"{key}\":10}}}}"), "{\"slow_keys\":{}}".into()))
            }
            Trouble::Stalls
            | Trouble::Dies
            | Trouble::BlackHoles
            | Trouble::Overload { .. }
            | Trouble::Unfair => None,
        }
    }

    /// Whether it ends before the run does.
    pub(super) fn ends(self) -> bool {
        !matches!(self, Trouble::KeyRevoked | Trouble::KeySlow)
    }
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What it is, in a line.
    pub(super) about: &'static str,
    pub(super) trouble: Trouble,
    /// Providers that the model asked for stands for.
    pub(super) providers: usize,
    /// Keys of each.
    pub(super) keys: usize,
    /// Addresses of the one that may be at fault, each a process of its own.
    pub(super) addresses: usize,
    /// Requests that a provider serves at a time; the others wait.
    pub(super) capacity: Option<usize>,
}

impl Scenario {
    /// Requests a second that its providers can serve at most, where that is bounded.
    pub(super) fn most_rate(&self) -> Option<f64> {
        self.capacity.map(|seats| (seats * self.providers) as f64 / SERVICE.as_secs_f64())
    }

    /// Requests a second that are asked for where all is well.
    pub(super) fn rate(&self) -> f64 {
        self.most_rate().unwrap_or(RATE)
    }

    /// How many the gateway is told that a key allows at a time.
    pub(super) fn told(&self) -> Option<usize> {
        match self.trouble {
            // What waits then waits in the gateway, which alone knows whose turn it is.
            Trouble::Overload { told: true } | Trouble::Unfair => self.capacity,
            _ => None,
        }
    }
}

/// All scenarios.
pub(super) fn all() -> Vec<Scenario> {
    let three = |name, about, trouble| Scenario {
        name,
        about,
        trouble,
        providers: 3,
        keys: 1,
        addresses: 1,
        capacity: None,
    };
    let keys = |name, about, trouble| Scenario { providers: 1, keys: 3, ..three(name, about, trouble) };
    let bounded = |name, about, trouble, seats| Scenario {
        providers: 1,
        capacity: Some(seats),
        ..three(name, about, trouble)
    };
    vec![
        three("one-of-three-fails", "one of three providers answers 500", Trouble::Fails),
        three("one-of-three-stalls", "one of three providers stands still (SIGSTOP)", Trouble::Stalls),
        three("one-of-three-limits", "one of three providers answers 429 with retry-after", Trouble::Limits),
        three("one-of-three-dies", "one of three providers is killed and started again", Trouble::Dies),
        three("one-of-three-flaps", "one of three providers fails and works in turn", Trouble::Flaps),
        three("one-of-three-corrupts", "one of three providers answers what is not HTTP", Trouble::Corrupts),
        Scenario {
            addresses: 4,
            ..three(
                "addresses-black-holed",
                "two of the four addresses of one of three providers drop what comes",
                Trouble::BlackHoles,
            )
        },
        three("outage", "all three providers answer 500", Trouble::Outage),
        keys("key-revoked", "one of three keys of a provider is answered 401", Trouble::KeyRevoked),
        keys("bimodal", "one of three keys is 10 x slower, with performance_optimized", Trouble::KeySlow),
        bounded(
            "overload",
            "3 x what a provider can serve, which the gateway must find out",
            Trouble::Overload { told: false },
            8,
        ),
        bounded(
            "overload-told",
            "the same, where max_concurrent says how much it can serve",
            Trouble::Overload { told: true },
            8,
        ),
        bounded("unfair", "one client asks for 100 x as much as another", Trouble::Unfair, 20),
    ]
}

/// When what happens in a run with a fault, counted from the start of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    /// When the fault begins.
    pub(super) fault: Duration,
    /// When it ends.
    pub(super) mended: Duration,
    /// When the load ends.
    pub(super) length: Duration,
}

impl Timeline {
    /// Phases of `phase` each: all well, the fault, and all well again where the fault ends.
    pub(super) fn new(phase: Duration, trouble: Trouble) -> Self {
        let phases = if trouble.ends() { 3 } else { 2 };
        Self { fault: phase, mended: phase * 2, length: phase * phases }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_names_of_their_own_and_one_at_fault() {
        let all = all();
        for (n, scenario) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|other| other.name != scenario.name), "{}", scenario.name);
            let choices = scenario.providers.max(scenario.keys);
            assert!(choices > AT_FAULT || scenario.capacity.is_some(), "{}", scenario.name);
        }
    }

    #[test]
    fn orders_are_json() {
        for scenario in all() {
            for order in scenario.trouble.orders("sk-one-b").map(<[String; 2]>::from).into_iter().flatten() {
                assert!(serde_json::from_str::<serde_json::Value>(&order).is_ok(), "{order}");
            }
        }
    }

    #[test]
    fn a_fault_that_stays_has_no_phase_after_it() {
        let phase = Duration::from_secs(10);
        let line = Timeline::new(phase, Trouble::Fails);
        assert_eq!((line.fault, line.mended, line.length), (phase, phase * 2, phase * 3));
        let line = Timeline::new(phase, Trouble::KeySlow);
        assert_eq!((line.mended, line.length), (phase * 2, phase * 2));
    }
}
