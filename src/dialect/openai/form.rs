//! What the gateway must know about a form, which requests with files are.
//!
//! Source: OpenAI API reference, "Create transcription" and "Create translation": `multipart/form-data` (RFC 7578) with
//! `file`, `model`, `stream` and others. A form is framed as RFC 2046 section 5.1.1 says. What other readers might
//! take for another form is refused: the provider must see the model that was looked at here.

use memchr::memmem::{self, Finder};

use crate::dialect::{
    json::{Span, Text},
    openai::request::{BodyError, RequestFacts, StreamOptions},
};

/// The most bytes of a boundary (RFC 2046 section 5.1.1).
const MOST_BOUNDARY_BYTES: usize = 70;

/// The boundary that a Content-Type names.
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let mut parts = content_type.split(|&byte| byte == b';');
    let kind = parts.next()?.trim_ascii();
    if !kind.eq_ignore_ascii_case(b"multipart/form-data") {
        return None;
    }
    let named = parts.find_map(|part| {
        let at = memchr::memchr(b'=', part)?;
        let (name, value) = part.split_at_checked(at)?;
        name.trim_ascii().eq_ignore_ascii_case(b"boundary").then(|| value.get(1..))?
    })?;
    let named = named.trim_ascii();
    let quoted = named.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let boundary = quoted.unwrap_or(named);
    (1..=MOST_BOUNDARY_BYTES).contains(&boundary.len()).then_some(boundary)
}

/// Scans a form, once: its content is searched for the boundary and otherwise not looked at.
///
/// # Errors
/// What is missing, or wrong.
pub fn scan(body: &[u8], content_type: &[u8]) -> Result<RequestFacts, BodyError> {
    let boundary = boundary(content_type).ok_or(BodyError::NotAForm)?;
    let delimiter = [b"\r\n--", boundary].concat();
    let finder = Finder::new(&delimiter);
    // The first one may stand at the very start.
    let first = delimiter.get(2..).unwrap_or_default();
    let mut at = match body.strip_prefix(first) {
        Some(_) => first.len(),
        None => finder.find(body).ok_or(BodyError::FormMalformed("its first boundary"))? + delimiter.len(),
    };
    let (mut model, mut stream, mut file) = (None, None, false);
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            break;
        }
        let padding = rest.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t')).count();
        let rest = rest.get(padding..).unwrap_or_default();
        let rest = rest.strip_prefix(b"\r\n").ok_or(BodyError::FormMalformed("the line after a boundary"))?;
        let head_len =
            memmem::find(rest, b"\r\n\r\n").ok_or(BodyError::FormMalformed("the head of a field"))?;
        let (head, content) = rest.split_at_checked(head_len).unwrap_or((rest, b""));
        if finder.find(head).is_some() {
            return Err(BodyError::FormMalformed("the head of a field"));
        }
        let content = content.get(4..).unwrap_or_default();
        let start = body.len() - content.len();
        let len = finder.find(content).ok_or(BodyError::FormMalformed("the end of a field"))?;
        let value = content.get(..len).unwrap_or_default();
        let twice = |known: bool, name| if known { Err(BodyError::Repeated(name)) } else { Ok(()) };
        match field_name(head)? {
            b"model" => {
                twice(model.is_some(), "model")?;
                model = Some(Span { start, end: start + len });
            }
            b"stream" => {
                twice(stream.is_some(), "stream")?;
                stream = Some(boolean(value).ok_or(BodyError::StreamNotABoolean)?);
            }
            b"file" => file = true,
            _ => {}
        }
        at = start + len + delimiter.len();
    }
    let span = model.ok_or(BodyError::ModelMissing)?;
    if span.start == span.end {
        return Err(BodyError::ModelEmpty);
    }
    if !file {
        return Err(BodyError::FileMissing);
    }
    Ok(RequestFacts {
        model: Text { span, escaped: false },
        stream: stream.unwrap_or(false),
        stream_options: StreamOptions::Absent,
        max_output_tokens: None,
        n: 1,
        insert_at: body.len(),
        hex_escapes: false,
    })
}

/// The name of the field that a part's head says.
fn field_name(head: &[u8]) -> Result<&[u8], BodyError> {
    let mut found = None;
    let mut rest = head;
    while !rest.is_empty() {
        let end = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
        rest = after.get(2..).unwrap_or_default();
        let Some((name, value)) = memchr::memchr(b':', line).and_then(|at| line.split_at_checked(at)) else {
            continue;
        };
        if name.trim_ascii().eq_ignore_ascii_case(b"content-disposition") {
            if found.is_some() {
                return Err(BodyError::FormMalformed("a field with two names"));
            }
            found = Some(parameter(value.get(1..).unwrap_or_default())?);
        }
    }
    found.ok_or(BodyError::FormMalformed("a field without a name"))
}

/// The parameter `name` of a Content-Disposition (RFC 6266 section 4.1; quoted strings as RFC 9110 section 5.6.4).
fn parameter(value: &[u8]) -> Result<&[u8], BodyError> {
    let mut found = None;
    // Which part of the value we are in: quotes hide semicolons.
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for at in 0..=value.len() {
        match value.get(at) {
            None => {}
            Some(b';') if !quoted => {}
            Some(_) if escaped => {
                escaped = false;
                continue;
            }
            Some(byte) => {
                escaped = quoted && *byte == b'\\';
                quoted ^= *byte == b'"';
                continue;
            }
        }
        let part = value.get(start..at).unwrap_or_default().trim_ascii();
        start = at + 1;
        if let Some(is) = memchr::memchr(b'=', part)
            && let Some((name, text)) = part.split_at_checked(is)
            && name.trim_ascii().eq_ignore_ascii_case(b"name")
        {
            if found.is_some() {
                return Err(BodyError::FormMalformed("a field with two names"));
            }
            let text = text.get(1..).unwrap_or_default().trim_ascii();
            let bare = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            found = Some(bare.unwrap_or(text));
        }
    }
    found.ok_or(BodyError::FormMalformed("a field without a name"))
}

/// As the SDKs and HTML forms write it.
fn boolean(value: &[u8]) -> Option<bool> {
    match value.trim_ascii() {
        value if value.eq_ignore_ascii_case(b"true") || value == b"1" => Some(true),
        value if value.eq_ignore_ascii_case(b"false") || matches!(value, b"0" | b"") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &[u8] = b"multipart/form-data; boundary=bb";

    fn field(name: &str, value: &str) -> String {
        format!("--bb\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    const FILE: &str = "--bb\r\ncontent-disposition: form-data; filename=\"a;name=\\\"model\\\".wav\"; name=file\r\nContent-Type: audio/wav\r\n\r\n\r\n--b\r\n--ba\0\r\n";

    fn form(parts: &[&str]) -> String {
        format!("{}--bb--\r\n", parts.concat())
    }

    #[test]
    fn finds_the_model_wherever_it_stands() {
        let model = field("model", "whisper-1");
        for (parts, stream) in [
            (vec![FILE, &model], false),
            (vec![&model, FILE], false),
            (vec![&field("stream", "true"), &model, &field("prompt", "model"), FILE], true),
            (
                vec![&model, FILE, &field("stream", "False"), &field("timestamp_granularities[]", "word")],
                false,
            ),
            (vec!["ignored\r\n", &model, FILE], false),
        ] {
            let body = form(&parts);
            let facts = scan(body.as_bytes(), TYPE).unwrap();
            assert_eq!((&*facts.model(body.as_bytes()), facts.stream), ("whisper-1", stream), "{body}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        use BodyError as E;
        let model = field("model", "m");
        for (body, wanted) in [
            (form(&[FILE]), E::ModelMissing),
            (form(&[FILE, &field("model", "")]), E::ModelEmpty),
            (form(&[&model]), E::FileMissing),
            (form(&[&model, &model, FILE]), E::Repeated("model")),
            (form(&[&model, FILE, &field("stream", "maybe")]), E::StreamNotABoolean),
            (String::new(), E::FormMalformed("its first boundary")),
            ("{}".to_owned(), E::FormMalformed("its first boundary")),
            (model.clone(), E::FormMalformed("the end of a field")),
            (format!("{model}--bb"), E::FormMalformed("the line after a boundary")),
            (format!("{model}--bbb--"), E::FormMalformed("the line after a boundary")),
            (form(&["--bb\r\nX: y\r\n\r\nm\r\n"]), E::FormMalformed("a field without a name")),
            (form(&[&model.replace("name=", "name=x; name=")]), E::FormMalformed("a field with two names")),
            (form(&[&model.replace("\r\n\r\n", "\r\n")]), E::FormMalformed("the head of a field")),
            (form(&[&model.replace("\r\n\r\n", "\r\n"), FILE]), E::FormMalformed("the head of a field")),
        ] {
            assert_eq!(scan(body.as_bytes(), TYPE).unwrap_err(), wanted, "{body}");
        }
    }

    #[test]
    fn boundaries_are_named_in_many_ways() {
        for (kind, wanted) in [
            ("multipart/form-data; boundary=bb", Some("bb")),
            ("Multipart/Form-Data;charset=utf-8 ; Boundary=\"b b\"", Some("b b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=bb", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(boundary(kind.as_bytes()), wanted.map(str::as_bytes), "{kind}");
        }
        assert_eq!(scan(b"", b"application/json").unwrap_err(), BodyError::NotAForm);
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        assert_eq!(boundary(long.as_bytes()), None);
    }

    #[test]
    fn no_cut_form_passes() {
        let body = form(&[&field("model", "m"), FILE]);
        // The line end behind the last boundary is not needed.
        for end in 0..body.len() - 2 {
            assert!(scan(&body.as_bytes()[..end], TYPE).is_err(), "{end}");
        }
    }
}
