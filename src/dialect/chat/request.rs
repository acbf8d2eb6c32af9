//! What is asked.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

/// Text that is part of the body it was read from where it needs no unescaping.
pub type Text<'a> = Cow<'a, str>;

/// JSON Schema as the client wrote it, or made of what it wrote in another form.
pub type Schema<'a> = Cow<'a, RawValue>;

/// One chat request. `None` and empty lists are what the client did not say.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The model as the client named it; the provider's own name is given to the writer apart.
    pub model: Text<'a>,
    /// The conversation, system messages included, in order.
    pub messages: Vec<Message<'a>>,
    /// Functions that the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether it must.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<bool>,
    /// What form the answer must have.
    pub response_format: Option<ResponseFormat<'a>>,
    /// Texts that end the answer.
    pub stop: Vec<Text<'a>>,
    /// Most tokens of the answer, reasoning included (`max_completion_tokens`, `max_tokens`).
    pub max_tokens: Option<u64>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// Anthropic's, Gemini's and others'; OpenAI has none.
    pub top_k: Option<u64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// For answers that can be repeated.
    pub seed: Option<i64>,
    /// How many answers.
    pub n: Option<u64>,
    /// Whether to tell probabilities, and of how many tokens at each place.
    pub logprobs: Option<bool>,
    /// See `logprobs`.
    pub top_logprobs: Option<u64>,
    /// How much to think before answering.
    pub reasoning_effort: Option<Effort>,
    /// Most tokens to think, where the client said a number (Anthropic's `thinking.budget_tokens`).
    pub reasoning_tokens: Option<u64>,
    /// Whether to stream.
    pub stream: bool,
    /// Whether the stream ends with a chunk of usage (`stream_options.include_usage`).
    pub include_usage: bool,
    /// The end user, for the provider's abuse detection (`user`, `safety_identifier`, Anthropic's
    /// `metadata.user_id`).
    pub user: Option<Text<'a>>,
    /// All else that the client sent, by name, as it was written: for dialects that know it, and to be named to
    /// [`Losses`](super::Losses) by those that do not.
    pub other: Vec<(Text<'a>, &'a RawValue)>,
}

/// One message.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// Instructions (`system` and `developer`).
    System(Vec<Part<'a>>),
    /// From the user.
    User(Vec<Part<'a>>),
    /// From the model.
    Assistant(AssistantMessage<'a>),
    /// What a function returned.
    Tool {
        /// Which call this answers.
        call_id: Text<'a>,
        /// What it returned.
        parts: Vec<Part<'a>>,
        /// Whether it failed (Anthropic's `is_error`).
        is_error: bool,
    },
}

/// What a model said earlier.
#[derive(Clone, Debug, Default)]
pub struct AssistantMessage<'a> {
    /// Text and such.
    pub parts: Vec<Part<'a>>,
    /// Functions that it called.
    pub calls: Vec<Call<'a>>,
    /// That it refused.
    pub refusal: Option<Text<'a>>,
    /// What it thought, with the provider's signature over it, where the client kept them.
    pub reasoning: Vec<(Text<'a>, Option<Text<'a>>)>,
}

/// A piece of a message.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    /// Text.
    Text(Text<'a>),
    /// An image.
    Image(Image<'a>),
    /// Sound.
    Audio(Audio<'a>),
    /// A document.
    File(File<'a>),
}

/// Where a picture or a document is.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// To be fetched by the provider.
    Url(Text<'a>),
    /// In the request: base64 and its media type, such as `image/png`.
    Data {
        /// Media type.
        media_type: Text<'a>,
        /// Base64.
        data: Text<'a>,
    },
    /// Uploaded to the provider before.
    Id(Text<'a>),
}

impl<'a> Source<'a> {
    /// What a URL says, or carries where it is `data:<media type>;base64,<data>`.
    #[must_use]
    pub fn of_url(url: Text<'a>) -> Self {
        let split = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        let Some((media_type, _)) = split else { return Self::Url(url) };
        let end = "data:".len() + media_type.len();
        Self::of_data_url(url, "data:".len()..end, end + ";base64,".len())
    }

    /// What a `data:` URL carries (RFC 2397): its media type stands at that range, its data from there on.
    #[must_use]
    pub fn of_data_url(url: Text<'a>, media_type: Range<usize>, data: usize) -> Self {
        match url {
            Cow::Borrowed(url) => Self::Data {
                media_type: url.get(media_type).unwrap_or_default().into(),
                data: url.get(data..).unwrap_or_default().into(),
            },
            Cow::Owned(mut url) => {
                let media_type = url.get(media_type).unwrap_or_default().to_owned();
                url.drain(..data);
                Self::Data { media_type: media_type.into(), data: url.into() }
            }
        }
    }
}

/// An image.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Where it is.
    pub source: Source<'a>,
    /// `low`, `high` or `auto`.
    pub detail: Option<Text<'a>>,
}

/// Sound: base64 and its format, `wav` or `mp3`.
#[derive(Clone, Debug)]
pub struct Audio<'a> {
    /// Base64.
    pub data: Text<'a>,
    /// `wav` or `mp3`.
    pub format: Text<'a>,
}

/// A document.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// Where it is.
    pub source: Source<'a>,
    /// Its name.
    pub name: Option<Text<'a>>,
}

/// A call that a model made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// By which its result is matched.
    pub id: Text<'a>,
    /// The function.
    pub name: Text<'a>,
    /// Its arguments: a JSON object as text, as the model wrote it. It may not be valid JSON.
    pub arguments: Text<'a>,
}

/// A function that the model may call.
#[derive(Clone, Debug)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// What it does.
    pub description: Option<Text<'a>>,
    /// Of its arguments.
    pub parameters: Option<Schema<'a>>,
    /// Whether arguments must follow the schema to the letter.
    pub strict: Option<bool>,
}

/// Whether functions are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// As the model likes.
    Auto,
    /// Not at all.
    None,
    /// At least one (`required`).
    Required,
    /// This one.
    Function(Text<'a>),
}

/// The form of the answer.
#[derive(Clone, Debug)]
pub enum ResponseFormat<'a> {
    /// Any text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// Its name.
        name: Text<'a>,
        /// What it is for.
        description: Option<Text<'a>>,
        /// What to follow.
        schema: Option<Schema<'a>>,
        /// Whether to follow it to the letter.
        strict: Option<bool>,
    },
}

/// How much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
}

impl Effort {
    /// By OpenAI's names.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("none", Self::None),
        ("minimal", Self::Minimal),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("xhigh", Self::XHigh),
    ];

    /// By its name; `max`, which some have above all others, is the highest that there is here.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "max" { "xhigh" } else { name };
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, effort)| effort)
    }
}
