//! What reaches the provider, what comes back, and what is counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::io::Write;

use common::*;
use serde_json::json;

#[test]
fn the_body_reaches_the_provider_byte_for_byte_but_for_the_model() {
    let provider = Provider::plain();
    let gateway = Gateway::start(&provider.at(), "");
    let body = "{ \"seed\":1e2, \"model\" : \"openai:gpt-4o-mini\",\n \"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"h\\u00e9\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:,x\"}}]}], \"unknown\":{\"model\":\"keep:me\"},\"x\":[1.0,null]}";
    let reply = gateway.chat(body);
    assert_eq!((reply.status, reply.text()), (200, COMPLETION.into()));
    let seen = &provider.seen()[0];
    assert_eq!(String::from_utf8_lossy(&seen.body), body.replace("openai:gpt", "gpt"));
    assert!(seen.head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
}

#[test]
fn credentials_and_hop_by_hop_fields_stay_on_their_side() {
    let provider = Provider::start(|_, stream| {
        stream
            .write_all(
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\nOpenAI-Organization: org-secret\r\nX-Request-Id: req_9\r\nContent-Length: {}\r\n\r\n{COMPLETION}",
                    COMPLETION.len()
                )
                .as_bytes(),
            )
            .is_ok()
    });
    let gateway = Gateway::start(&provider.at(), "");
    let body = chat_body("openai:gpt-4o-mini");
    let mut client = gateway.connect();
    client.send(&format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\nCookie: session=1\r\nX-Api-Key: mine\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nTE: trailers\r\nAccept-Encoding: gzip\r\nUser-Agent: tester/1\r\nIdempotency-Key: abc\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let reply = client.reply();
    let seen = &provider.seen()[0];
    assert_eq!(seen.header("authorization").as_deref(), Some("Bearer sk-upstream-key-0000000001"));
    assert_eq!(seen.header("host").as_deref(), Some(provider.at().as_str()));
    for absent in ["cookie", "x-api-key", "x-private", "te", "accept-encoding", "connection"] {
        assert_eq!(seen.header(absent), None, "{absent}");
    }
    assert_eq!(seen.header("user-agent").as_deref(), Some("tester/1"));
    assert_eq!(seen.header("idempotency-key").as_deref(), Some("abc"));
    for absent in ["keep-alive", "x-hop", "set-cookie", "openai-organization"] {
        assert_eq!(reply.header(absent), None, "{absent}");
    }
    assert_eq!(reply.header("x-request-id"), Some("req_9"));
    assert!(!reply.head.contains("sk-upstream") && !seen.head.contains(KEY));
}

#[test]
fn who_may_not_is_told_why_and_keeps_the_connection() {
    let provider = Provider::plain();
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    let body = chat_body("openai:gpt-4o-mini");
    for (authorization, status, code) in [
        ("", 401, "missing_api_key"),
        ("Authorization: Basic abc\r\n", 401, "missing_api_key"),
        ("Authorization: Bearer sk-wrong\r\n", 401, "invalid_api_key"),
        ("Authorization: Bearer sk-limited-0123456789\r\n", 403, "provider_not_allowed"),
    ] {
        client.send(&format!(
            "POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let reply = client.reply();
        assert_eq!((reply.status, reply.error_code().as_str()), (status, code));
        assert!(!reply.text().contains("sk-"), "no key is echoed: {}", reply.text());
    }
    assert_eq!(client.chat(&body).status, 200);
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn bad_bodies_are_named() {
    let provider = Provider::plain();
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    for (body, status, param) in [
        ("", 400, None),
        ("{", 400, None),
        ("[]", 400, None),
        ("{\"model\":\"a\",}", 400, None),
        ("{\"messages\":[{}]}", 400, Some("model")),
        ("{\"model\":5,\"messages\":[{}]}", 400, Some("model")),
        ("{\"model\":\"openai:m\"}", 400, Some("messages")),
        ("{\"model\":\"openai:m\",\"messages\":{}}", 400, Some("messages")),
        ("{\"model\":\"openai:m\",\"messages\":[{}],\"stream\":\"yes\"}", 400, Some("stream")),
        ("{\"model\":\"openai:m\",\"model\":\"b\",\"messages\":[{}]}", 400, Some("model")),
        ("{\"model\":\"openai:m\",\"messages\":[{}],\"stream_options\":{}}", 400, Some("stream_options")),
        ("{\"model\":\"no-such\",\"messages\":[{}]}", 404, Some("model")),
        ("{\"model\":\"nobody:m\",\"messages\":[{}]}", 404, Some("model")),
        ("{\"model\":\"anthropic:claude-x\",\"messages\":[{}]}", 400, Some("messages[0].role")),
    ] {
        let reply = client.chat(body);
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert_eq!(reply.json()["error"]["param"].as_str(), param, "{body}");
        assert!(reply.json()["error"]["message"].as_str().unwrap().len() > 10);
    }
    assert!(provider.seen().is_empty());
}

#[test]
fn keys_take_exact_turns() {
    let provider = Provider::plain();
    let config = format!(
        "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
llm_providers: [{{id: p, type: custom, base_url: 'http://{}', api_keys: [key-a, key-b, key-c]}}]
api_keys: [{{id: t, key: {KEY}}}]
",
        provider.at()
    );
    let gateway = Gateway::from_config(&config, &[]);
    for n in 0..9 {
        // Over many connections and over one.
        assert_eq!(gateway.chat(&chat_body(&format!("p:m{n}"))).status, 200);
    }
    let keys: Vec<_> = provider.seen().iter().map(|seen| seen.header("authorization").unwrap()).collect();
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(*key, keys[n % 3]);
    }
    assert_eq!(keys[..3].iter().collect::<std::collections::HashSet<_>>().len(), 3);
    assert!(provider.seen().iter().all(|seen| seen.head.starts_with("POST /v1/chat/completions ")));
}

#[test]
fn models_embeddings_and_names() {
    let provider = Provider::start(|seen, stream| {
        if seen.head.contains("/embeddings") {
            respond(
                stream,
                r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,0.25]}],"model":"e","usage":{"prompt_tokens":4,"total_tokens":4}}"#,
            )
        } else {
            respond(stream, COMPLETION)
        }
    });
    let gateway = Gateway::start(&provider.at(), "model_aliases: {fast: 'openai:gpt-4o-mini'}\n");
    let listed = gateway.get("/v1/models").json();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["fast", "openai:gpt-4o-mini"]);
    for id in ["fast", "openai:gpt-4o-mini", "openai%3Agpt-4o-mini", "gpt-4o-mini"] {
        let reply = gateway.get(&format!("/api/v1/models/{id}"));
        assert_eq!((reply.status, &reply.json()["owned_by"]), (200, &json!("openai")), "{id}");
    }
    assert_eq!(gateway.get("/v1/models/none").status, 404);
    for name in ["fast", "gpt-4o-mini", "openai:gpt-4o-mini"] {
        assert_eq!(gateway.chat(&chat_body(name)).status, 200);
    }
    assert!(provider.seen().iter().all(|seen| seen.json()["model"] == "gpt-4o-mini"));

    let body = r#"{"model":"openai:text-embedding-3-small","input":"hello"}"#;
    let mut client = gateway.connect();
    client.send(&format!(
        "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.reply().json()["data"][0]["embedding"], json!([0.5, 0.25]));
    assert_eq!(gateway.metric("coo_llm_tokens_total", &["text-embedding-3-small", "type=\"input\""]), 4.0);
}

#[test]
fn requests_tokens_and_cost_are_counted_and_logged() {
    let provider = Provider::plain();
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    for _ in 0..10 {
        client.chat(&chat_body("openai:gpt-4o-mini"));
    }
    client.chat("{");
    let labels = ["provider=\"openai\"", "model=\"gpt-4o-mini\"", "key=\"sk-...0001\"", "client=\"tester\""];
    assert_eq!(gateway.metric("coo_llm_requests_total", &[&labels[..], &["status=\"200\""]].concat()), 10.0);
    assert_eq!(gateway.metric("coo_llm_tokens_total", &[&labels[..], &["type=\"input\""]].concat()), 210.0);
    assert_eq!(gateway.metric("coo_llm_tokens_total", &[&labels[..], &["type=\"output\""]].concat()), 320.0);
    // 10 × (21 × 0.15 + 32 × 0.60) / 1e6
    assert_eq!(gateway.metric("coo_llm_cost_total", &labels), 0.000_223_5);
    assert_eq!(gateway.metric("coo_llm_latency_seconds_count", &labels[..2]), 10.0);
    assert!(gateway.metric("coo_llm_errors_total", &["client=\"tester\""]) >= 1.0);
    assert!(gateway.metric("process_open_fds", &[]) > 3.0);

    let log = gateway.log(11);
    assert_eq!(log[0]["prompt_tokens"], 21);
    assert_eq!(log[0]["cost_usd"], "0.00002235");
    assert_eq!(log[0]["client"], "tester");
    assert_eq!(log[10]["status"], 400);
    let text = std::fs::read_to_string(gateway.folder.join("access.log")).unwrap();
    assert!(!text.contains(KEY) && !text.contains("sk-upstream-key"), "no secret in the log");
}

#[test]
fn a_large_body_and_a_large_answer_pass() {
    let answer = format!(
        "{{\"data\":\"{}\",\"usage\":{{\"prompt_tokens\":7,\"total_tokens\":7}}}}",
        "z".repeat(3_000_000)
    );
    let size = answer.len();
    let provider = Provider::start(move |_, stream| respond(stream, &answer));
    let gateway = Gateway::start(&provider.at(), "");
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{}"}}],"model":"openai:m"}}"#,
        "a".repeat(5_000_000)
    );
    let mut client = gateway.connect();
    for _ in 0..3 {
        let reply = client.chat(&body);
        assert_eq!((reply.status, reply.body.len(), reply.complete), (200, size, true));
    }
    assert_eq!(provider.seen()[0].body.len(), body.len() - "openai:".len());
    assert_eq!(gateway.metric("coo_llm_tokens_total", &["type=\"input\""]), 21.0);
}

#[test]
fn every_shard_takes_its_share_of_connections() {
    let provider = Provider::plain();
    let gateway = Gateway::start(&provider.at(), "server: {listen: '127.0.0.1:0', worker_threads: 4}\n");
    let mut clients: Vec<_> = (0..200).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.chat(&chat_body("openai:gpt-4o-mini")).status, 200);
    }
    for shard in 0..4 {
        let open = gateway.metric("coo_llm_active_connections", &[&format!("shard=\"{shard}\"")]);
        assert!((45.0..=55.0).contains(&open), "shard {shard} has {open} of 200");
    }
}

#[test]
fn cost_is_known_without_configured_prices_and_models_say_so() {
    let provider = Provider::start(|_, stream| {
        respond(
            stream,
            r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"prompt_tokens_details":{"cached_tokens":600}}}"#,
        )
    });
    let config = format!(
        "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
  - {{id: p, type: openai, base_url: 'http://{at}/v1', api_keys: [k1], models: [gpt-4o-2024-08-06, mine, nobody-knows],
     pricing: {{models: {{mine: {{input_token_cost: 1, cached_input_token_cost: 0.5, output_token_cost: 2}}}}}}}}
  - {{id: flat, type: openai, base_url: 'http://{at}/v1', api_keys: [k2], models: [gpt-4o],
     pricing: {{input_token_cost: 1}}}}
api_keys: [{{id: tester, key: {KEY}}}]
model_aliases: {{fast: 'p:gpt-4o-2024-08-06'}}
",
        at = provider.at()
    );
    let gateway = Gateway::from_config(&config, &[]);
    for model in ["p:gpt-4o-2024-08-06", "p:mine", "p:nobody-knows", "flat:gpt-4o"] {
        assert_eq!(gateway.chat(&chat_body(model)).status, 200);
    }
    let log = gateway.log(4);
    // 400 at 2.50, 600 cached at 1.25, 100 written at 10; then at the prices of the configuration.
    assert_eq!(log[0]["cost_usd"], "0.00275");
    assert_eq!(log[1]["cost_usd"], "0.0009");
    assert_eq!(log[2]["cost_usd"], serde_json::Value::Null);
    assert_eq!(log[3]["cost_usd"], "0.001");
    let unpriced = |model| gateway.metric("coo_llm_unpriced_requests_total", &["provider=\"p\"", model]);
    assert_eq!(unpriced("model=\"nobody-knows\""), 1.0);
    assert_eq!(gateway.metric("coo_llm_cost_total", &["model=\"gpt-4o-2024-08-06\""]), 0.002_75);

    let fast = gateway.get("/v1/models/fast").json();
    assert_eq!((&fast["id"], &fast["object"]), (&json!("fast"), &json!("model")));
    assert_eq!((&fast["context_length"], &fast["max_output_tokens"]), (&json!(128_000), &json!(16_384)));
    assert_eq!(fast["architecture"]["output_modalities"], json!(["text"]));
    let gpt = json!({"prompt": "0.0000025", "completion": "0.00001", "input_cache_read": "0.00000125"});
    assert_eq!(fast["pricing"], gpt);
    let listed = gateway.get("/v1/models").json();
    let of = |id: &str| listed["data"].as_array().unwrap().iter().find(|m| m["id"] == id).unwrap().clone();
    let mine = json!({"prompt": "0.000001", "completion": "0.000002", "input_cache_read": "0.0000005"});
    assert_eq!((&of("p:mine")["pricing"], &of("p:mine")["context_length"]), (&mine, &json!(null)));
    let unknown = of("p:nobody-knows");
    assert_eq!(unknown.as_object().unwrap().len(), 4, "{unknown}");
    assert_eq!(of("flat:gpt-4o")["pricing"]["completion"], "0");
}
