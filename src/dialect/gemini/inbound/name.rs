//! Names of members, which protocol buffers take in two forms.
//!
//! Source: the ProtoJSON guide of Protocol Buffers: parsers take both the name in lowerCamelCase and the original one.

use std::borrow::Cow;

/// A name in the form that the reference uses: `maxOutputTokens` of `max_output_tokens`. One that begins with an
/// underscore keeps it.
pub(super) fn camel(name: Cow<'_, str>) -> Cow<'_, str> {
    if !name.chars().skip(1).any(|char| char == '_') {
        return name;
    }
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for (at, char) in name.char_indices() {
        if char == '_' && at > 0 {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.push(char.to_ascii_uppercase());
        } else {
            out.push(char);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_one() {
        for (name, wanted) in [
            ("max_output_tokens", "maxOutputTokens"),
            ("maxOutputTokens", "maxOutputTokens"),
            ("_responseJsonSchema", "_responseJsonSchema"),
            ("top_p", "topP"),
            ("é_a", "éA"),
            ("_", "_"),
            ("a_", "a"),
            ("", ""),
        ] {
            assert_eq!(camel(name.into()), wanted);
        }
    }
}
