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
    failure, price,
    request::{Context, Route},
    shard::Shard,
    translate,
};
use crate::{
    config::{
        models::Modality,
        routes::Route as Targets,
        snapshot::{Client, ClientId, Listed, ProviderId, Snapshot, Upstream},
    },
    dialect::{
        gemini,
        openai::{error::GatewayError, models, request::Endpoint},
    },
};

/// Where a request may go: targets to choose among, then those to fall back to.
pub struct Plan<'a> {
    /// The compiled configuration.
    pub snapshot: &'a Snapshot,
    /// The number of the route, where there is more than one target.
    pub route: Option<usize>,
    client: Option<&'a Client>,
    many: Option<&'a Targets>,
    one: (ProviderId, &'a str),
    endpoint: Endpoint,
}

impl<'a> Plan<'a> {
    /// How many targets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.many.map_or(1, |route| route.targets.len())
    }

    /// Whether there is none, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them are to choose among.
    #[must_use]
    pub fn choices(&self) -> usize {
        self.many.map_or(1, |route| route.choices)
    }

    /// The provider of a target, and its name of the model.
    #[must_use]
    pub fn get(&self, target: usize) -> Option<(ProviderId, &'a str)> {
        match self.many {
            None => (target == 0).then_some(self.one),
            Some(route) => route.targets.get(target).map(|target| (target.provider, target.model.as_str())),
        }
    }

    /// The same, with what is known of the provider.
    #[must_use]
    pub fn upstream(&self, target: usize) -> Option<(ProviderId, &'a Upstream)> {
        let (provider, _) = self.get(target)?;
        Some((provider, self.snapshot.providers.get(provider)?))
    }

    /// Whether the client may use it and its protocol is spoken.
    #[must_use]
    pub fn allows(&self, provider: ProviderId) -> bool {
        self.client.is_some_and(|client| client.may_use(provider))
            && self
                .snapshot
                .providers
                .get(provider)
                .is_some_and(|up| translate::serves(up.kind, self.endpoint))
    }
}

/// Where the model `name` of `client` may be served.
///
/// # Errors
/// Unknown model, no provider allowed to this client, or none of a type that is built.
pub fn plan<'a>(
    snapshot: &'a Snapshot,
    client: Option<ClientId>,
    name: &'a Cow<'a, str>,
    endpoint: Endpoint,
) -> Result<Plan<'a>, GatewayError> {
    let unknown = || GatewayError::ModelNotFound { model: name.to_string() };
    let one = snapshot.resolve(name).ok_or_else(unknown)?;
    let client = client.and_then(|client| snapshot.clients.get(client));
    let (route, many) = snapshot.routes.get(name).unzip();
    let plan = Plan { snapshot, route, client, many, one, endpoint };
    if (0..plan.len()).any(|target| plan.get(target).is_some_and(|(provider, _)| plan.allows(provider))) {
        return Ok(plan);
    }
    let upstream = snapshot.providers.get(one.0).ok_or_else(unknown)?;
    if !client.is_some_and(|client| client.may_use(one.0)) {
        return Err(GatewayError::ProviderNotAllowed { provider: upstream.id.clone() });
    }
    Err(GatewayError::NotServed { provider: upstream.id.clone(), endpoint: endpoint.noun() })
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
        Route::Models if context.is_googles => {
            let known = visible(snapshot, context.client).map(described(snapshot));
            gemini::inbound::models::write_list(known, &mut body);
            JSON
        }
        Route::Models => {
            models::write_list(visible(snapshot, context.client).map(described(snapshot)), &mut body);
            JSON
        }
        Route::Model(id) => {
            let known = visible(snapshot, context.client).find(|listed| {
                listed.id == *id
                    || listed.id.split_once(':').is_some_and(|(prefix, model)| {
                        model == id
                            && snapshot.resolve(id).is_some_and(|(bare, _)| {
                                bare == listed.provider
                                    && snapshot.providers.get(bare).is_some_and(|up| up.id == prefix)
                            })
                    })
            });
            let Some(listed) = known else {
                return Err(GatewayError::ModelNotFound { model: id.clone() });
            };
            let model = models::Model { id, ..described(snapshot)(listed) };
            match context.is_googles {
                true => gemini::inbound::models::write_model(&model, &mut body),
                false => models::write_model(&model, &mut body),
            }
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

fn visible(snapshot: &Snapshot, client: Option<ClientId>) -> impl Iterator<Item = &Listed> {
    let client = client.and_then(|client| snapshot.clients.get(client));
    let may_use = move |listed: &&Listed| client.is_some_and(|client| client.may_use(listed.provider));
    snapshot.listed.iter().filter(may_use)
}

fn described<'a>(snapshot: &'a Snapshot) -> impl Fn(&'a Listed) -> models::Model<'a> {
    // When a model "was created" is not ours to know; the start of this process is a stable stand-in.
    static STARTED: OnceLock<u64> = OnceLock::new();
    let created = *STARTED
        .get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    move |listed| {
        let upstream = snapshot.providers.get(listed.provider);
        let about = upstream.and_then(|upstream| upstream.prices.about(&listed.model));
        let price = upstream.and_then(|upstream| upstream.prices.of(&listed.model));
        let names = |kinds: &[Modality]| kinds.iter().map(|kind| kind.name()).collect();
        models::Model {
            id: &listed.id,
            created,
            owned_by: upstream.map_or("", |upstream| &upstream.id),
            context_length: about.and_then(|about| about.context),
            max_output_tokens: about.and_then(|about| about.max_output),
            modalities: about.map(|about| (names(&about.reads), names(&about.writes))),
            prices: price.map(|price| price::token_prices(&price.usual)),
        }
    }
}
