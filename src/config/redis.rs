//! Addresses of Redis servers: `host`, `host:port`, `redis://...`, `rediss://...`.

use std::fmt;

use super::base_url::split_authority;
use super::listen;
use super::secret::Secret;

/// Where a Redis server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddr {
    /// Lower-case host name or IP address; an IPv6 address stands without its brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl fmt::Display for RedisAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// How the servers of `storage.runtime.addr` belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisMode {
    /// One server.
    Standalone,
    /// A cluster; the addresses are some of its nodes.
    Cluster,
    /// The addresses are sentinels, which know the server.
    Sentinel,
}

impl RedisMode {
    pub(super) const CHOICES: [(&'static str, Self); 3] =
        [("standalone", Self::Standalone), ("cluster", Self::Cluster), ("sentinel", Self::Sentinel)];

    /// The port of an address that names none.
    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Standalone | Self::Cluster => 6379,
            Self::Sentinel => 26379,
        }
    }
}

/// `storage.runtime.on_outage`: what happens to budgets while Redis is away and leases have run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOutage {
    /// Each instance spends its share: the limit divided by the instances last seen.
    LocalShare,
    /// Requests that need budget are refused.
    Refuse,
}

impl OnOutage {
    pub(super) const CHOICES: [(&'static str, Self); 2] =
        [("local_share", Self::LocalShare), ("refuse", Self::Refuse)];
}

/// One address as written, with what a URL says beside the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub addr: RedisAddr,
    /// What the scheme says; `None` without one.
    pub tls: Option<bool>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub database: Option<u32>,
}

/// Databases one server may be set up for; Redis has 16 unless told otherwise.
pub(super) const MAX_DATABASE: u32 = 65_535;

/// Why an address was refused. Never quotes it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisError {
    Empty,
    Character,
    Scheme,
    Login,
    Escape,
    Host,
    Brackets,
    Port,
    Database,
    Query,
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "expected an address such as 127.0.0.1:6379",
            Self::Character => {
                "an address holds printable ASCII only; in a user or password write %20 and so on"
            }
            Self::Scheme => "expected host:port, redis:// or rediss:// (TLS)",
            Self::Login => "a user or password needs redis:// or rediss:// in front, or its own key",
            Self::Escape => "a `%` in a user or password must be followed by two hexadecimal digits of UTF-8",
            Self::Host => "the host must be a name or an IP address",
            Self::Brackets => "an IPv6 address needs brackets, as in [::1]:6379",
            Self::Port => "the port must be a number from 1 to 65535",
            Self::Database => "after the host only the number of a database may follow, as in redis://host/0",
            Self::Query => "must not have a query or fragment",
        })
    }
}

/// Reads one address.
pub(super) fn parse(text: &str, default_port: u16) -> Result<Target, RedisError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(RedisError::Empty);
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(RedisError::Character);
    }
    let (tls, rest) = match text.split_once("://") {
        None => (None, text),
        Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
            "redis" => (Some(false), rest),
            "rediss" => (Some(true), rest),
            _ => return Err(RedisError::Scheme),
        },
    };
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(login), rest),
        None => (None, rest),
    };
    if login.is_some() && tls.is_none() {
        return Err(RedisError::Login);
    }
    if rest.contains(['?', '#']) {
        return Err(RedisError::Query);
    }
    let (authority, database) = match rest.split_once('/') {
        None => (rest, None),
        Some((authority, "")) => (authority, None),
        Some((authority, number)) => (authority, Some(database(number).ok_or(RedisError::Database)?)),
    };
    let (username, password) = match login {
        None => (None, None),
        Some(login) => credentials(login)?,
    };
    let addr = address(authority, default_port)?;
    Ok(Target { addr, tls, username, password, database })
}

fn address(authority: &str, default_port: u16) -> Result<RedisAddr, RedisError> {
    if !authority.starts_with('[') && authority.matches(':').count() > 1 {
        return Err(RedisError::Brackets);
    }
    let (host, port) = split_authority(authority).map_err(|_| RedisError::Host)?;
    let port = match port {
        None => default_port,
        Some(digits) => match listen::port(digits) {
            Ok(port) if port != 0 => port,
            _ => return Err(RedisError::Port),
        },
    };
    Ok(RedisAddr { host: host.to_ascii_lowercase(), port })
}

/// `user:password`, `:password` or `user`.
fn credentials(login: &str) -> Result<(Option<String>, Option<Secret>), RedisError> {
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let filled = |part: &str| -> Result<Option<String>, RedisError> {
        let part = unescape(part).ok_or(RedisError::Escape)?;
        Ok((!part.is_empty()).then_some(part))
    };
    let password = match password {
        Some(password) => filled(password)?.map(Secret::new),
        None => None,
    };
    Ok((filled(user)?, password))
}

/// The number of a database.
pub(super) fn database(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= MAX_DATABASE)
}

/// Percent-decodes (RFC 3986, section 2.1).
fn unescape(text: &str) -> Option<String> {
    let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex(bytes.next())?, hex(bytes.next())?);
            out.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_accepted_form() {
        for (text, shown, tls, user, password, database) in [
            ("localhost:6379", "localhost:6379", None, None, None, None),
            ("Redis.internal", "redis.internal:6379", None, None, None, None),
            (" 10.0.0.1:7000 ", "10.0.0.1:7000", None, None, None, None),
            ("[::1]:7000", "[::1]:7000", None, None, None, None),
            ("[::1]", "[::1]:6379", None, None, None, None),
            ("redis://h", "h:6379", Some(false), None, None, None),
            ("REDISS://h:1/", "h:1", Some(true), None, None, None),
            ("redis://h/2", "h:6379", Some(false), None, None, Some(2)),
            ("redis://:p@h", "h:6379", Some(false), None, Some("p"), None),
            ("rediss://u:p%40%3a@h:1/0", "h:1", Some(true), Some("u"), Some("p@:"), Some(0)),
            ("redis://u@h", "h:6379", Some(false), Some("u"), None, None),
            ("redis://u:a:b/c@h", "h:6379", Some(false), Some("u"), Some("a:b/c"), None),
            ("redis://u:@h", "h:6379", Some(false), Some("u"), None, None),
        ] {
            let target = parse(text, 6379).unwrap();
            assert_eq!(target.addr.to_string(), shown, "{text}");
            assert_eq!((target.tls, target.username.as_deref()), (tls, user), "{text}");
            assert_eq!(target.password.as_ref().map(Secret::expose), password, "{text}");
            assert_eq!(target.database, database, "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        use RedisError as E;
        for (text, error) in [
            ("", E::Empty),
            ("a b:1", E::Character),
            ("http://h", E::Scheme),
            ("unix:///run/redis.sock", E::Scheme),
            ("u:p@h:1", E::Login),
            ("redis://u:%4@h", E::Escape),
            ("redis://u:%ff@h", E::Escape),
            (":6379", E::Host),
            ("redis://", E::Host),
            ("a..b:1", E::Host),
            ("::1", E::Brackets),
            ("fe80::1:6379", E::Brackets),
            ("[::g]:1", E::Host),
            ("h:", E::Port),
            ("h:0", E::Port),
            ("h:65536", E::Port),
            ("h:port", E::Port),
            ("redis://h/main", E::Database),
            ("redis://h/65536", E::Database),
            ("redis://h/0/1", E::Database),
            ("redis://h?protocol=3", E::Query),
        ] {
            assert_eq!(parse(text, 6379), Err(error), "{text}");
        }
    }
}
