//! Names from outside in the path of a request.
//!
//! Source: RFC 3986, section 3.3 (`pchar`) and section 2.3 (unreserved characters).

use std::fmt::Write;

/// A name as one segment of a path: whatever stands in it, it neither ends the segment nor the path nor the line.
#[must_use]
pub fn segment(name: &str) -> String {
    strict(name, b"@")
}

/// A name of several segments, such as `tunedModels/mine`.
#[must_use]
pub fn segments(name: &str) -> String {
    strict(name, b"@/")
}

/// A name in which only unreserved characters stand for themselves, and those in `kept`: as AWS's SDKs have it, which
/// escape an `@`.
#[must_use]
pub fn strict(name: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // A string takes all that is written.
            let _ = write!(out, "%{byte:02X}");
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
