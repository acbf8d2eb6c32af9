//! One request: a connection, the request, the answer read to its end, all of it counted.

use std::{rc::Rc, time::Instant};

use coo_shards::{
    buf::Buf,
    http1::{
        client::{Connection, FailureKind},
        head::{HeadLimits, ResponseHead},
    },
    stream,
};

use super::{
    sse::{Event, Events},
    stats::{Failure, Finished},
    worker::Shard,
};

/// What is known of an answer so far.
struct Seen {
    finished: Finished,
    due: Instant,
    counted: bool,
    last_token: Option<Instant>,
}

/// Performs the request that was due at `due`; why it failed, if it did.
pub(super) async fn perform(shard: &Rc<Shard>, due: Instant) -> Option<Failure> {
    let begun = Instant::now();
    shard.in_flight.set(shard.in_flight.get() + 1);
    let counted = shard.recorder.borrow().counts(due);
    let mut seen = Seen { finished: Finished::default(), due, counted, last_token: None };
    let failure = attempt(shard, &mut seen).await.err();
    shard.in_flight.set(shard.in_flight.get() - 1);
    let now = Instant::now();
    let mut finished = seen.finished;
    finished.latency = now.saturating_duration_since(due);
    finished.service = now.saturating_duration_since(begun);
    finished.failure = failure;
    shard.recorder.borrow_mut().finish(due, &finished);
    failure
}

async fn attempt(shard: &Rc<Shard>, seen: &mut Seen) -> Result<(), Failure> {
    let (mut connection, head) = respond(shard, seen).await?;
    connection.consume_head(&head);
    seen.finished.status = Some(head.status.as_u16());
    let refused = head.status.is_client_error() || head.status.is_server_error();
    let mut events = (shard.plan.stream && !refused).then(Events::default);
    let mut arrived = Instant::now();
    let mut failed = None;
    loop {
        let content = connection.content().map_err(|_| Failure::Protocol)?;
        let len = content.len();
        if len > 0 {
            if let Some(events) = &mut events {
                events.feed(content, |event| seen.event(shard, event, arrived, &mut failed));
            }
            connection.consume(len);
            seen.finished.bytes += len as u64;
            continue;
        }
        if connection.is_complete() || !connection.receive(shard.plan.timeout).await.map_err(|k| class(&k))? {
            break;
        }
        arrived = Instant::now();
    }
    let mut cut = false;
    if let Some(events) = &mut events {
        events.end(|event| seen.event(shard, event, arrived, &mut failed));
        cut = !events.is_done();
        seen.finished.done = !cut;
    }
    if connection.finish() && shard.plan.keep_alive {
        shard.idle.borrow_mut().push(connection);
    }
    match failed {
        _ if refused => Err(Failure::Status),
        Some(failure) => Err(failure),
        None if cut => Err(Failure::Cut),
        None => Ok(()),
    }
}

impl Seen {
    fn event(&mut self, shard: &Shard, event: Event, arrived: Instant, failed: &mut Option<Failure>) {
        let mut gap = None;
        match event {
            Event::Token => {
                gap = self.last_token.map(|last| arrived.saturating_duration_since(last));
                self.last_token = Some(arrived);
                if gap.is_none() {
                    self.finished.first_token = Some(arrived.saturating_duration_since(self.due));
                }
            }
            Event::Error => *failed = Some(Failure::StreamError),
            Event::Other | Event::Done => {}
        }
        shard.recorder.borrow_mut().event(event, gap, self.counted);
    }
}

/// Sends the request on an idle connection or a new one and waits for the head of its answer. A kept connection
/// that the server had closed is replaced, as a client is asked to (RFC 9112 §9.5).
async fn respond(shard: &Rc<Shard>, seen: &mut Seen) -> Result<(Connection, ResponseHead), Failure> {
    let plan = &shard.plan;
    loop {
        let idle = shard.idle.borrow_mut().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                seen.finished.connected = true;
                let halves = stream::connect(plan.address, plan.timeout).await;
                Connection::new(halves.map_err(|_| Failure::Connect)?)
            }
        };
        let mut request = Buf::with_capacity(plan.request.len());
        request.put(&plan.request);
        let limits = HeadLimits::default();
        match connection.exchange(&plan.method, request, plan.timeout, limits, || {}).await {
            Ok(head) => return Ok((connection, head)),
            Err(failure) if failure.replayable => {}
            Err(failure) => return Err(class(&failure.kind)),
        }
    }
}

fn class(kind: &FailureKind) -> Failure {
    match kind {
        FailureKind::Timeout => Failure::Timeout,
        FailureKind::Closed | FailureKind::Io(_) => Failure::Closed,
        FailureKind::Violation(_) => Failure::Protocol,
    }
}
