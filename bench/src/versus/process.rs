//! Child processes pinned to CPUs, and what the kernel says they used.

use std::{
    fs,
    fs::File,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take until it accepts connections.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a program may take to end after SIGTERM before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// Clock ticks per second in /proc/PID/stat. The kernel reports USER_HZ there, which is 100 on every Linux port.
const TICKS_PER_S: f64 = 100.0;

/// A directory that is removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> io::Result<Self> {
        for n in 0..1000 {
            let path = std::env::temp_dir().join(format!("coo-bench-{}-{n}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes `text` to the file `name` and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port of 127.0.0.1 that nothing listens on now.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The CPUs that this process may use, as `taskset -c` reads them.
pub(crate) fn allowed_cpus() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map_or_else(|| "0".to_owned(), |list| list.trim().to_owned())
}

/// A running child process, ended when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` on `cpus` (as `taskset -c` reads them). Its output goes to the file `log`. It is told to
    /// end when this process dies, however that happens.
    pub(crate) fn start(cpus: &str, program: &Path, args: &[String], log: PathBuf) -> io::Result<Self> {
        let out = File::create(&log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", cpus])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { child, log })
    }

    /// Waits until it accepts connections on `addr`.
    pub(crate) fn wait_for(&mut self, addr: SocketAddr) -> io::Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_TIMEOUT {
            if TcpStream::connect(addr).is_ok() {
                return Ok(());
            }
            self.still_runs()?;
            thread::sleep(Duration::from_millis(2));
        }
        Err(self.failure("does not accept connections"))
    }

    /// An error where it has ended.
    pub(crate) fn still_runs(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("ended with {status}"))),
        }
    }

    /// An error that shows the end of the program's output.
    pub(crate) fn failure(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n  ");
        io::Error::other(format!("the program {what}; its output ends in:\n  {last}"))
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage { pid: self.child.id() }
    }

    /// Sends it a signal by name, such as `KILL` or `STOP`.
    pub(crate) fn signal(&self, name: &str) -> io::Result<()> {
        // `kill` as a program: sending a signal is an unsafe call, and those live in the engine.
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(self.failure(&format!("cannot be sent SIG{name}"))) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // `kill` as a program: sending a signal is an unsafe call, and those live in the engine.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(&pid).status();
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used, by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) pid: u32,
}

impl Usage {
    /// CPU time of all its threads and of its running children (nginx's workers), user and system, in µs.
    pub(crate) fn cpu_us(self) -> io::Result<f64> {
        let ticks = |pid: &str| -> io::Result<u64> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            cpu_ticks(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
        };
        let pid = self.pid.to_string();
        let mut total = ticks(&pid)?;
        for child in fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split_whitespace() {
            total += ticks(child)?;
        }
        Ok(total as f64 * 1e6 / TICKS_PER_S)
    }

    /// Resident memory now, in KiB, counted page by page (VmRSS lags behind by a batch per CPU).
    pub(crate) fn rss_kib(self) -> io::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        field_kib(&rollup, "Rss:").ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Most resident memory it ever had, in KiB.
    pub(crate) fn peak_rss_kib(self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        field_kib(&status, "VmHWM:").ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// utime + stime of a line of /proc/PID/stat. The command name may hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn field_kib(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_sizes_are_read_from_proc() {
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 99";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("12 (x"), None);
        assert_eq!(field_kib("VmPeak: 9 kB\nVmHWM:\t   5148 kB\n", "VmHWM:"), Some(5148));
    }

    #[test]
    fn a_child_is_pinned_measured_and_stopped() {
        let dir = TempDir::new().unwrap();
        let log = dir.path("log");
        let process = Process::start("0", Path::new("sleep"), &["60".into()], log).unwrap();
        // The wrappers replace themselves: wait until the last has.
        let comm = format!("/proc/{}/comm", process.usage().pid);
        while fs::read_to_string(&comm).unwrap().trim() != "sleep" {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(process.usage().cpu_us().is_ok() && process.usage().rss_kib().unwrap() > 0);
        let usage = process.usage();
        drop(process);
        assert!(usage.cpu_us().is_err(), "it has ended");
        let path = dir.path("");
        drop(dir);
        assert!(!path.exists());
    }
}
