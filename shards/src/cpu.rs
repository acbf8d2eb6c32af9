//! Which CPUs this process may use, and pinning a thread to one of them.
//!
//! The count respects both the affinity mask (`taskset`, `CPUAffinity=`, cpusets) and the cgroup quota
//! (`CPUQuota=`): running more shards than the quota allows would only make them take turns.

use std::{fs, io, mem, path::Path};

/// CPUs in this thread's affinity mask, ascending.
///
/// # Errors
/// The error of `sched_getaffinity(2)`.
pub fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero `cpu_set_t` is a valid (empty) set, and the kernel writes at most its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        set
    };
    let most = 8 * mem::size_of::<libc::cpu_set_t>();
    // SAFETY: `cpu` stays below the number of bits in the set.
    Ok((0..most).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// Whole CPUs granted by the cgroup quota of this process, rounded up; `None` where there is no quota.
///
/// Reads cgroup v2 `cpu.max` up the tree of `/proc/self/cgroup`, or cgroup v1 `cpu.cfs_quota_us`.
#[must_use]
pub fn quota() -> Option<usize> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    quota_under(Path::new("/sys/fs/cgroup"), &own)
}

fn quota_under(root: &Path, own: &str) -> Option<usize> {
    let mut least: Option<usize> = None;
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let v1 = controllers.split(',').any(|name| name == "cpu");
        if !controllers.is_empty() && !v1 {
            continue;
        }
        let base = if v1 { root.join("cpu") } else { root.to_path_buf() };
        // The quota of any ancestor binds too, so walk up to the root of the hierarchy.
        let mut group = Some(Path::new(path.trim_start_matches('/')));
        while let Some(at) = group {
            let dir = base.join(at);
            let found = if v1 {
                let text = |file: &str| fs::read_to_string(dir.join(file)).ok();
                text("cpu.cfs_quota_us")
                    .zip(text("cpu.cfs_period_us"))
                    .and_then(|(quota, period)| whole_cpus(&format!("{} {}", quota.trim(), period.trim())))
            } else {
                fs::read_to_string(dir.join("cpu.max")).ok().and_then(|text| whole_cpus(&text))
            };
            least = match (least, found) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            group = at.parent();
        }
    }
    least
}

/// Parses `"<quota> <period>"` as in `cpu.max`; `max` and negative quotas mean none.
fn whole_cpus(text: &str) -> Option<usize> {
    let mut parts = text.split_whitespace();
    let quota: f64 = parts.next()?.parse().ok()?;
    let period: f64 = parts.next()?.parse().ok()?;
    (quota > 0.0 && period > 0.0).then(|| (quota / period).ceil().max(1.0) as usize)
}

/// The CPUs to run shards on: the affinity mask, cut to the cgroup quota.
///
/// # Errors
/// As [`allowed`].
pub fn usable() -> io::Result<Vec<usize>> {
    let mut cpus = allowed()?;
    if let Some(quota) = quota() {
        cpus.truncate(quota.max(1));
    }
    Ok(cpus)
}

/// Pins the calling thread to `cpu`.
///
/// # Errors
/// The error of `sched_setaffinity(2)`, for instance where `cpu` is outside the allowed set.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= 8 * mem::size_of::<libc::cpu_set_t>() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: an all-zero set is valid, `cpu` was checked against its size, and the call only reads it.
    let rc = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, mem::size_of::<libc::cpu_set_t>(), &set)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_text_is_read_as_whole_cpus() {
        for (text, cpus) in [
            ("max 100000", None),
            ("-1 100000", None),
            ("100000 100000", Some(1)),
            ("150000 100000", Some(2)),
            ("20000 100000", Some(1)),
            ("nonsense", None),
        ] {
            assert_eq!(whole_cpus(text), cpus, "{text}");
        }
    }

    #[test]
    fn the_tightest_quota_up_the_tree_wins() {
        let root = std::env::temp_dir().join(format!("coo-cpu-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/cpu.max"), "100000 100000\n").unwrap();
        fs::write(root.join("a/b/cpu.max"), "400000 100000\n").unwrap();
        assert_eq!(quota_under(&root, "0::/a/b\n"), Some(1));
        assert_eq!(quota_under(&root, "0::/none\n"), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_thread_can_pin_itself_to_an_allowed_cpu_and_not_elsewhere() {
        std::thread::spawn(|| {
            let first = allowed().unwrap()[0];
            pin(first).unwrap();
            assert_eq!(allowed().unwrap(), [first]);
            assert!(pin(1_000_000).is_err());
        })
        .join()
        .unwrap();
    }
}
