use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use http::Method;
use socket2::{Domain, Socket, Type};

use super::*;
use crate::{buf::Buf, executor::Driver, http1::head::HeadLimits};

/// An address that swallows what is sent to it: a listener whose queue is full, so that the kernel drops more.
/// Who waits in the queue is let go when it ends.
struct BlackHole {
    at: SocketAddr,
    listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let at = listener.local_addr().unwrap().as_socket().unwrap();
        let patience = Duration::from_millis(200);
        let waiting =
            std::iter::from_fn(|| TcpStream::connect_timeout(&at, patience).ok()).take(64).collect();
        Self { at, listener, _waiting: waiting }
    }

    /// From now on it answers.
    fn mend(self, server: &Arc<Server>) -> SocketAddr {
        let server = Arc::clone(server);
        self.listener.listen(128).unwrap();
        thread::spawn(move || server.accept(&self.listener.into()));
        self.at
    }
}

/// Answers requests, unless told not to.
#[derive(Default)]
struct Server {
    answered: AtomicUsize,
    accepted: AtomicUsize,
    silent: AtomicBool,
}

impl Server {
    fn start() -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = Arc::new(Self::default());
        let own = Arc::clone(&server);
        thread::spawn(move || own.accept(&listener));
        (at, server)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((mut socket, _)) = listener.accept() {
            self.accepted.fetch_add(1, Ordering::Relaxed);
            let server = Arc::clone(self);
            thread::spawn(move || {
                while matches!(socket.read(&mut [0; 1024]), Ok(1..)) {
                    if !server.silent.load(Ordering::Relaxed) {
                        server.answered.fetch_add(1, Ordering::Relaxed);
                        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    }
                }
            });
        }
    }
}

fn run<F: Future<Output = ()>>(addresses: Vec<SocketAddr>, connect: Duration, test: impl FnOnce(Pool) -> F) {
    let limits = Limits { connect_timeout: connect, ..Limits::default() };
    let body = async { test(Pool::new(vec![Origin { tls: None, addresses }], limits)).await };
    Driver::detect().block_on(false, body).unwrap();
}

/// One request on a lent connection; whether it was answered.
async fn ask(mut line: Pooled) -> bool {
    let mut request = Buf::with_capacity(64);
    request.vec_mut().extend_from_slice(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let patience = Duration::from_millis(150);
    match line.exchange(&Method::GET, request, patience, HeadLimits::default(), || {}).await {
        Ok(head) => {
            line.answered();
            line.consume_head(&head);
            line.release();
            true
        }
        Err(failed) => {
            line.failed(&failed.kind);
            false
        }
    }
}

async fn until(what: &str, check: impl Fn() -> bool) {
    let begun = Instant::now();
    while !check() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
        time::next_tick().await;
    }
}

#[test]
fn a_black_hole_costs_one_request_a_quarter_of_a_second_and_the_others_nothing() {
    let hole = BlackHole::new();
    let (works, server) = Server::start();
    run(vec![hole.at, works], Duration::from_secs(5), |pool| async move {
        let begun = Instant::now();
        assert!(ask(pool.open(0).await.unwrap()).await);
        let first = begun.elapsed();
        assert!((200..1000).contains(&first.as_millis()), "{first:?}");
        assert_eq!(pool.addresses_out(0), 1);
        // Even after its time out has passed: what tries it is no request.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2500) {
            let one = Instant::now();
            assert!(ask(pool.open(0).await.unwrap()).await);
            assert!(one.elapsed() < Duration::from_millis(150), "{:?}", one.elapsed());
            time::next_tick().await;
        }
        // It works again, is found to, and has its turns.
        let at = hole.mend(&server);
        until("the address is back", || pool.addresses_out(0) == 0).await;
        pool.close_idle();
        let lines = [pool.open(0).await.unwrap(), pool.open(0).await.unwrap()];
        assert!(lines.iter().any(|line| line.line.as_ref().unwrap().address.at == at));
    });
}

#[test]
fn where_no_address_connects_the_limit_holds_for_all_together_and_all_are_tried_again() {
    let holes = [BlackHole::new(), BlackHole::new()];
    run(holes.iter().map(|hole| hole.at).collect(), Duration::from_millis(600), |pool| async move {
        for _ in 0..2 {
            let begun = Instant::now();
            let error = pool.open(0).await.err().unwrap();
            assert!(
                matches!(&error, ConnectError::Connect(error) if error.kind() == io::ErrorKind::TimedOut),
                "{error}"
            );
            assert!((500..1500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
            assert_eq!(pool.addresses_out(0), 2);
        }
        assert_eq!(pool.counts(), (0, 0), "no place is kept");
    });
}

#[test]
fn a_refusal_moves_on_at_once() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (works, _server) = Server::start();
    run(vec![nobody, nobody, works], Duration::from_secs(5), |pool| async move {
        let begun = Instant::now();
        assert!(ask(pool.open(0).await.unwrap()).await);
        assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
    });
}

#[test]
fn an_address_that_falls_silent_is_left_out_with_its_idle_connections() {
    let ((quiet, server), (works, _other)) = (Server::start(), Server::start());
    run(vec![quiet, works], Duration::from_secs(5), |pool| async move {
        let lines = [pool.open(0).await.unwrap(), pool.open(0).await.unwrap()];
        let of_quiet = |line: &Pooled| line.line.as_ref().unwrap().address.at == quiet;
        assert_eq!(lines.iter().filter(|line| of_quiet(line)).count(), 1);
        for line in lines {
            assert!(ask(line).await);
        }
        let mut lines = Vec::new();
        for _ in 0..12 {
            lines.push(pool.open(0).await.unwrap());
        }
        server.silent.store(true, Ordering::Relaxed);
        let mut unanswered = 0;
        for line in lines {
            // Some are put back unused, to be found silent or closed later.
            if unanswered < 3 {
                unanswered += usize::from(!ask(line).await);
            } else {
                line.release();
            }
        }
        assert_eq!((unanswered, pool.addresses_out(0)), (3, 1));
        // What lay idle before the third is closed; what was released after it is met once.
        let mut failed = 0;
        for _ in 0..30 {
            failed += usize::from(!ask(pool.checkout(0).await.unwrap()).await);
        }
        assert!(failed <= 1, "{failed}");
        // Connecting does not bring it back, since its kernel accepts whatever comes; an answer does.
        let accepted = server.accepted.load(Ordering::Relaxed);
        until("it was tried", || server.accepted.load(Ordering::Relaxed) > accepted).await;
        time::sleep(Duration::from_millis(100)).await;
        assert_eq!(pool.addresses_out(0), 1);
        server.silent.store(false, Ordering::Relaxed);
        assert!(ask(pool.checkout(0).await.unwrap()).await);
        assert_eq!(pool.addresses_out(0), 0);
    });
}
