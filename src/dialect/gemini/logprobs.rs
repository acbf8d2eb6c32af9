//! Probabilities, as OpenAI's `logprobs` object.
//!
//! Source: Gemini API reference, "Generating content" (`LogprobsResult`); OpenAI API reference, "The chat completion
//! object" (`logprobs`).

use super::wire::{Logprob, LogprobsResult};
use super::write::{Array, Object, plain};

/// What OpenAI says of a token that is as good as impossible.
const IMPOSSIBLE: &str = "-9999.0";

/// The object, for the tokens that were chosen; `None` where there are none.
pub(super) fn openai(result: &LogprobsResult<'_>) -> Option<String> {
    if result.chosen_candidates.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    let mut content = Array::begin(object.key("content"));
    for (place, chosen) in result.chosen_candidates.iter().enumerate() {
        let mut token = Object::begin(content.element());
        write_token(chosen, &mut token);
        let mut top = Array::begin(token.key("top_logprobs"));
        for candidate in result.top_candidates.get(place).map_or(&[][..], |top| &top.candidates) {
            let mut token = Object::begin(top.element());
            write_token(candidate, &mut token);
            token.end();
        }
        top.end();
        token.end();
    }
    content.end();
    object.raw("refusal", "null");
    object.end();
    String::from_utf8(out).ok()
}

fn write_token(token: &Logprob<'_>, object: &mut Object<'_>) {
    object.text("token", &token.token);
    let number = token.log_probability.map(|number| number.get()).filter(|number| !number.starts_with('"'));
    // A probability of 1 has the logarithm 0, which is left out on the wire.
    let otherwise = if token.log_probability.is_some() { IMPOSSIBLE } else { "0" };
    object.raw("logprob", number.unwrap_or(otherwise));
    plain(object.key("bytes"), &token.token.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn tokens_and_those_beside_them() {
        let result: LogprobsResult<'_> = serde_json::from_str(
            r#"{"topCandidates": [{"candidates": [
                {"token": "Hé", "tokenId": 9, "logProbability": -0.25},
                {"token": "Yo", "logProbability": "-Infinity"}]}],
              "chosenCandidates": [{"token": "Hé", "logProbability": -0.25}, {"token": "!"}]}"#,
        )
        .unwrap();
        let written: Value = serde_json::from_str(&openai(&result).unwrap()).unwrap();
        let first = json!({"token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169]});
        let mut chosen = first.clone();
        chosen["top_logprobs"] = json!([first, {"token": "Yo", "logprob": -9999.0, "bytes": [89, 111]}]);
        let second = json!({"token": "!", "logprob": 0, "bytes": [33], "top_logprobs": []});
        assert_eq!(written, json!({"content": [chosen, second], "refusal": null}));
        assert_eq!(openai(&LogprobsResult::default()), None);
    }
}
