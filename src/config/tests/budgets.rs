//! Limits, money, waiting and Redis: what is accepted, and what is refused or doubted.

use std::time::Duration;

use super::*;

const NO_LIMITS: KeyLimits = KeyLimits {
    req_per_min: None,
    tokens_per_min: None,
    max_tokens: None,
    session_limit: None,
    session_window: limits::DEFAULT_SESSION_WINDOW,
    max_concurrent: None,
};

fn client_limits(limits: &str) -> ClientLimits {
    load(&with_provider(&format!("api_keys: [{{key: k, limits: {limits}}}]\n"))).config.clients[0].limits
}

#[test]
fn a_provider_key_has_limits() {
    let text = "llm_providers: [{id: a, type: openai, api_keys: [k], limits: {req_per_min: 60, tokens_per_min: 1_000_000, max_tokens: 4096, session_limit: 5, session_type: 5m, max_concurrent: 8}}]\n";
    let expected = KeyLimits {
        req_per_min: Some(60),
        tokens_per_min: Some(1_000_000),
        max_tokens: Some(4096),
        session_limit: Some(5),
        session_window: Duration::from_secs(300),
        max_concurrent: Some(8),
    };
    assert_eq!(load(text).config.providers[0].limits, expected);
    assert_eq!(load(PROVIDER).config.providers[0].limits, NO_LIMITS);
}

#[test]
fn a_client_has_limits_and_money() {
    let limits = client_limits(
        "{req_per_min: 60, tokens_per_min: 5, max_tokens: 6, session_limit: 7, session_type: 1d, max_concurrent: 8, spend_per_day: 12.50, spend_per_month: 100}",
    );
    let requests = limits.requests;
    assert_eq!((requests.req_per_min, requests.tokens_per_min), (Some(60), Some(5)));
    assert_eq!((requests.max_tokens, requests.session_limit), (Some(6), Some(7)));
    assert_eq!((requests.session_window, requests.max_concurrent), (Duration::from_secs(86_400), Some(8)));
    assert_eq!(limits.spend_per_day, Some(MicroUsd(12_500_000)));
    assert_eq!(limits.spend_per_month, Some(MicroUsd(100_000_000)));
}

/// Zero and nothing are no limit.
#[test]
fn zero_is_no_limit() {
    let none = ClientLimits { requests: NO_LIMITS, spend_per_day: None, spend_per_month: None };
    assert_eq!(load(&with_provider("api_keys: [{key: k}]\n")).config.clients[0].limits, none);
    let zero = "{req_per_min: 0, tokens_per_min: 0, max_tokens: 0, session_limit: 0, max_concurrent: 0, spend_per_day: 0.0, spend_per_month: 0}";
    assert_eq!(client_limits(zero), none);
}

#[test]
fn policy_says_how_budgets_are_spent() {
    let policy =
        load(&with_provider("policy: {token_reserve: worst_case, budget_wait: 500ms, budget_queue: 0}\n"))
            .config
            .policy;
    assert_eq!(policy.token_reserve, TokenReserve::WorstCase);
    assert_eq!((policy.budget_wait, policy.budget_queue), (Duration::from_millis(500), 0));
}

fn redis(keys: &str) -> Redis {
    load(&with_provider(&format!("storage: {{runtime: {{type: redis{keys}}}}}\n")))
        .config
        .storage
        .runtime
        .redis
        .unwrap()
}

fn shown(redis: &Redis) -> String {
    redis.addrs.iter().map(RedisAddr::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn redis_is_found_in_every_way_it_may_be_written() {
    for (keys, addrs, mode, tls) in [
        ("", "localhost:6379", RedisMode::Standalone, false),
        (", addr: cache.internal", "cache.internal:6379", RedisMode::Standalone, false),
        (", addr: '[::1]:7000'", "[::1]:7000", RedisMode::Standalone, false),
        (", addr: 'redis://h:7000'", "h:7000", RedisMode::Standalone, false),
        (", addr: 'redis://h', tls: true", "h:6379", RedisMode::Standalone, true),
        (", addr: h, tls: true", "h:6379", RedisMode::Standalone, true),
        (", addr: 'rediss://h'", "h:6379", RedisMode::Standalone, true),
        (", addr: 'a:1, b,c:3', mode: cluster", "a:1 b:6379 c:3", RedisMode::Cluster, false),
        (", addr: [a, 'rediss://b:2'], mode: cluster", "a:6379 b:2", RedisMode::Cluster, true),
        (", addr: 'a,b:1', mode: sentinel, master_name: m", "a:26379 b:1", RedisMode::Sentinel, false),
    ] {
        let redis = redis(keys);
        assert_eq!((shown(&redis).as_str(), redis.mode, redis.tls), (addrs, mode, tls), "{keys}");
    }
}

#[test]
fn redis_defaults_and_settings() {
    let found = redis("");
    assert_eq!((found.username, found.password, found.database), (None, None, 0));
    assert_eq!((found.on_outage, found.prefix.as_str()), (OnOutage::LocalShare, "coo-llm"));
    assert_eq!((found.sync_interval, found.master_name), (Duration::from_millis(100), None));
    assert_eq!((found.max_lifetime, redis(", conn_max_lifetime: 0").max_lifetime), (None, None));
    assert_eq!(redis(", conn_max_lifetime: 5m").max_lifetime, Some(Duration::from_secs(300)));

    let found = redis(
        ", mode: sentinel, master_name: main, username: u, password: p, database: '3', on_outage: refuse, sync_interval: 1s, prefix: 'eu:llm'",
    );
    assert_eq!(found.master_name.as_deref(), Some("main"));
    assert_eq!((found.username.as_deref(), found.database), (Some("u"), 3));
    assert_eq!(found.password.unwrap().expose(), "p");
    assert_eq!((found.on_outage, found.prefix.as_str()), (OnOutage::Refuse, "eu:llm"));
    assert_eq!(found.sync_interval, Duration::from_secs(1));
}

/// A URL and the keys may say the same thing twice, not two things.
#[test]
fn a_url_and_the_keys_are_one() {
    let found = redis(", addr: 'redis://u:p%40ss@h:1/2', username: u, password: p@ss, database: 2");
    assert_eq!((found.username.as_deref(), found.database), (Some("u"), 2));
    assert_eq!(found.password.unwrap().expose(), "p@ss");
    let found = redis(", addr: 'redis://:p@a,redis://b', mode: cluster, username: ''");
    assert_eq!((found.username, found.password.unwrap().expose()), (None, "p"));
}

/// Only Redis is built of the stores; each other one is asked for in vain.
#[test]
fn a_store_that_is_not_built_is_noted() {
    for (runtime, noted) in
        [("{type: redis}", false), ("{type: sql}", true), ("{type: memory}", true), ("{pool_size: 1}", true)]
    {
        let text = with_provider(&format!("storage: {{runtime: {runtime}}}\n"));
        let notices = load(&text).notices;
        let found = notices.iter().find(|notice| notice.path == "storage.runtime");
        assert_eq!(found.is_some(), noted, "{runtime}");
        assert!(found.is_none_or(|notice| notice.message.ends_with("usage is not kept after a restart")));
    }
}

#[test]
fn what_is_wrong_has_its_place_and_words() {
    let store = |keys: &str| with_provider(&format!("storage: {{runtime: {{type: redis, {keys}}}}}\n"));
    let client = |keys: &str| with_provider(&format!("api_keys: [{{key: k, limits: {{{keys}}}}}]\n"));
    let mut wrong = Vec::new();
    for (text, expected) in [
        (client("req_per_min: many"), "1:43 api_keys[0].limits.req_per_min: `many`: expected a whole number"),
        (
            client("max_concurrent: 1048577"),
            "1:46 api_keys[0].limits.max_concurrent: `1048577`: must be from 0 to 1048576",
        ),
        (client("session_type: 32d"), "1:44 api_keys[0].limits.session_type: `32d`: must be from 1s to 31d"),
        (client("spend_per_day: -1"), "1:45 api_keys[0].limits.spend_per_day: `-1`: must not be negative"),
        (
            client("spend_per_month: 1e3"),
            "1:47 api_keys[0].limits.spend_per_month: `1e3`: write the number out, without an exponent",
        ),
        (
            client("spend_per_day: 1000000000.01"),
            "1:45 api_keys[0].limits.spend_per_day: `1000000000.01`: must be at most 1000000000",
        ),
        (
            with_provider("policy: {token_reserve: worst}\n"),
            "1:25 policy.token_reserve: `worst` is not one of: expected, worst_case",
        ),
        (
            with_provider("policy: {budget_wait: 61s}\n"),
            "1:23 policy.budget_wait: `61s`: must be from 0ms to 1m",
        ),
        (
            with_provider("policy: {budget_queue: 65537}\n"),
            "1:24 policy.budget_queue: `65537`: must be from 0 to 65536",
        ),
        (
            store("addr: 'http://h'"),
            "1:40 storage.runtime.addr: expected host:port, redis:// or rediss:// (TLS)",
        ),
        (
            store("addr: 'a:1,b:x', mode: cluster"),
            "1:40 storage.runtime.addr: address 2 of 2: the port must be a number from 1 to 65535",
        ),
        (
            store("addr: [a, '::1'], mode: cluster"),
            "1:44 storage.runtime.addr[1]: an IPv6 address needs brackets, as in [::1]:6379",
        ),
        (store("addr: []"), "1:40 storage.runtime.addr: expected 1 to 64 addresses"),
        (
            store("addr: 'a,b'"),
            "1:40 storage.runtime.addr: a standalone server has one address | for several servers add `mode: cluster` or `mode: sentinel`",
        ),
        (
            store("mode: clustre"),
            "1:40 storage.runtime.mode: `clustre` is not one of: standalone, cluster, sentinel | did you mean `cluster`?",
        ),
        (
            store("mode: sentinel"),
            "1:20 storage.runtime: `master_name` is required | the name the sentinels know the server by",
        ),
        (
            store("mode: sentinel, master_name: 'a b'"),
            "1:63 storage.runtime.master_name: `a b`: a name is visible ASCII without spaces",
        ),
        (
            store("addr: 'rediss://h', tls: false"),
            "1:40 storage.runtime.addr: rediss:// means TLS, and `tls` is false",
        ),
        (
            store("addr: ['redis://a', 'rediss://b'], mode: cluster"),
            "1:54 storage.runtime.addr[1]: redis:// and rediss:// are mixed | `tls: true` means all of them",
        ),
        (
            store("addr: 'redis://u@h', username: v"),
            "1:40 storage.runtime.addr: this names another username than the key `username` or another address",
        ),
        (
            store("addr: ['redis://:x@a', 'redis://:y@b'], mode: cluster"),
            "1:57 storage.runtime.addr[1]: this names another password than the key `password` or another address",
        ),
        (
            store("addr: 'redis://h/1', database: 2"),
            "1:40 storage.runtime.addr: this names another database than the key `database` or another address",
        ),
        (
            store("database: main"),
            "1:44 storage.runtime.database: `main`: expected the number of a database, 0 to 65535",
        ),
        (store("database: 1, mode: cluster"), "1:44 storage.runtime.database: a cluster has database 0 only"),
        (
            store("on_outage: fail"),
            "1:45 storage.runtime.on_outage: `fail` is not one of: local_share, refuse",
        ),
        (
            store("sync_interval: 10ms"),
            "1:49 storage.runtime.sync_interval: `10ms`: must be from 20ms to 10s",
        ),
        (
            store("prefix: '{a}'"),
            "1:42 storage.runtime.prefix: `{a}`: a prefix is 1 to 64 visible ASCII characters, without { and }",
        ),
    ] {
        let found = brief(&fail(&text).diagnostics);
        if found != [expected] {
            wrong.push(format!("{text}  expected {expected}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_has_no_effect_is_doubted() {
    let text = with_provider(
        "api_keys: [{key: k, limits: {spend_per_day: 5, spend_per_month: 2.5, spend_per_week: 1}}]\n\
         storage: {runtime: {type: memory, on_outage: refuse}}\n",
    );
    assert_eq!(
        brief(&load(&text).warnings),
        [
            "1:45 api_keys[0].limits.spend_per_day: never reached: `spend_per_month` is 2.5 USD",
            "1:70 api_keys[0].limits.spend_per_week: unknown key: it is ignored | did you mean `spend_per_day`?",
            "2:46 storage.runtime.on_outage: without effect: only a store of type `redis` reads this",
        ]
    );
    let text = with_provider(
        "storage: {runtime: {type: redis, addr: ['a:1', 'A:1'], mode: cluster, master_name: m, ca_file: c}}\n",
    );
    assert_eq!(
        brief(&load(&text).warnings),
        [
            "1:48 storage.runtime.addr[1]: an address is listed twice",
            "1:84 storage.runtime.master_name: without effect: only `mode: sentinel` reads this",
            "1:96 storage.runtime.ca_file: without effect: the connection is not over TLS | for TLS add `tls: true`, or write rediss:// in `addr`",
        ]
    );
}
