//! Bedrock's wire format as a client sees it. Streams and signatures are for the official SDK to judge.

use serde_json::{Value, json};

use crate::simulate::{
    Simulator,
    tests::{Answer, exchange, post, request, simulator},
    text,
};

const PATH: &str = "/model/amazon.nova-lite-v1%3A0/converse";

fn converse(simulator: &Simulator, extra: &Value) -> Answer {
    let mut body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(simulator, PATH, &body.to_string())
}

fn tools() -> Value {
    json!({"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": {"type": "object",
        "required": ["city"], "properties": {"city": {"type": "string"}}}}}}]})
}

#[test]
fn answers_are_those_of_the_api() {
    let simulator = simulator(|_| {});
    let value = converse(&simulator, &json!({})).json();
    assert_eq!(
        (&value["stopReason"], &value["output"]["message"]["role"]),
        (&json!("end_turn"), &json!("assistant"))
    );
    let words = value["output"]["message"]["content"][0]["text"].as_str().unwrap();
    assert_eq!((text::count(words), &value["usage"]["outputTokens"]), (32, &json!(32)));
    let record = &simulator.record()[0];
    assert_eq!((record.model.as_str(), record.key.as_str()), ("amazon.nova-lite-v1:0", "sk-test"));
    let thinking =
        json!({"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}});
    let value = converse(&simulator, &thinking).json();
    let thought = &value["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"];
    assert!(thought["text"].is_string() && thought["signature"].is_string());
}

#[test]
fn tools_are_called_and_their_results_quoted() {
    let simulator = simulator(|_| {});
    let value = converse(&simulator, &json!({"toolConfig": tools()})).json();
    assert_eq!(value["stopReason"], "tool_use");
    let message = &value["output"]["message"];
    let call = &message["content"][0]["toolUse"];
    assert_eq!((&call["name"], &call["input"]), (&json!("get_weather"), &json!({"city": "Paris"})));
    let result = json!({"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "rain"}]}});
    let talk = json!({"toolConfig": tools(), "messages": [{"role": "user", "content": [{"text": "hi"}]}, message,
        {"role": "user", "content": [result]}]});
    let value = converse(&simulator, &talk).json();
    let words = value["output"]["message"]["content"][0]["text"].as_str().unwrap();
    assert!(words.starts_with("The tool said: rain."), "{words}");
}

#[test]
fn what_is_wrong_is_refused() {
    let simulator = simulator(|_| {});
    let said = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for (extra, status) in [
        (json!({"messages": []}), 400),
        (json!({"temperature": 0.5}), 400),
        (json!({"inferenceConfig": {"temperature": 1.5}}), 400),
        (json!({"inferenceConfig": {"top_p": 0.5}}), 400),
        (json!({"toolConfig": {"tools": []}}), 400),
        (json!({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}), 400),
        (said(json!([{"text": " "}])), 400),
        (said(json!("hi")), 400),
        (said(json!([{"type": "text", "text": "hi"}])), 400),
        (said(json!([{"image": {"format": "tiff", "source": {"bytes": "AAAA"}}}])), 400),
        (said(json!([{"image": {"format": "png", "source": {"url": "https://a"}}}])), 400),
        (said(json!([{"toolResult": {"toolUseId": "a", "content": []}}])), 400),
        (said(json!([{"image": {"format": "png", "source": {"bytes": "AAAA"}}}])), 200),
    ] {
        let answer = converse(&simulator, &extra);
        assert_eq!(answer.status, status, "{extra}: {answer:?}");
        assert!(answer.json()["message"].is_string() == (status == 400));
    }
    for (model, status, name) in [
        ("no-such-model", 400, "ValidationException"),
        ("sim-error-429", 429, "ThrottlingException"),
        ("sim-error-503", 503, "ServiceUnavailableException"),
    ] {
        let body = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
        let answer = post(&simulator, &format!("/model/{model}/converse"), body);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.header("x-amzn-errortype").unwrap().starts_with(&format!("{name}:")));
    }
    assert_eq!(post(&simulator, "/model/m/invoke-with-response-stream", "{}").status, 404);
}

#[test]
fn a_signature_that_is_not_right_is_refused() {
    let simulator = simulator(|settings| {
        let key = "AKIDEXAMPLE:secret".to_owned();
        settings.keys = vec![crate::simulate::KeyLimits { key, ..Default::default() }];
    });
    let signed = |id: &str, names: &str| {
        format!(
            "connection: close\r\nx-amz-date: 20150830T123600Z\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={id}/20150830/us-east-1/bedrock/aws4_request, SignedHeaders={names}, Signature=00\r\n"
        )
    };
    for (head, name) in [
        (signed("AKIDOTHER", "host;x-amz-date"), "UnrecognizedClientException"),
        (signed("AKIDEXAMPLE", "host"), "InvalidSignatureException"),
        (signed("AKIDEXAMPLE", "host;x-amz-date"), "InvalidSignatureException"),
        ("connection: close\r\nauthorization: Bearer wrong\r\n".to_owned(), "AccessDeniedException"),
        ("connection: close\r\n".to_owned(), "MissingAuthenticationTokenException"),
    ] {
        let whole = request("POST", PATH, &head, "{}").replace("authorization: Bearer sk-test\r\n", "");
        let answer = exchange(&simulator, &whole);
        assert_eq!(answer.status, 403);
        assert!(answer.header("x-amzn-errortype").unwrap().starts_with(name), "{answer:?}");
    }
}
