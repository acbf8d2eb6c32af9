//! What is refused or doubted, with its place and words.

use super::*;

/// One wrong document, and where and what the one problem is.
#[test]
fn every_error_has_its_place_and_words() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        // Shape of the document.
        ("[]\n".into(), "1:1 : expected a mapping, found a list"),
        ("a\n".into(), "1:1 : expected a mapping, found a single value"),
        (
            "".into(),
            "1:1 : `llm_providers` is required | llm_providers: [{id: openai, type: openai, api_keys: [\"${OPENAI_API_KEY}\"]}]",
        ),
        ("llm_providers: []\n".into(), "1:16 llm_providers: at least one provider is required"),
        (
            "llm_providers:\n".into(),
            "1:14 llm_providers: a value is required, and this is empty | llm_providers: [{id: openai, type: openai, api_keys: [\"${OPENAI_API_KEY}\"]}]",
        ),
        ("llm_providers: {a: b}\n".into(), "1:16 llm_providers: expected a list, found a mapping"),
        (with_provider("server: []\n"), "1:9 server: expected a mapping, found a list"),
        (
            with_provider("server: {listen: {a: b}}\n"),
            "1:18 server.listen: expected an address such as :2906, found a mapping",
        ),
        (
            with_provider("version: '1.0'\nversion: '1.0'\n"),
            "2:1 : this key is set twice in the same mapping; the first is on line 1",
        ),
        (
            with_provider("server: {worker_threads: ${N}}\n"),
            "1:27 : YAML: while parsing a flow mapping, did not find expected ',' or '}' | inside { } or [ ] a variable needs quotes: \"${NAME}\"",
        ),
        // server
        (
            with_provider("server: {listen: 'a:b'}\n"),
            "1:18 server.listen: `a:b`: the host must be an IP address, empty, or `localhost`",
        ),
        (
            with_provider("server: {listen: [1, '::1']}\n"),
            "1:22 server.listen[1]: `::1`: an IPv6 address needs brackets, as in [::1]:2906",
        ),
        (with_provider("server: {listen: []}\n"), "1:18 server.listen: expected 1 to 64 addresses"),
        (with_provider("server: {listen: [1, 1]}\n"), "1:22 server.listen[1]: this address is listed twice"),
        (
            with_provider("server: {worker_threads: 0}\n"),
            "1:26 server.worker_threads: `0`: must be from 1 to 1024",
        ),
        (
            with_provider("server: {worker_threads: -1}\n"),
            "1:26 server.worker_threads: `-1`: must be from 1 to 1024",
        ),
        (
            with_provider("server: {worker_threads: four}\n"),
            "1:26 server.worker_threads: `four`: expected a whole number",
        ),
        (
            with_provider("server: {worker_threads: 1.5}\n"),
            "1:26 server.worker_threads: `1.5`: expected a whole number",
        ),
        (
            with_provider("server: {max_connections: 99999999999999999999}\n"),
            "1:27 server.max_connections: `99999999999999999999`: must be from 1 to 1048576",
        ),
        (
            with_provider("server: {limits: {max_header_bytes: 10}}\n"),
            "1:37 server.limits.max_header_bytes: `10`: must be from 1024 to 1048576",
        ),
        (
            with_provider("server: {limits: {max_headers: 129}}\n"),
            "1:32 server.limits.max_headers: `129`: must be from 1 to 128",
        ),
        (
            with_provider("server: {timeouts: {head: soon}}\n"),
            "1:27 server.timeouts.head: `soon`: expected a duration such as 30s, 5m, 1h or 100ms",
        ),
        (
            with_provider("server: {timeouts: {head: 0}}\n"),
            "1:27 server.timeouts.head: `0`: must be from 1ms to 1d",
        ),
        (
            with_provider("server: {tls: {cert_file: /dev, key_file: Cargo.toml}}\n"),
            "1:27 server.tls.cert_file: `/dev` is not a file",
        ),
        (
            with_provider("server: {cors: {enabled: maybe}}\n"),
            "1:26 server.cors.enabled: `maybe`: expected true or false",
        ),
        (with_provider("server: {admin_api_key: ''}\n"), "1:25 server.admin_api_key: the secret is empty"),
        (
            with_provider("server: {admin_api_key: 'a b'}\n"),
            "1:25 server.admin_api_key: character 2 of this key cannot be sent in a header | a key is visible ASCII without spaces",
        ),
        // upstream
        (
            with_provider("upstream: {timeouts: {total: 5s, first_byte: 10s}}\n"),
            "1:46 upstream.timeouts.first_byte: must not be longer than the total of 5s",
        ),
        (with_provider("http: {version: 3}\n"), "1:17 http.version: `3` is not one of: 1.1, 1, 2, 2.0"),
        (
            with_provider("http_client: {timeout: 30x}\n"),
            "1:24 http_client.timeout: `30x`: unknown unit; use ms, s, m, h or d",
        ),
        // logging
        (
            with_provider("logging: {prometheus: {endpoint: metrics}}\n"),
            "1:34 logging.prometheus.endpoint: `metrics`: expected a path such as /metrics",
        ),
        (
            with_provider("logging: {prometheus: {endpoint: /v1/x}}\n"),
            "1:34 logging.prometheus.endpoint: `/v1/x`: this path is taken by the API",
        ),
        (
            with_provider("logging: {access: {path: ''}}\n"),
            "1:26 logging.access.path: expected a path, or `-` for the standard output",
        ),
        // storage
        (
            with_provider("storage: {runtime: {type: reddis}}\n"),
            "1:27 storage.runtime.type: `reddis` is not one of: memory, sql, redis, http, mongodb, dynamodb, influxdb | did you mean `redis`?",
        ),
        // llm_providers
        (
            "llm_providers: [{type: openai, api_keys: [k]}]\n".into(),
            "1:17 llm_providers[0]: `id` is required | a name of your choice, used as in `openai:gpt-4o`",
        ),
        (
            "llm_providers: [{id: 'a:b', type: openai, api_keys: [k]}]\n".into(),
            "1:22 llm_providers[0].id: `a:b`: an id is 1 to 64 letters, digits, `.`, `_` or `-`",
        ),
        (
            "llm_providers: [{id: grok, api_keys: [k]}]\n".into(),
            "1:17 llm_providers[0]: `type` is required | add `type: grok`",
        ),
        (
            "llm_providers: [{id: a, type: opnai, api_keys: [k]}]\n".into(),
            "1:31 llm_providers[0].type: `opnai` is not one of: openai, gemini, claude, grok, fireworks, together, replicate, huggingface, mistral, cohere, voyage, openrouter, azure, vertex, bedrock, custom | did you mean `openai`?",
        ),
        (
            "llm_providers: [{id: a, type: Anthropic, api_keys: [k]}]\n".into(),
            "1:31 llm_providers[0].type: `Anthropic` is not one of: openai, gemini, claude, grok, fireworks, together, replicate, huggingface, mistral, cohere, voyage, openrouter, azure, vertex, bedrock, custom | did you mean `claude`?",
        ),
        (
            "llm_providers: [{id: a, type: custom, api_keys: [k]}]\n".into(),
            "1:17 llm_providers[0]: `base_url` is required | such as base_url: http://127.0.0.1:8000/v1",
        ),
        (
            "llm_providers: [{id: a, type: bedrock, api_keys: [k]}]\n".into(),
            "1:17 llm_providers[0]: `region` is required | such as region: us-east-1",
        ),
        (
            "llm_providers: [{id: a, type: bedrock, region: US_EAST, api_keys: [k]}]\n".into(),
            "1:48 llm_providers[0].region: `US_EAST`: a region is a name such as us-east-1",
        ),
        (
            "llm_providers: [{id: a, type: bedrock, region: us-east-1, api_keys: ['AKIA:', k]}]\n".into(),
            "1:69 llm_providers[0].api_keys: a key of AWS is ACCESS_KEY_ID:SECRET_ACCESS_KEY, perhaps with :SESSION_TOKEN behind it",
        ),
        (
            "llm_providers: [{id: a, type: bedrock, base_url: 'https://h', api_keys: ['AKIA:s']}]\n".into(),
            "1:73 llm_providers[0].api_keys: a key that signs needs the `region` of its provider",
        ),
        (
            "llm_providers: [{id: a, type: replicate, stream_base_url: 'stream.example', api_keys: [k]}]\n".into(),
            "1:59 llm_providers[0].stream_base_url: `stream.example`: must begin with https:// or http://",
        ),
        (
            "llm_providers: [{id: a, type: openai}]\n".into(),
            "1:17 llm_providers[0]: `api_keys` is required | for a server that asks for no key, any word will do: api_keys: [none]",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: []}]\n".into(),
            "1:49 llm_providers[0].api_keys: at least one key is required",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k, ~]}]\n".into(),
            "1:53 llm_providers[0].api_keys[1]: an empty item",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k, '']}]\n".into(),
            "1:53 llm_providers[0].api_keys[1]: the secret is empty",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: {k: v}}]\n".into(),
            "1:49 llm_providers[0].api_keys: expected a list, found a mapping",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: ['${NO}']}]\n".into(),
            "1:50 llm_providers[0].api_keys[0]: the environment variable `NO` is not set, and `${NO}` has no default",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: ['file:/no/such']}]\n".into(),
            "1:50 llm_providers[0].api_keys[0]: cannot read the secret's file: No such file or directory (os error 2)",
        ),
        (
            "llm_providers: [{id: a, type: openai, base_url: host, api_keys: [k]}]\n".into(),
            "1:49 llm_providers[0].base_url: `host`: must begin with https:// or http://",
        ),
        (
            "llm_providers: [{id: a, type: openai, addresses: [192.0.2.1, host], api_keys: [k]}]\n".into(),
            "1:62 llm_providers[0].addresses[1]: `host` is not an address | such as 192.0.2.1, 192.0.2.1:8000 or [2001:db8::1]:8000",
        ),
        (
            "llm_providers: [{id: a, type: openai, base_url: 'https://u:pw@h', api_keys: [k]}]\n".into(),
            "1:49 llm_providers[0].base_url: this value: must not carry a user name or password; use api_keys or headers",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], headers: {Host: x}}]\n".into(),
            "1:70 llm_providers[0].headers.Host: `host` is set by the gateway",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], headers: {'a b': x}}]\n".into(),
            "1:71 llm_providers[0].headers.a b: this is not a header name",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], headers: {a: x, A: y}}]\n".into(),
            "1:73 llm_providers[0].headers.A: this header is set twice (names ignore case)",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], headers: {a: \"x\\ny\"}}]\n".into(),
            "1:67 llm_providers[0].headers.a: a header's value is visible ASCII, without spaces at its ends",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], models: ['a b']}]\n".into(),
            "1:63 llm_providers[0].models[0]: a model name has no spaces",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], pricing: {input_token_cost: -1}}]\n".into(),
            "1:82 llm_providers[0].pricing.input_token_cost: `-1`: must not be negative",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], pricing: {input_token_cost: 0.0000001}}]\n"
                .into(),
            "1:82 llm_providers[0].pricing.input_token_cost: `0.0000001`: has more than 6 decimals",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], pricing: {models: {m: {output_token_cost: -1}}}}]\n".into(),
            "1:96 llm_providers[0].pricing.models.m.output_token_cost: `-1`: must not be negative",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], pricing: {models: {m: {}}}}]\n".into(),
            "1:73 llm_providers[0].pricing.models.m: no price is given | such as input_token_cost: 0.15",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], pricing: {currency: EUR}}]\n".into(),
            "1:74 llm_providers[0].pricing.currency: `EUR` is not one of: USD, usd",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k], limits: {session_type: 5x}}]\n".into(),
            "1:77 llm_providers[0].limits.session_type: `5x`: unknown unit; use ms, s, m, h or d",
        ),
        (
            "llm_providers: [{id: a, type: openai, api_keys: [k]}, {id: a, type: grok, api_keys: [k]}]\n"
                .into(),
            "1:60 llm_providers[1].id: the provider id `a` is taken by llm_providers[0].id",
        ),
        // api_keys
        (
            with_provider("api_keys: [{id: a}]\n"),
            "1:12 api_keys[0]: `key` is required | the bearer key this client sends",
        ),
        (
            with_provider("api_keys: [{id: a, key: k}, {id: a, key: l}]\n"),
            "1:34 api_keys[1].id: the client id `a` is taken by api_keys[0].id",
        ),
        (
            with_provider("api_keys: [{id: a, key: k}, {id: b, key: k}]\n"),
            "1:42 api_keys[1].key: the same key as api_keys[0].key: a key belongs to one client",
        ),
        (
            with_provider("api_keys: [{key: k, allowed_providers: [opnai]}]\n"),
            "1:41 api_keys[0].allowed_providers[0]: no provider has the id `opnai` | did you mean `openai`?",
        ),
        (
            with_provider("api_keys: [{key: k, allowed_providers: []}]\n"),
            "1:40 api_keys[0].allowed_providers: this client could reach no provider | name providers, or write [\"*\"] for all",
        ),
        // model_aliases
        (
            with_provider("model_aliases: {a: gpt-4o}\n"),
            "1:20 model_aliases.a: `gpt-4o`: expected provider_id:model",
        ),
        (
            with_provider("model_aliases: {a: 'gemini:x:y'}\n"),
            "1:20 model_aliases.a: no provider has the id `gemini` | the providers are: openai",
        ),
        (
            with_provider("model_aliases: {a: [b]}\n"),
            "1:21 model_aliases.a[0]: `b`: expected provider_id:model",
        ),
        (with_provider("model_aliases: {a: []}\n"), "1:20 model_aliases.a: expected 1 to 16 targets"),
        (
            with_provider("model_aliases: {a: ['openai:m', 'x:m']}\n"),
            "1:33 model_aliases.a[1]: no provider has the id `x` | the providers are: openai",
        ),
        // policy
        (
            with_provider("policy: {strategy: fastest}\n"),
            "1:20 policy.strategy: `fastest` is not one of: hybrid, cost_optimized, performance_optimized",
        ),
        (
            with_provider("policy: {algorithm: round-robin}\n"),
            "1:21 policy.algorithm: `round-robin` is not one of: round_robin, weighted_round_robin, least_loaded, hybrid, cost_optimized, performance_optimized | did you mean `round_robin`?",
        ),
        (
            with_provider("policy: {priority: costs}\n"),
            "1:20 policy.priority: `costs` is not one of: balanced, cost, req, token | did you mean `cost`?",
        ),
        (
            with_provider("policy: {weights: {grok: 1}}\n"),
            "1:20 policy.weights.grok: no provider has the id `grok` | the providers are: openai",
        ),
        (
            with_provider("policy: {weights: {openai: 0}}\n"),
            "1:19 policy.weights: at least one weight must be above 0",
        ),
        (
            with_provider("policy: {fallback: {providers: [grok]}}\n"),
            "1:33 policy.fallback.providers[0]: no provider has the id `grok` | the providers are: openai",
        ),
        (
            with_provider("policy: {hybrid_weights: {latency: 2}}\n"),
            "1:36 policy.hybrid_weights.latency: `2`: must be at most 1",
        ),
        (
            with_provider("policy: {retry: {max_attempts: 11}}\n"),
            "1:32 policy.retry.max_attempts: `11`: must be from 1 to 10",
        ),
        (
            with_provider("policy: {hedge: p99}\n"),
            "1:17 policy.hedge: `p99`: expected p95, or a duration such as 800ms",
        ),
        (
            with_provider("cache: {semantic: {similarity_threshold: high}}\n"),
            "1:42 cache.semantic.similarity_threshold: `high`: expected a decimal number such as 0.15",
        ),
    ] {
        let text: String = text;
        let found = brief(&fail(&text).diagnostics);
        if found != [expected] {
            wrong.push(format!("{text}  expected {expected}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_problems_are_reported_at_once_and_in_order() {
    let text = "server:\n  listen: nowhere\n  worker_threads: x\nllm_providers:\n  - id: a\n    type: b\n    api_keys: []\n  - {}\nmodel_aliases: {m: 'c:d'}\npolicy: {algorithm: z}\n";
    let lines: Vec<usize> = fail(text).diagnostics.iter().map(|d| d.line).collect();
    assert_eq!(lines, [2, 3, 6, 7, 8, 8, 8, 9, 10]);
}

#[test]
fn unknown_keys_are_warnings_with_a_guess() {
    let text = with_provider(
        "sever: {}\nserver: {lisen: 1, tls_cert: x, retry: 1}\nenabled: true\nproviders: [{id: a}]\n",
    );
    let loaded = load(&text);
    assert_eq!(
        brief(&loaded.warnings),
        [
            "1:1 sever: unknown key: it is ignored | did you mean `server`?",
            "2:10 server.lisen: unknown key: it is ignored | did you mean `listen`?",
            "2:20 server.tls_cert: unknown key: it is ignored",
            "2:33 server.retry: unknown key: it is ignored | `retry` is a key of `policy`",
            "3:1 enabled: unknown key: it is ignored | `enabled` is a key of `server.cors`",
            "4:1 providers: the old list `providers` is not read; move its entries to `llm_providers`",
        ]
    );
}

#[test]
fn doubtful_values_are_warnings() {
    let text = "version: '2'\nllm_providers:\n  - {id: a, type: openai, api_keys: [k, k, $OPENAI_KEY]}\n  - {id: b, type: grok, enabled: false, api_keys: ['${NO}']}\nmodel_aliases: {m: 'b:x'}\n";
    let loaded = load(text);
    assert_eq!(
        brief(&loaded.warnings),
        [
            "1:10 version: unknown version `2` | this release reads version \"1.0\"",
            "3:41 llm_providers[0].api_keys[1]: the same key as llm_providers[0].api_keys[0]",
            "3:44 llm_providers[0].api_keys[2]: this secret looks like a variable's name, and is used as it stands | an environment variable is written `${NAME}`",
            "5:20 model_aliases.m: the provider `b` is disabled",
        ]
    );
    assert!(loaded.config.providers[1].api_keys.is_empty());
}

#[test]
fn a_problem_is_shown_in_its_line() {
    let text = "server:\n  listen: :2906 # all\n  worker_threads: lots\n";
    let printed = fail(&with_provider(text)).to_string();
    let expected = "\
error: server.worker_threads: `lots`: expected a whole number
 --> t.yaml:3:19
  |
3 |   worker_threads: lots
  |                   ^^^^

1 error, 0 warnings";
    assert_eq!(printed, expected);
}

#[test]
fn many_problems_are_cut_but_errors_stay() {
    let mut text = String::new();
    for number in 0..1000 {
        text.push_str(&format!("unknown{number}: 1\n"));
    }
    text.push_str("llm_providers: []\n");
    let failed = fail(&text);
    assert_eq!(failed.diagnostics.len(), limits::MAX_DIAGNOSTICS);
    assert!(failed.to_string().contains("more problems are not listed"));
    assert!(failed.to_string().contains("1 error, 199 warnings"));
}

/// A key's text cannot forge a line or a colour of what is printed.
#[test]
fn control_characters_are_not_printed() {
    let text = with_provider("\"a\\nerror: \\e[31mb\": 1\n");
    let warning = load(&text).warnings[0].to_string();
    assert!(warning.starts_with("warning: a error:  [31mb: unknown key"), "{warning}");
    assert!(!warning.contains('\u{1b}'), "{warning}");
}
