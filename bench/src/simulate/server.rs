//! Running the shards: start, accept, one task per connection, stop.

use std::{
    cell::Cell,
    fmt, io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use coo_shards::{
    executor::{self, Driver},
    http1::{
        head::Violation,
        server::{self, Failure, Limits, Receiver, Responder, Watched},
    },
    inbox::{Inbox, Outbox, inbox},
    listen::{self, Accepted},
    stream,
    time::{end_idle, next_tick},
    tls::{self, Session},
};
use socket2::SockRef;

use super::{
    deliver::{self, End, Terms},
    exchange::{self, Progress},
    record::{Raw, Record, Trace},
    settings::Settings,
    shard::{Shard, Shared, Stats},
    vertex::service_account,
};

/// Largest request body: above the largest that OpenAI takes (50 MB of images).
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// Orders that wait for a shard: a burst of connections that another shard accepted.
const MAILBOX: usize = 4096;
/// How long requests under way may go on after [`Simulator::stop`].
const DRAIN: Duration = Duration::from_secs(2);
/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A message to a shard.
enum Order {
    /// A connection accepted elsewhere that is to live here.
    Adopt(Box<Accepted>),
    /// Finish what runs and end.
    Stop,
}

/// A running simulator. Dropping it stops it.
pub struct Simulator {
    addr: SocketAddr,
    shared: Arc<Shared>,
    outboxes: Vec<Outbox<Order>>,
    threads: Vec<JoinHandle<io::Result<io::Result<()>>>>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("addr", &self.addr).field("shards", &self.outboxes.len()).finish()
    }
}

/// Starts a simulator; connections are accepted once this returns.
///
/// # Errors
/// The error of listening, of reading the TLS files or of starting a thread.
pub fn start(settings: Settings) -> io::Result<Simulator> {
    let shards = settings.shards.max(1);
    let tls = match &settings.tls {
        None => None,
        Some((cert, key)) => {
            let config = tls::server_config(cert, key)?;
            let new: super::shard::NewSession = Box::new(move || Session::server(&config));
            Some(new)
        }
    };
    let listeners = listen::bind(settings.listen, shards)?;
    if let Some(backlog) = settings.backlog {
        // listen(2) on a socket that listens changes the length of its queue.
        listeners.iter().try_for_each(|listener| SockRef::from(listener).listen(backlog))?;
    }
    let addr = match listeners.first() {
        Some(listener) => listener.local_addr()?,
        None => settings.listen,
    };
    let pins = settings.pin.clone().unwrap_or_default();
    let driver = Driver::detect();
    let shared = Arc::new(Shared::new(settings, tls));
    let mut simulator = Simulator { addr, shared, outboxes: Vec::new(), threads: Vec::new() };
    let mut inboxes = Vec::new();
    for _ in 0..shards {
        let (outbox, inbox) = inbox(MAILBOX)?;
        simulator.outboxes.push(outbox);
        inboxes.push(inbox);
    }
    for (index, (listener, inbox)) in listeners.into_iter().zip(inboxes).enumerate() {
        let (shared, outboxes) = (Arc::clone(&simulator.shared), simulator.outboxes.clone());
        // Fine timers: latencies and paces are shorter than a tick.
        let thread = executor::spawn(index, pins.get(index).copied(), driver, true, move || {
            run(Rc::new(Shard::new(index, shared)), listener, inbox, outboxes)
        })?;
        simulator.threads.push(thread);
    }
    Ok(simulator)
}

impl Simulator {
    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://host:port/v1`, the base URL for a client.
    #[must_use]
    pub fn base_url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/v1", self.addr)
    }

    /// The JSON file of a service account's key whose tokens are had here, for Vertex AI's format.
    #[must_use]
    pub fn service_account(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        // A certificate names a host, not an address.
        let host =
            if self.shared.tls.is_some() { "localhost".to_owned() } else { self.addr.ip().to_string() };
        service_account(&format!("{scheme}://{host}:{}/token", self.addr.port()))
    }

    /// The requests received that are still kept, in order of time.
    #[must_use]
    pub fn record(&self) -> Vec<Record> {
        self.shared.records()
    }

    /// The bytes of the latest requests, in order of time.
    #[must_use]
    pub fn last(&self) -> Vec<Raw> {
        self.shared.raws()
    }

    /// Totals.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Changes settings for all requests received from now on.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        self.shared.change(change);
    }

    /// Forgets records, counts and windows.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Stops accepting, lets requests under way finish for a bounded time, and joins the threads.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for outbox in &self.outboxes {
            let mut order = Order::Stop;
            // A full mailbox is being emptied.
            while let Err(back) = outbox.send(order) {
                order = back;
                std::thread::yield_now();
                if self.threads.iter().all(JoinHandle::is_finished) {
                    break;
                }
            }
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A shard's life.
async fn run(
    shard: Rc<Shard>,
    listener: StdTcpListener,
    inbox: Inbox<Order>,
    outboxes: Vec<Outbox<Order>>,
) -> io::Result<()> {
    let limits = Rc::new(Limits::default());
    let open = Rc::new(Cell::new(0usize));
    let serve = {
        let (shard, open) = (Rc::clone(&shard), Rc::clone(&open));
        move |accepted: Accepted| {
            let (shard, limits, open) = (Rc::clone(&shard), Rc::clone(&limits), Rc::clone(&open));
            open.set(open.get() + 1);
            monoio::spawn(async move {
                connection(&shard, accepted, &limits).await;
                open.set(open.get() - 1);
            });
        }
    };
    let (adopt, stop) = (serve.clone(), shard.stop.clone());
    monoio::spawn(inbox.run(move |order| match order {
        Order::Adopt(accepted) => adopt(*accepted),
        Order::Stop => stop.raise(),
    }));
    let own = shard.index;
    let deliver = move |accepted: Accepted| {
        let other = accepted.open.shard();
        match outboxes.get(other).filter(|_| other != own) {
            // A full mailbox gives the connection back: better served here than late.
            Some(outbox) => {
                if let Err(Order::Adopt(accepted)) = outbox.send(Order::Adopt(Box::new(accepted))) {
                    serve(*accepted);
                }
            }
            None => serve(accepted),
        }
    };
    let spread = shard.shared.spread.clone();
    listen::accept(listener, shard.index, spread, shard.stop.clone(), deliver, |_| {}).await?;
    let end = Instant::now() + DRAIN;
    while open.get() > 0 && Instant::now() < end {
        end_idle();
        next_tick().await;
    }
    Ok(())
}

/// A connection's life.
async fn connection(shard: &Shard, accepted: Accepted, limits: &Rc<Limits>) {
    let Accepted { socket, peer, open: _open } = accepted;
    let Ok((read, write)) = stream::adopt(socket) else { return };
    let halves = match &shard.shared.tls {
        None => (read, write),
        Some(new_session) => {
            let Ok(session) = new_session() else { return };
            let Ok(halves) = stream::handshake(read, write, session, HANDSHAKE).await else { return };
            halves
        }
    };
    let number = shard.next_connection();
    let (mut receiver, mut responder) = server::connection(halves, peer, limits);
    loop {
        let head = match receiver.head().await {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(failure) => return refuse(receiver, responder, failure).await,
        };
        let version = head.version;
        let request = match receiver.body(head, MAX_BODY_BYTES, &mut responder).await {
            Ok(request) => request,
            Err(failure) => return refuse(receiver, responder, failure).await,
        };
        let trace = Trace::new(shard.recorder());
        let progress = Progress::default();
        let end = Cell::new(End::Drop);
        let work = Box::pin(async {
            let done = exchange::answer(shard, number, request, &mut responder, &trace, &progress).await;
            end.set(done);
            finish(shard, &trace, &progress, done == End::Gone);
            done == End::Keep && !shard.stop.is_raised()
        });
        match receiver.watch(version, work).await {
            Watched::Next => {}
            Watched::Close => {
                if end.get() == End::Linger || shard.stop.is_raised() {
                    receiver.linger(&mut responder).await;
                }
                return;
            }
            Watched::Abandoned => return finish(shard, &trace, &progress, true),
        }
    }
}

/// Completes the record of a request; `left` says that the client did not wait for its answer.
fn finish(shard: &Shard, trace: &Trace<'_>, progress: &Progress, left: bool) {
    if left && progress.counted.get() {
        shard.count(|counters| &counters.closed_early, 1);
    }
    trace.finish(progress.complete.get(), left, || shard.shared.now_us());
}

/// Answers a message that is not a request, and closes.
async fn refuse(receiver: Receiver, mut responder: Responder, failure: Failure) {
    let (status, why) = match failure {
        Failure::Gone => return,
        Failure::Timeout => (http::StatusCode::REQUEST_TIMEOUT, "the request came too slowly".to_owned()),
        Failure::Violation(violation) => (violation.status(), Violation::to_string(&violation)),
    };
    let error = serde_json::json!({"error": {
        "message": why, "type": "invalid_request_error", "param": null, "code": null
    }});
    let terms =
        Terms { version: coo_shards::http1::head::Version::Http11, keep_alive: false, head_only: false };
    let reply = (status, error.to_string().into_bytes());
    if deliver::control(&mut responder, reply, terms).await == End::Linger {
        receiver.linger(&mut responder).await;
    }
}
