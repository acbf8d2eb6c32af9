//! Reading what is to be generated (https://ai.google.dev/api/generate-content).

use serde_json::Value;

use super::{
    ApiError,
    contents::{self, Talk},
    proto::{self, Fields, get},
    schema, tools,
};
use crate::simulate::plan::{Rare, Wanted};

/// What a request asks for.
#[derive(Debug, Default)]
pub(super) struct Generate {
    pub(super) candidates: usize,
    pub(super) max_tokens: Option<usize>,
    pub(super) seed: Option<i64>,
    pub(super) thinking: bool,
    /// Whether the thoughts are shown.
    pub(super) thoughts: bool,
    pub(super) prompt_tokens: usize,
    pub(super) rare: Rare,
}

const REQUEST: &[&str] = &[
    "cachedContent",
    "contents",
    "generationConfig",
    "labels",
    "model",
    "safetySettings",
    "serviceTier",
    "store",
    "systemInstruction",
    "toolConfig",
    "tools",
];
const CONFIG: &[&str] = &[
    "_responseJsonSchema",
    "audioTranscriptionConfig",
    "candidateCount",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "imageConfig",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "presencePenalty",
    "responseFormat",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
];
const MESSAGE: &str = "GenerateContentRequest";
/// Most candidates, and most stop sequences.
const MAX_CANDIDATES: i64 = 8;
const MAX_STOPS: usize = 5;

/// Reads `body`.
pub(super) fn read(body: &[u8]) -> Result<Generate, ApiError> {
    let fields = proto::body(body)?;
    generate(&fields)
}

fn generate(fields: &Fields) -> Result<Generate, ApiError> {
    proto::only(fields, "", REQUEST)?;
    let empty = Fields::new();
    let path = "generation_config";
    let config = match get(fields, "generationConfig") {
        Some(config) => proto::message(config, path, "GenerationConfig")?,
        None => &empty,
    };
    proto::only(config, path, CONFIG)?;
    let talk = talk(fields, MESSAGE)?;
    let tools = tools::read(fields)?;
    let prompt_tokens = talk.tokens() + tools.tokens();
    ranges(config)?;
    let max_tokens = proto::integer(config, path, "maxOutputTokens")?;
    if max_tokens.is_some_and(|n| n < 1) {
        return Err(about("max_output_tokens", "max_output_tokens must be positive."));
    }
    let candidates = proto::integer(config, path, "candidateCount")?.unwrap_or(1);
    if !(1..=MAX_CANDIDATES).contains(&candidates) {
        return Err(about("candidate_count", "candidate_count must be in the range [1, 8]."));
    }
    let stop = proto::list(config, "stopSequences");
    if stop.len() > MAX_STOPS {
        return Err(about("stop_sequences", "stop_sequences must have at most 5 elements."));
    }
    let stop = stop.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let json = json(config)?;
    if json.is_some() && !tools.functions.is_empty() {
        let message = "Function calling with a response mime type: 'application/json' is unsupported";
        return Err(ApiError::invalid(message));
    }
    let (thinking, thoughts) = thinking(config)?;
    let wanted = match (tools.called(&talk), &talk.last_result, json) {
        (Some(functions), ..) => Wanted::Calls(functions),
        (None, Some(result), _) => Wanted::after_tool(result),
        (None, None, Some(wanted)) => wanted,
        (None, None, None) => Wanted::seeing(talk.images, talk.files),
    };
    Ok(Generate {
        candidates: usize::try_from(candidates).unwrap_or(1),
        max_tokens: max_tokens.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        seed: proto::integer(config, path, "seed")?,
        thinking,
        thoughts,
        prompt_tokens,
        rare: Rare { wanted, stop, logprobs: None, last_user: talk.last_user },
    })
}

/// The tokens of a prompt to be counted (https://ai.google.dev/api/tokens): contents alone or a whole request.
pub(super) fn counted(body: &[u8]) -> Result<usize, ApiError> {
    let fields = proto::body(body)?;
    proto::only(&fields, "", &["contents", "generateContentRequest", "model"])?;
    match get(&fields, "generateContentRequest") {
        None => Ok(talk(&fields, "CountTokensRequest")?.tokens()),
        Some(request) => {
            let request = proto::message(request, "generate_content_request", MESSAGE)?;
            Ok(generate(request)?.prompt_tokens)
        }
    }
}

/// Something wrong with the value of a parameter of the configuration.
fn about(name: &str, message: &str) -> ApiError {
    ApiError::invalid(format!("* {MESSAGE}.generation_config.{name}: {message}\n"))
}

fn talk(fields: &Fields, message: &str) -> Result<Talk, ApiError> {
    let mut talk = contents::read(fields, message)?;
    if let Some(system) = get(fields, "systemInstruction") {
        contents::aside(&mut talk, system, "system_instruction")?;
    }
    Ok(talk)
}

fn ranges(config: &Fields) -> Result<(), ApiError> {
    for (name, range, message) in [
        ("temperature", 0.0..=2.0, "temperature must be in the range [0.0, 2.0]."),
        ("topP", 0.0..=1.0, "top_p must be in the range [0.0, 1.0]."),
        ("topK", 0.0..=f64::MAX, "top_k must be positive."),
        ("presencePenalty", -2.0..=2.0, "presence_penalty must be in the range [-2.0, 2.0)."),
        ("frequencyPenalty", -2.0..=2.0, "frequency_penalty must be in the range [-2.0, 2.0)."),
    ] {
        let value = proto::number(config, "generation_config", name)?;
        if value.is_some_and(|n| !range.contains(&n)) {
            return Err(about(&proto::join("", name), message));
        }
    }
    Ok(())
}

/// The JSON wanted (https://ai.google.dev/gemini-api/docs/structured-output).
fn json(config: &Fields) -> Result<Option<Wanted>, ApiError> {
    let path = "generation_config";
    let own = get(config, "responseSchema");
    let other = get(config, "responseJsonSchema").or_else(|| config.get("_responseJsonSchema"));
    let wanted = match (own, other) {
        (Some(_), Some(_)) => {
            return Err(about(
                "response_schema",
                "only one of response_schema and response_json_schema may be set.",
            ));
        }
        (Some(own), None) => Wanted::Schema(schema::read(own, "generation_config.response_schema")?),
        (None, Some(schema)) => Wanted::Schema(schema.clone()),
        (None, None) => Wanted::JsonObject,
    };
    let schema = matches!(wanted, Wanted::Schema(_));
    match proto::text(config, path, "responseMimeType")? {
        "application/json" => Ok(Some(wanted)),
        "text/x.enum" if schema => Ok(Some(wanted)),
        "" | "text/plain" if schema => Err(about(
            "response_mime_type",
            "response_schema is only supported with response_mime_type \"application/json\" or \"text/x.enum\".",
        )),
        "" | "text/plain" => Ok(None),
        _ => Err(about(
            "response_mime_type",
            "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and \
             `text/x.enum`.",
        )),
    }
}

/// Whether there are thoughts, and whether they are shown (https://ai.google.dev/gemini-api/docs/thinking). Only
/// requests that speak of them get some.
fn thinking(config: &Fields) -> Result<(bool, bool), ApiError> {
    let Some(value) = get(config, "thinkingConfig") else { return Ok((false, false)) };
    let path = "generation_config.thinking_config";
    let config = proto::message(value, path, "ThinkingConfig")?;
    proto::only(config, path, &["includeThoughts", "thinkingBudget", "thinkingLevel"])?;
    let budget = proto::integer(config, path, "thinkingBudget")?;
    let level = proto::text(config, path, "thinkingLevel")?.to_ascii_uppercase();
    if !matches!(level.as_str(), "" | "MINIMAL" | "LOW" | "MEDIUM" | "HIGH" | "THINKING_LEVEL_UNSPECIFIED") {
        let message = format!("Invalid value at '{path}.thinking_level', \"{level}\"");
        return Err(ApiError::payload(path, message));
    }
    if budget.is_some() && !level.is_empty() {
        return Err(ApiError::invalid("You can only set only one of thinking budget and thinking level."));
    }
    let shown = proto::boolean(config, path, "includeThoughts")?;
    Ok((budget != Some(0), shown && budget != Some(0)))
}
