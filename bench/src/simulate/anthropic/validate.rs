//! Reading parameters with Anthropic's complaints about what is missing, unknown or of a wrong type. They name the
//! path: `messages.0.content: Field required`.

use serde_json::{Map, Value};

use super::ApiError;

/// A request's fields.
pub(super) type Fields = Map<String, Value>;

/// The body as a JSON object.
pub(super) fn body(body: &[u8]) -> Result<Fields, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ApiError::invalid("Input should be an object")),
        Err(error) => Err(ApiError::invalid(format!("The request body is not valid JSON: {error}"))),
    }
}

/// `path.name`, or `name` at the top.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Refuses fields that Anthropic does not know.
pub(super) fn only(fields: &Fields, path: &str, known: &[&str]) -> Result<(), ApiError> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(ApiError::at(&join(path, name), "Extra inputs are not permitted")),
        None => Ok(()),
    }
}

/// A field that is there and not null.
pub(super) fn present<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// A field that must be there.
pub(super) fn required<'a>(fields: &'a Fields, path: &str, name: &str) -> Result<&'a Value, ApiError> {
    fields.get(name).ok_or_else(|| ApiError::at(&join(path, name), "Field required"))
}

pub(super) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Fields, ApiError> {
    value.as_object().ok_or_else(|| ApiError::at(path, "Input should be a valid dictionary"))
}

pub(super) fn list<'a>(value: &'a Value, path: &str) -> Result<&'a [Value], ApiError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| ApiError::at(path, "Input should be a valid list"))
}

pub(super) fn string<'a>(value: &'a Value, path: &str) -> Result<&'a str, ApiError> {
    value.as_str().ok_or_else(|| ApiError::at(path, "Input should be a valid string"))
}

/// A string field that must be there.
pub(super) fn text<'a>(fields: &'a Fields, path: &str, name: &str) -> Result<&'a str, ApiError> {
    string(required(fields, path, name)?, &join(path, name))
}

pub(super) fn boolean(fields: &Fields, path: &str, name: &str) -> Result<Option<bool>, ApiError> {
    match present(fields, name) {
        None => Ok(None),
        Some(value) => match value.as_bool() {
            Some(value) => Ok(Some(value)),
            None => Err(ApiError::at(&join(path, name), "Input should be a valid boolean")),
        },
    }
}

/// An integer of at least `least`.
pub(super) fn integer(value: &Value, path: &str, least: i64) -> Result<u64, ApiError> {
    let Some(n) = value.as_i64() else { return Err(ApiError::at(path, "Input should be a valid integer")) };
    match u64::try_from(n) {
        Ok(whole) if n >= least => Ok(whole),
        _ => Err(ApiError::at(path, &format!("Input should be greater than or equal to {least}"))),
    }
}

/// A number from 0 to 1.
pub(super) fn share(fields: &Fields, name: &str) -> Result<Option<f64>, ApiError> {
    let Some(value) = present(fields, name) else { return Ok(None) };
    match value.as_f64() {
        None => Err(ApiError::at(name, "Input should be a valid number")),
        Some(n) if (0.0..=1.0).contains(&n) => Ok(Some(n)),
        Some(_) => Err(ApiError::at(name, "range: 0..1")),
    }
}

/// One of the names in `known`.
pub(super) fn one_of<'a>(value: &'a Value, path: &str, known: &[&str]) -> Result<&'a str, ApiError> {
    if let Some(name) = value.as_str().filter(|name| known.contains(name)) {
        return Ok(name);
    }
    let quoted: Vec<String> = known.iter().map(|name| format!("'{name}'")).collect();
    let expected = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    Err(ApiError::at(path, &format!("Input should be {expected}")))
}
