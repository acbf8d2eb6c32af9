//! The messages of a conversation.
//!
//! Source: Cohere API reference, "Chat" (`messages`); the guides "Tool use" and "Image inputs".

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::chat::fields::{Path, Str, TextOr, required};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{AssistantMessage, Call, Image, Message, Part, Refused, Source};

type Content<'a> = TextOr<'a, Block<'a>>;

/// One message: the fields of all roles together. The citations of earlier answers are passed over.
#[derive(Debug, Deserialize)]
pub struct Said<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Called<'a>>>,
    #[serde(borrow)]
    tool_plan: Option<Str<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Str<'a>>,
}

/// One block of content: the fields of all kinds together.
#[derive(Debug, Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    thinking: Option<Str<'a>>,
    /// Ours: that of the provider over the thought.
    #[serde(borrow)]
    signature: Option<Str<'a>>,
    #[serde(borrow)]
    image_url: Option<Picture<'a>>,
    #[serde(borrow)]
    document: Option<Document<'a>>,
}

#[derive(Debug, Deserialize)]
struct Picture<'a> {
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    detail: Option<Str<'a>>,
}

/// Its `id`, by which an answer would cite it, is passed over.
#[derive(Debug, Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Debug, Deserialize)]
struct Called<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    arguments: Option<Str<'a>>,
}

/// The messages as all dialects have them.
pub fn conversation(said: Vec<Said<'_>>) -> Result<Vec<Message<'_>>, Refused> {
    let mut messages = Vec::with_capacity(said.len());
    for (index, said) in said.into_iter().enumerate() {
        let within = Path::new("messages").at(index);
        let at = within.field("content");
        messages.push(match &*said.role {
            "system" => Message::System(parts(required(said.content, at)?, at, false)?),
            "user" => Message::User(parts(required(said.content, at)?, at, false)?),
            "assistant" => Message::Assistant(assistant(said, within)?),
            "tool" => Message::Tool {
                call_id: required(said.tool_call_id, within.field("tool_call_id"))?.0,
                parts: parts(required(said.content, at)?, at, true)?,
                is_error: false,
            },
            other => {
                return within.field("role").refuse(format!(
                    "{within}.role: there is no role '{other}'. Use 'user', 'assistant', 'system' or 'tool'."
                ));
            }
        });
    }
    Ok(messages)
}

/// The plan comes before all else that was thought, as it does in answers.
fn assistant<'a>(said: Said<'a>, within: Path<'_>) -> Result<AssistantMessage<'a>, Refused> {
    let at = within.field("content");
    let mut message = AssistantMessage::default();
    if let Some(Str(plan)) = said.tool_plan.filter(|Str(plan)| !plan.is_empty()) {
        message.reasoning.push((plan, None));
    }
    match said.content {
        None => {}
        Some(TextOr::List(blocks)) => {
            for (index, block) in blocks.into_iter().enumerate() {
                let at = at.at(index);
                if block.kind == "thinking" {
                    let Str(thought) = required(block.thinking, at.field("thinking"))?;
                    message.reasoning.push((thought, block.signature.map(|Str(signature)| signature)));
                } else {
                    message.parts.push(block.part(at, false)?);
                }
            }
        }
        Some(content) => message.parts = parts(content, at, false)?,
    }
    for (index, call) in said.tool_calls.into_iter().flatten().enumerate() {
        let at = within.field("tool_calls").at(index);
        let function = required(call.function, at.field("function"))?;
        message.calls.push(Call {
            id: required(call.id, at.field("id"))?.0,
            name: required(function.name, at.field("function").field("name"))?.0,
            arguments: function.arguments.map(|Str(arguments)| arguments).unwrap_or_default(),
        });
    }
    Ok(message)
}

/// `returned` is whether it is what a tool returned, which may have documents.
fn parts<'a>(content: Content<'a>, at: Path<'_>, returned: bool) -> Result<Vec<Part<'a>>, Refused> {
    match content {
        TextOr::Text(text) => Ok(vec![Part::Text(text)]),
        TextOr::List(blocks) => {
            blocks.into_iter().enumerate().map(|(index, block)| block.part(at.at(index), returned)).collect()
        }
        TextOr::Object => at.refuse(format!("{at}: send a text or an array.")),
    }
}

impl<'a> Block<'a> {
    fn part(self, at: Path<'_>, returned: bool) -> Result<Part<'a>, Refused> {
        Ok(match &*self.kind {
            "text" => Part::Text(required(self.text, at.field("text"))?.0),
            "image_url" => {
                let Picture { url, detail } = required(self.image_url, at.field("image_url"))?;
                Part::Image(Image { source: Source::of_url(url), detail: detail.map(|Str(detail)| detail) })
            }
            // Others take text as a result: a document is text, or the object as it was written.
            "document" if returned => {
                let Document { data } = required(self.document, at.field("document"))?;
                let text = serde_json::from_str::<Str<'a>>(data.get()).map(|Str(text)| text);
                Part::Text(text.unwrap_or_else(|_| data.get().into()))
            }
            other => return at.refuse(format!("{at}: a block of type '{other}' cannot stand here.")),
        })
    }
}
