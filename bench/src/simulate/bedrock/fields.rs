//! Reading parameters with Bedrock's complaints about them.

use serde_json::{Map, Value};

use super::errors::ApiError;

/// An object's members.
pub(super) type Fields = Map<String, Value>;

/// The body as a JSON object.
pub(super) fn body(body: &[u8]) -> Result<Fields, ApiError> {
    serde_json::from_slice(body)
        .map_err(|_| ApiError::new(400, "SerializationException", "Unexpected input."))
}

/// Refuses members that Bedrock does not know.
pub(super) fn only(fields: &Fields, path: &str, known: &[&str]) -> Result<(), ApiError> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(malformed(path, &format!("extraneous key [{name}] is not permitted"))),
        None => Ok(()),
    }
}

/// The only member of an object of which just one may be there.
pub(super) fn union<'a>(
    value: &'a Value,
    path: &str,
    known: &[&str],
) -> Result<(&'a str, &'a Value), ApiError> {
    let fields = object(value, path)?;
    only(fields, path, known)?;
    match fields.iter().next() {
        Some((name, value)) if fields.len() == 1 => Ok((name, value)),
        _ => Err(malformed(path, "one member must be there")),
    }
}

pub(super) fn malformed(path: &str, what: &str) -> ApiError {
    ApiError::invalid(format!(
        "Malformed input request: #/{}: {what}, please reformat your input and try again.",
        path.replace('.', "/")
    ))
}

/// A member that is there and not null.
pub(super) fn present<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

pub(super) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Fields, ApiError> {
    value.as_object().ok_or_else(|| malformed(path, "expected type: JSONObject"))
}

/// A list that may be absent.
pub(super) fn list<'a>(fields: &'a Fields, path: &str, name: &str) -> Result<&'a [Value], ApiError> {
    match present(fields, name) {
        None => Ok(&[]),
        Some(Value::Array(all)) => Ok(all),
        Some(_) => Err(malformed(&format!("{path}.{name}"), "expected type: JSONArray")),
    }
}

/// A text that must be there, and not be empty.
pub(super) fn text<'a>(fields: &'a Fields, path: &str, name: &str) -> Result<&'a str, ApiError> {
    let value = present(fields, name).and_then(Value::as_str).filter(|text| !text.is_empty());
    value.ok_or_else(|| malformed(path, &format!("required key [{name}] not found")))
}

/// A number within a range.
pub(super) fn number(
    fields: &Fields,
    path: &str,
    name: &str,
    (low, high): (f64, f64),
) -> Result<Option<f64>, ApiError> {
    let Some(value) = present(fields, name) else { return Ok(None) };
    match value.as_f64() {
        Some(n) if (low..=high).contains(&n) => Ok(Some(n)),
        Some(n) => Err(ApiError::invalid(format!(
            "The value {n} at {path}.{name} failed to satisfy constraint: Member must be between {low} and {high}."
        ))),
        None => Err(malformed(&format!("{path}.{name}"), "expected type: Number")),
    }
}
