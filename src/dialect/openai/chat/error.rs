//! Errors of providers that speak OpenAI's dialect, and as its clients read them.
//!
//! Source: OpenAI API reference, "Error codes", and the error object of its client libraries; vLLM, Mistral, xAI and
//! others for what they send in its place.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::Str;
use crate::dialect::openai::error::write_error_object;
use crate::dialect::openai::fault;
use crate::dialect::provider_error::ProviderError;

/// The most bytes that are repeated of an answer that is not an error object: a proxy's HTML, mostly.
const MAX_QUOTED_BYTES: usize = 512;

const REQUEST: &str = "invalid_request_error";
const SERVER: &str = "server_error";
const UNPAID: &str = "insufficient_quota";

/// OpenAI's types, which clients know.
const KINDS: [&str; 8] = [
    REQUEST,
    SERVER,
    "authentication_error",
    "permission_error",
    "rate_limit_error",
    "requests",
    "tokens",
    "insufficient_quota",
];

/// OpenAI's codes that clients act on, with the status that belongs to them.
const CODES: [(&str, u16); 23] = [
    ("account_deactivated", 401),
    ("billing_hard_limit_reached", 429),
    ("billing_not_active", 429),
    ("content_filter", 400),
    ("content_policy_violation", 400),
    ("context_length_exceeded", 400),
    ("insufficient_quota", 429),
    ("invalid_api_key", 401),
    ("invalid_base64", 400),
    ("invalid_image_url", 400),
    ("invalid_json", 400),
    ("invalid_organization", 401),
    ("invalid_type", 400),
    ("invalid_value", 400),
    ("missing_required_parameter", 400),
    ("model_not_found", 404),
    ("rate_limit_exceeded", 429),
    ("server_error", 500),
    ("string_above_max_length", 400),
    ("unknown_parameter", 400),
    ("unsupported_country_region_territory", 403),
    ("unsupported_parameter", 400),
    ("unsupported_value", 400),
];

/// What stands in a provider's words where the request is too long for the model, in small letters. Most have no code
/// for it, and clients need to know: they cut the conversation and try again.
const TOO_LONG: [&str; 7] = [
    "maximum context length",
    "context length exceeded",
    "exceeds the context length",
    "exceeds the available context size",
    "context window",
    "maximum prompt length",
    // Text Generation Inference, behind Hugging Face and Together.
    "tokens + `max_new_tokens` must be",
];

/// Codes and types that say what OpenAI's `model_not_found` does: Azure's, Hugging Face's and Mistral's.
const LOST: [&str; 3] = ["DeploymentNotFound", "model_not_supported", "invalid_model"];

/// What OpenRouter says of an error that came from whom it asked, whose own words stand beside it.
const PASSED_ON: &str = "Provider returned error";

/// An error object, or what stands in its place.
#[derive(Default, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    param: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    /// Text Generation Inference's `type`, beside a text in `error`.
    #[serde(borrow)]
    error_type: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// OpenRouter's `metadata`.
#[derive(Deserialize)]
struct MetadataWire<'a> {
    #[serde(borrow)]
    raw: Option<&'a RawValue>,
}

/// One of the things that a check of the request found, as FastAPI lists them (Mistral, vLLM).
#[derive(Deserialize)]
struct FoundWire<'a> {
    #[serde(borrow)]
    loc: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    msg: Option<Str<'a>>,
}

/// Reads the body of an error answer. Whatever it is, something is said.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    read_error_object(Some(status), body)
}

/// Reads an error, where it stands alone or in `error`. Without a status, as in a stream, it is told by the error.
pub(super) fn read_error_object(status: Option<u16>, body: &[u8]) -> ProviderError {
    let body = body.trim_ascii();
    // Gemini sends a list of one.
    let mut list: Vec<&RawValue> = Vec::new();
    if body.starts_with(b"[") {
        list = serde_json::from_slice(body).unwrap_or_default();
    }
    let object = list.first().map_or(body, |first| first.get().as_bytes());
    let outer: Wire<'_> = serde_json::from_slice(object).unwrap_or_default();
    let (inner_bytes, inner) = match outer.error {
        Some(error) => (error.get().as_bytes(), serde_json::from_str::<Wire<'_>>(error.get()).ok()),
        None => (object, None),
    };
    // `{"code": ..., "error": "what happened"}` is xAI's, and Ollama's without the code.
    let told = inner.as_ref().unwrap_or(&outer);
    let found = [told.message, told.detail].into_iter().flatten().find_map(first_found);
    let (found, found_at) = found.unzip();
    let passed_on = told.metadata.filter(|_| text(told.message).as_deref() == Some(PASSED_ON));
    let said = passed_on
        .and_then(said_behind)
        .or_else(|| text(told.message))
        .or_else(|| if inner.is_none() { text(outer.error) } else { None })
        .or_else(|| text(told.detail))
        .or(found)
        .or_else(|| told.message.or(told.detail).map(|raw| quoted(raw.get().as_bytes())))
        .filter(|said| !said.trim().is_empty());
    let message = said.unwrap_or_else(|| match (quoted(body), status) {
        (quoted, _) if !quoted.is_empty() => quoted,
        (_, Some(status)) => format!("The provider answered with status {status} and did not say why."),
        _ => "The provider reported an error and did not say why.".to_owned(),
    });
    let said_code = text(told.code).or_else(|| text(outer.code));
    let said_kind = text(told.kind).or_else(|| text(outer.error_type));
    // 402 is OpenRouter's and DeepSeek's for an account without money.
    let said_status = status.or_else(|| fault::status(inner_bytes));
    let unpaid = said_kind.as_deref() == Some(UNPAID) || said_status == Some(402);
    let known = |name: &Option<String>| CODES.iter().find(|(code, _)| name.as_deref() == Some(code)).copied();
    let lost = [&said_code, &said_kind].into_iter().flatten().any(|word| LOST.contains(&&**word));
    let mut code = if lost { Some(("model_not_found", 404)) } else { known(&said_code) };
    if code.is_none() {
        let small = message.to_ascii_lowercase();
        let too_long = status.is_none_or(|status| matches!(status, 400 | 413 | 422))
            && TOO_LONG.iter().any(|words| small.contains(words));
        code =
            if too_long { Some(("context_length_exceeded", 400)) } else { unpaid.then_some((UNPAID, 429)) };
    }
    let status = said_status
        .or(code.map(|(_, status)| status))
        .or_else(|| said_kind.as_deref().and_then(status_of))
        .unwrap_or(500);
    // OpenAI says these otherwise, and its clients know only that.
    let status = match status {
        402 => 429,
        // Text Generation Inference's, of an answer that failed on its way.
        424 => 502,
        529 => 503,
        other => other,
    };
    let kind = KINDS.iter().find(|kind| said_kind.as_deref() == Some(kind));
    ProviderError {
        status,
        kind: kind.copied().unwrap_or_else(|| if unpaid { UNPAID } else { kind_of(status) }),
        code: code.map(|(code, _)| code),
        param: text(told.param).or_else(|| found_at.filter(|at| !at.is_empty())),
        message,
    }
}

/// Appends OpenAI's error object.
pub fn write_error(error: &ProviderError, out: &mut Vec<u8>) {
    write_error_object(&error.message, error.kind, error.param.as_deref(), error.code, out);
}

/// A string.
fn text(value: Option<&RawValue>) -> Option<String> {
    let Str(text) = serde_json::from_str(value?.get()).ok()?;
    Some(text.into_owned())
}

/// The first of what a check found, and where in the request.
fn first_found(list: &RawValue) -> Option<(String, String)> {
    let inner = serde_json::from_str::<Wire<'_>>(list.get()).ok().filter(|_| list.get().starts_with('{'));
    let list = inner.and_then(|inner| inner.detail).unwrap_or(list);
    let found: Vec<FoundWire<'_>> = serde_json::from_str(list.get()).ok()?;
    let first = found.into_iter().next()?;
    let Str(said) = first.msg?;
    let mut at = String::new();
    for step in first.loc.unwrap_or_default() {
        match text(Some(step)) {
            Some(name) if at.is_empty() && name == "body" => {}
            Some(name) if at.is_empty() => at = name,
            Some(name) => at.extend([".", &name]),
            None => at.extend(["[", step.get(), "]"]),
        }
    }
    let said = if at.is_empty() { said.into_owned() } else { format!("{at}: {said}") };
    Some((said, at))
}

/// What they said whom OpenRouter asked.
fn said_behind(metadata: &RawValue) -> Option<String> {
    let raw = text(serde_json::from_str::<MetadataWire<'_>>(metadata.get()).ok()?.raw)?;
    let outer: Wire<'_> = serde_json::from_str(&raw).unwrap_or_default();
    let inner = outer.error.and_then(|error| serde_json::from_str::<Wire<'_>>(error.get()).ok());
    let said = text(inner.as_ref().unwrap_or(&outer).message).or_else(|| text(outer.error));
    let said = said.unwrap_or_else(|| quoted(raw.as_bytes()));
    (!said.is_empty()).then(|| format!("{PASSED_ON}: {said}"))
}

/// The start of what is not an error object.
fn quoted(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..MAX_QUOTED_BYTES).unwrap_or(bytes)).trim().to_owned()
}

fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..500 => REQUEST,
        _ => SERVER,
    }
}

fn status_of(kind: &str) -> Option<u16> {
    match kind {
        REQUEST => Some(400),
        "authentication_error" => Some(401),
        "permission_error" => Some(403),
        "not_found_error" => Some(404),
        // Text Generation Inference's.
        "validation" => Some(400),
        "overloaded" => Some(429),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_as_providers_send_them() {
        for (status, body, wanted) in [
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 128000 tokens.",
                   "type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
                (
                    REQUEST,
                    Some("context_length_exceeded"),
                    Some("messages"),
                    "This model's maximum context length is 128000 tokens.",
                ),
            ),
            (
                429,
                r#"{"error":{"message":"Rate limit reached","type":"tokens","param":null,
                   "code":"rate_limit_exceeded"}}"#,
                ("tokens", Some("rate_limit_exceeded"), None, "Rate limit reached"),
            ),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":null}}"#,
                ("insufficient_quota", Some("insufficient_quota"), None, "You exceeded your current quota"),
            ),
            // vLLM, before and after 0.11.
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.",
                   "type":"BadRequestError","param":null,"code":400}"#,
                (
                    REQUEST,
                    Some("context_length_exceeded"),
                    None,
                    "This model's maximum context length is 4096 tokens.",
                ),
            ),
            (
                404,
                r#"{"error":{"message":"The model does not exist.","type":"NotFoundError","param":null,"code":404}}"#,
                (REQUEST, None, None, "The model does not exist."),
            ),
            // Azure's, of which the second has its details beside it.
            (
                404,
                r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
                (
                    REQUEST,
                    Some("model_not_found"),
                    None,
                    "The API deployment for this resource does not exist.",
                ),
            ),
            (
                400,
                r#"{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter",
                   "status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                (REQUEST, Some("content_filter"), Some("prompt"), "The response was filtered"),
            ),
            // Mistral's two.
            (
                422,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs"}]}"#,
                (REQUEST, None, Some("x"), "x: Extra inputs"),
            ),
            (
                422,
                r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden",
                   "loc":["body","messages",3,"assistant","refusal"],"msg":"Extra inputs","input":null}]},
                   "type":"invalid_request_error","param":null,"code":null}"#,
                (
                    REQUEST,
                    None,
                    Some("messages[3].assistant.refusal"),
                    "messages[3].assistant.refusal: Extra inputs",
                ),
            ),
            (422, r#"{"detail":[]}"#, (REQUEST, None, None, "[]")),
            (422, r#"{"detail":[{"loc":5}]}"#, (REQUEST, None, None, r#"[{"loc":5}]"#)),
            (
                400,
                r#"{"object":"error","message":"Tool call id was x but must be a-z, A-Z, 0-9, with a length of 9.",
                   "type":"invalid_function_call","param":null,"code":"3280","raw_status_code":400}"#,
                (REQUEST, None, None, "Tool call id was x but must be a-z, A-Z, 0-9, with a length of 9."),
            ),
            (
                400,
                r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500"}"#,
                (REQUEST, Some("model_not_found"), None, "Invalid model: x"),
            ),
            // Text Generation Inference and Hugging Face's router.
            (
                422,
                r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096","error_type":"validation"}"#,
                (
                    REQUEST,
                    Some("context_length_exceeded"),
                    None,
                    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
                ),
            ),
            (
                429,
                r#"{"error":"Model is overloaded","error_type":"overloaded"}"#,
                ("rate_limit_error", None, None, "Model is overloaded"),
            ),
            (
                400,
                r#"{"error":{"message":"The requested model 'x' is not supported","type":"invalid_request_error","param":"model","code":"model_not_supported"}}"#,
                (REQUEST, Some("model_not_found"), Some("model"), "The requested model 'x' is not supported"),
            ),
            // OpenRouter's, with the words of whom it asked.
            (
                400,
                r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"provider_name":"X",
                   "raw":"{\"error\":{\"message\":\"This model's maximum context length is 9\"}}"}},"user_id":"u"}"#,
                (
                    REQUEST,
                    Some("context_length_exceeded"),
                    None,
                    "Provider returned error: This model's maximum context length is 9",
                ),
            ),
            (
                502,
                r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"ERROR"}}}"#,
                (SERVER, None, None, "Provider returned error: ERROR"),
            ),
            (
                403,
                r#"{"error":{"message":"x requires moderation","code":403,"metadata":{"reasons":["hate"]}}}"#,
                ("permission_error", None, None, "x requires moderation"),
            ),
            // Ollama and vLLM, of what is too long.
            (
                400,
                r#"{"error":"the input length exceeds the context length"}"#,
                (
                    REQUEST,
                    Some("context_length_exceeded"),
                    None,
                    "the input length exceeds the context length",
                ),
            ),
            (401, r#"{"detail":"Unauthorized"}"#, ("authentication_error", None, None, "Unauthorized")),
            // xAI and Ollama.
            (
                400,
                r#"{"code":"Client specified an invalid argument","error":"Argument not supported: stop"}"#,
                (REQUEST, None, None, "Argument not supported: stop"),
            ),
            (404, r#"{"error":"model 'x' not found"}"#, (REQUEST, None, None, "model 'x' not found")),
            // Gemini's OpenAI API.
            (
                503,
                r#"[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]"#,
                (SERVER, None, None, "The model is overloaded."),
            ),
            (502, "<html>Bad gateway</html>\n", (SERVER, None, None, "<html>Bad gateway</html>")),
            (503, "", (SERVER, None, None, "The provider answered with status 503 and did not say why.")),
        ] {
            let (kind, code, param, message) = wanted;
            let wanted = ProviderError {
                status,
                kind,
                code,
                param: param.map(str::to_owned),
                message: message.to_owned(),
            };
            assert_eq!(read_error(status, body.as_bytes()), wanted, "{body}");
        }
    }

    #[test]
    fn statuses_that_openai_does_not_have() {
        // OpenRouter's and DeepSeek's, and Anthropic's.
        let error =
            read_error(402, br#"{"error":{"message":"Insufficient credits","code":402},"user_id":"u"}"#);
        assert_eq!((error.status, error.kind, error.code), (429, UNPAID, Some(UNPAID)));
        let error = read_error(529, br#"{"error":{"message":"Overloaded","type":"overloaded_error"}}"#);
        assert_eq!((error.status, error.kind, error.code), (503, SERVER, None));
        let error =
            read_error(424, br#"{"error":"Request failed during generation","error_type":"generation"}"#);
        assert_eq!((error.status, error.kind, error.code), (502, SERVER, None));
    }

    #[test]
    fn errors_inside_a_stream_tell_their_status() {
        for (body, status, kind) in [
            (r#"{"error":{"message":"x","type":"server_error","code":null}}"#, 500, SERVER),
            (r#"{"error":{"code":429,"message":"x"}}"#, 429, "rate_limit_error"),
            (r#"{"error":{"message":"x","type":"invalid_request_error","code":null}}"#, 400, REQUEST),
            (r#"{"error":{"message":"x","type":"y","code":"content_filter"}}"#, 400, REQUEST),
            (r#"{"message":"overloaded"}"#, 500, SERVER),
            (r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, 429, "rate_limit_error"),
            (r#"{"error":"Incomplete generation","error_type":"incomplete_generation"}"#, 500, SERVER),
            (r#"{"error":"model runner has unexpectedly stopped"}"#, 500, SERVER),
            (r#"{"error":{"code":402,"message":"Insufficient credits"}}"#, 429, UNPAID),
            (r#"{"error":{"message":"x","type":"overloaded_error"}}"#, 503, SERVER),
        ] {
            let error = read_error_object(None, body.as_bytes());
            assert_eq!((error.status, error.kind), (status, kind), "{body}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let error = ProviderError {
            status: 400,
            kind: REQUEST,
            code: Some("invalid_value"),
            param: Some("messages[0].content".to_owned()),
            message: "No \"such\" thing.".to_owned(),
        };
        let mut out = Vec::new();
        write_error(&error, &mut out);
        assert_eq!(
            String::from_utf8(out.clone()).unwrap(),
            r#"{"error":{"message":"No \"such\" thing.","type":"invalid_request_error","param":"messages[0].content","code":"invalid_value"}}"#
        );
        assert_eq!(read_error(400, &out), error);
    }
}
