//! The content of messages: a text, or blocks of several kinds.
//!
//! Source: Anthropic API reference, "Messages" (`content`), "Vision", "PDF support", "Search results".

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Unexpected};
use serde_json::value::RawValue;

use crate::dialect::chat::fields::{Path, Str, TextOr, TextOrElse, required, text_or_else};
use crate::dialect::chat::request::Text;
use crate::dialect::chat::{File, Image, Part, Refused, Source};

/// A text or blocks. (An object is what only results of Anthropic's own tools have.)
pub type Content<'a> = TextOr<'a, Block<'a>>;

/// One block: the fields of all kinds together. What is not named here is passed over: `cache_control`, which
/// changes what a request costs and not what is answered, and the citations of earlier answers.
#[derive(Debug, Deserialize)]
pub struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Str<'a>>,
    #[serde(borrow)]
    pub signature: Option<Str<'a>>,
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub tool_use_id: Option<Str<'a>>,
    pub is_error: Option<bool>,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    #[serde(borrow)]
    source: Option<Origin<'a>>,
    #[serde(borrow)]
    title: Option<Str<'a>>,
    #[serde(borrow)]
    context: Option<Str<'a>>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

/// The `source` of a block: an object, and the address of a search result as a text.
#[derive(Debug)]
enum Origin<'a> {
    Text(Text<'a>),
    Object(Box<Object<'a>>),
}

#[derive(Debug, Deserialize)]
struct Object<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    media_type: Option<Str<'a>>,
    #[serde(borrow)]
    data: Option<Str<'a>>,
    #[serde(borrow)]
    url: Option<Str<'a>>,
    #[serde(borrow)]
    file_id: Option<Str<'a>>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
}

#[derive(Deserialize)]
struct Citations {
    #[serde(default)]
    enabled: bool,
}

/// Parts that are being read, and what was asked beside them.
#[derive(Debug, Default)]
pub struct Read<'a> {
    pub parts: Vec<Part<'a>>,
    /// `citations`, where they are asked for: few providers have them.
    pub citations: Option<&'a RawValue>,
}

impl<'a> Read<'a> {
    /// The parts of a content that has only parts.
    pub fn content(&mut self, content: Content<'a>, at: Path<'_>) -> Result<(), Refused> {
        match content {
            TextOr::Text(text) => self.parts.push(Part::Text(text)),
            TextOr::List(blocks) => {
                for (index, block) in blocks.into_iter().enumerate() {
                    self.block(block, at.at(index))?;
                }
            }
            TextOr::Object => return at.refuse(format!("{at}: send a text or an array of blocks.")),
        }
        Ok(())
    }

    /// The part or parts that a block is.
    pub fn block(&mut self, block: Block<'a>, at: Path<'_>) -> Result<(), Refused> {
        match &*block.kind {
            "text" => self.parts.push(Part::Text(required(block.text, at.field("text"))?.0)),
            "image" => {
                let at = at.field("source");
                let Some(Origin::Object(source)) = block.source else {
                    return at.refuse(format!("{at}: an image needs a source object."));
                };
                let source = source.stored(at)?;
                self.parts.push(Part::Image(Image { source, detail: None }));
            }
            "document" => self.document(block, at)?,
            "search_result" => self.search_result(block, at)?,
            "thinking" | "redacted_thinking" | "tool_use" | "tool_result" => {
                return at.refuse(format!("{at}: a block of type '{}' cannot stand here.", block.kind));
            }
            other => {
                return at.refuse(format!(
                    "{at}: blocks of type '{other}' belong to tools that only Anthropic's own API runs. Leave them \
                     out, or choose a model of Anthropic's."
                ));
            }
        }
        Ok(())
    }

    /// A document. One of text is said as text, its title and context (which Anthropic shows the model too) before
    /// it: most providers take files as PDF only.
    fn document(&mut self, block: Block<'a>, at: Path<'_>) -> Result<(), Refused> {
        self.ask_citations(block.citations);
        let at = at.field("source");
        let Some(Origin::Object(source)) = block.source else {
            return at.refuse(format!("{at}: a document needs a source object."));
        };
        let title = block.title.map(|Str(title)| title);
        if let Some(Str(context)) = block.context {
            self.parts.push(Part::Text(context));
        }
        match &*source.kind {
            "text" => {
                self.parts.extend(title.map(Part::Text));
                self.parts.push(Part::Text(required(source.data, at.field("data"))?.0));
            }
            "content" => {
                self.parts.extend(title.map(Part::Text));
                self.content(required(source.content, at.field("content"))?, at.field("content"))?;
            }
            _ => {
                let source = source.stored(at)?;
                self.parts.push(Part::File(File { source, name: title }));
            }
        }
        Ok(())
    }

    /// A result of a search that the client made: its title and address, and then its texts.
    fn search_result(&mut self, block: Block<'a>, at: Path<'_>) -> Result<(), Refused> {
        self.ask_citations(block.citations);
        let Str(title) = required(block.title, at.field("title"))?;
        let Some(Origin::Text(address)) = block.source else {
            return at.refuse(format!("{at}: a search result needs its source, as a text."));
        };
        self.parts.push(Part::Text(format!("{title}\n{address}").into()));
        self.content(required(block.content, at.field("content"))?, at.field("content"))
    }

    /// Notes that citations are asked for. (In a text block the field is a list of those of an earlier answer.)
    fn ask_citations(&mut self, citations: Option<&'a RawValue>) {
        let asked =
            |raw: &&RawValue| serde_json::from_str(raw.get()).is_ok_and(|Citations { enabled }| enabled);
        self.citations = citations.filter(asked).or(self.citations);
    }
}

impl<'a> Object<'a> {
    /// Where the bytes of an image or a document are.
    fn stored(self, at: Path<'_>) -> Result<Source<'a>, Refused> {
        match &*self.kind {
            "base64" => Ok(Source::Data {
                media_type: required(self.media_type, at.field("media_type"))?.0,
                data: required(self.data, at.field("data"))?.0,
            }),
            "url" => Ok(Source::Url(required(self.url, at.field("url"))?.0)),
            "file" => Ok(Source::Id(required(self.file_id, at.field("file_id"))?.0)),
            other => at.refuse(format!("{at}: a source cannot be of type '{other}'.")),
        }
    }
}

impl<'de> TextOrElse<'de> for Origin<'de> {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a source object")
    }

    fn text(text: Cow<'de, str>) -> Self {
        Self::Text(text)
    }

    fn list<A: SeqAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(de::Error::invalid_type(Unexpected::Seq, &"a string or a source object"))
    }

    fn object<A: MapAccess<'de>>(members: A) -> Result<Self, A::Error> {
        Object::deserialize(MapAccessDeserializer::new(members)).map(|object| Self::Object(Box::new(object)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Origin<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_else::<Origin<'de>, D>(deserializer)
    }
}
