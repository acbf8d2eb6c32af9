//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`
//! (https://platform.openai.com/docs/api-reference/audio/createTranscription): forms, answered with a text that says
//! what was heard.

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use memchr::memmem;

use super::ApiError;
use crate::simulate::{
    exchange::Call,
    gate, json,
    reply::{Body, Event, Events, Pace, Reply},
    text,
};

/// Bytes of sound for one token, and for one second.
const BYTES_PER_TOKEN: usize = 1000;
const BYTES_PER_SECOND: usize = 10_000;

/// A field of a form.
struct Field<'a> {
    name: String,
    file: Option<String>,
    value: &'a [u8],
}

pub(super) fn answer(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fields = form(call)?;
    let find = |name: &str| fields.iter().find(|field| field.name == name);
    let text = |name: &str| find(name).map(|field| String::from_utf8_lossy(field.value).into_owned());
    let model = text("model").filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| ApiError::invalid("you must provide a model parameter"))?;
    let stream = text("stream").is_some_and(|stream| stream == "true");
    let whisper = model.contains("whisper");
    let stream = stream && !whisper && call.path.ends_with("transcriptions");
    call.named(&model, stream);
    let fault = super::fault_or_error(call, &model)?;
    let file = find("file").filter(|field| field.file.is_some()).ok_or_else(|| ApiError::missing("file"))?;
    let sound = Sound {
        text: format!(
            "I hear {} bytes of {}. {}",
            file.value.len(),
            file.file.as_deref().unwrap_or_default(),
            text::answer(gate::length(call).max)
        ),
        input: file.value.len() / BYTES_PER_TOKEN + 1,
        seconds: file.value.len() / BYTES_PER_SECOND + 1,
        whisper,
    };
    let output = text::count(&sound.text);
    let left = super::spend(call, &model, sound.input + output)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let out = body.vec_mut();
    let body = match text("response_format").as_deref() {
        _ if stream => Body::Events(Box::new(Transcript {
            sound,
            at: 0,
            chunk_tokens: gate::chunk_tokens(call),
            pace: gate::pace(call),
        })),
        None | Some("json") => {
            out.extend_from_slice(b"{\"text\":");
            json::string(out, &sound.text);
            sound.usage(out);
            out.push(b'}');
            Body::Json(body)
        }
        Some("verbose_json") if whisper => {
            let task = if call.path.ends_with("translations") { "translate" } else { "transcribe" };
            let seconds = sound.seconds;
            out.extend_from_slice(
                format!("{{\"task\":\"{task}\",\"language\":\"english\",\"duration\":{seconds}.0,\"text\":")
                    .as_bytes(),
            );
            json::string(out, &sound.text);
            out.extend_from_slice(b",\"segments\":[]");
            sound.usage(out);
            out.push(b'}');
            Body::Json(body)
        }
        Some("text") if whisper => {
            out.extend_from_slice(sound.text.as_bytes());
            out.push(b'\n');
            Body::Text(body)
        }
        Some(other) => {
            let message = format!("response_format '{other}' is not compatible with model '{model}'.");
            return Err(ApiError::param("response_format", "unsupported_value", message));
        }
    };
    let head = Buf::with_capacity(LARGE_BYTES);
    Ok(Reply {
        body,
        completion_tokens: output as u64,
        ..super::json(call, head, wait, fault, left.as_ref())
    })
}

/// What was heard.
struct Sound {
    text: String,
    input: usize,
    seconds: usize,
    /// Whisper counts seconds, all others tokens.
    whisper: bool,
}

impl Sound {
    fn usage(&self, out: &mut Vec<u8>) {
        let Self { input, seconds, .. } = self;
        if self.whisper {
            out.extend_from_slice(
                format!(",\"usage\":{{\"type\":\"duration\",\"seconds\":{seconds}}}").as_bytes(),
            );
            return;
        }
        let output = text::count(&self.text);
        let total = input + output;
        out.extend_from_slice(
            format!(
                ",\"usage\":{{\"type\":\"tokens\",\"input_tokens\":{input},\"input_token_details\":\
                 {{\"text_tokens\":0,\"audio_tokens\":{input}}},\"output_tokens\":{output},\"total_tokens\":{total}}}"
            )
            .as_bytes(),
        );
    }
}

/// The rest of a streamed transcript.
struct Transcript {
    sound: Sound,
    at: usize,
    chunk_tokens: usize,
    pace: Pace,
}

impl Events for Transcript {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        let text = &self.sound.text;
        if self.at >= text.len() {
            out.extend_from_slice(b"data: {\"type\":\"transcript.text.done\",\"text\":");
            json::string(out, text);
            self.sound.usage(out);
            out.extend_from_slice(b"}\n\n");
            return Event::Last;
        }
        let end = text::tokens_end(text, self.at, self.chunk_tokens);
        out.extend_from_slice(b"data: {\"type\":\"transcript.text.delta\",\"delta\":");
        json::string(out, text.get(self.at..end).unwrap_or_default());
        out.extend_from_slice(b"}\n\n");
        self.at = end;
        Event::Content(self.chunk_tokens)
    }

    fn content_events(&self) -> usize {
        text::count(&self.sound.text).div_ceil(self.chunk_tokens)
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn error(&self) -> &'static [u8] {
        b"data: {\"error\":{\"message\":\"The server had an error while processing your request.\",\"type\":\
          \"server_error\",\"param\":null,\"code\":null}}\n\n"
    }
}

/// The fields of the form in the body (RFC 7578).
fn form<'a>(call: &Call<'a>) -> Result<Vec<Field<'a>>, ApiError> {
    let broken = || ApiError::invalid("Could not parse multipart form.");
    let kind = String::from_utf8_lossy(call.content_type.unwrap_or_default()).into_owned();
    let (_, boundary) = kind
        .split_once("boundary=")
        .filter(|_| kind.starts_with("multipart/form-data;"))
        .ok_or_else(broken)?;
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let mut fields = Vec::new();
    let mut rest = call.body.strip_prefix(delimiter.as_bytes()).ok_or_else(broken)?;
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let head_end = memmem::find(part, b"\r\n\r\n").ok_or_else(broken)?;
        let (head, content) = part.split_at_checked(head_end).ok_or_else(broken)?;
        let content = content.get(4..).ok_or_else(broken)?;
        let end = memmem::find(content, format!("\r\n{delimiter}").as_bytes()).ok_or_else(broken)?;
        let (value, after) = content.split_at_checked(end).ok_or_else(broken)?;
        rest = after.get(delimiter.len() + 2..).ok_or_else(broken)?;
        let head = String::from_utf8_lossy(head);
        let parameter = |name: &str| {
            let (_, value) = head.split_once(&format!("; {name}=\""))?;
            value.split_once('"').map(|(value, _)| value.to_owned())
        };
        fields.push(Field {
            name: parameter("name").ok_or_else(broken)?,
            file: parameter("filename"),
            value,
        });
    }
    if rest.starts_with(b"--") { Ok(fields) } else { Err(broken()) }
}
