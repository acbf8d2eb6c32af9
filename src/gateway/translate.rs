//! A request for a provider that speaks another dialect than its client, and the way back.

use std::{
    borrow::Cow,
    cell::Cell,
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::{encode, head::Field, server::Responder},
};
use http::StatusCode;

use super::{
    account::Account,
    attempt::Answer,
    balance::Outcome,
    failure,
    forward::{Wanted as Asked, content_type},
    poll,
    request::Context,
    respond,
    route::Plan,
    shard::Shard,
};
use crate::{
    config::{
        ProviderType,
        models::max_output_tokens,
        snapshot::{Key, Upstream},
    },
    dialect::{
        azure, bedrock,
        chat::Face,
        claude, estimate, gemini,
        openai::{
            chat::Family,
            error::{GatewayError, UpstreamFault},
            request::Endpoint,
            splice::Splice,
        },
        translate::{self, Rules, Wire, embeddings::Wanted},
        vertex,
    },
};

/// Most bytes of an answer that is translated: it must be whole before it can be read.
const MOST_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The most tokens of an answer, for providers that must be told, where neither client nor configuration says and
/// the model is not known: the oldest models give no more.
const MAX_TOKENS: u64 = 4096;
/// The same of a model that is known to give that many. Few answers are longer, and a client that wants 64,000
/// tokens should be the one to say so: they are paid for, and `token_reserve: worst_case` reserves them.
const MOST_UNASKED_TOKENS: u64 = 8192;

/// What a provider of this type speaks for a model.
#[must_use]
pub fn wire(kind: ProviderType, model: &str) -> Wire {
    match kind {
        ProviderType::Claude => Wire::Claude,
        ProviderType::Gemini => Wire::Gemini,
        ProviderType::Vertex => vertex::wire(model),
        ProviderType::Cohere => Wire::Cohere,
        ProviderType::Voyage => Wire::Voyage,
        ProviderType::Replicate => Wire::Replicate,
        ProviderType::Bedrock => Wire::Bedrock,
        ProviderType::OpenAi
        | ProviderType::Azure
        | ProviderType::Grok
        | ProviderType::Fireworks
        | ProviderType::Together
        | ProviderType::HuggingFace
        | ProviderType::Mistral
        | ProviderType::OpenRouter
        | ProviderType::Custom => Wire::OpenAi,
    }
}

/// In whose ways a provider of this type speaks OpenAI's dialect. Of others nothing is known that must be minded.
pub(super) fn family(kind: ProviderType) -> Family {
    match kind {
        ProviderType::Mistral => Family::Mistral,
        ProviderType::Grok => Family::Grok,
        ProviderType::OpenRouter => Family::OpenRouter,
        ProviderType::Fireworks => Family::Fireworks,
        ProviderType::Together => Family::Together,
        _ => Family::OpenAi,
    }
}

/// Whether a provider of this type serves `endpoint` with any of its models.
#[must_use]
pub fn serves(kind: ProviderType, endpoint: Endpoint) -> bool {
    // Of Vertex AI's models those of Google do more.
    wire(kind, "").serves(endpoint)
        && match kind {
            ProviderType::Azure => azure::has(endpoint),
            // Its embeddings are asked for in another way.
            ProviderType::Vertex => {
                !matches!(endpoint, Endpoint::EmbedContent | Endpoint::BatchEmbedContents)
            }
            _ => true,
        }
}

/// A request as a provider gets it.
pub struct Prepared<'r> {
    /// What the provider speaks.
    pub wire: Wire,
    /// The start of its head.
    pub head: Cow<'r, [u8]>,
    /// Its body.
    pub body: Body<'r>,
}

/// The body of a request.
pub enum Body<'r> {
    /// The client's, with what must change.
    Spliced(Splice<'r>),
    /// In another dialect.
    Translated(Vec<u8>),
}

impl Body<'_> {
    /// Its length in bytes.
    // A request body is never empty, so there is no `is_empty`.
    #[allow(clippy::len_without_is_empty)]
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Spliced(splice) => splice.len(),
            Self::Translated(bytes) => bytes.len(),
        }
    }

    /// Appends it.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Spliced(splice) => splice.write_into(out),
            Self::Translated(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// Whether it is in another dialect than the client's.
    #[must_use]
    pub fn is_translated(&self) -> bool {
        matches!(self, Self::Translated(_))
    }
}

/// Makes a client's request for `model` ready for a provider.
///
/// # Errors
/// What the provider's dialect cannot express.
pub(super) fn prepare<'r>(
    asked: &Asked<'r>,
    (upstream, key, model): (&Upstream, &'r Key, &'r str),
    account: &mut Account,
) -> Result<Prepared<'r>, GatewayError> {
    let &Asked { shard, endpoint, body, facts, .. } = asked;
    let wire = wire(upstream.kind, model);
    let is_vertex = upstream.kind == ProviderType::Vertex;
    if !wire.serves(endpoint) {
        let (provider, endpoint) = (upstream.id.clone(), endpoint.noun());
        return Err(GatewayError::NotServed { provider, endpoint });
    }
    if endpoint.is_count() && !wire.is_spoken_at(endpoint) {
        // Of an alias whose first target counts itself, and failed: a chat would be another thing.
        return Err(GatewayError::NotServed {
            provider: upstream.id.clone(),
            endpoint: "counting of tokens",
        });
    }
    if wire.is_spoken_at(endpoint) && endpoint.is_googles() {
        let head = match is_vertex {
            true => vertex::path_to(model, endpoint),
            false => gemini::model::path_to(model, endpoint),
        };
        let renamed = gemini::inbound::renamed(body, model).map_err(GatewayError::Untranslatable)?;
        let body = renamed.map_or_else(|| Body::Spliced(Splice::nothing(body)), Body::Translated);
        return Ok(Prepared { wire, head: key.head_at(&head).into(), body });
    }
    if wire.is_spoken_at(endpoint) && is_vertex {
        let (head, splice) = match endpoint {
            Endpoint::CountTokens => {
                (vertex::COUNT_PATH.into(), Splice::counted_at_vertex(body, facts, vertex::name(model)))
            }
            _ => (vertex::chat_path(model, facts.stream), Splice::for_vertex(body, facts)),
        };
        return Ok(Prepared { wire, head: key.head_at(&head).into(), body: Body::Spliced(splice) });
    }
    if wire.is_spoken_at(endpoint) {
        if endpoint.is_form() {
            let path: Cow<'_, str> = match upstream.has_deployments {
                true => azure::path(model, endpoint.path()).into(),
                false => endpoint.path().into(),
            };
            let head = key.form_head_at(&path, content_type(asked.request)).into();
            return Ok(Prepared { wire, head, body: Body::Spliced(Splice::form(body, facts, model)) });
        }
        let head: Cow<'_, [u8]> = match endpoint {
            endpoint if upstream.has_deployments => key.head_at(&azure::path(model, endpoint.path())).into(),
            Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::CohereChat => key.chat_head().into(),
            Endpoint::Embeddings => key.embeddings_head().into(),
            rare => key.head_at(rare.path()).into(),
        };
        let ask_usage = upstream.ask_usage && wire == Wire::OpenAi && endpoint.has_usage_chunk();
        let splice = Splice::new(body, facts, model, ask_usage);
        return Ok(Prepared { wire, head, body: Body::Spliced(splice) });
    }
    let operation = endpoint.operation();
    let embeds = operation == Endpoint::Embeddings;
    let chat = match operation {
        Endpoint::Embeddings | Endpoint::Rerank => None,
        _ => Some(asked.chat().map_err(|refused| GatewayError::Untranslatable(refused.clone()))?),
    };
    let beta = chat.filter(|_| wire == Wire::Claude).and_then(claude::beta);
    let mut head: Cow<'_, [u8]> = match wire {
        _ if upstream.has_deployments => {
            let operation = if chat.is_some() { Endpoint::ChatCompletions } else { operation };
            key.head_at(&azure::path(model, operation.path())).into()
        }
        _ if is_vertex && embeds => key.head_at(&vertex::embeddings_path(model)).into(),
        _ if is_vertex => key.head_at(&vertex::chat_path(model, facts.stream)).into(),
        Wire::Cohere if embeds => key.head_at("/embed").into(),
        Wire::OpenAi | Wire::Voyage if embeds => key.embeddings_head().into(),
        _ if operation == Endpoint::Rerank => key.head_at(operation.path()).into(),
        Wire::Claude if beta.is_some() => {
            let beta = beta.unwrap_or_default().as_bytes();
            [key.chat_head(), b"anthropic-beta: ", beta, b"\r\n"].concat().into()
        }
        Wire::OpenAi | Wire::Claude | Wire::Cohere | Wire::Voyage => key.chat_head().into(),
        Wire::Bedrock => key.head_at(&aws_path(operation, model, facts.stream)).into(),
        Wire::Gemini if embeds => key.head_at(&gemini::model::path_embeddings(model)).into(),
        Wire::Gemini => key.head_at(&gemini::model::path(model, facts.stream)).into(),
        Wire::Replicate => poll::head(shard, key, model, facts.stream, account).into(),
    };
    let rules = Rules {
        drop: shard.balance.rules().drop_unsupported_params,
        max_tokens: key.budget.max_tokens.unwrap_or_else(|| unasked_tokens(upstream.kind, model)),
        ask_usage: upstream.ask_usage,
        max_completion_tokens: match upstream.kind {
            // The versions of Azure's API that know the one know the other.
            ProviderType::Azure => upstream.ask_usage,
            kind => kind == ProviderType::OpenAi,
        },
        family: family(upstream.kind),
        vertex: is_vertex,
        provider: &upstream.id,
    };
    let mut written = Vec::with_capacity(body.len() + LARGE_BYTES / 16);
    let (losses, wanted) = translate::request((endpoint, chat), body, wire, model, rules, &mut written)
        .map_err(GatewayError::Untranslatable)?;
    account.wanted = match operation {
        Endpoint::Embeddings | Endpoint::Rerank => {
            Wanted { estimate: estimate::prompt_tokens(body).expected, ..wanted }
        }
        _ => Wanted { events: facts.stream && !wire.streams(), usage: asked.asks_usage(), ..wanted },
    };
    if let Some(access_key) = &key.access_key {
        let path = format!("{}{}", upstream.base_url.path, aws_path(operation, model, facts.stream));
        let place = account.provider.zip(account.key).ok_or(GatewayError::Internal)?;
        let authority = upstream.base_url.authority();
        shard.signing.sign(place, access_key, (&authority, &path, &written), head.to_mut());
    }
    account.dropped = match losses.dropped() {
        [] => None,
        dropped => Some(dropped.join(", ")),
    };
    Ok(Prepared { wire, head, body: Body::Translated(written) })
}

/// The path of a request to Bedrock below its root.
fn aws_path(operation: Endpoint, model: &str, stream: bool) -> String {
    match operation {
        Endpoint::Embeddings => bedrock::embeddings::path(model),
        _ => bedrock::path(model, stream),
    }
}

/// The most tokens of an answer where nobody said.
fn unasked_tokens(kind: ProviderType, model: &str) -> u64 {
    max_output_tokens(kind, model).map_or(MAX_TOKENS, |most| most.min(MOST_UNASKED_TOKENS))
}

/// The dialect of the provider that answers, where it is another one than that of its client.
#[must_use]
pub fn foreign(context: &Context, wire: Wire) -> Option<(Wire, Endpoint)> {
    let endpoint = context.endpoint()?;
    (!wire.is_spoken_at(endpoint)).then_some((wire, endpoint))
}

/// Calls `with` with what a client is shown where the provider does not say it.
pub fn with_face<R>(endpoint: Endpoint, account: &Account, with: impl FnOnce(&Face<'_>) -> R) -> R {
    thread_local! {
        static COUNT: Cell<u32> = const { Cell::new(0) };
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.replace(COUNT.get().wrapping_add(1));
    let prefix = match endpoint {
        Endpoint::Messages => "msg_",
        Endpoint::Responses => "resp_",
        Endpoint::Rerank => "rerank-",
        // A UUID at Cohere's, which has no prefix.
        endpoint if endpoint.is_coheres() || endpoint.is_googles() => "",
        _ => "chatcmpl-",
    };
    // Unique on this shard, and on others but for the same nanosecond.
    let id = format!("{prefix}{:016x}{count:08x}", since.as_nanos() as u64);
    with(&Face { id: &id, model: &account.model, created: since.as_secs() })
}

/// Passes on an answer that is not a stream, translated; whether the client's connection may persist.
///
/// # Errors
/// The error to answer with, while nothing has been sent.
pub async fn whole(
    shard: &Rc<Shard>,
    context: &Context,
    mut answer: Answer<'_>,
    (wire, endpoint): (Wire, Endpoint),
    responder: &mut Responder,
    account: &mut Account,
) -> Result<bool, GatewayError> {
    account.answered(answer.head.status);
    let id = &answer.upstream.id;
    let garbage = || failure::upstream(id, UpstreamFault::Garbage);
    let mut fields = Vec::with_capacity(LARGE_BYTES / 16);
    let events = account.wanted.events && answer.head.status.is_success();
    respond::fields(&mut fields, &answer, shard, context, account, events.then_some("text/event-stream"));
    if let Some(tokens) = tokens_of_head(wire, &answer) {
        account.wanted.estimate = tokens;
    }
    let mut body = answer.begin_body();
    loop {
        let content = answer.connection.content().map_err(|_| garbage())?;
        let n = content.len();
        if n > 0 {
            if body.len() + n > MOST_ANSWER_BYTES {
                return Err(garbage());
            }
            body.extend_from_slice(content);
            answer.connection.consume(n);
            continue;
        }
        if answer.connection.is_complete() {
            break;
        }
        match answer.connection.receive(shard.between_bytes(account)).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(kind) => {
                account.told(Outcome::Failed);
                account.detail = Some(kind.to_string());
                return Err(failure::upstream(id, failure::of_exchange(&kind, true)));
            }
        }
    }
    let mut written = Vec::with_capacity(body.len() + LARGE_BYTES / 8);
    let mut status = answer.head.status;
    if status.is_success() {
        // Clients know no other: Replicate's says that a prediction was made.
        status = StatusCode::OK;
        account.answered(status);
        let translated = with_face(endpoint, account, |face| {
            translate::answer(wire, &body, (endpoint, &account.wanted), face, &mut written)
        });
        match translated {
            Ok(usage) => account.usage = usage,
            Err(malformed) => {
                account.detail = Some(malformed.to_string());
                let error = translate::error_in_answer(wire, &body);
                // What the client did wrong says nothing of the key.
                if error.as_ref().is_none_or(|error| error.status >= 500 || error.status == 429) {
                    account.told(Outcome::Failed);
                }
                let Some(error) = error else { return Err(garbage()) };
                written.clear();
                status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY);
                translate::write_error(&error, endpoint, &mut written);
                account.answered(status);
            }
        }
    } else {
        let error = translate::error(wire, status.as_u16(), &body);
        status = StatusCode::from_u16(error.status).unwrap_or(status);
        translate::write_error(&error, endpoint, &mut written);
        account.answered(status);
    }
    let persist = context.persists(shard);
    let mut out = Buf::with_capacity(LARGE_BYTES);
    encode::status_line(out.vec_mut(), status);
    out.put(&fields);
    respond::finish_head(out.vec_mut(), Some(written.len() as u64), context, persist);
    out.put(&written);
    // The provider's connection is free before the client has taken the answer.
    answer.connection.release();
    let sent = responder.send(out).await;
    account.sent(responder.take_sent(), sent.is_ok());
    Ok(sent.is_ok() && persist)
}

/// How many tokens were read, where the body need not say.
fn tokens_of_head(wire: Wire, answer: &Answer<'_>) -> Option<u64> {
    let bytes = answer.head_bytes();
    let is_named =
        |field: &&Field| field.name(bytes).eq_ignore_ascii_case(bedrock::embeddings::TOKENS_FIELD.as_bytes());
    let field = answer.head.fields.iter().filter(|_| wire == Wire::Bedrock).find(is_named)?;
    std::str::from_utf8(field.value(bytes)).ok()?.trim().parse().ok()
}

/// Whether the provider that would be asked counts tokens itself, as the client asks for it.
#[must_use]
pub fn counts(plan: &Plan<'_>, endpoint: Endpoint) -> bool {
    let model = plan.get(0).map_or("", |(_, model)| model);
    plan.upstream(0).is_some_and(|(_, upstream)| wire(upstream.kind, model).is_spoken_at(endpoint))
}

/// Answers how many tokens a prompt has, as far as its bytes tell.
///
/// # Errors
/// What is wrong with the request.
pub async fn count(
    context: &Context,
    shard: &Rc<Shard>,
    (endpoint, body): (Endpoint, &[u8]),
    responder: &mut Responder,
    account: &mut Account,
) -> Result<bool, GatewayError> {
    let is_googles = endpoint.is_googles();
    let request = match is_googles {
        true => gemini::inbound::read_count(body),
        false => claude::inbound::read_count(body),
    };
    let tokens = estimate::chat_tokens(&request.map_err(GatewayError::Untranslatable)?).expected;
    let mut counted = Vec::new();
    match is_googles {
        true => gemini::inbound::write_count(tokens, &mut counted),
        false => claude::inbound::write_count(tokens, &mut counted),
    }
    let persist = context.persists(shard);
    let mut out = Buf::with_capacity(LARGE_BYTES / 16);
    encode::status_line(out.vec_mut(), StatusCode::OK);
    encode::field(out.vec_mut(), "content-type", b"application/json");
    encode::date_field(out.vec_mut());
    respond::finish_head(out.vec_mut(), Some(counted.len() as u64), context, persist);
    out.put(&counted);
    account.answered(StatusCode::OK);
    let sent = responder.send(out).await;
    account.sent(responder.take_sent(), sent.is_ok());
    Ok(sent.is_ok() && persist)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_nobody_bounded_is_as_long_as_the_model_gives_within_reason() {
        for (model, most) in [
            ("claude-3-haiku-20240307", 4096),
            ("claude-sonnet-4-5-20250929", 8192),
            ("claude-of-tomorrow", 4096),
        ] {
            assert_eq!(unasked_tokens(ProviderType::Claude, model), most, "{model}");
        }
    }
}
