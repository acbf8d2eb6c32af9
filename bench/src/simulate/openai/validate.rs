//! Reading parameters with OpenAI's complaints about their types and ranges.

use serde_json::{Map, Value};

use super::ApiError;

/// A request's fields.
pub(super) type Fields = Map<String, Value>;

/// The body as a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Fields, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(ApiError::not_json()),
    }
}

/// The name of a value's type, with its article.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

pub(super) fn wrong_type(param: &str, expected: &str, got: &Value) -> ApiError {
    let message =
        format!("Invalid type for '{param}': expected {expected}, but got {} instead.", type_name(got));
    ApiError::param(param, "invalid_type", message)
}

/// A field that is there and not null.
pub(super) fn present<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

pub(super) fn model(fields: &Fields) -> Result<&str, ApiError> {
    match fields.get("model") {
        None | Some(Value::Null) => Err(ApiError::invalid("you must provide a model parameter")),
        Some(Value::String(name)) if name.is_empty() => {
            Err(ApiError::invalid("you must provide a model parameter"))
        }
        Some(Value::String(name)) => Ok(name),
        Some(other) => Err(wrong_type("model", "a string", other)),
    }
}

pub(super) fn boolean(fields: &Fields, name: &str) -> Result<Option<bool>, ApiError> {
    match present(fields, name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(wrong_type(name, "a boolean", other)),
    }
}

pub(super) fn integer(fields: &Fields, name: &str, min: i64, max: i64) -> Result<Option<i64>, ApiError> {
    let Some(value) = present(fields, name) else { return Ok(None) };
    let Some(n) = value.as_i64() else { return Err(wrong_type(name, "an integer", value)) };
    let (bound, code, side) = if n < min {
        (min, "integer_below_min_value", "below minimum value. Expected a value >=")
    } else if n > max {
        (max, "integer_above_max_value", "above maximum value. Expected a value <=")
    } else {
        return Ok(Some(n));
    };
    Err(ApiError::param(
        name,
        code,
        format!("Invalid '{name}': integer {side} {bound}, but got {n} instead."),
    ))
}

pub(super) fn decimal(fields: &Fields, name: &str, min: f64, max: f64) -> Result<(), ApiError> {
    let Some(value) = present(fields, name) else { return Ok(()) };
    let Some(n) = value.as_f64() else { return Err(wrong_type(name, "a decimal", value)) };
    let (bound, code, side) = if n < min {
        (min, "decimal_below_min_value", "below minimum value. Expected a value >=")
    } else if n > max {
        (max, "decimal_above_max_value", "above maximum value. Expected a value <=")
    } else {
        return Ok(());
    };
    Err(ApiError::param(
        name,
        code,
        format!("Invalid '{name}': decimal {side} {bound}, but got {n} instead."),
    ))
}

pub(super) fn list<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a Vec<Value>>, ApiError> {
    match present(fields, name) {
        None => Ok(None),
        Some(Value::Array(all)) => Ok(Some(all)),
        Some(other) => Err(wrong_type(name, "an array", other)),
    }
}

pub(super) fn map<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a Fields>, ApiError> {
    match present(fields, name) {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(other) => Err(wrong_type(name, "an object", other)),
    }
}
