//! The answers of `GET /v1/models` and `GET /v1/models/{id}`.
//!
//! Source: OpenAI API reference, "Models".

use crate::dialect::json;

/// One model as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model<'a> {
    /// The name to put in a request's `model`.
    pub id: &'a str,
    /// When it came to be, in seconds since 1970.
    pub created: u64,
    /// Who serves it.
    pub owned_by: &'a str,
}

/// Appends one model object.
pub fn write_model(model: &Model<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    json::write_string(out, model.id);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":");
    out.extend_from_slice(model.created.to_string().as_bytes());
    out.extend_from_slice(b",\"owned_by\":");
    json::write_string(out, model.owned_by);
    out.push(b'}');
}

/// Appends the list of all models.
pub fn write_list<'a>(models: impl IntoIterator<Item = Model<'a>>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, model) in models.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_model(&model, out);
    }
    out.extend_from_slice(b"]}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MINI: Model<'_> = Model { id: "openai:gpt-4o-mini", created: 1_721_172_741, owned_by: "openai" };

    #[test]
    fn writes_the_objects_of_the_reference() {
        let mini = json!({"id": "openai:gpt-4o-mini", "object": "model", "created": 1_721_172_741,
                          "owned_by": "openai"});
        let odd = json!({"id": "a\"b\\c", "object": "model", "created": 0, "owned_by": "é\n"});
        let mut out = Vec::new();
        write_model(&MINI, &mut out);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), mini);

        out.clear();
        write_list([MINI, Model { id: "a\"b\\c", created: 0, owned_by: "é\n" }], &mut out);
        let list: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(list, json!({"object": "list", "data": [mini, odd]}));

        out.clear();
        write_list([], &mut out);
        assert_eq!(out, br#"{"object":"list","data":[]}"#);
    }
}
