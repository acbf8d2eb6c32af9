//! A whole answer as a response object.
//!
//! Source: OpenAI API reference, "The response object".

use super::object::{Item, Part, Response, annotations, id, kept, logprobs};
use crate::dialect::chat::{Answer, Choice, Face};
use crate::dialect::json::write_value;

/// Appends the response object of an answer: of its first choice, for the Responses API has only one. Thoughts are
/// shown as summaries, which is what clients of that API show.
pub fn write_answer(answer: &Answer<'_>, face: &Face<'_>, out: &mut Vec<u8>) {
    let name = id("", &answer.id, face.id);
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    let mut output = Vec::new();
    for (thought, signature) in &choice.reasoning {
        let text = kept(&Part::SummaryText { text: thought });
        let summary = if thought.is_empty() { &[][..] } else { &[text] };
        let id = format!("rs_{name}_{}", output.len());
        output.push(kept(&Item::Reasoning { id: &id, summary, encrypted_content: signature.as_deref() }));
    }
    let mut content = Vec::new();
    if let Some(text) = choice.text.as_ref().filter(|text| !text.is_empty()) {
        let annotations = choice.annotations.as_ref().map(|json| annotations(json)).unwrap_or_default();
        let logprobs = choice.logprobs.as_ref().map(|json| logprobs(json)).unwrap_or_default();
        content.push(kept(&Part::OutputText { text, annotations: &annotations, logprobs: &logprobs }));
    }
    content.extend(choice.refusal.as_ref().map(|refusal| kept(&Part::Refusal { refusal })));
    if !content.is_empty() {
        let id = format!("msg_{name}_{}", output.len());
        output.push(kept(&Item::Message {
            id: &id,
            status: "completed",
            role: "assistant",
            content: &content,
        }));
    }
    for call in &choice.calls {
        let id = format!("fc_{name}_{}", output.len());
        let made = format!("call_{name}_{}", output.len());
        output.push(kept(&Item::FunctionCall {
            id: &id,
            status: "completed",
            call_id: if call.id.is_empty() { &made } else { &call.id },
            name: &call.name,
            arguments: if call.arguments.is_empty() { "{}" } else { &call.arguments },
        }));
    }
    let id = id("resp_", &answer.id, face.id);
    let response = Response::new(&id, face.model, face.created, &output);
    write_value(out, &response.ended(choice.finish, choice.refusal.is_some(), answer.usage));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::chat::Finish;
    use crate::dialect::chat::samples::called as call;
    use crate::dialect::usage::Usage;

    const FACE: Face<'_> = Face { id: "7", model: "fast", created: 5 };

    fn written(answer: &Answer<'_>) -> Value {
        let mut out = Vec::new();
        write_answer(answer, &FACE, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_whole_answer() {
        let citation =
            r#"{"type":"url_citation","url_citation":{"start_index":0,"end_index":2,"url":"u","title":"t"}}"#;
        let answer = Answer {
            id: "chatcmpl-1".into(),
            choices: vec![Choice {
                text: Some("Hi".into()),
                calls: vec![call("call_1", r#"{"a":1}"#), call("", "")],
                reasoning: vec![("Hm.".into(), Some("sig".into())), ("".into(), Some("sig2".into()))],
                annotations: Some(format!("[{citation}]").into()),
                logprobs: Some(
                    r#"{"content":[{"token":"Hi","logprob":-1,"bytes":null,"top_logprobs":[]}]}"#.into(),
                ),
                finish: Finish::ToolCalls,
                ..Choice::default()
            }],
            usage: Some(Usage {
                prompt_tokens: 10,
                completion_tokens: 4,
                total_tokens: 14,
                cached_tokens: 3,
                cache_write_tokens: 0,
                reasoning_tokens: 2,
                ..Usage::default()
            }),
            ..Answer::default()
        };
        assert_eq!(
            written(&answer),
            json!({
                "id": "resp_1", "object": "response", "created_at": 5, "status": "completed", "background": false,
                "error": null, "incomplete_details": null, "instructions": null, "metadata": {}, "model": "fast",
                "output": [
                    {"type": "reasoning", "id": "rs_1_0", "summary": [{"type": "summary_text", "text": "Hm."}],
                     "encrypted_content": "sig"},
                    {"type": "reasoning", "id": "rs_1_1", "summary": [], "encrypted_content": "sig2"},
                    {"type": "message", "id": "msg_1_2", "status": "completed", "role": "assistant", "content": [{
                        "type": "output_text", "text": "Hi",
                        "annotations": [
                            {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "u", "title": "t"},
                        ],
                        "logprobs": [{"token": "Hi", "logprob": -1, "bytes": null, "top_logprobs": []}],
                    }]},
                    {"type": "function_call", "id": "fc_1_3", "status": "completed", "call_id": "call_1",
                     "name": "f", "arguments": "{\"a\":1}"},
                    {"type": "function_call", "id": "fc_1_4", "status": "completed", "call_id": "call_1_4",
                     "name": "f", "arguments": "{}"},
                ],
                "parallel_tool_calls": true, "previous_response_id": null, "store": false, "temperature": null,
                "tool_choice": "auto", "tools": [], "top_p": null, "truncation": "disabled",
                "usage": {
                    "input_tokens": 10, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
                    "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14,
                },
            })
        );
    }

    #[test]
    fn ends() {
        for (finish, refusal, status, reason) in [
            (Finish::Stop, None, "completed", Value::Null),
            (Finish::ToolCalls, None, "completed", Value::Null),
            (Finish::Length, None, "incomplete", "max_output_tokens".into()),
            (Finish::ContentFilter, None, "incomplete", "content_filter".into()),
            (Finish::ContentFilter, Some("No."), "completed", Value::Null),
        ] {
            let choice = Choice { finish, refusal: refusal.map(Into::into), ..Choice::default() };
            let response = written(&Answer { choices: vec![choice], ..Answer::default() });
            assert_eq!(response["status"], status);
            assert_eq!(response["incomplete_details"]["reason"], reason);
            assert_eq!(response["id"], "resp_7");
            if let Some(refusal) = refusal {
                assert_eq!(
                    response["output"][0]["content"],
                    json!([{"type": "refusal", "refusal": refusal}])
                );
            }
        }
    }
}
