//! Gemini's wire format as a client sees it.

use serde_json::{Value, json};

use crate::simulate::{
    KeyLimits, Simulator,
    tests::{Answer, exchange, request, simulator},
    text,
};

const HEADERS: &str = "connection: close\r\nx-goog-api-key: AIza-1\r\n";
const MODEL: &str = "gemini-2.5-flash";

fn ask(simulator: &Simulator, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    exchange(simulator, &request(method, path, HEADERS, &body))
}

fn of(simulator: &Simulator, model: &str, method: &str, body: &Value) -> Answer {
    ask(simulator, "POST", &format!("/v1beta/models/{model}:{method}"), body)
}

fn generate(simulator: &Simulator, body: &Value) -> Answer {
    of(simulator, MODEL, "generateContent", body)
}

/// A request with the user's words, and more.
fn said(words: &str, extra: &Value) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": words}]}]});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The chunks of a stream of events.
fn chunks(answer: &Answer) -> Vec<Value> {
    let chunk = |text: &str| serde_json::from_str(text.strip_prefix("data: ").unwrap()).unwrap();
    answer.body.split_terminator("\r\n\r\n").map(chunk).collect()
}

fn weather() -> Value {
    json!([{"functionDeclarations": [{"name": "get_weather", "parameters": {"type": "OBJECT",
        "required": ["city"], "properties": {"city": {"type": "STRING", "nullable": true}}}}]}])
}

#[test]
fn an_answer_is_in_googles_form() {
    let simulator = simulator(|_| {});
    let value = generate(&simulator, &said("hi", &json!({}))).json();
    let candidate = &value["candidates"][0];
    assert_eq!((&candidate["finishReason"], &candidate["index"]), (&json!("STOP"), &json!(0)));
    assert_eq!(candidate["content"]["role"], "model");
    assert_eq!(text::count(candidate["content"]["parts"][0]["text"].as_str().unwrap()), 32);
    let usage = &value["usageMetadata"];
    assert_eq!(usage["candidatesTokenCount"], 32);
    assert_eq!(usage["totalTokenCount"].as_u64(), Some(usage["promptTokenCount"].as_u64().unwrap() + 32));
    assert_eq!(value["modelVersion"], MODEL);
    let record = &simulator.record()[0];
    assert_eq!((record.key.as_str(), record.model.as_str(), record.stream), ("AIza-1", MODEL, false));
    assert_eq!(
        (Some(record.prompt_tokens), record.completion_tokens),
        (usage["promptTokenCount"].as_u64(), 32)
    );
    let counted = of(&simulator, MODEL, "countTokens", &said("hi", &json!({}))).json();
    assert_eq!(counted["totalTokens"], usage["promptTokenCount"]);
    let body = r#"{"contents":{"parts":{"text":"hi"}}}"#;
    let by_query = format!(
        "POST /v1beta/models/{MODEL}:generateContent?key=AIza-2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(exchange(&simulator, &by_query).status, 200);
    assert_eq!(simulator.record().last().unwrap().key, "AIza-2");
}

#[test]
fn a_stream_is_of_events_or_an_array() {
    let simulator = simulator(|settings| settings.chunk_tokens = 5);
    let body = said("hi", &json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}}));
    let sse = of(&simulator, MODEL, "streamGenerateContent?alt=sse", &body);
    assert_eq!(sse.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let array = of(&simulator, MODEL, "streamGenerateContent", &body);
    assert_eq!(array.header("content-type"), Some("application/json"));
    for chunks in [chunks(&sse), array.json().as_array().unwrap().clone()] {
        let parts = |thought: bool| -> String {
            let parts = chunks.iter().map(|chunk| &chunk["candidates"][0]["content"]["parts"][0]);
            parts
                .filter(|part| (part["thought"] == true) == thought)
                .filter_map(|part| part["text"].as_str())
                .collect()
        };
        assert_eq!((text::count(&parts(false)), parts(true).as_str()), (32, crate::simulate::plan::THOUGHT));
        let (last, others) = chunks.split_last().unwrap();
        assert!(others.iter().all(|chunk| chunk["candidates"][0].get("finishReason").is_none()));
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        let usage = &last["usageMetadata"];
        let thoughts = usage["thoughtsTokenCount"].as_u64().unwrap();
        assert_eq!((usage["candidatesTokenCount"].as_u64(), thoughts > 0), (Some(32), true));
        assert_eq!(simulator.record().last().unwrap().completion_tokens, 32 + thoughts);
    }
}

#[test]
fn functions_are_called_and_their_results_quoted() {
    let simulator = simulator(|_| {});
    let mut body = said("get_weather please", &json!({"tools": weather()}));
    let call = generate(&simulator, &body).json();
    let content = &call["candidates"][0]["content"];
    let function = &content["parts"][0]["functionCall"];
    assert_eq!((&function["name"], &function["args"]), (&json!("get_weather"), &json!({"city": "Paris"})));
    let streamed = chunks(&of(&simulator, MODEL, "streamGenerateContent?alt=sse", &body));
    assert_eq!(streamed[0]["candidates"][0]["content"]["parts"][0]["functionCall"]["args"], function["args"]);
    let contents = body["contents"].as_array_mut().unwrap();
    contents.push(content.clone());
    contents.push(json!({"role": "user", "parts": [
        {"function_response": {"name": "get_weather", "response": {"result": "rain"}}}]}));
    let text = generate(&simulator, &body).json();
    let words = text["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap();
    assert!(words.starts_with("The tool said: rain."), "{words}");
    body["contents"][2] = json!({"role": "user", "parts": [{"text": "never mind"}]});
    let error = generate(&simulator, &body).json();
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("Please ensure that the number of function response parts")
    );
}

#[test]
fn what_is_wrong_is_said_as_google_says_it() {
    let simulator = simulator(|_| {});
    let tool =
        |schema: Value| json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]});
    for (extra, message) in [
        (json!({"contents": []}), "* GenerateContentRequest.contents: contents is not specified\n"),
        (
            json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}),
            "Please use a valid role: user, model.",
        ),
        (
            json!({"messages": []}),
            "Invalid JSON payload received. Unknown name \"messages\": Cannot find field.",
        ),
        (
            json!({"generationConfig": {"max_tokens": 5}}),
            "Invalid JSON payload received. Unknown name \"max_tokens\" at 'generation_config': Cannot find field.",
        ),
        (
            tool(json!({"type": "object", "additionalProperties": false})),
            "Invalid JSON payload received. Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters': Cannot find field.",
        ),
        (
            tool(json!({"type": ["string", "null"]})),
            "Invalid JSON payload received. Unknown name \"type\" at 'tools[0].function_declarations[0].parameters': Proto field is not repeating, cannot start list.",
        ),
        (
            json!({"tools": weather(), "generationConfig": {"responseMimeType": "application/json"}}),
            "Function calling with a response mime type: 'application/json' is unsupported",
        ),
        (
            json!({"generationConfig": {"temperature": 3}}),
            "* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].\n",
        ),
        (
            json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
            "Function calling config is set without function_declarations.",
        ),
        (
            json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "rain"}}]}]}),
            "Invalid value at 'contents[0].parts[0].function_response.response' (type.googleapis.com/google.protobuf.Struct), \"rain\"",
        ),
    ] {
        let answer = generate(&simulator, &said("hi", &extra));
        let value = answer.json();
        assert_eq!(
            (answer.status, &value["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{extra}: {value}"
        );
        assert_eq!(value["error"]["message"], message, "{extra}");
    }
}

#[test]
fn lengths_schemas_images_and_echo_are_respected() {
    let simulator = simulator(|_| {});
    let first = |extra: Value| generate(&simulator, &said("x", &extra)).json()["candidates"][0].clone();
    let words = |extra: Value| first(extra)["content"]["parts"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(first(json!({"generation_config": {"max_output_tokens": 7}}))["finishReason"], "MAX_TOKENS");
    let two = generate(&simulator, &said("x", &json!({"generationConfig": {"candidateCount": 2}}))).json();
    assert_eq!(
        (two["candidates"][1]["index"].clone(), two["usageMetadata"]["candidatesTokenCount"].clone()),
        (json!(1), json!(64))
    );
    let schema =
        json!({"type": "OBJECT", "required": ["n"], "properties": {"n": {"type": "INTEGER", "minimum": 9}}});
    let json_of = |schema: Value| {
        words(json!({"generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}}))
    };
    assert_eq!(json_of(schema), "{\"n\":9}");
    let echo = of(&simulator, "sim-echo", "generateContent", &said("a \"b\"", &json!({}))).json();
    assert_eq!(echo["candidates"][0]["content"]["parts"][0]["text"], "a \"b\"");
    let image = json!({"contents": [{"parts": [{"text": "what?"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}]});
    assert!(words(image).starts_with("I see 1 image."));
}

#[test]
fn errors_have_their_status_and_details() {
    let simulator = simulator(|_| {});
    for (status, name) in [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ] {
        let model = format!("sim-error-{status}");
        let answer = of(&simulator, &model, "generateContent", &said("x", &json!({})));
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["status"], &error["code"]), (status, &json!(name), &json!(status)));
        assert_eq!(answer.header("retry-after"), None);
        let array = of(&simulator, &model, "streamGenerateContent", &said("x", &json!({}))).json();
        assert_eq!(array[0]["error"]["code"], status);
    }
    let limited = of(&simulator, "sim-error-429", "generateContent", &said("x", &json!({}))).json();
    assert_eq!(limited["error"]["details"][1]["retryDelay"], "0.02s");
    let none = exchange(&simulator, "GET /v1beta/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!((none.status, none.json()["error"]["status"].clone()), (403, json!("PERMISSION_DENIED")));
    simulator.change(|settings| settings.revoked = vec!["AIza-1".into()]);
    let wrong = generate(&simulator, &said("x", &json!({})));
    assert_eq!(
        (wrong.status, wrong.json()["error"]["details"][0]["reason"].clone()),
        (400, json!("API_KEY_INVALID"))
    );
}

#[test]
fn limits_faults_models_and_embeddings_are_there() {
    let key = KeyLimits { key: "AIza-1".into(), req_per_min: Some(4), ..KeyLimits::default() };
    let simulator = simulator(|settings| settings.keys = vec![key]);
    let stream = |model: &str, alt: &str| {
        of(&simulator, model, &format!("streamGenerateContent{alt}"), &said("x", &json!({})))
    };
    assert_eq!(chunks(&stream("sim-stream-error", "?alt=sse")).last().unwrap()["error"]["code"], 503);
    assert_eq!(
        stream("sim-stream-error", "").json().as_array().unwrap().last().unwrap()["error"]["code"],
        503
    );
    assert!(stream("sim-comments", "").json().is_array());
    let last = stream("sim-no-done", "?alt=sse");
    assert!(!last.body.contains("finishReason"));
    let refused = generate(&simulator, &said("x", &json!({}))).json();
    let delay = refused["error"]["details"][1]["retryDelay"].as_str().unwrap();
    assert!(delay.starts_with("59.") || delay == "60s", "{delay}");
    simulator.change(|settings| settings.keys.clear());
    let page = ask(&simulator, "GET", "/v1beta/models?pageSize=2", &Value::Null).json();
    assert_eq!((page["models"].as_array().unwrap().len(), &page["nextPageToken"]), (2, &json!("2")));
    let one = ask(&simulator, "GET", "/v1beta/models/gemini-2.5-pro", &Value::Null).json();
    assert_eq!(one["name"], "models/gemini-2.5-pro");
    let content = json!({"parts": [{"text": "hello world"}]});
    let embedded = of(
        &simulator,
        "gemini-embedding-001",
        "embedContent",
        &json!({"content": content, "outputDimensionality": 8}),
    )
    .json();
    assert_eq!(embedded["embedding"]["values"].as_array().unwrap().len(), 8);
    let request = json!({"model": "models/gemini-embedding-001", "content": content});
    let batch = of(
        &simulator,
        "gemini-embedding-001",
        "batchEmbedContents",
        &json!({"requests": [request, request]}),
    )
    .json();
    assert_eq!(batch["embeddings"][1]["values"].as_array().unwrap().len(), 3072);
    assert!(simulator.record().last().unwrap().prompt_tokens > 0);
}
