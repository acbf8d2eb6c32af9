//! Cohere's wire format as a client sees it.

use serde_json::{Value, json};

use crate::simulate::{
    Simulator,
    tests::{Answer, post, simulator},
    text,
};

fn chat(simulator: &Simulator, extra: &Value) -> Answer {
    let mut body = json!({"model": "command-a-03-2025", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(simulator, "/v2/chat", &body.to_string())
}

fn events(answer: &Answer) -> Vec<Value> {
    let mut all: Vec<&str> = answer.body.split_terminator("\n\n").collect();
    assert_eq!(all.pop(), Some("data: [DONE]"), "{answer:?}");
    let event = |text: &str| -> Value {
        let (name, data) = text.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name);
        data
    };
    all.into_iter().map(event).collect()
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
        "required": ["city"], "properties": {"city": {"type": "string"}}}}}])
}

#[test]
fn answers_whole_and_streamed_are_the_same() {
    let simulator = simulator(|settings| settings.chunk_tokens = 5);
    let value = chat(&simulator, &json!({})).json();
    assert_eq!(
        (&value["finish_reason"], &value["message"]["role"]),
        (&json!("COMPLETE"), &json!("assistant"))
    );
    let words = value["message"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(text::count(words), 32);
    assert_eq!(value["usage"]["tokens"]["output_tokens"], 32);
    let record = &simulator.record()[0];
    assert_eq!(Some(record.prompt_tokens), value["usage"]["tokens"]["input_tokens"].as_u64());
    let all = events(&chat(&simulator, &json!({"stream": true, "thinking": {"type": "enabled"}})));
    let said = |name: &str| -> String {
        all.iter().filter_map(|event| event["delta"]["message"]["content"][name].as_str()).collect()
    };
    assert_eq!((said("text").as_str(), said("thinking").as_str()), (words, crate::simulate::plan::THOUGHT));
    let end = all.last().unwrap();
    assert_eq!((&end["type"], &end["delta"]["finish_reason"]), (&json!("message-end"), &json!("COMPLETE")));
    let sent = simulator.record().last().unwrap().completion_tokens;
    assert_eq!(end["delta"]["usage"]["tokens"]["output_tokens"], sent);
}

#[test]
fn tools_are_called_and_their_results_quoted() {
    let simulator = simulator(|_| {});
    let value = chat(&simulator, &json!({"tools": tools()})).json();
    assert_eq!(value["finish_reason"], "TOOL_CALL");
    let call = &value["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"}));
    let streamed = events(&chat(&simulator, &json!({"tools": tools(), "stream": true})));
    let arguments: String = streamed
        .iter()
        .filter_map(|event| event.pointer("/delta/message/tool_calls/function/arguments")?.as_str())
        .collect();
    assert_eq!(arguments, "{\"city\":\"Paris\"}");
    let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "rain"});
    let talk =
        json!({"tools": tools(), "messages": [{"role": "user", "content": "hi"}, value["message"], result]});
    let words = chat(&simulator, &talk).json()["message"]["content"][0]["text"].clone();
    assert!(words.as_str().unwrap().starts_with("The tool said: rain."), "{words}");
}

#[test]
fn what_is_wrong_is_refused() {
    let simulator = simulator(|_| {});
    for (extra, status) in [
        (json!({"messages": []}), 400),
        (json!({"top_p": 0.5}), 422),
        (json!({"p": 1.0}), 400),
        (json!({"tools": tools(), "tool_choice": "auto"}), 400),
        (json!({"tools": tools(), "response_format": {"type": "json_object"}}), 400),
        (json!({"messages": [{"role": "developer", "content": "x"}]}), 400),
        (json!({"model": "no-such-model"}), 404),
        (json!({"model": "sim-error-429"}), 429),
        (json!({"model": "sim-error-503"}), 503),
    ] {
        let answer = chat(&simulator, &extra);
        assert_eq!(answer.status, status, "{extra}: {answer:?}");
        assert!(answer.json()["message"].is_string() && answer.json()["id"].is_string());
    }
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let value =
        chat(&simulator, &json!({"response_format": {"type": "json_object", "json_schema": schema}})).json();
    assert_eq!(value["message"]["content"][0]["text"], "{\"n\":7}");
}

#[test]
fn embeddings_and_ranks_follow_the_words() {
    let simulator = simulator(|_| {});
    let body = json!({"model": "embed-v4.0", "input_type": "search_query", "texts": ["one", "two"],
        "output_dimension": 16, "embedding_types": ["float", "int8", "ubinary", "base64"]});
    let embedded = post(&simulator, "/v2/embed", &body.to_string()).json();
    let length = |kind: &str| embedded["embeddings"][kind][1].as_array().map(Vec::len);
    assert_eq!((length("float"), length("int8"), length("ubinary")), (Some(16), Some(16), Some(2)));
    let body = json!({"model": "rerank-v3.5", "query": "capital of France", "top_n": 2,
        "documents": ["a poem on rust", "Paris is the capital of France", "bread"]});
    let ranked = post(&simulator, "/v2/rerank", &body.to_string()).json();
    assert_eq!((ranked["results"].as_array().unwrap().len(), &ranked["results"][0]["index"]), (2, &json!(1)));
}
