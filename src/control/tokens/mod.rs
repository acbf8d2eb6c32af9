//! Access tokens of service accounts: fetched at start and again well before they expire, sent to every shard.
//!
//! A token that cannot be had is tried for again, ever more rarely; what there is stays in use until it expires.
//! Nothing here prints a token or a key.

mod fetch;
mod jwt;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rustls::ClientConfig;

use super::Plane;
use crate::{
    config::{Secret, ServiceAccount},
    gateway::shard::Message,
};

/// The part of a token's life after which the next is fetched. A token lives an hour, so there is a quarter of an
/// hour to get another.
const RENEW_AFTER: f64 = 0.75;
/// How soon after a failure, and at most.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// Between two attempts to put a message into a mailbox that is full.
const FULL: Duration = Duration::from_millis(1);

/// A token, and for how long it is good.
pub(super) struct Token {
    value: Secret,
    lifetime: Duration,
}

/// Keeps a token at hand for every provider with an account.
pub fn keep_fresh(plane: &Arc<Plane>, tls: Option<&Arc<ClientConfig>>) {
    for (index, upstream) in plane.snapshot.providers.iter().enumerate() {
        if let Some(account) = upstream.account.clone() {
            let (plane, tls, id) = (Arc::clone(plane), tls.cloned(), upstream.id.clone());
            tokio::spawn(async move { keep(&plane, index, &id, &account, tls).await });
        }
    }
}

async fn keep(
    plane: &Plane,
    provider: usize,
    id: &str,
    account: &ServiceAccount,
    tls: Option<Arc<ClientConfig>>,
) {
    let (mut failures, mut good_until) = (0, None);
    loop {
        // What is signed is good for an hour, so each attempt has its own.
        let token = match jwt::assertion(account, SystemTime::now()) {
            Ok(assertion) => fetch::token(account, assertion.expose(), tls.as_ref()).await,
            Err(why) => Err(why.to_owned()),
        };
        match token {
            Ok(Token { value, lifetime }) => {
                if failures > 0 {
                    eprintln!("provider {id}: has an access token again");
                }
                failures = 0;
                good_until = Some(Instant::now() + lifetime);
                tell(plane, provider, Some(&value)).await;
                tokio::time::sleep(lifetime.mul_f64(RENEW_AFTER)).await;
            }
            Err(why) => {
                if failures == 0 {
                    eprintln!("provider {id}: no access token for {}: {why}", account.email);
                }
                let mut wait = again(failures);
                failures += 1;
                if let Some(until) = good_until {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        eprintln!("provider {id}: the access token has expired");
                        good_until = None;
                        tell(plane, provider, None).await;
                    } else {
                        wait = wait.min(left);
                    }
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// How long to wait after so many failures in a row and one more.
fn again(failures: u32) -> Duration {
    AGAIN.saturating_mul(1 << failures.min(16)).min(AGAIN_AT_MOST)
}

/// Tells every shard; a mailbox that is full empties within a turn of its shard.
async fn tell(plane: &Plane, provider: usize, token: Option<&Secret>) {
    for shard in &plane.shards {
        let mut message = Message::Token(provider, token.cloned());
        while let Err(back) = shard.send(message) {
            message = back;
            tokio::time::sleep(FULL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute() {
        let waits: Vec<u64> = [0, 1, 2, 6, 7, 100].map(|n| again(n).as_millis() as u64).to_vec();
        assert_eq!(waits, [500, 1000, 2000, 32_000, 60_000, 60_000]);
    }
}
