//! A provider that answers before it is done, and is asked again until it is: Replicate.

use std::time::{Duration, Instant};

use coo_shards::{buf::Buf, http1::client::FailureKind, time};
use http::{Method, StatusCode};

use super::{
    account::Account,
    attempt::{Answer, Failed, Instead, Outgoing, Why},
    failure,
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
        },
    },
};

/// Between two questions; the official clients ask twice a second.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest that a prediction is waited for where nothing else bounds the time.
const LONGEST: Duration = Duration::from_secs(600);
/// Most bytes of a prediction that are looked into.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The start of the head of a request: it is to be held until its prediction is over, but for less than what is
/// waited for the first byte.
pub(super) fn head(shard: &Shard, key: &Key, model: &str, account: &Account) -> Vec<u8> {
    let wait = shard.first_byte(account).as_secs().saturating_sub(1).clamp(1, MOST_WAIT_S);
    let mut head = key.head_at(&replicate::path(model));
    head.extend_from_slice(format!("prefer: wait={wait}\r\n").as_bytes());
    head
}

/// Asks again until the prediction in `answer` is over, over the same connection. The status of one that failed becomes
/// that of an error.
///
/// # Errors
/// Why the attempt failed.
pub(super) async fn until_over<'a>(
    shard: &Shard,
    outgoing: &Outgoing<'_, 'a>,
    answer: &mut Answer<'_>,
    account: &mut Account,
) -> Result<(), Failed<'a>> {
    let patience = shard.time_left(account).min(LONGEST);
    let (began, provider) = (Instant::now(), &outgoing.upstream.id);
    let failed = |account: &mut Account, kind: &FailureKind| {
        account.detail = Some(kind.to_string());
        let error = failure::upstream(provider, failure::of_exchange(kind, true));
        Failed { why: Why::Failed, instead: Instead::Error(error) }
    };
    loop {
        let body = answer.read_body(MOST_BYTES, shard, account).await;
        let path = match progress(body) {
            Progress::Pending(path) => path,
            Progress::Over => {
                if has_failed(body) {
                    let status = read_error(StatusCode::BAD_GATEWAY.as_u16(), body).status;
                    answer.head.status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                }
                return Ok(());
            }
        };
        if began.elapsed() + PAUSE >= patience || !answer.connection.is_complete() {
            let fault = failure::upstream(provider, UpstreamFault::Timeout);
            return Err(Failed { why: Why::Failed, instead: Instead::Error(fault) });
        }
        time::sleep(PAUSE).await;
        let key = account.key.and_then(|key| outgoing.upstream.keys.get(key));
        let Some(key) = key else { return Ok(()) };
        let head = key.get_head_at(&path);
        let mut request = Buf::with_capacity(head.len() + 2);
        request.vec_mut().extend_from_slice(&head);
        request.vec_mut().extend_from_slice(b"\r\n");
        if !answer.head.keep_alive {
            let opened = shard.pool.open(outgoing.provider).await;
            answer.connection = opened.map_err(|error| {
                account.detail = Some(error.to_string());
                let error = failure::of_connecting(&error, provider, &account.model);
                Failed { why: Why::Failed, instead: Instead::Error(error) }
            })?;
        }
        answer.read = None;
        let first_byte = shard.first_byte(account);
        let exchanged =
            answer.connection.exchange(&Method::GET, request, first_byte, shard.upstream_head, || {});
        answer.head = exchanged.await.map_err(|exchange| failed(account, &exchange.kind))?;
        if !answer.head.status.is_success() {
            return Ok(());
        }
    }
}
