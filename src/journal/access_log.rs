//! Writes the access log's buffers to standard output or to a file that rotates by size.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Acquire, Ordering::Release},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use crate::{
    config::{AccessLog, LogTarget, Rotation},
    gateway::access_log::Queue,
};

/// Longest sleep between looks at the queue; shards wake the writer earlier.
const NAP: Duration = Duration::from_millis(500);

enum Sink {
    Stdout(io::Stdout),
    File { path: PathBuf, file: File, bytes: u64, rotation: Rotation },
}

/// The running writer.
pub struct Writer {
    queue: Arc<Queue>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Opens the log and starts its writer; `None` where the log is off.
///
/// # Errors
/// The error of creating or opening the file, naming it.
pub fn start(config: &AccessLog) -> io::Result<Option<Writer>> {
    if !config.enabled {
        return Ok(None);
    }
    let sink = match &config.target {
        LogTarget::Stdout => Sink::Stdout(io::stdout()),
        LogTarget::File(path) => open(path, config.rotation).map_err(|error| {
            io::Error::new(error.kind(), format!("access log {}: {error}", path.display()))
        })?,
    };
    let queue = Queue::new();
    let stop = Arc::new(AtomicBool::new(false));
    let (from, until) = (Arc::clone(&queue), Arc::clone(&stop));
    let thread =
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write(sink, &from, &until))?;
    Ok(Some(Writer { queue, stop, thread }))
}

impl Writer {
    /// What a shard's log needs to reach the writer.
    #[must_use]
    pub fn target(&self) -> (Arc<Queue>, Thread) {
        (Arc::clone(&self.queue), self.thread.thread().clone())
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Writes what is queued and ends the writer. Call when the shards have ended.
    pub fn finish(self) {
        self.stop.store(true, Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

fn write(mut sink: Sink, queue: &Queue, stop: &AtomicBool) {
    let mut complained = false;
    loop {
        let ending = stop.load(Acquire);
        while let Some(buffer) = queue.take() {
            if let Err(error) = sink.write(&buffer)
                && !complained
            {
                complained = true;
                eprintln!("access log: {error}; lines are lost until this is mended");
            }
            queue.recycle(buffer);
        }
        if ending {
            return;
        }
        thread::park_timeout(NAP);
    }
}

fn open(path: &Path, rotation: Rotation) -> io::Result<Sink> {
    if let Some(folder) = path.parent()
        && !folder.as_os_str().is_empty()
    {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok(Sink::File { path: path.to_owned(), file, bytes, rotation })
}

impl Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout(out) => {
                let mut out = out.lock();
                out.write_all(buffer)?;
                out.flush()
            }
            Sink::File { path, file, bytes, rotation } => {
                if *bytes > 0 && *bytes + buffer.len() as u64 > rotation.max_bytes {
                    rotate(path, rotation.max_backups)?;
                    *file = OpenOptions::new().create(true).append(true).open(&*path)?;
                    *bytes = 0;
                }
                *bytes += buffer.len() as u64;
                file.write_all(buffer)
            }
        }
    }
}

/// `log` becomes `log.1`, `log.1` becomes `log.2`, …; the oldest beyond `backups` is removed.
fn rotate(path: &Path, backups: usize) -> io::Result<()> {
    let numbered = |n: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    };
    if backups == 0 {
        return fs::remove_file(path);
    }
    for n in (1..backups).rev() {
        if numbered(n).exists() {
            fs::rename(numbered(n), numbered(n + 1))?;
        }
    }
    fs::rename(path, numbered(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_rotates_and_the_oldest_goes() {
        let folder = std::env::temp_dir().join(format!("coo-log-{}", std::process::id()));
        let path = folder.join("logs/access.log");
        let mut sink = open(&path, Rotation { max_bytes: 10, max_backups: 2 }).unwrap();
        for line in ["first---\n", "second--\n", "third---\n", "fourth--\n"] {
            sink.write(line.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.join("logs").join(name)).unwrap();
        assert_eq!(read("access.log"), "fourth--\n");
        assert_eq!(read("access.log.1"), "third---\n");
        assert_eq!(read("access.log.2"), "second--\n");
        assert_eq!(fs::read_dir(folder.join("logs")).unwrap().count(), 3);
        fs::remove_dir_all(folder).unwrap();
    }
}
