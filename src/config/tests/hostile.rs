//! Input that means no good: secrets stay hidden, and nothing panics.

use proptest::prelude::{ProptestConfig, Strategy as _, prop_assert_eq, prop_assume, prop_oneof, proptest};

use super::*;

/// No way of being wrong brings a secret into what is printed.
#[test]
fn secrets_are_never_printed() {
    const S: &str = "hush1234567890secretvalue";
    for text in [
        // The right place, with something wrong beside it on the line.
        "llm_providers: [{id: 'b:d', type: opnai, api_keys: [S], nope: 1}]\n",
        "llm_providers: [{id: a, type: x, api_keys: [S, S], headers: {a: S, 'b c': S}, base_url: 'http://u:S@h'}]\n",
        "api_keys: [{id: 'b d', key: S, kye: S}, {key: S, allowed_providers: [x]}]\n",
        "server: {admin_api_key: 'S S', lisen: S, webui: {enabled: x, admin_password: S}}\n",
        "storage: {runtime: {type: x, addr: 'redis://u:S@h', password: S, api_key: S}}\n",
        "storage: {runtime: {type: redis, addr: 'redis://u:S@h,S:x,rediss://:%4S@S:0', password: S, databse: S}}\n",
        "storage: {runtime: {type: redis, addr: ['u:S@h', 'http://u:S@h', 'redis://h/S', '::S'], database: 1}}\n",
        "storage: {runtime: {type: redis, mode: cluster, addr: 'redis://u:S@h,redis://u:xS@h'}}\n",
        "logging: {providers: [{nmae: x, endpoint: 'https://h/S', headers: {a: \"S\\n\"}}]}\n",
        // The wrong place or shape.
        "api_keys: S\nllm_providers: S\n",
        "api_keys: [S]\nllm_providers: [S]\n",
        "llm_providers: [{id: a, type: b, api_keys: {S: S}}]\n",
        "llm_providers: [{id: a, type: b, apikeys: [S], api_key: S}]\n",
        "providers: [{id: a, keys: [{secret: S}]}]\n",
        "server: {listen: {S: S}}\n",
        "server: {listen: x} # old: S\n",
        "server:\n  listen: \"x\" # S\n  nope: \"x\" # S\n",
        "server:\n  listen: x\n  admin_api_key: |\n    S\n    S\n  nope: S\n",
        "x: &k S\nserver: {worker_threads: x, admin_api_key: *k, nope: *k}\n",
        "server: {\"tls.cert_file\": S}\n",
        "api_keys: [{key: '${S'}]\n",
        "api_keys: [{key: '${NO}S'}, {key: 'file:/S'}]\n",
        // Not YAML at all.
        "api_keys: [S\n",
        "api_keys:\n  - key: S\n - x: S\n",
        "api_keys: [{key: \"S}]\n",
        "key: S: S\n",
        "- S\nserver: S\n",
        "key: S\nkey: S\n",
        "S: S\nS: S\n",
        "{S: S, S\n",
        "key: !S S\n",
        "key: *S\n",
    ] {
        let text = text.replace('S', S);
        let shown = match load_str("t.yaml", &text, &Vars::default()) {
            Ok(loaded) => format!("{loaded:?}"),
            Err(failed) => failed.to_string(),
        };
        // A key of a mapping is a name; only unknown ones that were put there are exempt.
        let exempt = text.starts_with(S);
        assert!(exempt || !shown.contains("hush"), "{text}\n{shown}");
    }
}

/// Pieces that make mistakes likelier than plain noise does.
fn document() -> impl proptest::strategy::Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(keys::KEYS.iter().flat_map(|(_, k)| k.iter().copied()).collect::<Vec<_>>())
            .prop_map(|key| format!("{key}: ")),
        6 => proptest::sample::select(vec![
            "\n", "\n  ", "\n    ", "- ", "{", "}", "[", "]", ", ", ": ", "\"", "'", "|", "&a ", "*a", "<<: ",
            "# ", "${A}", "${", "$${", "~", "true", "1", "-1", "1.5", "30s", "openai", "a:b", "http://h", ":2906",
            "file:/dev/null", "!!str ", "!x ", "---\n", "\t", "\r\n", "\u{feff}", "\u{0}", "é",
        ]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}|[\\s\\S]{0,200}") {
        let _ = load_str("t.yaml", &text, &Vars::default()).map_err(|failed| failed.to_string());
    }

    #[test]
    fn arbitrary_documents_never_panic(text in document()) {
        let _ = load_str("t.yaml", &text, &Vars::default()).map_err(|failed| failed.to_string());
    }

    #[test]
    fn a_secret_from_the_environment_is_kept_as_it_is(secret in "[!-~]{1,40}") {
        prop_assume!(!secret.starts_with("file:"));
        struct One(String);
        impl Env for One {
            fn var(&self, name: &str) -> Option<String> {
                (name == "KEY").then(|| self.0.clone())
            }
        }
        let text = "llm_providers: [{id: a, type: openai, api_keys: [\"${KEY}\"]}]\n";
        let loaded = load_str("t.yaml", text, &One(secret.clone())).unwrap();
        prop_assert_eq!(loaded.config.providers[0].api_keys[0].expose(), secret);
    }

    #[test]
    fn prices_are_exact(micro in 0..=1_000_000_000_000u64) {
        let text = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
        prop_assert_eq!(money::micro_units(&text, limits::MAX_PRICE_USD), Ok(micro));
    }
}
