//! The items of a conversation.
//!
//! Source: OpenAI API reference, "Create a model response" (`input`).

use serde::Deserialize;

use crate::dialect::chat::fields::{Path, Str, TextOr, required};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{AssistantMessage, Audio, Call, File, Image, Message, Part, Refused, Source};

/// One item: the fields of all kinds together.
#[derive(Debug, Deserialize)]
pub struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    role: Option<Str<'a>>,
    #[serde(borrow)]
    content: Option<TextOr<'a, Content<'a>>>,
    #[serde(borrow)]
    call_id: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    arguments: Option<Str<'a>>,
    #[serde(borrow)]
    output: Option<TextOr<'a, Content<'a>>>,
    #[serde(borrow, default)]
    summary: Vec<Content<'a>>,
    #[serde(borrow)]
    encrypted_content: Option<Str<'a>>,
}

/// One part of a content.
#[derive(Debug, Deserialize)]
struct Content<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    refusal: Option<Str<'a>>,
    #[serde(borrow)]
    image_url: Option<Str<'a>>,
    #[serde(borrow)]
    detail: Option<Str<'a>>,
    #[serde(borrow)]
    file_id: Option<Str<'a>>,
    #[serde(borrow)]
    file_url: Option<Str<'a>>,
    #[serde(borrow)]
    file_data: Option<Str<'a>>,
    #[serde(borrow)]
    filename: Option<Str<'a>>,
    #[serde(borrow)]
    input_audio: Option<Sound<'a>>,
}

#[derive(Debug, Deserialize)]
struct Sound<'a> {
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow)]
    format: Text<'a>,
}

/// Appends the messages that the items are. What a model thought, said and called, one item each, is one message in
/// every other dialect.
pub fn conversation<'a>(items: Vec<Item<'a>>, to: &mut Vec<Message<'a>>) -> Result<(), Refused> {
    let mut said: Option<AssistantMessage<'a>> = None;
    for (index, item) in items.into_iter().enumerate() {
        let at = Path::new("input").at(index);
        let message = match item.kind.as_ref().map_or("message", |Str(kind)| kind) {
            "message" => {
                let Str(role) = required(item.role, at.field("role"))?;
                let content = required(item.content, at.field("content"))?;
                match &*role {
                    "user" => Message::User(parts(content, at.field("content"))?),
                    "system" | "developer" => Message::System(parts(content, at.field("content"))?),
                    "assistant" => {
                        assistant(content, at.field("content"), said.get_or_insert_default())?;
                        continue;
                    }
                    other => {
                        return at.field("role").refuse(format!("{at}.role: there is no role '{other}'."));
                    }
                }
            }
            "function_call" => {
                said.get_or_insert_default().calls.push(Call {
                    id: required(item.call_id, at.field("call_id"))?.0,
                    name: required(item.name, at.field("name"))?.0,
                    arguments: required(item.arguments, at.field("arguments"))?.0,
                });
                continue;
            }
            "reasoning" => {
                let thought = thought(item.content, &item.summary);
                let signature = item.encrypted_content.map(|Str(content)| content);
                said.get_or_insert_default().reasoning.push((thought, signature));
                continue;
            }
            "function_call_output" => Message::Tool {
                call_id: required(item.call_id, at.field("call_id"))?.0,
                parts: parts(required(item.output, at.field("output"))?, at.field("output"))?,
                is_error: false,
            },
            "item_reference" => {
                return at.refuse(format!(
                    "{at}: this gateway keeps no items, so there are none to refer to. Send the item itself."
                ));
            }
            other => {
                return at.refuse(format!(
                    "{at}: items of type '{other}' belong to tools of OpenAI's own servers, which this gateway has \
                     not. Leave them out."
                ));
            }
        };
        to.extend(said.take().map(Message::Assistant));
        to.push(message);
    }
    to.extend(said.map(Message::Assistant));
    Ok(())
}

/// The whole thought where it is shown, else its summary.
fn thought<'a>(content: Option<TextOr<'a, Content<'a>>>, summary: &[Content<'a>]) -> Text<'a> {
    let join = |parts: &[Content<'a>]| -> Text<'a> {
        match parts {
            [Content { text: Some(Str(text)), .. }] => text.clone(),
            parts => {
                let texts = parts.iter().filter_map(|part| part.text.as_ref());
                texts.map(|Str(text)| &**text).collect::<Vec<_>>().join("\n\n").into()
            }
        }
    };
    match content {
        Some(TextOr::Text(text)) => text,
        Some(TextOr::List(parts)) if !parts.is_empty() => join(&parts),
        _ => join(summary),
    }
}

fn assistant<'a>(
    content: TextOr<'a, Content<'a>>,
    at: Path<'_>,
    to: &mut AssistantMessage<'a>,
) -> Result<(), Refused> {
    match content {
        TextOr::List(list) => {
            for (index, content) in list.into_iter().enumerate() {
                if content.kind == "refusal" {
                    to.refusal = Some(required(content.refusal, at.at(index).field("refusal"))?.0);
                } else {
                    to.parts.push(content.part(at.at(index))?);
                }
            }
        }
        content => to.parts.extend(parts(content, at)?),
    }
    Ok(())
}

fn parts<'a>(content: TextOr<'a, Content<'a>>, at: Path<'_>) -> Result<Vec<Part<'a>>, Refused> {
    match content {
        TextOr::Text(text) => Ok(vec![Part::Text(text)]),
        TextOr::List(list) => {
            list.into_iter().enumerate().map(|(index, content)| content.part(at.at(index))).collect()
        }
        TextOr::Object => at.refuse(format!("{at}: send a text or an array.")),
    }
}

impl<'a> Content<'a> {
    fn part(self, at: Path<'_>) -> Result<Part<'a>, Refused> {
        let id = |id: Option<Str<'a>>| id.map(|Str(id)| Source::Id(id));
        Ok(match &*self.kind {
            "input_text" | "output_text" | "text" => Part::Text(required(self.text, at.field("text"))?.0),
            "input_image" => {
                let url = self.image_url.map(|Str(url)| data_url(url, ""));
                let source = required(url.or_else(|| id(self.file_id)), at.field("image_url"))?;
                Part::Image(Image { source, detail: self.detail.map(|Str(detail)| detail) })
            }
            "input_file" => {
                let data = self.file_data.map(|Str(data)| data_url(data, "application/pdf"));
                let url = self.file_url.map(|Str(url)| Source::Url(url));
                let source = required(data.or(url).or_else(|| id(self.file_id)), at.field("file_data"))?;
                Part::File(File { source, name: self.filename.map(|Str(name)| name) })
            }
            "input_audio" => {
                let Sound { data, format } = required(self.input_audio, at.field("input_audio"))?;
                Part::Audio(Audio { data, format })
            }
            other => return at.refuse(format!("{at}: there is no content of type '{other}'.")),
        })
    }
}

/// What a URL says, or is, where it is `data:<media type>;base64,<data>`. Where it is no URL it is data of this type,
/// if there is one.
fn data_url<'a>(url: Text<'a>, bare: &'static str) -> Source<'a> {
    match Source::of_url(url) {
        Source::Url(data) if !bare.is_empty() && !data.contains(':') => {
            Source::Data { media_type: bare.into(), data }
        }
        source => source,
    }
}
