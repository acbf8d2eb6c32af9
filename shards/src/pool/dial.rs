//! Connecting to one of several addresses: the next one is tried while the first still makes up its mind (RFC 8305).

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use super::address::Address;
use crate::{
    stream::{self, ReadHalf, WriteHalf},
    time,
};

/// How long one attempt is alone before the next begins: the Connection Attempt Delay of RFC 8305 §5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connection.
pub(super) type Halves = (ReadHalf, WriteHalf);

struct Attempt<'a> {
    address: &'a Rc<Address>,
    began_ms: u64,
    work: Pin<Box<dyn Future<Output = io::Result<Halves>>>>,
}

enum Event {
    Done(usize, io::Result<Halves>),
    /// It is time for the next one.
    Next,
    /// It took too long.
    Late,
}

/// Connects to the first of `addresses` that takes a connection within `limit`. Those that failed, or that were
/// overtaken by one tried later, are noted.
///
/// # Errors
/// The last address's error; `TimedOut` where one had not answered.
pub(super) async fn race(addresses: &[Rc<Address>], limit: Duration) -> io::Result<(Rc<Address>, Halves)> {
    let mut trying: Vec<Attempt<'_>> = Vec::new();
    let mut rest = addresses.iter();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut late = pin!(time::sleep(limit));
    loop {
        match rest.next() {
            Some(address) => {
                let work = Box::pin(stream::connect(address.at, limit));
                trying.push(Attempt { address, began_ms: time::coarse_ms(), work });
            }
            None if trying.is_empty() => return Err(error),
            None => {}
        }
        let more = !rest.as_slice().is_empty();
        let mut alone = pin!(time::sleep(ATTEMPT_DELAY));
        let event = std::future::poll_fn(|cx| {
            for (at, attempt) in trying.iter_mut().enumerate() {
                if let Poll::Ready(done) = attempt.work.as_mut().poll(cx) {
                    return Poll::Ready(Event::Done(at, done));
                }
            }
            if late.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Late);
            }
            if more && alone.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Next);
            }
            Poll::Pending
        })
        .await;
        let now = time::coarse_ms();
        match event {
            Event::Next => {}
            Event::Late => {
                trying.iter().for_each(|attempt| attempt.address.not_connected(now));
                return Err(io::ErrorKind::TimedOut.into());
            }
            Event::Done(at, Ok(halves)) => {
                for slower in trying.iter().take(at) {
                    if now.saturating_sub(slower.began_ms) >= ATTEMPT_DELAY.as_millis() as u64 {
                        slower.address.not_connected(now);
                    }
                }
                let winner = trying.swap_remove(at);
                return Ok((Rc::clone(winner.address), halves));
            }
            Event::Done(at, Err(failed)) => {
                trying.remove(at).address.not_connected(now);
                error = failed;
            }
        }
    }
}
