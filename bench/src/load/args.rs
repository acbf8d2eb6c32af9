//! The command line of `coo-bench load`.

use std::{fs, io, path::PathBuf, time::Duration};

use clap::Args;
use http::Method;

use super::{
    Pace, Plan,
    profile::{K6, Profile},
    target::{self, Url},
    units,
};
use crate::report;

/// How long to run where neither a duration nor a number of requests is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// Longest run of a given number of requests.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Connections of a closed loop where `--connections` does not say.
const DEFAULT_CLIENTS: usize = 64;

/// What load to make.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Where to send requests
    #[arg(long)]
    pub url: String,
    /// Method [default: POST with a body, GET without]
    #[arg(long)]
    pub method: Option<Method>,
    /// Header field to add; repeatable
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Body to send
    #[arg(long, group = "content")]
    pub body: Option<String>,
    /// File with the body to send
    #[arg(long, group = "content", value_name = "FILE")]
    pub body_file: Option<PathBuf>,
    /// Send chat completions with a prompt of this size: short (140), medium (2k), long (32k) or bytes
    #[arg(long, group = "content", value_name = "SIZE")]
    pub chat: Option<String>,
    /// Model that chat completions ask for
    #[arg(long, default_value = "openai:gpt-4o-mini")]
    pub model: String,
    /// Bearer key
    #[arg(long)]
    pub key: Option<String>,
    /// Connections: of a closed loop [default: 64], or the most an open loop may use [default: as many as
    /// requests under way]
    #[arg(long)]
    pub connections: Option<usize>,
    /// Open loop: requests under way or waiting at most; more are counted as missed
    #[arg(long, default_value_t = 10_000)]
    pub max_in_flight: usize,
    /// Open loop: requests a second, on a schedule fixed in advance
    #[arg(long)]
    pub rate: Option<f64>,
    /// How long to start requests, such as 30s or 2m
    #[arg(long, value_parser = units::duration)]
    pub duration: Option<Duration>,
    /// Closed loop: end after so many requests
    #[arg(long)]
    pub requests: Option<u64>,
    /// Ramps as DURATION:TARGET,...; targets are connections, or requests a second with --stage-rate
    #[arg(long, conflicts_with_all = ["rate", "duration", "profile"])]
    pub stages: Option<String>,
    /// A named ramp: k6 (2m:50,5m:50,2m:100,5m:100)
    #[arg(long, conflicts_with_all = ["rate", "duration"])]
    pub profile: Option<String>,
    /// Targets of the stages are requests a second (open loop)
    #[arg(long)]
    pub stage_rate: bool,
    /// Closed loop: pause of each connection between requests
    #[arg(long, value_parser = units::duration, default_value = "0s")]
    pub pause: Duration,
    /// Do not count requests of this time at the start
    #[arg(long, value_parser = units::duration, default_value = "0s")]
    pub warmup: Duration,
    /// Ask for event streams and measure their tokens
    #[arg(long)]
    pub stream: bool,
    /// Shards (threads) that make load
    #[arg(long, default_value_t = 1)]
    pub shards: usize,
    /// CPUs to pin the shards to, such as 1 or 2,3
    #[arg(long, value_delimiter = ',')]
    pub cpus: Vec<usize>,
    /// Longest wait for a connection, for the first byte and between bytes
    #[arg(long, value_parser = units::duration, default_value = "30s")]
    pub timeout: Duration,
    /// Use connections again (the default)
    #[arg(long, overrides_with = "no_keep_alive")]
    pub keep_alive: bool,
    /// Open a connection for each request
    #[arg(long)]
    pub no_keep_alive: bool,
    /// Write the outcome as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report with plots to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write what became of each request to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Exit with 1 where more requests fail or are missed
    #[arg(long)]
    pub max_errors: Option<u64>,
    /// Say nothing while running
    #[arg(long)]
    pub quiet: bool,
}

impl Settings {
    /// The plan, or what is wrong.
    ///
    /// # Errors
    /// The setting that cannot be followed.
    pub fn plan(&self) -> Result<Plan, String> {
        let url = Url::parse(&self.url)?;
        let body = self.content()?;
        let method = self.method.clone().unwrap_or(if body.is_empty() { Method::GET } else { Method::POST });
        let keep_alive = !self.no_keep_alive;
        let request = target::request(&method, &url, &self.fields(!body.is_empty())?, &body, keep_alive);
        let cpus = if self.cpus.is_empty() {
            vec![None; self.shards.max(1)]
        } else {
            let count = self.shards.max(self.cpus.len());
            self.cpus.iter().copied().cycle().map(Some).take(count).collect()
        };
        Ok(Plan {
            address: url.resolve()?,
            method,
            request,
            pace: self.pace()?,
            stream: self.stream,
            keep_alive,
            timeout: self.timeout,
            warmup: self.warmup,
            cpus,
            log: self.log.is_some(),
        })
    }

    fn content(&self) -> Result<Vec<u8>, String> {
        if let Some(body) = &self.body {
            return Ok(body.clone().into_bytes());
        }
        if let Some(path) = &self.body_file {
            return fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        }
        let Some(size) = &self.chat else { return Ok(Vec::new()) };
        let bytes = match size.as_str() {
            "short" => 140,
            "medium" => 2 * 1024,
            "long" => 32 * 1024,
            other => units::bytes(other)?,
        };
        Ok(target::chat(&self.model, bytes, self.stream).into_bytes())
    }

    fn fields(&self, has_body: bool) -> Result<Vec<(String, String)>, String> {
        let mut fields = Vec::new();
        for header in &self.headers {
            let (name, value) =
                header.split_once(':').ok_or_else(|| format!("{header} is not NAME: VALUE"))?;
            let (name, value) = (name.trim(), value.trim());
            http::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("{name} is not a header name"))?;
            http::HeaderValue::from_str(value)
                .map_err(|_| format!("the value of {name} has control characters"))?;
            if ["host", "content-length", "transfer-encoding", "connection"]
                .contains(&name.to_ascii_lowercase().as_str())
            {
                return Err(format!("{name} is set by the load generator"));
            }
            fields.push((name.to_owned(), value.to_owned()));
        }
        let given = |name: &str| fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut more = Vec::new();
        if has_body && !given("content-type") {
            more.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        if let Some(key) = &self.key {
            http::HeaderValue::from_str(key).map_err(|_| "the key has control characters")?;
            more.push(("authorization".to_owned(), format!("Bearer {key}")));
        }
        Ok([fields, more].concat())
    }

    fn pace(&self) -> Result<Pace, String> {
        let stages = match (&self.stages, self.profile.as_deref()) {
            (Some(stages), _) => Some(Profile::parse(stages)?),
            (None, Some("k6")) => Some(Profile::parse(K6)?),
            (None, Some(other)) => return Err(format!("no profile is named {other}; there is k6")),
            (None, None) => None,
        };
        let max_in_flight = self.max_in_flight.max(1);
        let connections = self.connections.unwrap_or(max_in_flight).max(1);
        let rate = match (self.rate, stages) {
            (Some(rate), _) if !(rate.is_finite() && rate > 0.0) => {
                return Err("--rate must be more than 0".into());
            }
            (Some(rate), _) => Profile::constant(rate, self.duration.unwrap_or(DEFAULT_DURATION)),
            (None, Some(stages)) if self.stage_rate => stages,
            (None, stages) => {
                let count = self.connections.unwrap_or(DEFAULT_CLIENTS).max(1);
                let length = self.duration.unwrap_or(match self.requests {
                    Some(_) => LONGEST,
                    None => DEFAULT_DURATION,
                });
                let clients = stages.unwrap_or_else(|| Profile::constant(count as f64, length));
                return Ok(Pace::Closed { clients, requests: self.requests, pause: self.pause });
            }
        };
        if self.requests.is_some() || !self.pause.is_zero() {
            return Err("--requests and --pause are for closed loops".into());
        }
        Ok(Pace::Open { rate, connections, max_in_flight })
    }
}

/// Makes the load, tells the outcome; whether it kept within `--max-errors`.
///
/// # Errors
/// A setting that cannot be followed, a shard that cannot run, a report that cannot be written.
pub fn run(settings: &Settings) -> io::Result<bool> {
    let plan = settings.plan().map_err(io::Error::other)?;
    let about = report::About::of(&plan, &settings.url);
    let quiet = settings.quiet;
    let outcome = super::run(plan, |second| {
        if !quiet {
            eprintln!("{}", report::text::progress(second));
        }
    })?;
    let summary = report::Summary::of(about, &outcome);
    print!("{}", report::text::summary(&summary));
    if let Some(path) = &settings.json {
        fs::write(path, serde_json::to_vec_pretty(&summary)?)?;
    }
    if let Some(path) = &settings.html {
        fs::write(path, report::html::page(&summary))?;
    }
    if let Some(path) = &settings.log {
        let lines: String = outcome.log.iter().map(|entry| entry.json() + "\n").collect();
        fs::write(path, lines)?;
    }
    let errors = outcome.stats.failed() + outcome.stats.missed;
    Ok(settings.max_errors.is_none_or(|most| errors <= most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn plan(args: &str) -> Result<Plan, String> {
        let args = ["load", "--url", "http://127.0.0.1:1/v1"].into_iter().chain(args.split_whitespace());
        Cli::try_parse_from(args).map_err(|error| error.to_string())?.settings.plan()
    }

    #[test]
    fn flags_become_a_plan() {
        let open = plan("--rate 100 --duration 2s --chat 300 --key sk --cpus 0,1 --shards 3").unwrap();
        assert!(
            matches!(&open.pace, Pace::Open { rate, connections: 10_000, .. } if rate.time_of(199).is_some())
        );
        assert_eq!((open.method.as_str(), open.cpus), ("POST", vec![Some(0), Some(1), Some(0)]));
        let text = String::from_utf8(open.request).unwrap();
        assert!(text.contains("authorization: Bearer sk\r\n") && text.contains("application/json"), "{text}");
        let closed = plan("--connections 5 --requests 10 --no-keep-alive").unwrap();
        assert!(matches!(closed.pace, Pace::Closed { requests: Some(10), .. }));
        assert_eq!((closed.method, closed.keep_alive), (Method::GET, false));
        assert!(
            matches!(plan("--profile k6").unwrap().pace, Pace::Closed { clients, .. } if clients.peak() == 100.0)
        );
        assert!(matches!(plan("--stages 1s:5 --stage-rate").unwrap().pace, Pace::Open { .. }));
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for wrong in [
            "--rate 0",
            "--rate 10 --stages 1s:1",
            "--rate 10 --requests 5",
            "--profile k7",
            "--header nonsense",
            "--header host:x",
            "--body x --chat 5",
            "--chat huge",
            "--body-file /does/not/exist",
        ] {
            assert!(plan(wrong).is_err(), "{wrong}");
        }
    }
}
