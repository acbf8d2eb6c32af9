//! A provider's API root, taken apart once so that no request parses it again.

use std::fmt;
use std::net::Ipv6Addr;

/// How a provider is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text: for a provider on this host or a private network.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The port when the URL names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// An API root as OpenAI SDKs mean it: `https://host/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Lower-case host name or IP address; an IPv6 address stands without its brackets.
    pub host: String,
    /// The port, the scheme's own when the URL names none.
    pub port: u16,
    /// Begins with `/` and does not end with it; empty for a root without a path.
    pub path: String,
}

impl BaseUrl {
    /// What the `Host` header says: the host, in brackets if IPv6, and the port if unusual.
    pub fn authority(&self) -> String {
        let mut out = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port != self.scheme.default_port() {
            out.push_str(&format!(":{}", self.port));
        }
        out
    }

    /// Reads a URL; `default_path` is used when it has none.
    pub(super) fn parse(text: &str, default_path: &str) -> Result<Self, UrlError> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(UrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(UrlError::Query);
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        let port = match port {
            None => scheme.default_port(),
            Some(digits) => match super::listen::port(digits) {
                Ok(port) if port != 0 => port,
                _ => return Err(UrlError::Port),
            },
        };
        let path = match path.trim_end_matches('/') {
            "" => default_path,
            path => path,
        };
        if ENDPOINTS.iter().any(|endpoint| path.ends_with(endpoint)) {
            return Err(UrlError::Endpoint);
        }
        if path.contains("//") || path.split('/').any(|part| part == "..") {
            return Err(UrlError::Path);
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// People paste these; the root is what precedes them.
const ENDPOINTS: [&str; 4] = ["/chat/completions", "/completions", "/embeddings", "/models"];

/// Why a URL was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlError {
    Character,
    Scheme,
    UserInfo,
    Host,
    Port,
    Query,
    Path,
    Endpoint,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "a URL holds printable ASCII only",
            Self::Scheme => "must begin with https:// or http://",
            Self::UserInfo => "must not carry a user name or password; use api_keys or headers",
            Self::Host => "the host must be a name or an IP address",
            Self::Port => "the port must be a number from 1 to 65535",
            Self::Query => "must not have a query or fragment",
            Self::Path => "the path must not contain // or ..",
            Self::Endpoint => "give the API root (such as https://host/v1), not an endpoint",
        })
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`; the port is not read.
pub(super) fn split_authority(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(UrlError::Host),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() > 253 || !host.strip_suffix('.').unwrap_or(host).split('.').all(label) {
        return Err(UrlError::Host);
    }
    Ok((host, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_roots_and_fills_in_the_path() {
        for (text, shown) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
            ("https://api.openai.com", "https://api.openai.com/dflt"),
            ("https://api.openai.com/", "https://api.openai.com/dflt"),
            ("HTTPS://API.OpenAI.com:443/v1", "https://api.openai.com/v1"),
            ("http://10.0.0.1:8000", "http://10.0.0.1:8000/dflt"),
            ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
            ("http://my_host/api/v1", "http://my_host/api/v1"),
        ] {
            assert_eq!(BaseUrl::parse(text, "/dflt").unwrap().to_string(), shown);
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("api.openai.com", UrlError::Scheme),
            ("ftp://host", UrlError::Scheme),
            ("https://", UrlError::Host),
            ("https:///v1", UrlError::Host),
            ("https://a..b", UrlError::Host),
            ("https://[::1", UrlError::Host),
            ("https://[::1]x", UrlError::Host),
            ("https://me:pw@host/v1", UrlError::UserInfo),
            ("https://host:0", UrlError::Port),
            ("https://host:", UrlError::Port),
            ("https://host:99999", UrlError::Port),
            ("https://host/v1?x=1", UrlError::Query),
            ("https://host/v1#x", UrlError::Query),
            ("https://host/a//b", UrlError::Path),
            ("https://host/../v1", UrlError::Path),
            ("https://host/v1/chat/completions", UrlError::Endpoint),
            ("https://host/v 1", UrlError::Character),
            ("https://hôst/v1", UrlError::Character),
        ] {
            assert_eq!(BaseUrl::parse(text, "/v1"), Err(error), "{text}");
        }
    }
}
