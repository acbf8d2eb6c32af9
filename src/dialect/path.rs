//! Names from outside in the path of a request.
//!
//! Source: RFC 3986, section 3.3 (`pchar`) and section 2.3 (unreserved characters).

/// A name as one segment of a path: whatever stands in it, it neither ends the segment nor the path nor the line.
#[must_use]
pub fn segment(name: &str) -> String {
    encoded(name, b"-._~@")
}

/// A name of several segments, such as `tunedModels/mine`.
#[must_use]
pub fn segments(name: &str) -> String {
    encoded(name, b"-._~@/")
}

fn encoded(name: &str, kept: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |bits: u8| DIGITS.get(usize::from(bits & 15)).copied().unwrap_or('0');
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_is_encoded() {
        for (name, as_segment, as_segments) in [
            ("gpt-4o_1.5~x", "gpt-4o_1.5~x", "gpt-4o_1.5~x"),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929"),
            ("a/b", "a%2Fb", "a/b"),
            ("a b?c#d:e%", "a%20b%3Fc%23d%3Ae%25", "a%20b%3Fc%23d%3Ae%25"),
            ("a\r\nx: y", "a%0D%0Ax%3A%20y", "a%0D%0Ax%3A%20y"),
            ("größe", "gr%C3%B6%C3%9Fe", "gr%C3%B6%C3%9Fe"),
        ] {
            assert_eq!((segment(name), segments(name)), (as_segment.into(), as_segments.into()));
        }
    }
}
