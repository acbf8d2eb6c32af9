//! JSON written member by member.

use serde::Serialize;

use crate::dialect::json;

/// An object that is being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    /// Begins an object at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Writes a name; its value is to follow. `name` needs no escaping.
    pub fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// The same of a name that may need escaping.
    pub fn escaped_key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        json::write_string(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// Writes a text.
    pub fn text(&mut self, name: &str, text: &str) {
        json::write_string(self.key(name), text);
    }

    /// Writes JSON as it is.
    pub fn raw(&mut self, name: &str, raw: &str) {
        self.key(name).extend_from_slice(raw.as_bytes());
    }

    /// Writes a number or another plain value, if there is one.
    pub fn value<T: Serialize>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            plain(self.key(name), &value);
        }
    }

    /// Ends the object.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// An array that is being written.
pub(super) struct Array<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Array<'o> {
    /// Begins an array at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, empty: true }
    }

    /// The place of the next element.
    pub fn element(&mut self) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out
    }

    /// The place after what was written last, while its element is still open.
    pub fn inside(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Ends the array.
    pub fn end(self) {
        self.out.push(b']');
    }
}

/// Appends a value whose serialization cannot fail: numbers, booleans, texts and lists of them.
pub(super) fn plain<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}
