//! Running wrk and reading what it prints.

use std::{io, path::Path, process::Command};

/// What wrk measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) requests: u64,
    pub(super) requests_per_s: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Responses other than 2xx and 3xx, and socket errors.
    pub(super) errors: u64,
    /// Instructions that the watched process executed meanwhile, where they were counted.
    pub(super) instructions: Option<u64>,
}

/// How to drive: from where, how hard, how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drive<'a> {
    pub(super) cpus: &'a str,
    pub(super) connections: usize,
    pub(super) seconds: u64,
    pub(super) script: &'a Path,
    /// Count the instructions of this process.
    pub(super) watch: Option<u32>,
}

impl Drive<'_> {
    /// Sends chat completions to `port` of 127.0.0.1.
    pub(super) fn run(self, port: u16) -> io::Result<Run> {
        let mut command = Command::new("taskset");
        command.args(["-c", self.cpus]);
        let counts = self.script.with_extension("instructions");
        if let Some(pid) = self.watch {
            command.args(["perf", "stat", "-x,", "-e", "instructions", "-p", &pid.to_string(), "-o"]);
            command.arg(&counts).arg("--");
        }
        command.args(["wrk", "-t1", "--latency"]);
        command.args([format!("-c{}", self.connections), format!("-d{}s", self.seconds)]);
        command.arg("-s").arg(self.script).arg(format!("http://127.0.0.1:{port}/v1/chat/completions"));
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut run = parse(&text).ok_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            io::Error::other(format!("cannot read what wrk printed: {text}{errors}"))
        })?;
        if self.watch.is_some() {
            run.instructions = instructions(&std::fs::read_to_string(&counts).unwrap_or_default());
        }
        Ok(run)
    }
}

/// Whether instructions can be counted on this machine; virtual machines often have no counters.
pub(super) fn counts_instructions() -> bool {
    let probe = Command::new("perf").args(["stat", "-x,", "-e", "instructions", "true"]).output();
    probe.is_ok_and(|output| instructions(&String::from_utf8_lossy(&output.stderr)).is_some())
}

/// The count in the output of `perf stat -x,`.
fn instructions(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains(",instructions"))?.split(',').next()?.parse().ok()
}

fn parse(text: &str) -> Option<Run> {
    let mut run = Run::default();
    let mut complete = false;
    for line in text.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        let first = words.next();
        if line.contains(" requests in ") {
            run.requests = first?.parse().ok()?;
        } else if let Some(rate) = line.strip_prefix("Requests/sec:") {
            run.requests_per_s = rate.trim().parse().ok()?;
            complete = true;
        } else if first == Some("50%") {
            run.p50_us = time_us(words.next()?)?;
        } else if first == Some("99%") {
            run.p99_us = time_us(words.next()?)?;
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            run.errors += count.trim().parse::<u64>().ok()?;
        } else if let Some(counts) = line.strip_prefix("Socket errors:") {
            run.errors += counts
                .split(',')
                .filter_map(|part| part.split_whitespace().nth(1)?.parse::<u64>().ok())
                .sum::<u64>();
        }
    }
    complete.then_some(run)
}

/// µs of `12.30us`, `1.25ms`, `2.00s`, `1.00m`.
fn time_us(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_wrk_is_read() {
        let text = "Running 5s test @ http://127.0.0.1:19002/v1/chat/completions
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.24ms  302.70us  10.40ms   90.82%
    Req/Sec    51.66k     3.55k   57.68k    74.00%
  Latency Distribution
     50%    1.15ms
     75%    1.30ms
     90%  980.00us
     99%    2.34ms
  257035 requests in 5.00s, 190.49MB read
  Socket errors: connect 1, read 20, write 0, timeout 3
  Non-2xx or 3xx responses: 7
Requests/sec:  51402.54
Transfer/sec:     38.09MB
";
        let run = parse(text).unwrap();
        assert_eq!((run.requests, run.errors), (257_035, 31));
        assert_eq!((run.requests_per_s, run.p50_us, run.p99_us), (51_402.54, 1150.0, 2340.0));
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
    }

    #[test]
    fn times_have_units() {
        let cases = [("12.30us", Some(12.3)), ("2.00s", Some(2e6)), ("1.00m", Some(60e6)), ("3", None)];
        for (text, us) in cases {
            assert_eq!(time_us(text), us, "{text}");
        }
    }

    #[test]
    fn counts_of_perf_are_read_where_there_are_any() {
        assert_eq!(instructions("# started\n\n123456,,instructions,999,100.00,,\n"), Some(123_456));
        assert_eq!(instructions("<not supported>,,instructions,0,100.00,,\n"), None);
    }
}
