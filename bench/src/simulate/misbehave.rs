//! Putting an answer on the wire as it should not be: what each [`Fault`] does.

use std::{future::pending, time::Duration};

use coo_shards::{
    buf::{Buf, LARGE_BYTES, SMALL_BYTES},
    http1::{
        encode::{LAST_CHUNK, chunk, chunk_size},
        server::Responder,
    },
};
use http::StatusCode;

use super::{
    deliver::{self, End, JSON, Length, Sent, Stream, Terms, head},
    exchange::wait,
    faults::Fault,
};

/// Between the pieces of a slow answer.
const SLOW: Duration = Duration::from_millis(100);
/// Pieces of a slow answer that is not a stream.
const SLOW_PIECES: usize = 10;
/// Gives the peer time to read what was sent before a reset destroys it.
const BEFORE_RESET: Duration = Duration::from_millis(5);
/// Bytes announced and not sent.
const LIE_BYTES: usize = 32;
/// Header fields that make a head too large for any sensible limit, and the length of each.
const HUGE_FIELDS: usize = 140;
const HUGE_FIELD_BYTES: usize = 1000;
/// Starts like a TLS record, which is what plain HTTP to a TLS port gets.
const GARBAGE: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is not HTTP\r\n\r\n\0\0\0\0";
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n\
    HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style\r\n\r\n";

fn buf(bytes: &[u8]) -> Buf {
    let mut buf = Buf::with_capacity(bytes.len().max(SMALL_BYTES));
    buf.put(bytes);
    buf
}

fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len() / 2)
}

/// Sends a whole answer spoiled by `fault`.
pub(crate) async fn whole(
    responder: &mut Responder,
    status: StatusCode,
    fields: &[u8],
    body: &[u8],
    fault: Fault,
    terms: Terms,
) -> Sent {
    let start = |length: Length, terms: Terms| {
        let mut out = Buf::with_capacity(LARGE_BYTES);
        head(out.vec_mut(), status, fields, JSON, length, terms);
        out
    };
    let known = Length::Known(body.len());
    let (first, second) = halves(body);
    match fault {
        Fault::Reset => {
            let mut out = start(known, terms);
            out.put(first);
            responder.send(out).await?;
            wait(BEFORE_RESET).await;
            responder.reset();
            Ok((End::Drop, false))
        }
        Fault::Stall => pending().await,
        Fault::StallMid => {
            let mut out = start(known, terms);
            out.put(first);
            responder.send(out).await?;
            pending().await
        }
        Fault::Cut => {
            let mut out = start(known, terms);
            out.put(first);
            responder.send(out).await?;
            Ok((End::Drop, false))
        }
        Fault::Garbage => {
            responder.send(buf(GARBAGE)).await?;
            Ok((End::Drop, false))
        }
        Fault::LyingLong => {
            let mut out = start(Length::Known(body.len() + LIE_BYTES), terms);
            out.put(body);
            responder.send(out).await?;
            Ok((terms.end(), false))
        }
        Fault::LyingShort => {
            let mut out = start(Length::Known(first.len()), terms);
            out.put(body);
            responder.send(out).await?;
            Ok((terms.end(), false))
        }
        Fault::Slow => {
            responder.send(start(known, terms)).await?;
            for piece in body.chunks(body.len().div_ceil(SLOW_PIECES).max(1)) {
                wait(SLOW).await;
                responder.send(buf(piece)).await?;
            }
            Ok((terms.end(), true))
        }
        Fault::CloseDelimited => {
            let mut out = start(Length::UntilClose, Terms { keep_alive: false, ..terms });
            out.put(body);
            responder.send(out).await?;
            Ok((End::Linger, true))
        }
        Fault::HugeHead => {
            let mut out = start(known, terms);
            pad_head(Some(fault), out.vec_mut());
            out.put(body);
            responder.send(out).await?;
            Ok((terms.end(), true))
        }
        Fault::Split => {
            let mut out = start(known, terms);
            out.put(body);
            split(responder, &out).await?;
            Ok((terms.end(), true))
        }
        Fault::Chunked => {
            let mut out = start(Length::Chunked, terms);
            for piece in [first, second] {
                chunk(out.vec_mut(), piece);
            }
            out.put(b"0\r\nx-sim-trailer: one\r\nserver-timing: total;dur=1.5\r\n\r\n");
            responder.send(out).await?;
            Ok((terms.end(), true))
        }
        Fault::Interim => {
            responder.send(buf(INTERIM)).await?;
            deliver::whole(responder, status, fields, JSON, body, terms).await
        }
        Fault::CloseAfter => {
            deliver::whole(responder, status, fields, JSON, body, Terms { keep_alive: true, ..terms })
                .await?;
            Ok((End::Drop, true))
        }
        // These change the content, or streams alone.
        Fault::Error(_)
        | Fault::Quota
        | Fault::Context
        | Fault::Burst
        | Fault::NoDone
        | Fault::NoBlank
        | Fault::NoBlankUsage
        | Fault::UsageLastChoice
        | Fault::Comments
        | Fault::StreamError
        | Fault::Echo => deliver::whole(responder, status, fields, JSON, body, terms).await,
    }
}

async fn split(responder: &mut Responder, bytes: &[u8]) -> std::io::Result<()> {
    let mut piece = Buf::with_capacity(SMALL_BYTES);
    for byte in bytes {
        piece.put(&[*byte]);
        piece = responder.send(piece).await?;
    }
    Ok(())
}

/// What a fault does to a stream before its head; `Some` where that is all.
pub(crate) async fn before_head(
    stream: &mut Stream<'_>,
    out: &mut Vec<u8>,
) -> std::io::Result<Option<(End, bool)>> {
    match stream.fault {
        Some(Fault::Stall) => pending().await,
        Some(Fault::Garbage) => {
            stream.responder.send(buf(GARBAGE)).await?;
            Ok(Some((End::Drop, false)))
        }
        Some(Fault::Interim) => {
            out.extend_from_slice(INTERIM);
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Blows up the head that `out` ends with.
pub(crate) fn pad_head(fault: Option<Fault>, out: &mut Vec<u8>) {
    if fault != Some(Fault::HugeHead) {
        return;
    }
    // Behind the last field, before the empty line.
    out.truncate(out.len().saturating_sub(2));
    for at in 0..HUGE_FIELDS {
        out.extend_from_slice(format!("x-padding-{at}: ").as_bytes());
        out.resize(out.len() + HUGE_FIELD_BYTES, b'x');
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// What a fault does halfway through a stream, before the events in `out` are sent; `Some` where it ends there.
pub(crate) async fn midway(stream: &mut Stream<'_>, out: &mut Buf) -> std::io::Result<Option<(End, bool)>> {
    match stream.fault {
        Some(Fault::Reset | Fault::Cut | Fault::StallMid) => {
            let whole = std::mem::take(out);
            let (first, _) = halves(&whole);
            stream.responder.send(buf(first)).await?;
            match stream.fault {
                Some(Fault::StallMid) => pending().await,
                Some(Fault::Reset) => {
                    wait(BEFORE_RESET).await;
                    stream.responder.reset();
                }
                _ => {}
            }
            Ok(Some((End::Drop, false)))
        }
        Some(Fault::LyingLong | Fault::LyingShort) => {
            // A chunk whose announced size is not its own.
            let mut lie = Buf::with_capacity(SMALL_BYTES);
            let data = b"data: {\"choices\":[]}\n\n";
            let longer = stream.fault == Some(Fault::LyingLong);
            chunk_size(lie.vec_mut(), if longer { data.len() + LIE_BYTES } else { data.len() / 2 });
            lie.put(data);
            lie.put(b"\r\n");
            stream.responder.send(lie).await?;
            Ok(None)
        }
        Some(Fault::StreamError) => {
            let whole = std::mem::take(out);
            stream.responder.send(whole).await?;
            let mut last = Buf::with_capacity(SMALL_BYTES);
            let event = stream.error;
            if stream.terms.version == coo_shards::http1::head::Version::Http11 {
                chunk(last.vec_mut(), event);
                last.put(LAST_CHUNK);
            } else {
                last.put(event);
            }
            stream.responder.send(last).await?;
            Ok(Some((stream.terms.end(), false)))
        }
        _ => Ok(None),
    }
}

/// Sends a part of a stream the way its fault wants it.
pub(crate) async fn send(stream: &mut Stream<'_>, mut out: Buf) -> std::io::Result<Buf> {
    match stream.fault {
        Some(Fault::Split) => {
            split(stream.responder, &out).await?;
            out.clear();
            Ok(out)
        }
        Some(Fault::Slow) => {
            let sent = stream.responder.send(out).await?;
            wait(SLOW).await;
            Ok(sent)
        }
        Some(Fault::Comments) => {
            let mut out = stream.responder.send(out).await?;
            // Goes out ahead of the next event, in the same segment.
            chunk(out.vec_mut(), stream.comment);
            Ok(out)
        }
        _ => stream.responder.send(out).await,
    }
}
