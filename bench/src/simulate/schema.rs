//! Values that satisfy a JSON schema, for structured output and tool arguments: the subset that OpenAI's
//! structured outputs allow (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas).

use serde_json::{Map, Number, Value, json};

/// Beyond this depth optional parts are left out and the way without recursion is taken.
const SHALLOW: usize = 6;
/// Beyond this depth there is no finite value to be found.
const DEEPEST: usize = 40;
/// Most items made for `minItems`, and most characters for `minLength`.
const MOST: u64 = 1000;

/// A value valid against `schema`. Deterministic; `null` where the schema has no finite value.
pub(crate) fn generate(schema: &Value) -> Value {
    make(schema, schema, "value", 0)
}

fn make(schema: &Value, root: &Value, name: &str, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let Some(fields) = schema.as_object() else { return json!("any") };
    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
        return resolve(root, reference).map_or(Value::Null, |target| make(target, root, name, depth + 1));
    }
    if let Some(value) = fields.get("const") {
        return value.clone();
    }
    if let Some(first) = fields.get("enum").and_then(Value::as_array).and_then(|all| all.first()) {
        return first.clone();
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(options) = fields.get(key).and_then(Value::as_array) {
            return make(option(options, depth), root, name, depth + 1);
        }
    }
    if let Some(all) = fields.get("allOf").and_then(Value::as_array) {
        return all_of(fields, all, root, name, depth);
    }
    match type_of(fields, depth) {
        "object" => object(fields, root, depth),
        "array" => array(fields, root, name, depth),
        "string" => Value::String(string(fields, name)),
        "integer" => integer(fields),
        "number" => number(fields),
        "boolean" => Value::Bool(true),
        _ => Value::Null,
    }
}

/// Of alternatives the first that is not null, which says more; far down the one that surely ends.
fn option(options: &[Value], depth: usize) -> &Value {
    let is_null = |option: &&Value| option.get("type").and_then(Value::as_str) == Some("null");
    let chosen = if depth > SHALLOW {
        options.iter().min_by_key(|option| recursion_risk(option))
    } else {
        options.iter().find(|option| !is_null(option)).or(options.first())
    };
    chosen.unwrap_or(&Value::Null)
}

/// Ranks the ways out of a recursion.
fn recursion_risk(schema: &Value) -> u8 {
    match schema.get("type").and_then(Value::as_str) {
        Some("null" | "string" | "number" | "integer" | "boolean") => 0,
        Some("array") => 1,
        Some(_) => 2,
        None => 3,
    }
}

fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

fn type_of(fields: &Map<String, Value>, depth: usize) -> &str {
    match fields.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(many)) => {
            let mut names = many.iter().filter_map(Value::as_str);
            let nullable = names.clone().any(|name| name == "null");
            if nullable && depth > SHALLOW {
                return "null";
            }
            names.find(|name| *name != "null").unwrap_or("null")
        }
        _ if fields.contains_key("properties") => "object",
        _ if fields.contains_key("items") => "array",
        _ => "string",
    }
}

fn all_of(fields: &Map<String, Value>, all: &[Value], root: &Value, name: &str, depth: usize) -> Value {
    let mut own = fields.clone();
    own.remove("allOf");
    let mut merged =
        if own.contains_key("properties") { object(&own, root, depth) } else { Value::Object(Map::new()) };
    for part in all {
        match (make(part, root, name, depth + 1), &mut merged) {
            (Value::Object(part), Value::Object(merged)) => merged.extend(part),
            (other, _) => merged = other,
        }
    }
    merged
}

fn object(fields: &Map<String, Value>, root: &Value, depth: usize) -> Value {
    let required: Vec<&str> = fields
        .get("required")
        .and_then(Value::as_array)
        .map(|all| all.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let mut out = Map::new();
    if let Some(properties) = fields.get("properties").and_then(Value::as_object) {
        for (name, schema) in properties {
            if required.contains(&name.as_str()) || depth < SHALLOW / 2 {
                out.insert(name.clone(), make(schema, root, name, depth + 1));
            }
        }
    }
    for name in required {
        if !out.contains_key(name) {
            out.insert(name.to_owned(), json!("any"));
        }
    }
    Value::Object(out)
}

fn bound(fields: &Map<String, Value>, key: &str) -> Option<u64> {
    fields.get(key).and_then(Value::as_u64).map(|n| n.min(MOST))
}

fn array(fields: &Map<String, Value>, root: &Value, name: &str, depth: usize) -> Value {
    if let Some(items) = fields.get("prefixItems").and_then(Value::as_array) {
        return items.iter().map(|schema| make(schema, root, name, depth + 1)).collect();
    }
    let least = bound(fields, "minItems").unwrap_or(0);
    let wanted = if depth > SHALLOW { least } else { least.max(1) };
    let count = wanted.min(bound(fields, "maxItems").unwrap_or(MOST));
    let any = json!({"type": "string"});
    let item = make(fields.get("items").unwrap_or(&any), root, name, depth + 1);
    Value::Array(vec![item; count as usize])
}

fn string(fields: &Map<String, Value>, name: &str) -> String {
    let mut text = match fields.get("format").and_then(Value::as_str) {
        Some("date-time") => return "2025-01-31T12:00:00Z".into(),
        Some("date") => return "2025-01-31".into(),
        Some("time") => return "12:00:00Z".into(),
        Some("duration") => return "PT1H".into(),
        Some("email") => return "someone@example.com".into(),
        Some("hostname") => return "example.com".into(),
        Some("uri" | "url") => return "https://example.com/".into(),
        Some("uuid") => return "123e4567-e89b-42d3-a456-426614174000".into(),
        Some("ipv4") => return "192.0.2.1".into(),
        Some("ipv6") => return "2001:db8::1".into(),
        _ => match name {
            "city" | "location" | "place" => "Paris".to_owned(),
            "country" => "France".to_owned(),
            name => format!("sample {name}"),
        },
    };
    if let Some(least) = bound(fields, "minLength") {
        let missing = (least as usize).saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n('x', missing));
    }
    match bound(fields, "maxLength") {
        Some(most) => text.chars().take(most as usize).collect(),
        None => text,
    }
}

fn integer(fields: &Map<String, Value>) -> Value {
    let get = |key: &str| fields.get(key).and_then(Value::as_i64);
    let step = get("multipleOf").filter(|step| *step > 0).unwrap_or(1);
    let low = get("minimum").or_else(|| get("exclusiveMinimum").map(|n| n.saturating_add(1)));
    let high = get("maximum").or_else(|| get("exclusiveMaximum").map(|n| n.saturating_sub(1)));
    let wanted = match (low, high) {
        (Some(low), Some(high)) => 7.clamp(low, high.max(low)),
        (Some(low), None) => low.max(7),
        (None, Some(high)) => high.min(7),
        (None, None) => 7,
    };
    // The next multiple upwards, unless that leaves the range.
    let up = wanted.saturating_add(step - 1).div_euclid(step).saturating_mul(step);
    let value = if high.is_some_and(|high| up > high) { wanted.div_euclid(step) * step } else { up };
    Value::from(value)
}

fn number(fields: &Map<String, Value>) -> Value {
    let get = |key: &str| fields.get(key).and_then(Value::as_f64);
    if let Some(step) = get("multipleOf").filter(|step| *step > 0.0) {
        let least = get("minimum").or_else(|| get("exclusiveMinimum").map(|n| n + step)).unwrap_or(step);
        return from_f64((least / step).ceil() * step);
    }
    let value = match (get("minimum"), get("exclusiveMinimum"), get("maximum"), get("exclusiveMaximum")) {
        (None, None, None, None) => 1.5,
        (Some(low), _, None, None) => low.max(1.5),
        (_, Some(low), None, None) => low + 1.0,
        (None, None, high, high_open) => high.or(high_open.map(|high| high - 1.0)).unwrap_or(1.5),
        (low, low_open, high, high_open) => {
            let low = low.or(low_open).unwrap_or(0.0);
            let high = high.or(high_open).unwrap_or(low);
            low + (high - low) / 2.0
        }
    };
    from_f64(value)
}

fn from_f64(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_schema() {
        for (schema, value) in [
            (json!({"type": "string"}), json!("sample value")),
            (json!({"type": "string", "minLength": 14, "maxLength": 14}), json!("sample valuexx")),
            (json!({"type": "string", "maxLength": 3}), json!("sam")),
            (json!({"type": "string", "format": "date"}), json!("2025-01-31")),
            (json!({"type": ["null", "integer"], "minimum": 10}), json!(10)),
            (json!({"type": "integer", "minimum": 1, "maximum": 5}), json!(5)),
            (json!({"type": "integer", "multipleOf": 5}), json!(10)),
            (json!({"type": "integer", "multipleOf": 5, "maximum": 8}), json!(5)),
            (json!({"type": "number", "minimum": 0, "maximum": 1}), json!(0.5)),
            (json!({"type": "boolean"}), json!(true)),
            (json!({"enum": ["celsius", "kelvin"]}), json!("celsius")),
            (json!({"const": 4}), json!(4)),
            (json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]}), json!(true)),
            (json!({"anyOf": [{"type": "null"}]}), json!(null)),
            (json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}), json!([7, 7])),
            (json!({"type": "array", "items": {"type": "integer"}, "maxItems": 0}), json!([])),
            (
                json!({"type": "object", "required": ["city", "n"], "properties": {
                    "city": {"type": "string"}, "n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "number"}}}),
                json!({"city": "Paris", "n": 1.5}),
            ),
            (
                json!({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}),
                json!({"a": 1, "b": 2}),
            ),
            (json!(true), json!("any")),
        ] {
            assert_eq!(generate(&schema), value, "{schema}");
        }
    }

    #[test]
    fn recursion_ends() {
        let list = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "required": ["next", "kids"],
            "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}}});
        let value = generate(&list);
        assert!(value.pointer("/next/next").is_some() && value.to_string().len() < 20_000);
        let endless = json!({"type": "object", "required": ["x"], "properties": {"x": {"$ref": "#"}}});
        assert!(generate(&endless).is_object());
    }
}
