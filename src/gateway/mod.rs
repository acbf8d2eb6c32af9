//! What happens to a request, in order.
//!
//! [`serve`] is one client connection. For each request: parse the head (the engine), find the route
//! ([`request`]), authenticate ([`auth`]), read the body, and then [`answer`]: resolve the model ([`route`]),
//! choose a provider and one of its keys ([`balance`]), reserve what it will use ([`budget`]), send it to the provider
//! ([`attempt`], [`poll`], `prediction`) and, where that fails or is late, to another ([`forward`], [`hedge`]), unless it
//! has too much to do ([`overload`]), pass the answer on ([`respond`], [`events`], `opening`) and settle the account
//! ([`account`]). Beside requests, what was found not to work is looked after ([`check`]). Everything here runs on one
//! shard and touches only that shard's memory.

pub mod access_log;
pub mod account;
pub mod attempt;
pub mod auth;
pub mod balance;
pub mod budget;
pub mod check;
pub mod events;
pub mod failure;
pub mod forward;
pub mod hedge;
pub mod learn;
pub mod metrics;
mod opening;
pub mod overload;
pub mod poll;
mod prediction;
pub mod price;
pub mod request;
pub mod respond;
pub mod route;
pub mod select;
pub mod shard;
pub mod sign;
pub mod tokens;
pub mod translate;
pub mod waiter;

use std::{io, rc::Rc};

use coo_shards::{
    http1::{
        head::{RequestHead, Version, Violation},
        server::{self, Failure, Receiver, Request, Responder, Watched},
    },
    listen::Accepted,
    stream,
    tls::Session,
};

use crate::dialect::openai::error::GatewayError;
use account::Account;
use request::{Context, Route};
use shard::Shard;

/// Bodies of refused requests up to this size are read and dropped so that the connection can be kept.
const DISCARDED_BODY_BYTES: usize = 64 * 1024;

/// Serves one client connection to its end.
///
/// An idle connection's task holds room for everything it could be doing, so what is rare or over before the
/// connection idles lives on the heap.
pub async fn serve(shard: Rc<Shard>, accepted: Accepted) {
    let Accepted { socket, peer, open: _counted } = accepted;
    let Ok(halves) = Box::pin(open(&shard, socket)).await else { return };
    let (mut receiver, mut responder) = server::connection(halves, peer, &shard.limits);
    loop {
        let head = receiver.head().await;
        let mut step = start(&shard, &mut receiver, head);
        if let Step::Receive(pending) = step {
            step = Box::pin(receive(&shard, pending, &mut receiver, &mut responder)).await;
        }
        match step {
            Step::Answer(job) => {
                let version = job.context.version;
                let work = Box::pin(answer(&shard, job, &mut responder));
                match receiver.watch(version, work).await {
                    Watched::Next => {}
                    Watched::Abandoned => return,
                    Watched::Close => return Box::pin(receiver.linger(&mut responder)).await,
                }
            }
            Step::Next => {}
            Step::Close => return Box::pin(receiver.linger(&mut responder)).await,
            Step::Gone | Step::Receive(_) => return,
        }
    }
}

/// A complete request and what its head said.
struct Job {
    context: Context,
    request: Request,
}

/// What is left to do before an answer: receive a body, or refuse.
enum Pending {
    Body(Box<(Context, RequestHead)>),
    Failed(Failure),
}

/// What a connection does next.
enum Step {
    Answer(Box<Job>),
    Receive(Pending),
    Next,
    Close,
    Gone,
}

/// Judges a received head; the usual request has its body with it and can be answered at once.
fn start(shard: &Rc<Shard>, receiver: &mut Receiver, head: Result<Option<RequestHead>, Failure>) -> Step {
    let head = match head {
        Ok(Some(head)) => head,
        Ok(None) | Err(Failure::Gone) => return Step::Gone,
        Err(failure) => return Step::Receive(Pending::Failed(failure)),
    };
    let context = Context::new(&head, receiver, shard);
    if context.refusal.is_some() {
        return Step::Receive(Pending::Body(Box::new((context, head))));
    }
    match receiver.body_at_hand(head, shard.max_body_bytes) {
        Ok(request) => Step::Answer(Box::new(Job { context, request })),
        Err(head) => Step::Receive(Pending::Body(Box::new((context, head)))),
    }
}

async fn open(
    shard: &Shard,
    socket: std::net::TcpStream,
) -> io::Result<(stream::ReadHalf, stream::WriteHalf)> {
    let (read, write) = stream::adopt(socket)?;
    match &shard.tls {
        None => Ok((read, write)),
        Some(config) => {
            stream::handshake(read, write, Session::server(config)?, shard.limits.head_timeout).await
        }
    }
}

/// Receives the body of a request that may be answered, or refuses the request.
async fn receive(
    shard: &Rc<Shard>,
    pending: Pending,
    receiver: &mut Receiver,
    responder: &mut Responder,
) -> Step {
    let (context, head) = match pending {
        Pending::Body(received) => *received,
        Pending::Failed(failure) => {
            let error = failure::of_receiving(&failure, shard);
            refuse(shard, None, false, &error, failure::status_of(&failure), responder).await;
            return Step::Close;
        }
    };
    let refusal = context.refusal.clone();
    // A client that waits for 100 Continue has not sent its body and now will not.
    if let (Some(error), true) = (&refusal, head.expects_continue) {
        refuse(shard, Some(&context), false, error, None, responder).await;
        return Step::Close;
    }
    let most = if refusal.is_some() { DISCARDED_BODY_BYTES } else { shard.max_body_bytes };
    match (receiver.body(head, most, responder).await, refusal) {
        (Ok(request), None) => Step::Answer(Box::new(Job { context, request })),
        (Ok(_), Some(error)) => {
            let persist = context.persists(shard);
            let sent = refuse(shard, Some(&context), persist, &error, None, responder).await;
            if sent && persist { Step::Next } else { Step::Close }
        }
        (Err(Failure::Violation(Violation::BodyTooLarge)), Some(error)) => {
            refuse(shard, Some(&context), false, &error, None, responder).await;
            Step::Close
        }
        (Err(Failure::Gone), _) => Step::Gone,
        (Err(failure), _) => {
            let error = failure::of_receiving(&failure, shard);
            refuse(shard, Some(&context), false, &error, failure::status_of(&failure), responder).await;
            Step::Close
        }
    }
}

/// Answers a request with an error of ours; whether it could be sent.
async fn refuse(
    shard: &Rc<Shard>,
    context: Option<&Context>,
    persist: bool,
    error: &GatewayError,
    status: Option<http::StatusCode>,
    responder: &mut Responder,
) -> bool {
    let mut account = Account::open(shard, context);
    let version = context.map_or(Version::Http11, |context| context.version);
    let head_only = context.is_some_and(|context| context.head_only);
    let client = context.and_then(|context| context.client).map(|client| (&**shard, client));
    let endpoint = context.and_then(Context::spoken_at);
    let answer = failure::answer(error, status, version, persist, head_only, client, endpoint);
    account.failed(error, failure::status(error, status));
    responder.send(answer).await.is_ok()
}

/// Answers one complete request; whether the connection persists.
async fn answer(shard: &Rc<Shard>, job: Box<Job>, responder: &mut Responder) -> bool {
    let Job { context, request } = &*job;
    let mut account = Account::open(shard, Some(context));
    account.request_bytes = request.body().len() as u64;
    let result = match &context.route {
        Route::Forward(endpoint) => {
            forward::forward(shard, context, *endpoint, request, responder, &mut account).await
        }
        local => Box::pin(route::local(shard, context, local, responder, &mut account)).await,
    };
    match result {
        Ok(persist) => persist && context.persists(shard),
        Err(error) => {
            account.failed(&error, failure::status(&error, None));
            let persist = context.persists(shard);
            let client = context.client.map(|client| (&**shard, client));
            let endpoint = context.spoken_at();
            let head_only = context.head_only;
            let answer = failure::answer(&error, None, context.version, persist, head_only, client, endpoint);
            Box::pin(responder.send(answer)).await.is_ok() && persist
        }
    }
}
