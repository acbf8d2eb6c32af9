//! Resolving providers' host names, at start and again, so that no shard ever does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::Plane;
use crate::gateway::shard::Message;

/// How often names are resolved again.
const EVERY: Duration = Duration::from_secs(30);
/// How soon after a failure.
const AGAIN: Duration = Duration::from_secs(2);

/// Resolves every provider's name now and every 30 s, and tells the shards what changed. A name that cannot be
/// resolved keeps its last addresses. Those that the configuration names addresses for are not resolved.
pub async fn keep_resolved(plane: Arc<Plane>) {
    for (index, origin) in plane.snapshot.origins().enumerate() {
        if !origin.addresses.is_empty() || origin.url.host.parse::<std::net::IpAddr>().is_ok() {
            continue;
        }
        let (plane, host, port) = (Arc::clone(&plane), origin.url.host.clone(), origin.url.port);
        let id = origin.upstream.id.clone();
        tokio::spawn(async move {
            let mut known: Vec<SocketAddr> = Vec::new();
            let mut complained = false;
            loop {
                let resolved = tokio::net::lookup_host((host.as_str(), port)).await;
                let mut wait = EVERY;
                match resolved {
                    Ok(found) => {
                        complained = false;
                        let mut found: Vec<_> = found.collect();
                        found.sort();
                        found.dedup();
                        if !found.is_empty() && found != known {
                            for shard in &plane.shards {
                                let _ = shard.send(Message::Addresses(index, found.clone()));
                            }
                            known = found;
                        }
                    }
                    Err(error) => {
                        wait = AGAIN;
                        if !complained {
                            complained = true;
                            eprintln!("provider {id}: cannot resolve {host}: {error}");
                        }
                    }
                }
                tokio::time::sleep(wait).await;
            }
        });
    }
}
