//! Names in the path of a request.

use std::borrow::Cow;

/// `name` as a part of a path, slashes kept: whatever else is not plain is written as `%XX` (RFC 3986 sections 2.1 and
/// 3.3). Names of models come from clients, and a space or a line end must not end the request's line.
#[must_use]
pub fn escaped(name: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@!$'()*+,;=".contains(&byte);
    if name.bytes().all(plain) {
        return name.into();
    }
    let mut out = String::with_capacity(name.len() + 16);
    for byte in name.bytes() {
        match plain(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_line() {
        for (name, wanted) in [
            ("gemini-2.5-flash", "gemini-2.5-flash"),
            ("tunedModels/mine:1@2", "tunedModels/mine:1@2"),
            ("a b", "a%20b"),
            ("x HTTP/1.1\r\nhost: y\r\n\r\n", "x%20HTTP/1.1%0D%0Ahost:%20y%0D%0A%0D%0A"),
            ("a?b#c%", "a%3Fb%23c%25"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(escaped(name), wanted);
        }
        assert!(matches!(escaped("gpt"), Cow::Borrowed(_)));
    }
}
