//! The load generator aimed at a rival.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use http::Method;

use super::{Settings, request};
use crate::load::{
    Pace, Plan,
    target::{self, Url},
};

/// Longest wait for anything.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Chat completions sent to `port` by one shard for each of the load's CPUs.
pub(super) fn plan(settings: &Settings, port: u16, pace: Pace, stream: bool) -> io::Result<Plan> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let url = Url { authority: address.to_string(), path: "/v1/chat/completions".into() };
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("authorization".to_owned(), format!("Bearer {}", request::KEY)),
    ];
    let body = request::body(stream, settings.chunks);
    Ok(Plan {
        address,
        method: Method::POST,
        request: target::request(&Method::POST, &url, &headers, body.as_bytes(), true),
        pace,
        stream,
        keep_alive: true,
        timeout: TIMEOUT,
        warmup: Duration::ZERO,
        log: false,
        cpus: cpus(&settings.load_cpus)?.into_iter().map(Some).collect(),
    })
}

/// CPUs of a list such as `0,2-4`.
pub(crate) fn cpus(list: &str) -> io::Result<Vec<usize>> {
    let wrong = || io::Error::other(format!("{list} is not a list of CPUs such as 1 or 0,2-4"));
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) =
            (first.trim().parse().map_err(|_| wrong())?, last.trim().parse().map_err(|_| wrong())?);
        cpus.extend(first..=last);
    }
    if cpus.is_empty() { Err(wrong()) } else { Ok(cpus) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpus("0,2-4").unwrap(), [0, 2, 3, 4]);
        for wrong in ["", "a", "1-", "3-2"] {
            assert!(cpus(wrong).is_err(), "{wrong}");
        }
    }
}
