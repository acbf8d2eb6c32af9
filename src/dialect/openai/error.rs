//! Every way the gateway itself refuses or fails, and how OpenAI's clients are
//! told: one table.
//!
//! Source: OpenAI API reference, "Error codes" and the error object of its
//! client libraries: `{"error":{"message","type","param","code"}}`. An error that
//! a provider answered with is not made here; it is passed on.

use std::fmt::{self, Display};

use crate::dialect::chat::Refused;
use crate::dialect::json;
use crate::dialect::openai::request::BodyError;

/// What went wrong. Names come from requests and configuration; no variant has
/// room for a key, a header's value or an upstream's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayError {
    /// No `Authorization: Bearer` header.
    MissingApiKey,
    /// The client key is not one of ours.
    InvalidApiKey,
    /// The client key may not use this provider.
    ProviderNotAllowed {
        /// The provider's id.
        provider: String,
    },
    /// The request head is not well-formed HTTP.
    MalformedHead {
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The body is not what the endpoint takes.
    Body(BodyError),
    /// No provider serves this model.
    ModelNotFound {
        /// The name the client gave.
        model: String,
    },
    /// No endpoint has this path.
    UnknownPath {
        /// The method the client used.
        method: String,
        /// The path without its query.
        path: String,
    },
    /// The endpoint takes other methods. Send `Allow` with them.
    MethodNotAllowed {
        /// The method the client used.
        method: String,
        /// The methods it takes, as `Allow` lists them.
        allow: &'static str,
    },
    /// The client did not send its request in time.
    RequestTimeout {
        /// The bound in milliseconds.
        limit_ms: u64,
    },
    /// The body has neither a length nor chunks.
    LengthRequired,
    /// The body is longer than the configured bound.
    BodyTooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// Well-formed, but the chosen provider cannot do what is asked.
    Unprocessable {
        /// The parameter it cannot do.
        param: &'static str,
        /// The provider's id.
        provider: String,
    },
    /// A limit is used up for now. Send `Retry-After`.
    RateLimited {
        /// Which limit.
        limit: Limit,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// More output asked for than the operator allows.
    MaxTokensTooLarge {
        /// The most.
        most: u64,
        /// What was asked for.
        requested: u64,
    },
    /// More than a limit allows at all: to try again is in vain.
    RequestTooLarge {
        /// Which limit.
        limit: Limit,
        /// The limit.
        most: i64,
        /// What the request would use.
        requested: i64,
    },
    /// The money for this period is spent.
    BudgetSpent {
        /// The period.
        period: &'static str,
        /// When the next one begins, in milliseconds.
        retry_after_ms: u64,
    },
    /// The request head is longer than the configured bound.
    HeadTooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// A fault of ours.
    Internal,
    /// The provider did not give a whole, usable answer.
    Upstream {
        /// The provider's id.
        provider: String,
        /// What happened.
        fault: UpstreamFault,
    },
    /// What the provider's dialect cannot express.
    Untranslatable(Refused),
    /// The provider has no such operation.
    NotServed {
        /// The provider's id.
        provider: String,
        /// What was asked for.
        endpoint: &'static str,
    },
    /// The gateway has no access token for the provider yet, or none that is still good. Send `Retry-After`.
    NoToken {
        /// The provider's id.
        provider: String,
    },
    /// No provider of the model has room now. Send `Retry-After`.
    NoCapacity {
        /// The name the client gave.
        model: String,
    },
    /// This process is shutting down. Send `Connection: close`.
    Draining,
}

/// The limits a client key can run into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Tokens per session window.
    SessionTokens,
    /// Requests at the same time.
    Concurrency,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests per minute",
            Self::Tokens => "tokens per minute",
            Self::SessionTokens => "tokens per session",
            Self::Concurrency => "requests at the same time",
        })
    }
}

/// How a provider failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFault {
    /// No connection: DNS, TCP or TLS.
    Connect,
    /// The connection was reset before an answer began.
    Reset,
    /// The answer is not HTTP or not what its headers say.
    Garbage,
    /// The answer ended before it was complete.
    Cut,
    /// The provider did not accept the gateway's own key.
    Auth,
    /// No answer, or no more of it, in time.
    Timeout,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorKind {
    /// HTTP status code.
    pub status: u16,
    /// OpenAI's `type`.
    pub kind: &'static str,
    /// OpenAI's `code`.
    pub code: Option<&'static str>,
    /// OpenAI's `param`.
    pub param: Option<&'static str>,
}

/// The request is at fault; it will fail again unchanged.
const REQUEST: &str = "invalid_request_error";
/// The client key lacks a right.
const PERMISSION: &str = "permission_error";
/// The gateway or what is behind it is at fault; trying again may help.
const SERVER: &str = "server_error";

impl GatewayError {
    /// Status, type, code and parameter: the table.
    pub fn kind(&self) -> ErrorKind {
        use GatewayError as E;
        use UpstreamFault as U;
        let row = |status, kind, code| ErrorKind { status, kind, code: Some(code), param: None };
        match self {
            E::MissingApiKey => row(401, REQUEST, "missing_api_key"),
            E::InvalidApiKey => row(401, REQUEST, "invalid_api_key"),
            E::ProviderNotAllowed { .. } => row(403, PERMISSION, "provider_not_allowed"),
            E::MalformedHead { .. } => row(400, REQUEST, "malformed_request"),
            E::Body(error) => {
                ErrorKind { status: 400, kind: REQUEST, code: error.code(), param: error.param() }
            }
            E::ModelNotFound { .. } => {
                ErrorKind { param: Some("model"), ..row(404, REQUEST, "model_not_found") }
            }
            E::UnknownPath { .. } => row(404, REQUEST, "unknown_url"),
            E::MethodNotAllowed { .. } => row(405, REQUEST, "method_not_supported"),
            E::RequestTimeout { .. } => row(408, REQUEST, "request_timeout"),
            E::LengthRequired => row(411, REQUEST, "length_required"),
            E::BodyTooLarge { .. } => row(413, REQUEST, "body_too_large"),
            E::UnsupportedMediaType => row(415, REQUEST, "unsupported_media_type"),
            E::Unprocessable { param, .. } => {
                ErrorKind { param: Some(param), ..row(422, REQUEST, "unsupported_parameter") }
            }
            E::RateLimited { limit: Limit::Requests | Limit::Concurrency, .. } => {
                row(429, "requests", "rate_limit_exceeded")
            }
            E::RateLimited { limit: Limit::Tokens | Limit::SessionTokens, .. } => {
                row(429, "tokens", "rate_limit_exceeded")
            }
            E::MaxTokensTooLarge { .. } => {
                ErrorKind { param: Some("max_tokens"), ..row(400, REQUEST, "invalid_value") }
            }
            E::RequestTooLarge { .. } => row(429, "tokens", "rate_limit_exceeded"),
            E::BudgetSpent { .. } => row(429, "insufficient_quota", "insufficient_quota"),
            E::HeadTooLarge { .. } => row(431, REQUEST, "head_too_large"),
            E::Internal => row(500, SERVER, "internal_error"),
            E::Upstream { fault, .. } => match fault {
                U::Connect => row(502, SERVER, "upstream_connect_failed"),
                U::Reset => row(502, SERVER, "upstream_reset"),
                U::Garbage => row(502, SERVER, "upstream_invalid_response"),
                U::Cut => row(502, SERVER, "upstream_incomplete_response"),
                U::Auth => row(502, SERVER, "upstream_auth_rejected"),
                U::Timeout => row(504, SERVER, "upstream_timeout"),
            },
            E::Untranslatable(_) => row(400, REQUEST, "unsupported_parameter"),
            E::NotServed { .. } => row(400, REQUEST, "unsupported_endpoint"),
            E::NoToken { .. } => row(503, SERVER, "provider_token_missing"),
            E::NoCapacity { .. } => row(503, SERVER, "no_capacity"),
            E::Draining => row(503, SERVER, "draining"),
        }
    }

    /// The parameter at fault, where one is.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Untranslatable(refused) => Some(&refused.param),
            _ => self.kind().param,
        }
    }

    /// Appends the answer's body.
    pub fn write_body(&self, out: &mut Vec<u8>) {
        let ErrorKind { kind, code, .. } = self.kind();
        write_error_object(&self.to_string(), kind, self.param(), code, out);
    }
}

/// The message: what happened and what to do about it.
impl Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use GatewayError as E;
        match self {
            E::MissingApiKey => f.write_str(
                "You didn't provide an API key. Send it in an Authorization header: \
                 'Authorization: Bearer YOUR_KEY'.",
            ),
            E::InvalidApiKey => f.write_str(
                "Incorrect API key provided. Check the key, or ask the operator of this gateway for one.",
            ),
            E::ProviderNotAllowed { provider } => write!(
                f,
                "Your API key may not use the provider '{}'. Choose a model of another provider, or \
                 ask the operator to allow it.",
                short(provider)
            ),
            E::MalformedHead { rule } => {
                write!(f, "The request is not valid HTTP: {rule}. Correct the client and send it again.")
            }
            E::Body(error) => error.fmt(f),
            E::ModelNotFound { model } => write!(
                f,
                "The model '{}' does not exist or you do not have access to it. GET /v1/models lists \
                 those you can use.",
                short(model)
            ),
            E::UnknownPath { method, path } => write!(
                f,
                "Unknown request URL: {} {}. Check the URL for typos; the API is under /v1/.",
                short(method),
                short(path)
            ),
            E::MethodNotAllowed { method, allow } => {
                write!(f, "Not allowed to {} here. Use {allow}.", short(method))
            }
            E::RequestTimeout { limit_ms } => {
                write!(f, "The request did not arrive whole within {limit_ms} ms. Send it again.")
            }
            E::LengthRequired => {
                f.write_str("The body has no length. Send Content-Length or Transfer-Encoding: chunked.")
            }
            E::BodyTooLarge { limit_bytes } => {
                write!(f, "The body is longer than {limit_bytes} bytes. Send a shorter one.")
            }
            E::UnsupportedMediaType => f.write_str(
                "The body's media type is not supported. Send JSON with 'Content-Type: application/json'.",
            ),
            E::Unprocessable { param, provider } => write!(
                f,
                "The provider '{}' does not support '{param}' as given. Leave it out, or choose a \
                 model of another provider.",
                short(provider)
            ),
            E::RateLimited { limit, retry_after_ms } => {
                let (seconds, ms) = (retry_after_ms / 1000, retry_after_ms % 1000);
                write!(f, "Rate limit reached for {limit}. Please try again in {seconds}.{ms:03}s.")
            }
            E::MaxTokensTooLarge { most, requested } => {
                write!(
                    f,
                    "max_tokens is too large: {requested}. At most {most} output tokens are allowed here."
                )
            }
            E::RequestTooLarge { limit, most, requested } => write!(
                f,
                "Request too large for the limit on {limit}: limit {most}, requested {requested}. Make the prompt \
                 or max_completion_tokens smaller."
            ),
            E::BudgetSpent { period, .. } => write!(
                f,
                "You exceeded your budget for this {period}. Wait for the next one, or ask the \
                 operator to raise it."
            ),
            E::HeadTooLarge { limit_bytes } => {
                write!(
                    f,
                    "The request head is longer than {limit_bytes} bytes. Send fewer or shorter headers."
                )
            }
            E::Internal => f.write_str(
                "The gateway had an error while processing your request. Try again; if it persists, \
                 tell the operator the request id.",
            ),
            E::Upstream { provider, fault } => {
                let what = match fault {
                    UpstreamFault::Connect => "could not be reached. Try again later.",
                    UpstreamFault::Reset => "closed the connection without an answer. Try again.",
                    UpstreamFault::Garbage => "sent an answer that is not valid. Try again.",
                    UpstreamFault::Cut => "stopped before its answer was complete. Try again.",
                    UpstreamFault::Auth => {
                        "rejected the gateway's credentials. Ask the operator to check them."
                    }
                    UpstreamFault::Timeout => "did not answer in time. Try again, or ask for less output.",
                };
                write!(f, "The provider '{}' {what}", short(provider))
            }
            E::Untranslatable(refused) => refused.fmt(f),
            E::NotServed { provider, endpoint } => write!(
                f,
                "The provider '{}' has no {endpoint}. Name a model of another provider.",
                short(provider)
            ),
            E::NoToken { provider } => write!(
                f,
                "The gateway has no access token for the provider '{}' right now. Try again shortly; if it \
                 persists, the gateway's log on standard error says why.",
                short(provider)
            ),
            E::NoCapacity { model } => write!(
                f,
                "No provider has capacity for the model '{}' right now. Try again shortly.",
                short(model)
            ),
            E::Draining => f.write_str("This server is shutting down. Try again on a new connection."),
        }
    }
}

impl std::error::Error for GatewayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            GatewayError::Body(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BodyError> for GatewayError {
    fn from(error: BodyError) -> Self {
        GatewayError::Body(error)
    }
}

/// The most characters of a name from outside that a message repeats.
const MAX_QUOTED_CHARS: usize = 128;

fn short(name: &str) -> &str {
    let end = name.char_indices().nth(MAX_QUOTED_CHARS).map_or(name.len(), |(at, _)| at);
    name.get(..end).unwrap_or(name)
}

/// Appends `{"error":{...}}`.
pub fn write_error_object(
    message: &str,
    kind: &str,
    param: Option<&str>,
    code: Option<&str>,
    out: &mut Vec<u8>,
) {
    let optional = |out: &mut Vec<u8>, text: Option<&str>| match text {
        Some(text) => json::write_string(out, text),
        None => out.extend_from_slice(b"null"),
    };
    out.extend_from_slice(b"{\"error\":{\"message\":");
    json::write_string(out, message);
    out.extend_from_slice(b",\"type\":");
    json::write_string(out, kind);
    out.extend_from_slice(b",\"param\":");
    optional(out, param);
    out.extend_from_slice(b",\"code\":");
    optional(out, code);
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::json::JsonError;

    fn body(error: &GatewayError) -> Value {
        let mut out = Vec::new();
        error.write_body(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    fn every_error() -> Vec<(GatewayError, u16, &'static str)> {
        use GatewayError as E;
        let name = || "openai".to_owned();
        let limited = |limit| E::RateLimited { limit, retry_after_ms: 3_000 };
        let upstream = |fault| E::Upstream { provider: name(), fault };
        let malformed = BodyError::Malformed(JsonError { at: 7, expected: "a value" });
        vec![
            (E::MissingApiKey, 401, "missing_api_key"),
            (E::InvalidApiKey, 401, "invalid_api_key"),
            (E::ProviderNotAllowed { provider: name() }, 403, "provider_not_allowed"),
            (E::MalformedHead { rule: "two Content-Length headers differ" }, 400, "malformed_request"),
            (E::Body(malformed), 400, "invalid_json"),
            (E::Body(BodyError::ModelMissing), 400, "missing_required_parameter"),
            (E::ModelNotFound { model: name() }, 404, "model_not_found"),
            (E::UnknownPath { method: "GET".into(), path: "/v2".into() }, 404, "unknown_url"),
            (E::MethodNotAllowed { method: "PUT".into(), allow: "GET" }, 405, "method_not_supported"),
            (E::RequestTimeout { limit_ms: 5 }, 408, "request_timeout"),
            (E::LengthRequired, 411, "length_required"),
            (E::BodyTooLarge { limit_bytes: 9 }, 413, "body_too_large"),
            (E::UnsupportedMediaType, 415, "unsupported_media_type"),
            (E::Unprocessable { param: "n", provider: name() }, 422, "unsupported_parameter"),
            (limited(Limit::Requests), 429, "rate_limit_exceeded"),
            (limited(Limit::Tokens), 429, "rate_limit_exceeded"),
            (limited(Limit::SessionTokens), 429, "rate_limit_exceeded"),
            (limited(Limit::Concurrency), 429, "rate_limit_exceeded"),
            (E::MaxTokensTooLarge { most: 5, requested: 6 }, 400, "invalid_value"),
            (
                E::RequestTooLarge { limit: Limit::Tokens, most: 10, requested: 11 },
                429,
                "rate_limit_exceeded",
            ),
            (E::BudgetSpent { period: "day", retry_after_ms: 1 }, 429, "insufficient_quota"),
            (E::HeadTooLarge { limit_bytes: 9 }, 431, "head_too_large"),
            (E::Internal, 500, "internal_error"),
            (upstream(UpstreamFault::Connect), 502, "upstream_connect_failed"),
            (upstream(UpstreamFault::Reset), 502, "upstream_reset"),
            (upstream(UpstreamFault::Garbage), 502, "upstream_invalid_response"),
            (upstream(UpstreamFault::Cut), 502, "upstream_incomplete_response"),
            (upstream(UpstreamFault::Auth), 502, "upstream_auth_rejected"),
            (upstream(UpstreamFault::Timeout), 504, "upstream_timeout"),
            (E::NoToken { provider: name() }, 503, "provider_token_missing"),
            (E::NoCapacity { model: name() }, 503, "no_capacity"),
            (E::Draining, 503, "draining"),
        ]
    }

    #[test]
    fn the_table() {
        for (error, status, code) in every_error() {
            assert_eq!(error.kind().status, status, "{error:?}");
            let body = body(&error);
            let inner = body["error"].as_object().unwrap();
            assert_eq!(inner["code"], code, "{error:?}");
            assert_eq!(inner.keys().collect::<Vec<_>>(), ["code", "message", "param", "type"]);
            let message = inner["message"].as_str().unwrap();
            assert!(message.len() > 20 && !message.contains("  "), "{message}");
        }
    }

    #[test]
    fn bodies_are_those_of_openai() {
        assert_eq!(
            body(&BodyError::StreamOptionsWithoutStream.into()),
            json!({"error": {
                "message": "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                "type": "invalid_request_error", "param": "stream_options", "code": null}})
        );
        let limited = GatewayError::RateLimited { limit: Limit::Tokens, retry_after_ms: 12_250 };
        assert_eq!(body(&limited)["error"]["type"], "tokens");
    }

    #[test]
    fn names_from_outside_are_escaped_and_shortened() {
        let model = format!("a\"\n\u{0}{}", "é".repeat(1000));
        let body = body(&GatewayError::ModelNotFound { model });
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("The model 'a\"\n\u{0}é"));
        assert!(message.chars().count() < 300);
    }
}
