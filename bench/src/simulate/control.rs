//! The control plane at `/__sim/`: what a running simulator saw, and orders to change it.
//!
//! - `GET record` (`?format=ndjson`), `GET last`, `GET stats`, `GET faults`
//! - `POST reset`: forget records, counts and windows
//! - `POST set`: change settings, `{"latency": "5ms", "error_rate": 0.1, …}`

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    exchange::Call,
    faults::{FAULTS, Fault},
    latency::parse_duration,
    limits::KeyLimits,
    settings::Settings,
};

/// The largest factor for waits: a second becomes a quarter of an hour.
const MAX_SLOWDOWN: f64 = 1000.0;

/// The answer to `order`, the path behind `/__sim/`.
pub(crate) fn answer(call: &Call<'_>, order: &str) -> (StatusCode, Vec<u8>) {
    let shared = &call.shard.shared;
    match (call.method, order) {
        (&Method::GET, "record") if call.query.contains("ndjson") => {
            let mut out = Vec::new();
            for record in shared.records() {
                // Writing to a vector cannot fail.
                let _ = serde_json::to_writer(&mut out, &record);
                out.push(b'\n');
            }
            (StatusCode::OK, out)
        }
        (&Method::GET, "record") => ok(&shared.records()),
        (&Method::GET, "last") => ok(&shared.raws()),
        (&Method::GET, "stats") => ok(&shared.stats()),
        (&Method::GET, "faults") => {
            let all: Map<String, Value> =
                FAULTS.iter().map(|(name, _, about)| ((*name).to_owned(), json!(about))).collect();
            ok(&all)
        }
        (&Method::POST, "reset") => {
            shared.reset();
            ok(&json!({"ok": true}))
        }
        (&Method::POST, "set") => match changes(call.body, &call.live.settings) {
            Ok(settings) => {
                shared.change(|now| *now = settings);
                ok(&json!({"ok": true}))
            }
            Err(why) => (StatusCode::BAD_REQUEST, to_json(&json!({"error": why}))),
        },
        _ => {
            let known = "GET record, last, stats, faults; POST reset, set";
            (StatusCode::NOT_FOUND, to_json(&json!({"error": format!("known here: {known}")})))
        }
    }
}

fn ok(value: &impl serde::Serialize) -> (StatusCode, Vec<u8>) {
    (StatusCode::OK, to_json(value))
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The settings that `body` makes of `now`.
fn changes(body: &[u8], now: &Settings) -> Result<Settings, String> {
    let fields: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| format!("the body is not a JSON object: {error}"))?;
    let mut settings = now.clone();
    for (name, value) in &fields {
        change(&mut settings, name, value).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(settings)
}

fn change(settings: &mut Settings, name: &str, value: &Value) -> Result<(), String> {
    match name {
        "latency" => settings.latency = text(value)?.parse()?,
        "first_token" => settings.first_token = text(value)?.parse()?,
        "tokens_per_s" => settings.tokens_per_s = number(value, f64::MAX)?,
        "answer_tokens" => settings.answer_tokens = text(value)?.parse()?,
        "chunk_tokens" => settings.chunk_tokens = (number(value, 1e6)? as usize).max(1),
        "error_rate" => settings.error_rate = number(value, 1.0)?,
        "error_status" => match number(value, 599.0)? as u16 {
            status @ 400..=599 => settings.error_status = status,
            _ => return Err("must be between 400 and 599".into()),
        },
        "rate_limit_rate" => settings.rate_limit_rate = number(value, 1.0)?,
        "fault" if value.is_null() => settings.fault = None,
        "fault" => {
            let fault = Fault::named(&text(value)?);
            settings.fault = Some(fault.ok_or("no such fault: see GET /__sim/faults")?);
        }
        "flap" => settings.flap = maybe(value, duration)?.filter(|period| !period.is_zero()),
        "retry_after" => settings.retry_after = maybe(value, duration)?,
        "slowdown" => settings.slowdown = number(value, MAX_SLOWDOWN)?,
        "slow_keys" => {
            let factors = value.as_object().ok_or("must be an object of factors by key")?;
            let of = |(key, factor): (&String, &Value)| Ok((key.clone(), number(factor, MAX_SLOWDOWN)?));
            settings.slow_keys = factors.iter().map(of).collect::<Result<_, String>>()?;
        }
        "revoked" => settings.revoked = list(value)?.iter().map(text).collect::<Result<_, _>>()?,
        "capacity" => settings.capacity = maybe(value, |value| Ok(number(value, 1e6)? as usize))?,
        "window" => settings.window = duration(value)?,
        "require_key" => settings.require_key = value.as_bool().ok_or("must be true or false")?,
        "dated_models" => settings.dated_models = value.as_bool().ok_or("must be true or false")?,
        "models" => settings.models = list(value)?.iter().map(text).collect::<Result<_, _>>()?,
        "keys" => settings.keys = list(value)?.iter().map(key).collect::<Result<_, _>>()?,
        _ => return Err("no such setting".into()),
    }
    Ok(())
}

/// A text, or a number written as one.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("must be a text".into()),
    }
}

fn number(value: &Value, most: f64) -> Result<f64, String> {
    value
        .as_f64()
        .filter(|n| (0.0..=most).contains(n))
        .ok_or_else(|| format!("must be a number between 0 and {most}"))
}

fn duration(value: &Value) -> Result<Duration, String> {
    parse_duration(&text(value)?)
}

/// `null`, or what `read` makes of it.
fn maybe<T>(value: &Value, read: impl Fn(&Value) -> Result<T, String>) -> Result<Option<T>, String> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| "must be a list".into())
}

/// `{"key": "sk-…", "req_per_min": 60, "tokens_per_min": 10000}`
fn key(value: &Value) -> Result<KeyLimits, String> {
    let fields = value.as_object().ok_or("must be a list of objects")?;
    let mut limits = KeyLimits::default();
    for (name, value) in fields {
        let limit =
            || if value.is_null() { Ok(None) } else { value.as_u64().map(Some).ok_or("must be a number") };
        match name.as_str() {
            "key" => limits.key = text(value)?,
            "req_per_min" => limits.req_per_min = limit()?,
            "tokens_per_min" => limits.tokens_per_min = limit()?,
            other => return Err(format!("no such field: {other}")),
        }
    }
    if limits.key.is_empty() { Err("key is missing".into()) } else { Ok(limits) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::latency::Latency;

    #[test]
    fn settings_are_changed_by_name_and_nothing_on_error() {
        let now = Settings::default();
        let body =
            br#"{"latency":"5ms","answer_tokens":7,"error_rate":0.5,"error_status":503,"fault":"stall",
            "keys":[{"key":"a","req_per_min":3}],"window":"1s","models":["m"],"tokens_per_s":20}"#;
        let set = changes(body, &now).unwrap();
        assert_eq!(set.latency, Latency::Fixed(Duration::from_millis(5)));
        assert_eq!((set.answer_tokens.max, set.error_status, set.fault), (7, 503, Some(Fault::Stall)));
        assert_eq!((set.keys[0].req_per_min, set.window), (Some(3), Duration::from_secs(1)));
        assert_eq!(changes(br#"{"fault":null}"#, &set).unwrap().fault, None);
        let body = br#"{"flap":"500ms","retry_after":"2s","slowdown":3,"slow_keys":{"a":10},"revoked":["b"],
            "capacity":20}"#;
        let set = changes(body, &now).unwrap();
        assert_eq!(
            (set.flap, set.retry_after),
            (Some(Duration::from_millis(500)), Some(Duration::from_secs(2)))
        );
        assert_eq!((set.slowdown, &set.slow_keys[..]), (3.0, &[("a".to_owned(), 10.0)][..]));
        assert_eq!((set.revoked.len(), set.capacity), (1, Some(20)));
        let unset = changes(br#"{"flap":null,"retry_after":null,"capacity":null}"#, &set).unwrap();
        assert_eq!((unset.flap, unset.retry_after, unset.capacity), (None, None, None));
        for (body, why) in [
            (&b"[]"[..], "not a JSON object"),
            (br#"{"latenci":"5ms"}"#, "latenci: no such setting"),
            (br#"{"error_rate":2}"#, "error_rate: must be a number"),
            (br#"{"error_status":200}"#, "error_status"),
            (br#"{"slow_keys":["a"]}"#, "slow_keys: must be an object"),
            (br#"{"slow_keys":{"a":"x"}}"#, "slow_keys: must be a number"),
            (br#"{"flap":"soon"}"#, "flap"),
            (br#"{"fault":"flood"}"#, "no such fault"),
            (br#"{"keys":[{"req_per_min":3}]}"#, "key is missing"),
            (br#"{"keys":[{"key":"a","rpm":3}]}"#, "no such field: rpm"),
        ] {
            let error = changes(body, &now).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
