//! What a request head asks for: the route, the client, and whether it is refused already.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use coo_shards::{
    fair::Flow,
    http1::{
        head::{Field, Known, RequestHead, Version},
        server::Receiver,
    },
};
use http::Method;

use super::{auth, shard::Shard};
use crate::{
    config::{Urgency, snapshot::ClientId},
    dialect::{
        chat::Refused,
        gemini::inbound::target,
        openai::{error::GatewayError, request::Endpoint},
    },
};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To a provider.
    Forward(Endpoint),
    /// `GET models`
    Models,
    /// `GET models/{id}`
    Model(String),
    /// Prometheus metrics.
    Metrics,
    /// Liveness: the process answers.
    Live,
    /// Readiness: it also takes new work.
    Ready,
    /// Nowhere; the request is refused.
    None,
}

impl Route {
    /// Whether a client key is needed.
    fn is_public(&self) -> bool {
        matches!(self, Route::Metrics | Route::Live | Route::Ready | Route::None)
    }
}

/// What is known of a request from its head.
#[derive(Debug)]
pub struct Context {
    /// When the head was complete.
    pub received: Instant,
    /// Where it goes.
    pub route: Route,
    /// Who sent it, once authenticated.
    pub client: Option<ClientId>,
    /// Why it will not be answered, if so.
    pub refusal: Option<GatewayError>,
    /// The client's version.
    pub version: Version,
    /// A HEAD request: the answer has no body.
    pub head_only: bool,
    /// The client's address.
    pub peer: std::net::SocketAddr,
    /// The method and the path without its query, for the access log.
    pub method: Method,
    /// See `method`.
    pub path: String,
    /// How long the client will wait: its `x-request-timeout`.
    pub patience: Option<Duration>,
    /// Whose turn it is where it must wait.
    pub flow: Flow,
    /// Whether the path is one of Google's API, whose clients are told errors and models in its form.
    pub is_googles: bool,
    keep_alive: bool,
}

impl Context {
    /// Judges the head that `receiver` just returned.
    #[must_use]
    pub fn new(head: &RequestHead, receiver: &Receiver, shard: &Shard) -> Self {
        let bytes = receiver.received();
        let target = bytes.get(head.target.clone()).unwrap_or_default();
        let mut parts = target.splitn(2, |&byte| byte == b'?');
        let path = parts.next().unwrap_or_default();
        // Nearly always it is text: looking for what is none, piece by piece, costs ten times as much.
        let path = std::str::from_utf8(path).map_or_else(|_| String::from_utf8_lossy(path), Cow::Borrowed);
        let query = parts.next().unwrap_or_default();
        let mut context = Context {
            received: Instant::now(),
            route: Route::None,
            client: None,
            refusal: None,
            version: head.version,
            head_only: head.method == Method::HEAD,
            peer: receiver.peer,
            method: head.method.clone(),
            path: String::new(),
            patience: None,
            flow: Flow::default(),
            is_googles: is_googles(&path),
            keep_alive: head.keep_alive,
        };
        match route(&head.method, &path, &shard.metrics_path) {
            Ok(route) => {
                context.is_googles |= match &route {
                    Route::Forward(endpoint) => endpoint.is_googles(),
                    // At /v1 OpenAI's clients ask for models too: who asks is known by how the key is sent.
                    Route::Models | Route::Model(_) => {
                        named(head, bytes, "x-goog-api-key").is_some()
                            || target::parameter(query, "key").is_some()
                    }
                    _ => false,
                };
                context.route = route;
            }
            Err(error) => context.refusal = Some(error),
        }
        // Unknown paths need a key too, so that a stranger learns nothing of what exists.
        if !context.route.is_public() || (context.refusal.is_some() && is_api(&path)) {
            let google = context.is_googles.then_some(query);
            match auth::client(head, bytes, google, &shard.snapshot) {
                Ok(client) => context.client = Some(client),
                Err(error) => context.refusal = Some(error),
            }
        }
        if context.refusal.is_none() && matches!(context.route, Route::Forward(_)) {
            context.refusal =
                unsupported_coding(head, bytes).or_else(|| unsupported_form(&context.route, query));
            context.patience = named(head, bytes, "x-request-timeout").and_then(patience);
            context.flow = flow(context.client, head, bytes, shard);
        }
        context.path = path.into_owned();
        context
    }

    /// Which operation it is for, where it is one that goes to a provider.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        match self.route {
            Route::Forward(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// In the dialect of which operation errors are told.
    #[must_use]
    pub fn spoken_at(&self) -> Option<Endpoint> {
        self.endpoint().or(self.is_googles.then_some(Endpoint::GenerateContent))
    }

    /// Whether the connection stays open after the answer.
    #[must_use]
    pub fn persists(&self, shard: &Shard) -> bool {
        self.keep_alive && !shard.draining.is_raised()
    }
}

/// A compressed body cannot be routed without decompressing it.
fn unsupported_coding(head: &RequestHead, bytes: &[u8]) -> Option<GatewayError> {
    let field = head.fields.iter().find(|field| field.known == Known::ContentEncoding)?;
    let value = field.value(bytes);
    (!value.is_empty() && !value.eq_ignore_ascii_case(b"identity"))
        .then_some(GatewayError::UnsupportedMediaType)
}

/// Without `alt=sse` Google answers a stream as one array.
fn unsupported_form(route: &Route, query: &[u8]) -> Option<GatewayError> {
    let of_events =
        || ["alt", "$alt"].iter().any(|name| target::parameter(query, name).as_deref() == Some("sse"));
    let is_stream = *route == Route::Forward(Endpoint::StreamGenerateContent);
    (is_stream && !of_events()).then(|| {
        GatewayError::Untranslatable(Refused {
            param: "alt".into(),
            message: "Streams are server-sent events here, not one array. Send '?alt=sse' with the path."
                .into(),
        })
    })
}

/// The value of a header field that the engine does not know.
fn named<'a>(head: &RequestHead, bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let is = |field: &&Field| {
        field.known == Known::Other && field.name(bytes).eq_ignore_ascii_case(name.as_bytes())
    };
    let value = head.fields.iter().find(is)?.value(bytes);
    std::str::from_utf8(value).ok().map(str::trim)
}

/// Whose turn it is: `x-priority` may make a request less urgent than its client is, not more. What cannot be read
/// is as if it were absent.
fn flow(client: Option<ClientId>, head: &RequestHead, bytes: &[u8], shard: &Shard) -> Flow {
    let most = client.and_then(|client| shard.snapshot.clients.get(client));
    let most = most.map_or(Urgency::default(), |client| client.urgency);
    let asked = named(head, bytes, "x-priority").and_then(|asked| {
        let known = Urgency::CHOICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(asked));
        known.map(|(_, urgency)| *urgency)
    });
    let who = client.and_then(|client| u32::try_from(client).ok()).unwrap_or(u32::MAX);
    Flow { who, class: asked.map_or(most, |asked| asked.max(most)).class() }
}

/// `x-request-timeout`: how long the client will wait, in seconds (`30`, `2.5`) or with a unit (`30s`, `500ms`).
/// What cannot be read is as if it were absent.
fn patience(text: &str) -> Option<Duration> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    let seconds: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds * unit).ok().filter(|patience| !patience.is_zero())
}

fn is_api(path: &str) -> bool {
    let path = path.strip_prefix("/api").unwrap_or(path);
    path.starts_with("/v1/") || path.starts_with("/v2/") || is_googles(path)
}

/// Whether only Google's clients come here. At `/v1`, which Google's API has too, it depends on the rest of the path.
fn is_googles(path: &str) -> bool {
    path.starts_with("/v1beta/") || path.starts_with("/api/v1beta/")
}

/// The route of `method` and `path`; the API is at `/v1` and at the original's `/api/v1`, Google's at `/v1beta` too, and
/// what Cohere's clients ask for at `/v2`.
fn route(method: &Method, path: &str, metrics_path: &str) -> Result<Route, GatewayError> {
    let get = |route: Route| match *method {
        Method::GET | Method::HEAD => Ok(route),
        _ => Err(not_allowed(method, "GET, HEAD")),
    };
    let post = |endpoint| match *method {
        Method::POST => Ok(Route::Forward(endpoint)),
        _ => Err(not_allowed(method, "POST")),
    };
    let api = path.strip_prefix("/api").unwrap_or(path);
    match api.strip_prefix("/v1/") {
        Some("chat/completions") => return post(Endpoint::ChatCompletions),
        Some("embeddings") => return post(Endpoint::Embeddings),
        Some("messages") => return post(Endpoint::Messages),
        Some("messages/count_tokens") => return post(Endpoint::CountTokens),
        Some("responses") => return post(Endpoint::Responses),
        Some("completions") => return post(Endpoint::Completions),
        Some("moderations") => return post(Endpoint::Moderations),
        Some("images/generations") => return post(Endpoint::Images),
        Some("audio/speech") => return post(Endpoint::Speech),
        Some("audio/transcriptions") => return post(Endpoint::Transcriptions),
        Some("audio/translations") => return post(Endpoint::Translations),
        Some("rerank") => return post(Endpoint::Rerank),
        Some("models") => return get(Route::Models),
        rest => {
            if let Some((endpoint, _)) = target::read(path)
                && (rest.is_none() || *method == Method::POST)
            {
                return post(endpoint);
            }
            let google = api.strip_prefix("/v1beta/");
            if google == Some("models") {
                return get(Route::Models);
            }
            // What is posted to one of Google's models has a method that nobody knows.
            let is_method = google.is_some() && *method == Method::POST;
            if let Some(id) = rest.or(google).and_then(|rest| rest.strip_prefix("models/"))
                && !id.is_empty()
                && !is_method
            {
                return get(Route::Model(percent_decoded(id)));
            }
        }
    }
    match api.strip_prefix("/v2/") {
        Some("chat") => return post(Endpoint::CohereChat),
        Some("embed") => return post(Endpoint::CohereEmbed),
        Some("rerank") => return post(Endpoint::CohereRerank),
        _ => {}
    }
    match path {
        "/health" | "/livez" => get(Route::Live),
        "/readyz" => get(Route::Ready),
        "/metrics" | "/api/metrics" if !metrics_path.is_empty() => get(Route::Metrics),
        path if path == metrics_path && !path.is_empty() => get(Route::Metrics),
        _ => Err(GatewayError::UnknownPath { method: method.to_string(), path: path.to_owned() }),
    }
}

fn not_allowed(method: &Method, allow: &'static str) -> GatewayError {
    GatewayError::MethodNotAllowed { method: method.to_string(), allow }
}

/// Decodes `%XX`; anything else, a broken escape included, stands for itself.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_prefixes_reach_the_api_and_methods_are_checked() {
        let of = |method: &str, path: &str| {
            route(&Method::from_bytes(method.as_bytes()).unwrap(), path, "/metrics")
                .map_err(|e| e.kind().status)
        };
        for prefix in ["/v1", "/api/v1"] {
            let chat = format!("{prefix}/chat/completions");
            assert_eq!(of("POST", &chat), Ok(Route::Forward(Endpoint::ChatCompletions)));
            assert_eq!(of("GET", &chat), Err(405));
            assert_eq!(of("HEAD", &format!("{prefix}/models")), Ok(Route::Models));
            assert_eq!(of("GET", &format!("{prefix}/models/a%3Ab/c")), Ok(Route::Model("a:b/c".into())));
            assert_eq!(of("GET", &format!("{prefix}/models/")), Err(404));
        }
        assert_eq!(of("POST", "/v2/chat"), Ok(Route::Forward(Endpoint::CohereChat)));
        assert_eq!(of("POST", "/api/v2/embed"), Ok(Route::Forward(Endpoint::CohereEmbed)));
        assert_eq!(of("GET", "/v2/rerank"), Err(405));
        for prefix in ["/v1", "/v1beta", "/api/v1beta"] {
            let stream = format!("{prefix}/models/a:b/c:streamGenerateContent");
            assert_eq!(of("POST", &stream), Ok(Route::Forward(Endpoint::StreamGenerateContent)));
            assert_eq!(of("GET", &format!("{prefix}/models")), Ok(Route::Models));
            assert_eq!(of("GET", &format!("{prefix}/models/a%3Ab")), Ok(Route::Model("a:b".into())));
        }
        assert_eq!(of("POST", "/v1/models/a:b"), Err(405));
        assert_eq!(of("POST", "/v1beta/models/a:b"), Err(404));
        assert_eq!(of("GET", "/v1beta/models/a:generateContent"), Err(405));
        assert_eq!(of("GET", "/v1beta/files"), Err(404));
        assert_eq!(of("GET", "/metrics"), Ok(Route::Metrics));
        assert_eq!(of("GET", "/api/metrics"), Ok(Route::Metrics));
        assert_eq!(of("GET", "/v2/models"), Err(404));
        assert_eq!(of("POST", "/livez"), Err(405));
        assert_eq!(of("GET", "*"), Err(404));
    }

    #[test]
    fn broken_escapes_stand_for_themselves() {
        for (text, want) in [("a%3Ab", "a:b"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%41%", "A%")] {
            assert_eq!(percent_decoded(text), want);
        }
    }
}
