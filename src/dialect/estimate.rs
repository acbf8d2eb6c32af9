//! How many tokens a prompt is, before any provider has counted them.
//!
//! One pass over the bytes of a request, without decoding or allocating. Two numbers come out:
//!
//! - `expected`, for budgets that are settled later: the text's cost by [`text`], and what a chat adds
//!   around it. Within a fifth of o200k_base on prose in eight languages, code and JSON (docs/tokens.md).
//! - `upper`, for budgets that must never be exceeded. A byte-level BPE makes at most one token of each byte
//!   of UTF-8, a JSON string is never shorter than the text it holds, and what a provider adds around a
//!   message (about four tokens) is less than the JSON around it (`{"role":"","content":""}` has 24 bytes).
//!   So the length of the body is a bound. An escape counts as the bytes it stands for, and an image as
//!   [`IMAGE_UPPER`] in place of its data.
//!
//! What `upper` does not bound: text that the provider adds by itself (a hidden system prompt, tool
//! instructions, search results, a file or earlier answer named by an id), text packed in a document (a PDF
//! in base64), images dearer than [`IMAGE_UPPER`], video, and tokenizers that first rewrite the text into a
//! longer one (Unicode NFKC).

mod chat;
#[cfg(test)]
mod tests;
mod text;

use std::sync::LazyLock;

pub use chat::chat_tokens;
use memchr::memmem::Finder;
use text::{TOKEN, Text};

/// Tokens of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Probably about this many; never more than `upper`.
    pub expected: u64,
    /// At most this many, but for what the head of this module names.
    pub upper: u64,
}

/// Tokens of an image, probably: 1024 by 1024 pixels at gpt-4o, 85 + 4 x 170.
/// <https://platform.openai.com/docs/guides/images-vision#calculating-costs>
pub const IMAGE_EXPECTED: u64 = 765;

/// Tokens of an image, at most: the eight tiles that an image has at most, at gpt-4o-mini, which of OpenAI's
/// models counts the most: 2833 + 8 x 5667. (gpt-4o: 1445.) Same source.
pub const IMAGE_UPPER: u64 = 48_169;

/// Around each message: `<|start|>`, the role, `<|message|>`, `<|end|>`, of which the role is a text here.
/// <https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb>
const PER_MESSAGE: u64 = 3;
/// The beginning of the answer, which counts as prompt. Same source.
const PER_ANSWER: u64 = 3;
/// Around the name of a function or its call: a guess.
const PER_FUNCTION: u64 = 3;
/// A key of a JSON schema, or a number outside of text: a guess.
const PER_ITEM: u64 = 1;
/// Bytes of base64 for one expected token of a sound or document: a guess. Compressed sound is about 1000,
/// a document of text about 40.
const OPAQUE_BYTES: u64 = 64;

/// Where in the request we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Messages,
    /// Text, lists of texts, or tokens already.
    Input,
    /// Images and nothing else, as Cohere's embeddings have them.
    Images,
    /// Tools, schemas, and what we do not know: all its text counts.
    Other,
    /// Settings.
    NotPrompt,
}

/// What a value is, by its key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A word that only says how to read the rest.
    Label,
    Image,
    Opaque,
}

/// Settings, whose text no model sees.
const NOT_PROMPT: [&[u8]; 20] = [
    b"model",
    b"user",
    b"metadata",
    b"stop",
    b"logit_bias",
    b"stream_options",
    b"service_tier",
    b"reasoning_effort",
    b"encoding_format",
    b"safety_identifier",
    b"prompt_cache_key",
    b"tool_choice",
    b"modalities",
    b"audio",
    b"verbosity",
    b"stop_sequences",
    b"safety_mode",
    b"embedding_types",
    b"input_type",
    b"truncate",
];

/// Keys that most schemas of tools consist of.
const SCHEMA: [&[u8]; 8] =
    [b"type", b"function", b"name", b"description", b"parameters", b"properties", b"required", b"enum"];

struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    depth: u32,
    section: Section,
    /// Of the value that comes next.
    kind: Kind,
    /// A container whose data is no text: what its data is, the key it stands under, and its depth.
    holder: Option<(Kind, &'static [u8], u32)>,
    /// In parts of a token.
    cost: u64,
    /// Bytes of the body that are more than what they stand for.
    saved: u64,
    images: u64,
}

/// Estimates the prompt of a `chat/completions` or `embeddings` request. Total over any bytes; `upper` is a
/// bound if they are JSON.
pub fn prompt_tokens(body: &[u8]) -> Estimate {
    let mut walk = Walk::new(body, Section::Other);
    walk.run();
    let bytes = (body.len() as u64).saturating_sub(walk.saved);
    let upper = bytes.saturating_add(walk.images.saturating_mul(IMAGE_UPPER));
    let text = walk.cost.saturating_add(TOKEN / 2) / TOKEN;
    let expected = text.saturating_add(walk.images.saturating_mul(IMAGE_EXPECTED));
    Estimate { expected: expected.min(upper), upper }
}

/// Estimates a request that is mostly a file, such as sound: a guess, as [`OPAQUE_BYTES`] is, of which base64 has a
/// third more.
pub fn file_tokens(bytes: usize) -> Estimate {
    let upper = bytes as u64;
    Estimate { expected: upper / (OPAQUE_BYTES * 3 / 4), upper }
}

/// [`Estimate::upper`], or a little more, without reading the request; `None` where that takes reading: an image
/// is more than its data says (`"image_url"`, or Anthropic's `"image"`), and that might be written with `\u`, if there
/// are such `hex_escapes`.
pub fn rough_upper(body: &[u8], hex_escapes: bool) -> Option<u64> {
    static IMAGE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"image"));
    (!hex_escapes && IMAGE.find(body).is_none()).then_some(body.len() as u64)
}

impl<'a> Walk<'a> {
    fn new(body: &'a [u8], section: Section) -> Self {
        Walk { body, at: 0, depth: 0, section, kind: Kind::Text, holder: None, cost: 0, saved: 0, images: 0 }
    }

    fn run(&mut self) {
        let mut in_number = false;
        while let Some(&byte) = self.body.get(self.at) {
            self.at += 1;
            let number = matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    // Only a string can be what its key promised.
                    self.kind = Kind::Text;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.holder = self.holder.filter(|(_, _, depth)| *depth < self.depth);
                }
                b'0'..=b'9' if !in_number && self.depth > 1 && self.section != Section::NotPrompt => {
                    self.add(PER_ITEM);
                }
                _ => {}
            }
            in_number = number;
        }
    }

    fn add(&mut self, tokens: u64) {
        self.cost = self.cost.saturating_add(tokens * TOKEN);
    }

    /// A string, from after its first quote to after its last, and whether it is a key.
    fn string(&mut self) {
        let start = self.at;
        let mut text = Text::new();
        let mut longer = 0;
        loop {
            self.at += text.run(self.body.get(self.at..).unwrap_or_default());
            match self.body.get(self.at) {
                Some(b'\\') => longer += self.escape(&mut text),
                Some(_) => break,
                None => return,
            }
        }
        let raw = self.body.get(start..self.at).unwrap_or_default();
        self.at += 1;
        if self.is_key() {
            self.saved += longer;
            self.key(raw, text.cost);
            return;
        }
        let kind = std::mem::replace(&mut self.kind, Kind::Text);
        match (self.section, kind) {
            (Section::Messages, Kind::Image) | (Section::Images, _) => {
                self.images += 1;
                self.saved += raw.len() as u64;
                return;
            }
            (Section::NotPrompt, _) | (_, Kind::Label) => {}
            (_, Kind::Opaque) => self.add(raw.len() as u64 / OPAQUE_BYTES),
            _ => self.cost = self.cost.saturating_add(text.cost),
        }
        self.saved += longer;
    }

    /// Whether a colon follows.
    fn is_key(&self) -> bool {
        let rest = self.body.get(self.at..).unwrap_or_default();
        rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    }

    fn key(&mut self, raw: &[u8], cost: u64) {
        let mut plain = [0; 32];
        let key = if raw.contains(&b'\\') { unescape(raw, &mut plain) } else { raw };
        self.kind = Kind::Text;
        if self.depth <= 1 {
            self.holder = None;
            self.section = match key {
                // What is embedded may have the content of messages, too.
                b"messages" | b"inputs" => Section::Messages,
                b"input" => Section::Input,
                b"images" => Section::Images,
                _ if NOT_PROMPT.contains(&key) => Section::NotPrompt,
                _ => Section::Other,
            };
            if key == b"messages" {
                self.add(PER_ANSWER);
            }
            return;
        }
        match self.section {
            Section::Messages => self.key_of_message(key),
            Section::Other if SCHEMA.contains(&key) => self.add(PER_ITEM),
            Section::Other => self.cost = self.cost.saturating_add(cost + 2 * PER_ITEM * TOKEN),
            Section::Input | Section::Images | Section::NotPrompt => {}
        }
    }

    fn key_of_message(&mut self, key: &[u8]) {
        let holder = |kind, data: &'static [u8]| Some((kind, data, self.depth));
        match key {
            b"role" => self.add(PER_MESSAGE),
            b"name" | b"function" => self.add(PER_FUNCTION),
            b"type" | b"id" | b"tool_call_id" | b"detail" | b"format" => self.kind = Kind::Label,
            // The image may follow at once, as a text.
            b"image_url" => (self.holder, self.kind) = (holder(Kind::Image, b"url"), Kind::Image),
            b"input_audio" => self.holder = holder(Kind::Opaque, b"data"),
            b"file" => self.holder = holder(Kind::Opaque, b"file_data"),
            _ => {
                if let Some((kind, data, depth)) = self.holder
                    && data == key
                    && depth + 1 == self.depth
                {
                    self.kind = kind;
                }
            }
        }
    }

    /// An escape: the bytes it has beyond those it stands for.
    fn escape(&mut self, text: &mut Text) -> u64 {
        let start = self.at;
        self.at += 2;
        let length = match self.body.get(start + 1) {
            None => 0,
            Some(b'n' | b'r' | b't') => {
                text.byte(b'\n');
                1
            }
            Some(b'u') => {
                let unit = self.unit();
                let next = self.body.get(self.at..).unwrap_or_default();
                let low = matches!(next, [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..]);
                let character = if (0xd800..0xdc00).contains(&unit) && low {
                    self.at += 2;
                    let low = self.unit();
                    char::from_u32(0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff))
                } else {
                    char::from_u32(unit)
                };
                let mut buffer = [0; 4];
                let bytes =
                    character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut buffer).as_bytes();
                bytes.iter().for_each(|byte| text.byte(*byte));
                bytes.len()
            }
            Some(other) => {
                text.byte(*other);
                1
            }
        };
        self.at = self.at.min(self.body.len());
        (self.at - start).saturating_sub(length) as u64
    }

    /// The four hexadecimal digits of `\u`; as many of them as there are.
    fn unit(&mut self) -> u32 {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.body.get(self.at).and_then(|byte| char::from(*byte).to_digit(16));
            let Some(digit) = digit else { break };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        unit
    }
}

/// A key without its escapes, as far as it can be one we know: those are short and ASCII.
fn unescape<'a>(raw: &[u8], plain: &'a mut [u8; 32]) -> &'a [u8] {
    let mut length = 0;
    let mut bytes = raw.iter().copied();
    while let (Some(byte), Some(place)) = (bytes.next(), plain.get_mut(length)) {
        *place = match byte {
            b'\\' => match bytes.next() {
                Some(b'u') => {
                    let digits = bytes.by_ref().take(4);
                    let unit = digits.fold(0, |unit, b| unit << 4 | char::from(b).to_digit(16).unwrap_or(0));
                    u8::try_from(unit).unwrap_or(0)
                }
                Some(other) => other,
                None => 0,
            },
            byte => byte,
        };
        length += 1;
    }
    plain.get(..length).unwrap_or_default()
}
