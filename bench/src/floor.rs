//! The floor: a proxy that forwards bytes both ways without looking at them, on the same ring as the gateway.
//!
//! It does what no HTTP proxy can avoid (receive, send, receive, send) and nothing else, so the distance between
//! it and the gateway is what HTTP, routing and accounting cost, and the distance between it and nginx is what
//! the executor is worth. Each client connection has one upstream connection of its own.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use clap::Args;
use coo_shards::{
    buf::{Buf, SMALL_BYTES},
    executor::{self, Driver},
    inbox::Flag,
    join,
    listen::{self, Accepted, Spread},
    stream::{self, ReadHalf, WriteHalf},
};

/// For connecting to the upstream; the client is dropped where it takes longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the floor listens and forwards to.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Address to accept on
    #[arg(long)]
    pub listen: SocketAddr,
    /// Address to forward to
    #[arg(long)]
    pub upstream: SocketAddr,
    /// CPU to pin the one shard to
    #[arg(long)]
    pub cpu: Option<usize>,
}

/// Forwards until the process is ended.
///
/// # Errors
/// The error of listening or of starting the shard.
pub fn run(settings: &Settings) -> io::Result<()> {
    let _ = listen::raise_nofile();
    let listener = listen::bind(settings.listen, 1)?.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let upstream = settings.upstream;
    let shard = executor::spawn(0, settings.cpu, Driver::detect(), false, move || serve(listener, upstream))?;
    shard.join().map_err(|_| io::Error::other("the shard ended abnormally"))??
}

async fn serve(listener: TcpListener, upstream: SocketAddr) -> io::Result<()> {
    let deliver = move |accepted: Accepted| {
        monoio::spawn(forward(accepted, upstream));
    };
    let failed = |error: &io::Error| eprintln!("floor: cannot accept: {error}");
    listen::accept(listener, 0, Spread::new(1), Flag::default(), deliver, failed).await
}

async fn forward(accepted: Accepted, upstream: SocketAddr) {
    let Accepted { socket, open: _open, .. } = accepted;
    let Ok((from_client, to_client)) = stream::adopt(socket) else { return };
    let Ok((from_upstream, to_upstream)) = stream::connect(upstream, CONNECT_TIMEOUT).await else { return };
    join(copy(from_client, to_upstream), copy(from_upstream, to_client)).await;
}

/// Copies until `from` ends, then sends FIN to `to`. The next receive is queued together with each send, so that
/// one submission to the ring carries both. The buffers are small because each connection has four: with large
/// ones a burst of new connections spends its time faulting in memory.
async fn copy(mut from: ReadHalf, mut to: WriteHalf) {
    let (mut received, mut full) = from.read(Buf::with_capacity(SMALL_BYTES)).await;
    let mut empty = Buf::with_capacity(SMALL_BYTES);
    while matches!(received, Ok(n) if n > 0) {
        let ((sent, drained), (next, filled)) = join(to.write_all(full), from.read(empty)).await;
        if sent.is_err() {
            to.abort();
            return;
        }
        (received, full, empty) = (next, filled, drained);
    }
    to.finish().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::{Shutdown, TcpStream},
        thread,
    };

    #[test]
    fn bytes_and_half_closes_pass_both_ways() {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream_addr = upstream.local_addr().unwrap();
        let echo = thread::spawn(move || {
            let (mut socket, _) = upstream.accept().unwrap();
            let mut all = Vec::new();
            socket.read_to_end(&mut all).unwrap();
            all.reverse();
            socket.write_all(&all).unwrap();
        });
        let listener = listen::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().pop().unwrap();
        let floor = listener.local_addr().unwrap();
        // The shard has no stop: it ends with the test process.
        let _shard =
            executor::spawn(0, None, Driver::detect(), false, move || serve(listener, upstream_addr))
                .unwrap();
        let mut client = TcpStream::connect(floor).unwrap();
        let sent: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        got.reverse();
        assert_eq!(got, sent);
        echo.join().unwrap();
    }
}
