//! Gemini's schemas as JSON Schema.
//!
//! Source: Gemini API reference, "Caching" (`Schema`: "a select subset of an OpenAPI 3.0 schema object"), whose types
//! are in upper case and whose 64-bit numbers may be texts; OpenAPI 3.0, `nullable`; JSON Schema, Draft 2020-12.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::name::camel;
use crate::dialect::chat::request::Schema;
use crate::dialect::chat::{Refused, fields};
use crate::dialect::gemini::write::{Array, Object};

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// What a function is called with.
    Arguments,
    /// What the model answers: it writes no other properties than those that are named, which others must be told.
    Answer,
}

/// The schema that says the same. What has no counterpart, the order in which properties are to be written
/// (`propertyOrdering`), is left out: others go by the order in which they stand.
///
/// # Errors
/// Where it is no schema.
pub(super) fn json_schema<'a>(schema: &RawValue, of: Of) -> Result<Schema<'a>, Refused> {
    let mut out = Vec::with_capacity(schema.get().len());
    write(schema, of, &mut out)?;
    let text = String::from_utf8(out).unwrap_or_default();
    RawValue::from_string(text)
        .map(Cow::Owned)
        .map_err(|_| Refused { param: "schema".into(), message: "A schema is not as it must be.".into() })
}

fn write(schema: &RawValue, of: Of, out: &mut Vec<u8>) -> Result<(), Refused> {
    if !schema.get().starts_with('{') {
        // JSON Schema has `true` and `false`; all else is for the provider to refuse.
        out.extend_from_slice(schema.get().as_bytes());
        return Ok(());
    }
    let members = fields::members(schema.get().as_bytes())?;
    let nullable = members.iter().any(|(name, value)| name == "nullable" && value.get() == "true");
    let has = |wanted: &str| members.iter().any(|(name, _)| camel((&**name).into()) == wanted);
    let has_type = has("type");
    let is_closed = of == Of::Answer && has("properties") && !has("additionalProperties");
    let mut object = Object::begin(out);
    for (name, value) in members {
        let name = camel(name);
        match &*name {
            "nullable" | "propertyOrdering" => {}
            "type" => write_type(value, nullable, &mut object)?,
            // "enum" says only that there is a list of them.
            "format" if value.get() == "\"enum\"" => {}
            "enum" if nullable => with_null(value, "null", None, object.key("enum"))?,
            "anyOf" => {
                let null = if nullable && !has_type { "{\"type\":\"null\"}" } else { "" };
                with_null(value, null, Some(of), object.key("anyOf"))?;
            }
            "items" => write(value, of, object.key("items"))?,
            "additionalProperties" => write(value, of, object.key("additionalProperties"))?,
            "properties" => write_named(value, of, object.key("properties"))?,
            "defs" | "$defs" => write_named(value, of, object.key("$defs"))?,
            "ref" => object.raw("$ref", value.get()),
            "example" => {
                let mut examples = Array::begin(object.key("examples"));
                examples.element().extend_from_slice(value.get().as_bytes());
                examples.end();
            }
            "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength" => {
                object.raw(&name, value.get().trim_matches('"'));
            }
            _ => object.escaped_key(&name).extend_from_slice(value.get().as_bytes()),
        }
    }
    if is_closed {
        object.raw("additionalProperties", "false");
    }
    object.end();
    Ok(())
}

/// The type in lower case; with `null` where that is allowed too.
fn write_type(value: &RawValue, nullable: bool, object: &mut Object<'_>) -> Result<(), Refused> {
    let Ok(fields::Str(kind)) = serde_json::from_str::<fields::Str<'_>>(value.get()) else {
        object.raw("type", value.get());
        return Ok(());
    };
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        "type_unspecified" => {}
        kind if nullable => object.value("type", Some([kind, "null"])),
        kind => object.text("type", kind),
    }
    Ok(())
}

/// A list, of schemas or as it is, with one more element where there is one.
fn with_null(list: &RawValue, null: &str, schemas: Option<Of>, out: &mut Vec<u8>) -> Result<(), Refused> {
    let elements: Vec<&RawValue> = fields::value("schema", list)?;
    let mut array = Array::begin(out);
    for element in elements {
        match schemas {
            Some(of) => write(element, of, array.element())?,
            None => array.element().extend_from_slice(element.get().as_bytes()),
        }
    }
    if !null.is_empty() {
        array.element().extend_from_slice(null.as_bytes());
    }
    array.end();
    Ok(())
}

/// An object of schemas by names that are not ours.
fn write_named(named: &RawValue, of: Of, out: &mut Vec<u8>) -> Result<(), Refused> {
    let mut object = Object::begin(out);
    for (name, schema) in fields::members(named.get().as_bytes())? {
        write(schema, of, object.escaped_key(&name))?;
    }
    object.end();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openapi_becomes_json_schema() {
        for (schema, wanted) in [
            (
                r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","format":"enum","enum":["A","b"]},"n_1":{"type":"INTEGER","format":"int64"}},"required":["type"],"propertyOrdering":["type"]}"#,
                r#"{"type":"object","properties":{"type":{"type":"string","enum":["A","b"]},"n_1":{"type":"integer","format":"int64"}},"required":["type"]}"#,
            ),
            (
                r#"{"type":"ARRAY","minItems":"1","max_items":3,"items":{"type":"NUMBER","nullable":true}}"#,
                r#"{"type":"array","minItems":1,"maxItems":3,"items":{"type":["number","null"]}}"#,
            ),
            (
                r#"{"nullable":true,"any_of":[{"type":"STRING"},{"type":"BOOLEAN","nullable":false}]}"#,
                r#"{"anyOf":[{"type":"string"},{"type":"boolean"},{"type":"null"}]}"#,
            ),
            (
                r#"{"type":"STRING","nullable":true,"enum":["a"],"example":"a"}"#,
                r#"{"type":["string","null"],"enum":["a",null],"examples":["a"]}"#,
            ),
            // JSON Schema already.
            (
                r#"{"type":["string","null"],"additionalProperties":false,"$ref":"x"}"#,
                r#"{"type":["string","null"],"additionalProperties":false,"$ref":"x"}"#,
            ),
            (r#"{"type":"TYPE_UNSPECIFIED"}"#, "{}"),
            ("true", "true"),
        ] {
            let raw: &RawValue = serde_json::from_str(schema).unwrap();
            assert_eq!(json_schema(raw, Of::Arguments).unwrap().get(), wanted, "{schema}");
        }
        let open = r#"{"type":"OBJECT","properties":{"a":{"type":"OBJECT"}}}"#;
        let raw: &RawValue = serde_json::from_str(open).unwrap();
        assert_eq!(
            json_schema(raw, Of::Answer).unwrap().get(),
            r#"{"type":"object","properties":{"a":{"type":"object"}},"additionalProperties":false}"#
        );
        for broken in [r#"{"properties":[]}"#, r#"{"anyOf":1}"#, r#"{"minItems":"x"}"#] {
            let raw: &RawValue = serde_json::from_str(broken).unwrap();
            assert!(json_schema(raw, Of::Answer).is_err(), "{broken}");
        }
    }
}
