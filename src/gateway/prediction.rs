//! A prediction of Replicate that is under way: how far it is, its stream, and its end where nobody waits for it any
//! more.
//!
//! Its stream is on a host of its own, which the configuration names and no answer can. No key is sent there: its
//! address is all that it wants to know.

use std::{fmt, rc::Rc, time::Duration};

use coo_shards::{
    buf::Buf,
    http1::{client::FailureKind, head::ResponseHead},
    pool::{ConnectError, Pooled},
    time,
};
use http::Method;

use super::{account::Account, attempt::Answer, poll, shard::Shard};
use crate::{
    config::{
        StreamHost,
        snapshot::{ProviderId, Upstream},
    },
    dialect::{
        replicate::answer::{self, Progress, progress},
        translate::Wire,
        usage::Usage,
    },
};

/// Patience with an answer for which no text waits: to what a prediction used, which holds up the last word of its
/// stream, and that it is canceled.
const PATIENCE: Duration = Duration::from_secs(5);
/// Times that it is asked what a prediction used. Its stream may end a moment before it does.
const MOST_ASKED: u32 = 3;

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// No connection could be had.
    Connect(ConnectError),
    /// The exchange failed.
    Exchange(FailureKind),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Exchange(kind) => kind.fmt(f),
        }
    }
}

/// A prediction under way. Replicate goes on with one whose answer nobody reads, and bills it: one that is dropped before
/// it is over is canceled.
pub(super) struct Prediction {
    shard: Rc<Shard>,
    provider: ProviderId,
    key: usize,
    /// Where it can be asked for, below the API's version.
    path: String,
    over: bool,
}

impl Prediction {
    /// The prediction that one of a provider's keys began.
    pub(super) fn new(shard: &Rc<Shard>, (provider, key): (ProviderId, usize), path: String) -> Self {
        Self { shard: Rc::clone(shard), provider, key, path, over: false }
    }

    /// Notes that it has ended, well or not.
    pub(super) fn is_over(&mut self) {
        self.over = true;
    }

    /// Asks how far it is.
    ///
    /// # Errors
    /// Why there was no answer.
    pub(super) async fn ask<'a>(
        &self,
        upstream: &'a Upstream,
        first_byte: Duration,
    ) -> Result<Answer<'a>, Unanswered> {
        let key = upstream.keys.get(self.key).ok_or(Unanswered::Connect(ConnectError::Unresolved))?;
        let head = key.get_head_at(&self.path);
        let (connection, head) =
            exchange(&self.shard, self.provider, &Method::GET, &head, first_byte).await?;
        Ok(Answer::new(connection, head, (upstream, Wire::Replicate)))
    }

    /// What it used, once its stream has ended.
    pub(super) async fn usage(&self, upstream: &Upstream, account: &Account) -> Option<Usage> {
        for asked in 0..MOST_ASKED {
            if asked > 0 {
                time::sleep(poll::PAUSE).await;
            }
            let wait = self.shard.first_byte(account).min(PATIENCE);
            let mut answer = self.ask(upstream, wait).await.ok()?;
            let body = answer.read_body(poll::MOST_BYTES, &self.shard, account).await;
            let (usage, over) = (answer::usage(body), progress(body) == Progress::Over);
            answer.discard();
            if over {
                return usage;
            }
        }
        None
    }
}

impl Drop for Prediction {
    fn drop(&mut self) {
        // A shard that ends waits for answers, not for this.
        if self.over || self.shard.draining.is_raised() {
            return;
        }
        let (shard, path) = (Rc::clone(&self.shard), std::mem::take(&mut self.path));
        let (provider, key) = (self.provider, self.key);
        monoio::spawn(async move {
            let upstream = shard.snapshot.providers.get(provider);
            let Some(key) = upstream.and_then(|upstream| upstream.keys.get(key)) else { return };
            let mut head = key.head_at(&format!("{path}/cancel"));
            head.extend_from_slice(b"content-length: 0\r\n");
            let canceled = exchange(&shard, provider, &Method::POST, &head, PATIENCE).await;
            // Should it fail, the prediction runs to its end.
            if let (Ok((connection, head)), Some(upstream)) = (canceled, upstream) {
                Answer::new(connection, head, (upstream, Wire::Replicate)).discard();
            }
        });
    }
}

/// Asks a host that has streams for the one at a path.
///
/// # Errors
/// Why there was no answer.
pub(super) async fn open_stream<'a>(
    shard: &Shard,
    (upstream, host): (&'a Upstream, &StreamHost),
    path: &str,
    account: &Account,
) -> Result<Answer<'a>, Unanswered> {
    let first_byte = shard.first_byte(account);
    let (connection, head) =
        exchange(shard, host.origin, &Method::GET, &host.head_at(path), first_byte).await?;
    Ok(Answer::new(connection, head, (upstream, Wire::Replicate)))
}

/// Sends a request without a body, with a head that lacks only the line that ends it. One that meets a connection that
/// had been closed while it lay idle is sent again over a new one.
async fn exchange(
    shard: &Shard,
    origin: usize,
    method: &Method,
    head: &[u8],
    first_byte: Duration,
) -> Result<(Pooled, ResponseHead), Unanswered> {
    let mut connection = shard.pool.checkout(origin).await.map_err(Unanswered::Connect)?;
    loop {
        let mut request = Buf::with_capacity(head.len() + 2);
        request.put(head);
        request.put(b"\r\n");
        match connection.exchange(method, request, first_byte, shard.upstream_head, || {}).await {
            Ok(head) => {
                connection.answered();
                return Ok((connection, head));
            }
            Err(failed) if failed.replayable => {
                drop(connection);
                connection = shard.pool.open(origin).await.map_err(Unanswered::Connect)?;
            }
            Err(failed) => {
                connection.failed(&failed.kind);
                return Err(Unanswered::Exchange(failed.kind));
            }
        }
    }
}
