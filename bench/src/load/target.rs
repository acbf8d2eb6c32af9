//! Where requests go and what they are.

use std::net::{SocketAddr, ToSocketAddrs};

use http::Method;

/// A parsed `http://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host and port as written; the Host field.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// Parses an `http://` URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("https:// is not supported: make load on the plain listener".into());
        }
        let rest = text.strip_prefix("http://").ok_or_else(|| format!("{text} is not an http:// URL"))?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let allowed = |c: char| c.is_ascii_graphic() && c != '#';
        if authority.is_empty() || !rest.chars().all(allowed) || authority.contains(['@', '?']) {
            return Err(format!("{text} is not a URL such as http://127.0.0.1:2906/v1/chat/completions"));
        }
        Ok(Self { authority: authority.into(), path: path.into() })
    }

    /// Looks up the address.
    ///
    /// # Errors
    /// That the name is unknown.
    pub fn resolve(&self) -> Result<SocketAddr, String> {
        let with_port = if self.authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        };
        let mut found =
            with_port.to_socket_addrs().map_err(|error| format!("{}: {error}", self.authority))?;
        found.next().ok_or_else(|| format!("{} has no address", self.authority))
    }
}

/// The bytes of the request.
#[must_use]
pub fn request(
    method: &Method,
    url: &Url,
    headers: &[(String, String)],
    body: &[u8],
    keep_alive: bool,
) -> Vec<u8> {
    let mut head = format!("{method} {} HTTP/1.1\r\nhost: {}\r\n", url.path, url.authority);
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    if !body.is_empty() || !matches!(*method, Method::GET | Method::HEAD | Method::DELETE) {
        head.push_str("content-length: ");
        head.push_str(itoa::Buffer::new().format(body.len()));
        head.push_str("\r\n");
    }
    if !keep_alive {
        head.push_str("connection: close\r\n");
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// A chat completion request whose prompt has `prompt_bytes` bytes.
#[must_use]
pub fn chat(model: &str, prompt_bytes: usize, stream: bool) -> String {
    const TEXT: &str = "What is the capital of France, and how many people live in it today? ";
    let prompt: String = TEXT.chars().cycle().take(prompt_bytes).collect();
    let messages = serde_json::json!([
        {"role": "system", "content": "You are a helpful assistant that answers briefly and exactly."},
        {"role": "user", "content": prompt},
    ]);
    let mut body = serde_json::json!({"model": model, "messages": messages, "max_tokens": 128});
    if stream && let Some(fields) = body.as_object_mut() {
        fields.insert("stream".into(), true.into());
    }
    body.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        let url = |authority: &str, path: &str| Ok(Url { authority: authority.into(), path: path.into() });
        assert_eq!(Url::parse("http://127.0.0.1:2906/v1?x=1"), url("127.0.0.1:2906", "/v1?x=1"));
        assert_eq!(Url::parse("http://localhost"), url("localhost", "/"));
        for wrong in [
            "",
            "https://a/",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a b/",
            "http://u@h/",
            "http://a/\r\n",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Url::parse("http://127.0.0.1:99").unwrap().resolve(), Ok("127.0.0.1:99".parse().unwrap()));
        assert_eq!(Url::parse("http://127.0.0.1").unwrap().resolve(), Ok("127.0.0.1:80".parse().unwrap()));
        assert_eq!(Url::parse("http://[::1]:7/").unwrap().resolve(), Ok("[::1]:7".parse().unwrap()));
    }

    #[test]
    fn requests_are_http() {
        let url = Url::parse("http://h:1/p").unwrap();
        let headers = [("x-a".to_owned(), "b".to_owned())];
        let bytes = request(&Method::POST, &url, &headers, b"{}", false);
        let want =
            "POST /p HTTP/1.1\r\nhost: h:1\r\nx-a: b\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        assert_eq!(String::from_utf8(bytes).unwrap(), want);
        let bytes = request(&Method::GET, &url, &[], b"", true);
        assert_eq!(String::from_utf8(bytes).unwrap(), "GET /p HTTP/1.1\r\nhost: h:1\r\n\r\n");
    }

    #[test]
    fn chats_have_the_prompt_asked_for() {
        let body: serde_json::Value = serde_json::from_str(&chat("m", 5000, true)).unwrap();
        assert_eq!(body["messages"][1]["content"].as_str().unwrap().len(), 5000);
        assert_eq!((body["model"].as_str(), body["stream"].as_bool()), (Some("m"), Some(true)));
        assert!(!chat("m", 10, false).contains("stream"));
    }
}
