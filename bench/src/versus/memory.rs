//! Memory: what an idle connection costs, and whether it stays flat over many requests.

use std::{io, thread, time::Duration};

use super::{
    Settings, request,
    rivals::{Fleet, Rival, Upstream},
    table::{Cell, Table},
    wrk::Drive,
};

/// Time for a program to put away what a burst left behind.
const SETTLE: Duration = Duration::from_secs(1);
/// Samples of a soak, the one before it not counted.
const SAMPLES: u32 = 10;

/// Idle keep-alive connections: each has had one request answered.
pub(super) fn idle(settings: &Settings) -> io::Result<Table> {
    let fleet = Fleet::start(settings, Upstream::Mock)?;
    let title = format!("Memory of {} idle keep-alive connections", settings.idle);
    let columns = ["", "RSS before KiB", "RSS with KiB", "RSS after KiB", "KiB per connection"];
    let mut table = Table::new(title, &columns);
    for rival in fleet.rivals.iter().skip(1) {
        rival.check()?;
        warm_up(settings, &fleet, rival)?;
        thread::sleep(SETTLE);
        let before = rival.usage.rss_kib()?;
        let mut sockets = Vec::with_capacity(settings.idle);
        for _ in 0..settings.idle {
            let mut socket = request::connect(rival.port)?;
            let (status, _) = request::exchange(&mut socket)?;
            if status != 200 {
                return Err(io::Error::other(format!("{} answers {status}", rival.name)));
            }
            sockets.push(socket);
        }
        thread::sleep(SETTLE);
        let with = rival.usage.rss_kib()?;
        drop(sockets);
        thread::sleep(SETTLE);
        let after = rival.usage.rss_kib()?;
        let each = (with as f64 - before as f64) / settings.idle as f64;
        let sizes = [before, with, after].map(|kib| Cell::number(kib as f64, 0));
        table.row(&rival.name, sizes.into_iter().chain([Cell::number(each, 2)]));
    }
    table.note("Before: after a burst of requests. Each connection has had one request answered. RSS from smaps_rollup.");
    Ok(table)
}

/// RSS over many requests.
pub(super) fn soak(settings: &Settings) -> io::Result<Table> {
    let fleet = Fleet::start(settings, Upstream::Mock)?;
    let title = format!("RSS over {} million requests", settings.millions);
    let columns =
        ["", "requests", "warm KiB", "least KiB", "most KiB", "last KiB", "last/warm", "range", "errors"];
    let mut table = Table::new(title, &columns);
    for rival in fleet.rivals.iter().skip(1) {
        rival.check()?;
        warm_up(settings, &fleet, rival)?;
        let goal = (settings.millions * 1e6) as u64;
        let warm = rival.usage.rss_kib()?;
        let (mut requests, mut errors, mut sizes) = (0, 0, vec![warm]);
        while requests < goal {
            let run = drive(settings, &fleet, settings.seconds).run(rival.port)?;
            if run.requests == 0 {
                return Err(io::Error::other(format!("{} stopped answering", rival.name)));
            }
            requests += run.requests;
            errors += run.errors;
            if requests * u64::from(SAMPLES) >= goal * sizes.len() as u64 {
                sizes.push(rival.usage.rss_kib()?);
                eprintln!(
                    "{:10}  {requests:9} requests  {} KiB",
                    rival.name,
                    sizes.last().copied().unwrap_or(0)
                );
            }
        }
        let last = rival.usage.rss_kib()?;
        sizes.push(last);
        let least = sizes.iter().min().copied().unwrap_or(0);
        let most = sizes.iter().max().copied().unwrap_or(0);
        let percent = |kib: u64| format!("{:+.2} %", (kib as f64 / warm as f64 - 1.0) * 100.0);
        let numbers = [requests, warm, least, most, last].map(|n| Cell::number(n as f64, 0));
        let rest = [
            Cell::text(percent(last)),
            Cell::text(format!("{}..{}", percent(least), percent(most))),
            Cell::number(errors as f64, 0),
        ];
        table.row(&rival.name, numbers.into_iter().chain(rest));
    }
    table.note("Warm: after a burst of requests. RSS from smaps_rollup while no request is under way.");
    Ok(table)
}

fn drive<'a>(settings: &'a Settings, fleet: &'a Fleet, seconds: u64) -> Drive<'a> {
    let (connections, script) = (settings.connections, fleet.script.as_path());
    Drive { cpus: &settings.load_cpus, connections, seconds, script, watch: None }
}

/// A burst of requests, so that pools and free lists have their working size.
fn warm_up(settings: &Settings, fleet: &Fleet, rival: &Rival) -> io::Result<()> {
    drive(settings, fleet, 2).run(rival.port).map(|_| ())
}
