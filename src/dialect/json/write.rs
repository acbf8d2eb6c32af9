//! JSON written piece by piece.

use std::fmt::Display;
use std::io::Write;

use super::write_string;

/// A comma where something stands before in the same object or array. No value ends in an opening bracket.
pub fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[')) {
        out.push(b',');
    }
}

/// The name of a member; its value is to follow. Names are ours and need no escaping.
pub fn name(out: &mut Vec<u8>, name: &str) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A member that is a string.
pub fn string(out: &mut Vec<u8>, member: &str, text: &str) {
    name(out, member);
    write_string(out, text);
}

/// A member that is a list of strings.
pub fn strings<S: AsRef<str>>(out: &mut Vec<u8>, member: &str, texts: impl IntoIterator<Item = S>) {
    name(out, member);
    out.push(b'[');
    for text in texts {
        comma(out);
        write_string(out, text.as_ref());
    }
    out.push(b']');
}

/// A member that is a number, or `true` or `false`.
pub fn plain(out: &mut Vec<u8>, member: &str, value: impl Display) {
    name(out, member);
    // A vector takes all that is written.
    let _ = write!(out, "{value}");
}

/// A member that is JSON already.
pub fn raw(out: &mut Vec<u8>, member: &str, json: &str) {
    name(out, member);
    out.extend_from_slice(json.as_bytes());
}

/// The start of an object with its `type`, in an array.
pub fn open(out: &mut Vec<u8>, kind: &str) {
    comma(out);
    out.push(b'{');
    string(out, "type", kind);
}
