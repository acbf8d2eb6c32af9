//! Bodies that name their model again, on their way to Google.
//!
//! Source: Gemini API reference, `EmbedContentRequest.model` ("This must match the model name in the path"),
//! `GenerateContentRequest.model` and `models.countTokens` (`generateContentRequest`).

use serde_json::value::RawValue;

use crate::dialect::chat::Refused;
use crate::dialect::chat::fields;
use crate::dialect::gemini::model::resource;
use crate::dialect::gemini::write::{Array, Object};
use crate::dialect::json::write_string;

use super::name::camel;

/// The body with `model` in the place of the names in it; `None` where there are none, and it goes as it is. Values are
/// those of the client byte for byte.
///
/// # Errors
/// Where it is not what the method takes.
pub fn renamed(body: &[u8], model: &str) -> Result<Option<Vec<u8>>, Refused> {
    let mut out = Vec::with_capacity(body.len() + model.len());
    let named = write(body, model, true, &mut out)?;
    Ok(named.then_some(out))
}

/// Appends an object with the model's name replaced; whether there was one.
fn write(body: &[u8], model: &str, outermost: bool, out: &mut Vec<u8>) -> Result<bool, Refused> {
    let mut named = false;
    let mut object = Object::begin(out);
    for (name, value) in fields::members(body)? {
        let known = camel((*name).into());
        let out = object.escaped_key(&name);
        match &*known {
            "model" => {
                write_string(out, &resource(model));
                named = true;
            }
            "generateContentRequest" if outermost => {
                named |= write(value.get().as_bytes(), model, false, out)?;
            }
            "requests" if outermost => {
                let requests: Vec<&RawValue> = fields::value("requests", value)?;
                let mut array = Array::begin(out);
                for request in requests {
                    named |= write(request.get().as_bytes(), model, false, array.element())?;
                }
                array.end();
            }
            _ => out.extend_from_slice(value.get().as_bytes()),
        }
    }
    object.end();
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_named_where_it_was() {
        for (body, wanted) in [
            (r#"{"contents":[{"model":"x"}],"new":1.50}"#, None),
            (
                r#"{ "content":{"model":1} , "model" : "a:m" }"#,
                Some(r#"{"content":{"model":1},"model":"models/up"}"#),
            ),
            (
                r#"{"requests":[{"model":"models/a:m","content":{"parts":[{"text":"\u00e9"}]}},{"model":"a:m"}],"\"":1}"#,
                Some(
                    r#"{"requests":[{"model":"models/up","content":{"parts":[{"text":"\u00e9"}]}},{"model":"models/up"}],"\"":1}"#,
                ),
            ),
            (
                r#"{"generate_content_request":{"model":"models/a:m","contents":[1]}}"#,
                Some(r#"{"generate_content_request":{"model":"models/up","contents":[1]}}"#),
            ),
        ] {
            let renamed = renamed(body.as_bytes(), "up").unwrap();
            assert_eq!(renamed.map(|bytes| String::from_utf8(bytes).unwrap()).as_deref(), wanted, "{body}");
        }
        assert_eq!(renamed(br#"{"requests":1}"#, "up").unwrap_err().param, "requests");
    }
}
