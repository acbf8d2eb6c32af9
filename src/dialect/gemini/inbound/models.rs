//! The answers of `GET /v1beta/models` and `GET /v1beta/models/{id}`.
//!
//! Source: Gemini API reference, "Models" (`models.list`, `models.get`, `Model`). All are on one page.

use crate::dialect::gemini::write::{Array, Object};
use crate::dialect::openai::models::Model;

/// Appends one model. What is not known is left out.
pub fn write_model(model: &Model<'_>, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.text("name", &format!("models/{}", model.id));
    object.text("displayName", model.id);
    object.value("inputTokenLimit", model.context_length);
    object.value("outputTokenLimit", model.max_output_tokens);
    object.end();
}

/// Appends the list.
pub fn write_list<'a>(models: impl Iterator<Item = Model<'a>>, out: &mut Vec<u8>) {
    let mut list = Object::begin(out);
    let mut array = Array::begin(list.key("models"));
    for model in models {
        write_model(&model, array.element());
    }
    array.end();
    list.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told() {
        let known =
            Model { id: "a:b", context_length: Some(9), max_output_tokens: Some(5), ..Model::default() };
        let mut out = Vec::new();
        write_list([known, Model { id: "x", ..Model::default() }].into_iter(), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"models":[{"name":"models/a:b","displayName":"a:b","inputTokenLimit":9,"outputTokenLimit":5},{"name":"models/x","displayName":"x"}]}"#
        );
    }
}
