//! Azure OpenAI and Vertex AI: whose address must be said, and how.

use super::*;

const KEY: &str = include_str!("../../../bench/src/simulate/vertex/test_key.pem");

fn account(project: &str) -> String {
    let key = KEY.replace('\n', "\\n");
    format!(
        r#"{{"type":"service_account","project_id":"{project}","private_key":"{key}","client_email":"a@b.c"}}"#
    )
}

fn azure(more: &str) -> String {
    format!("llm_providers: [{{id: a, type: azure, api_keys: [k], {more}}}]\n")
}

fn vertex(more: &str) -> String {
    format!("llm_providers: [{{id: v, type: vertex, {more}}}]\n")
}

#[test]
fn azure_has_two_roots() {
    for (more, url, dated) in [
        ("base_url: 'https://n.openai.azure.com'", "https://n.openai.azure.com/openai/v1", None),
        ("base_url: 'https://n.openai.azure.com/openai/v1/'", "https://n.openai.azure.com/openai/v1", None),
        (
            "base_url: 'https://n.openai.azure.com', api_version: preview",
            "https://n.openai.azure.com/openai/v1",
            Some(false),
        ),
        (
            "base_url: 'https://n.openai.azure.com', api_version: 2024-10-21",
            "https://n.openai.azure.com/openai",
            Some(true),
        ),
        (
            "base_url: 'https://gate.example/llm/openai', api_version: 2025-04-01-preview",
            "https://gate.example/llm/openai",
            Some(true),
        ),
    ] {
        let provider = load(&azure(more)).config.providers.remove(0);
        assert_eq!(provider.base_url.to_string(), url, "{more}");
        assert_eq!(provider.api_version.map(|version| version.is_dated()), dated, "{more}");
    }
}

#[test]
fn vertex_is_found_by_its_location() {
    let json = account("p-of-account");
    let with = |more: &str| load(&vertex(more)).config.providers.remove(0);
    for (more, url, project) in [
        ("api_keys: [t], project: p-1".to_owned(), "https://aiplatform.googleapis.com/v1", "p-1"),
        (
            "api_keys: [t], project: p-1, location: europe-west4".to_owned(),
            "https://europe-west4-aiplatform.googleapis.com/v1",
            "p-1",
        ),
        (
            "api_keys: [t], project: p-1, base_url: 'http://127.0.0.1:1'".to_owned(),
            "http://127.0.0.1:1/v1",
            "p-1",
        ),
        (format!("credentials: '{json}'"), "https://aiplatform.googleapis.com/v1", "p-of-account"),
        (format!("credentials: '{json}', project: p-2"), "https://aiplatform.googleapis.com/v1", "p-2"),
    ] {
        let provider = with(&more);
        assert_eq!(provider.base_url.to_string(), url, "{more}");
        let has_account = more.contains("credentials");
        assert_eq!(provider.api_keys.is_empty(), has_account);
        let vertex = provider.vertex.unwrap();
        assert_eq!((vertex.project.as_str(), vertex.account.is_some()), (project, has_account));
    }
    let folder = std::env::temp_dir().join(format!("coo-places-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("account.json");
    std::fs::write(&path, &json).unwrap();
    let shown = path.display();
    for credentials in [format!("'{shown}'"), format!("'file:{shown}'")] {
        assert_eq!(with(&format!("credentials: {credentials}")).vertex.unwrap().project, "p-of-account");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let env = Vars([("ACCOUNT", Box::leak(json.into_boxed_str()) as &str)].into());
    let loaded = load_str("t.yaml", &vertex("credentials: '${ACCOUNT}'"), &env).unwrap();
    assert_eq!(loaded.config.providers[0].vertex.as_ref().unwrap().project, "p-of-account");
    // What nobody uses is not read.
    load(&vertex("enabled: false, credentials: /no/such/file"));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let broken = account("p").replace("MII", "");
    for (text, expected) in [
        (
            azure("model: m"),
            "1:17 llm_providers[0]: `base_url` is required | such as base_url: https://NAME.openai.azure.com",
        ),
        (azure("base_url: 'https://n/openai', api_version: today"), "llm_providers[0].api_version"),
        (
            azure("base_url: 'https://n/openai/v1', api_version: 2024-10-21"),
            "llm_providers[0].base_url: the v1 API has no dated versions | leave `api_version` out, or give https://NAME.openai.azure.com/openai",
        ),
        (
            azure("base_url: 'https://n/openai'"),
            "llm_providers[0].base_url: without a dated `api_version` this is the v1 API, whose path ends in /openai/v1 | https://NAME.openai.azure.com/openai/v1, or such as api_version: 2024-10-21",
        ),
        (
            azure("base_url: 'https://n/openai/deployments/gpt', api_version: 2024-10-21"),
            "llm_providers[0].base_url: the name of a deployment does not belong here | deployments are named as models: NAME:DEPLOYMENT",
        ),
        (
            vertex("project: p"),
            "llm_providers[0]: `api_keys` is required | or the JSON of a service account: credentials: account.json",
        ),
        (
            vertex("api_keys: [t]"),
            "llm_providers[0]: `project` is required | the project's id, such as project: my-project-1",
        ),
        (vertex("api_keys: [t], project: 'a/b'"), "llm_providers[0].project"),
        (vertex("api_keys: [t], project: p, location: 'a b'"), "llm_providers[0].location"),
        (
            vertex(&format!("api_keys: [t], credentials: '{}'", account("p"))),
            "llm_providers[0].credentials: credentials or `api_keys`, not both | access tokens are fetched with credentials",
        ),
        (vertex("credentials: /no/such/file"), "llm_providers[0].credentials: cannot read the secret's file"),
        (vertex("credentials: '{}'"), "llm_providers[0].credentials: it has no `client_email` |"),
        (
            vertex(&format!("credentials: '{broken}'")),
            "llm_providers[0].credentials: its `private_key` is not a key in PEM |",
        ),
        ("llm_providers: [{id: a, type: vertexai, api_keys: [k]}]\n".into(), "| did you mean `vertex`?"),
        ("llm_providers: [{id: a, type: azure-openai, api_keys: [k]}]\n".into(), "| did you mean `azure`?"),
    ] {
        let failed = fail(&text);
        let found = brief(&failed.diagnostics);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}\n{expected}");
        // Neither the message nor the line that is echoed shows a key.
        assert!(!failed.to_string().contains("BEGIN") && !failed.to_string().contains("Ev"), "{failed}");
    }
    let text = "llm_providers: [{id: a, type: openai, api_keys: [k], api_version: preview, project: p}]\n";
    let warnings = brief(&load(text).warnings);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].ends_with("`api_version` is for the type azure; openai has none"));
}
