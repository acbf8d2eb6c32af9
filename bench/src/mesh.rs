//! What a message between two shards costs: through the mesh, and beside it through a mailbox (`inbox`).
//!
//! Two pinned shards sleep in their rings. One sends a burst, the other answers it with one message once all of
//! it has come, and so on: a burst of one is a round trip. In the flood, one sends as fast as the other takes.

use std::{
    cell::Cell,
    future::Future,
    hint, io,
    rc::Rc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clap::Args;
use coo_shards::{
    executor::{self, Driver},
    inbox::{Flag, Inbox, Outbox, inbox},
    mesh::{Port, mesh},
};

use crate::versus::{
    driver,
    host::Host,
    table::{Cell as Shown, Table, median},
};

/// Messages that each queue holds; a burst is never larger.
const CAPACITY: usize = 1024;
/// Messages of a burst: one (a round trip), a few, many.
const BURSTS: [u64; 3] = [1, 16, 256];

/// As large as a settled request's amounts; the first word counts.
type Message = [u64; 4];
/// Ends the answering shard.
const STOP: Message = [u64::MAX; 4];

/// How long to measure, and where.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Rounds; figures are medians
    #[arg(long, default_value_t = 7)]
    pub rounds: usize,
    /// Answered bursts in a round, of each size
    #[arg(long, default_value_t = 20_000)]
    pub bursts: u64,
    /// Messages of a round's flood
    #[arg(long, default_value_t = 2_000_000)]
    pub messages: u64,
    /// CPUs of the two shards
    #[arg(long, default_value = "0,1")]
    pub cpus: String,
    /// Print Markdown instead of aligned text
    #[arg(long)]
    pub markdown: bool,
}

/// One of the two ends of a way to send messages.
trait End: Sized + Send + 'static {
    fn post(&self, message: Message) -> Result<(), Message>;
    fn listen(self: Rc<Self>, handle: impl Fn(Message)) -> impl Future<Output = io::Result<()>>;
}

impl End for Port<Message> {
    fn post(&self, message: Message) -> Result<(), Message> {
        self.send(1 - self.index(), message)
    }

    async fn listen(self: Rc<Self>, handle: impl Fn(Message)) -> io::Result<()> {
        self.run(|_, message| handle(message)).await
    }
}

struct ByInbox(Outbox<Message>, Cell<Option<Inbox<Message>>>);

impl End for ByInbox {
    fn post(&self, message: Message) -> Result<(), Message> {
        self.0.send(message)
    }

    async fn listen(self: Rc<Self>, handle: impl Fn(Message)) -> io::Result<()> {
        self.1.take().ok_or(io::ErrorKind::NotFound)?.run(handle).await
    }
}

fn by_mesh() -> io::Result<(Port<Message>, Port<Message>)> {
    let mut ports = mesh(2, CAPACITY)?.into_iter();
    ports.next().zip(ports.next()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn by_inbox() -> io::Result<(ByInbox, ByInbox)> {
    let ((to_a, at_a), (to_b, at_b)) = (inbox(CAPACITY)?, inbox(CAPACITY)?);
    Ok((ByInbox(to_b, Cell::new(Some(at_a))), ByInbox(to_a, Cell::new(Some(at_b)))))
}

/// Sends `message`; where the queue is full, again until it is not.
fn push(end: &impl End, mut message: Message) {
    while let Err(back) = end.post(message) {
        message = back;
        hint::spin_loop();
    }
}

/// Answers each `burst` messages with one, until [`STOP`] comes.
async fn answer(end: impl End, burst: u64) {
    let (end, stopped) = (Rc::new(end), Flag::default());
    let (reply, stop, seen) = (end.clone(), stopped.clone(), Cell::new(0));
    monoio::spawn(end.listen(move |message| {
        if message == STOP {
            return stop.raise();
        }
        seen.set(seen.get() + 1);
        if seen.get() == burst {
            seen.set(0);
            push(&*reply, message);
        }
    }));
    stopped.raised().await;
}

/// Sends `bursts` bursts, each when the one before was answered. Returns the time of all.
async fn ask(end: impl End, burst: u64, bursts: u64) -> Duration {
    let (end, done) = (Rc::new(end), Flag::default());
    let send_burst = move |end: &_| (0..burst).for_each(|n| push(end, [n; 4]));
    let (next, answered, left) = (end.clone(), done.clone(), Cell::new(bursts));
    let start = Instant::now();
    monoio::spawn(end.clone().listen(move |_| {
        left.set(left.get() - 1);
        if left.get() == 0 { answered.raise() } else { send_burst(&*next) }
    }));
    send_burst(&*end);
    done.raised().await;
    let took = start.elapsed();
    push(&*end, STOP);
    took
}

/// The time of `bursts` answered bursts of `burst` messages between a shard on each CPU.
fn measure<E: End>(
    (a, b): (E, E),
    (cpu_a, cpu_b): (usize, usize),
    burst: u64,
    bursts: u64,
) -> io::Result<Duration> {
    let driver = Driver::detect();
    let answering = executor::spawn(1, Some(cpu_b), driver, false, move || answer(b, burst))?;
    let asking = executor::spawn(0, Some(cpu_a), driver, false, move || ask(a, burst, bursts))?;
    let took = joined(asking)?;
    joined(answering)?;
    Ok(took)
}

fn joined<R>(shard: JoinHandle<io::Result<R>>) -> io::Result<R> {
    shard.join().map_err(|_| io::Error::other("a shard ended abnormally"))?
}

/// Measures and prints.
///
/// # Errors
/// A list of CPUs that does not name two; the error of starting a shard.
pub fn run(settings: &Settings) -> io::Result<()> {
    let host = Host::look(&[]);
    let cpus = match *driver::cpus(&settings.cpus)? {
        [a, b] => (a, b),
        _ => return Err(io::Error::other("--cpus names two CPUs, such as 0,1")),
    };
    let table = table(settings, cpus)?;
    if settings.markdown {
        print!("{}", table.markdown(&host));
    } else {
        print!("{}{}", table.aligned(), host.line());
    }
    Ok(())
}

fn table(settings: &Settings, cpus: (usize, usize)) -> io::Result<Table> {
    // A flood is one burst that is larger than the queue.
    let mut kinds: Vec<(u64, u64)> = BURSTS.iter().map(|&burst| (burst, settings.bursts)).collect();
    kinds.push((settings.messages, 1));
    let mut took = vec![(Vec::new(), Vec::new()); kinds.len()];
    for _ in 0..settings.rounds {
        for (&(burst, bursts), (mesh, inbox)) in kinds.iter().zip(&mut took) {
            mesh.push(measure(by_mesh()?, cpus, burst, bursts)?.as_secs_f64());
            inbox.push(measure(by_inbox()?, cpus, burst, bursts)?.as_secs_f64());
        }
    }
    let mut table = Table::new("Messages between two shards", &["", "mesh", "inbox", "mesh/inbox"]);
    for ((burst, bursts), (mesh, inbox)) in kinds.into_iter().zip(took) {
        let (name, per_second) = match (burst, bursts) {
            (1, _) => ("round trip, µs".to_owned(), 1e6),
            (_, 1) => ("flood, ns/message".to_owned(), 1e9),
            _ => (format!("{burst} and an answer, ns/message"), 1e9),
        };
        let ratios: Vec<f64> = mesh.iter().zip(&inbox).map(|(mesh, inbox)| mesh / inbox).collect();
        let each = |took: &[f64]| Shown::number(median(took) * per_second / (burst * bursts) as f64, 1);
        table.row(&name, [each(&mesh), each(&inbox), Shown::number(median(&ratios), 3)]);
    }
    table.note(format!(
        "Medians of {} rounds; {} bursts a round, a flood of {} messages; {} bytes each, queues of {CAPACITY}.",
        settings.rounds,
        settings.bursts,
        settings.messages,
        size_of::<Message>(),
    ));
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_burst_is_answered_both_ways() {
        let cpus = coo_shards::cpu::allowed().unwrap();
        let pair = (cpus[0], *cpus.last().unwrap());
        for (burst, bursts) in [(1, 200), (16, 50), (3000, 2)] {
            assert!(measure(by_mesh().unwrap(), pair, burst, bursts).unwrap() > Duration::ZERO);
            assert!(measure(by_inbox().unwrap(), pair, burst, bursts).unwrap() > Duration::ZERO);
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_size() {
        let settings =
            Settings { rounds: 1, bursts: 10, messages: 5000, cpus: "0,0".into(), markdown: false };
        let cpu = coo_shards::cpu::allowed().unwrap()[0];
        assert_eq!(table(&settings, (cpu, cpu)).unwrap().rows.len(), BURSTS.len() + 1);
    }
}
