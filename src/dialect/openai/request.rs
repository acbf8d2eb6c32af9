//! What the gateway must know about a request body, found in one pass.
//!
//! Source: OpenAI API reference, "Create chat completion" and "Create
//! embeddings". Only the members that decide something here are read; the rest is
//! checked to be JSON and belongs to the provider.

use std::borrow::Cow;
use std::fmt;

use crate::dialect::json::{self, Cursor, JsonError, Span, Text};

/// Which operation a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/messages`: Anthropic's Messages.
    Messages,
    /// `POST /v1/messages/count_tokens`: Anthropic's.
    CountTokens,
    /// `POST /v1/responses`: OpenAI's Responses.
    Responses,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/moderations`
    Moderations,
    /// `POST /v1/images/generations`
    Images,
    /// `POST /v1/audio/speech`
    Speech,
    /// `POST /v1/audio/transcriptions`
    Transcriptions,
    /// `POST /v1/audio/translations`
    Translations,
    /// `POST /v1/rerank`, as Cohere, Jina, Together and Voyage have it.
    Rerank,
    /// `POST /v2/chat`: Cohere's.
    CohereChat,
    /// `POST /v2/embed`: Cohere's.
    CohereEmbed,
    /// `POST /v2/rerank`: Cohere's.
    CohereRerank,
    /// `POST /v1beta/models/{model}:generateContent`: Google's.
    GenerateContent,
    /// `POST /v1beta/models/{model}:streamGenerateContent`
    StreamGenerateContent,
    /// `POST /v1beta/models/{model}:countTokens`
    GoogleCountTokens,
    /// `POST /v1beta/models/{model}:embedContent`
    EmbedContent,
    /// `POST /v1beta/models/{model}:batchEmbedContents`
    BatchEmbedContents,
}

impl Endpoint {
    /// Its path below the API's root; of Google's what follows the model there.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Embeddings => "/embeddings",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
            Self::Responses => "/responses",
            Self::Completions => "/completions",
            Self::Moderations => "/moderations",
            Self::Images => "/images/generations",
            Self::Speech => "/audio/speech",
            Self::Transcriptions => "/audio/transcriptions",
            Self::Translations => "/audio/translations",
            Self::Rerank | Self::CohereRerank => "/rerank",
            Self::CohereChat => "/chat",
            Self::CohereEmbed => "/embed",
            Self::GenerateContent => ":generateContent",
            Self::StreamGenerateContent => ":streamGenerateContent?alt=sse",
            Self::GoogleCountTokens => ":countTokens",
            Self::EmbedContent => ":embedContent",
            Self::BatchEmbedContents => ":batchEmbedContents",
        }
    }

    /// The operation by the name that most have for it: that of Cohere's and Google's embeddings and of Cohere's ranks is
    /// the same as others'.
    #[must_use]
    pub fn operation(self) -> Self {
        match self {
            Self::CohereEmbed | Self::EmbedContent | Self::BatchEmbedContents => Self::Embeddings,
            Self::CohereRerank => Self::Rerank,
            other => other,
        }
    }

    /// Whether its answers have the form of version 2 of Cohere's API, errors too.
    #[must_use]
    pub fn is_coheres(self) -> bool {
        matches!(self, Self::CohereChat | Self::CohereEmbed | Self::CohereRerank)
    }

    /// What it is called in a sentence.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::ChatCompletions
            | Self::Messages
            | Self::CountTokens
            | Self::Responses
            | Self::CohereChat
            | Self::GenerateContent
            | Self::StreamGenerateContent
            | Self::GoogleCountTokens => "chat",
            Self::Embeddings | Self::CohereEmbed | Self::EmbedContent | Self::BatchEmbedContents => {
                "embeddings"
            }
            Self::Completions => "text completions",
            Self::Moderations => "moderations",
            Self::Images => "images",
            Self::Speech => "speech",
            Self::Transcriptions => "transcription",
            Self::Translations => "translation of speech",
            Self::Rerank | Self::CohereRerank => "reranking",
        }
    }

    /// Whether its requests are forms and not JSON.
    #[must_use]
    pub fn is_form(self) -> bool {
        matches!(self, Self::Transcriptions | Self::Translations)
    }

    /// Whether it is one of Google's: the model and whether to stream are in the path and not in the body, keys may be
    /// where Google's clients send them, and errors have Google's form.
    #[must_use]
    pub fn is_googles(self) -> bool {
        matches!(
            self,
            Self::GenerateContent
                | Self::StreamGenerateContent
                | Self::GoogleCountTokens
                | Self::EmbedContent
                | Self::BatchEmbedContents
        )
    }

    /// Whether it is a chat, in the words of any client.
    #[must_use]
    pub fn is_chat(self) -> bool {
        matches!(
            self,
            Self::ChatCompletions
                | Self::Messages
                | Self::Responses
                | Self::CohereChat
                | Self::GenerateContent
                | Self::StreamGenerateContent
        )
    }

    /// Whether it only asks how many tokens a prompt has.
    #[must_use]
    pub fn is_count(self) -> bool {
        matches!(self, Self::CountTokens | Self::GoogleCountTokens)
    }

    /// Whether its streams end with a chunk of usage that a client may not have asked for.
    #[must_use]
    pub fn has_usage_chunk(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Completions)
    }
}

/// What was found in a body. Spans point into that body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFacts {
    /// The contents of the `model` string.
    pub model: Text,
    /// Whether the answer is to be streamed. Always false for embeddings.
    pub stream: bool,
    /// Where `stream_options` is. Always absent for embeddings.
    pub stream_options: StreamOptions,
    /// `max_completion_tokens`, else `max_tokens`: the most tokens one choice may
    /// have. `None` when neither is a number; the provider then judges it.
    pub max_output_tokens: Option<u64>,
    /// How many choices are asked for; 1 when it does not say.
    pub n: u64,
    /// Where `,"name":value` can be inserted: after the last top-level member.
    pub insert_at: usize,
    /// Whether any string has a `\u`.
    pub hex_escapes: bool,
}

impl RequestFacts {
    /// The model's name as the client means it. `body` is what was scanned.
    pub fn model<'b>(&self, body: &'b [u8]) -> Cow<'b, str> {
        self.model.get(body)
    }

    /// Whether the client itself asked for the usage chunk of a stream.
    pub fn asks_usage(&self) -> bool {
        matches!(self.stream_options, StreamOptions::Object { include_usage: Some((_, true)), .. })
    }
}

/// The `stream_options` member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOptions {
    /// Not given.
    Absent,
    /// Given as `null`.
    Null(Span),
    /// Given as an object.
    Object {
        /// The object with its braces.
        span: Span,
        /// The value of `include_usage` and what it says; `null` says false.
        include_usage: Option<(Span, bool)>,
        /// After its last member, or after its brace when it is empty.
        insert_at: usize,
        /// Whether it has no members.
        empty: bool,
    },
}

/// Why a body is refused with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// Not JSON.
    Malformed(JsonError),
    /// JSON, but not an object.
    NotAnObject,
    /// `model` is absent or null.
    ModelMissing,
    /// `model` is not a string.
    ModelNotAString,
    /// `model` is the empty string.
    ModelEmpty,
    /// `stream` is neither a boolean nor null.
    StreamNotABoolean,
    /// `messages` is absent.
    MessagesMissing,
    /// `messages` is not an array.
    MessagesNotAnArray,
    /// `messages` has no elements.
    MessagesEmpty,
    /// `input` is absent or null.
    InputMissing,
    /// `stream_options` is neither an object nor null.
    StreamOptionsNotAnObject,
    /// `stream_options` is given and `stream` is not true.
    StreamOptionsWithoutStream,
    /// `stream_options.include_usage` is neither a boolean nor null.
    IncludeUsageNotABoolean,
    /// The Content-Type names no `multipart/form-data` with a boundary.
    NotAForm,
    /// A form that is broken at what this says.
    FormMalformed(&'static str),
    /// `file` is absent.
    FileMissing,
    /// The model in the path is not a name.
    ModelNotAName,
    /// This member is absent or null.
    Missing(&'static str),
    /// This member is not an array.
    NotAnArray(&'static str),
    /// This member has no elements.
    EmptyArray(&'static str),
    /// A member that decides something is given twice: which one a provider
    /// would take is unknown (RFC 8259 section 4), so neither is.
    Repeated(&'static str),
}

impl BodyError {
    /// The parameter at fault, as OpenAI names it.
    pub fn param(self) -> Option<&'static str> {
        match self {
            BodyError::Malformed(_) | BodyError::NotAnObject => None,
            BodyError::NotAForm | BodyError::FormMalformed(_) => None,
            BodyError::FileMissing => Some("file"),
            BodyError::ModelMissing | BodyError::ModelNotAString | BodyError::ModelEmpty => Some("model"),
            BodyError::ModelNotAName => Some("model"),
            BodyError::StreamNotABoolean => Some("stream"),
            BodyError::MessagesMissing | BodyError::MessagesNotAnArray | BodyError::MessagesEmpty => {
                Some("messages")
            }
            BodyError::InputMissing => Some("input"),
            BodyError::StreamOptionsNotAnObject | BodyError::StreamOptionsWithoutStream => {
                Some("stream_options")
            }
            BodyError::IncludeUsageNotABoolean => Some("stream_options.include_usage"),
            BodyError::Repeated(name)
            | BodyError::Missing(name)
            | BodyError::NotAnArray(name)
            | BodyError::EmptyArray(name) => Some(name),
        }
    }

    /// The machine-readable code, OpenAI's own where it has one.
    pub fn code(self) -> Option<&'static str> {
        match self {
            BodyError::Malformed(_) => Some("invalid_json"),
            BodyError::NotAnObject
            | BodyError::ModelNotAString
            | BodyError::StreamNotABoolean
            | BodyError::MessagesNotAnArray
            | BodyError::NotAnArray(_)
            | BodyError::StreamOptionsNotAnObject
            | BodyError::IncludeUsageNotABoolean => Some("invalid_type"),
            BodyError::NotAForm | BodyError::FormMalformed(_) => Some("invalid_form"),
            BodyError::ModelMissing
            | BodyError::MessagesMissing
            | BodyError::InputMissing
            | BodyError::FileMissing
            | BodyError::Missing(_) => Some("missing_required_parameter"),
            BodyError::ModelEmpty => Some("empty_string"),
            BodyError::ModelNotAName => Some("invalid_value"),
            BodyError::MessagesEmpty | BodyError::EmptyArray(_) => Some("empty_array"),
            BodyError::StreamOptionsWithoutStream => None,
            BodyError::Repeated(_) => Some("duplicate_parameter"),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::Malformed(error) => {
                return write!(f, "We could not parse the JSON body of your request: {error}.");
            }
            BodyError::Repeated(name) => {
                return write!(f, "'{name}' is given more than once; give it once.");
            }
            BodyError::Missing(name) => return write!(f, "Missing required parameter: '{name}'."),
            BodyError::NotAnArray(name) => {
                return write!(f, "Invalid type for '{name}': expected an array of objects.");
            }
            BodyError::EmptyArray(name) => {
                return write!(f, "Invalid '{name}': empty array. Expected an array with minimum length 1.");
            }
            BodyError::FormMalformed(what) => {
                return write!(
                    f,
                    "We could not parse the form in the body of your request: {what} is not as it must be."
                );
            }
            BodyError::NotAForm => {
                "This endpoint takes a form: send multipart/form-data, with its boundary in Content-Type."
            }
            BodyError::FileMissing => "Missing required parameter: 'file'.",
            BodyError::ModelNotAName => {
                "The model in the path is not a name: check its escapes. It stands between 'models/' and the last colon."
            }
            BodyError::NotAnObject => "The body of your request must be a JSON object.",
            BodyError::ModelMissing => "you must provide a model parameter",
            BodyError::ModelNotAString => "Invalid type for 'model': expected a string.",
            BodyError::ModelEmpty => "Invalid 'model': it is empty; name a model.",
            BodyError::StreamNotABoolean => "Invalid type for 'stream': expected a boolean.",
            BodyError::MessagesMissing => "Missing required parameter: 'messages'.",
            BodyError::MessagesNotAnArray => "Invalid type for 'messages': expected an array of objects.",
            BodyError::MessagesEmpty => {
                "Invalid 'messages': empty array. Expected an array with minimum length 1."
            }
            BodyError::InputMissing => "Missing required parameter: 'input'.",
            BodyError::StreamOptionsNotAnObject => "Invalid type for 'stream_options': expected an object.",
            BodyError::StreamOptionsWithoutStream => {
                "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            }
            BodyError::IncludeUsageNotABoolean => {
                "Invalid type for 'stream_options.include_usage': expected a boolean."
            }
        })
    }
}

impl std::error::Error for BodyError {}

impl From<JsonError> for BodyError {
    fn from(error: JsonError) -> Self {
        BodyError::Malformed(error)
    }
}

/// The members that decide something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Model,
    Messages,
    Input,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    N,
}

impl Member {
    /// The member of this name, if this endpoint has it.
    fn named(name: &[u8], endpoint: Endpoint) -> Option<Member> {
        let chat = matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
        let messages = matches!(endpoint, Endpoint::Messages | Endpoint::CountTokens | Endpoint::CohereChat);
        let responses = endpoint == Endpoint::Responses;
        let input = matches!(endpoint, Endpoint::Embeddings | Endpoint::Responses);
        match name {
            b"model" => Some(Member::Model),
            b"messages" if chat || messages => Some(Member::Messages),
            b"input" if input => Some(Member::Input),
            b"stream" if chat || messages || responses => Some(Member::Stream),
            b"stream_options" if chat => Some(Member::StreamOptions),
            b"max_tokens" if chat || messages => Some(Member::MaxTokens),
            b"max_output_tokens" if responses => Some(Member::MaxTokens),
            b"max_completion_tokens" if chat => Some(Member::MaxCompletionTokens),
            b"n" if chat => Some(Member::N),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Member::Model => "model",
            Member::Messages => "messages",
            Member::Input => "input",
            Member::Stream => "stream",
            Member::StreamOptions => "stream_options",
            Member::MaxTokens => "max_tokens",
            Member::MaxCompletionTokens => "max_completion_tokens",
            Member::N => "n",
        }
    }
}

/// Scans a body, once and without allocating (a member's name written with
/// escapes excepted).
///
/// Unknown members are never an error. Members that belong to the other
/// endpoint are unknown ones.
pub fn scan(body: &[u8], endpoint: Endpoint) -> Result<RequestFacts, BodyError> {
    let mut cursor = Cursor::new(body);
    if cursor.peek() != b'{' {
        json::validate(body)?;
        return Err(BodyError::NotAnObject);
    }

    let mut given = 0u32;
    let mut model = None;
    let mut stream = false;
    let mut stream_options = StreamOptions::Absent;
    let mut max_tokens = None;
    let mut max_completion_tokens = None;
    let mut n = None;
    let mut messages = false;
    let mut input = false;

    let mut more = cursor.begin_object()?;
    let mut insert_at = cursor.pos();
    while more {
        let key = cursor.key()?;
        let member = if key.escaped {
            Member::named(key.get(body).as_bytes(), endpoint)
        } else {
            Member::named(key.span.of(body), endpoint)
        };
        let Some(member) = member else {
            cursor.value()?;
            insert_at = cursor.pos();
            more = cursor.next_member()?;
            continue;
        };
        let bit = 1 << member as u32;
        if given & bit != 0 {
            return Err(BodyError::Repeated(member.name()));
        }
        given |= bit;

        let first = cursor.peek();
        if member == Member::Model && first == b'"' {
            model = Some(cursor.text()?);
        } else if member == Member::StreamOptions && first == b'{' {
            stream_options = scan_stream_options(&mut cursor, body)?;
        } else {
            let span = cursor.value()?;
            let raw = span.of(body);
            match member {
                Member::Model if raw == b"null" => {}
                Member::Model => return Err(BodyError::ModelNotAString),
                Member::Messages => messages = check_messages(raw)?,
                Member::Input => input = raw != b"null",
                Member::Stream => stream = boolean(raw).ok_or(BodyError::StreamNotABoolean)?,
                Member::StreamOptions if raw == b"null" => stream_options = StreamOptions::Null(span),
                Member::StreamOptions => return Err(BodyError::StreamOptionsNotAnObject),
                Member::MaxTokens => max_tokens = json::count(raw),
                Member::MaxCompletionTokens => max_completion_tokens = json::count(raw),
                Member::N => n = json::count(raw),
            }
        }
        insert_at = cursor.pos();
        more = cursor.next_member()?;
    }
    cursor.finish()?;

    let model: Text = model.ok_or(BodyError::ModelMissing)?;
    if model.span.start == model.span.end {
        return Err(BodyError::ModelEmpty);
    }
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::CountTokens | Endpoint::CohereChat
            if !messages =>
        {
            return Err(BodyError::MessagesMissing);
        }
        Endpoint::Embeddings | Endpoint::Responses if !input => return Err(BodyError::InputMissing),
        _ => {}
    }
    if !stream && matches!(stream_options, StreamOptions::Object { .. }) {
        return Err(BodyError::StreamOptionsWithoutStream);
    }
    Ok(RequestFacts {
        model,
        stream,
        stream_options,
        max_output_tokens: max_completion_tokens.or(max_tokens),
        n: n.unwrap_or(1),
        insert_at,
        hex_escapes: cursor.hex_escapes(),
    })
}

fn check_messages(raw: &[u8]) -> Result<bool, BodyError> {
    match raw {
        [b'[', elements @ ..] => match json::skip_space(elements) {
            [b']', ..] => Err(BodyError::MessagesEmpty),
            _ => Ok(true),
        },
        _ => Err(BodyError::MessagesNotAnArray),
    }
}

/// A boolean's value; `null` counts as false, as OpenAI takes it.
fn boolean(raw: &[u8]) -> Option<bool> {
    match raw {
        b"true" => Some(true),
        b"false" | b"null" => Some(false),
        _ => None,
    }
}

fn scan_stream_options(cursor: &mut Cursor<'_>, body: &[u8]) -> Result<StreamOptions, BodyError> {
    let start = cursor.pos();
    let mut include_usage = None;
    let mut more = cursor.begin_object()?;
    let empty = !more;
    let mut insert_at = start + 1;
    while more {
        let key = cursor.key()?;
        let span = cursor.value()?;
        insert_at = cursor.pos();
        if key.is(body, "include_usage") {
            if include_usage.is_some() {
                return Err(BodyError::Repeated("stream_options.include_usage"));
            }
            let value = boolean(span.of(body)).ok_or(BodyError::IncludeUsageNotABoolean)?;
            include_usage = Some((span, value));
        }
        more = cursor.next_member()?;
    }
    let span = Span { start, end: cursor.pos() };
    Ok(StreamOptions::Object { span, include_usage, insert_at, empty })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<RequestFacts, BodyError> {
        scan(body.as_bytes(), Endpoint::ChatCompletions)
    }

    /// A chat body with these members beside the required ones.
    fn with(members: &str) -> Result<RequestFacts, BodyError> {
        chat(&format!(r#"{{"model":"m","messages":[{{}}]{members}}}"#))
    }

    fn embeddings(body: &str) -> Result<RequestFacts, BodyError> {
        scan(body.as_bytes(), Endpoint::Embeddings)
    }

    #[test]
    fn finds_the_facts() {
        let body = r#" { "model" : "openai:gpt-4o-mini" , "messages" : [ {"role":"user","content":"hi",
            "model":"x","stream":1} ], "stream":true, "stream_options": { "a":[1], "include_usage" : false } ,
            "max_tokens": 7, "max_completion_tokens": 9, "n": 2, "unknown": {"stream":null} } "#;
        let facts = chat(body).unwrap();
        assert_eq!(facts.model(body.as_bytes()), "openai:gpt-4o-mini");
        assert_eq!(facts.model.span.of(body.as_bytes()), b"openai:gpt-4o-mini");
        assert!(facts.stream);
        assert_eq!((facts.max_output_tokens, facts.n), (Some(9), 2));
        assert!(body[facts.insert_at..].starts_with(" } ") && body[..facts.insert_at].ends_with("null}"));
        let StreamOptions::Object { span, include_usage: Some((value, false)), insert_at, empty: false } =
            facts.stream_options
        else {
            panic!("{facts:?}")
        };
        assert_eq!(span.of(body.as_bytes()), br#"{ "a":[1], "include_usage" : false }"#);
        assert_eq!(value.of(body.as_bytes()), b"false");
        assert_eq!(insert_at, value.end);
    }

    #[test]
    fn defaults() {
        let facts = with("").unwrap();
        assert!(!facts.stream && !facts.asks_usage());
        assert_eq!((facts.max_output_tokens, facts.n), (None, 1));
        assert_eq!(facts.stream_options, StreamOptions::Absent);
        let nulls =
            r#","stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,"n":null"#;
        let facts = with(nulls).unwrap();
        assert!(!facts.stream);
        assert_eq!((facts.max_output_tokens, facts.n), (None, 1));
        assert!(matches!(facts.stream_options, StreamOptions::Null(_)));
        assert_eq!(
            with(r#","max_completion_tokens":null,"max_tokens":5"#).unwrap().max_output_tokens,
            Some(5)
        );
        // The provider's to judge.
        assert_eq!(with(r#","max_tokens":"5","n":"2""#).unwrap().max_output_tokens, None);
    }

    #[test]
    fn asks_usage_only_when_it_says_true() {
        for (options, asks) in [
            ("{}", false),
            (r#"{"include_usage":true}"#, true),
            (r#"{"include_usage":false}"#, false),
            (r#"{"include_usage":null}"#, false),
            (r#"{"x":{"include_usage":true}}"#, false),
        ] {
            let facts = with(&format!(r#","stream":true,"stream_options":{options}"#)).unwrap();
            assert_eq!(facts.asks_usage(), asks, "{options}");
        }
    }

    #[test]
    fn names_may_be_escaped() {
        let body = r#"{"mod\u0065l":"a\/b\u00e9","messages":[1],"\u0073tream":true}"#;
        let facts = chat(body).unwrap();
        assert_eq!(facts.model(body.as_bytes()), "a/bé");
        assert!(facts.model.escaped && facts.stream);
        assert_eq!(
            chat(r#"{"mod\u0065l":"a","model":"b","messages":[1]}"#),
            Err(BodyError::Repeated("model"))
        );
    }

    #[test]
    fn refuses() {
        use BodyError as E;
        for (body, wanted) in [
            ("[]", E::NotAnObject),
            ("\"model\"", E::NotAnObject),
            ("{}", E::ModelMissing),
            (" { } ", E::ModelMissing),
            (r#"{"model":null,"messages":[1]}"#, E::ModelMissing),
            (r#"{"model":1,"messages":[1]}"#, E::ModelNotAString),
            (r#"{"model":{"model":"a"},"messages":[1]}"#, E::ModelNotAString),
            (r#"{"model":"","messages":[1]}"#, E::ModelEmpty),
            (r#"{"model":"m"}"#, E::MessagesMissing),
            (r#"{"model":"m","messages":null}"#, E::MessagesNotAnArray),
            (r#"{"model":"m","messages":"hi"}"#, E::MessagesNotAnArray),
            (r#"{"model":"m","messages":[ ]}"#, E::MessagesEmpty),
            (r#"{"model":"m","messages":[1],"stream":1}"#, E::StreamNotABoolean),
            (r#"{"model":"m","messages":[1],"stream":"true"}"#, E::StreamNotABoolean),
            (r#"{"model":"m","messages":[1],"stream_options":{}}"#, E::StreamOptionsWithoutStream),
            (
                r#"{"model":"m","stream_options":{},"messages":[1],"stream":false}"#,
                E::StreamOptionsWithoutStream,
            ),
            (
                r#"{"model":"m","messages":[1],"stream":true,"stream_options":[]}"#,
                E::StreamOptionsNotAnObject,
            ),
            (
                r#"{"model":"m","messages":[1],"stream":true,"stream_options":{"include_usage":1}}"#,
                E::IncludeUsageNotABoolean,
            ),
            (
                r#"{"stream_options":{"include_usage":true,"include_usage":true},"model":"m","messages":[1]}"#,
                E::Repeated("stream_options.include_usage"),
            ),
        ] {
            assert_eq!(chat(body), Err(wanted), "{body}");
        }
        for name in
            ["model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"]
        {
            let body = format!(r#"{{"model":"m","messages":[1],"{name}":null,"{name}":null}}"#);
            assert_eq!(chat(&body), Err(E::Repeated(name)), "{body}");
        }
        assert_eq!(
            chat("{\"model\":\"m\",}").unwrap_err().to_string(),
            "We could not parse the JSON body of your request: expected a member name in double quotes at byte 13."
        );
        assert!(matches!(chat(""), Err(E::Malformed(_))));
        assert!(matches!(chat("[}"), Err(E::Malformed(_))));
        assert!(matches!(chat(r#"{"model":"m","messages":[1]} x"#), Err(E::Malformed(_))));
        // Names that decide nothing may repeat, and mean nothing.
        assert!(with(r#","a":1,"a":2,"input":1,"input":2"#).is_ok());
    }

    #[test]
    fn embeddings_have_their_own_members() {
        for input in ["\"text\"", "[1,2]", "[\"a\"]"] {
            assert!(embeddings(&format!(r#"{{"model":"m","input":{input}}}"#)).is_ok());
        }
        assert_eq!(embeddings(r#"{"model":"m"}"#), Err(BodyError::InputMissing));
        assert_eq!(embeddings(r#"{"model":"m","input":null}"#), Err(BodyError::InputMissing));
        let facts = embeddings(r#"{"model":"m","input":"a","stream":7,"stream_options":{}}"#).unwrap();
        assert!(!facts.stream);
        assert_eq!(facts.stream_options, StreamOptions::Absent);
    }
}
