//! The conversation: `contents` and `systemInstruction`.
//!
//! Source: Gemini API reference, "Caching" (`Content`, `Part`, `Blob`, `FileData`, `FunctionCall`, `FunctionResponse`);
//! the guides "Function calling" and "Thought signatures".

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::signature;
use crate::dialect::chat::fields::{self, Path, Str, required};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{AssistantMessage, Audio, Call, File, Image, Message, Part, Refused, Source};

/// A turn, or instructions.
#[derive(Debug, Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    role: Option<Str<'a>>,
    #[serde(borrow)]
    parts: Option<Vec<PartWire<'a>>>,
}

/// A part: the fields of all kinds together. What only says how to look at something, or is for the client alone, is
/// passed over, and so is Google's own signature over what is no thought.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartWire<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    thought: Option<bool>,
    #[serde(borrow, alias = "thought_signature")]
    thought_signature: Option<Str<'a>>,
    #[serde(borrow, alias = "inline_data")]
    inline_data: Option<Blob<'a>>,
    #[serde(borrow, alias = "file_data")]
    file_data: Option<FileData<'a>>,
    #[serde(borrow, alias = "function_call")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(borrow, alias = "function_response")]
    function_response: Option<FunctionResponse<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    #[serde(borrow, alias = "mime_type")]
    mime_type: Option<Str<'a>>,
    #[serde(borrow)]
    data: Option<Str<'a>>,
    #[serde(borrow, alias = "display_name")]
    display_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'a> {
    #[serde(borrow, alias = "mime_type")]
    mime_type: Option<Str<'a>>,
    #[serde(borrow, alias = "file_uri")]
    file_uri: Option<Str<'a>>,
    #[serde(borrow, alias = "display_name")]
    display_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct FunctionResponse<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    parts: Option<Vec<PartWire<'a>>>,
}

/// The text of a content that has nothing else.
pub(super) fn text<'a>(content: Content<'a>, at: Path<'_>) -> Result<Text<'a>, Refused> {
    let at = at.field("parts");
    let mut text = Cow::Borrowed("");
    for (index, part) in content.parts.unwrap_or_default().into_iter().enumerate() {
        let at = at.at(index);
        match part.text {
            Some(Str(first)) if text.is_empty() => text = first,
            Some(Str(more)) => text.to_mut().push_str(&more),
            None => return at.refuse(format!("{at}: the provider of this model embeds text only.")),
        }
    }
    Ok(text)
}

/// What has been said so far.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) messages: Vec<Message<'a>>,
    /// Calls, with their functions, in order; those that have a result lose their place.
    open: Vec<(Text<'a>, Text<'a>)>,
    calls: usize,
}

impl<'a> Conversation<'a> {
    /// Adds instructions, which are text.
    pub(super) fn instruct(&mut self, content: Content<'a>, at: Path<'_>) -> Result<(), Refused> {
        let at = at.field("parts");
        let mut parts = Vec::new();
        for (index, part) in content.parts.unwrap_or_default().into_iter().enumerate() {
            let at = at.at(index);
            match part.text {
                Some(Str(text)) => parts.push(Part::Text(text)),
                None => return at.refuse(format!("{at}: instructions are text.")),
            }
        }
        if !parts.is_empty() {
            self.messages.push(Message::System(parts));
        }
        Ok(())
    }

    /// Adds a turn.
    pub(super) fn turn(&mut self, content: Content<'a>, within: Path<'_>) -> Result<(), Refused> {
        let at = within.field("parts");
        let parts = content.parts.unwrap_or_default();
        match content.role.as_ref().map_or("user", |Str(role)| role) {
            // The role of results once had a name of its own.
            "" | "user" | "function" => self.user(parts, at),
            "model" => self.model(parts, at),
            other => within
                .field("role")
                .refuse(format!("{within}.role: there is no role '{other}'. Use 'user' or 'model'.")),
        }
    }

    /// What functions returned, one message each, and then what the user says.
    fn user(&mut self, parts: Vec<PartWire<'a>>, at: Path<'_>) -> Result<(), Refused> {
        let mut said = Vec::new();
        for (index, part) in parts.into_iter().enumerate() {
            let at = at.at(index);
            match part.function_response {
                Some(result) => self.result(result, at.field("functionResponse"))?,
                None => said.push(part.read(at)?),
            }
        }
        if !said.is_empty() {
            self.messages.push(Message::User(said));
        }
        Ok(())
    }

    /// A result answers the call with its id, else the first of its function that has none yet.
    fn result(&mut self, result: FunctionResponse<'a>, at: Path<'_>) -> Result<(), Refused> {
        let name = result.name.map(|Str(name)| name).unwrap_or_default();
        let by_id = result.id.as_ref().and_then(|Str(id)| self.open.iter().position(|(open, _)| open == id));
        let place = by_id.or_else(|| self.open.iter().position(|(_, open)| *open == name));
        let Some(place) = place else {
            return at.refuse(format!(
                "{at}: no call of '{name}' before it waits for a result. Send the model's turn with its functionCall \
                 first."
            ));
        };
        let (call_id, _) = self.open.remove(place);
        let (text, is_error) = said(result.response.map_or("{}", RawValue::get));
        let mut parts = vec![Part::Text(text)];
        let within = at.field("parts");
        for (index, part) in result.parts.unwrap_or_default().into_iter().enumerate() {
            parts.push(part.read(within.at(index))?);
        }
        self.messages.push(Message::Tool { call_id, parts, is_error });
        Ok(())
    }

    /// What the model said. SDKs keep each event of a stream as a turn of its own: they are one.
    fn model(&mut self, parts: Vec<PartWire<'a>>, at: Path<'_>) -> Result<(), Refused> {
        let mut message = match self.messages.pop() {
            Some(Message::Assistant(message)) => message,
            other => {
                self.messages.extend(other);
                AssistantMessage::default()
            }
        };
        for (index, part) in parts.into_iter().enumerate() {
            let at = at.at(index);
            if part.thought == Some(true) {
                think(&mut message, part);
            } else if let Some(call) = part.function_call {
                let call = self.call(call, at.field("functionCall"))?;
                message.calls.push(call);
            } else {
                match (part.read(at)?, message.parts.last_mut()) {
                    (Part::Text(more), Some(Part::Text(text))) => text.to_mut().push_str(&more),
                    (Part::Text(text), _) if text.is_empty() => {}
                    (part, _) => message.parts.push(part),
                }
            }
        }
        self.messages.push(Message::Assistant(message));
        Ok(())
    }

    fn call(&mut self, call: FunctionCall<'a>, at: Path<'_>) -> Result<Call<'a>, Refused> {
        let Str(name) = required(call.name, at.field("name"))?;
        let id = call.id.map(|Str(id)| id).filter(|id| !id.is_empty());
        // The same whenever the conversation is sent.
        let id = id.unwrap_or_else(|| format!("call_{}", self.calls).into());
        self.calls += 1;
        self.open.push((id.clone(), name.clone()));
        Ok(Call { id, name, arguments: call.args.map_or("{}", RawValue::get).into() })
    }
}

/// Adds a thought, or more of the one before: only its end has a signature.
fn think<'a>(message: &mut AssistantMessage<'a>, part: PartWire<'a>) {
    let text = part.text.map(|Str(text)| text).unwrap_or_default();
    let signature = part.thought_signature.and_then(|Str(signature)| signature::unseal(&signature));
    match message.reasoning.last_mut() {
        Some((thought, open @ None)) => {
            thought.to_mut().push_str(&text);
            *open = signature;
        }
        _ => message.reasoning.push((text, signature)),
    }
}

/// What a function returned, as text, and whether it failed. `output` and `error` are the names for it that the API
/// gives a meaning, `result` the one that the guides and the SDKs use.
fn said(response: &str) -> (Text<'_>, bool) {
    let members = fields::members(response.as_bytes()).unwrap_or_default();
    if let [(name, value)] = members.as_slice()
        && matches!(&**name, "result" | "output" | "error")
        && let Ok(Str(text)) = serde_json::from_str(value.get())
    {
        return (text, name == "error");
    }
    (response.into(), false)
}

impl<'a> PartWire<'a> {
    /// What is said with it.
    fn read(self, at: Path<'_>) -> Result<Part<'a>, Refused> {
        if let Some(blob) = self.inline_data {
            let at = at.field("inlineData");
            let Str(media_type) = required(blob.mime_type, at.field("mimeType"))?;
            let data = standard(required(blob.data, at.field("data"))?.0);
            return media(
                Source::Data { media_type: media_type.clone(), data },
                media_type,
                blob.display_name,
                at,
            );
        }
        if let Some(file) = self.file_data {
            let at = at.field("fileData");
            let Str(media_type) = required(file.mime_type, at.field("mimeType"))?;
            let Str(uri) = required(file.file_uri, at.field("fileUri"))?;
            let is_elsewhere =
                uri.starts_with("https://") || uri.starts_with("http://") || uri.starts_with("s3://");
            if !is_elsewhere || uri.starts_with("https://generativelanguage.googleapis.com/") {
                return at.refuse(format!(
                    "{at}: this file is at Google, where the provider of this model cannot read it. Send its \
                     contents as inlineData, or choose a model of Google's."
                ));
            }
            return media(Source::Url(uri), media_type, file.display_name, at);
        }
        match self.text {
            Some(Str(text)) => Ok(Part::Text(text)),
            None => at.refuse(format!(
                "{at}: only text, inlineData, fileData, functionCall and functionResponse can stand here, each in its \
                 own turn: all else belongs to tools that only Google runs."
            )),
        }
    }
}

/// A file, by its media type.
fn media<'a>(
    source: Source<'a>,
    media_type: Text<'a>,
    name: Option<Str<'a>>,
    at: Path<'_>,
) -> Result<Part<'a>, Refused> {
    match media_type.split_once('/') {
        Some(("image", _)) => Ok(Part::Image(Image { source, detail: None })),
        Some(("audio", format)) => {
            let Source::Data { data, .. } = source else {
                return at.refuse(format!("{at}: sound must be in the request. Send it as inlineData."));
            };
            let format = match format {
                "mpeg" | "mp3" => "mp3",
                "wav" | "x-wav" | "wave" | "vnd.wave" => "wav",
                other => other,
            };
            Ok(Part::Audio(Audio { data, format: format.to_owned().into() }))
        }
        Some(("video", _)) => at.refuse(format!(
            "{at}: the provider of this model takes no video. Leave it out, or choose a model of Google's."
        )),
        _ => Ok(Part::File(File { source, name: name.map(|Str(name)| name) })),
    }
}

/// Base64 in the alphabet and with the padding that all take. Bytes in ProtoJSON may have either, and Google's SDK for
/// Python writes the other one (RFC 4648, section 5).
pub(super) fn standard(data: Text<'_>) -> Text<'_> {
    let missing = (4 - data.trim_end_matches('=').len() % 4) % 4;
    let padded = data.len().is_multiple_of(4);
    if padded && !data.contains(['-', '_']) {
        return data;
    }
    let mut out: String = data
        .trim_end_matches('=')
        .chars()
        .map(|char| match char {
            '-' => '+',
            '_' => '/',
            char => char,
        })
        .collect();
    out.extend(std::iter::repeat_n('=', missing));
    Cow::Owned(out)
}
