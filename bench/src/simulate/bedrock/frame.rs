//! The messages of an event stream (Smithy, "Amazon Event Stream" specification): lengths and their CRC-32, headers,
//! payload, CRC-32 of it all.

/// Appends a message with these headers, which are all of text.
pub(super) fn write(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let length: usize = headers.iter().map(|(name, value)| 4 + name.len() + value.len()).sum();
    let start = out.len();
    for number in [16 + length + payload.len(), length] {
        out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    }
    sum(out, start);
    for (name, value) in headers {
        // The names are ours, and short.
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name.as_bytes());
        out.push(7);
        out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
    sum(out, start);
}

/// Appends an event.
pub(super) fn event(out: &mut Vec<u8>, name: &str, payload: &[u8]) {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    write(out, &headers, payload);
}

/// Appends the CRC-32 of what stands from `start` on.
fn sum(out: &mut Vec<u8>, start: usize) {
    let mut sum = u32::MAX;
    for byte in out.get(start..).unwrap_or_default() {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { 0xEDB8_8320 ^ (sum >> 1) } else { sum >> 1 };
        }
    }
    out.extend_from_slice(&(!sum).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_specification() {
        let mut out = Vec::new();
        write(&mut out, &[], b"{'foo':'bar'}");
        assert_eq!(out, b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36");
    }
}
