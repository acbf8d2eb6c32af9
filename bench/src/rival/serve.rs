//! A small forwarding server: read a request, ask the limiter, forward it or answer 429.

use std::{cell::RefCell, io, net::TcpListener, rc::Rc, time::Duration};

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::{
        client::Connection,
        encode::{number_field, status_line},
        head::HeadLimits,
        server::{self, Limits, Request, Responder},
    },
    inbox::Flag,
    listen::{self, Accepted, Spread},
    stream,
};
use http::{Method, StatusCode};

use super::{Settings, limiter::Limiter};

/// Longest wait for the upstream.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest request body.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The state of the one shard.
struct Shard {
    settings: Settings,
    limiters: Vec<Limiter>,
    /// Connections to the upstream without a request, the last used on top.
    idle: RefCell<Vec<Connection>>,
}

/// Serves until the process is ended.
pub(super) async fn serve(listener: TcpListener, settings: Settings) -> io::Result<()> {
    let limiters =
        settings.limits.iter().map(|(name, limit)| Limiter::new(name, *limit, &settings)).collect();
    let shard = Rc::new(Shard { settings, limiters, idle: RefCell::default() });
    let limits = Rc::new(Limits::default());
    let deliver = move |accepted: Accepted| {
        monoio::spawn(connection(Rc::clone(&shard), accepted, Rc::clone(&limits)));
    };
    let failed = |error: &io::Error| eprintln!("rival: cannot accept: {error}");
    listen::accept(listener, 0, Spread::new(1), Flag::default(), deliver, failed).await
}

async fn connection(shard: Rc<Shard>, accepted: Accepted, limits: Rc<Limits>) {
    let Accepted { socket, peer, open: _open } = accepted;
    let Ok(halves) = stream::adopt(socket) else { return };
    let (mut receiver, mut responder) = server::connection(halves, peer, &limits);
    while let Ok(Some(head)) = receiver.head().await {
        let Ok(request) = receiver.body(head, MAX_BODY_BYTES, &mut responder).await else { return };
        let (status, body) = answer(&shard, &request).await;
        if send(&mut responder, status, &body).await.is_err() {
            return;
        }
    }
}

async fn answer(shard: &Shard, request: &Request) -> (StatusCode, Vec<u8>) {
    let provider = provider(request.body());
    let Some(limiter) = shard.limiters.iter().find(|limiter| Some(limiter.name()) == provider) else {
        return (StatusCode::NOT_FOUND, b"no such provider".to_vec());
    };
    match limiter.admits().await {
        Ok(true) => {}
        Ok(false) => return (StatusCode::TOO_MANY_REQUESTS, b"over the limit".to_vec()),
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string().into_bytes()),
    }
    match forward(shard, limiter.name(), request).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string().into_bytes()),
    }
}

/// The provider that the body's model names before its colon.
fn provider(body: &[u8]) -> Option<&str> {
    const FIELD: &[u8] = b"\"model\":\"";
    let start = memchr::memmem::find(body, FIELD)? + FIELD.len();
    let rest = body.get(start..)?;
    std::str::from_utf8(rest.get(..memchr::memchr(b':', rest)?)?).ok()
}

async fn forward(shard: &Shard, provider: &str, request: &Request) -> io::Result<(StatusCode, Vec<u8>)> {
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nauthorization: Bearer sk-{provider}\r\n\
         content-length: {}\r\n\r\n",
        String::from_utf8_lossy(request.target()),
        shard.settings.upstream,
        request.body().len()
    );
    loop {
        let kept = shard.idle.borrow_mut().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::new(stream::connect(shard.settings.upstream, TIMEOUT).await?),
        };
        let mut bytes = Buf::with_capacity(head.len() + request.body().len());
        bytes.put(head.as_bytes());
        bytes.put(request.body());
        let limits = HeadLimits::default();
        let head = match connection.exchange(&Method::POST, bytes, TIMEOUT, limits, || {}).await {
            Ok(head) => head,
            Err(failure) if failure.replayable => continue,
            Err(failure) => return Err(io::Error::other(format!("{:?}", failure.kind))),
        };
        connection.consume_head(&head);
        let mut body = Vec::new();
        loop {
            let content = connection.content().map_err(io::Error::other)?;
            let len = content.len();
            body.extend_from_slice(content);
            connection.consume(len);
            if len > 0 {
                continue;
            }
            let ended = connection.is_complete()
                || !connection
                    .receive(TIMEOUT)
                    .await
                    .map_err(|kind| io::Error::other(format!("{kind:?}")))?;
            if ended {
                break;
            }
        }
        if connection.finish() {
            shard.idle.borrow_mut().push(connection);
        }
        return Ok((head.status, body));
    }
}

async fn send(responder: &mut Responder, status: StatusCode, body: &[u8]) -> io::Result<()> {
    let mut out = Buf::with_capacity(LARGE_BYTES);
    status_line(out.vec_mut(), status);
    out.put(b"content-type: application/json\r\n");
    number_field(out.vec_mut(), "content-length", body.len() as u64);
    out.put(b"\r\n");
    out.put(body);
    responder.send(out).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rival::Kind,
        simulate::{self, RecordSettings},
        versus::request,
    };
    use coo_shards::executor::{self, Driver};

    #[test]
    fn what_is_within_the_limit_is_forwarded_and_the_rest_refused() {
        let simulator = simulate::start(simulate::Settings {
            record: RecordSettings { requests: 10, raw: 0 },
            ..simulate::Settings::default()
        })
        .unwrap();
        let listener = listen::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().pop().unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = Settings {
            kind: Kind::LocalCounters,
            listen: listener.local_addr().unwrap(),
            upstream: simulator.addr(),
            limits: vec![("openai".into(), 3)],
            redis: None,
            instances: 1,
        };
        // The shard has no stop: it ends with the test process.
        let _shard =
            executor::spawn(0, None, Driver::detect(), false, move || serve(listener, settings)).unwrap();
        let statuses: Vec<_> = (0..5).map(|_| request::chat(port).unwrap()).collect();
        assert_eq!(statuses, [200, 200, 200, 429, 429]);
        let keys: Vec<_> = simulator.record().into_iter().map(|record| record.key).collect();
        assert_eq!(keys, ["sk-openai"; 3]);
    }

    #[test]
    fn the_model_names_the_provider() {
        let body = crate::load::target::chat("r60:gpt-4o-mini", 100, false);
        assert_eq!(provider(body.as_bytes()), Some("r60"));
        assert_eq!(provider(b"{\"model\":\"gpt\"}"), None);
    }
}
