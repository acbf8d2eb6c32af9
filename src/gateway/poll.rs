//! A provider that answers before it is done, and is asked again until it is, or for its stream: Replicate.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use coo_shards::time;
use http::StatusCode;

use super::{
    account::Account,
    attempt::{Answer, Failed, Instead, Outgoing, Why},
    failure,
    prediction::{self, Prediction, Unanswered},
    respond,
    shard::Shard,
};
use crate::{
    config::snapshot::Key,
    dialect::{
        openai::error::UpstreamFault,
        replicate::{
            self, MOST_WAIT_S,
            answer::{Progress, has_failed, progress},
            error::read_error,
            stream::stream_path,
        },
    },
};

/// Between two questions; the official clients ask twice a second.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// The longest that a prediction is waited for where nothing else bounds the time.
pub(super) const LONGEST: Duration = Duration::from_secs(600);
/// Most bytes of a prediction that are looked into.
pub(super) const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The start of the head of a request. One for a whole answer is to be held until its prediction is over, but for less
/// than what is waited for the first byte; one for a stream is told at once where that is.
pub(super) fn head(shard: &Shard, key: &Key, model: &str, stream: bool, account: &Account) -> Vec<u8> {
    let mut head = key.head_at(&replicate::path(model));
    if !stream {
        let wait = shard.first_byte(account).as_secs().saturating_sub(1).clamp(1, MOST_WAIT_S);
        head.extend_from_slice(format!("prefer: wait={wait}\r\n").as_bytes());
    }
    head
}

/// The stream of the prediction in `answer`, where one is wanted and can be had; else the prediction once it is over, for
/// which it is asked again and again. The status of one that failed becomes that of an error.
///
/// # Errors
/// Why the attempt failed.
pub(super) async fn until_over<'a>(
    shard: &Rc<Shard>,
    outgoing: &Outgoing<'_, 'a>,
    mut answer: Answer<'a>,
    account: &mut Account,
) -> Result<Answer<'a>, Failed<'a>> {
    let patience = shard.time_left(account).min(LONGEST);
    let (began, upstream) = (Instant::now(), outgoing.upstream);
    let mut running: Option<Box<Prediction>> = None;
    loop {
        let body = answer.read_body(MOST_BYTES, shard, account).await;
        let Progress::Pending(path) = progress(body) else {
            if let Some(prediction) = &mut running {
                prediction.is_over();
            }
            if has_failed(body) {
                let status = read_error(StatusCode::BAD_GATEWAY.as_u16(), body).status;
                answer.head.status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            }
            return Ok(answer);
        };
        let streams = upstream.streams.as_ref().filter(|_| account.wanted.events && running.is_none());
        let streams = streams.and_then(|host| Some((host, stream_path(body, &host.root)?)));
        let place = (outgoing.provider, account.key.unwrap_or_default());
        let prediction = running.get_or_insert_with(|| Box::new(Prediction::new(shard, place, path)));
        // Its connection is free meanwhile.
        answer.discard();
        if let Some((host, path)) = streams {
            match prediction::open_stream(shard, (upstream, host), &path, account).await {
                Ok(stream) if stream.head.status.is_success() && respond::is_event_stream(&stream) => {
                    return Ok(Answer { prediction: running, ..stream });
                }
                Ok(other) => {
                    account.detail = Some(format!("its stream: status {}", other.head.status.as_u16()));
                    other.discard();
                }
                Err(unanswered) => account.detail = Some(format!("its stream: {unanswered}")),
            }
        }
        if began.elapsed() + PAUSE >= patience {
            let fault = failure::upstream(&upstream.id, UpstreamFault::Timeout);
            return Err(Failed { why: Why::Failed, instead: Instead::Error(fault) });
        }
        time::sleep(PAUSE).await;
        answer = match prediction.ask(upstream, shard.first_byte(account)).await {
            Ok(answer) => answer,
            Err(unanswered) => {
                account.detail = Some(unanswered.to_string());
                let error = match &unanswered {
                    Unanswered::Connect(error) => failure::of_connecting(error, &upstream.id, &account.model),
                    Unanswered::Exchange(kind) => {
                        failure::upstream(&upstream.id, failure::of_exchange(kind, true))
                    }
                };
                return Err(Failed { why: Why::Failed, instead: Instead::Error(error) });
            }
        };
        if !answer.head.status.is_success() {
            return Ok(answer);
        }
    }
}
