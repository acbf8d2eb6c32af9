//! The standard `process_*` metrics, from /proc (Prometheus client library guidelines, "Process metrics").

use std::{fmt::Write, fs};

/// Appends the `process_*` family; what cannot be read is left out.
pub fn write(out: &mut String) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted behind the command name, which may hold spaces: proc(5) field 3 comes first.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok());
    // Fixed by Linux's ABI on x86-64, and on 64-bit Arm as the distributions build it.
    const USER_HZ: f64 = 100.0;
    const PAGE_BYTES: f64 = 4096.0;
    let mut gauge = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
    };
    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) / USER_HZ);
    gauge("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu);
    let open = fs::read_dir("/proc/self/fd").ok().map(|list| list.count() as f64);
    gauge("process_open_fds", "gauge", "Number of open file descriptors.", open);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|text| text.parse().ok());
    gauge("process_max_fds", "gauge", "Maximum number of open file descriptors.", most);
    gauge("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", field(23));
    let resident = field(24).map(|pages| pages * PAGE_BYTES);
    gauge("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
    gauge("process_threads", "gauge", "Number of OS threads in the process.", field(20));
    let boot = fs::read_to_string("/proc/stat").ok().and_then(|stat| {
        stat.lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|text| text.trim().parse::<f64>().ok())
    });
    let start = boot.zip(field(22)).map(|(boot, ticks)| boot + ticks / USER_HZ);
    gauge(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        start,
    );
}
