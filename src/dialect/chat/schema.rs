//! JSON Schemas of answers and of functions' arguments, for dialects that want more within them than OpenAI's.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Losses, Refused, Tool};
use crate::dialect::json::write_string;

/// `schema` with what OpenAI's clients say beside it: its `description` goes to where JSON Schema has a place for it
/// (Draft 2020-12, validation, section 9.1), unless it has one.
#[must_use]
pub fn described<'a>(schema: &'a RawValue, description: Option<&str>) -> Cow<'a, str> {
    let members = schema.get().trim_start().strip_prefix('{');
    let (Some(description), Some(members)) = (description, members) else { return schema.get().into() };
    if describes_itself(schema) {
        return schema.get().into();
    }
    let mut out = Vec::with_capacity(schema.get().len() + description.len() + 20);
    out.extend_from_slice(b"{\"description\":");
    write_string(&mut out, description);
    write_rest(members, &mut out);
    String::from_utf8(out).map_or_else(|_| schema.get().into(), Cow::Owned)
}

fn describes_itself(schema: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Described {
        description: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Described>(schema.get()).is_ok_and(|schema| schema.description.is_some())
}

/// Ends an object that has a member already with those of another, whose text behind its bracket this is.
fn write_rest(members: &str, out: &mut Vec<u8>) {
    if !members.trim_start().starts_with('}') {
        out.push(b',');
    }
    out.extend_from_slice(members.as_bytes());
}

/// Appends the schema of a function's arguments, which always says that it is of an object: of one that takes nothing
/// too.
///
/// # Errors
/// Where it is no schema of an object.
pub fn write_parameters(at: usize, tool: &Tool<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    let schema = tool.parameters.as_deref().map_or("null", RawValue::get).trim();
    if schema == "null" {
        out.extend_from_slice(b"{\"type\":\"object\",\"properties\":{}}");
    } else {
        let Ok(read) = serde_json::from_str::<Schema<'_>>(schema) else {
            return Losses::refuse(
                format!("tools[{at}].function.parameters"),
                "The parameters of a function must be a JSON Schema of an object.",
            );
        };
        match (read.kind, schema.strip_prefix('{')) {
            // OpenAI takes a schema that does not say it is of an object, others do not.
            (None, Some(members)) => {
                out.extend_from_slice(b"{\"type\":\"object\"");
                write_rest(members, out);
            }
            _ => out.extend_from_slice(schema.as_bytes()),
        }
    }
    Ok(())
}

/// What has to be known of a schema.
#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_description_goes_into_the_schema_that_has_none() {
        for (schema, description, wanted) in [
            (r#"{"type":"object"}"#, Some("a \"b\""), r#"{"description":"a \"b\"","type":"object"}"#),
            (r#" { } "#, Some("d"), r#"{"description":"d" }"#),
            (r#"{"description":"own"}"#, Some("d"), r#"{"description":"own"}"#),
            (r#"{"type":"object"}"#, None, r#"{"type":"object"}"#),
            ("true", Some("d"), "true"),
        ] {
            let schema: Box<RawValue> = serde_json::from_str(schema).unwrap();
            let got = described(&schema, description);
            assert_eq!(got.trim_end(), wanted);
            serde_json::from_str::<serde_json::Value>(&got).unwrap();
        }
    }
}
