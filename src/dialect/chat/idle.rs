//! Members of one dialect's requests that mean nothing in another where they have certain values: they need not be
//! told as left out.

/// Members with the values that say nothing; all values where none are named.
pub type Idle = [(&'static str, &'static [&'static str])];

/// What says nothing to any provider that answers a request by itself and keeps nothing.
pub const IDLE: &Idle = &[
    ("store", &["false"]),
    ("stream_options", &[]),
    ("service_tier", &["\"auto\""]),
    ("modalities", &["[\"text\"]"]),
    ("logit_bias", &["{}"]),
    ("metadata", &["{}"]),
];

/// Whether a member says nothing: it is null, or one of `idle`.
#[must_use]
pub fn is_idle(idle: &Idle, member: &str, value: &str) -> bool {
    value == "null"
        || idle.iter().any(|(known, values)| {
            *known == member && (values.is_empty() || values.iter().any(|idle| same(value, idle)))
        })
}

/// Whether two JSON texts are the same but for spaces; for texts without spaces in their strings.
fn same(left: &str, right: &str) -> bool {
    let seen = |c: &char| !c.is_ascii_whitespace();
    left.chars().filter(seen).eq(right.chars().filter(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_values_say_nothing() {
        for (member, value, idle) in [
            ("store", "false", true),
            ("store", "true", false),
            ("stream_options", "{\"include_usage\":true}", true),
            ("modalities", "[ \"text\" ]", true),
            ("modalities", "[\"text\",\"audio\"]", false),
            ("user", "null", true),
            ("seed", "1", false),
        ] {
            assert_eq!(is_idle(IDLE, member, value), idle, "{member} {value}");
        }
    }
}
