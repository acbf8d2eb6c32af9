//! Replicate's HTTP API (https://replicate.com/docs/reference/http), as far as language models go: predictions of
//! official models and of versions, their streams, and their cancelation.
//!
//! Nothing is kept between requests: what is still to be said of a prediction is in its id. A model whose name ends in
//! `-cold` is not ready when it is first asked; one in `-fails` fails, one in `-sensitive` is flagged, and one in
//! `-unstreamed` has no stream.

mod stream;

use std::time::Duration;

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::encode::number_field,
};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    exchange::Call,
    faults::Fault,
    gate::{self, Trouble},
    reply::{Body, Reply},
    rng::Rng,
    settings::MAX_ANSWER_TOKENS,
    text,
};
use stream::Outputs;

/// An error: problem details (RFC 9457).
struct Problem {
    status: u16,
    title: &'static str,
    detail: String,
    field: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), field: None, retry_after: None }
    }

    fn of(trouble: Trouble) -> Self {
        match trouble {
            Trouble::NoKey | Trouble::WrongKey => {
                Self::new(401, "Unauthenticated", "You did not pass a valid authentication token")
            }
            Trouble::NoModel => Self::new(404, "Not found", "The requested resource could not be found."),
            Trouble::Quota => {
                Self::new(402, "Insufficient credit", "You have insufficient credit to run this model.")
            }
            Trouble::Context => Self::new(422, "Input validation failed", "- input.prompt: too long"),
            Trouble::Limited(refused) => Self {
                retry_after: refused.retry_after,
                ..Self::new(429, "Too many requests", "Request was throttled.")
            },
            Trouble::Status(status, retry_after) => Self {
                retry_after,
                ..Self::new(
                    status,
                    "Simulated error",
                    format!("This is status {status}, as it was asked for."),
                )
            },
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({"title": self.title, "detail": self.detail, "status": self.status});
        if let (Some(field), Some(body)) = (self.field, body.as_object_mut()) {
            let invalid = json!([{"type": "required", "field": field, "description": self.detail}]);
            body.insert("invalid_fields".into(), invalid);
        }
        body
    }
}

/// The answer to a request in this format.
pub(crate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    route(call, wait).unwrap_or_else(|problem| {
        let mut reply = whole(&problem.body(), wait, call.chosen_fault(None));
        reply.status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(after) = problem.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            number_field(reply.headers.vec_mut(), "retry-after", seconds);
        }
        reply
    })
}

fn route(call: &Call<'_>, wait: Duration) -> Result<Reply, Problem> {
    if let (&Method::GET, Some(id)) = (call.method, call.path.strip_prefix("/v1/files/")) {
        // Whoever knows the address may read it.
        let prediction = Prediction::named(id).ok_or_else(|| Problem::of(Trouble::NoModel))?;
        call.named("", true);
        let text = if prediction.fate.error().is_none() { prediction.text() } else { String::new() };
        let events = Outputs::new(text, prediction.fate.error(), gate::chunk_tokens(call), gate::pace(call));
        let mut reply = whole(&Value::Null, wait, None);
        (reply.body, reply.completion_tokens) = (Body::Events(Box::new(events)), prediction.output as u64);
        return Ok(reply);
    }
    gate::authenticate(call).map_err(Problem::of)?;
    let predictions = call.path.strip_prefix("/v1/predictions");
    let of_model = call.path.strip_prefix("/v1/models/").and_then(|rest| rest.strip_suffix("/predictions"));
    match (call.method, predictions, of_model) {
        (&Method::POST, Some(""), _) => create(call, None, wait),
        (&Method::POST, _, Some(model)) if model.split('/').count() == 2 => create(call, Some(model), wait),
        (&Method::GET, Some(id), _) => {
            let prediction = id.strip_prefix('/').and_then(Prediction::named);
            let prediction = prediction.ok_or_else(|| Problem::of(Trouble::NoModel))?;
            Ok(whole(&prediction.body(call, prediction.fate.status()), wait, None))
        }
        (&Method::POST, Some(rest), _) if rest.ends_with("/cancel") => {
            let id = rest.strip_prefix('/').and_then(|rest| rest.strip_suffix("/cancel"));
            let prediction = id.and_then(Prediction::named).ok_or_else(|| Problem::of(Trouble::NoModel))?;
            Ok(whole(&prediction.body(call, "canceled"), wait, None))
        }
        (_, Some(""), _) | (_, _, Some(_)) => Err(Problem::new(405, "Method not allowed", "Use POST.")),
        _ => Err(Problem::of(Trouble::NoModel)),
    }
}

/// Creates a prediction.
fn create(call: &Call<'_>, model: Option<&str>, wait: Duration) -> Result<Reply, Problem> {
    let missing = |field| Problem {
        field: Some(field),
        ..Problem::new(422, "Input validation failed", format!("- {field} is required"))
    };
    let body: Map<String, Value> = serde_json::from_slice(call.body)
        .map_err(|_| Problem::new(400, "Invalid JSON", "The body of your request is not a JSON object."))?;
    let version = body.get("version").and_then(Value::as_str);
    let model = model.or(version).ok_or_else(|| missing("version"))?;
    let input = body.get("input").and_then(Value::as_object).ok_or_else(|| missing("input"))?;
    let prompt = input.get("prompt").and_then(Value::as_str).ok_or_else(|| missing("input.prompt"))?;
    let system = input.get("system_prompt").and_then(Value::as_str).unwrap_or_default();
    call.named(model, body.get("stream").is_some_and(|stream| stream == true));
    let fault = gate::fault(call, model).map_err(Problem::of)?;
    let most = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
    let most = most.iter().find_map(|name| input.get(*name)).and_then(Value::as_u64);
    let length = gate::length(call);
    let wish =
        if length.min == length.max { length.min } else { call.shard.rng.between(length.min, length.max) };
    let output = most.map_or(wish, |most| wish.min(usize::try_from(most).unwrap_or(usize::MAX)));
    let fate = Fate::ALL.into_iter().find(|fate| fate.of(model)).unwrap_or(Fate::Well);
    let input = text::count(prompt) + text::count(system);
    let prediction = Prediction { id: String::new(), fate, input, output }.given_id(&call.shard.rng);
    gate::spend(call, prediction.input + prediction.output).map_err(Problem::of)?;
    let waits = call.prefer.is_some_and(|prefer| prefer.starts_with(b"wait"));
    let status = if waits && !model.ends_with("-cold") { fate.status() } else { "starting" };
    let mut reply = whole(&prediction.body(call, status), wait, fault);
    reply.status = StatusCode::CREATED;
    if status == "succeeded" {
        (reply.prompt_tokens, reply.completion_tokens) = (prediction.input as u64, prediction.output as u64);
    }
    Ok(reply)
}

/// What becomes of a prediction, which the first letter of its id tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    Fails,
    Sensitive,
    Unstreamed,
}

impl Fate {
    const ALL: [Self; 4] = [Self::Fails, Self::Sensitive, Self::Unstreamed, Self::Well];

    fn letter(self) -> char {
        match self {
            Self::Well => 'p',
            Self::Fails => 'f',
            Self::Sensitive => 's',
            Self::Unstreamed => 'u',
        }
    }

    /// Whether it is that of this model's predictions.
    fn of(self, model: &str) -> bool {
        match self {
            Self::Well => true,
            Self::Fails => model.ends_with("-fails"),
            Self::Sensitive => model.ends_with("-sensitive"),
            Self::Unstreamed => model.ends_with("-unstreamed"),
        }
    }

    /// In which status it ends.
    fn status(self) -> &'static str {
        if self.error().is_some() { "failed" } else { "succeeded" }
    }

    fn error(self) -> Option<&'static str> {
        match self {
            Self::Fails => Some("CUDA out of memory (E1001)"),
            Self::Sensitive => Some("The output was flagged as sensitive. (E005)"),
            Self::Well | Self::Unstreamed => None,
        }
    }
}

/// What is known of a prediction.
struct Prediction {
    id: String,
    fate: Fate,
    /// Tokens read and written.
    input: usize,
    output: usize,
}

impl Prediction {
    /// Ids are letters and digits.
    fn given_id(self, rng: &Rng) -> Self {
        let mut salt = Vec::new();
        rng.hex(&mut salt, 8);
        let letter = self.fate.letter();
        let id = format!("{letter}{}i{}o{}", String::from_utf8_lossy(&salt), self.input, self.output);
        Self { id, ..self }
    }

    fn named(id: &str) -> Option<Self> {
        let fate = Fate::ALL.into_iter().find(|fate| id.starts_with(fate.letter()))?;
        let (rest, output) = id.get(1..)?.rsplit_once('o')?;
        let (_, input) = rest.rsplit_once('i')?;
        let output = output.parse().ok().filter(|&output| output <= MAX_ANSWER_TOKENS)?;
        Some(Self { id: id.to_owned(), fate, input: input.parse().ok()?, output })
    }

    fn text(&self) -> String {
        text::answer(self.output).into_owned()
    }

    fn body(&self, call: &Call<'_>, status: &str) -> Value {
        let done = status == "succeeded";
        let text = self.text();
        let mut pieces = Vec::new();
        let mut at = 0;
        while done && at < text.len() {
            let end = text::tokens_end(&text, at, gate::chunk_tokens(call));
            pieces.push(text.get(at..end).unwrap_or_default());
            at = end;
        }
        let root = format!("http://{}/v1", String::from_utf8_lossy(call.host.unwrap_or_default()));
        let id = &self.id;
        let metrics = match done {
            true => {
                json!({"input_token_count": self.input, "output_token_count": self.output, "predict_time": 0.1})
            }
            false => json!({}),
        };
        let error = self.fate.error().filter(|_| status == "failed");
        let mut urls = json!({
            "get": format!("{root}/predictions/{id}"), "cancel": format!("{root}/predictions/{id}/cancel"),
        });
        if let (false, Some(urls)) = (self.fate == Fate::Unstreamed, urls.as_object_mut()) {
            urls.insert("stream".to_owned(), format!("{root}/files/{id}").into());
        }
        json!({
            "id": id, "model": "simulated/model", "version": "hidden", "input": {}, "logs": "", "source": "api",
            "output": if done { json!(pieces) } else { Value::Null },
            "data_removed": false, "error": error, "status": status,
            "created_at": "2026-01-02T03:04:05.678Z",
            "urls": urls,
            "metrics": metrics,
        })
    }
}

/// A whole JSON answer.
fn whole(body: &Value, wait: Duration, fault: Option<Fault>) -> Reply {
    let mut out = Buf::with_capacity(LARGE_BYTES);
    out.put(body.to_string().as_bytes());
    Reply {
        status: StatusCode::OK,
        headers: Buf::with_capacity(LARGE_BYTES),
        body: Body::Json(out),
        wait,
        fault,
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_what_its_prediction_is() {
        let made =
            Prediction { id: String::new(), fate: Fate::Fails, input: 7, output: 9 }.given_id(&Rng::new(1));
        let found = Prediction::named(&made.id).unwrap();
        assert_eq!((found.fate, found.input, found.output), (Fate::Fails, 7, 9));
        assert_eq!(found.text(), made.text());
        assert!(made.id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        for id in ["", "p", "pio", "pabi7", "pabi7o", "pabi7o99999999999"] {
            assert!(Prediction::named(id).is_none(), "{id}");
        }
    }
}
