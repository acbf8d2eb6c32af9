use serde_json::{Value, json};

use super::*;
use crate::dialect::usage::Usage;

#[test]
fn text_usage_and_probabilities() {
    let answer = read_answer(include_bytes!("fixtures/text.json")).unwrap();
    assert_eq!((answer.id.as_ref(), answer.model.as_ref()), ("pWkjaJeQMZ-AxN8P2ruX4QE", "gemini-2.5-flash"));
    let [choice] = answer.choices.as_slice() else { panic!("{answer:?}") };
    assert_eq!(choice.text.as_deref(), Some("AI learns patterns from data to make predictions.\n"));
    assert_eq!(choice.finish, Finish::Stop);
    let logprobs: Value = serde_json::from_str(choice.logprobs.as_deref().unwrap()).unwrap();
    assert_eq!(logprobs["content"][0]["top_logprobs"][0]["logprob"], -0.25);
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt_tokens: 8,
            completion_tokens: 643,
            total_tokens: 651,
            cached_tokens: 4,
            cache_write_tokens: 0,
            reasoning_tokens: 633,
            ..Usage::default()
        })
    );
}

#[test]
fn calls_carry_their_signatures() {
    let answer = read_answer(include_bytes!("fixtures/tools.json")).unwrap();
    let [choice] = answer.choices.as_slice() else { panic!("{answer:?}") };
    let calls: Vec<_> = choice
        .calls
        .iter()
        .map(|call| (call.id.as_ref(), call.name.as_ref(), call.arguments.as_ref()))
        .collect();
    assert_eq!(
        calls,
        [
            (
                "call_R1_0_0__thought__CiQB0e2Kb5Qz+A/x==",
                "get_current_temperature",
                r#"{"location":"Paris \"\\ 1","days":[1,2]}"#
            ),
            ("uq3v4x1k", "list_all", "{}"),
        ]
    );
    assert_eq!(choice.text, None);
    assert_eq!(choice.reasoning, [("**Checking weather**\n\nTwo cities, two calls.".into(), None)]);
    assert_eq!(choice.finish, Finish::ToolCalls);
    let usage = answer.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (123, 97, 220));
}

#[test]
fn sources_are_annotations() {
    let answer = read_answer(include_bytes!("fixtures/grounding.json")).unwrap();
    let annotations: Value = serde_json::from_str(answer.choices[0].annotations.as_deref().unwrap()).unwrap();
    let citation = |title: &str, url: &str| {
        json!({"type": "url_citation", "url_citation":
            {"start_index": 16, "end_index": 35, "title": title, "url": url}})
    };
    assert_eq!(
        annotations,
        json!([
            citation("aljazeera.com", "https://vertexaisearch.cloud.google.com/a"),
            citation("uefa.com", "https://vertexaisearch.cloud.google.com/b")
        ])
    );
}

#[test]
fn a_blocked_prompt_is_a_choice() {
    let answer = read_answer(include_bytes!("fixtures/blocked.json")).unwrap();
    assert_eq!(answer.choices.len(), 1);
    assert_eq!(answer.choices[0].finish, Finish::ContentFilter);
    assert_eq!(
        answer.choices[0].refusal.as_deref(),
        Some("Gemini blocked this prompt (PROHIBITED_CONTENT).")
    );
    assert_eq!(answer.usage.map(|usage| usage.prompt_tokens), Some(12));
}

#[test]
fn images_and_signatures_of_text() {
    let body = br#"{"candidates":[{"content":{"parts":[{"text":"See: "},
        {"inlineData":{"mimeType":"image/png","data":"iVBO"}},{"text":"","thoughtSignature":"c2ln"}]}}]}"#;
    let answer = read_answer(body).unwrap();
    assert_eq!(answer.choices[0].text.as_deref(), Some("See: ![image](data:image/png;base64,iVBO)"));
    assert_eq!(answer.choices[0].reasoning, [("".into(), Some("gemini:c2ln".into()))]);
}

#[test]
fn why_it_ended() {
    let read = |reason: &str, parts: &str| {
        let body =
            format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}},"finishReason":"{reason}"}}]}}"#);
        read_answer(body.as_bytes()).map(|answer| answer.choices[0].finish)
    };
    let (text, call) = (r#"{"text":"a"}"#, r#"{"functionCall":{"name":"f"}}"#);
    for (reason, parts, wanted) in [
        ("STOP", text, Ok(Finish::Stop)),
        ("STOP", call, Ok(Finish::ToolCalls)),
        ("STOP", "", Ok(Finish::Stop)),
        ("MAX_TOKENS", "", Ok(Finish::Length)),
        ("MAX_TOKENS", call, Ok(Finish::Length)),
        ("SAFETY", text, Ok(Finish::ContentFilter)),
        ("RECITATION", "", Ok(Finish::ContentFilter)),
        ("PROHIBITED_CONTENT", "", Ok(Finish::ContentFilter)),
        ("BLOCKLIST", "", Ok(Finish::ContentFilter)),
        ("SPII", "", Ok(Finish::ContentFilter)),
        ("OTHER", text, Ok(Finish::Stop)),
        ("SOMETHING_NEW", text, Ok(Finish::Stop)),
        ("MALFORMED_FUNCTION_CALL", "", Err(FAILED)),
        ("MALFORMED_FUNCTION_CALL", text, Ok(Finish::Stop)),
        ("UNEXPECTED_TOOL_CALL", call, Ok(Finish::ToolCalls)),
    ] {
        assert_eq!(read(reason, parts), wanted, "{reason} {parts}");
    }
}

#[test]
fn what_is_no_answer() {
    for body in ["", "{", "[]", "{}", r#"{"candidates":[]}"#, r#"{"candidates":"x"}"#] {
        assert!(read_answer(body.as_bytes()).is_err(), "{body}");
    }
}
