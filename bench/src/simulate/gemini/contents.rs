//! Reading contents, the messages of a conversation (https://ai.google.dev/api/caching#Content).

use serde_json::Value;

use super::{
    ApiError,
    proto::{self, Fields, join},
};
use crate::simulate::text;

/// Tokens of an image (https://ai.google.dev/gemini-api/docs/tokens#multimodal-tokens).
const IMAGE_TOKENS: usize = 258;

/// What the contents say.
#[derive(Debug, Default)]
pub(super) struct Talk {
    bytes: usize,
    contents: usize,
    pub(super) images: usize,
    pub(super) files: usize,
    /// The text of the last turn of the user that has some.
    pub(super) last_user: String,
    /// Whether the user spoke last.
    pub(super) user_last: bool,
    /// What the last turn says of a function's result, where it is one.
    pub(super) last_result: Option<String>,
    /// Calls in the turn before.
    open: usize,
}

const PARTS: &[&str] = &[
    "codeExecutionResult",
    "executableCode",
    "fileData",
    "functionCall",
    "functionResponse",
    "inlineData",
    "mediaProcessing",
    "mediaResolution",
    "partMetadata",
    "text",
    "thought",
    "thoughtSignature",
    "toolCall",
    "toolResponse",
    "videoMetadata",
];

/// Reads the contents of a request, whose message is called `message`.
pub(super) fn read(fields: &Fields, message: &str) -> Result<Talk, ApiError> {
    let contents = proto::list(fields, "contents");
    if contents.is_empty() {
        return Err(ApiError::invalid(format!("* {message}.contents: contents is not specified\n")));
    }
    let mut talk = Talk { contents: contents.len(), ..Talk::default() };
    for (at, content) in contents.iter().enumerate() {
        let path = format!("contents[{at}]");
        let fields = proto::message(content, &path, "Content")?;
        let role = proto::text(fields, &path, "role")?;
        if !matches!(role, "" | "user" | "model" | "function") {
            return Err(ApiError::invalid("Please use a valid role: user, model."));
        }
        let turn = turn(&mut talk, fields, &path)?;
        if turn.parts == 0 {
            let message = format!("* {message}.{path}.parts: contents.parts must not be empty.\n");
            return Err(ApiError::invalid(message));
        }
        talk.pairs(&turn, at)?;
        talk.user_last = role != "model";
        if role != "model" && !turn.words.is_empty() {
            talk.last_user = turn.words;
        }
        talk.last_result = turn.result;
    }
    Ok(talk)
}

/// Adds the text of a content that is not a turn, such as the system's instruction.
pub(super) fn aside(talk: &mut Talk, content: &Value, path: &str) -> Result<(), ApiError> {
    turn(talk, proto::message(content, path, "Content")?, path)?;
    Ok(())
}

/// The text of a content.
pub(super) fn words(content: &Value, path: &str) -> Result<String, ApiError> {
    Ok(turn(&mut Talk::default(), proto::message(content, path, "Content")?, path)?.words)
}

/// What one content says.
#[derive(Default)]
struct Turn {
    parts: usize,
    words: String,
    calls: usize,
    responses: usize,
    result: Option<String>,
}

fn turn(talk: &mut Talk, content: &Fields, path: &str) -> Result<Turn, ApiError> {
    proto::only(content, path, &["parts", "role"])?;
    let parts = proto::list(content, "parts");
    let mut turn = Turn { parts: parts.len(), ..Turn::default() };
    for (at, part) in parts.iter().enumerate() {
        let path = format!("{path}.parts[{at}]");
        read_part(talk, &mut turn, proto::message(part, &path, "Part")?, &path)?;
    }
    talk.bytes += turn.words.len();
    Ok(turn)
}

fn read_part(talk: &mut Talk, turn: &mut Turn, part: &Fields, path: &str) -> Result<(), ApiError> {
    proto::only(part, path, PARTS)?;
    let words = proto::text(part, path, "text")?;
    if proto::boolean(part, path, "thought")? {
        talk.bytes += words.len();
    } else if !words.is_empty() {
        if !turn.words.is_empty() {
            turn.words.push(' ');
        }
        turn.words.push_str(words);
    }
    for (name, place) in [("inlineData", "data"), ("fileData", "fileUri")] {
        let Some(data) = proto::get(part, name) else { continue };
        let path = join(path, name);
        let data = proto::message(data, &path, "Blob")?;
        proto::only(data, &path, &["mimeType", place, "displayName"])?;
        let (kind, content) = (proto::text(data, &path, "mimeType")?, proto::text(data, &path, place)?);
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
        if name == "inlineData" && !content.bytes().all(is_base64) {
            let path = join(&path, place);
            let message = format!("Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed");
            return Err(ApiError::payload(&path, message));
        }
        if content.is_empty() || (kind.is_empty() && name == "inlineData") {
            return Err(ApiError::invalid(
                "Unable to process input image. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
            ));
        }
        if kind.starts_with("image/") { talk.images += 1 } else { talk.files += 1 }
    }
    if let Some(value) = proto::get(part, "functionCall") {
        let path = join(path, "functionCall");
        let call = proto::message(value, &path, "FunctionCall")?;
        proto::only(call, &path, &["id", "name", "args"])?;
        talk.bytes += function_name(call, &path)?.len();
        if let Some(args) = proto::get(call, "args") {
            proto::structure(args, &join(&path, "args"))?;
            talk.bytes += args.to_string().len();
        }
        turn.calls += 1;
    }
    if let Some(value) = proto::get(part, "functionResponse") {
        let path = join(path, "functionResponse");
        let answer = proto::message(value, &path, "FunctionResponse")?;
        proto::only(answer, &path, &["id", "name", "response", "parts", "willContinue", "scheduling"])?;
        function_name(answer, &path)?;
        let empty = Value::Object(Fields::new());
        let response = proto::get(answer, "response").unwrap_or(&empty);
        let fields = proto::structure(response, &join(&path, "response"))?;
        // The SDKs put what is not an object under one of these names.
        let plain = ["output", "result"].iter().find_map(|name| fields.get(*name)?.as_str());
        let result = plain.map_or_else(|| response.to_string(), str::to_owned);
        talk.bytes += result.len();
        turn.responses += 1;
        turn.result = Some(result);
    }
    Ok(())
}

fn function_name<'a>(fields: &'a Fields, path: &str) -> Result<&'a str, ApiError> {
    match proto::text(fields, path, "name")? {
        "" => {
            Err(ApiError::invalid(format!("* GenerateContentRequest.{path}.name: Name cannot be empty.\n")))
        }
        name => Ok(name),
    }
}

impl Talk {
    /// Calls and their results follow upon each other
    /// (https://ai.google.dev/gemini-api/docs/function-calling#parallel_function_calling).
    fn pairs(&mut self, turn: &Turn, at: usize) -> Result<(), ApiError> {
        let message = if turn.responses > 0 && self.open == 0 {
            "Please ensure that function response turn comes immediately after a function call turn."
        } else if turn.responses != self.open {
            "Please ensure that the number of function response parts is equal to the number of function call parts \
             of the function call turn."
        } else if turn.calls > 0 && at == 0 {
            "Please ensure that function call turn comes immediately after a user turn or after a function response \
             turn."
        } else {
            self.open = turn.calls;
            return Ok(());
        };
        Err(ApiError::invalid(message))
    }

    /// What the prompt counts, tools aside.
    pub(super) fn tokens(&self) -> usize {
        text::prompt_tokens(self.bytes, self.contents) + IMAGE_TOKENS * self.images
    }
}
