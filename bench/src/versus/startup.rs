//! Time from starting the gateway until it says that it is ready.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use super::{
    Settings, request,
    rivals::Fleet,
    table::{Cell, Table, median},
};

/// Starts to take the median of.
const STARTS: usize = 10;
/// Pause between questions.
const PAUSE: Duration = Duration::from_micros(200);
/// Longest wait.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the measurement.
pub(super) fn run(settings: &Settings) -> io::Result<Table> {
    let fleet = Fleet::upstream_only(settings)?;
    let mut table = Table::new(
        format!("Time until /readyz answers 200, {STARTS} starts"),
        &["", "median ms", "least ms", "most ms"],
    );
    for (n, program) in settings.gateways()?.iter().enumerate() {
        let mut times = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let (port, args) = fleet.gateway_args("gateway", 1, fleet.upstream_port())?;
            let start = Instant::now();
            let process = fleet.launch("gateway", &settings.proxy_cpus, program, &args)?;
            while !matches!(request::get(port, "/readyz"), Ok((200, _))) {
                if start.elapsed() > TIMEOUT {
                    return Err(process.failure("does not become ready"));
                }
                thread::sleep(PAUSE);
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        let most = times.iter().copied().fold(0.0, f64::max);
        let name = if n == 0 { "gateway".into() } else { format!("gateway-{}", n + 1) };
        table.row(&name, [median(&times), least, most].map(|ms| Cell::number(ms, 1)));
    }
    table.note("From before fork, through the programs that pin it, to the answer's last byte.");
    Ok(table)
}
