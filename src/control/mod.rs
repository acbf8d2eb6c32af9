//! The control plane: one tokio runtime on one thread, for everything that is not a request.
//!
//! It resolves providers' names, fetches access tokens, renders metrics, and turns signals into the order to drain.

pub mod budgets;
mod dns;
pub mod metrics;
mod process;
pub mod redis_sync;
mod tokens;

use std::{io, sync::Arc, thread, time::Duration};

use coo_shards::{inbox::Outbox, listen::Spread};
use rustls::ClientConfig;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{
    config::snapshot::Snapshot,
    gateway::{
        access_log::Queue,
        shard::{Message, Sample},
    },
};

/// Requests for metrics and samples under way; a scrape takes one message per shard.
const QUEUE: usize = 4096;
/// How long the shards may take to send their samples.
const SAMPLES_TIMEOUT: Duration = Duration::from_secs(4);

/// A message to the control plane.
pub enum Order {
    /// Render the metrics for this shard and ticket.
    Metrics(usize, u64),
}

/// What the control plane works with.
pub struct Plane {
    /// The compiled configuration.
    pub snapshot: Arc<Snapshot>,
    /// The shards' mailboxes.
    pub shards: Vec<Outbox<Message>>,
    /// Open client connections by shard.
    pub spread: Spread,
    /// How tokens are fetched over TLS, where any are.
    pub tls: Option<Arc<ClientConfig>>,
    /// The access log's queue, for its count of dropped lines.
    pub log: Option<Arc<Queue>>,
}

/// The sending end of the control plane's queue.
pub type Sender = mpsc::Sender<Order>;

/// A queue for orders.
#[must_use]
pub fn queue() -> (Sender, mpsc::Receiver<Order>) {
    mpsc::channel(QUEUE)
}

/// The control plane before it runs. From here on SIGTERM and SIGINT are kept for [`Control::run`], so it is built
/// before anyone is told that the gateway is ready.
pub struct Control {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Control {
    /// Builds the runtime and takes the signals.
    ///
    /// # Errors
    /// The error of building the runtime or of installing the signal handlers.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (terminate, interrupt) = {
            let _context = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        Ok(Self { runtime, terminate, interrupt })
    }

    /// Runs on this thread until SIGTERM or SIGINT, then orders the shards to drain. A second signal ends the process
    /// at once.
    ///
    /// # Errors
    /// The error of starting the thread that stays while the shards drain.
    pub fn run(
        self,
        plane: Plane,
        orders: mpsc::Receiver<Order>,
        sync: Option<redis_sync::Setup>,
    ) -> io::Result<()> {
        let Self { runtime, mut terminate, mut interrupt } = self;
        let plane = Arc::new(plane);
        runtime.block_on(async {
            tokio::spawn(dns::keep_resolved(Arc::clone(&plane)));
            tokens::keep_fresh(&plane, plane.tls.as_ref());
            tokio::spawn(serve_orders(Arc::clone(&plane), orders));
            if let Some(setup) = sync {
                tokio::spawn(redis_sync::run(setup));
            }
            tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        });
        drain(&plane);
        // Requests that finish while draining may still want their metrics; and a second signal must be heard.
        thread::Builder::new().name("control".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
                std::process::exit(1);
            });
        })?;
        Ok(())
    }
}

/// Orders every shard to drain.
fn drain(plane: &Plane) {
    for shard in &plane.shards {
        let mut order = Message::Drain;
        // A full mailbox empties within a turn of its shard.
        while let Err(back) = shard.send(order) {
            order = back;
            thread::sleep(Duration::from_millis(1));
        }
    }
}

async fn serve_orders(plane: Arc<Plane>, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Metrics(shard, ticket) => {
                let plane = Arc::clone(&plane);
                tokio::spawn(async move {
                    let text = metrics::render(&plane, &samples(&plane).await);
                    if let Some(to) = plane.shards.get(shard) {
                        let _ = to.send(Message::Rendered(ticket, Some(text.into_bytes())));
                    }
                });
            }
        }
    }
}

/// A sample of every shard that answers in time.
async fn samples(plane: &Plane) -> Vec<Sample> {
    let (reply, mut replies) = mpsc::channel(plane.shards.len().max(1));
    let mut asked = 0;
    for shard in &plane.shards {
        let reply = reply.clone();
        let collect = Message::Collect(Box::new(move |sample| {
            let _ = reply.try_send(sample);
        }));
        asked += usize::from(shard.send(collect).is_ok());
    }
    let mut samples = Vec::with_capacity(asked);
    let gather = async {
        while samples.len() < asked {
            let Some(sample) = replies.recv().await else { break };
            samples.push(sample);
        }
    };
    let _ = tokio::time::timeout(SAMPLES_TIMEOUT, gather).await;
    samples
}
