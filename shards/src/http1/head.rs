//! Parsing and judging message heads (RFC 9112 §2–§6, RFC 9110 §5–§7).
//!
//! httparse splits the bytes; the rules that keep a proxy safe (one framing, no bare line ends, no ambiguity
//! that the next hop could read differently) are here, each rejection named after its rule.

use std::{fmt, mem::MaybeUninit, ops::Range};

use http::{Method, StatusCode};

/// Most header fields a head may have; also the size of the parse table on the stack.
pub const MAX_HEADERS: usize = 128;

/// A rule that a peer's message broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The start line or a header field is not HTTP.
    Malformed,
    /// A CR or LF that is not part of a CRLF (RFC 9112 §2.2).
    BareLineEnd,
    /// More than the configured number of header fields.
    TooManyHeaders,
    /// The head is longer than the configured bytes.
    HeadTooLarge,
    /// Neither HTTP/1.1 nor HTTP/1.0 (RFC 9110 §2.5).
    Version,
    /// An HTTP/1.1 request without exactly one valid Host (RFC 9112 §3.2).
    Host,
    /// Content-Length that is not one number, or several that differ (RFC 9112 §6.3).
    ContentLength,
    /// Content-Length together with Transfer-Encoding (RFC 9112 §6.1: a smuggling attempt).
    BothLengths,
    /// A transfer coding other than a single, final `chunked`, or any in HTTP/1.0 (RFC 9112 §6.1).
    TransferEncoding,
    /// An expectation other than 100-continue (RFC 9110 §10.1.1).
    Expectation,
    /// A chunk size, extension or terminator that is not chunked coding (RFC 9112 §7.1).
    Chunk,
    /// The body is longer than the configured bytes.
    BodyTooLarge,
}

impl Violation {
    /// The status that a server answers with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Violation::TooManyHeaders | Violation::HeadTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Violation::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Violation::TransferEncoding => StatusCode::NOT_IMPLEMENTED,
            Violation::Expectation => StatusCode::EXPECTATION_FAILED,
            Violation::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}

impl Violation {
    /// The rule in words.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Violation::Malformed => "the message is not valid HTTP/1.1",
            Violation::BareLineEnd => "a line of the head does not end in CRLF",
            Violation::TooManyHeaders => "too many header fields",
            Violation::HeadTooLarge => "the header section is too large",
            Violation::Version => "only HTTP/1.1 and HTTP/1.0 are supported",
            Violation::Host => "an HTTP/1.1 request needs exactly one valid Host header",
            Violation::ContentLength => "Content-Length must be one non-negative number",
            Violation::BothLengths => "Content-Length and Transfer-Encoding must not be sent together",
            Violation::TransferEncoding => "the only transfer coding understood is a single final chunked",
            Violation::Expectation => "the only expectation understood is 100-continue",
            Violation::Chunk => "the chunked body is malformed",
            Violation::BodyTooLarge => "the request body is too large",
        }
    }
}

impl std::error::Error for Violation {}

/// HTTP/1 minor versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How a message body is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Until the connection closes (responses only).
    UntilClose,
}

/// Header fields with a meaning in this engine or that every proxy must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Any other field.
    Other,
    /// `Authorization`
    Authorization,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Content-Type`
    ContentType,
    /// `Content-Encoding`
    ContentEncoding,
    /// `Accept-Encoding`
    AcceptEncoding,
    /// `Cookie` or `Set-Cookie`
    Cookie,
    /// `Expect`
    Expect,
    /// `Host`
    Host,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// Another hop-by-hop field: `Keep-Alive`, `Proxy-*`, `TE`, `Trailer`, `Upgrade` (RFC 9110 §7.6.1).
    HopByHop,
}

impl Known {
    fn of(name: &[u8]) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match name.len() {
            2 if is("te") => Known::HopByHop,
            4 if is("host") => Known::Host,
            6 if is("expect") => Known::Expect,
            6 if is("cookie") => Known::Cookie,
            7 if is("upgrade") || is("trailer") => Known::HopByHop,
            10 if is("connection") => Known::Connection,
            10 if is("keep-alive") => Known::HopByHop,
            10 if is("set-cookie") => Known::Cookie,
            12 if is("content-type") => Known::ContentType,
            13 if is("authorization") => Known::Authorization,
            14 if is("content-length") => Known::ContentLength,
            15 if is("accept-encoding") => Known::AcceptEncoding,
            16 if is("content-encoding") => Known::ContentEncoding,
            16 if is("proxy-connection") => Known::HopByHop,
            17 if is("transfer-encoding") => Known::TransferEncoding,
            18 if is("proxy-authenticate") => Known::HopByHop,
            19 if is("proxy-authorization") => Known::HopByHop,
            25 if is("proxy-authentication-info") => Known::HopByHop,
            _ => Known::Other,
        }
    }

    /// Whether the field belongs to one connection and must not be forwarded.
    #[must_use]
    pub fn is_hop_by_hop(self) -> bool {
        matches!(self, Known::Connection | Known::HopByHop | Known::TransferEncoding)
    }
}

/// Where one header field lies in the head's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// What the field is.
    pub known: Known,
    /// Named by this message's Connection header, so not to be forwarded (RFC 9110 §7.6.1).
    pub nominated: bool,
    name: (u32, u32),
    value: (u32, u32),
}

fn slice(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

impl Field {
    /// The field's name within `head`, the bytes it was parsed from.
    #[must_use]
    pub fn name<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        slice(head, self.name)
    }

    /// The field's value within `head`, without surrounding whitespace.
    #[must_use]
    pub fn value<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        slice(head, self.value)
    }

    /// The whole `name: value` within `head`, as sent.
    #[must_use]
    pub fn line<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        slice(head, (self.name.0, self.value.1))
    }
}

/// Limits on a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head.
    pub bytes: usize,
    /// Header fields, at most [`MAX_HEADERS`].
    pub headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 32 * 1024, headers: 100 }
    }
}

/// A parsed request head. Ranges point into the bytes it was parsed from.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The request target's path and query; for absolute-form (RFC 9112 §3.2.2) without scheme and authority.
    pub target: Range<usize>,
    /// The version.
    pub version: Version,
    /// Header fields in order.
    pub fields: Vec<Field>,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the client keeps the connection open after the answer.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// Length of the head in bytes.
    pub len: usize,
}

/// A parsed response head. Ranges point into the bytes it was parsed from.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The version.
    pub version: Version,
    /// Header fields in order.
    pub fields: Vec<Field>,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the connection can be used again after the body.
    pub keep_alive: bool,
    /// Length of the head in bytes.
    pub len: usize,
}

/// What the header fields said about the message, gathered in one pass.
#[derive(Default)]
struct Gathered {
    content_length: Option<u64>,
    chunked: bool,
    transfer_encoding: bool,
    hosts: usize,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    nominates: bool,
}

/// Every LF must follow a CR. httparse already refuses a CR without LF inside the head.
fn no_bare_lf(head: &[u8]) -> Result<(), Violation> {
    for at in memchr::memchr_iter(b'\n', head) {
        if at == 0 || head.get(at - 1) != Some(&b'\r') {
            return Err(Violation::BareLineEnd);
        }
    }
    Ok(())
}

fn offset(base: &[u8], part: &[u8]) -> u32 {
    // Parts are subslices of `base`, whose length is bounded far below 4 GiB by the head limit.
    (part.as_ptr() as usize).wrapping_sub(base.as_ptr() as usize) as u32
}

fn gather(bytes: &[u8], headers: &[httparse::Header<'_>]) -> Result<(Vec<Field>, Gathered), Violation> {
    let mut fields = Vec::with_capacity(headers.len());
    let mut found = Gathered::default();
    for header in headers {
        let (name, value) = (header.name.as_bytes(), header.value);
        let known = Known::of(name);
        match known {
            Known::ContentLength => {
                let length = content_length(value)?;
                if found.content_length.is_some_and(|earlier| earlier != length) {
                    return Err(Violation::ContentLength);
                }
                found.content_length = Some(length);
            }
            Known::TransferEncoding => {
                // One field with the one coding `chunked`; anything else could be read in two ways.
                if found.transfer_encoding || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Violation::TransferEncoding);
                }
                (found.transfer_encoding, found.chunked) = (true, true);
            }
            Known::Connection => {
                for option in tokens(value) {
                    if option.eq_ignore_ascii_case(b"close") {
                        found.close = true;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        found.keep_alive = true;
                    } else {
                        found.nominates = true;
                    }
                }
            }
            Known::Host => {
                found.hosts += 1;
                if !valid_host(value) {
                    return Err(Violation::Host);
                }
            }
            Known::Expect => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Violation::Expectation);
                }
                found.expects_continue = true;
            }
            _ => {}
        }
        let (name_at, value_at) = (offset(bytes, name), offset(bytes, value));
        // An empty value may point anywhere; give it an empty range behind the colon.
        let value_at = if value.is_empty() { name_at + name.len() as u32 + 1 } else { value_at };
        fields.push(Field {
            known,
            nominated: false,
            name: (name_at, name_at + name.len() as u32),
            value: (value_at, value_at + value.len() as u32),
        });
    }
    if found.transfer_encoding && found.content_length.is_some() {
        return Err(Violation::BothLengths);
    }
    if found.nominates {
        nominate(bytes, &mut fields);
    }
    Ok((fields, found))
}

/// Marks the fields that the Connection header names.
#[cold]
fn nominate(bytes: &[u8], fields: &mut [Field]) {
    let named: Vec<Vec<u8>> = fields
        .iter()
        .filter(|field| field.known == Known::Connection)
        .flat_map(|field| tokens(field.value(bytes)).map(<[u8]>::to_vec))
        .collect();
    for field in fields {
        field.nominated = named.iter().any(|name| field.name(bytes).eq_ignore_ascii_case(name));
    }
}

fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// One or more digits; a list of the same number repeated is accepted as RFC 9110 §8.6 allows.
fn content_length(value: &[u8]) -> Result<u64, Violation> {
    let mut length = None;
    for part in value.split(|&byte| byte == b',') {
        let part = part.trim_ascii();
        if part.is_empty() || part.len() > 19 || !part.iter().all(u8::is_ascii_digit) {
            return Err(Violation::ContentLength);
        }
        let number = part.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if length.is_some_and(|earlier| earlier != number) {
            return Err(Violation::ContentLength);
        }
        length = Some(number);
    }
    length.ok_or(Violation::ContentLength)
}

/// Characters of `uri-host [":" port]` (RFC 3986 §3.2.2); empty is allowed by RFC 9112 §3.2.
fn valid_host(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte))
}

/// Path and query of a request target: origin-form, absolute-form, or `*`.
fn path_of(target: &str) -> Option<(usize, usize)> {
    if target.starts_with('/') || target == "*" {
        return Some((0, target.len()));
    }
    let prefix = ["http://", "https://"]
        .iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    let rest = target.get(prefix.len()..)?;
    match rest.find(['/', '?']) {
        Some(at) => Some((prefix.len() + at, target.len())),
        None => Some((target.len(), target.len())),
    }
}

fn version_of(minor: Option<u8>) -> Result<Version, Violation> {
    match minor {
        Some(1) => Ok(Version::Http11),
        Some(0) => Ok(Version::Http10),
        _ => Err(Violation::Version),
    }
}

fn parse_error(error: httparse::Error) -> Violation {
    match error {
        httparse::Error::TooManyHeaders => Violation::TooManyHeaders,
        httparse::Error::Version => Violation::Version,
        httparse::Error::NewLine => Violation::BareLineEnd,
        _ => Violation::Malformed,
    }
}

/// Parses a request head at the start of `bytes`; `None` while it is incomplete.
///
/// # Errors
/// The rule that was broken.
pub fn parse_request(bytes: &[u8], limits: HeadLimits) -> Result<Option<RequestHead>, Violation> {
    let mut table = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let allowed = limits.headers.min(MAX_HEADERS);
    let mut request = httparse::Request::new(&mut []);
    let parsed = request
        .parse_with_uninit_headers(bytes, table.get_mut(..allowed).unwrap_or_default())
        .map_err(parse_error)?;
    let httparse::Status::Complete(len) = parsed else {
        return if bytes.len() > limits.bytes { Err(Violation::HeadTooLarge) } else { Ok(None) };
    };
    if len > limits.bytes {
        return Err(Violation::HeadTooLarge);
    }
    let head = bytes.get(..len).unwrap_or_default();
    no_bare_lf(head)?;
    let version = version_of(request.version)?;
    let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
        .map_err(|_| Violation::Malformed)?;
    let target = request.path.unwrap_or_default();
    let base = offset(bytes, target.as_bytes()) as usize;
    // CONNECT's authority-form has no path; keep the whole target, no route matches it.
    let (from, to) = match path_of(target) {
        Some(range) => range,
        None if method == Method::CONNECT => (0, target.len()),
        None => return Err(Violation::Malformed),
    };
    let (fields, found) = gather(bytes, request.headers)?;
    if found.hosts > 1 || (found.hosts == 0 && version == Version::Http11) {
        return Err(Violation::Host);
    }
    if found.transfer_encoding && version == Version::Http10 {
        return Err(Violation::TransferEncoding);
    }
    let framing = match (found.chunked, found.content_length) {
        (true, _) => Framing::Chunked,
        (false, None | Some(0)) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
    };
    let keep_alive = !found.close && (version == Version::Http11 || found.keep_alive);
    Ok(Some(RequestHead {
        method,
        target: base + from..base + to,
        version,
        fields,
        framing,
        keep_alive,
        expects_continue: found.expects_continue && version == Version::Http11 && framing != Framing::None,
        len,
    }))
}

/// Parses a response head at the start of `bytes`, answering a request with `method`; `None` while it is
/// incomplete.
///
/// # Errors
/// The rule that was broken.
pub fn parse_response(
    bytes: &[u8],
    method: &Method,
    limits: HeadLimits,
) -> Result<Option<ResponseHead>, Violation> {
    let mut table = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let allowed = limits.headers.min(MAX_HEADERS);
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(
            &mut response,
            bytes,
            table.get_mut(..allowed).unwrap_or_default(),
        )
        .map_err(parse_error)?;
    let httparse::Status::Complete(len) = parsed else {
        return if bytes.len() > limits.bytes { Err(Violation::HeadTooLarge) } else { Ok(None) };
    };
    if len > limits.bytes {
        return Err(Violation::HeadTooLarge);
    }
    no_bare_lf(bytes.get(..len).unwrap_or_default())?;
    let version = version_of(response.version)?;
    let status = StatusCode::from_u16(response.code.unwrap_or_default()).map_err(|_| Violation::Malformed)?;
    let (fields, found) = gather(bytes, response.headers)?;
    let bodiless = *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    let framing = match (found.chunked, found.content_length) {
        _ if bodiless => Framing::None,
        (true, _) => Framing::Chunked,
        (false, Some(0)) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    let keep_alive =
        !found.close && framing != Framing::UntilClose && (version == Version::Http11 || found.keep_alive);
    Ok(Some(ResponseHead { status, version, fields, framing, keep_alive, len }))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
