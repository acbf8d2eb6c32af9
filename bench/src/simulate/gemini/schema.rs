//! Google's own kind of schema (https://ai.google.dev/api/caching#Schema), a part of OpenAPI's: what it does not
//! have is refused, and it becomes a JSON schema for a value to be made from.

use serde_json::{Value, json};

use super::{
    ApiError,
    proto::{self, Fields, join},
};

const KNOWN: &[&str] = &[
    "anyOf",
    "default",
    "description",
    "enum",
    "example",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "propertyOrdering",
    "required",
    "title",
    "type",
];
const TYPES: &[&str] = &["array", "boolean", "integer", "null", "number", "object", "string"];

/// The JSON schema that `schema`, which stands at `path`, says in Google's words.
pub(super) fn read(schema: &Value, path: &str) -> Result<Value, ApiError> {
    let fields = proto::message(schema, path, "Schema")?;
    proto::only(fields, path, KNOWN)?;
    let mut out = Fields::new();
    for name in
        ["enum", "format", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "required"]
    {
        if let Some(value) = proto::get(fields, name) {
            out.insert(name.to_owned(), number_of(value));
        }
    }
    match proto::get(fields, "type") {
        None => {}
        Some(Value::String(name)) if TYPES.contains(&name.to_ascii_lowercase().as_str()) => {
            out.insert("type".into(), name.to_ascii_lowercase().into());
        }
        Some(Value::Array(_)) => {
            let message = format!(
                "Invalid JSON payload received. Unknown name \"type\" at '{path}': Proto field is not repeating, cannot start list."
            );
            return Err(ApiError::payload(path, message));
        }
        Some(other) => {
            let kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.Type";
            let path = join(path, "type");
            return Err(ApiError::payload(&path, format!("Invalid value at '{path}' ({kind}), {other}")));
        }
    }
    if let Some(items) = proto::get(fields, "items") {
        out.insert("items".into(), read(items, &join(path, "items"))?);
    }
    if let Some(properties) = proto::get(fields, "properties") {
        let path = join(path, "properties");
        let mut all = Fields::new();
        for (at, (name, property)) in proto::structure(properties, &path)?.iter().enumerate() {
            all.insert(name.clone(), read(property, &format!("{path}[{at}].value"))?);
        }
        out.insert("properties".into(), Value::Object(all));
    }
    let mut options = Vec::new();
    for (at, option) in proto::list(fields, "anyOf").iter().enumerate() {
        options.push(read(option, &format!("{path}.any_of[{at}]"))?);
    }
    if !options.is_empty() {
        out.insert("anyOf".into(), Value::Array(options));
    }
    if proto::boolean(fields, path, "nullable")? {
        return Ok(json!({"anyOf": [out, {"type": "null"}]}));
    }
    Ok(Value::Object(out))
}

/// Numbers of 64 bits are written as strings.
fn number_of(value: &Value) -> Value {
    match value.as_str().map(str::parse::<u64>) {
        Some(Ok(n)) => n.into(),
        _ => value.clone(),
    }
}
