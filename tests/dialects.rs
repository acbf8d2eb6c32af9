//! What is passed on as it is, what is translated, and what is refused; byte by byte, where the official clients of
//! tests/sdk.rs would not show it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::io::Write;

use common::*;

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"Hello!"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":3}}"#;

/// One provider of each dialect at the same place.
fn gateway(provider: &Provider, policy: &str) -> Gateway {
    let at = provider.at();
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{at}/v1', api_keys: [sk-upstream]}}
  - {{id: claude, type: claude, base_url: 'http://{at}/v1', api_keys: [sk-ant-upstream], limits: {{max_tokens: 777}}}}
  - {{id: gemini, type: gemini, base_url: 'http://{at}/v1beta', api_keys: [g-upstream]}}
  - {{id: bedrock, type: bedrock, base_url: 'http://{at}', region: us-east-1, api_keys: ['AKIAIOSFODNN7EXAMPLE:the-secret-key:the-token']}}
  - {{id: plain, type: bedrock, base_url: 'http://{at}/aws', api_keys: [ABSK-upstream]}}
  - {{id: cohere, type: cohere, base_url: 'http://{at}', api_keys: [co-upstream]}}
  - {{id: voyage, type: voyage, base_url: 'http://{at}', api_keys: [pa-upstream]}}
api_keys: [{{id: tester, key: {KEY}}}]
policy: {{{policy}}}
"
        ),
        &[],
    )
}

fn post(gateway: &Gateway, path: &str, head: &str, body: &str) -> Reply {
    let mut client = gateway.connect();
    client.send(&format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.reply()
}

fn bearer() -> String {
    format!("Authorization: Bearer {KEY}\r\n")
}

#[test]
fn other_endpoints_pass_as_they_are_to_providers_that_have_them() {
    let provider = Provider::plain();
    let gateway = gateway(&provider, "");
    for (path, body) in [
        ("/v1/completions", r#"{"model":"openai:m","prompt":"a","new_field":1.50}"#),
        ("/v1/moderations", r#"{"model":"openai:m","input":"a"}"#),
        ("/v1/images/generations", r#"{"prompt":"a","model":"openai:m"}"#),
        ("/v1/audio/speech", r#"{"model":"openai:m","input":"a","voice":"v"}"#),
        ("/v1/rerank", r#"{"model":"openai:m","query":"a","documents":["b"]}"#),
    ] {
        let reply = post(&gateway, path, &bearer(), body);
        assert_eq!((reply.status, reply.text()), (200, COMPLETION.to_owned()), "{path}");
        let seen = provider.seen().pop().unwrap();
        assert!(seen.head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{}", seen.head);
        assert_eq!(String::from_utf8(seen.body).unwrap(), body.replace("openai:m", "m"));
        let refused = post(&gateway, path, &bearer(), &body.replace("openai:", "claude:"));
        assert_eq!((refused.status, refused.error_code().as_str()), (400, "unsupported_endpoint"), "{path}");
    }
    let embeddings = r#"{"model":"claude:m","input":"a"}"#;
    assert_eq!(post(&gateway, "/v1/embeddings", &bearer(), embeddings).error_code(), "unsupported_endpoint");
    assert_eq!(provider.seen().len(), 5);
}

#[test]
fn a_provider_is_asked_in_its_dialect_with_its_key_and_answers_in_the_clients() {
    let provider = Provider::start(|_, stream| respond(stream, MESSAGE));
    let gateway = gateway(&provider, "");
    let body = chat_body("claude:claude-x");
    let head = format!("{}OpenAI-Beta: x\r\nX-Stainless-Lang: y\r\ntraceparent: 00-ab-cd-01\r\n", bearer());
    let reply = post(&gateway, "/v1/chat/completions", &head, &body);
    let answer = reply.json();
    assert_eq!((reply.status, &answer["object"]), (200, &"chat.completion".into()), "{}", reply.text());
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello!");
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["usage"]["total_tokens"]),
        (&9.into(), &12.into())
    );
    let seen = provider.seen().pop().unwrap();
    assert!(seen.head.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.header("x-api-key").as_deref(), Some("sk-ant-upstream"));
    assert_eq!(seen.header("anthropic-version").as_deref(), Some("2023-06-01"));
    assert_eq!(seen.header("traceparent").as_deref(), Some("00-ab-cd-01"));
    for name in ["authorization", "openai-beta", "x-stainless-lang"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!((&seen.json()["model"], &seen.json()["max_tokens"]), (&"claude-x".into(), &777.into()));
    let log = gateway.log(1);
    assert_eq!((&log[0]["provider"], &log[0]["status"]), (&"claude".into(), &200.into()), "{log:?}");
}

#[test]
fn alike_dialects_are_left_alone() {
    let provider = Provider::start(|_, stream| respond(stream, MESSAGE));
    let gateway = gateway(&provider, "");
    // Fields nobody here knows, and a number as it was written.
    let body = r#"{"model":"claude:claude-x","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"new":1.50}"#;
    let head = format!("x-api-key: {KEY}\r\nanthropic-version: 2099-01-01\r\nanthropic-beta: b\r\n");
    let reply = post(&gateway, "/v1/messages", &head, body);
    assert_eq!((reply.status, reply.text()), (200, MESSAGE.to_owned()));
    let seen = provider.seen().pop().unwrap();
    assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), body.replace("claude:claude-x", "claude-x"));
    assert_eq!(seen.header("x-api-key").as_deref(), Some("sk-ant-upstream"));
    assert_eq!(seen.head.matches("anthropic-version").count(), 1, "{}", seen.head);
    assert_eq!(seen.header("anthropic-beta").as_deref(), Some("b"));
    let tokens = |kind| gateway.metric("coo_llm_tokens_total", &[kind, "provider=\"claude\""]);
    assert_eq!((tokens("type=\"input\""), tokens("type=\"output\"")), (9.0, 3.0));
}

#[test]
fn what_a_provider_lacks_is_refused_by_name_or_left_out_and_told() {
    let provider = Provider::start(|_, stream| respond(stream, MESSAGE));
    let body = r#"{"model":"claude:claude-x","messages":[{"role":"user","content":"hi"}],"seed":5,"logit_bias":{"1":1}}"#;
    let strict = gateway(&provider, "");
    let refused = post(&strict, "/v1/chat/completions", &bearer(), body);
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "unsupported_parameter"));
    assert!(["seed", "logit_bias"].contains(&refused.json()["error"]["param"].as_str().unwrap()));
    assert!(provider.seen().is_empty());
    let lenient = gateway(&provider, "drop_unsupported_params: true");
    let reply = post(&lenient, "/v1/chat/completions", &bearer(), body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut dropped: Vec<&str> = reply.header("x-coo-dropped-params").unwrap().split(", ").collect();
    dropped.sort_unstable();
    assert_eq!(dropped, ["logit_bias", "seed"]);
}

#[test]
fn anthropics_clients_get_anthropics_errors() {
    let provider = Provider::start(|_, stream| {
        let body = r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
        let head = format!(
            "HTTP/1.1 429 Too Many\r\ncontent-type: application/json\r\ncontent-length: {}",
            body.len()
        );
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).is_ok()
    });
    let gateway = gateway(&provider, "retry: {max_attempts: 1}");
    let key = format!("x-api-key: {KEY}\r\n");
    let body = r#"{"model":"openai:m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    for (head, body, status, kind) in [
        (key.as_str(), body, 429, "rate_limit_error"),
        ("x-api-key: wrong\r\n", body, 401, "authentication_error"),
        ("", body, 401, "authentication_error"),
        (&key, &body.replace("openai:m", "nobody:m"), 404, "not_found_error"),
        (&key, &body.replace("\"max_tokens\":5,", ""), 400, "invalid_request_error"),
        (&key, "{", 400, "invalid_request_error"),
    ] {
        let reply = post(&gateway, "/v1/messages", head, body);
        let error = reply.json();
        assert_eq!((reply.status, &error["type"]), (status, &"error".into()), "{}", reply.text());
        assert_eq!(error["error"]["type"], kind, "{}", reply.text());
    }
}

#[test]
fn tokens_are_counted_for_anthropics_clients() {
    let provider = Provider::start(|_, stream| respond(stream, r#"{"input_tokens":42}"#));
    let gateway = gateway(&provider, "");
    let body =
        r#"{"model":"openai:m","messages":[{"role":"user","content":"How many tokens are these, about?"}]}"#;
    let estimated = post(&gateway, "/v1/messages/count_tokens", &bearer(), body);
    let count = estimated.json()["input_tokens"].as_u64().unwrap();
    assert!((8..30).contains(&count), "{count}");
    assert!(provider.seen().is_empty());
    let counted = post(&gateway, "/v1/messages/count_tokens", &bearer(), &body.replace("openai:", "claude:"));
    assert_eq!(counted.json()["input_tokens"], 42, "{}", counted.text());
    assert!(provider.seen()[0].head.starts_with("POST /v1/messages/count_tokens "));
}

const COHERES: &str = r#"{"id":"c14c","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"Hello!"}]},"usage":{"billed_units":{"input_tokens":9,"output_tokens":3},"tokens":{"input_tokens":71,"output_tokens":3}}}"#;

#[test]
fn cohere_is_asked_by_every_client() {
    let provider = Provider::start(|_, stream| respond(stream, COHERES));
    let gateway = gateway(&provider, "");
    let message = r#"[{"role":"user","content":"hi"}]"#;
    let head = format!("{}OpenAI-Beta: x\r\ntraceparent: 00-ab-cd-01\r\n", bearer());
    for (path, body, sent, text) in [
        (
            "/v1/chat/completions",
            format!(r#"{{"model":"cohere:command-a-03-2025","messages":{message},"top_p":0.5,"stop":"x"}}"#),
            format!(r#"{{"model":"command-a-03-2025","messages":{message},"p":0.5,"stop_sequences":["x"]}}"#),
            "/choices/0/message/content",
        ),
        (
            "/v1/messages",
            format!(r#"{{"model":"cohere:command-a-03-2025","max_tokens":5,"messages":{message}}}"#),
            format!(r#"{{"model":"command-a-03-2025","messages":{message},"max_tokens":5}}"#),
            "/content/0/text",
        ),
        (
            "/v1/responses",
            r#"{"model":"cohere:command-a-03-2025","input":"hi"}"#.to_owned(),
            format!(r#"{{"model":"command-a-03-2025","messages":{message}}}"#),
            "/output/0/content/0/text",
        ),
    ] {
        let reply = post(&gateway, path, &head, &body);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.json().pointer(text), Some(&"Hello!".into()), "{}", reply.text());
        let seen = provider.seen().pop().unwrap();
        assert!(seen.head.starts_with("POST /v2/chat HTTP/1.1\r\n"), "{}", seen.head);
        assert_eq!(seen.header("authorization").as_deref(), Some("Bearer co-upstream"));
        assert_eq!(seen.header("traceparent").as_deref(), Some("00-ab-cd-01"));
        assert_eq!(seen.header("openai-beta"), None);
        assert_eq!(String::from_utf8(seen.body).unwrap(), sent);
    }
    let tokens = |kind| gateway.metric("coo_llm_tokens_total", &[kind, "provider=\"cohere\""]);
    assert_eq!((tokens("type=\"input\""), tokens("type=\"output\"")), (27.0, 9.0), "as they are billed");
    let refused = post(
        &gateway,
        "/v1/chat/completions",
        &bearer(),
        &format!(r#"{{"model":"cohere:command-a-03-2025","messages":{message},"logit_bias":{{"1":1}}}}"#),
    );
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "unsupported_parameter"));
    let count = format!(r#"{{"model":"cohere:command-a-03-2025","messages":{message}}}"#);
    let counted = post(&gateway, "/v1/messages/count_tokens", &bearer(), &count);
    assert!(counted.json()["input_tokens"].as_u64() > Some(0), "{}", counted.text());
}

const COHERES_STREAM: &str = "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"c1\",\"new\":1.50}\n\nevent: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"Hi\"}}}}\n\nevent: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":9,\"output_tokens\":3}}}}\n\ndata: [DONE]\n\n";

/// Byte by byte, fields that nobody here knows included; and what is told of the usage is counted.
#[test]
fn what_coheres_clients_ask_of_cohere_is_left_alone() {
    let provider = Provider::start(|seen, stream| {
        let body = String::from_utf8(seen.body.clone()).unwrap();
        let vectors = r#"{"id":"e","embeddings":{"int8":[[5]]},"meta":{"billed_units":{"input_tokens":8}}}"#;
        let ranks = r#"{"id":"r","results":[],"meta":{"billed_units":{"search_units":1}}}"#;
        match (seen.head.split(' ').nth(1).unwrap(), body.contains("\"stream\":true")) {
            ("/v2/chat", true) => {
                stream_head(stream);
                let end = if body.contains("cut") { 200 } else { COHERES_STREAM.len() };
                write_chunk(stream, &COHERES_STREAM[..end]) && stream.write_all(b"0\r\n\r\n").is_ok()
            }
            ("/v2/chat", false) => respond(stream, COHERES),
            ("/v2/embed", _) => respond(stream, vectors),
            _ => respond(stream, ranks),
        }
    });
    let gateway = gateway(&provider, "");
    let head = format!("{}X-Client-Name: x\r\n", bearer());
    for (path, body, got) in [
        (
            "/v2/chat",
            r#"{ "new":1.50, "model":"cohere:m","messages":[{"role":"user","content":"hi"}],"documents":["d"],"stream":false}"#,
            COHERES,
        ),
        (
            "/v2/chat",
            r#"{"model":"cohere:m","messages":[{"role":"user","content":"hi"}],"stream":true}"#,
            COHERES_STREAM,
        ),
        (
            "/v2/embed",
            r#"{"model":"cohere:m","images":["data:image/png;base64,AAAA"],"input_type":"image","embedding_types":["int8","float"]}"#,
            r#"{"id":"e","embeddings":{"int8":[[5]]},"meta":{"billed_units":{"input_tokens":8}}}"#,
        ),
        (
            "/v2/rerank",
            r#"{"query":"q","documents":["a"],"model":"cohere:rerank-v3.5","relevant_spans":{}}"#,
            r#"{"id":"r","results":[],"meta":{"billed_units":{"search_units":1}}}"#,
        ),
    ] {
        let reply = post(&gateway, path, &head, body);
        assert_eq!((reply.status, reply.text()), (200, got.to_owned()), "{path}");
        let seen = provider.seen().pop().unwrap();
        assert!(seen.head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{}", seen.head);
        assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), body.replace("cohere:", ""));
        assert_eq!(seen.header("authorization").as_deref(), Some("Bearer co-upstream"));
        assert_eq!(seen.header("x-client-name").as_deref(), Some("x"));
    }
    let tokens = |kind| gateway.metric("coo_llm_tokens_total", &[kind, "provider=\"cohere\""]);
    assert_eq!((tokens("type=\"input\""), tokens("type=\"output\"")), (26.0, 6.0));
    let of = |name| gateway.metric(name, &["model=\"rerank-v3.5\""]);
    assert_eq!((of("coo_llm_searches_total"), of("coo_llm_cost_total")), (1.0, 0.002));
    let cut = r#"{"model":"cohere:m","messages":[{"role":"user","content":"cut"}],"stream":true}"#;
    let cut = post(&gateway, "/v2/chat", &head, cut).text();
    let end = cut.rsplit("event: message-end\ndata: ").next().unwrap();
    let end: serde_json::Value = serde_json::from_str(end).unwrap();
    assert_eq!(end["delta"]["finish_reason"], "ERROR", "{cut}");
    assert!(end["delta"]["error"].as_str().is_some_and(|error| !error.is_empty()), "{cut}");
}

#[test]
fn coheres_clients_get_coheres_errors() {
    let provider = Provider::start(|seen, stream| match seen.json()["model"].as_str() {
        Some("slow") => {
            error(stream, 429, r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#)
        }
        _ => respond(stream, COMPLETION),
    });
    let gateway = gateway(&provider, "retry: {max_attempts: 1}");
    let chat = |model: &str, more: &str| {
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#)
    };
    let key = bearer();
    for (path, head, body, status, says) in [
        ("/v2/chat", key.as_str(), chat("openai:slow", ""), 429, "slow down"),
        ("/v2/chat", "Authorization: Bearer wrong\r\n", chat("openai:m", ""), 401, ""),
        ("/v2/embed", "", chat("openai:m", ""), 401, ""),
        ("/v2/chat", &key, chat("nobody:m", ""), 404, "nobody"),
        ("/v2/chat", &key, chat("openai:m", r#","k":5"#), 400, "'k'"),
        ("/v2/chat", &key, chat("openai:m", r#","documents":["a"]"#), 400, "'documents'"),
        ("/v2/chat", &key, chat("claude:m", r#","safety_mode":"STRICT""#), 400, "'safety_mode'"),
        ("/v2/chat", &key, r#"{"model":"openai:m"}"#.to_owned(), 400, "messages"),
        ("/v2/chat", &key, "{".to_owned(), 400, ""),
        ("/v2/embed", &key, r#"{"model":"openai:m"}"#.to_owned(), 400, "texts"),
        ("/v2/embed", &key, r#"{"model":"claude:m","texts":["a"]}"#.to_owned(), 400, "embeddings"),
        ("/v2/rerank", &key, r#"{"model":"voyage:m","documents":["a"]}"#.to_owned(), 400, "query"),
        ("/v2/parse", "", "{}".to_owned(), 401, ""),
    ] {
        let reply = post(&gateway, path, head, &body);
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.text());
        if path != "/v2/parse" {
            let told = reply.json();
            assert_eq!(told.as_object().unwrap().len(), 1, "{told}");
            assert!(told["message"].as_str().unwrap().contains(says), "{told}");
        }
    }
    let dropped = r#"{"model":"openai:m","messages":[{"role":"user","content":"hi"}],"k":5,"priority":2}"#;
    let gateway = self::gateway(&provider, "drop_unsupported_params: true");
    let reply = post(&gateway, "/v2/chat", &key, dropped);
    assert_eq!((reply.status, reply.header("x-coo-dropped-params")), (200, Some("k, priority")));
    assert_eq!(reply.json()["finish_reason"], "COMPLETE", "{}", reply.text());
}

#[test]
fn vectors_and_ranks_are_asked_of_those_who_have_them() {
    let provider = Provider::start(|seen, stream| {
        let body = match (seen.head.contains("rerank"), seen.head.contains("/v2/")) {
            (true, true) => {
                r#"{"id":"r","results":[{"index":1,"relevance_score":0.98}],"meta":{"billed_units":{"search_units":1}}}"#
            }
            (true, false) => {
                r#"{"object":"list","data":[{"index":1,"relevance_score":0.98}],"model":"m","usage":{"total_tokens":8}}"#
            }
            (false, true) => {
                r#"{"id":"e","embeddings":{"float":[[0.50]]},"meta":{"billed_units":{"input_tokens":8}}}"#
            }
            (false, false) => {
                r#"{"object":"list","data":[{"object":"embedding","embedding":[0.50],"index":0}],"model":"m","usage":{"total_tokens":8}}"#
            }
        };
        respond(stream, body)
    });
    let gateway = gateway(&provider, "");
    let embedded = |provider: &str| {
        format!(
            r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[0.50]}}],"model":"{provider}","usage":{{"prompt_tokens":8,"total_tokens":8}}}}"#
        )
    };
    let ranked = r#"[{"index":1,"relevance_score":0.98,"document":{"text":"b"}}]"#;
    for (path, body, at, sent, got) in [
        (
            "/v1/embeddings",
            r#"{"model":"cohere:m","input":"a","dimensions":8}"#,
            "/v2/embed",
            r#"{"model":"m","input_type":"search_document","texts":["a"],"embedding_types":["float"],"output_dimension":8}"#,
            embedded("m"),
        ),
        (
            "/v1/embeddings",
            r#"{"model":"voyage:m","input":"a","dimensions":8,"encoding_format":"float"}"#,
            "/v1/embeddings",
            r#"{"model":"m","input":["a"],"output_dimension":8}"#,
            embedded("m"),
        ),
        (
            "/v1/rerank",
            r#"{"model":"cohere:rerank-v4.0-pro","query":"q","documents":["a",{"text":"b"}],"top_n":1,"return_documents":true}"#,
            "/v2/rerank",
            r#"{"model":"rerank-v4.0-pro","query":"q","documents":["a","b"],"top_n":1}"#,
            format!(
                r#"{{"id":"r","model":"rerank-v4.0-pro","results":{ranked},"meta":{{"billed_units":{{"search_units":1}}}}}}"#
            ),
        ),
        (
            "/v1/rerank",
            r#"{"model":"voyage:m","query":"q","documents":["a","b"],"top_k":1,"truncation":true}"#,
            "/v1/rerank",
            r#"{"model":"m","query":"q","documents":["a","b"],"top_k":1,"truncation":true}"#,
            r#"{"object":"list","model":"m","data":[{"index":1,"relevance_score":0.98}],"usage":{"total_tokens":8}}"#
                .to_owned(),
        ),
    ] {
        let reply = post(&gateway, path, &bearer(), body);
        assert_eq!((reply.status, reply.text()), (200, got), "{body}");
        let seen = provider.seen().pop().unwrap();
        assert!(seen.head.starts_with(&format!("POST {at} HTTP/1.1\r\n")), "{}", seen.head);
        assert_eq!(String::from_utf8(seen.body).unwrap(), sent);
    }
    let of = |name| gateway.metric(name, &["model=\"rerank-v4.0-pro\""]);
    assert_eq!((of("coo_llm_searches_total"), of("coo_llm_cost_total")), (1.0, 0.0025));
    let refused = post(&gateway, "/v1/chat/completions", &bearer(), &chat_body("voyage:m"));
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "unsupported_endpoint"));
    let refused =
        post(&gateway, "/v1/rerank", &bearer(), r#"{"model":"gemini:m","query":"q","documents":["a"]}"#);
    assert_eq!(refused.error_code(), "unsupported_endpoint");
    let body = r#"{"model":"voyage:m","query":"q","documents":["a"],"rank_fields":["x"]}"#;
    let refused = post(&gateway, "/v1/rerank", &bearer(), body);
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &"rank_fields".into()));
    assert_eq!(provider.seen().len(), 4);
    let tokens = |provider| gateway.metric("coo_llm_tokens_total", &["type=\"input\"", provider]);
    assert_eq!((tokens("provider=\"voyage\""), tokens("provider=\"cohere\"")), (16.0, 8.0));
}

/// An answer with a status other than 200.
fn error(stream: &mut std::net::TcpStream, status: u16, body: &str) -> bool {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .is_ok()
}

/// The same whose body comes after its head, in chunks.
fn late_error(stream: &mut std::net::TcpStream, status: u16, body: &str) -> bool {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let (first, rest) = body.split_at(body.len() / 2);
    let _ = stream.write_all(head.as_bytes());
    for part in [first, rest] {
        std::thread::sleep(std::time::Duration::from_millis(20));
        write_chunk(stream, part);
    }
    stream.write_all(b"0\r\n\r\n").is_ok()
}

const GEMINI: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello!"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":12}}"#;
const GEMINI_KEY: &str = include_str!("../src/dialect/gemini/fixtures/error_api_key.json");
const GEMINI_QUOTA: &str = include_str!("../src/dialect/gemini/fixtures/error_quota.json");
const GEMINI_FIELD: &str = include_str!("../src/dialect/gemini/fixtures/error_field.json");

/// Gemini with these keys.
fn gemini(provider: &Provider, keys: &str) -> Gateway {
    let at = provider.at();
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
  - {{id: gemini, type: gemini, base_url: 'http://{at}/v1beta', api_keys: [{keys}]}}
api_keys: [{{id: tester, key: {KEY}}}]
"
        ),
        &[],
    )
}

#[test]
fn a_key_of_geminis_rests_as_long_as_the_body_of_its_429_says() {
    let provider = Provider::start(|_, stream| late_error(stream, 429, GEMINI_QUOTA));
    let gateway = gemini(&provider, "g-1");
    let first = gateway.chat(&chat_body("gemini:m"));
    assert_eq!((first.status, first.error_code().as_str()), (429, "rate_limit_exceeded"), "{}", first.text());
    assert!(first.text().contains("You exceeded your current quota"), "{}", first.text());
    let second = gateway.chat(&chat_body("gemini:m"));
    let wait: u64 = second.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(second.status, 429);
    assert!((30..=37).contains(&wait), "{wait}");
    assert_eq!(provider.seen().len(), 1, "it rests");
}

#[test]
fn a_key_that_gemini_does_not_know_is_taken_out() {
    let provider = Provider::start(|seen, stream| match seen.header("x-goog-api-key").as_deref() {
        Some("g-good") => respond(stream, GEMINI),
        _ if seen.connection % 2 == 0 => error(stream, 400, GEMINI_KEY),
        _ => late_error(stream, 400, GEMINI_KEY),
    });
    let gateway = gemini(&provider, "g-wrong, g-good");
    for _ in 0..6 {
        let reply = gateway.chat(&chat_body("gemini:m"));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let wrong =
        provider.seen().iter().filter(|seen| seen.header("x-goog-api-key").unwrap() == "g-wrong").count();
    assert_eq!(wrong, 1);
    // Whoever has no other is told that it is the gateway's key, as of a 401.
    let alone = gemini(&provider, "g-wrong").chat(&chat_body("gemini:m"));
    assert_eq!(
        (alone.status, alone.error_code().as_str()),
        (502, "upstream_auth_rejected"),
        "{}",
        alone.text()
    );
}

#[test]
fn the_name_of_a_model_stays_in_its_place() {
    let provider = Provider::start(|_, stream| respond(stream, GEMINI));
    let gateway = gemini(&provider, "g-1");
    let name = "m:x HTTP/1.1\\r\\nx-evil: 1\\r\\n\\r\\nPOST /v1beta/models/other";
    let reply = gateway.chat(&chat_body(&format!("gemini:{name}")));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = provider.seen();
    assert_eq!((seen.len(), seen[0].header("x-evil")), (1, None), "{}", seen[0].head);
    assert!(seen[0].head.starts_with("POST /v1beta/m%3Ax%20HTTP/1.1%0D%0Ax-evil"), "{}", seen[0].head);
}

#[test]
fn other_errors_of_geminis_with_the_same_status_are_the_clients() {
    let provider = Provider::start(|_, stream| late_error(stream, 400, GEMINI_FIELD));
    let gateway = gemini(&provider, "g-1, g-2");
    let reply = gateway.chat(&chat_body("gemini:m"));
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (400, &"invalid_request_error".into()));
    assert_eq!(reply.json()["error"]["param"], "generation_config.top_k", "{}", reply.text());
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn a_file_that_was_uploaded_needs_anthropics_beta() {
    let provider = Provider::start(|_, stream| respond(stream, MESSAGE));
    let gateway = gateway(&provider, "");
    for (part, beta) in [
        (r#"{"type":"file","file":{"file_id":"file_1"}}"#, Some("files-api-2025-04-14")),
        (r#"{"type":"text","text":"a"}"#, None),
    ] {
        let body = format!(r#"{{"model":"claude:m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
        let reply = post(&gateway, "/v1/chat/completions", &bearer(), &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(provider.seen().pop().unwrap().header("anthropic-beta").as_deref(), beta);
    }
}

/// A route to all three; the first is Claude.
fn route(provider: &Provider, targets: &str, more: &str) -> Gateway {
    let at = provider.at();
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
  - {{id: claude, type: claude, base_url: 'http://{at}/v1', api_keys: [a], limits: {{req_per_min: 3}}}}
  - {{id: claude2, type: claude, base_url: 'http://{at}/v1', api_keys: [b]}}
  - {{id: openai, type: openai, base_url: 'http://{at}/v1', api_keys: [c]}}
api_keys: [{{id: tester, key: {KEY}}}]
model_aliases: {{all: [{targets}]}}
{more}"
        ),
        &[],
    )
}

#[test]
fn a_target_that_cannot_express_a_request_gives_way_to_one_that_can() {
    let provider = Provider::start(|seen, stream| {
        respond(stream, if seen.head.starts_with("POST /v1/messages") { MESSAGE } else { COMPLETION })
    });
    let gateway =
        route(&provider, "'claude:m', 'claude2:m', 'openai:m'", "policy: {retry: {max_attempts: 1}}\n");
    let body = chat_body("all").replace("\"messages\"", "\"seed\":5,\"messages\"");
    // More often than the key of the first may be used: what was reserved with it is given back.
    for _ in 0..10 {
        let reply = gateway.chat(&body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(
            (reply.header("x-coo-provider"), reply.header("x-coo-attempts")),
            (Some("openai"), Some("1"))
        );
    }
    assert!(provider.seen().iter().all(|seen| seen.json()["seed"] == 5));
    let plain = gateway.chat(&chat_body("claude:m"));
    assert_eq!(plain.status, 200, "{}", plain.text());
    let fallback = route(&provider, "'claude:m', 'claude2:m'", "");
    let refused = fallback.chat(&body);
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "unsupported_parameter"));
    assert_eq!(refused.json()["error"]["param"], "seed");
    assert!(refused.text().contains("(claude)"), "{}", refused.text());
}

#[test]
fn one_that_failed_is_asked_again_where_the_others_cannot_express_the_request() {
    let provider = Provider::start(|seen, stream| match seen.nth + seen.connection {
        0 => error(stream, 500, "{}"),
        _ => respond(stream, COMPLETION),
    });
    let more = "policy: {algorithm: round_robin, retry: {max_attempts: 2, interval: 10ms}}\n";
    let gateway = route(&provider, "'openai:m', 'claude:m'", more);
    let body = chat_body("all").replace("\"messages\"", "\"seed\":5,\"messages\"");
    let reply = gateway.chat(&body);
    assert_eq!((reply.status, reply.header("x-coo-attempts")), (200, Some("2")), "{}", reply.text());
    assert_eq!(provider.seen().len(), 2);
}

#[test]
fn images_in_other_dialects_count_as_images_in_budgets() {
    let provider = Provider::start(|seen, stream| {
        respond(stream, if seen.head.starts_with("POST /v1/messages") { MESSAGE } else { COMPLETION })
    });
    let at = provider.at();
    let gateway = Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{at}/v1', api_keys: [c]}}
  - {{id: claude, type: claude, base_url: 'http://{at}/v1', api_keys: [c]}}
api_keys: [{{id: tester, key: {KEY}, limits: {{tokens_per_min: 60000}}}}]
"
        ),
        &[],
    );
    let image = "A".repeat(400_000);
    for model in ["openai:m", "claude:m"] {
        let messages = format!(
            r#"{{"model":"{model}","max_tokens":5,"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{image}"}}}}]}}]}}"#
        );
        let responses = format!(
            r#"{{"model":"{model}","max_output_tokens":5,"input":[{{"role":"user","content":[{{"type":"input_image","image_url":"data:image/png;base64,{image}"}}]}}]}}"#
        );
        for (path, body) in [("/v1/messages", messages), ("/v1/responses", responses)] {
            let reply = post(&gateway, path, &bearer(), &body);
            assert_eq!(reply.status, 200, "{model} at {path}: {}", reply.text());
        }
    }
}

const SOUND_TYPE: &str = "Content-Type: multipart/form-data; boundary=\"b b\"\r\n";

fn form(model: &str, more: &str) -> String {
    format!(
        "--b b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\u{0}model=x\r\n--b\r\n--b b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n{more}--b b--\r\n"
    )
}

#[test]
fn forms_pass_as_they_are_but_for_the_model() {
    let provider = Provider::start(|seen, stream| {
        if String::from_utf8_lossy(&seen.body).contains("name=\"stream\"") {
            stream_head(stream);
            write_chunk(stream, "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hel\"}\n\n");
            write_chunk(
                stream,
                "data: {\"type\":\"transcript.text.done\",\"text\":\"Hel\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"output_tokens\":2,\"total_tokens\":16}}\n\n",
            );
            return stream.write_all(b"0\r\n\r\n").is_ok();
        }
        respond(stream, r#"{"text":"Hello","usage":{"type":"duration","seconds":9}}"#)
    });
    let gateway = gateway(&provider, "");
    let head = format!("{}{SOUND_TYPE}x-mine: 1\r\n", bearer());
    for path in ["/v1/audio/transcriptions", "/v1/audio/translations"] {
        let body = form("openai:whisper-1", "");
        let reply = post(&gateway, path, &head, &body);
        assert_eq!((reply.status, &reply.json()["usage"]["seconds"]), (200, &9.into()), "{}", reply.text());
        let seen = provider.seen().pop().unwrap();
        assert!(seen.head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{}", seen.head);
        assert_eq!(seen.header("content-type").unwrap(), "multipart/form-data; boundary=\"b b\"");
        assert_eq!(seen.head.to_ascii_lowercase().matches("content-type:").count(), 1, "{}", seen.head);
        assert_eq!(
            (seen.header("x-mine").as_deref(), seen.header("authorization").as_deref()),
            (Some("1"), Some("Bearer sk-upstream"))
        );
        assert_eq!(String::from_utf8(seen.body).unwrap(), body.replace("openai:whisper-1", "whisper-1"));
    }
    let stream = "--b b\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n";
    let reply = post(&gateway, "/v1/audio/transcriptions", &head, &form("openai:gpt-4o-transcribe", stream));
    assert!(
        reply.text().contains("transcript.text.delta") && reply.text().contains("\"input_tokens\":14"),
        "{}",
        reply.text()
    );
    let tokens = |kind| gateway.metric("coo_llm_tokens_total", &[kind, "model=\"gpt-4o-transcribe\""]);
    assert_eq!((tokens("type=\"input\""), tokens("type=\"output\"")), (14.0, 2.0));
    assert_eq!(gateway.metric("coo_llm_audio_seconds_total", &["model=\"whisper-1\""]), 18.0);
    assert_eq!(gateway.metric("coo_llm_cost_total", &["model=\"whisper-1\""]), 0.0018);
    let log = gateway.log(3);
    assert_eq!((&log[0]["audio_seconds"], &log[2]["stream"]), (&9.into(), &true.into()), "{log:?}");
    assert!(log[2]["first_token_us"].is_u64(), "{log:?}");
}

#[test]
fn what_is_wrong_with_a_form_is_said() {
    let provider = Provider::plain();
    let gateway = gateway(&provider, "");
    let whole = form("openai:m", "");
    let form_type = format!("{}{SOUND_TYPE}", bearer());
    let other = format!("{}Content-Type: application/json\r\n", bearer());
    for (head, body, status, code, param) in [
        (
            &form_type,
            whole.replace("name=\"model\"", "name=\"x\""),
            400,
            "missing_required_parameter",
            "model",
        ),
        (&form_type, whole.replace("name=\"file\"", "name=\"x\""), 400, "missing_required_parameter", "file"),
        (&form_type, whole.replace("--b b--", "--b b"), 400, "invalid_form", ""),
        (&other, whole.clone(), 400, "invalid_form", ""),
        (&bearer(), whole.clone(), 400, "invalid_form", ""),
        (&form_type, form("claude:m", ""), 400, "unsupported_endpoint", "model"),
        (&form_type, form("nobody:m", ""), 404, "model_not_found", "model"),
    ] {
        let reply = post(&gateway, "/v1/audio/transcriptions", head, &body);
        assert_eq!((reply.status, reply.error_code().as_str()), (status, code), "{}", reply.text());
        if status == 400 && code != "unsupported_endpoint" {
            assert_eq!(
                reply.json()["error"]["param"].as_str().unwrap_or_default(),
                param,
                "{}",
                reply.text()
            );
        }
    }
    assert!(provider.seen().is_empty());
}

/// An event of Bedrock's stream in its binary framing.
fn frame(name: &str, payload: &str) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let step = |sum: u32, _| if sum & 1 == 1 { 0xEDB8_8320 ^ (sum >> 1) } else { sum >> 1 };
        let sum = bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step));
        (!sum).to_be_bytes()
    };
    let mut headers = Vec::new();
    for (key, value) in [(":event-type", name), (":message-type", "event")] {
        headers.push(key.len() as u8);
        headers.extend_from_slice(key.as_bytes());
        headers.extend_from_slice(&[7, 0, value.len() as u8]);
        headers.extend_from_slice(value.as_bytes());
    }
    let length = 16 + headers.len() + payload.len();
    let mut out = [(length as u32).to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    out.extend_from_slice(&sum(&out));
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload.as_bytes());
    out.extend_from_slice(&sum(&out));
    out
}

#[test]
fn bedrock_is_asked_with_a_signature_or_its_own_key() {
    const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hello!"}]}},"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":3,"totalTokens":12},"metrics":{"latencyMs":1}}"#;
    let provider = Provider::start(|_, stream| respond(stream, ANSWER));
    let gateway = gateway(&provider, "");
    let reply =
        post(&gateway, "/v1/chat/completions", &bearer(), &chat_body("bedrock:amazon.nova-lite-v1:0"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello!");
    let seen = provider.seen().pop().unwrap();
    assert!(
        seen.head.starts_with("POST /model/amazon.nova-lite-v1%3A0/converse HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    assert_eq!(seen.json()["messages"][0]["role"], "user");
    assert_eq!(seen.header("x-amz-security-token").as_deref(), Some("the-token"));
    let (date, signed) = (seen.header("x-amz-date").unwrap(), seen.header("authorization").unwrap());
    let scope = format!("AKIAIOSFODNN7EXAMPLE/{}/us-east-1/bedrock/aws4_request", &date[..8]);
    let fields = "content-type;host;x-amz-date;x-amz-security-token";
    let start = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={fields}, Signature=");
    assert_eq!(signed.len(), start.len() + 64, "{signed}");
    assert!(signed.starts_with(&start) && !seen.head.contains("the-secret-key"), "{signed}");
    let metrics = gateway.get("/metrics").text();
    for told in [metrics, format!("{:?}", gateway.log(1)), gateway.stderr.lock().unwrap().clone()] {
        assert!(!told.contains("the-secret-key") && !told.contains("the-token"), "{told}");
    }

    let path = "/v1/messages";
    let body = chat_body("plain:arn:aws:bedrock:us-east-1:1:inference-profile/p").replacen(
        '{',
        "{\"max_tokens\":5,",
        1,
    );
    let reply = post(&gateway, path, &bearer(), &body);
    assert_eq!((reply.status, &reply.json()["stop_reason"]), (200, &"end_turn".into()), "{}", reply.text());
    let seen = provider.seen().pop().unwrap();
    let path = "/aws/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fp/converse";
    assert!(seen.head.starts_with(&format!("POST {path} ")), "{}", seen.head);
    assert_eq!(seen.header("authorization").as_deref(), Some("Bearer ABSK-upstream"));
    assert_eq!(seen.header("x-amz-date"), None);
}

#[test]
fn bedrocks_binary_streams_become_events() {
    let provider = Provider::start(|_, stream| {
        use std::io::Write;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let events = [
            frame("messageStart", r#"{"role":"assistant"}"#),
            frame("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hello \u00e9"},"p":"ab"}"#),
            frame("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            frame("messageStop", r#"{"stopReason":"end_turn"}"#),
            frame(
                "metadata",
                r#"{"usage":{"inputTokens":9,"outputTokens":3,"totalTokens":12},"metrics":{}}"#,
            ),
        ];
        for byte in events.concat().chunks(7) {
            let _ = stream.write_all(format!("{:x}\r\n", byte.len()).as_bytes());
            let _ = stream.write_all(&[byte, b"\r\n"].concat());
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = gateway(&provider, "");
    let body = chat_body("plain:m").replacen('{', "{\"stream\":true,", 1);
    let reply = post(&gateway, "/v1/chat/completions", &bearer(), &body);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    let text = reply.text();
    assert!(
        reply.complete && text.contains(r#""content":"Hello é""#) && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    assert!(provider.seen()[0].head.starts_with("POST /aws/model/m/converse-stream "));
    let tokens = |kind| gateway.metric("coo_llm_tokens_total", &[kind, "provider=\"plain\""]);
    assert_eq!((tokens("type=\"input\""), tokens("type=\"output\"")), (9.0, 3.0));
}

#[test]
fn a_key_that_signs_is_told_from_what_it_may_not_do() {
    let provider = Provider::start(|seen, stream| {
        use std::io::Write;
        let model = seen.head.split('/').nth(2).unwrap_or_default().to_owned();
        let body = r#"{"message":"The Canonical String should have been 'x-amz-security-token:the-token'"}"#;
        let head =
            format!("HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: {model}:http://internal.amazon.com/\r\n");
        stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).is_ok()
    });
    let gateway = gateway(&provider, "retry: {max_attempts: 1}");
    let ask = |model: &str| post(&gateway, "/v1/chat/completions", &bearer(), &chat_body(model));
    for _ in 0..3 {
        let reply = ask("bedrock:AccessDeniedException");
        assert_eq!((reply.status, &reply.json()["error"]["type"]), (403, &"permission_error".into()));
    }
    let reply = ask("bedrock:InvalidSignatureException");
    assert!(reply.status >= 500 && !reply.text().contains("the-token"), "{}", reply.text());
}

/// A provider of this type with these keys.
fn keyed(provider: &Provider, kind: &str, keys: &str) -> Gateway {
    let at = provider.at();
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
llm_providers:
  - {{id: p, type: {kind}, base_url: 'http://{at}/v1', api_keys: [{keys}]}}
api_keys: [{{id: tester, key: {KEY}}}]
"
        ),
        &[],
    )
}

/// How often a key was used.
fn uses(provider: &Provider, key: &str) -> usize {
    let key = format!("Bearer {key}");
    provider.seen().iter().filter(|seen| seen.header("authorization").as_ref() == Some(&key)).count()
}

#[test]
fn a_key_of_bedrocks_own_is_told_from_a_model_that_it_may_not_use() {
    const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hello!"}]}},"stopReason":"end_turn"}"#;
    const DENIED: &str = "You don't have access to the model with the specified model ID.";
    const UNPERMITTED: &str = "User: arn:aws:iam::1:user/BedrockAPIKey-a is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/m because no identity-based policy allows the bedrock:InvokeModel action";
    const WRONG: &str = "Authentication failed: Please make sure your API Key is valid.";
    const EXPIRED: &str = "Bearer Token has expired";
    let provider = Provider::start(|seen, stream| {
        let key = seen.header("authorization").unwrap();
        let message = match key.strip_prefix("Bearer ABSK-").unwrap() {
            "wrong" => WRONG,
            "expired" => EXPIRED,
            _ if seen.head.contains("/denied/") => DENIED,
            _ if seen.head.contains("/unpermitted/") => UNPERMITTED,
            _ => return respond(stream, ANSWER),
        };
        let body = format!(r#"{{"message":"{message}"}}"#);
        let name = "x-amzn-ErrorType: AccessDeniedException:http://internal.amazon.com/";
        let length = body.len();
        let head = format!("HTTP/1.1 403 Forbidden\r\n{name}\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
    });
    let gateway = keyed(&provider, "bedrock", "ABSK-1, ABSK-2");
    for model in ["denied", "unpermitted"] {
        for _ in 0..4 {
            let reply = gateway.chat(&chat_body(&format!("p:{model}")));
            let kind = &reply.json()["error"]["type"];
            assert_eq!((reply.status, kind), (403, &"permission_error".into()), "{}", reply.text());
        }
    }
    assert_eq!((uses(&provider, "ABSK-1"), uses(&provider, "ABSK-2")), (4, 4), "both go on");
    let gateway = keyed(&provider, "bedrock", "ABSK-wrong, ABSK-expired, ABSK-3");
    for _ in 0..6 {
        let reply = gateway.chat(&chat_body("p:m"));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!((uses(&provider, "ABSK-wrong"), uses(&provider, "ABSK-expired")), (1, 1), "they are out");
    let alone = keyed(&provider, "bedrock", "ABSK-wrong").chat(&chat_body("p:m"));
    assert_eq!((alone.status, alone.error_code().as_str()), (502, "upstream_auth_rejected"));
}

#[test]
fn a_key_that_xai_does_not_know_is_taken_out() {
    const WRONG: &str = r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: sk***am. You can obtain an API key from https://console.x.ai."}"#;
    const OTHER: &str = r#"{"code":"Client specified an invalid argument","error":"Argument not supported on this model: presencePenalty"}"#;
    let provider = Provider::start(|seen, stream| match seen.header("authorization").as_deref() {
        Some("Bearer xai-1" | "Bearer xai-2") if seen.body.ends_with(b"\"other\"}") => {
            error(stream, 400, OTHER)
        }
        Some("Bearer xai-1" | "Bearer xai-2") => respond(stream, COMPLETION),
        _ if seen.connection % 2 == 0 => error(stream, 400, WRONG),
        _ => late_error(stream, 400, WRONG),
    });
    let gateway = keyed(&provider, "grok", "xai-wrong, xai-1");
    for _ in 0..6 {
        let reply = gateway.chat(&chat_body("p:grok-4"));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(uses(&provider, "xai-wrong"), 1, "it is out");
    let alone = keyed(&provider, "grok", "xai-alone").chat(&chat_body("p:grok-4"));
    assert_eq!((alone.status, alone.error_code().as_str()), (502, "upstream_auth_rejected"));
    assert!(!alone.text().contains("sk***am"), "{}", alone.text());
    // What else is a 400 is the client's, and passed on as it is; so is all that is one of others.
    let gateway = keyed(&provider, "grok", "xai-1, xai-2");
    let body = chat_body("p:grok-4").replace("}]}", "}],\"user\":\"other\"}");
    for _ in 0..4 {
        let reply = gateway.chat(&body);
        assert_eq!((reply.status, reply.text()), (400, OTHER.to_owned()));
    }
    assert_eq!(uses(&provider, "xai-2"), 2);
    let other = keyed(&provider, "together", "t-1").chat(&chat_body("p:m"));
    assert_eq!((other.status, other.text()), (400, WRONG.to_owned()));
}

/// Those of OpenAI's family that have ways of their own, at the same place.
fn family(provider: &Provider) -> Gateway {
    let at = provider.at();
    let providers: String = ["mistral", "grok", "openrouter", "together", "huggingface", "custom"]
        .map(|kind| {
            format!("  - {{id: {kind}, type: {kind}, base_url: 'http://{at}/v1', api_keys: [sk-upstream]}}\n")
        })
        .concat();
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
{providers}api_keys: [{{id: tester, key: {KEY}}}]
policy: {{retry: {{max_attempts: 1}}}}
"
        ),
        &[],
    )
}

#[test]
fn each_of_openais_family_is_asked_in_its_own_words() {
    let provider = Provider::start(|_, stream| respond(stream, COMPLETION));
    let gateway = family(&provider);
    let messages = r#"[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"r"},{"type":"text","text":"and?"}]}]"#;
    let tools = r#""tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"}"#;
    let anthropics = |model: &str, more: &str| {
        format!(r#"{{"model":"{model}","max_tokens":5,"messages":{messages},{tools}{more}}}"#)
    };
    let sent = |body: &str| {
        let reply = post(&gateway, "/v1/messages", &bearer(), body);
        assert_eq!((reply.status, &reply.json()["type"]), (200, &"message".into()), "{}", reply.text());
        String::from_utf8(provider.seen().pop().unwrap().body).unwrap()
    };
    let function = r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#;
    let openais = |id: &str, bridge: &str| {
        let call =
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#);
        format!(
            r#"{{"role":"user","content":"hi"}},{{"role":"assistant","content":null,"tool_calls":[{call}]}},{{"role":"tool","tool_call_id":"{id}","content":"r"}},{bridge}{{"role":"user","content":"and?"}}"#
        )
    };
    let got = sent(&anthropics("mistral:m", ""));
    let id = got.split_once(r#""tool_calls":[{"id":""#).unwrap().1.get(..9).unwrap().to_owned();
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{got}");
    let mistrals = openais(&id, r#"{"role":"assistant","content":"OK."},"#);
    assert_eq!(
        got,
        format!(r#"{{"model":"m","messages":[{mistrals}],{function},"tool_choice":"any","max_tokens":5}}"#)
    );
    let plain = openais("toolu_1", "");
    for (model, more, wanted) in [
        ("openrouter", r#","top_k":7"#, r#","top_k":7"#),
        ("together", r#","top_k":7"#, r#","top_k":7"#),
        (
            "openrouter",
            r#","thinking":{"type":"enabled","budget_tokens":2048}"#,
            r#","reasoning":{"max_tokens":2048}"#,
        ),
        ("custom", "", ""),
    ] {
        let got = sent(&anthropics(&format!("{model}:m"), more));
        let wanted = format!(
            r#"{{"model":"m","messages":[{plain}],{function},"tool_choice":"required","max_tokens":5{wanted}}}"#
        );
        assert_eq!(got, wanted, "{model} {more}");
    }
    for (body, param) in [
        (anthropics("grok:grok-4", r#","stop_sequences":["x"]"#), "stop"),
        (anthropics("huggingface:m", r#","top_k":7"#), "top_k"),
    ] {
        let seen = provider.seen().len();
        let reply = post(&gateway, "/v1/messages", &bearer(), &body);
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.text().contains(&format!("'{param}'")), "{}", reply.text());
        assert_eq!(provider.seen().len(), seen);
    }
    // Anthropic's tools always say whose request it is.
    let body = anthropics("mistral:m", r#","metadata":{"user_id":"u"}"#);
    let reply = post(&gateway, "/v1/messages", &bearer(), &body);
    assert_eq!((reply.status, reply.header("x-coo-dropped-params")), (200, Some("user")), "{}", reply.text());
    // What OpenAI's own clients send is left alone, whoever is asked.
    let body = r#"{"model":"mistral:m","messages":[{"role":"user","content":"hi"}],"seed":5,"tool_choice":"required","logit_bias":{"1":1.50}}"#;
    assert_eq!(post(&gateway, "/v1/chat/completions", &bearer(), body).status, 200);
    let seen = provider.seen().pop().unwrap();
    assert_eq!(String::from_utf8(seen.body).unwrap(), body.replace("mistral:m", "m"));
}

#[test]
fn errors_of_openais_family_are_told_to_anthropics_clients() {
    let provider = Provider::start(|seen, stream| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let asked = |model: &str| body.contains(&format!("\"model\":\"{model}\""));
        if asked("found") {
            return error(
                stream,
                422,
                r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs are not permitted"}]}}"#,
            );
        }
        if asked("paid") {
            return respond(
                stream,
                r#"{"error":{"message":"Insufficient credits","code":402},"user_id":"u"}"#,
            );
        }
        if asked("late") {
            return respond(
                stream,
                r#"{"id":"1","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"error","error":{"code":502,"message":"Down"}}]}"#,
            );
        }
        if asked("grok-4") {
            return error(stream, 404, r#"{"code":"Not found","error":"The model grok-4 does not exist"}"#);
        }
        stream_head(stream);
        write_chunk(stream, ": OPENROUTER PROCESSING\n\n");
        write_chunk(stream, &delta("Hi"));
        write_chunk(stream, ": OPENROUTER PROCESSING\n\n");
        write_chunk(
            stream,
            "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":502,\"message\":\"Provider disconnected\"}}\n\n",
        );
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = family(&provider);
    let body = |model: &str, more: &str| {
        format!(r#"{{"model":"{model}","max_tokens":5,"messages":[{{"role":"user","content":"hi"}}]{more}}}"#)
    };
    for (model, status, kind, message) in [
        ("mistral:found", 422, "invalid_request_error", "x: Extra inputs are not permitted"),
        ("openrouter:paid", 429, "rate_limit_error", "Insufficient credits"),
        ("openrouter:late", 502, "api_error", "Down"),
        ("grok:grok-4", 404, "not_found_error", "The model grok-4 does not exist"),
    ] {
        let reply = post(&gateway, "/v1/messages", &bearer(), &body(model, ""));
        let told = reply.json();
        assert_eq!(reply.status, status, "{model}: {}", reply.text());
        assert_eq!(
            (&told["error"]["type"], &told["error"]["message"]),
            (&kind.into(), &message.into()),
            "{model}"
        );
    }
    let reply = post(&gateway, "/v1/messages", &bearer(), &body("openrouter:m", r#","stream":true"#));
    let text = reply.text();
    assert!(reply.status == 200 && text.contains("\"text\":\"Hi\""), "{text}");
    assert!(text.contains("event: error") && text.contains("Provider disconnected"), "{text}");
    assert!(!text.contains("PROCESSING") && !text.contains("message_stop"), "{text}");
}

const GOOGLES_PATH: &str = "/v1beta/models/gemini:gemini-2.5-flash";
/// Fields nobody here knows, and a number as it was written.
const CONTENTS: &str =
    r#"{ "contents":[{"role":"user","parts":[{"text":"hi"}]}],"new":1.50 ,"generation_config":{"topK":4}}"#;

#[test]
fn googles_clients_are_left_alone_before_gemini() {
    let provider = Provider::start(|_, stream| respond(stream, GEMINI));
    let gateway = gateway(&provider, "");
    let key = format!("x-goog-api-key: {KEY}\r\nx-goog-api-client: genai\r\n");
    for (path, head, wanted) in [
        (
            format!("{GOOGLES_PATH}:generateContent"),
            key.as_str(),
            "/v1beta/models/gemini-2.5-flash:generateContent",
        ),
        (
            format!("/v1/models/gemini%3Atuned%20%C3%A9:generateContent?%24alt=json&key={KEY}&x=1"),
            "",
            "/v1beta/models/tuned%20%C3%A9:generateContent",
        ),
        (
            format!("{GOOGLES_PATH}:generateContent"),
            &bearer(),
            "/v1beta/models/gemini-2.5-flash:generateContent",
        ),
        (format!("{GOOGLES_PATH}:countTokens"), &key, "/v1beta/models/gemini-2.5-flash:countTokens"),
    ] {
        let reply = post(&gateway, &path, head, CONTENTS);
        assert_eq!((reply.status, reply.text()), (200, GEMINI.to_owned()), "{path}");
        let seen = provider.seen().pop().unwrap();
        assert!(seen.head.starts_with(&format!("POST {wanted} HTTP/1.1\r\n")), "{}", seen.head);
        assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), CONTENTS);
        assert_eq!(seen.header("x-goog-api-key").as_deref(), Some("g-upstream"));
        assert!(!seen.head.contains(KEY), "{}", seen.head);
    }
    assert_eq!(provider.seen()[0].header("x-goog-api-client").as_deref(), Some("genai"));
    let tokens = |kind| gateway.metric("coo_llm_tokens_total", &[kind, "provider=\"gemini\""]);
    assert_eq!((tokens("type=\"input\""), tokens("type=\"output\"")), (36.0, 12.0));
    let log = gateway.log(4);
    assert_eq!(
        (&log[0]["model"], &log[0]["path"]),
        (&"gemini-2.5-flash".into(), &format!("{GOOGLES_PATH}:generateContent").into())
    );
    for line in &log {
        assert!(!line.to_string().contains(KEY), "{line}");
    }
    // Where the body names the model again.
    let body = r#"{"requests":[{"model":"models/gemini:m","content":{"parts":[{"text":"a"}]}}]}"#;
    let reply = post(&gateway, "/v1beta/models/gemini:m:batchEmbedContents", &key, body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = provider.seen().pop().unwrap();
    assert!(seen.head.starts_with("POST /v1beta/models/m:batchEmbedContents HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(String::from_utf8(seen.body).unwrap(), body.replace("gemini:m", "m"));
    let refused = post(&gateway, "/v1beta/models/claude:m:batchEmbedContents", &key, body);
    assert_eq!((refused.status, &refused.json()["error"]["status"]), (400, &"INVALID_ARGUMENT".into()));
}

#[test]
fn geminis_streams_pass_as_they_are() {
    let stream = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hé\"}],\"role\":\"model\"},\"index\":0}],\"new\":1.50}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"!\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":3,\"thoughtsTokenCount\":2,\"totalTokenCount\":14}}\r\n\r\n";
    let provider = Provider::start(move |_, to| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = to.write_all(head.as_bytes());
        for piece in stream.as_bytes().chunks(7) {
            let _ = write!(to, "{:x}\r\n", piece.len());
            let _ = to.write_all(piece);
            let _ = to.write_all(b"\r\n");
        }
        to.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = gateway(&provider, "");
    let key = format!("x-goog-api-key: {KEY}\r\n");
    let reply = post(&gateway, &format!("{GOOGLES_PATH}:streamGenerateContent?alt=sse"), &key, CONTENTS);
    assert_eq!((reply.status, reply.text()), (200, stream.to_owned()));
    let seen = provider.seen().pop().unwrap();
    let path = "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse HTTP/1.1\r\n";
    assert!(seen.head.starts_with(path), "{}", seen.head);
    let tokens = |kind| gateway.metric("coo_llm_tokens_total", &[kind, "provider=\"gemini\""]);
    assert_eq!((tokens("type=\"input\""), tokens("type=\"output\"")), (9.0, 5.0));
    let array = post(&gateway, &format!("{GOOGLES_PATH}:streamGenerateContent"), &key, CONTENTS);
    assert_eq!((array.status, &array.json()["error"]["status"]), (400, &"INVALID_ARGUMENT".into()));
    assert!(array.text().contains("alt=sse"), "{}", array.text());
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn googles_clients_get_googles_errors_counts_and_models() {
    let provider = Provider::start(|_, stream| {
        error(
            stream,
            429,
            r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#,
        )
    });
    let gateway = gateway(&provider, "retry: {max_attempts: 1}");
    let key = format!("x-goog-api-key: {KEY}\r\n");
    let chat = |model: &str| format!("/v1beta/models/{model}:generateContent");
    let body = r#"{"contents":[{"parts":[{"text":"How many tokens are these, about?"}]}]}"#;
    for (path, head, body, status, name) in [
        (chat("openai:m"), key.as_str(), body, 429, "RESOURCE_EXHAUSTED"),
        (chat("openai:m"), "x-goog-api-key: wrong\r\n", body, 401, "UNAUTHENTICATED"),
        (chat("openai:m"), "", body, 401, "UNAUTHENTICATED"),
        (chat("openai:m") + "?key=wrong", "", body, 401, "UNAUTHENTICATED"),
        (format!("{}?key={KEY}&key={KEY}", chat("openai:m")), "", body, 401, "UNAUTHENTICATED"),
        (chat("nobody:m"), &key, body, 404, "NOT_FOUND"),
        (chat("openai:a%"), &key, body, 400, "INVALID_ARGUMENT"),
        (chat("gemini:../x"), &key, body, 400, "INVALID_ARGUMENT"),
        (chat(""), &key, body, 400, "INVALID_ARGUMENT"),
        (chat("openai:m"), &key, r#"{"contents":[]}"#, 400, "INVALID_ARGUMENT"),
        (chat("openai:m"), &key, "{", 400, "INVALID_ARGUMENT"),
        ("/v1beta/models/openai:m:doMore".to_owned(), &key, body, 404, "NOT_FOUND"),
        ("/v1beta/files".to_owned(), &key, body, 404, "NOT_FOUND"),
        ("/v1beta/files".to_owned(), "", body, 401, "UNAUTHENTICATED"),
    ] {
        let reply = post(&gateway, &path, head, body);
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["code"]), (status, &status.into()), "{path}: {}", reply.text());
        assert_eq!(error["status"], name, "{path}: {}", reply.text());
    }
    assert_eq!(provider.seen().len(), 1);
    // A key in the query is nobody's but at Google's paths.
    let elsewhere = post(&gateway, &format!("/v1/chat/completions?key={KEY}"), "", &chat_body("openai:m"));
    assert_eq!(elsewhere.status, 401);
    let strict = r#"{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"topK":4}}"#;
    let refused = post(&gateway, &chat("openai:m"), &key, strict);
    assert_eq!(refused.json()["error"]["details"][0]["fieldViolations"][0]["field"], "generationConfig.topK");
    let counted = post(&gateway, "/v1beta/models/openai:m:countTokens", &key, body);
    let count = counted.json()["totalTokens"].as_u64().unwrap();
    assert!((8..30).contains(&count), "{count}");
    let mut client = gateway.connect();
    let mut models = |path: &str, head: &str| {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n"));
        client.reply().text()
    };
    for (path, head) in [
        ("/v1beta/models?pageSize=5", key.as_str()),
        ("/v1beta/models", &bearer()),
        ("/v1/models", &key),
        (&format!("/v1/models?pageSize=5&key={KEY}"), ""),
    ] {
        assert_eq!(models(path, head), r#"{"models":[]}"#, "{path}");
    }
    assert_eq!(models("/v1/models", &bearer()), r#"{"object":"list","data":[]}"#);
}
