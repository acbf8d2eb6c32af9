//! No bytes make a parser panic, whoever sends them, and what is written is JSON: samples, which are also the seeds of
//! the fuzz targets, and what is spoilt of them. `DIALECT_CASES=n` tries more.

use super::*;
use crate::dialect::openai::chat::Family;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Rng(u64);

impl Rng {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u32) -> u32 {
        (self.bits() % u64::from(n.max(1))) as u32
    }
}

/// What Cohere alone cannot be sent.
const PDF: &str = "application/pdf";

const REQUESTS: [(Endpoint, &str); 13] = [
    (Endpoint::ChatCompletions, include_str!("../../../fuzz/seeds/in_chat/chat.json")),
    (Endpoint::ChatCompletions, include_str!("../../../fuzz/seeds/in_chat/chat_2.json")),
    (Endpoint::Messages, include_str!("../../../fuzz/seeds/in_messages/messages.json")),
    (Endpoint::Responses, include_str!("../../../fuzz/seeds/in_responses/responses.json")),
    (Endpoint::Embeddings, include_str!("../../../fuzz/seeds/in_vectors/embeddings.json")),
    (Endpoint::Rerank, include_str!("../../../fuzz/seeds/in_vectors/rerank.json")),
    (Endpoint::CohereChat, include_str!("../../../fuzz/seeds/in_cohere/chat.json")),
    (Endpoint::CohereEmbed, include_str!("../../../fuzz/seeds/in_vectors/cohere_embed.json")),
    (Endpoint::CohereRerank, include_str!("../../../fuzz/seeds/in_vectors/cohere_rerank.json")),
    (Endpoint::CountTokens, r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#),
    (Endpoint::StreamGenerateContent, include_str!("../../../fuzz/seeds/in_gemini/generate.json")),
    (Endpoint::BatchEmbedContents, include_str!("../../../fuzz/seeds/in_vectors/google_embed.json")),
    (Endpoint::GoogleCountTokens, include_str!("../../../fuzz/seeds/in_gemini/count.json")),
];

const ANSWERS: [(Wire, &str); 10] = [
    (Wire::Replicate, include_str!("../../../fuzz/seeds/out_replicate/answer.json")),
    (Wire::OpenAi, include_str!("../../../fuzz/seeds/out_openai/answer.json")),
    (Wire::Claude, include_str!("../../../fuzz/seeds/out_claude/answer.json")),
    (Wire::Gemini, include_str!("../../../fuzz/seeds/out_gemini/answer.json")),
    (Wire::Cohere, include_str!("../../../fuzz/seeds/out_cohere/answer.json")),
    (Wire::Cohere, r#"{"id":"i","message":"invalid request: p must be between 0 and 1"}"#),
    (Wire::Voyage, r#"{"detail":[{"loc":["body","input"],"msg":"m"}]}"#),
    (Wire::Gemini, include_str!("../../../fuzz/seeds/out_gemini/error.json")),
    (Wire::Bedrock, include_str!("../../../fuzz/seeds/out_bedrock/answer.json")),
    (Wire::Bedrock, r#"{"message":"Input is too long for requested model.","Message":null}"#),
];

const STREAMS: [(Wire, &str); 5] = [
    (Wire::Replicate, include_str!("../../../fuzz/seeds/out_replicate/stream.sse")),
    (Wire::OpenAi, include_str!("../../../fuzz/seeds/out_openai/stream.sse")),
    (Wire::Claude, include_str!("../../../fuzz/seeds/out_claude/stream.sse")),
    (Wire::Gemini, include_str!("../../../fuzz/seeds/out_gemini/stream.sse")),
    (Wire::Cohere, include_str!("../../../fuzz/seeds/out_cohere/stream.sse")),
];

/// Answers that are no chat.
const LISTS: [(Wire, Endpoint, &str); 11] = [
    (
        Wire::OpenAi,
        Endpoint::BatchEmbedContents,
        include_str!("../../../fuzz/seeds/out_voyage/embeddings.json"),
    ),
    (Wire::Bedrock, Endpoint::Embeddings, r#"{"embedding":[0.5,-1],"inputTextTokenCount":3}"#),
    (Wire::Bedrock, Endpoint::Embeddings, r#"{"id":"i","embeddings":{"float":[[0.5,-1]]},"texts":["a"]}"#),
    (Wire::Gemini, Endpoint::Embeddings, r#"{"embeddings":[{"values":[0.5,-1]}]}"#),
    (Wire::Gemini, Endpoint::CohereEmbed, r#"{"embeddings":[{"values":[0.5,-1]}]}"#),
    (
        Wire::OpenAi,
        Endpoint::CohereEmbed,
        r#"{"data":[{"embedding":[0.5,1],"index":1},{"embedding":"AAAA","index":0}],"usage":{"total_tokens":4}}"#,
    ),
    (
        Wire::OpenAi,
        Endpoint::CohereRerank,
        r#"{"id":"i","data":[{"index":0,"relevance_score":0.5}],"usage":{"total_tokens":4}}"#,
    ),
    (Wire::Cohere, Endpoint::Embeddings, include_str!("../../../fuzz/seeds/out_cohere/embeddings.json")),
    (Wire::Voyage, Endpoint::Embeddings, include_str!("../../../fuzz/seeds/out_voyage/embeddings.json")),
    (Wire::Cohere, Endpoint::Rerank, include_str!("../../../fuzz/seeds/out_cohere/rerank.json")),
    (Wire::Voyage, Endpoint::Rerank, include_str!("../../../fuzz/seeds/out_voyage/rerank.json")),
];

/// Bedrock's events and what they carry, a line each; its streams are no text.
const FRAMES: &str = include_str!("../../../fuzz/seeds/out_bedrock/events.txt");

const FAMILIES: [Family; 6] =
    [Family::OpenAi, Family::Mistral, Family::Grok, Family::OpenRouter, Family::Fireworks, Family::Together];

const WIRES: [Wire; 7] =
    [Wire::OpenAi, Wire::Claude, Wire::Gemini, Wire::Cohere, Wire::Voyage, Wire::Replicate, Wire::Bedrock];
const MODELS: [&str; 4] =
    ["m", "anthropic.claude-sonnet-4-5-v1:0", "global.anthropic.claude-opus-5-5", "amazon.nova-2-lite-v1:0"];
const EMBEDDERS: [&str; 3] = ["cohere.embed-v4:0", "amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"];
const SURFACES: [Endpoint; 5] = [
    Endpoint::ChatCompletions,
    Endpoint::Messages,
    Endpoint::Responses,
    Endpoint::CohereChat,
    Endpoint::StreamGenerateContent,
];
const FACE: Face<'_> = Face { id: "i", model: "m", created: 1 };

/// Changes a few bytes: another one, one more, one less, a piece twice, cut, or a word of JSON in its place.
fn spoilt(text: impl AsRef<[u8]>, rng: &mut Rng) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "null",
        "{}",
        "[]",
        "\"\"",
        "-1",
        "1e999",
        "true",
        "18446744073709551616",
        "\\ud800",
        "\"",
        "\n\n",
        "{\"a\":",
    ];
    let mut bytes = text.as_ref().to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len().max(1) as u32) as usize;
        let end = (at + rng.below(24) as usize).min(bytes.len());
        match rng.below(6) {
            0 if at < bytes.len() => bytes[at] = rng.bits() as u8,
            1 => bytes.insert(at.min(bytes.len()), rng.bits() as u8),
            2 => drop(bytes.drain(at.min(end)..end)),
            3 => {
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at.min(end)..at.min(end), piece);
            }
            4 => bytes.truncate(bytes.len() - (end - at.min(end)) / 2),
            _ => {
                let word = WORDS[rng.below(WORDS.len() as u32) as usize];
                bytes.splice(at.min(end)..end, word.bytes());
            }
        }
    }
    bytes
}

fn cases() -> u64 {
    std::env::var("DIALECT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3_000)
}

/// By its grammar: what passes as it was written may name half a character, or a number beyond all that exist.
fn is_json(out: &[u8], of: &[u8]) {
    let read = crate::dialect::json::validate(out);
    assert!(read.is_ok(), "{read:?}: {}\nof {}", String::from_utf8_lossy(out), String::from_utf8_lossy(of));
}

#[test]
fn no_request_makes_a_reader_or_writer_panic() {
    let mut rng = Rng(1);
    for case in 0..cases() {
        for (endpoint, text) in REQUESTS {
            let body = if case == 0 { text.as_bytes().to_vec() } else { spoilt(text, &mut rng) };
            if endpoint.is_googles() {
                let _ = gemini::inbound::scan(&body, endpoint);
                let renamed = gemini::inbound::renamed(&body, "m");
                assert!(case > 0 || renamed.is_ok(), "{renamed:?}");
                if let Ok(Some(renamed)) = renamed {
                    is_json(&renamed, &body);
                }
            }
            if endpoint.is_count() {
                let read = match endpoint {
                    Endpoint::CountTokens => claude::inbound::read_count(&body),
                    _ => gemini::inbound::read_count(&body),
                };
                let counted = read.map(|request| crate::dialect::estimate::chat_tokens(&request));
                assert!(case > 0 || counted.is_ok(), "{counted:?}");
                continue;
            }
            for wire in WIRES.into_iter().filter(|wire| wire.serves(endpoint) && !wire.is_spoken_at(endpoint))
            {
                let rules = Rules {
                    provider: "p",
                    vertex: case % 5 == 0,
                    drop: case % 2 == 0,
                    max_tokens: 4096,
                    ask_usage: true,
                    max_completion_tokens: case % 3 == 0,
                    family: FAMILIES[case as usize % FAMILIES.len()],
                };
                // What Bedrock takes depends on whose model it is.
                let model = match wire {
                    Wire::Bedrock if endpoint.operation() == Endpoint::Embeddings => {
                        EMBEDDERS[case as usize % EMBEDDERS.len()]
                    }
                    Wire::Bedrock => MODELS[case as usize % MODELS.len()],
                    _ => "m/n",
                };
                let mut out = Vec::new();
                let asked = match endpoint.operation() {
                    Endpoint::Embeddings | Endpoint::Rerank => Ok(None),
                    _ => chat(endpoint, &body).map(Some),
                };
                let result = asked
                    .and_then(|chat| request((endpoint, chat.as_ref()), &body, wire, model, rules, &mut out));
                let refused = wire == Wire::Cohere && text.contains(PDF);
                // Replicate's models call no functions and see no images.
                let any = case > 0 || wire == Wire::Replicate;
                assert!(any || result.is_ok() != refused, "{endpoint:?} to {wire:?}: {result:?}");
                if result.is_ok() {
                    is_json(&out, &body);
                }
            }
        }
    }
}

#[test]
fn no_answer_makes_a_reader_or_writer_panic() {
    let mut rng = Rng(2);
    for case in 0..cases() {
        for (wire, text) in ANSWERS {
            let body = if case == 0 { text.as_bytes().to_vec() } else { spoilt(text, &mut rng) };
            for endpoint in SURFACES {
                let mut out = Vec::new();
                if answer(wire, &body, (endpoint, &Wanted::default()), &FACE, &mut out).is_ok() {
                    is_json(&out, &body);
                }
                let mut out = Vec::new();
                write_error(&error(wire, 429, &body), endpoint, &mut out);
                is_json(&out, &body);
            }
        }
    }
}

#[test]
fn no_list_makes_a_reader_or_writer_panic() {
    let mut rng = Rng(4);
    for case in 0..cases() {
        let wanted = Wanted {
            base64: case % 2 == 1,
            as_voyage: case % 3 == 0,
            as_cohere: matches!(case % 5, 1 | 2),
            vectors: "float",
            documents: vec!["d".into()],
            ..Wanted::default()
        };
        for (wire, endpoint, text) in LISTS {
            let body = if case == 0 { text.as_bytes().to_vec() } else { spoilt(text, &mut rng) };
            let mut out = Vec::new();
            let result = answer(wire, &body, (endpoint, &wanted), &FACE, &mut out);
            assert!(case > 0 || result.is_ok(), "{wire:?} {endpoint:?}: {result:?}");
            if result.is_ok() {
                is_json(&out, &body);
            }
        }
    }
}

#[test]
fn no_stream_makes_a_reader_or_writer_panic() {
    let mut rng = Rng(3);
    for case in 0..cases() {
        for (wire, text) in STREAMS {
            let body = if case == 0 { text.as_bytes().to_vec() } else { spoilt(text, &mut rng) };
            stream_of(wire, &body, case, &mut rng);
        }
        // Frames must be spoilt before they are summed, or nothing more would be read of them. Some are spoilt after.
        let mut body = Vec::new();
        for (name, payload) in FRAMES.lines().filter_map(|line| line.split_once(' ')) {
            let chosen = case > 0 && rng.below(4) == 0;
            let payload = if chosen { spoilt(payload, &mut rng) } else { payload.as_bytes().to_vec() };
            let kind = if name.ends_with("Exception") { "exception" } else { "event" };
            let headers = [
                (":message-type", kind),
                (if kind == "event" { ":event-type" } else { ":exception-type" }, name),
            ];
            body.extend_from_slice(&bedrock::frame::write(&headers, &payload));
        }
        if case % 4 == 1 {
            body = spoilt(&body, &mut rng);
        }
        stream_of(Wire::Bedrock, &body, case, &mut rng);
    }
}

fn stream_of(wire: Wire, body: &[u8], case: u64, rng: &mut Rng) {
    let cut = rng.below(body.len() as u32 + 1) as usize;
    for endpoint in SURFACES.into_iter().filter(|&endpoint| !wire.is_spoken_at(endpoint)) {
        let mut filter = stream::Filter::Other(Box::new(stream::Other::new(wire, endpoint, &FACE, true)));
        let mut out = Vec::new();
        filter.feed(&body[..cut], &mut out);
        filter.feed(&body[cut..], &mut out);
        filter.finish(&mut out);
        assert!(case > 0 || filter.done() && filter.malformed().is_none(), "{wire:?} {endpoint:?}");
        for line in out.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"data: ")) {
            if line != b"[DONE]" {
                is_json(line, body);
            }
        }
    }
}
