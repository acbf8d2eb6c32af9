//! Finding a member without parsing what is around it.

use std::iter;

use memchr::memmem;

use super::skip_space;

/// Finds the member `"name":` in JSON text, at any depth and without parsing.
///
/// Why a byte search is enough. Let the text be valid JSON and let the bytes
/// `"name"`, where the name needs no escape, stand in it, not after a backslash
/// and followed by white space and a colon.
/// - The second quote follows a letter, so no backslash escapes it: it begins or
///   ends a string.
/// - The first quote follows no backslash, so it too begins or ends a string.
/// - The first cannot end one, since a letter may not follow a string; so it
///   begins one, which the second ends: its contents are exactly the name.
/// - A string before a colon is a member's name; a string *value* is followed by
///   `,`, `]`, `}` or the end.
///
/// So text that a model wrote can never match: its quotes are escaped. A quote
/// after a backslash is always an escaped one: a string that ends in an escaped
/// backslash (`"\\"`) cannot be followed by a letter.
#[derive(Debug)]
pub struct MemberFinder {
    quoted_name: &'static [u8],
    finder: memmem::Finder<'static>,
}

impl MemberFinder {
    /// A finder for a name given with its quotes, as in `"\"usage\""`.
    pub fn new(quoted_name: &'static str) -> Self {
        let quoted_name = quoted_name.as_bytes();
        MemberFinder { quoted_name, finder: memmem::Finder::new(quoted_name) }
    }

    /// The name with its quotes.
    pub fn quoted_name(&self) -> &'static [u8] {
        self.quoted_name
    }

    /// Offset of the next occurrence of the quoted name, whatever is around it.
    pub fn find_name(&self, text: &[u8]) -> Option<usize> {
        self.finder.find(text)
    }

    /// For each such member in order, the text from its value on.
    pub fn values<'f, 't: 'f>(&'f self, mut text: &'t [u8]) -> impl Iterator<Item = &'t [u8]> + 'f {
        iter::from_fn(move || {
            loop {
                let (before, found) = text.split_at_checked(self.finder.find(text)?)?;
                text = found.get(self.quoted_name.len()..)?;
                if before.last() != Some(&b'\\')
                    && let [b':', value @ ..] = skip_space(text)
                {
                    return Some(skip_space(value));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::json::validate;

    #[test]
    fn member_names_are_not_found_in_strings() {
        let finder = MemberFinder::new("\"usage\"");
        let count = |text: &str| {
            validate(text.as_bytes()).unwrap();
            finder.values(text.as_bytes()).count()
        };
        assert_eq!(count(r#"{"usage" : {}, "a": {"usage":1}}"#), 2);
        assert_eq!(count(r#"{"a":"\"usage\":{"}"#), 0);
        assert_eq!(count(r#"{"a":"x \"usage", "b":1}"#), 0);
        // A member whose name ends like ours.
        assert_eq!(count(r#"{"x\"usage":{}}"#), 0);
        // A value that is our name, after an escaped backslash or not.
        assert_eq!(count(r#"{"a\\":"usage","b":{}}"#), 0);
        assert_eq!(count(r#"["usage",{"b":"usage"},"usage"]"#), 0);
        assert_eq!(count(r#"["\\",{"usage":{}}]"#), 1);
    }
}
