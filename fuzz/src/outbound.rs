//! What providers answer.

use coo_llm::dialect::{
    openai::stream::StreamFilter,
    ratelimit,
    translate::{
        self,
        embeddings::Wanted,
        stream::{Filter, Other},
    },
    usage::UsageScanner,
};

use crate::{Endpoint, FACE, Wire, chosen, must_be_json};

/// What is known of a stream that is not what its dialect says.
const MALFORMED: &str = "malformed";

const CHATS: [Endpoint; 5] = [
    Endpoint::ChatCompletions,
    Endpoint::Messages,
    Endpoint::Responses,
    Endpoint::CohereChat,
    Endpoint::StreamGenerateContent,
];

/// Lists of vectors and of ranks.
const LISTS: [Endpoint; 5] = [
    Endpoint::Embeddings,
    Endpoint::Rerank,
    Endpoint::CohereEmbed,
    Endpoint::CohereRerank,
    Endpoint::BatchEmbedContents,
];

/// An answer, an error and a stream of a chat, and a list of embeddings or ranks.
pub fn answer(wire: Wire, data: &[u8]) {
    scan_usage(data);
    let pick = chosen(data, 12);
    for endpoint in CHATS.into_iter().filter(|_| wire != Wire::Voyage) {
        whole(wire, data, endpoint, &Wanted { events: pick % 4 == 0, ..Wanted::default() });
        stream(wire, data, endpoint);
    }
    for endpoint in LISTS.into_iter().filter(|list| wire.serves(*list) && !wire.is_spoken_at(*list)) {
        let wanted = Wanted {
            base64: pick % 2 == 0,
            vertex: pick % 3 == 0 && wire == Wire::Gemini,
            as_voyage: pick % 4 < 2,
            as_cohere: matches!(endpoint, Endpoint::CohereEmbed | Endpoint::CohereRerank),
            vectors: "float",
            documents: vec!["d".into()],
            ..Wanted::default()
        };
        whole(wire, data, endpoint, &wanted);
    }
    error(wire, data);
}

/// Bedrock's answers, and its streams: a line is the name of an event and what it carries, since no guess finds the
/// checksums of a message. Those that are broken are tried with what is sent as it is.
pub fn frames(data: &[u8]) {
    answer(Wire::Bedrock, data);
    let mut framed = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (name, payload) = line.split_at(at);
        frame(name, payload.get(1..).unwrap_or_default(), &mut framed);
    }
    for endpoint in CHATS {
        stream(Wire::Bedrock, &framed, endpoint);
    }
}

fn frame(name: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    let name = name.get(..200).unwrap_or(name);
    let (kind, told): (&[u8], &[u8]) = match name.ends_with(b"Exception") {
        true => (b"exception", b":exception-type"),
        false => (b"event", b":event-type"),
    };
    let mut headers = Vec::new();
    for (name, value) in [(&b":message-type"[..], kind), (told, name)] {
        headers.push(name.len() as u8);
        headers.extend_from_slice(name);
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value);
    }
    let start = out.len();
    out.extend_from_slice(&((16 + headers.len() + payload.len()) as u32).to_be_bytes());
    out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
}

fn whole(wire: Wire, data: &[u8], endpoint: Endpoint, wanted: &Wanted) {
    let mut out = Vec::new();
    let read = translate::answer(wire, data, (endpoint, wanted), &FACE, &mut out);
    if read.is_ok() && !wanted.events {
        must_be_json(&out);
    }
}

fn error(wire: Wire, data: &[u8]) {
    let _ = translate::error_in_answer(wire, data);
    for status in [400, 429] {
        let _ = translate::error_of_key(wire, status, data);
        let told = translate::error(wire, status, data);
        for endpoint in CHATS {
            let mut out = Vec::new();
            translate::write_error(&told, endpoint, &mut out);
            must_be_json(&out);
        }
    }
}

fn stream(wire: Wire, data: &[u8], endpoint: Endpoint) {
    let at = chosen(data, data.len() + 1);
    let filter = || match wire {
        Wire::OpenAi if endpoint == Endpoint::ChatCompletions => Filter::Same(StreamFilter::new(at % 2 == 0)),
        _ => Filter::Other(Box::new(Other::new(wire, endpoint, &FACE, true))),
    };
    let (whole, seen) = streamed(filter(), &[data]);
    let (cut, seen_cut) = streamed(filter(), &[&data[..at], &data[at..]]);
    assert_eq!(seen, seen_cut, "cut at {at}");
    if wire.is_spoken_at(endpoint) && seen == MALFORMED {
        // What passes as it is passes before it is read.
        return;
    }
    assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&cut), "cut at {at}");
    if wire.is_spoken_at(endpoint) {
        return;
    }
    for line in whole.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: ")) {
        if line != b"[DONE]" {
            must_be_json(line);
        }
    }
}

/// What the client gets, and what the gateway knows of it.
fn streamed(mut filter: Filter, parts: &[&[u8]]) -> (Vec<u8>, String) {
    let mut out = Vec::new();
    for part in parts {
        filter.feed(part, &mut out);
        if filter.malformed().is_some() {
            // The gateway reads no further.
            return (out, MALFORMED.into());
        }
    }
    filter.finish(&mut out);
    let malformed = filter.malformed().is_some();
    let counts = (filter.events(), filter.content_events(), filter.done(), filter.error_seen());
    (out, format!("{counts:?} {malformed} {:?} {:?}", filter.usage(), filter.first_status()))
}

/// As the gateway watches an answer that it passes on: whole, and cut in two.
fn scan_usage(data: &[u8]) {
    let scan = |mut scanner: UsageScanner, parts: &[&[u8]]| {
        parts.iter().for_each(|part| scanner.feed(part));
        scanner.finish()
    };
    let (head, tail) = data.split_at(chosen(data, data.len() + 1));
    for new in [UsageScanner::new, UsageScanner::googles, UsageScanner::coheres, UsageScanner::of_meta] {
        assert_eq!(scan(new(), &[data]), scan(new(), &[head, tail]));
    }
    // Rate limits as header fields: a line each.
    let lines = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..at], line[at + 1..].trim_ascii()))
    });
    ratelimit::read(lines, || 1_800_000_000);
}
