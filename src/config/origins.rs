//! All that is connected to: the API of each provider, and the hosts that have the streams of some.

use std::net::SocketAddr;

use super::{
    Scheme,
    base_url::BaseUrl,
    snapshot::{Snapshot, Upstream},
};

/// A host that has nothing but the streams of a provider's answers, and needs no key.
#[derive(Debug)]
pub struct StreamHost {
    /// Where it is.
    pub base_url: BaseUrl,
    /// The same, as the addresses there begin.
    pub root: String,
    /// Its place among [`Snapshot::origins`].
    pub origin: usize,
}

impl StreamHost {
    pub(super) fn new(base_url: BaseUrl, origin: usize) -> Self {
        Self { root: base_url.to_string(), base_url, origin }
    }

    /// The head of a request for the stream at a path below its root, but for the line that ends it.
    #[must_use]
    pub fn head_at(&self, path: &str) -> Vec<u8> {
        let (root, authority) = (&self.base_url.path, self.base_url.authority());
        let fields = "accept: text/event-stream\r\ncache-control: no-store\r\n";
        format!("GET {root}{path} HTTP/1.1\r\nhost: {authority}\r\n{fields}").into_bytes()
    }
}

/// Something that is connected to.
#[derive(Debug)]
pub struct Origin<'a> {
    /// Whose it is.
    pub upstream: &'a Upstream,
    /// Where it is.
    pub url: &'a BaseUrl,
    /// Its addresses where the configuration names them; else they are resolved.
    pub addresses: &'a [SocketAddr],
}

impl Origin<'_> {
    /// Whether it is reached over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.scheme == Scheme::Https
    }
}

impl Snapshot {
    /// Each provider's API in the place of the provider, then the hosts of streams.
    pub fn origins(&self) -> impl Iterator<Item = Origin<'_>> {
        let apis = self.providers.iter().map(|upstream| Origin {
            upstream,
            url: &upstream.base_url,
            addresses: &upstream.addresses,
        });
        let hosts = self.providers.iter().filter_map(|upstream| {
            let host = upstream.streams.as_ref()?;
            Some(Origin { upstream, url: &host.base_url, addresses: &[] })
        });
        apis.chain(hosts)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::{ProcessEnv, load_str};
    use super::*;

    #[test]
    fn hosts_of_streams_come_behind_the_providers() {
        let text = "
llm_providers:
  - {id: a, type: replicate, api_keys: [r8-secret]}
  - {id: b, type: openai, api_keys: [k]}
  - {id: c, type: replicate, stream_base_url: 'http://127.0.0.1:7/s/', api_keys: [r8-secret]}
";
        let loaded = load_str("test.yaml", text, &ProcessEnv).unwrap_or_else(|failed| panic!("{failed}"));
        let snapshot = Snapshot::new(&loaded.config, 1);
        let shown: Vec<_> = snapshot
            .origins()
            .map(|origin| (origin.upstream.id.as_str(), origin.url.to_string(), origin.is_tls()))
            .collect();
        let at = |id, url: &str, tls| (id, url.to_owned(), tls);
        assert_eq!(
            shown,
            [
                at("a", "https://api.replicate.com/v1", true),
                at("b", "https://api.openai.com/v1", true),
                at("c", "https://api.replicate.com/v1", true),
                at("a", "https://stream.replicate.com", true),
                at("c", "http://127.0.0.1:7/s", false),
            ]
        );
        let places = snapshot.providers.iter().map(|one| one.streams.as_ref().map(|host| host.origin));
        assert_eq!(places.collect::<Vec<_>>(), [Some(3), None, Some(4)]);
        let head = snapshot.providers[2].streams.as_ref().map(|host| host.head_at("/files/x"));
        let head = String::from_utf8(head.unwrap_or_default()).unwrap_or_default();
        assert!(head.starts_with("GET /s/files/x HTTP/1.1\r\nhost: 127.0.0.1:7\r\n"), "{head}");
        assert!(!head.contains("r8-secret"), "{head}");
    }
}
