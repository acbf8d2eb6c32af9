//! One shard of the gateway: what its requests share, and its life from first accept to drained.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use coo_shards::{
    budget::Standing,
    http1::{head::HeadLimits, server},
    inbox::{Flag, Inbox, Outbox},
    listen::{self, Accepted, Spread},
    pool::{self, Origin, Pool},
    stream, time,
};

use super::{
    access_log::AccessLog,
    account::Account,
    balance::{self, Balance},
    budget::{self, Budget, Note},
    check,
    hedge::Hedging,
    metrics::Metrics,
    overload::GateLook,
    sign::Signing,
    tokens::Tokens,
};
use crate::config::{
    Secret, UpstreamTimeouts,
    snapshot::{ClientId, Snapshot},
};

/// Answer to a connection beyond `server.max_connections`; written before anything is read.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
connection: close\r\ncontent-length: 155\r\n\r\n{\"error\":{\"message\":\"This gateway has too many open connections. \
Try again in a second.\",\"type\":\"server_error\",\"param\":null,\"code\":\"too_many_connections\"}}";

/// How long a rendering of the metrics may take.
const METRICS_TIMEOUT: Duration = Duration::from_secs(5);

/// A message to a shard.
pub enum Message {
    /// Serve this connection, accepted by another shard.
    Adopt(Accepted),
    /// A provider's addresses, newly resolved.
    Addresses(usize, Vec<SocketAddr>),
    /// A provider's access token, newly fetched; `None` where the last one is no longer good.
    Token(usize, Option<Secret>),
    /// Send a copy of the metrics to whoever asks.
    Collect(Box<dyn FnOnce(Sample) + Send>),
    /// The metrics asked for with this ticket; `None` where they could not be had.
    Rendered(u64, Option<Vec<u8>>),
    /// Stop accepting and end when all requests have been answered.
    Drain,
}

/// What a shard knows of itself.
pub struct Sample {
    /// The shard.
    pub shard: usize,
    /// Its counters.
    pub metrics: Metrics,
    /// Requests being forwarded.
    pub in_flight: usize,
    /// Open upstream connections, and how many of them are idle.
    pub upstream: (usize, usize),
    /// How the limits kept by this shard stand.
    pub standings: Vec<Standing>,
    /// By limit, what this shard found spent beyond what was reserved.
    pub excesses: Vec<i64>,
    /// Its providers' keys, as it sees them.
    pub keys: Vec<balance::KeyLook>,
    /// The ways to its providers.
    pub gates: Vec<GateLook>,
}

/// All that a shard is built from; made on the main thread, moved to the shard's.
pub struct Setup {
    /// Which shard.
    pub index: usize,
    /// The compiled configuration.
    pub snapshot: Arc<Snapshot>,
    /// One socket per address.
    pub listeners: Vec<TcpListener>,
    /// Open connections of all shards.
    pub spread: Spread,
    /// This shard's mailbox.
    pub inbox: Inbox<Message>,
    /// All shards' mailboxes.
    pub shards: Vec<Outbox<Message>>,
    /// TLS on the listeners.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Providers' origins, in the snapshot's order.
    pub origins: Vec<Origin>,
    /// Limits of listener, bodies, upstream pool.
    pub limits: server::Limits,
    /// Most bytes of a request body.
    pub max_body_bytes: usize,
    /// Limits of this shard's upstream pool.
    pub pool: pool::Limits,
    /// Patience with providers.
    pub timeouts: UpstreamTimeouts,
    /// Connections of all shards.
    pub max_connections: usize,
    /// Requests forwarded at a time by this shard.
    pub max_in_flight: usize,
    /// Where metrics are served; empty for nowhere.
    pub metrics_path: String,
    /// The access log.
    pub log: AccessLog,
    /// Asks the control plane to render the metrics and answer with [`Message::Rendered`]; false where it is busy.
    pub ask_metrics: Box<dyn Fn(usize, u64) -> bool + Send>,
    /// How long draining may take.
    pub drain: Duration,
    /// Limits, and the way to other shards that share them.
    pub budget: budget::Setup,
    /// How providers and keys are chosen.
    pub balance: balance::Rules,
}

/// What the requests of one shard share.
pub struct Shard {
    /// Which shard.
    pub index: usize,
    /// The compiled configuration.
    pub snapshot: Arc<Snapshot>,
    /// Limits of client connections.
    pub limits: Rc<server::Limits>,
    /// TLS on the listener.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Most bytes of a request body.
    pub max_body_bytes: usize,
    /// Limits on a provider's response head.
    pub upstream_head: HeadLimits,
    /// Where metrics are served.
    pub metrics_path: String,
    /// Upstream connections.
    pub pool: Pool,
    /// Access tokens of providers that have no keys of their own.
    pub tokens: Tokens,
    /// Which provider and key a request goes to.
    pub balance: Balance,
    /// How late answers usually are.
    pub hedging: Hedging,
    /// Counters.
    pub metrics: RefCell<Metrics>,
    /// The access log.
    pub log: RefCell<AccessLog>,
    /// What may be spent.
    pub budget: Budget,
    /// Keys that sign requests today.
    pub signing: Signing,
    /// Raised when the shard is to end.
    pub draining: Flag,
    timeouts: UpstreamTimeouts,
    in_flight: Cell<usize>,
    /// Of each client; the last is those without a key.
    of_clients: Vec<Cell<usize>>,
    max_in_flight: usize,
    ask_metrics: Box<dyn Fn(usize, u64) -> bool>,
    tickets: Cell<u64>,
    rendered: RefCell<HashMap<u64, Ticket>>,
}

enum Ticket {
    Waiting(Option<Waker>),
    Here(Option<Vec<u8>>),
}

/// The last eighth of the places is for clients that hold less than a sixteenth of them, so that no client can leave
/// none for others.
const RESERVED_PART: usize = 8;
const SMALL_PART: usize = 16;

/// A forwarded request's place; dropping it frees the place.
pub struct Place {
    shard: Rc<Shard>,
    client: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shard.count(self.client, -1);
    }
}

impl Shard {
    /// A place for one more forwarded request; `None` when all are taken, or those that are left are for others.
    #[must_use]
    pub fn admit(self: &Rc<Self>, client: Option<ClientId>) -> Option<Place> {
        let client = client.unwrap_or(self.snapshot.clients.len());
        let (taken, most) = (self.in_flight.get(), self.max_in_flight);
        let own = self.of_clients.get(client).map_or(0, Cell::get);
        let others = self.snapshot.clients.len() > 1;
        let reserved = others && taken >= most - most / RESERVED_PART && own >= most.div_ceil(SMALL_PART);
        (taken < most && !reserved).then(|| {
            self.count(client, 1);
            Place { shard: Rc::clone(self), client }
        })
    }

    fn count(&self, client: usize, change: isize) {
        self.in_flight.set(self.in_flight.get().saturating_add_signed(change));
        if let Some(own) = self.of_clients.get(client) {
            own.set(own.get().saturating_add_signed(change));
        }
    }

    /// How long to wait for the first byte of an answer.
    #[must_use]
    pub fn first_byte(&self, account: &Account) -> Duration {
        let one = self.balance.rules().attempt_timeout.unwrap_or(Duration::MAX);
        self.within_total(account, self.timeouts.first_byte.min(one))
    }

    /// How much longer a request may take at all.
    #[must_use]
    pub fn time_left(&self, account: &Account) -> Duration {
        self.within_total(account, Duration::MAX)
    }

    /// How long to wait for more of an answer.
    #[must_use]
    pub fn between_bytes(&self, account: &Account) -> Duration {
        self.within_total(account, self.timeouts.between_bytes)
    }

    fn within_total(&self, account: &Account, wait: Duration) -> Duration {
        let total = account.patience.map_or(self.timeouts.total, |own| own.min(self.timeouts.total));
        wait.min(total.saturating_sub(account.received.elapsed()))
    }

    /// Appends to a response head what is left of a client's limits.
    pub fn write_limits(&self, client: ClientId, out: &mut Vec<u8>) {
        if let Some(client) = self.snapshot.clients.get(client)
            && client.budget.is_limited()
        {
            self.budget.write_headers(&self.snapshot, &client.budget, out);
        }
    }

    /// The metrics of all shards in the Prometheus text format; `None` where they cannot be had now.
    pub async fn rendered_metrics(&self) -> Option<Vec<u8>> {
        let ticket = self.tickets.get();
        self.tickets.set(ticket + 1);
        self.rendered.borrow_mut().insert(ticket, Ticket::Waiting(None));
        let wait = std::future::poll_fn(|cx| {
            let mut rendered = self.rendered.borrow_mut();
            match rendered.get_mut(&ticket) {
                Some(Ticket::Waiting(waker)) => {
                    *waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                Some(Ticket::Here(text)) => Poll::Ready(text.take()),
                None => Poll::Ready(None),
            }
        });
        let text = if (self.ask_metrics)(self.index, ticket) {
            time::timeout(METRICS_TIMEOUT, wait).await.flatten()
        } else {
            None
        };
        self.rendered.borrow_mut().remove(&ticket);
        text
    }

    fn deliver(&self, ticket: u64, text: Option<Vec<u8>>) {
        if let Some(slot) = self.rendered.borrow_mut().get_mut(&ticket)
            && let Ticket::Waiting(Some(waker)) = std::mem::replace(slot, Ticket::Here(text))
        {
            waker.wake();
        }
    }

    fn sample(&self) -> Sample {
        Sample {
            shard: self.index,
            metrics: self.metrics.borrow().clone(),
            in_flight: self.in_flight.get(),
            upstream: self.pool.counts(),
            standings: self.budget.standings(),
            excesses: self.budget.excesses(),
            keys: self.balance.look(self.budget.now()),
            gates: self.balance.gates.look(),
        }
    }
}

/// Runs a shard on the current executor until it is drained.
///
/// # Errors
/// The error of adopting a listener or the mailbox.
pub async fn run(setup: Setup) -> io::Result<()> {
    let Setup { index, spread, inbox, shards, listeners, max_connections, drain, .. } = setup;
    let now = setup.budget.clock.now();
    let shard = Rc::new(Shard {
        index,
        balance: Balance::new(&setup.snapshot, setup.balance, index, now),
        budget: Budget::new(setup.budget, index, shards.len()),
        signing: Signing::default(),
        of_clients: vec![Cell::new(0); setup.snapshot.clients.len() + 1],
        snapshot: setup.snapshot,
        limits: Rc::new(setup.limits),
        tls: setup.tls,
        max_body_bytes: setup.max_body_bytes,
        upstream_head: HeadLimits::default(),
        metrics_path: setup.metrics_path,
        pool: Pool::new(setup.origins, setup.pool),
        tokens: Tokens::default(),
        hedging: Hedging::default(),
        metrics: RefCell::default(),
        log: RefCell::new(setup.log),
        draining: Flag::default(),
        timeouts: setup.timeouts,
        in_flight: Cell::new(0),
        max_in_flight: setup.max_in_flight,
        ask_metrics: setup.ask_metrics,
        tickets: Cell::new(0),
        rendered: RefCell::default(),
    });
    let logging = Rc::clone(&shard);
    time::on_tick(Rc::new(move |_| logging.log.borrow_mut().flush()));

    let counting = Rc::clone(&shard);
    time::on_tick(Rc::new(move |_| counting.budget.tick()));
    check::begin(&shard, shards.len());
    let (telling, port) = (Rc::clone(&shard), shard.budget.port());
    monoio::spawn(port.run(move |from, note| match note {
        Note::News(news) => telling.balance.heard(news, telling.budget.now()),
        note => telling.budget.handle(from, note),
    }));

    let receiving = Rc::clone(&shard);
    monoio::spawn(inbox.run(move |message| match message {
        Message::Adopt(accepted) => {
            monoio::spawn(super::serve(Rc::clone(&receiving), accepted));
        }
        Message::Addresses(provider, addresses) => receiving.pool.set_addresses(provider, addresses),
        Message::Token(provider, token) => receiving.tokens.set(provider, token.as_ref()),
        Message::Collect(reply) => reply(receiving.sample()),
        Message::Rendered(ticket, text) => receiving.deliver(ticket, text),
        Message::Drain => {
            receiving.draining.raise();
            time::end_idle();
        }
    }));

    let shards: Rc<[Outbox<Message>]> = shards.into();
    for listener in listeners {
        let (serving, shards, total) = (Rc::clone(&shard), Rc::clone(&shards), spread.clone());
        let deliver = move |accepted: Accepted| {
            if total.counts().sum::<usize>() > max_connections {
                stream::send_now(std::os::fd::AsRawFd::as_raw_fd(&accepted.socket), FULL);
                return;
            }
            let to = accepted.open.shard();
            let here = if to == index {
                Some(accepted)
            } else {
                // Another shard has fewer connections. Should its mailbox be full, serve it here.
                match shards.get(to).map(|outbox| outbox.send(Message::Adopt(accepted))) {
                    Some(Err(Message::Adopt(accepted))) => Some(accepted),
                    _ => None,
                }
            };
            if let Some(accepted) = here {
                monoio::spawn(super::serve(Rc::clone(&serving), accepted));
            }
        };
        let failed = move |error: &io::Error| eprintln!("shard {index}: accept: {error}");
        monoio::spawn(listen::accept(
            listener,
            index,
            spread.clone(),
            shard.draining.clone(),
            deliver,
            failed,
        ));
    }

    shard.draining.raised().await;
    // Connections end as their requests do; those that were about to become idle are swept again.
    let drained = async {
        while spread.counts().nth(index).is_some_and(|open| open > 0) {
            time::next_tick().await;
            time::end_idle();
        }
    };
    let _ = time::timeout(drain, drained).await;
    shard.log.borrow_mut().flush();
    Ok(())
}
