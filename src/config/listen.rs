//! Where to listen: `:2906`, `0.0.0.0:2906`, `[::1]:2906`, `localhost:2906` or a bare port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why an address was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenError {
    Port,
    Host,
    Brackets,
    NoPort,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Port => "the port must be a number from 0 to 65535",
            Self::Host => "the host must be an IP address, empty, or `localhost`",
            Self::Brackets => "an IPv6 address needs brackets, as in [::1]:2906",
            Self::NoPort => "expected an address with a port, as in :2906 or 127.0.0.1:2906",
        })
    }
}

/// Reads one address. An empty host means every address of the host, IPv4 and IPv6: `[::]`,
/// which a dual-stack socket serves for both, as the original did.
pub(super) fn parse(text: &str) -> Result<SocketAddr, ListenError> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(SocketAddr::new(ANY, port(text)?));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(ListenError::Brackets);
    }
    let (host, port_text) = text.rsplit_once(':').ok_or(ListenError::NoPort)?;
    let ip = match host {
        "" => ANY,
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => IpAddr::V6(v6.parse().map_err(|_| ListenError::Host)?),
            None if host.contains(':') => return Err(ListenError::Brackets),
            None => IpAddr::V4(host.parse().map_err(|_| ListenError::Host)?),
        },
    };
    Ok(SocketAddr::new(ip, port(port_text)?))
}

/// Reads a port; 0 asks the kernel for a free one.
pub(super) fn port(text: &str) -> Result<u16, ListenError> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_err(|_| ListenError::Port)
    } else {
        Err(ListenError::Port)
    }
}

/// Every address of the host.
pub(super) const ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_accepted_form() {
        for (text, address) in [
            (":2906", "[::]:2906"),
            ("2906", "[::]:2906"),
            ("0.0.0.0:2906", "0.0.0.0:2906"),
            ("127.0.0.1:2906", "127.0.0.1:2906"),
            ("localhost:2906", "127.0.0.1:2906"),
            ("[::1]:2906", "[::1]:2906"),
            (":0", "[::]:0"),
        ] {
            assert_eq!(parse(text).unwrap(), address.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, error) in [
            ("", ListenError::NoPort),
            ("127.0.0.1", ListenError::NoPort),
            ("127.0.0.1:", ListenError::Port),
            (":65536", ListenError::Port),
            ("99999", ListenError::Port),
            (":+1", ListenError::Port),
            (":http", ListenError::Port),
            ("example.com:80", ListenError::Host),
            ("256.0.0.1:80", ListenError::Host),
            ("[::g]:80", ListenError::Host),
            ("::1", ListenError::Brackets),
            ("fe80::1:2:xyz:80", ListenError::Brackets),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
