//! Probabilities, as OpenAI's `logprobs` object.
//!
//! Source: Cohere API reference, "Chat" (`logprobs`); OpenAI API reference, "The chat completion object" (`logprobs`).

use serde::Deserialize;

use crate::dialect::chat::fields::Str;
use crate::dialect::json::write;

/// What OpenAI says of a token that is as good as impossible.
const IMPOSSIBLE: f64 = -9999.0;

/// A chunk of text with the logarithms of its tokens, of which only the numbers are told.
#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    logprobs: Option<Vec<f64>>,
}

/// The object; `None` where it would be empty. A chunk of several tokens is as one whose probability is that of all.
pub(super) fn openai(items: &[Item<'_>]) -> Option<String> {
    let mut out = b"{\"content\":[".to_vec();
    let before = out.len();
    for item in items {
        let (Some(Str(text)), Some(logprobs)) = (&item.text, &item.logprobs) else { continue };
        let sum: f64 = logprobs.iter().sum();
        write::comma(&mut out);
        out.push(b'{');
        write::string(&mut out, "token", text);
        write::plain(&mut out, "logprob", if sum.is_finite() { sum.max(IMPOSSIBLE) } else { IMPOSSIBLE });
        write::name(&mut out, "bytes");
        crate::dialect::json::write_value(&mut out, &text.as_bytes());
        out.extend_from_slice(b",\"top_logprobs\":[]}");
    }
    let any = out.len() > before;
    out.extend_from_slice(b"],\"refusal\":null}");
    if any { String::from_utf8(out).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn chunks_are_tokens() {
        let items: Vec<Item<'_>> = serde_json::from_str(
            r#"[{"text":"Hé","token_ids":[1,2],"logprobs":[-0.25,-0.5]},{"token_ids":[3]},
                {"text":"!","token_ids":[4],"logprobs":[-1e300]}]"#,
        )
        .unwrap();
        let written: Value = serde_json::from_str(&openai(&items).unwrap()).unwrap();
        let wanted = json!({"content": [
            {"token": "Hé", "logprob": -0.75, "bytes": [72, 195, 169], "top_logprobs": []},
            {"token": "!", "logprob": -9999.0, "bytes": [33], "top_logprobs": []}], "refusal": null});
        // As numbers: -9999 is written without its fraction.
        assert_eq!(written["content"][0], wanted["content"][0]);
        assert_eq!(written["content"][1]["logprob"].as_f64(), Some(-9999.0));
        assert_eq!(openai(&[]), None);
    }
}
