//! Voyage's wire format as a client sees it.

use serde_json::json;

use crate::simulate::tests::{post, simulator};

#[test]
fn embeddings_come_in_every_type() {
    let simulator = simulator(|_| {});
    let embed = |extra: serde_json::Value| {
        let mut body = json!({"model": "voyage-3.5", "input": ["one", "two"], "input_type": "query",
            "truncation": true, "output_dimension": 256});
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        post(&simulator, "/voyage/v1/embeddings", &body.to_string()).json()
    };
    let floats = embed(json!({}));
    assert_eq!(floats["data"][1]["embedding"].as_array().map(Vec::len), Some(256));
    assert_eq!(floats["usage"].as_object().map(serde_json::Map::len), Some(1));
    assert!(floats["usage"]["total_tokens"].as_u64() > Some(1));
    let bits = embed(json!({"output_dtype": "ubinary"}));
    assert_eq!(bits["data"][0]["embedding"].as_array().map(Vec::len), Some(32));
    let packed = embed(json!({"encoding_format": "base64"}));
    // 1024 bytes.
    assert_eq!(packed["data"][0]["embedding"].as_str().map(str::len), Some(1368));
    let packed = embed(json!({"encoding_format": "base64", "output_dtype": "int8"}));
    assert_eq!(packed["data"][0]["embedding"].as_str().map(str::len), Some(344));
}

#[test]
fn ranks_follow_the_words() {
    let simulator = simulator(|_| {});
    let body = json!({"model": "rerank-2.5", "query": "capital of France", "top_k": 2, "return_documents": true,
        "documents": ["a poem on rust", "Paris is the capital of France", "bread"]});
    let ranked = post(&simulator, "/voyage/v1/rerank", &body.to_string()).json();
    assert_eq!(ranked["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(ranked["data"][0]["index"], 1);
    assert_eq!(ranked["data"][0]["document"], "Paris is the capital of France");
}

#[test]
fn what_is_wrong_is_refused() {
    let simulator = simulator(|_| {});
    for (extra, status) in [
        (json!({"encoding_format": "float"}), 400),
        (json!({"dimensions": 256}), 400),
        (json!({"output_dimension": 300}), 400),
        (json!({"input_type": "search_query"}), 400),
        (json!({"input": [1, 2]}), 400),
        (json!({"input": []}), 400),
        (json!({"model": "no-such-model"}), 400),
        (json!({"model": "voyage-sim-error-429"}), 429),
        (json!({"model": "voyage-sim-error-503"}), 503),
    ] {
        let mut body = json!({"model": "voyage-3.5", "input": "a"});
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = post(&simulator, "/voyage/v1/embeddings", &body.to_string());
        assert_eq!(answer.status, status, "{extra}: {answer:?}");
        assert!(answer.json()["detail"].is_string());
    }
    let body = json!({"model": "rerank-2.5", "query": "q", "documents": ["a"], "top_n": 1}).to_string();
    assert_eq!(post(&simulator, "/voyage/v1/rerank", &body).status, 400);
    assert_eq!(post(&simulator, "/voyage/v1/chat/completions", "{}").status, 404);
}
