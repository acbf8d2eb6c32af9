//! Reading JSON as Google's servers do (https://protobuf.dev/programming-guides/json/): names may be in camel case or
//! as they are in the definitions, in snake case; unknown names and wrong types are refused with their path, which
//! is in snake case: `tools[0].function_declarations[0]`.

use serde_json::{Map, Value};

use super::ApiError;

/// A request's fields.
pub(super) type Fields = Map<String, Value>;

/// The body as a JSON object.
pub(super) fn body(body: &[u8]) -> Result<Fields, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ApiError::payload("", "Invalid JSON payload received. Root element must be a message.")),
        Err(error) => Err(ApiError::payload("", format!("Invalid JSON payload received. {error}"))),
    }
}

/// A name in camel case.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut up = false;
    for c in name.chars() {
        match c {
            '_' if !out.is_empty() => up = true,
            c if up => {
                out.extend(c.to_uppercase());
                up = false;
            }
            c => out.push(c),
        }
    }
    out
}

/// A name in snake case.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// `path.name`, or `name` at the top.
pub(super) fn join(path: &str, name: &str) -> String {
    let name = snake(name);
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// A field by its name in camel case, in whichever case it stands; null is as good as none.
pub(super) fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    let value = fields.get(name).or_else(|| fields.get(&snake(name)));
    value.filter(|value| !value.is_null())
}

/// Refuses fields that Google does not know.
pub(super) fn only(fields: &Fields, path: &str, known: &[&str]) -> Result<(), ApiError> {
    let Some(name) = fields.keys().find(|name| !known.contains(&camel(name).as_str())) else { return Ok(()) };
    let at = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
    let message = format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.");
    Err(ApiError::payload(path, message))
}

fn wrong(path: &str, kind: &str, value: &Value) -> ApiError {
    ApiError::payload(path, format!("Invalid value at '{path}' ({kind}), {value}"))
}

pub(super) fn message<'a>(value: &'a Value, path: &str, kind: &str) -> Result<&'a Fields, ApiError> {
    let kind = format!("type.googleapis.com/google.ai.generativelanguage.v1beta.{kind}");
    value.as_object().ok_or_else(|| wrong(path, &kind, value))
}

/// A JSON object of any content.
pub(super) fn structure<'a>(value: &'a Value, path: &str) -> Result<&'a Fields, ApiError> {
    value.as_object().ok_or_else(|| wrong(path, "type.googleapis.com/google.protobuf.Struct", value))
}

/// A list; one that is not there is empty, and a value alone stands for a list of it.
pub(super) fn list<'a>(fields: &'a Fields, name: &str) -> &'a [Value] {
    match get(fields, name) {
        None => &[],
        Some(Value::Array(all)) => all,
        Some(one) => std::slice::from_ref(one),
    }
}

pub(super) fn text<'a>(fields: &'a Fields, path: &str, name: &str) -> Result<&'a str, ApiError> {
    match get(fields, name) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(wrong(&join(path, name), "TYPE_STRING", other)),
    }
}

pub(super) fn boolean(fields: &Fields, path: &str, name: &str) -> Result<bool, ApiError> {
    match get(fields, name) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(wrong(&join(path, name), "TYPE_BOOL", other)),
    }
}

pub(super) fn integer(fields: &Fields, path: &str, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(value) = get(fields, name) else { return Ok(None) };
    // Whole numbers may be written with a fraction of zero, and as strings.
    let whole = |n: f64| (n.fract() == 0.0 && n.abs() < 1e15).then_some(n as i64);
    let n =
        value.as_i64().or_else(|| value.as_f64().and_then(whole)).or_else(|| value.as_str()?.parse().ok());
    n.map(Some).ok_or_else(|| wrong(&join(path, name), "TYPE_INT32", value))
}

pub(super) fn number(fields: &Fields, path: &str, name: &str) -> Result<Option<f64>, ApiError> {
    let Some(value) = get(fields, name) else { return Ok(None) };
    let n = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    n.map(Some).ok_or_else(|| wrong(&join(path, name), "TYPE_FLOAT", value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_both_cases() {
        assert_eq!(
            (camel("function_declarations"), camel("topP"), camel("_x")),
            ("functionDeclarations".into(), "topP".into(), "_x".into())
        );
        assert_eq!(
            (snake("functionDeclarations"), snake("topP")),
            ("function_declarations".into(), "top_p".into())
        );
    }
}
