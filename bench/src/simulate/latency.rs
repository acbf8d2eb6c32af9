//! How long the simulator waits: distributions with a text form for settings.

use std::{fmt, str::FromStr, time::Duration};

use super::rng::Rng;

/// The longest wait a distribution can draw, however long its tail.
const MAX: Duration = Duration::from_secs(600);

/// A distribution of waiting times.
///
/// As text: `0`, `5ms`, `uniform:5ms..20ms`, `lognormal:50ms,0.5` (median, sigma) or
/// `bimodal:10ms,100ms,0.9` (fast, slow, share of the fast). Waits are exact to about a millisecond, the
/// granularity of the executor's timer wheel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Latency {
    /// No wait, and no timer armed.
    #[default]
    None,
    /// Always the same.
    Fixed(Duration),
    /// Evenly between two bounds.
    Uniform(Duration, Duration),
    /// Log-normal: what services with a long tail look like.
    LogNormal {
        /// Half of the waits are shorter.
        median: Duration,
        /// Standard deviation of the logarithm; 0.5 puts the 99th percentile at 3.2 × the median.
        sigma: f64,
    },
    /// One of two values: a warm and a cold path.
    Bimodal {
        /// The short wait.
        fast: Duration,
        /// The long wait.
        slow: Duration,
        /// Probability of the short wait, 0 to 1.
        fast_share: f64,
    },
}

impl Latency {
    /// Draws one wait.
    pub(crate) fn sample(self, rng: &Rng) -> Duration {
        match self {
            Latency::None => Duration::ZERO,
            Latency::Fixed(wait) => wait,
            Latency::Uniform(low, high) => low + high.saturating_sub(low).mul_f64(rng.unit()),
            Latency::LogNormal { median, sigma } => {
                let factor = (sigma * rng.normal()).exp();
                Duration::try_from_secs_f64(median.as_secs_f64() * factor).unwrap_or(MAX).min(MAX)
            }
            Latency::Bimodal { fast, slow, fast_share } => {
                if rng.chance(fast_share) {
                    fast
                } else {
                    slow
                }
            }
        }
    }
}

/// Reads `0`, `250us`, `5ms`, `1.5s`, `2m` or `1h`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("{text:?} is not a duration: write for instance 250us, 5ms, 1.5s or 2m");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let scale = match unit.trim() {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" if number == 0.0 => 1.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * scale).map_err(|_| wrong())
}

fn parse_number(text: &str, what: &str, max: f64) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if (0.0..=max).contains(&number) => Ok(number),
        _ => Err(format!("{text:?} is not a {what} between 0 and {max}")),
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((kind, rest)) = text.split_once(':') else {
            return Ok(match parse_duration(if text == "none" { "0" } else { text })? {
                Duration::ZERO => Latency::None,
                wait => Latency::Fixed(wait),
            });
        };
        let parts: Vec<&str> = rest.split(',').collect();
        match (kind.trim(), parts.as_slice()) {
            ("fixed", [wait]) => Ok(Latency::Fixed(parse_duration(wait)?)),
            ("uniform", [range]) => {
                let (low, high) = range
                    .split_once("..")
                    .ok_or_else(|| format!("{range:?} is not a range: write for instance 5ms..20ms"))?;
                let (low, high) = (parse_duration(low)?, parse_duration(high)?);
                if low > high {
                    return Err(format!("{range:?} ends before it starts"));
                }
                Ok(Latency::Uniform(low, high))
            }
            ("lognormal", [median, sigma]) => Ok(Latency::LogNormal {
                median: parse_duration(median)?,
                sigma: parse_number(sigma, "sigma", 10.0)?,
            }),
            ("bimodal", [fast, slow, share]) => Ok(Latency::Bimodal {
                fast: parse_duration(fast)?,
                slow: parse_duration(slow)?,
                fast_share: parse_number(share, "share", 1.0)?,
            }),
            _ => Err(format!(
                "{text:?} is not a latency: write 5ms, uniform:5ms..20ms, lognormal:50ms,0.5 or \
                 bimodal:10ms,100ms,0.9"
            )),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Latency::None => f.write_str("0"),
            Latency::Fixed(wait) => write!(f, "{}", Short(wait)),
            Latency::Uniform(low, high) => write!(f, "uniform:{}..{}", Short(low), Short(high)),
            Latency::LogNormal { median, sigma } => write!(f, "lognormal:{},{sigma}", Short(median)),
            Latency::Bimodal { fast, slow, fast_share } => {
                write!(f, "bimodal:{},{},{fast_share}", Short(fast), Short(slow))
            }
        }
    }
}

/// A duration in the largest of `s`, `ms` and `us` that shows it as a whole number.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_micros();
        match us {
            _ if us.is_multiple_of(1_000_000) => write!(f, "{}s", us / 1_000_000),
            _ if us.is_multiple_of(1000) => write!(f, "{}ms", us / 1000),
            _ => write!(f, "{us}us"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_are_read_and_written_back() {
        for (text, shown) in [
            ("0", "0"),
            ("none", "0"),
            ("5ms", "5ms"),
            ("fixed:1.5s", "1500ms"),
            ("250us", "250us"),
            ("uniform:5ms..20ms", "uniform:5ms..20ms"),
            ("uniform: 0 .. 2s", "uniform:0s..2s"),
            ("lognormal:50ms,0.5", "lognormal:50ms,0.5"),
            ("bimodal:10ms,100ms,0.9", "bimodal:10ms,100ms,0.9"),
        ] {
            let latency: Latency = text.parse().unwrap();
            assert_eq!(latency.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<Latency>().unwrap(), latency, "{text}");
        }
        for text in [
            "",
            "5",
            "ms",
            "-1ms",
            "uniform:20ms..5ms",
            "uniform:5ms",
            "lognormal:5ms",
            "bimodal:1ms,2ms,3",
            "x:1",
        ] {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
    }

    #[test]
    fn samples_follow_their_distribution() {
        let rng = Rng::new(1);
        let draw = |text: &str| -> Vec<Duration> {
            let latency: Latency = text.parse().unwrap();
            let mut all: Vec<_> = (0..4001).map(|_| latency.sample(&rng)).collect();
            all.sort();
            all
        };
        let ms = Duration::from_millis;
        let uniform = draw("uniform:5ms..20ms");
        assert!(uniform[0] >= ms(5) && uniform[4000] <= ms(20) && uniform[2000] > ms(11));
        let log = draw("lognormal:50ms,0.5");
        assert!(log[2000] > ms(45) && log[2000] < ms(55), "{:?}", log[2000]);
        assert!(log[3960] > ms(120) && log[3960] < ms(220), "{:?}", log[3960]);
        let fast = draw("bimodal:10ms,100ms,0.9").iter().filter(|&&wait| wait == ms(10)).count();
        assert!((3400..3800).contains(&fast), "{fast}");
    }
}
