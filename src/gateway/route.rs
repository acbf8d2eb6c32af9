//! From a model's name to the provider that serves it, and the routes that need no provider.

use std::{
    borrow::Cow,
    rc::Rc,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::{encode, server::Responder},
};
use http::StatusCode;

use super::{
    account::Account,
    failure,
    request::{Context, Route},
    shard::Shard,
};
use crate::{
    config::snapshot::{ClientId, ProviderId, Snapshot},
    dialect::openai::{error::GatewayError, models},
};

/// Where a model is served.
#[derive(Debug)]
pub struct Target<'a> {
    /// The provider.
    pub provider: ProviderId,
    /// The provider's own name of the model.
    pub model: Cow<'a, str>,
}

/// The target of the model `name` for `client`.
///
/// # Errors
/// Unknown model, provider not allowed to this client, or a provider whose type is not built yet.
pub fn target<'a>(
    snapshot: &'a Snapshot,
    client: Option<ClientId>,
    name: &'a Cow<'a, str>,
) -> Result<Target<'a>, GatewayError> {
    let unknown = || GatewayError::ModelNotFound { model: name.to_string() };
    let (provider, model) = snapshot.resolve(name).ok_or_else(unknown)?;
    let upstream = snapshot.providers.get(provider).ok_or_else(unknown)?;
    let client = client.and_then(|client| snapshot.clients.get(client));
    if !client.is_some_and(|client| client.may_use(provider)) {
        return Err(GatewayError::ProviderNotAllowed { provider: upstream.id.clone() });
    }
    if !upstream.kind.openai_compatible() {
        return Err(GatewayError::ProviderNotBuilt {
            provider: upstream.id.clone(),
            kind: upstream.kind.name().to_owned(),
        });
    }
    Ok(Target { provider, model: Cow::Borrowed(model) })
}

/// Answers a route that needs no provider.
///
/// # Errors
/// The error to answer with.
pub async fn local(
    shard: &Rc<Shard>,
    context: &Context,
    route: &Route,
    responder: &mut Responder,
    account: &mut Account,
) -> Result<bool, GatewayError> {
    const JSON: &[u8] = b"application/json";
    // RFC-less but the registered type of the Prometheus text format.
    const PROMETHEUS: &[u8] = b"text/plain; version=0.0.4; charset=utf-8";
    let snapshot = &shard.snapshot;
    let mut body = Vec::new();
    let kind = match route {
        Route::Models => {
            models::write_list(visible(snapshot, context.client).map(described(snapshot)), &mut body);
            JSON
        }
        Route::Model(id) => {
            let known = visible(snapshot, context.client)
                .find(|(listed, provider)| {
                    *listed == id
                        || listed.split_once(':').is_some_and(|(prefix, model)| {
                            model == id
                                && snapshot.resolve(id).is_some_and(|(bare, _)| {
                                    bare == *provider
                                        && snapshot.providers.get(bare).is_some_and(|up| up.id == prefix)
                                })
                        })
                })
                .map(|(_, provider)| provider);
            let Some(provider) = known else {
                return Err(GatewayError::ModelNotFound { model: id.clone() });
            };
            models::write_model(&described(snapshot)((id, provider)), &mut body);
            JSON
        }
        Route::Live => {
            body.extend_from_slice(br#"{"status":"ok"}"#);
            JSON
        }
        Route::Ready if shard.draining.is_raised() => return Err(GatewayError::Draining),
        Route::Ready => {
            body.extend_from_slice(br#"{"status":"ready"}"#);
            JSON
        }
        Route::Metrics => {
            body = shard.rendered_metrics().await.ok_or(GatewayError::Internal)?;
            PROMETHEUS
        }
        Route::Forward(_) | Route::None => return Err(GatewayError::Internal),
    };
    let persist = context.persists(shard);
    let mut answer = Buf::with_capacity(body.len() + LARGE_BYTES / 16);
    let out = answer.vec_mut();
    encode::status_line(out, StatusCode::OK);
    encode::field(out, "content-type", kind);
    encode::date_field(out);
    encode::number_field(out, "content-length", body.len() as u64);
    failure::connection(out, context.version, persist);
    out.extend_from_slice(b"\r\n");
    if !context.head_only {
        out.extend_from_slice(&body);
    }
    account.answered(StatusCode::OK);
    Ok(responder.send(answer).await.is_ok() && persist)
}

fn visible(snapshot: &Snapshot, client: Option<ClientId>) -> impl Iterator<Item = (&String, ProviderId)> {
    let client = client.and_then(|client| snapshot.clients.get(client));
    snapshot
        .listed
        .iter()
        .filter(move |(_, provider)| client.is_some_and(|client| client.may_use(*provider)))
        .map(|(id, provider)| (id, *provider))
}

fn described<'a>(snapshot: &'a Snapshot) -> impl Fn((&'a String, ProviderId)) -> models::Model<'a> {
    // When a model "was created" is not ours to know; the start of this process is a stable stand-in.
    static STARTED: OnceLock<u64> = OnceLock::new();
    let created = *STARTED
        .get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    move |(id, provider)| models::Model {
        id,
        created,
        owned_by: snapshot.providers.get(provider).map_or("", |upstream| &upstream.id),
    }
}
