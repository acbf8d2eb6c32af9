//! [`Secret`]: text that is never printed by accident.

use std::fmt;

/// Characters of a secret shown at its start.
const SHOWN_START: usize = 3;
/// Characters of a secret shown at its end.
const SHOWN_END: usize = 4;
/// Shorter secrets show nothing: seven characters of fewer than sixteen would give too much away.
const SHOWN_FROM: usize = 16;

/// An API key, password or other value that must not reach a log.
///
/// `Debug` and `Display` print [`masked`](Secret::masked); the value itself takes a deliberate
/// [`expose`](Secret::expose). Comparison is not constant-time: compare hashes on the request path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Takes ownership of a secret value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends or checks it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown: `sk-...9f2c`, or `***` when the secret is shorter than 16 characters.
    pub fn masked(&self) -> String {
        let count = self.0.chars().count();
        if count < SHOWN_FROM {
            return "***".to_owned();
        }
        let start: String = self.0.chars().take(SHOWN_START).collect();
        let end: String = self.0.chars().skip(count - SHOWN_END).collect();
        format!("{start}...{end}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.masked())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_all_but_the_ends() {
        for (value, shown) in [
            ("", "***"),
            ("short", "***"),
            ("fifteen-chars-x", "***"),
            ("sixteen-chars-xy", "six...s-xy"),
            ("sk-proj-0123456789abcdef9f2c", "sk-...9f2c"),
            ("ключключключключ", "клю...ключ"),
        ] {
            let secret = Secret::new(value);
            assert_eq!(secret.masked(), shown);
            assert_eq!(secret.to_string(), shown);
            assert_eq!(format!("{secret:?}"), format!("Secret({shown})"));
            assert_eq!(secret.expose(), value);
        }
    }
}
