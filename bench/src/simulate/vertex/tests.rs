use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::token::{SERVICE_ACCOUNT, service_account};
use crate::simulate::{
    Simulator,
    tests::{Answer, exchange, request, simulator},
    vector::base64_encode,
};

const AT: &str = "/v1/projects/p/locations/global/publishers";

fn post(simulator: &Simulator, token: &str, path: &str, body: &str) -> Answer {
    let request = request("POST", path, "connection: close\r\n", body);
    exchange(simulator, &request.replace("sk-test", token))
}

fn said() -> String {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).to_string()
}

fn base64(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    base64_encode(&mut out, bytes);
    String::from_utf8(out).unwrap().trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// What an account signs, with its claims changed.
fn assertion(change: impl FnOnce(&mut Value)) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({"iss": SERVICE_ACCOUNT, "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "http://sim/token", "iat": now, "exp": now + 3600});
    change(&mut claims);
    let file: Value = serde_json::from_str(&service_account("http://sim/token")).unwrap();
    let der = PrivateKeyDer::from_pem_slice(file["private_key"].as_str().unwrap().as_bytes()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&der).unwrap();
    let signer = key.choose_scheme(&[rustls::SignatureScheme::RSA_PKCS1_SHA256]).unwrap();
    let signed =
        format!("{}.{}", base64(br#"{"alg":"RS256","typ":"JWT"}"#), base64(claims.to_string().as_bytes()));
    format!("{signed}.{}", base64(&signer.sign(signed.as_bytes()).unwrap()))
}

fn ask(simulator: &Simulator, assertion: &str) -> Answer {
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    post(simulator, "none", "/token", &format!("grant_type={grant}&assertion={assertion}"))
}

#[test]
fn what_is_signed_gets_a_token_until_it_expires() {
    let simulator = simulator(|settings| {
        settings.keys =
            vec![crate::simulate::KeyLimits { key: SERVICE_ACCOUNT.into(), ..Default::default() }];
    });
    let answer = ask(&simulator, &assertion(|_| {}));
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &3600.into()));
    let token = body["access_token"].as_str().unwrap();
    let path = format!("{AT}/google/models/gemini-2.5-flash:generateContent");
    assert_eq!(post(&simulator, token, &path, &said()).status, 200);
    for wrong in ["ya29.sim-1-expired", "none", SERVICE_ACCOUNT.trim_end_matches('m')] {
        let refused = post(&simulator, wrong, &path, &said());
        assert_eq!((refused.status, &refused.json()["error"]["status"]), (401, &"UNAUTHENTICATED".into()));
    }
}

#[test]
fn what_is_signed_otherwise_gets_none() {
    let simulator = simulator(|_| {});
    let good = assertion(|_| {});
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    for (assertion, says) in [
        (String::new(), "Invalid JWT"),
        (forged, "Signature"),
        (assertion(|claims| claims["iss"] = "b@c".into()), "account not found"),
        (assertion(|claims| claims["scope"] = "x".into()), "scope"),
        (assertion(|claims| claims["aud"] = "x".into()), "audience"),
        (assertion(|claims| claims["exp"] = 1.into()), "short-lived"),
        (assertion(|claims| claims["iat"] = 1.into()), "short-lived"),
    ] {
        let refused = ask(&simulator, &assertion);
        assert_eq!(refused.status, 400);
        assert!(refused.json()["error_description"].as_str().unwrap().contains(says), "{refused:?}");
    }
    assert_eq!(
        post(&simulator, "none", "/token", "grant_type=password").json()["error"],
        "unsupported_grant_type"
    );
}

#[test]
fn each_publisher_has_its_methods() {
    let simulator = simulator(|_| {});
    let message = |more: Value| {
        let mut body = json!({"max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let version = json!({"anthropic_version": "vertex-2023-10-16"});
    for (path, body, status) in [
        ("google/models/gemini-2.5-flash:generateContent", said(), 200),
        ("google/models/gemini-2.5-flash:streamGenerateContent?alt=sse", said(), 200),
        ("google/models/gemini-2.5-flash:countTokens", said(), 200),
        ("google/models/gemini-2.5-flash:rawPredict", said(), 404),
        ("google/models/no-such-model:generateContent", said(), 404),
        ("google/models/sim-error-429:generateContent", said(), 429),
        ("google/models/text-embedding-005:predict", r#"{"instances":[{"content":"a"}]}"#.to_owned(), 200),
        ("google/models/text-embedding-005:predict", r#"{"instances":[]}"#.to_owned(), 400),
        ("anthropic/models/claude-x:rawPredict", message(version.clone()), 200),
        ("anthropic/models/claude-x:rawPredict", message(json!({})), 400),
        (
            "anthropic/models/claude-x:rawPredict",
            message(json!({"anthropic_version": "vertex-2023-10-16", "model": "claude-x"})),
            400,
        ),
        ("anthropic/models/claude-x:streamRawPredict", message(version), 400),
        (
            "anthropic/models/claude-x:streamRawPredict",
            message(json!({"anthropic_version": "vertex-2023-10-16", "stream": true})),
            200,
        ),
        ("anthropic/models/sim-error-429:rawPredict", message(json!({})), 429),
        (
            "anthropic/models/count-tokens:rawPredict",
            r#"{"anthropic_version":"vertex-2023-10-16","model":"claude-x","messages":[{"role":"user","content":"a"}]}"#.to_owned(),
            200,
        ),
    ] {
        let answer = post(&simulator, "token", &format!("{AT}/{path}"), &body);
        assert_eq!(answer.status, status, "{path} {body} {answer:?}");
    }
}
