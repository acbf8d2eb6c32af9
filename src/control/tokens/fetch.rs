//! One exchange of an assertion for a token.
//!
//! Source: Google, "Using OAuth 2.0 for server to server applications", "Making the access token request"; RFC 7523
//! section 2.1 (grant), RFC 6749 section 5 (answers). It happens once in most of an hour, so there is a connection of
//! its own each time and no HTTP client that keeps any.

use std::{io, sync::Arc, time::Duration};

use coo_shards::http1::{
    body::Decoder,
    head::{HeadLimits, parse_response},
};
use http::{Method, StatusCode};
use rustls::{ClientConfig, pki_types::ServerName};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::Token;
use crate::config::{BaseUrl, Scheme, Secret, ServiceAccount};

/// For all of it: connecting, asking, hearing.
const PATIENCE: Duration = Duration::from_secs(15);
/// Most bytes of an answer; they have about two thousand.
const MOST_BYTES: usize = 256 * 1024;
/// The longest that a token is taken to be good, and the shortest that it is worth something.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Most characters of what an error says that are shown.
const SHOWN: usize = 200;

/// `urn:ietf:params:oauth:grant-type:jwt-bearer`, as a form has it.
const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

/// Exchanges an assertion of `account` for a token.
///
/// # Errors
/// Why there is none, for a person to read.
pub(super) async fn token(
    account: &ServiceAccount,
    assertion: &str,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Token, String> {
    let url = &account.token_uri;
    // An assertion is base64url and dots, which a form has as they are.
    let body = format!("grant_type={GRANT}&assertion={assertion}");
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\naccept: application/json\r\n\
         user-agent: coo-llm/{}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        if url.path.is_empty() { "/" } else { &url.path },
        url.authority(),
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    let exchanged = timeout(PATIENCE, exchange(url, request.as_bytes(), tls)).await;
    let (status, answer) = exchanged
        .map_err(|_| format!("{url} did not answer in time"))?
        .map_err(|error| format!("{url}: {error}"))?;
    read(status, &answer)
}

/// What the answer says.
fn read(status: StatusCode, answer: &[u8]) -> Result<Token, String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answer {
        access_token: Option<String>,
        expires_in: Option<f64>,
        error: Option<String>,
        error_description: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).unwrap_or_default();
    if !status.is_success() {
        let words =
            [answer.error, answer.error_description].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let words: String = words.chars().map(clean).take(SHOWN).collect();
        return Err(format!("status {} {words}", status.as_u16()).trim_end().to_owned());
    }
    let value = answer
        .access_token
        .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    let value = value.ok_or("the answer has no access token")?;
    let lifetime = answer.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let lifetime = lifetime.filter(|lifetime| !lifetime.is_zero()).ok_or("the access token does not last")?;
    Ok(Token { value: Secret::new(value), lifetime: lifetime.min(LONGEST) })
}

async fn exchange(
    url: &BaseUrl,
    request: &[u8],
    tls: Option<&Arc<ClientConfig>>,
) -> io::Result<(StatusCode, Vec<u8>)> {
    let connected = TcpStream::connect((url.host.as_str(), url.port)).await?;
    match url.scheme {
        Scheme::Http => converse(connected, request).await,
        Scheme::Https => {
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
            let tls = tls.ok_or_else(|| io::Error::other("TLS is not set up"))?;
            let name = ServerName::try_from(url.host.clone()).map_err(invalid)?;
            converse(TlsConnector::from(Arc::clone(tls)).connect(name, connected).await?, request).await
        }
    }
}

/// Sends the request and takes its whole answer.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> io::Result<(StatusCode, Vec<u8>)> {
    let garbage = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut received = Vec::with_capacity(4096);
    loop {
        if let Some(answer) = whole(&received, false).map_err(garbage)? {
            return Ok(answer);
        }
        if received.len() > MOST_BYTES {
            return Err(garbage("the answer is too long"));
        }
        if stream.read_buf(&mut received).await? == 0 {
            let answer = whole(&received, true).map_err(garbage)?;
            return answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The answer that these bytes are, once they are all of it; `ended` says that no more come.
fn whole(received: &[u8], ended: bool) -> Result<Option<(StatusCode, Vec<u8>)>, &'static str> {
    let head = parse_response(received, &Method::POST, HeadLimits::default());
    let Some(head) = head.map_err(|_| "the answer is not HTTP")? else { return Ok(None) };
    let mut rest = received.get(head.len..).unwrap_or_default();
    if head.status.is_informational() {
        return whole(rest, ended);
    }
    let (mut decoder, mut body) = (Decoder::new(head.framing), Vec::with_capacity(rest.len()));
    loop {
        let step = decoder.step(rest).map_err(|_| "the answer is not HTTP")?;
        rest = rest.get(step.skip..).unwrap_or_default();
        body.extend_from_slice(rest.get(..step.data).unwrap_or_default());
        rest = rest.get(step.data..).unwrap_or_default();
        if step.data == 0 {
            break;
        }
    }
    let complete = decoder.is_done() || (ended && decoder.may_end_here());
    Ok(complete.then_some((head.status, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_however_they_are_framed() {
        for (answer, by_its_end) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", false),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false),
            ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello", true),
        ] {
            let bytes = answer.as_bytes();
            for end in 0..bytes.len() {
                assert_eq!(whole(&bytes[..end], false).unwrap(), None, "{answer}");
            }
            assert_eq!(whole(bytes, false).unwrap().is_none(), by_its_end);
            assert_eq!(whole(bytes, true).unwrap(), Some((StatusCode::OK, b"hello".to_vec())));
        }
        assert!(whole(b"SSH-2.0\r\n\r\n", false).is_err());
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", true).unwrap(), None);
    }

    #[test]
    fn tokens_are_read_and_refusals_told() {
        let ok = StatusCode::OK;
        let token =
            read(ok, br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#).unwrap();
        assert_eq!((token.value.expose(), token.lifetime), ("ya29.x", Duration::from_secs(3599)));
        for (status, answer, says) in [
            (ok, "{}", "no access token"),
            (ok, r#"{"access_token":"a\r\nb","expires_in":9}"#, "no access token"),
            (ok, r#"{"access_token":"a"}"#, "does not last"),
            (ok, r#"{"access_token":"a","expires_in":-1}"#, "does not last"),
            (ok, "<html>", "no access token"),
            (
                StatusCode::BAD_REQUEST,
                r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
                "status 400 invalid_grant: Invalid JWT Signature.",
            ),
            (StatusCode::BAD_GATEWAY, "<html>", "status 502"),
        ] {
            let why = read(status, answer.as_bytes()).err().unwrap();
            assert!(why.contains(says), "{why}");
        }
    }
}
