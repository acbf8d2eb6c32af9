//! Google Vertex AI (https://cloud.google.com/vertex-ai/docs/reference/rest): Google's models in Gemini's format and
//! Anthropic's in theirs, below a project and a location, for whoever has an access token; and the place where a
//! service account gets one.

mod predict;
mod token;

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    anthropic,
    exchange::Call,
    gate::{self, Trouble},
    gemini,
    reply::{Body, Reply},
};

pub use token::SERVICE_ACCOUNT;
pub(super) use token::{answer as token, key, service_account};

/// What a request for one of Anthropic's models must say, and what it may say instead: Anthropic's client library does
/// so since its second version.
const ANTHROPIC_VERSION: &str = "vertex-2023-10-16";
const LATER_VERSION: &str = "2026-10-21";

/// The answer to a request in this format.
pub(super) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    route(call, wait).unwrap_or_else(|error| error.reply(call, wait))
}

/// An error in Google's form.
struct ApiError {
    status: u16,
    name: &'static str,
    message: String,
}

impl ApiError {
    fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NOT_FOUND", message)
    }

    fn unauthenticated() -> Self {
        Self::new(
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
             valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        )
    }

    fn exhausted() -> Self {
        Self::new(
            429,
            "RESOURCE_EXHAUSTED",
            "Resource exhausted. Please try again later. Please refer to \
             https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
        )
    }

    fn reply(&self, call: &Call<'_>, wait: Duration) -> Reply {
        let error = json!({"error": {"code": self.status, "message": self.message, "status": self.name}});
        // A stream that is not of events is an array, even where it has failed.
        let array = call.path.ends_with(":streamGenerateContent") && !call.query.contains("alt=sse");
        let error = if array { json!([error]) } else { error };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Reply { status, fault: call.chosen_fault(None), ..whole(&error, wait) }
    }
}

fn route(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    // An access token that was one and is no longer.
    if token::is_expired(call.key) || gate::authenticate(call).is_err() {
        return Err(ApiError::unauthenticated());
    }
    let get = matches!(*call.method, Method::GET | Method::HEAD);
    let parts: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
    let (resource, method) = call.path.rsplit_once(':').unwrap_or((call.path, ""));
    match parts.as_slice() {
        [_, "projects", _, "locations", _, "models"] if get => Ok(whole(&json!({}), wait)),
        [_, "publishers", publisher, "models"] if get => {
            let model = |name: &str| json!({"name": format!("publishers/{publisher}/models/{name}"), "versionId": "1"});
            let models: Vec<Value> =
                gate::models(call, &["gemini-2.5-flash", "text-embedding-005"]).map(model).collect();
            Ok(whole(&json!({"publisherModels": models}), wait))
        }
        [_, "projects", project, "locations", location, "publishers", publisher, "models", last]
            if *call.method == Method::POST && !project.is_empty() && !location.is_empty() =>
        {
            let model = last.strip_suffix(method).and_then(|name| name.strip_suffix(':')).unwrap_or(last);
            of_model(call, publisher, model, method, wait).map_err(|error| match error {
                Refused::Lost => ApiError::not_found(format!(
                    "Publisher Model `{}` was not found or your project does not have access to it. Please ensure \
                     you are using a valid model version. For more information, see: \
                     https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
                    resource.trim_start_matches('/').split_once('/').map_or("", |(_, resource)| resource)
                )),
                Refused::Error(error) => error,
            })
        }
        _ => Err(ApiError::not_found("Requested entity was not found.")),
    }
}

/// Why a request for a model is refused.
enum Refused {
    /// There is no such model.
    Lost,
    Error(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

fn of_model(
    call: &Call<'_>,
    publisher: &str,
    model: &str,
    method: &str,
    wait: Duration,
) -> Result<Reply, Refused> {
    // A model that counts for others is named by the body.
    let counts = publisher == "anthropic" && model == "count-tokens";
    match gate::fault(call, model) {
        Err(Trouble::NoModel) => return Err(Refused::Lost),
        Err(Trouble::Limited(_)) => return Err(ApiError::exhausted().into()),
        _ => {}
    }
    match (publisher, method) {
        ("google", "generateContent" | "streamGenerateContent" | "countTokens") => {
            Ok(gemini::of_model(call, model, method, wait))
        }
        ("google", "predict") => Ok(predict::answer(call, model, wait)?),
        ("anthropic", "rawPredict" | "streamRawPredict") => {
            let stream = method == "streamRawPredict";
            let body = anthropics(call.body, (!counts).then_some(model), stream)?;
            Ok(anthropic::published(&call.with_body(&body), counts, wait))
        }
        _ => Err(Refused::Lost),
    }
}

/// A body as Anthropic's own API would have it.
fn anthropics(body: &[u8], model: Option<&str>, stream: bool) -> Result<Vec<u8>, ApiError> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return Err(ApiError::invalid("Failed to parse the request body as JSON."));
    };
    let version = fields.remove("anthropic_version");
    if !matches!(version.as_ref().and_then(Value::as_str), Some(ANTHROPIC_VERSION | LATER_VERSION)) {
        return Err(ApiError::invalid(format!("anthropic_version: must be '{ANTHROPIC_VERSION}'")));
    }
    if let Some(model) = model {
        if fields.insert("model".to_owned(), model.into()).is_some() {
            return Err(ApiError::invalid("model: Extra inputs are not permitted"));
        }
        let asked = fields.get("stream").and_then(Value::as_bool).unwrap_or(false);
        if asked != stream {
            return Err(ApiError::invalid("stream: must agree with the method"));
        }
    }
    Ok(Value::Object(fields).to_string().into_bytes())
}

/// A whole JSON answer.
fn whole(answer: &Value, wait: Duration) -> Reply {
    let mut body = Buf::with_capacity(LARGE_BYTES);
    body.put(answer.to_string().as_bytes());
    Reply {
        status: StatusCode::OK,
        headers: Buf::empty(),
        body: Body::Json(body),
        wait,
        fault: None,
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}

#[cfg(test)]
mod tests;
