//! Other people's models at Azure OpenAI and Vertex AI: the bytes that reach them, and the tokens that they want.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{io::Write, time::Duration};

use common::*;
use coo_bench::simulate::{self, Fault, RecordSettings, Settings, Simulator};

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"Hello!"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":3}}"#;
const GENERATED: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello!"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":12,"trafficType":"ON_DEMAND"},"modelVersion":"gemini-2.5-flash","createTime":"2025-11-25T10:00:00Z","responseId":"r"}"#;

fn gateway(providers: &str, more: &str) -> Gateway {
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
{providers}
api_keys: [{{id: tester, key: {KEY}}}]
{more}"
        ),
        &[],
    )
}

fn azure(at: &str, more: &str) -> Gateway {
    let provider = |id: &str, more: &str| {
        format!("  - {{id: {id}, type: azure, base_url: 'http://{at}', api_keys: [az-upstream], {more}}}\n")
    };
    let providers = provider("azure", "api_version: 2024-10-21")
        + &provider("old", "api_version: 2024-06-01")
        + &provider("v1", "")
        + &provider("preview", "api_version: preview");
    gateway(&providers, more)
}

fn post(gateway: &Gateway, path: &str, body: &str) -> Reply {
    let mut client = gateway.connect();
    client.send(&format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.reply()
}

#[test]
fn azure_gets_the_clients_bytes_at_the_deployments_path() {
    let provider = Provider::plain();
    let gateway = azure(&provider.at(), "");
    for (path, body) in [
        (
            "/chat/completions",
            r#"{"model":"azure:my gpt","messages":[{"role":"user","content":"hi"}],"new":1.50}"#,
        ),
        ("/embeddings", r#"{"model":"azure:my gpt","input":"a"}"#),
        ("/completions", r#"{"model":"azure:my gpt","prompt":"a"}"#),
        ("/images/generations", r#"{"model":"azure:my gpt","prompt":"a"}"#),
        ("/audio/speech", r#"{"model":"azure:my gpt","input":"a","voice":"v"}"#),
    ] {
        for (id, wanted) in [
            ("azure", format!("/openai/deployments/my%20gpt{path}?api-version=2024-10-21")),
            ("v1", format!("/openai/v1{path}")),
            ("preview", format!("/openai/v1{path}?api-version=preview")),
        ] {
            let body = body.replace("azure:", &format!("{id}:"));
            let reply = post(&gateway, &format!("/v1{path}"), &body);
            assert_eq!((reply.status, reply.text()), (200, COMPLETION.to_owned()), "{id} {path}");
            let seen = provider.seen().pop().unwrap();
            assert!(seen.head.starts_with(&format!("POST {wanted} HTTP/1.1\r\n")), "{}", seen.head);
            assert_eq!(seen.header("api-key").as_deref(), Some("az-upstream"));
            assert_eq!(seen.header("authorization"), None);
            assert_eq!(String::from_utf8(seen.body).unwrap(), body.replace(&format!("{id}:"), ""));
        }
    }
    let count = provider.seen().len();
    for (path, body) in [
        ("/v1/moderations", r#"{"model":"azure:m","input":"a"}"#),
        ("/v1/rerank", r#"{"model":"azure:m","query":"a","documents":["b"]}"#),
    ] {
        assert_eq!(post(&gateway, path, body).error_code(), "unsupported_endpoint");
    }
    assert_eq!(provider.seen().len(), count);
    // What another client says is translated, and goes the same way.
    let body = r#"{"model":"azure:g","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = post(&gateway, "/v1/messages", body);
    assert_eq!((reply.status, &reply.json()["content"][0]["text"]), (200, &"Hello!".into()));
    let seen = provider.seen().pop().unwrap();
    assert!(seen.head.starts_with("POST /openai/deployments/g/chat/completions?api-version=2024-10-21 "));
    assert_eq!(seen.json()["max_completion_tokens"], 5);
}

/// As the API reference shows it: the first chunk is about the prompt.
const FILTER_CHUNK: &str = "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}\n\n";
const CHOICE_CHUNK: &str = "data: {\"choices\":[{\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}},\"delta\":{\"content\":\"Hello!\",\"role\":\"assistant\"},\"finish_reason\":null,\"index\":0,\"logprobs\":null}],\"created\":1,\"id\":\"chatcmpl-1\",\"model\":\"gpt-4o\",\"object\":\"chat.completion.chunk\",\"usage\":null}\n\n";
/// The filter may speak after the text (asynchronous filtering).
const OFFSETS_CHUNK: &str = "data: {\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\",\"choices\":[{\"index\":0,\"finish_reason\":null,\"content_filter_results\":{},\"content_filter_offsets\":{\"check_offset\":1,\"start_offset\":1,\"end_offset\":9}}],\"usage\":null}\n\n";
const LAST_CHUNK: &str = "data: {\"choices\":[{\"content_filter_results\":{},\"delta\":{},\"finish_reason\":\"stop\",\"index\":0,\"logprobs\":null}],\"created\":1,\"id\":\"chatcmpl-1\",\"model\":\"gpt-4o\",\"object\":\"chat.completion.chunk\",\"usage\":null}\n\n";

#[test]
fn azures_streams_pass_with_what_its_filter_says() {
    let provider = Provider::start(|_, stream| {
        stream_head(stream);
        for chunk in [FILTER_CHUNK, CHOICE_CHUNK, OFFSETS_CHUNK, LAST_CHUNK, USAGE_EVENT, DONE] {
            write_chunk(stream, chunk);
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = azure(&provider.at(), "");
    let reply = gateway.chat(&stream_body("azure:gpt"));
    let wanted = [FILTER_CHUNK, CHOICE_CHUNK, OFFSETS_CHUNK, LAST_CHUNK, DONE].concat();
    assert_eq!((reply.status, reply.text()), (200, wanted), "all but the usage nobody asked for");
    assert_eq!(provider.seen()[0].json()["stream_options"]["include_usage"], true);
    assert_eq!(gateway.metric("coo_llm_tokens_total", &["type=\"output\"", "provider=\"azure\""]), 3.0);
    // An older version does not know the option.
    let reply = gateway.chat(&stream_body("old:gpt"));
    assert_eq!(reply.status, 200);
    assert!(provider.seen()[1].json().get("stream_options").is_none());
    let body =
        r#"{"model":"azure:g","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let text = post(&gateway, "/v1/messages", body).text();
    assert!(text.contains("\"text\":\"Hello!\"") && text.contains("\"stop_reason\":\"end_turn\""), "{text}");
    assert!(text.contains("event: message_stop"), "{text}");
}

const FILTERED: &str = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"violence":{"filtered":true,"severity":"medium"}}}}}"#;
const LOST: &str = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#;
const DENIED: &str = r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#;
const LIMITED: &str = r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit."}}"#;

#[test]
fn azures_errors_are_its_own_to_its_clients_and_translated_to_others() {
    let provider = Provider::start(|seen, stream| {
        let (status, body) = match seen.head.split_whitespace().nth(1).unwrap_or_default() {
            path if path.contains("/filtered/") => ("400 Bad Request", FILTERED),
            path if path.contains("/lost/") => ("404 Not Found", LOST),
            path if path.contains("/denied/") => ("401 Unauthorized", DENIED),
            _ => (
                "429 Too Many Requests\r\nretry-after-ms: 2500\r\nx-ratelimit-remaining-requests: 0",
                LIMITED,
            ),
        };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).is_ok()
    });
    let gateway = azure(&provider.at(), "policy: {retry: {max_attempts: 1}}\n");
    for (deployment, status, body) in [("filtered", 400, FILTERED), ("lost", 404, LOST)] {
        let reply = gateway.chat(&chat_body(&format!("azure:{deployment}")));
        assert_eq!((reply.status, reply.text()), (status, body.to_owned()));
    }
    let messages = |deployment: &str| {
        let body = chat_body(&format!("azure:{deployment}"))
            .replace("\"messages\"", "\"max_tokens\":5,\"messages\"");
        let reply = post(&gateway, "/v1/messages", &body);
        (reply.status, reply.json()["error"]["type"].as_str().unwrap().to_owned())
    };
    assert_eq!(messages("filtered"), (400, "invalid_request_error".to_owned()));
    assert_eq!(messages("lost"), (404, "not_found_error".to_owned()));
    let responses = post(&gateway, "/v1/responses", r#"{"model":"azure:lost","input":"hi"}"#);
    assert_eq!((responses.status, responses.error_code().as_str()), (404, "model_not_found"));
    let limited = gateway.chat(&chat_body("azure:limited"));
    assert_eq!((limited.status, limited.header("retry-after-ms")), (429, Some("2500")));
    assert_eq!(limited.header("x-ratelimit-remaining-requests"), None);
    // The key rests as long as it was told to.
    let resting = gateway.chat(&chat_body("azure:limited"));
    assert_eq!(resting.status, 429);
    let denied = gateway.chat(&chat_body("old:denied"));
    assert_eq!((denied.status, denied.error_code().as_str()), (502, "upstream_auth_rejected"));
}

const VERTEX: &str = "project: p-1, location: europe-west4";

#[test]
fn vertex_gets_each_model_at_its_publisher() {
    let provider = Provider::start(|seen, stream| {
        let body = if seen.head.contains(":predict ") {
            r#"{"predictions":[{"embeddings":{"values":[0.5,-1],"statistics":{"token_count":4,"truncated":false}}}]}"#
        } else if seen.head.contains("count-tokens") {
            r#"{"input_tokens":42}"#
        } else if seen.head.contains("awPredict") {
            MESSAGE
        } else {
            GENERATED
        };
        respond(stream, body)
    });
    let at = provider.at();
    let gateway = gateway(
        &format!("  - {{id: v, type: vertex, base_url: 'http://{at}', api_keys: [ya29.static], {VERTEX}}}\n"),
        "",
    );
    let publishers = "/v1/projects/p-1/locations/europe-west4/publishers";
    let sent = |path: &str, body: &str, wanted: &str| {
        let reply = post(&gateway, path, body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let seen = provider.seen().pop().unwrap();
        assert!(seen.head.starts_with(&format!("POST {publishers}/{wanted} HTTP/1.1\r\n")), "{}", seen.head);
        assert_eq!(seen.header("authorization").as_deref(), Some("Bearer ya29.static"));
        assert_eq!(seen.header("x-api-key"), None);
        assert_eq!(seen.header("anthropic-version"), None);
        (reply, seen)
    };
    let (reply, seen) = sent(
        "/v1/chat/completions",
        &chat_body("v:gemini-2.5-flash"),
        "google/models/gemini-2.5-flash:generateContent",
    );
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello!");
    assert_eq!(reply.json()["usage"]["total_tokens"], 12);
    assert_eq!(seen.json()["contents"][0]["parts"][0]["text"], "hi");

    // Google's own clients are left alone.
    let contents = r#"{ "contents":[{"role":"user","parts":[{"text":"hi"}]}],"new":1.50}"#;
    for method in ["generateContent", "countTokens"] {
        let (reply, seen) = sent(
            &format!("/v1beta/models/v:gemini-2.5-flash:{method}"),
            contents,
            &format!("google/models/gemini-2.5-flash:{method}"),
        );
        assert_eq!((reply.text().as_str(), seen.body.as_slice()), (GENERATED, contents.as_bytes()));
    }
    let path = "/v1beta/models/v:claude-opus-4-5%4020251101:generateContent";
    let wanted = "anthropic/models/claude-opus-4-5@20251101:rawPredict";
    let (reply, _) = sent(path, contents.replace(r#","new":1.50"#, "").as_str(), wanted);
    assert_eq!(reply.json()["candidates"][0]["content"]["parts"][0]["text"], "Hello!", "{}", reply.text());
    let vectors = r#"{"content":{"parts":[{"text":"a"}]}}"#;
    let refused = post(&gateway, "/v1beta/models/v:text-embedding-005:embedContent", vectors);
    assert_eq!((refused.status, &refused.json()["error"]["status"]), (400, &"INVALID_ARGUMENT".into()));

    let (reply, seen) = sent(
        "/v1/chat/completions",
        &chat_body("v:claude-opus-4-5@20251101"),
        "anthropic/models/claude-opus-4-5@20251101:rawPredict",
    );
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello!");
    let body = seen.json();
    assert_eq!((&body["anthropic_version"], body.get("model")), (&"vertex-2023-10-16".into(), None));
    assert_eq!(body["max_tokens"], 8192);

    // Anthropic's own clients: their bytes, but for the model.
    let body =
        r#"{ "model" : "v:claude-x","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"new":1.50}"#;
    let (reply, seen) = sent("/v1/messages", body, "anthropic/models/claude-x:rawPredict");
    assert_eq!(reply.text(), MESSAGE);
    let wanted = body.replace(r#""model" : "v:claude-x""#, r#""anthropic_version":"vertex-2023-10-16""#);
    assert_eq!(String::from_utf8(seen.body).unwrap(), wanted);
    let streamed = body.replace("\"new\":1.50", "\"stream\":true");
    sent("/v1/messages", &streamed, "anthropic/models/claude-x:streamRawPredict");

    let body = r#"{"model":"v:claude-x","messages":[{"role":"user","content":"hi"}]}"#;
    let (reply, seen) = sent("/v1/messages/count_tokens", body, "anthropic/models/count-tokens:rawPredict");
    assert_eq!(reply.json()["input_tokens"], 42);
    assert_eq!(
        (&seen.json()["model"], &seen.json()["anthropic_version"]),
        (&"claude-x".into(), &"vertex-2023-10-16".into())
    );

    let body = r#"{"model":"v:text-embedding-005","input":"a","dimensions":2}"#;
    let (reply, seen) = sent("/v1/embeddings", body, "google/models/text-embedding-005:predict");
    assert_eq!(reply.json()["data"][0]["embedding"], serde_json::json!([0.5, -1]));
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 4);
    assert_eq!(seen.json()["parameters"]["outputDimensionality"], 2);

    let refused = post(&gateway, "/v1/embeddings", r#"{"model":"v:claude-x","input":"a"}"#);
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "unsupported_endpoint"));
    let tokens = |kind| gateway.metric("coo_llm_tokens_total", &[kind, "provider=\"v\""]);
    assert!(tokens("type=\"input\"") > 9.0);
}

/// A name from outside stays one segment of the path: it ends neither the line nor the head.
#[test]
fn no_model_writes_the_head_of_a_request() {
    let provider = Provider::start(|_, stream| respond(stream, GENERATED));
    let at = provider.at();
    let gateway = gateway(
        &format!(
            "  - {{id: v, type: vertex, base_url: 'http://{at}', api_keys: [t], {VERTEX}}}
  - {{id: g, type: gemini, base_url: 'http://{at}', api_keys: [t]}}
  - {{id: a, type: azure, base_url: 'http://{at}', api_keys: [t], api_version: 2024-10-21}}\n"
        ),
        "",
    );
    for id in ["v", "g", "a"] {
        gateway.chat(&chat_body(&format!("{id}:m HTTP/1.1\\r\\nx-evil: 1\\r\\n\\r\\nGET /")));
        let seen = provider.seen().pop().unwrap();
        assert!(seen.header("x-evil").is_none() && seen.head.contains("%0D%0Ax-evil"), "{}", seen.head);
    }
    assert_eq!(provider.seen().len(), 3);
}

#[test]
fn what_vertex_says_in_googles_words_is_understood_of_claude_too() {
    let provider = Provider::start(|_, stream| {
        let body = r#"[{"error":{"code":429,"message":"Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: anthropic-claude-x.","status":"RESOURCE_EXHAUSTED"}}]"#;
        let head = format!(
            "HTTP/1.1 429 Too Many\r\ncontent-type: application/json\r\ncontent-length: {}",
            body.len()
        );
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).is_ok()
    });
    let at = provider.at();
    let gateway = gateway(
        &format!("  - {{id: v, type: vertex, base_url: 'http://{at}', api_keys: [t], {VERTEX}}}\n"),
        "policy: {retry: {max_attempts: 1}}\n",
    );
    let reply = gateway.chat(&chat_body("v:claude-x"));
    assert_eq!((reply.status, reply.error_code().as_str()), (429, "rate_limit_exceeded"));
    assert!(reply.text().contains("Quota exceeded for aiplatform"), "{}", reply.text());
}

fn simulator(settings: Settings) -> Simulator {
    simulate::start(Settings { record: RecordSettings { requests: 10_000, raw: 1000 }, ..settings }).unwrap()
}

/// A gateway whose Vertex AI and whose tokens are the simulator's.
fn with_account(simulator: &Simulator, other: &str, more: &str) -> Gateway {
    let (at, account) = (simulator.addr(), simulator.service_account());
    gateway(
        &format!(
            "  - {{id: vertex, type: vertex, base_url: 'http://{at}', credentials: '{account}'}}
  - {{id: other, type: openai, base_url: 'http://{other}/v1', api_keys: [sk-upstream]}}\n"
        ),
        more,
    )
}

fn tokens_used(simulator: &Simulator) -> Vec<String> {
    let requests = simulator.last().into_iter().filter(|raw| raw.target.contains(":generateContent"));
    let token =
        |headers: Vec<(String, String)>| headers.into_iter().find(|(name, _)| name == "authorization");
    let mut tokens: Vec<String> = requests.filter_map(|raw| Some(token(raw.headers)?.1)).collect();
    tokens.dedup();
    tokens
}

fn silent_about_secrets(gateway: &Gateway) {
    let said = gateway.stderr.lock().unwrap().clone()
        + &format!("{:?}", gateway.log(1))
        + &gateway.get("/metrics").text();
    for secret in ["ya29", "PRIVATE KEY", "MIIE", "eyJ"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn tokens_are_renewed_before_they_expire() {
    let simulator = simulator(Settings { token_lifetime: Duration::from_secs(2), ..Settings::default() });
    let gateway = with_account(&simulator, "127.0.0.1:9", "");
    let chat = || gateway.chat(&chat_body("vertex:gemini-2.5-flash"));
    eventually("the first token comes", || chat().status == 200);
    // Three lifetimes' worth of requests, and not one with a token that is no longer good.
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while std::time::Instant::now() < until {
        let reply = chat();
        assert_eq!(reply.status, 200, "{} {}", reply.text(), gateway.stderr.lock().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    let record = simulator.record();
    assert!(record.iter().all(|one| one.status == 200), "no request was refused");
    let fetched = record.iter().filter(|one| one.endpoint == "/token").count();
    assert!((3..=6).contains(&fetched), "{fetched}");
    assert!(tokens_used(&simulator).len() >= 3);
    silent_about_secrets(&gateway);
    simulator.stop();
}

#[test]
fn without_a_token_there_is_a_clear_answer_and_another_provider() {
    let simulator = simulator(Settings {
        token_lifetime: Duration::from_secs(1),
        fault: Some(Fault::Error(500)),
        ..Settings::default()
    });
    let other = Provider::plain();
    let gateway = with_account(
        &simulator,
        &other.at(),
        "model_aliases: {any: ['vertex:gemini-2.5-flash', 'other:gpt-4o-mini']}\n",
    );
    let chat = || gateway.chat(&chat_body("vertex:gemini-2.5-flash"));
    let reply = chat();
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (503, "provider_token_missing"),
        "{}",
        reply.text()
    );
    assert!(reply.header("retry-after").is_some());
    eventually("the failure is told", || {
        gateway.stderr.lock().unwrap().contains("no access token for simulated@")
    });
    assert_eq!(simulator.record().iter().filter(|one| one.endpoint != "/token").count(), 0);

    simulator.change(|settings| settings.fault = None);
    eventually("the token comes", || chat().status == 200);
    assert!(gateway.stderr.lock().unwrap().contains("has an access token again"));
    // Those who answer for an alias are tried in turn.
    simulator.change(|settings| settings.fault = Some(Fault::Error(500)));
    eventually("it is withdrawn when it expires", || chat().error_code() == "provider_token_missing");
    assert!(gateway.stderr.lock().unwrap().contains("the access token has expired"));
    for _ in 0..4 {
        let reply = gateway.chat(&chat_body("any"));
        assert_eq!((reply.status, reply.text()), (200, COMPLETION.to_owned()));
    }
    silent_about_secrets(&gateway);
    simulator.stop();
}

#[test]
fn tokens_are_fetched_over_tls() {
    let certificate = Certificate::new();
    let tls = Some((certificate.cert.clone(), certificate.key.clone()));
    let simulator = simulator(Settings { tls, ..Settings::default() });
    let (port, account) = (simulator.addr().port(), simulator.service_account());
    let gateway = gateway(
        &format!(
            "  - {{id: vertex, type: vertex, base_url: 'https://localhost:{port}', credentials: '{account}'}}\n"
        ),
        &format!("upstream: {{tls: {{ca_file: '{}'}}}}\n", certificate.ca.display()),
    );
    eventually("the first token comes", || gateway.chat(&chat_body("vertex:gemini-2.5-flash")).status == 200);
    simulator.stop();
}
