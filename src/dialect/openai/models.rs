//! The answers of `GET /v1/models` and `GET /v1/models/{id}`.
//!
//! Source: OpenAI API reference, "Models". What is known beside the reference's
//! members goes by the names of OpenRouter's API reference, "List all models".

use crate::dialect::json;
use crate::dialect::usage::{PicoUsd, TokenPrices};

/// One model as clients see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model<'a> {
    /// The name to put in a request's `model`.
    pub id: &'a str,
    /// When it came to be, in seconds since 1970.
    pub created: u64,
    /// Who serves it.
    pub owned_by: &'a str,
    /// Tokens of prompt and answer together.
    pub context_length: Option<u64>,
    /// Tokens of an answer.
    pub max_output_tokens: Option<u64>,
    /// What prompts may hold, and what answers hold.
    pub modalities: Option<(Vec<&'a str>, Vec<&'a str>)>,
    /// What tokens cost.
    pub prices: Option<TokenPrices>,
}

/// Appends one model object. What is not known is left out.
pub fn write_model(model: &Model<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    json::write_string(out, model.id);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":");
    out.extend_from_slice(model.created.to_string().as_bytes());
    out.extend_from_slice(b",\"owned_by\":");
    json::write_string(out, model.owned_by);
    for (name, tokens) in
        [("context_length", model.context_length), ("max_output_tokens", model.max_output_tokens)]
    {
        if let Some(tokens) = tokens {
            out.extend_from_slice(format!(",\"{name}\":{tokens}").as_bytes());
        }
    }
    if let Some((reads, writes)) = &model.modalities {
        out.extend_from_slice(b",\"architecture\":{\"input_modalities\":");
        write_strings(reads, out);
        out.extend_from_slice(b",\"output_modalities\":");
        write_strings(writes, out);
        out.push(b'}');
    }
    if let Some(TokenPrices { input, cached_input, cache_write, output, audio_minute, search }) = model.prices
    {
        // A price in micro-USD per million tokens is one in pico-USD per token.
        let [prompt, cached, written, completion] =
            [input, cached_input, cache_write, output].map(|price| PicoUsd(u128::from(price)).to_string());
        out.extend_from_slice(b",\"pricing\":{\"prompt\":");
        json::write_string(out, &prompt);
        out.extend_from_slice(b",\"completion\":");
        json::write_string(out, &completion);
        out.extend_from_slice(b",\"input_cache_read\":");
        json::write_string(out, &cached);
        if cache_write != input {
            out.extend_from_slice(b",\"input_cache_write\":");
            json::write_string(out, &written);
        }
        // Names of our own: OpenRouter has none for these.
        for (name, micro) in [("audio_minute", audio_minute), ("search", search)] {
            if micro > 0 {
                out.extend_from_slice(
                    format!(",\"{name}\":\"{}\"", PicoUsd(u128::from(micro) * 1_000_000)).as_bytes(),
                );
            }
        }
        out.push(b'}');
    }
    out.push(b'}');
}

fn write_strings(texts: &[&str], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_string(out, text);
    }
    out.push(b']');
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

    fn mini() -> Model<'static> {
        Model { id: "openai:gpt-4o-mini", created: 1_721_172_741, owned_by: "openai", ..Model::default() }
    }

    #[test]
    fn writes_the_objects_of_the_reference() {
        let wanted = json!({"id": "openai:gpt-4o-mini", "object": "model", "created": 1_721_172_741,
                            "owned_by": "openai"});
        let odd = json!({"id": "a\"b\\c", "object": "model", "created": 0, "owned_by": "é\n"});
        let mut out = Vec::new();
        write_model(&mini(), &mut out);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), wanted);

        out.clear();
        write_list([mini(), Model { id: "a\"b\\c", owned_by: "é\n", ..Model::default() }], &mut out);
        let list: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(list, json!({"object": "list", "data": [wanted, odd]}));

        out.clear();
        write_list([], &mut out);
        assert_eq!(out, br#"{"object":"list","data":[]}"#);
    }

    #[test]
    fn adds_what_is_known() {
        let model = Model {
            context_length: Some(128_000),
            max_output_tokens: Some(16_384),
            modalities: Some((vec!["text", "image"], vec!["text"])),
            prices: Some(TokenPrices {
                input: 150_000,
                cached_input: 75_000,
                cache_write: 150_000,
                output: 600_000,
                ..TokenPrices::default()
            }),
            ..mini()
        };
        let mut out = Vec::new();
        write_model(&model, &mut out);
        let wanted = json!({"id": "openai:gpt-4o-mini", "object": "model", "created": 1_721_172_741,
            "owned_by": "openai", "context_length": 128_000, "max_output_tokens": 16_384,
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            "pricing": {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.000000075"}});
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), wanted);
    }
}
