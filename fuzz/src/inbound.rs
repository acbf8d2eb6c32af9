//! Bodies that clients send.

use coo_llm::dialect::{
    chat::Request,
    claude, estimate, gemini,
    openai::{chat::Family, form, request, splice::Splice},
    translate::{self, Rules},
};

use crate::{Endpoint, WIRES, Wire, chosen, must_be_json};

const FAMILIES: [Family; 6] =
    [Family::OpenAi, Family::Mistral, Family::Grok, Family::OpenRouter, Family::Fireworks, Family::Together];
/// What Bedrock takes depends on whose model it is.
const MODELS: [&str; 4] = [
    "m/n",
    "anthropic.claude-sonnet-4-5-v1:0",
    "global.anthropic.claude-opus-5-5",
    "amazon.nova-2-lite-v1:0",
];

const EMBEDDERS: [&str; 3] = ["cohere.embed-v4:0", "amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"];

/// A chat, to every provider.
pub fn request(endpoint: Endpoint, body: &[u8]) {
    match endpoint.is_googles() {
        true => rename(endpoint, body),
        false => pass_on(endpoint, body),
    }
    let counted = match endpoint {
        Endpoint::Messages => claude::inbound::read_count(body).ok(),
        Endpoint::GenerateContent => gemini::inbound::read_count(body).ok(),
        _ => None,
    };
    if let Some(counted) = counted {
        estimate::chat_tokens(&counted);
    }
    if let Ok(chat) = translate::chat(endpoint, body) {
        estimate::chat_tokens(&chat);
        write(endpoint, Some(&chat), body);
    }
}

/// Embeddings and ranks, of all clients.
pub fn vectors(body: &[u8]) {
    for endpoint in [Endpoint::Embeddings, Endpoint::Rerank, Endpoint::CohereEmbed, Endpoint::CohereRerank] {
        pass_on(endpoint, body);
        write(endpoint, None, body);
    }
    for endpoint in [Endpoint::EmbedContent, Endpoint::BatchEmbedContents] {
        rename(endpoint, body);
        write(endpoint, None, body);
    }
}

/// The path of a request of Google's clients, which has the model in it.
pub fn path(data: &[u8]) {
    if let Ok(path) = std::str::from_utf8(data)
        && let Some((_, model)) = gemini::inbound::target::read(path)
    {
        let goes_on = gemini::model::path_to(model, Endpoint::GenerateContent);
        assert!(goes_on.bytes().all(|byte| byte.is_ascii_graphic()), "{goes_on:?}");
    }
}

/// A form with sound in it. What stands before the first line's end is the Content-Type.
pub fn form(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (kind, body) = data.split_at(end);
    if let Ok(facts) = form::scan(body.get(1..).unwrap_or_default(), kind) {
        let mut out = Vec::new();
        Splice::form(body.get(1..).unwrap_or_default(), &facts, "another").write_into(&mut out);
    }
}

/// As it is, with the model's name replaced.
fn pass_on(endpoint: Endpoint, body: &[u8]) {
    let Ok(facts) = request::scan(body, endpoint) else { return };
    for ask_usage in [false, true] {
        let mut out = Vec::new();
        let splice = Splice::new(
            body,
            &facts,
            "another",
            ask_usage && facts.stream && endpoint == Endpoint::ChatCompletions,
        );
        splice.write_into(&mut out);
        assert_eq!(out.len(), splice.len());
        must_be_json(&out);
        let again = request::scan(&out, endpoint).expect("what goes on can be read again");
        assert_eq!(again.model(&out), "another");
    }
}

/// As it is, but for the model where it is named once more.
fn rename(endpoint: Endpoint, body: &[u8]) {
    let _ = gemini::inbound::scan(body, endpoint);
    if let Ok(Some(renamed)) = gemini::inbound::renamed(body, "another") {
        must_be_json(&renamed);
    }
}

fn write(endpoint: Endpoint, chat: Option<&Request<'_>>, body: &[u8]) {
    let pick = chosen(body, 60);
    for wire in WIRES.into_iter().filter(|wire| wire.serves(endpoint) && !wire.is_spoken_at(endpoint)) {
        let rules = Rules {
            provider: "p",
            drop: pick % 2 == 0,
            max_tokens: 4096,
            ask_usage: pick % 3 == 0,
            max_completion_tokens: pick % 4 == 0,
            family: FAMILIES[pick % FAMILIES.len()],
            vertex: pick % 3 == 1 && wire != Wire::OpenAi,
        };
        let mut out = Vec::new();
        let model = match endpoint.operation() {
            Endpoint::Embeddings => EMBEDDERS[pick % EMBEDDERS.len()],
            _ => MODELS[pick % MODELS.len()],
        };
        if translate::request((endpoint, chat), body, wire, model, rules, &mut out).is_ok() {
            must_be_json(&out);
        }
    }
}
