//! Reading parameters with Cohere's complaints about them.

use serde_json::{Map, Value};

use super::ApiError;

/// A request's fields.
pub(super) type Fields = Map<String, Value>;

/// The body as a JSON object of known fields.
pub(super) fn body(body: &[u8], known: &[&str]) -> Result<Fields, ApiError> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err(ApiError::invalid("invalid request: could not parse the JSON of the request's body"));
    };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(ApiError::field(format!("unknown field: parameter '{name}' is not a valid field"))),
        None => Ok(fields),
    }
}

/// A field that is there and not null.
pub(super) fn present<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

pub(super) fn wrong(name: &str, expected: &str) -> ApiError {
    ApiError::field(format!("invalid type: parameter '{name}' is of the wrong type; it should be {expected}"))
}

/// A text that must be there.
pub(super) fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, ApiError> {
    match present(fields, name) {
        None => Err(ApiError::invalid(format!("invalid request: {name} is a required parameter"))),
        Some(value) => value.as_str().ok_or_else(|| wrong(name, "a string")),
    }
}

pub(super) fn list<'a>(fields: &'a Fields, name: &str) -> Result<&'a [Value], ApiError> {
    match present(fields, name) {
        None => Ok(&[]),
        Some(Value::Array(all)) => Ok(all),
        Some(_) => Err(wrong(name, "a list")),
    }
}

pub(super) fn boolean(fields: &Fields, name: &str) -> Result<Option<bool>, ApiError> {
    match present(fields, name) {
        None => Ok(None),
        Some(value) => value.as_bool().map(Some).ok_or_else(|| wrong(name, "a boolean")),
    }
}

/// An integer within a range.
pub(super) fn integer(fields: &Fields, name: &str, low: i64, high: i64) -> Result<Option<i64>, ApiError> {
    let Some(value) = present(fields, name) else { return Ok(None) };
    match value.as_i64() {
        None => Err(wrong(name, "an integer")),
        Some(n) if (low..=high).contains(&n) => Ok(Some(n)),
        Some(n) => Err(range(name, low, high, n)),
    }
}

/// A number within a range.
pub(super) fn number(fields: &Fields, name: &str, low: f64, high: f64) -> Result<(), ApiError> {
    let Some(value) = present(fields, name) else { return Ok(()) };
    match value.as_f64() {
        None => Err(wrong(name, "a number")),
        Some(n) if (low..=high).contains(&n) => Ok(()),
        Some(n) => Err(range(name, low, high, n)),
    }
}

fn range<T: std::fmt::Display>(name: &str, low: T, high: T, n: T) -> ApiError {
    ApiError::invalid(format!("invalid request: {name} must be between {low} and {high} inclusive, got {n}"))
}
