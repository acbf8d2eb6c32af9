//! One request, in order: what it is, whose it is, what it asks for, the answer, its record.

use std::{cell::Cell, str::FromStr, sync::Arc, time::Duration};

use coo_shards::http1::{
    head::{Known, RequestHead},
    server::{Request, Responder},
};
use http::Method;

use super::{
    anthropic, bedrock, cohere, control,
    deliver::{self, End, Terms},
    faults::Fault,
    gemini,
    latency::Latency,
    openai::{self, family::Family},
    record::{Raw, Record, Trace},
    replicate,
    reply::Reply,
    settings::{MAX_ANSWER_TOKENS, Settings},
    shard::{Live, Shard},
    vertex, voyage,
};

/// What a request chose for itself with the header `x-sim`, such as
/// `x-sim: fault=stall-mid, latency=5ms, first-token=0, tokens=100, chunk-tokens=4, tokens-per-s=50`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knobs {
    pub(crate) fault: Option<Fault>,
    pub(crate) latency: Option<Latency>,
    pub(crate) first_token: Option<Latency>,
    pub(crate) tokens: Option<usize>,
    pub(crate) chunk_tokens: Option<usize>,
    pub(crate) tokens_per_s: Option<f64>,
}

impl Knobs {
    fn read(&mut self, value: &[u8]) {
        fn parsed<T: FromStr>(text: &str) -> Option<T> {
            text.parse().ok()
        }
        let text = String::from_utf8_lossy(value);
        // Latencies may hold commas, so a part without `=` belongs to the one before.
        let mut parts: Vec<String> = Vec::new();
        for part in text.split(',') {
            match parts.last_mut() {
                Some(last) if !part.contains('=') => {
                    last.push(',');
                    last.push_str(part);
                }
                _ => parts.push(part.to_owned()),
            }
        }
        for part in &parts {
            let (name, value) = part.split_once('=').unwrap_or(("", ""));
            let value = value.trim();
            match name.trim() {
                "fault" => self.fault = Fault::named(value),
                "latency" => self.latency = parsed(value),
                "first-token" => self.first_token = parsed(value),
                "tokens" => self.tokens = parsed(value).filter(|&n| n <= MAX_ANSWER_TOKENS),
                "chunk-tokens" => self.chunk_tokens = parsed(value),
                "tokens-per-s" => self.tokens_per_s = parsed(value).filter(|n: &f64| n.is_finite()),
                _ => {}
            }
        }
    }
}

/// A provider's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    OpenAi,
    Anthropic,
    Gemini,
    Cohere,
    Voyage,
    Replicate,
    Azure,
    Vertex,
    /// Where Google hands out access tokens.
    Token,
    Bedrock,
    /// One that speaks OpenAI's in its own way.
    Family(Family),
}

impl Api {
    /// The format that a request is in: each provider has paths of its own, but for `/v1/models`, which all have.
    fn of(path: &str, fields: &Fields<'_>) -> Self {
        let under =
            |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let models = under("/v1/models");
        if under("/openai") {
            Api::Azure
        } else if under("/v1/projects") || under("/v1beta1") {
            Api::Vertex
        } else if path == "/token" {
            Api::Token
        } else if under("/v1beta") || (models && (fields.x_goog_api_key.is_some() || gemini::is_method(path)))
        {
            Api::Gemini
        } else if under("/v1/messages") || (models && fields.version.is_some()) {
            Api::Anthropic
        } else if under("/v2") {
            Api::Cohere
        } else if under(voyage::ROOT) {
            Api::Voyage
        } else if under("/v1/predictions") || under("/v1/files") || (models && path.ends_with("/predictions"))
        {
            Api::Replicate
        } else if under("/model") {
            Api::Bedrock
        } else if let Some((family, _)) = Family::of(path) {
            Api::Family(family)
        } else {
            Api::OpenAi
        }
    }

    fn answer(self, call: &Call<'_>) -> Reply {
        let latency = call.knobs.latency.unwrap_or(call.live.settings.latency);
        let wait = call.stretched(latency.sample(&call.shard.rng));
        match self {
            Api::OpenAi => openai::answer(call, wait),
            Api::Anthropic => anthropic::answer(call, wait),
            Api::Gemini => gemini::answer(call, wait),
            Api::Cohere => cohere::answer(call, wait),
            Api::Voyage => voyage::answer(call, wait),
            Api::Replicate => replicate::answer(call, wait),
            Api::Azure => openai::azure::answer(call, wait),
            Api::Vertex => vertex::answer(call, wait),
            Api::Token => vertex::token(call, wait),
            Api::Bedrock => bedrock::answer(call, wait),
            Api::Family(family) => openai::family::answer(family, call, wait),
        }
    }
}

/// A request being answered.
pub(crate) struct Call<'a> {
    pub(crate) shard: &'a Shard,
    pub(crate) live: Arc<Live>,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
    /// All of it, for those who sign.
    pub(crate) request: &'a Request,
    /// The key, from where its format has it.
    pub(crate) key: Option<&'a [u8]>,
    /// The value of `anthropic-version`.
    pub(crate) version: Option<&'a [u8]>,
    pub(crate) content_type: Option<&'a [u8]>,
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) prefer: Option<&'a [u8]>,
    pub(crate) knobs: Knobs,
    trace: &'a Trace<'a>,
}

impl<'a> Call<'a> {
    /// The same with another body.
    pub(crate) fn with_body<'b>(&self, body: &'b [u8]) -> Call<'b>
    where
        'a: 'b,
    {
        Call { live: Arc::clone(&self.live), body, knobs: self.knobs.clone(), ..*self }
    }

    /// Adds to the record what the body said.
    pub(crate) fn named(&self, model: &str, stream: bool) {
        self.trace.update(|record| {
            model.clone_into(&mut record.model);
            record.stream = stream;
        });
    }

    /// The fault this request gets: by its header, its model, or the settings.
    pub(crate) fn chosen_fault(&self, model: Option<&str>) -> Option<Fault> {
        let live = || self.live.fault_at(self.shard.shared.now_us());
        self.knobs.fault.or_else(|| model.and_then(Fault::of_model)).or_else(live)
    }

    /// A wait as long as it is for this request's key now.
    pub(crate) fn stretched(&self, wait: Duration) -> Duration {
        let Settings { slowdown, slow_keys, .. } = &self.live.settings;
        let of_key = slow_keys.iter().find(|(key, _)| Some(key.as_bytes()) == self.key);
        let factor = slowdown * of_key.map_or(1.0, |(_, factor)| *factor);
        // Most have nothing to stretch, and exact waits stay exact.
        if (factor - 1.0).abs() < f64::EPSILON { wait } else { wait.mul_f64(factor) }
    }
}

/// Where an exchange stands, for the connection to read when it was cut short.
#[derive(Default)]
pub(crate) struct Progress {
    /// Whether the request was one to the provider, not to `/__sim/`.
    pub(crate) counted: Cell<bool>,
    /// Whether the answer was sent as intended.
    pub(crate) complete: Cell<bool>,
}

/// Answers `request`, which came on the connection numbered `connection`.
pub(crate) async fn answer(
    shard: &Shard,
    connection: u64,
    request: Request,
    responder: &mut Responder,
    trace: &Trace<'_>,
    progress: &Progress,
) -> End {
    let target = std::str::from_utf8(request.target()).unwrap_or("");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let fields = Fields::of(&request.head, request.head_bytes());
    let api = Api::of(path, &fields);
    let live = shard.live();
    let key = match api {
        Api::OpenAi | Api::Cohere | Api::Voyage | Api::Replicate | Api::Token | Api::Family(_) => {
            fields.bearer
        }
        Api::Vertex => fields.bearer.map(vertex::key),
        Api::Azure => fields.api_key.or(fields.bearer),
        // Its first SDKs send a key as `x-api-key`, later ones like OpenAI's.
        Api::Anthropic => fields.x_api_key.or(fields.bearer),
        Api::Gemini => fields.x_goog_api_key.or_else(|| parameter(query, "key")),
        Api::Bedrock => bedrock::key(&request, &live.settings, fields.bearer),
    };
    let call = Call {
        shard,
        live: Arc::clone(&live),
        method: &request.head.method,
        path,
        query,
        body: request.body(),
        request: &request,
        key,
        version: fields.version,
        content_type: fields.content_type,
        host: fields.host,
        prefer: fields.prefer,
        knobs: fields.knobs,
        trace,
    };
    let mut terms = Terms {
        version: request.head.version,
        keep_alive: request.head.keep_alive && !shard.stop.is_raised(),
        head_only: request.head.method == Method::HEAD,
    };
    if let Some(order) = path.strip_prefix("/__sim/") {
        let reply = control::answer(&call, order);
        return deliver::control(responder, reply, terms).await;
    }
    progress.counted.set(true);
    shard.count(|counters| &counters.requests, 1);
    record(&call, connection, &request);
    let reply = api.answer(&call);
    let status = reply.status.as_u16();
    let (prompt, completion) = (reply.prompt_tokens, reply.completion_tokens);
    trace.update(|record| {
        record.status = status;
        record.prompt_tokens = prompt;
    });
    if status >= 400 {
        shard.count(|counters| &counters.errors, 1);
        if status == 429 {
            shard.count(|counters| &counters.rate_limited, 1);
        }
    } else {
        shard.count(|counters| &counters.prompt_tokens, prompt);
        shard.count(|counters| &counters.completion_tokens, completion);
    }
    // Taken for as long as the answer takes, and given back when the client leaves.
    let seat = (status < 400).then(|| shard.seat()).flatten();
    if let Some(seat) = &seat {
        seat.turn().await;
    }
    wait(reply.wait).await;
    terms.keep_alive &= !shard.stop.is_raised();
    let (end, complete) = deliver::reply(shard, responder, reply, terms, trace).await;
    progress.complete.set(complete);
    end
}

/// Waits; returns at once for zero.
pub(crate) async fn wait(duration: Duration) {
    if !duration.is_zero() {
        monoio::time::sleep(duration).await;
    }
}

/// What the header says that decides about the answer.
#[derive(Default)]
struct Fields<'a> {
    bearer: Option<&'a [u8]>,
    api_key: Option<&'a [u8]>,
    x_api_key: Option<&'a [u8]>,
    x_goog_api_key: Option<&'a [u8]>,
    /// `anthropic-version`
    version: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    prefer: Option<&'a [u8]>,
    knobs: Knobs,
}

impl<'a> Fields<'a> {
    fn of(head: &RequestHead, bytes: &'a [u8]) -> Self {
        let mut found = Self::default();
        for field in &head.fields {
            let value = field.value(bytes);
            let is = |name: &str| field.name(bytes).eq_ignore_ascii_case(name.as_bytes());
            match field.known {
                Known::Authorization => found.bearer = bearer(value),
                Known::ContentType => found.content_type = Some(value),
                Known::Host => found.host = Some(value),
                Known::Other if is("prefer") => found.prefer = Some(value),
                Known::Other if is("x-sim") => found.knobs.read(value),
                Known::Other if is("api-key") => found.api_key = Some(value).filter(|key| !key.is_empty()),
                Known::Other if is("x-api-key") => {
                    found.x_api_key = Some(value).filter(|key| !key.is_empty())
                }
                Known::Other if is("x-goog-api-key") => {
                    found.x_goog_api_key = Some(value).filter(|key| !key.is_empty());
                }
                Known::Other if is("anthropic-version") => found.version = Some(value),
                _ => {}
            }
        }
        found
    }
}

/// A parameter of the query, as it stands there.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a [u8]> {
    let mut parts = query.split('&').filter_map(|part| part.split_once('='));
    parts.find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value.as_bytes())
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then_some(key)
}

fn record(call: &Call<'_>, connection: u64, request: &Request) {
    let Some(recorder) = call.shard.recorder() else { return };
    let shared = &call.shard.shared;
    let time_us = shared.now_us();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    call.trace.begin(|| Record {
        time_us,
        unix_s: shared.unix_s(time_us),
        key: text(call.key.unwrap_or_default()),
        endpoint: call.path.to_owned(),
        connection,
        ..Record::default()
    });
    if recorder.wants_raw() {
        let head = request.head_bytes();
        recorder.add_raw(Raw {
            time_us,
            method: call.method.to_string(),
            target: text(request.target()),
            headers: request
                .head
                .fields
                .iter()
                .map(|field| (text(field.name(head)), text(field.value(head))))
                .collect(),
            body: text(call.body),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_are_read_even_with_commas_in_latencies() {
        let mut knobs = Knobs::default();
        knobs.read(b"fault=stall-mid, latency=lognormal:5ms,0.5, tokens=7,chunk-tokens=2, tokens-per-s=50");
        assert_eq!(knobs.fault, Some(Fault::StallMid));
        assert!(matches!(knobs.latency, Some(Latency::LogNormal { .. })));
        assert_eq!((knobs.tokens, knobs.tokens_per_s), (Some(7), Some(50.0)));
    }

    #[test]
    fn the_path_says_which_format_it_is() {
        let (plain, version, google) = (
            Fields::default(),
            Fields { version: Some(b"2023-06-01"), ..Fields::default() },
            Fields { x_goog_api_key: Some(b"AIza"), ..Fields::default() },
        );
        for (path, fields, api) in [
            ("/v1/chat/completions", &plain, Api::OpenAi),
            ("/v1/models", &plain, Api::OpenAi),
            ("/v1/models/ft:gpt-4o:acme::id", &plain, Api::OpenAi),
            ("/v1/models", &version, Api::Anthropic),
            ("/v1/models/claude-opus-5", &version, Api::Anthropic),
            ("/v1/messages", &plain, Api::Anthropic),
            ("/v1/messages/count_tokens", &plain, Api::Anthropic),
            ("/v1/messages2", &plain, Api::OpenAi),
            ("/v1beta/models", &plain, Api::Gemini),
            ("/v1beta/models/gemini-2.5-flash:generateContent", &plain, Api::Gemini),
            ("/v2/chat", &plain, Api::Cohere),
            ("/voyage/v1/embeddings", &plain, Api::Voyage),
            ("/v1/models/meta/llama/predictions", &plain, Api::Replicate),
            ("/v1/predictions", &plain, Api::Replicate),
            ("/v1/predictions/p1", &plain, Api::Replicate),
            ("/openai/v1/chat/completions", &plain, Api::Azure),
            ("/openai/deployments/a/embeddings", &plain, Api::Azure),
            ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent", &plain, Api::Vertex),
            ("/v1beta1/projects/p/locations/l/publishers/google/models/m:predict", &plain, Api::Vertex),
            ("/token", &plain, Api::Token),
            ("/model/amazon.nova-lite-v1%3A0/converse", &plain, Api::Bedrock),
            ("/v1/models", &google, Api::Gemini),
            ("/v1/models/gemini-2.5-flash:streamGenerateContent", &plain, Api::Gemini),
        ] {
            assert_eq!(Api::of(path, fields), api, "{path}");
        }
        assert_eq!(parameter("alt=sse&key=k1", "key"), Some(&b"k1"[..]));
        assert_eq!(parameter("key=&monkey=1", "key"), None);
    }

    #[test]
    fn only_bearer_keys_are_keys() {
        for (value, key) in [
            ("Bearer sk-1", Some("sk-1")),
            ("bearer  sk-1 ", Some("sk-1")),
            ("Basic abc", None),
            ("Bearer ", None),
            ("", None),
        ] {
            assert_eq!(bearer(value.as_bytes()), key.map(str::as_bytes), "{value}");
        }
    }
}
