//! What is accepted, and what it becomes.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

#[test]
fn the_smallest_file_gets_every_default() {
    let loaded = load(PROVIDER);
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.server.listen, ["[::]:2906".parse().unwrap()]);
    assert_eq!(config.server.worker_threads, None);
    assert_eq!(config.server.limits.max_header_bytes, 32_768);
    assert_eq!(config.server.limits.max_headers, 100);
    assert_eq!(config.server.limits.max_body_bytes, 67_108_864);
    let seconds = Duration::from_secs;
    let timeouts = config.server.timeouts;
    assert_eq!((timeouts.head, timeouts.body), (seconds(10), seconds(30)));
    assert_eq!((timeouts.idle, timeouts.write), (seconds(75), seconds(30)));
    assert_eq!(timeouts.drain, seconds(30));
    let timeouts = config.upstream.timeouts;
    assert_eq!((timeouts.connect, timeouts.first_byte), (seconds(5), seconds(120)));
    assert_eq!((timeouts.between_bytes, timeouts.total), (seconds(60), seconds(600)));
    assert_eq!(config.logging.access.target, LogTarget::Stdout);
    assert!(config.logging.access.enabled);
    assert_eq!(config.logging.prometheus.endpoint, "/metrics");
    assert_eq!(config.policy.algorithm, Algorithm::RoundRobin);
    assert_eq!(config.policy.token_reserve, TokenReserve::Expected);
    assert_eq!((config.policy.budget_wait, config.policy.budget_queue), (seconds(2), 1024));
    assert_eq!(config.storage.runtime.redis, None);
    let provider = &config.providers[0];
    assert_eq!(provider.base_url.to_string(), "https://api.openai.com/v1");
    assert_eq!(provider.api_keys[0].expose(), "sk-1");
    assert_eq!(provider.pricing, Pricing::default());
    assert_eq!(loaded.notices.len(), 1, "{:?}", loaded.notices);
    assert!(loaded.notices[0].message.contains("every request will be refused"));
}

#[test]
fn the_example_loads_without_a_word() {
    let text = include_str!("../../../docs/example.yaml");
    let loaded = load_str("docs/example.yaml", text, &Vars::default()).unwrap();
    assert_eq!(loaded.warnings, []);
    // The local server is plain HTTP, and that is all there is to say.
    assert_eq!(loaded.notices.len(), 1, "{:?}", loaded.notices);
    assert!(loaded.notices[0].message.contains("plain HTTP"));
    let config = loaded.config;
    assert_eq!((config.providers.len(), config.clients.len()), (2, 2));
    assert_eq!(config.providers[0].models, ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"]);
    let (name, rates) = &config.providers[0].pricing.models[0];
    assert_eq!((name.as_str(), rates.input), ("gpt-4o*", MicroUsdPerMillion(2_500_000)));
    assert_eq!(config.providers[1].base_url.to_string(), "http://127.0.0.1:8000/v1");
    assert!(config.clients[1].allowed.permits("local"));
    assert!(!config.clients[1].allowed.permits("openai"));
    let defaults = load(PROVIDER).config;
    assert_eq!(config.server, defaults.server, "the example states the defaults");
    assert_eq!(config.upstream, defaults.upstream, "the example states the defaults");
    assert_eq!(config.logging, defaults.logging, "the example states the defaults");
}

#[test]
fn prices_are_of_a_provider_and_of_its_models() {
    let price = |input, cached_input, output| prices::Rates {
        input: MicroUsdPerMillion(input),
        cached_input: MicroUsdPerMillion(cached_input),
        cache_write: MicroUsdPerMillion(input),
        output: MicroUsdPerMillion(output),
        ..prices::Rates::default()
    };
    for (text, all, models) in [
        ("{}", None, vec![]),
        ("{currency: USD}", None, vec![]),
        ("{input_token_cost: 0}", Some(price(0, 0, 0)), vec![]),
        ("{input_token_cost: 2, output_token_cost: 3}", Some(price(2_000_000, 2_000_000, 3_000_000)), vec![]),
        ("{input_token_cost: 2, cached_input_token_cost: 0.5}", Some(price(2_000_000, 500_000, 0)), vec![]),
        (
            "{input_token_cost: 2, cache_write_token_cost: 2.5}",
            Some(prices::Rates {
                cache_write: MicroUsdPerMillion(2_500_000),
                ..price(2_000_000, 2_000_000, 0)
            }),
            vec![],
        ),
        (
            "{audio_minute_cost: 0.006, search_cost: 0.002}",
            Some(prices::Rates { audio_minute: MicroUsd(6_000), search: MicroUsd(2_000), ..price(0, 0, 0) }),
            vec![],
        ),
        (
            "{models: {'m-*': {output_token_cost: 1}, 'a/b:c': {input_token_cost: 0.1}}}",
            None,
            vec![
                ("m-*".to_owned(), price(0, 0, 1_000_000)),
                ("a/b:c".to_owned(), price(100_000, 100_000, 0)),
            ],
        ),
    ] {
        let file = format!("llm_providers: [{{id: a, type: openai, api_keys: [k], pricing: {text}}}]\n");
        let loaded = load(&file);
        assert_eq!(loaded.warnings, [], "{text}");
        assert_eq!(loaded.config.providers[0].pricing, Pricing { all, models }, "{text}");
    }
}

#[test]
fn bedrock_is_where_its_region_or_its_url_says() {
    for (text, root, region) in [
        ("region: eu-west-1, api_keys: [k]", "https://bedrock-runtime.eu-west-1.amazonaws.com", None),
        (
            "region: cn-north-1, api_keys: ['AKIA:s']",
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
            Some("cn-north-1"),
        ),
        (
            "base_url: 'https://bedrock-runtime.us-west-2.amazonaws.com', api_keys: ['AKIA:s:t']",
            "https://bedrock-runtime.us-west-2.amazonaws.com",
            Some("us-west-2"),
        ),
        (
            "base_url: 'http://127.0.0.1:1/aws/', region: us-east-1, api_keys: ['AKIA:s']",
            "http://127.0.0.1:1/aws",
            Some("us-east-1"),
        ),
        ("base_url: 'https://proxy.example', api_keys: [k]", "https://proxy.example", None),
    ] {
        let loaded = load(&format!("llm_providers: [{{id: a, type: bedrock, {text}}}]\n"));
        assert_eq!(loaded.warnings, [], "{text}");
        let provider = &loaded.config.providers[0];
        assert_eq!(provider.base_url.to_string(), root);
        let key = snapshot::Snapshot::new(&loaded.config, 1).providers.remove(0).keys.remove(0);
        assert_eq!(key.access_key.as_ref().map(|key| key.region.as_str()), region, "{text}");
        // What signs is not sent.
        let head = String::from_utf8(key.head_at("/x")).unwrap();
        assert_eq!(head.contains("authorization"), region.is_none(), "{head}");
    }
    let loaded = load("llm_providers: [{id: a, type: openai, region: us-east-1, api_keys: [k]}]\n");
    assert_eq!(
        brief(&loaded.warnings),
        ["1:39 llm_providers[0].region: `region` means nothing to type openai: it is ignored"]
    );
}

#[test]
fn streams_of_replicates_are_where_the_configuration_says() {
    let of = |more: &str| {
        let loaded = load(&format!("llm_providers: [{{id: a, type: replicate, {more}api_keys: [k]}}]\n"));
        assert_eq!(loaded.warnings, [], "{more}");
        loaded.config.providers[0].stream_url.as_ref().map(ToString::to_string)
    };
    assert_eq!(of("").as_deref(), Some("https://stream.replicate.com"));
    assert_eq!(of("stream_base_url: 'http://[::1]:7/x/', ").as_deref(), Some("http://[::1]:7/x"));
    let loaded =
        load("llm_providers: [{id: a, type: openai, stream_base_url: 'https://s', api_keys: [k]}]\n");
    assert_eq!(loaded.config.providers[0].stream_url, None);
    assert_eq!(
        brief(&loaded.warnings),
        [
            "1:39 llm_providers[0].stream_base_url: `stream_base_url` means nothing to type openai: it is ignored"
        ]
    );
}

#[test]
fn the_documentation_names_every_key() {
    let text = include_str!("../../../docs/configuration.md");
    for (section, names) in keys::KEYS {
        for name in names.iter().filter(|name| **name != "*") {
            assert!(text.contains(&format!("`{name}`")), "{section}.{name} is not documented");
        }
    }
    for (name, _) in ProviderType::choices() {
        assert!(text.contains(&format!("`{name}`")), "type {name} is not documented");
    }
}

/// Everything the original's files hold, at once.
const ORIGINAL: &str = r#"
version: "1.0"
server:
  listen: ":2906"
  admin_api_key: "admin-key"
  cors: {enabled: true, allowed_origins: ["*"], allowed_methods: ["GET"], allowed_headers: ["*"], allow_credentials: true, max_age: 86400}
  webui: {enabled: true, admin_id: "admin", admin_password: "password", web_ui_path: "ui"}
  worker_threads: 4
  worker_pool_size: 100
  max_connections: 1000
  max_concurrent_requests: 500
logging:
  file: {enabled: true, path: "./logs/llm.log", max_size_mb: 100, max_backups: 5}
  prometheus: {enabled: true, endpoint: "/metrics"}
  providers: [{name: hook, type: http, endpoint: "https://h/x", batch: {enabled: true, size: 10, interval_seconds: 5}, headers: {a: b}}]
storage:
  config: {type: "file", path: "./data/config.json"}
  runtime: {type: redis, addr: "localhost:6379", password: "", database: "0", pool_size: 10, min_idle_conns: 1, max_idle_conns: 5, conn_max_lifetime: 1h, max_memory_gb: 0.5, api_key: k, table_usage: u, table_cache: c, table_history: h}
llm_providers:
  - {id: "openai", name: OpenAI, type: "openai", api_keys: ["k1", "k2"], model: "gpt-4o", base_url: "https://api.openai.com", pricing: {input_token_cost: 0.002, output_token_cost: 0.01, currency: USD}, limits: {req_per_min: 200, tokens_per_min: 100000, max_tokens: 0, session_limit: 5, session_type: "1d"}}
  - {id: "claude", type: "claude", api_keys: ["k3"], base_url: "https://api.anthropic.com", model: "claude-3-opus-20240229"}
api_keys: [{key: "client", allowed_providers: ["*"], description: "Default"}]
model_aliases: {"gpt-4o": "openai:gpt-4o", "ft": "openai:ft:gpt-4o:acme::id", "claude": "claude:claude-3-opus-20240229"}
policy:
  strategy: "hybrid"
  algorithm: "hybrid"
  weights: {openai: 30, claude: 20}
  latency_threshold_ms: 1000
  health_check_interval: 30s
  priority: "balanced"
  hybrid_weights: {token_ratio: 0.2, req_ratio: 0.2, error_score: 0.2, latency: 0.2, cost_ratio: 0.2}
  retry: {max_attempts: 3, timeout: "30s", interval: "1s"}
  fallback: {enabled: true, max_providers: 2, providers: ["openai", "claude"]}
  cache: {enabled: true, ttl_seconds: 10, max_size_mb: 64, semantic_enabled: false, embedding_model: m, similarity_threshold: 0.9}
load_balancer: {key_rotation: {strategy: smart, cooldown_period: 60s, max_keys_per_provider: 10}}
cache: {semantic: {enabled: true, similarity_threshold: 0.85, max_cache_size: 10000, ttl_seconds: 3600}}
http: {version: "2", max_concurrent_streams: 100, header_compression: true, timeout: 30s, max_idle_conns: 100, max_idle_conns_per_host: 10, idle_conn_timeout: 90s}
http_client: {keep_alive: true, max_conns_per_host: 50, timeout: 20s}
"#;

#[test]
fn everything_the_original_knows_is_accepted() {
    let loaded = load(ORIGINAL);
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.server.worker_threads, Some(4));
    assert_eq!(config.server.max_connections, 1000);
    let total = config.upstream.timeouts.total;
    assert_eq!(total, Duration::from_secs(20), "http_client wins over http");
    assert_eq!(config.upstream.timeouts.first_byte, total, "no part outlasts the total");
    assert_eq!(config.upstream.timeouts.connect, Duration::from_secs(5));
    assert_eq!(config.upstream.pool.max_per_host, 50);
    assert_eq!(config.upstream.pool.max_idle, 100);
    assert!(config.upstream.http2);
    let file = LogTarget::File(PathBuf::from("./logs/llm.log"));
    assert_eq!(config.logging.access.target, file);
    assert_eq!(config.logging.access.rotation.max_bytes, 100 << 20);
    assert_eq!(config.clients[0].id, "client-1");
    let alias = ("ft".into(), vec![("openai".into(), "ft:gpt-4o:acme::id".into())]);
    assert_eq!(config.aliases[1], alias);
    let limits = config.providers[0].limits;
    assert_eq!((limits.req_per_min, limits.max_tokens), (Some(200), None));
    assert_eq!(limits.session_window, Duration::from_secs(86_400));
    assert_eq!(config.storage.runtime.max_memory_bytes, Some(512 << 20));
    let redis = config.storage.runtime.redis.unwrap();
    assert_eq!(redis.addrs, [RedisAddr { host: "localhost".into(), port: 6379 }]);
    assert_eq!((redis.password, redis.database, redis.tls), (None, 0, false));
    assert_eq!(config.providers[1].base_url.path, "/v1");

    let noted: Vec<&str> = loaded.notices.iter().map(|n| n.path.as_str()).collect();
    let expected = [
        "server.admin_api_key",
        "server.cors",
        "server.webui",
        "storage.config",
        "logging.providers",
        "policy.cache",
        "cache.semantic",
        "http.version",
        "http.max_concurrent_streams",
        "http.header_compression",
        "server.worker_pool_size",
    ];
    assert_eq!(noted, expected);
    let text = |path: &str| {
        let found = loaded.notices.iter().find(|notice| notice.path == path);
        found.unwrap().to_string()
    };
    assert_eq!(
        text("policy.cache"),
        "note: `policy.cache` is accepted but not built yet: no response is cached (line 34)"
    );
}

#[test]
fn notices_keep_quiet_when_nothing_is_lost() {
    let text = with_provider(
        "server: {cors: {enabled: false}, webui: {enabled: no}}\n\
         policy: {algorithm: round_robin, cache: {enabled: false}, fallback: {enabled: off}}\n\
         http: {version: \"1.1\"}\nlogging: {providers: []}\napi_keys: [{key: k, limits: {spend_per_day: 5}}]\n\
         storage: {runtime: {type: redis}}\n",
    );
    assert_eq!(load(&text).notices, []);
}

#[test]
fn variables_reach_every_kind_of_value() {
    let env =
        vars([("WORKERS", "3"), ("KEY", "weird]:{\"#"), ("ON", "true"), ("EMPTY", ""), ("PRICE", "0.15")]);
    let text = "server:\n  worker_threads: ${WORKERS}\n  listen: \":${P:-80}\"\nlogging: {access: {enabled: '${ON}'}}\nllm_providers:\n  - id: a\n    type: openai\n    api_keys: [\"${KEYX:-x}\"]\n    base_url: \"${EMPTY}\"\n    pricing: {input_token_cost: '${PRICE}'}\n    organization: $${x}\nother: ${NO}\n";
    let loaded = load_str("t.yaml", text, &env).unwrap();
    let config = loaded.config;
    assert_eq!(config.server.worker_threads, Some(3));
    assert_eq!(config.server.listen[0].port(), 80);
    let provider = &config.providers[0];
    assert_eq!(provider.base_url.host, "api.openai.com");
    assert_eq!(provider.pricing.all.unwrap().input, MicroUsdPerMillion(150_000));
    assert_eq!(provider.organization.as_deref(), Some("${x}"));
    // A problem in a key nobody reads is not a problem.
    assert_eq!(loaded.warnings.len(), 1);

    let text = "llm_providers: [{id: a, type: openai, api_keys: [x], base_url: '${KEY}'}]\n";
    let failed = load_str("t.yaml", text, &env).unwrap_err();
    assert!(!failed.to_string().contains("weird"), "{failed}");
    assert!(failed.to_string().contains("`${KEY}`: must begin with"), "{failed}");
}

#[test]
fn the_environment_overrides() {
    let env = vars([("PORT", "8080"), ("ADMIN_ID", "root"), ("ADMIN_PASSWORD", "hunter2")]);
    let text = with_provider("server: {listen: ['127.0.0.1:1', '[::1]:1', '127.0.0.1:2']}\n");
    let server = load_str("t.yaml", &text, &env).unwrap().config.server;
    let expected = ["127.0.0.1:8080".parse().unwrap(), "[::1]:8080".parse().unwrap()];
    assert_eq!(server.listen, expected);
    assert_eq!(server.webui.admin_id, "root");
    assert_eq!(server.webui.admin_password.unwrap().expose(), "hunter2");

    let failed = load_str("t.yaml", PROVIDER, &vars([("PORT", "http")])).unwrap_err();
    assert_eq!(
        failed.diagnostics[0].to_string(),
        "error: the port must be a number from 0 to 65535\n --> environment variable PORT"
    );
}

#[test]
fn strategy_and_priority_fill_in_for_each_other() {
    for (policy, algorithm, priority, cost) in [
        ("{}", Algorithm::RoundRobin, Priority::Balanced, 0.2),
        ("{strategy: hybrid}", Algorithm::Hybrid, Priority::Balanced, 0.2),
        ("{strategy: cost_optimized}", Algorithm::CostOptimized, Priority::Cost, 0.6),
        ("{strategy: performance_optimized}", Algorithm::PerformanceOptimized, Priority::Balanced, 0.2),
        ("{algorithm: cost_optimized}", Algorithm::CostOptimized, Priority::Balanced, 0.2),
        (
            "{algorithm: performance_optimized, strategy: hybrid}",
            Algorithm::PerformanceOptimized,
            Priority::Balanced,
            0.2,
        ),
        ("{strategy: hybrid, algorithm: least_loaded}", Algorithm::LeastLoaded, Priority::Balanced, 0.2),
        ("{priority: token}", Algorithm::RoundRobin, Priority::Tokens, 0.1),
        ("{priority: cost, hybrid_weights: {cost_ratio: 0.9}}", Algorithm::RoundRobin, Priority::Cost, 0.9),
    ] {
        let loaded = load(&with_provider(&format!("policy: {policy}\n"))).config.policy;
        assert_eq!((loaded.algorithm, loaded.priority), (algorithm, priority), "{policy}");
        assert!((loaded.hybrid_weights.cost_ratio - cost).abs() < 1e-9, "{policy}");
    }
}

#[test]
fn log_targets_resolve() {
    let file = |path: &str| LogTarget::File(PathBuf::from(path));
    for (logging, target) in [
        ("{}", LogTarget::Stdout),
        ("{file: {enabled: true}}", file("./logs/llm.log")),
        ("{file: {path: a.log}}", file("a.log")),
        ("{file: {enabled: false, path: a.log}}", LogTarget::Stdout),
        ("{file: {path: a.log}, access: {path: b.log}}", file("b.log")),
        ("{file: {path: a.log}, access: {path: '-'}}", LogTarget::Stdout),
    ] {
        let text = with_provider(&format!("logging: {logging}\n"));
        assert_eq!(load(&text).config.logging.access.target, target, "{logging}");
    }
}
