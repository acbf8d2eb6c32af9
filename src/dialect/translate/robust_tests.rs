//! No bytes make a parser panic, whoever sends them, and what is written is JSON. `DIALECT_CASES=n` tries more.

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
    (
        Endpoint::ChatCompletions,
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"file","file":{"file_data":"data:text/plain;base64,YQ==","filename":"f"}}]},{"role":"assistant","content":"b","reasoning_content":"r","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"{\"r\":1}"},{"role":"user","content":"c"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required","documents":[{"data":{"text":"t"}}],"logprobs":true,"temperature":0.5,"top_p":1,"frequency_penalty":0.5,"stop":["x","y"],"reasoning_effort":"high"}"#,
    ),
    (
        Endpoint::ChatCompletions,
        r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a\u00e9\ud83d\ude00"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA","filename":"f"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}},"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}},"stop":["x"],"max_completion_tokens":2000,"temperature":0.5,"top_p":0.5,"seed":1,"n":1,"reasoning_effort":"low","stream":true,"stream_options":{"include_usage":true}}"#,
    ),
    (
        Endpoint::Messages,
        r#"{"model":"m","max_tokens":2000,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"c1","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"r"}],"is_error":true}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"},"stop_sequences":["x"],"temperature":1,"top_k":5,"thinking":{"type":"enabled","budget_tokens":1024},"metadata":{"user_id":"u"}}"#,
    ),
    (
        Endpoint::Responses,
        r#"{"model":"m","instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"r"}],"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}},"reasoning":{"effort":"low"},"max_output_tokens":2000}"#,
    ),
    (Endpoint::Embeddings, r#"{"model":"m","input":["a","b"],"dimensions":8,"encoding_format":"base64"}"#),
    (
        Endpoint::Rerank,
        r#"{"model":"m","query":"q","documents":["a",{"text":"b"}],"top_n":2,"return_documents":true}"#,
    ),
    (
        Endpoint::CohereChat,
        r#"{"model":"m","stream":true,"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a\u00e9\ud83d\ude00"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]},{"role":"assistant","tool_plan":"p","content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"b"}],"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":[{"type":"document","document":{"id":"d","data":{"r":1}}},{"type":"text","text":"r"}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"strict_tools":true,"tool_choice":"REQUIRED","documents":[{"data":{"text":"t"}}],"safety_mode":"STRICT","citation_options":{"mode":"FAST"},"thinking":{"type":"enabled","token_budget":1024},"max_tokens":2000,"stop_sequences":["x"],"temperature":0.5,"p":0.5,"k":5,"seed":1,"frequency_penalty":0.5,"logprobs":true}"#,
    ),
    (
        Endpoint::CohereEmbed,
        r#"{"model":"m","inputs":[{"content":[{"type":"text","text":"a\n"}]}],"input_type":"search_query","embedding_types":["base64"],"output_dimension":8,"truncate":"END"}"#,
    ),
    (
        Endpoint::CohereRerank,
        r#"{"model":"m","query":"q","documents":["a","b"],"top_n":2,"max_tokens_per_doc":9}"#,
    ),
    (Endpoint::CountTokens, r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#),
    (
        Endpoint::StreamGenerateContent,
        r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"a\u00e9\ud83d\ude00"},{"inlineData":{"mimeType":"image/png","data":"__-A"}}]},{"role":"model","parts":[{"text":"t","thought":true,"thoughtSignature":"Y29vOnNpZw=="},{"functionCall":{"id":"c1","name":"f","args":{"a":1}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"r"}}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"INTEGER","nullable":true,"minimum":1}},"propertyOrdering":["a"]}}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"generationConfig":{"temperature":0.5,"topP":0.5,"maxOutputTokens":2000,"stopSequences":["x"],"candidateCount":1,"thinkingConfig":{"thinkingBudget":1024}},"safetySettings":[{"category":"c","threshold":"OFF"}]}"#,
    ),
    (
        Endpoint::BatchEmbedContents,
        r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"outputDimensionality":8},{"content":{"parts":[{"text":"b"}]},"outputDimensionality":8}]}"#,
    ),
    (
        Endpoint::GoogleCountTokens,
        r#"{"generateContentRequest":{"model":"models/m","contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseMimeType":"application/json","responseSchema":{"anyOf":[{"type":"STRING"}]}}}}"#,
    ),
];

const ANSWERS: [(Wire, &str); 10] = [
    (
        Wire::Replicate,
        r#"{"id":"a1","model":"m/n","status":"succeeded","output":["a","b"],"error":null,"metrics":{"input_token_count":1,"output_token_count":2}}"#,
    ),
    (
        Wire::OpenAi,
        r#"{"id":"i","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a","reasoning_content":"r","refusal":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"logprobs":{"content":[]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":1}}}"#,
    ),
    (
        Wire::Claude,
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"a","citations":[{"type":"web_search_result_location","url":"u","title":"t","cited_text":"c","encrypted_index":"e"}]},{"type":"tool_use","id":"c","name":"f","input":{"a":[1]}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":3,"output_tokens":4}}"#,
    ),
    (
        Wire::Gemini,
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"t","thought":true},{"text":"aé"},{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"AAAA"}]},"finishReason":"STOP","index":0,"groundingMetadata":{"groundingChunks":[{"web":{"uri":"u","title":"t"}}],"groundingSupports":[{"segment":{"startIndex":0,"endIndex":2,"text":"a"},"groundingChunkIndices":[0]}]},"logprobsResult":{"chosenCandidates":[{"token":"a","logProbability":-1}],"topCandidates":[]}}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"thoughtsTokenCount":3,"totalTokenCount":6},"modelVersion":"m","responseId":"i"}"#,
    ),
    (
        Wire::Cohere,
        r#"{"id":"i","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"p","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}],"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"aé"}],"citations":[{"start":0,"end":2,"text":"aé","content_index":1,"type":"TEXT_CONTENT","sources":[{"type":"document","id":"d","document":{"url":"u","title":"t"}}]}]},"logprobs":[{"text":"a","token_ids":[1],"logprobs":[-0.5]}],"usage":{"billed_units":{"input_tokens":1,"output_tokens":2},"tokens":{"input_tokens":3,"output_tokens":2},"cached_tokens":0}}"#,
    ),
    (Wire::Cohere, r#"{"id":"i","message":"invalid request: p must be between 0 and 1"}"#),
    (Wire::Voyage, r#"{"detail":[{"loc":["body","input"],"msg":"m"}]}"#),
    (
        Wire::Gemini,
        r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3s"}]}}"#,
    ),
    (
        Wire::Bedrock,
        r#"{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"t","signature":"s"}}},{"reasoningContent":{"redactedContent":"AAEC"}},{"text":"a\u00e9"},{"citationsContent":{"content":[{"text":"b"}],"citations":[]}},{"toolUse":{"toolUseId":"c","name":"f","input":{"a":[1]}}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3,"cacheReadInputTokens":4,"cacheWriteInputTokens":5},"metrics":{"latencyMs":1}}"#,
    ),
    (Wire::Bedrock, r#"{"message":"Input is too long for requested model.","Message":null}"#),
];

const STREAMS: [(Wire, &str); 5] = [
    (
        Wire::Replicate,
        ": hi\n\nevent: output\nid: 1:0\ndata: a\n\nevent: output\ndata: \u{e9}\ndata: b\n\nevent: logs\ndata: l\n\nevent: done\nid: 2:0\ndata: {}\n\n",
    ),
    (
        Wire::OpenAi,
        "data: {\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
    ),
    (
        Wire::Claude,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"m\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":5}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        Wire::Gemini,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}],\"role\":\"model\"},\"index\":0}],\"responseId\":\"i\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{}}}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1}}\r\n\r\n",
    ),
    (
        Wire::Cohere,
        "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"i\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[]}}}\n\nevent: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"a\"}}}}\n\nevent: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"b\"}}},\"logprobs\":{\"text\":\"b\",\"logprobs\":[-1.5]}}\n\nevent: citation-start\ndata: {\"type\":\"citation-start\",\"index\":0,\"delta\":{\"message\":{\"citations\":{\"start\":0,\"end\":1,\"sources\":[{\"tool_output\":{\"url\":\"u\"}}]}}}}\n\nevent: tool-plan-delta\ndata: {\"type\":\"tool-plan-delta\",\"delta\":{\"message\":{\"tool_plan\":\"p\"}}}\n\nevent: tool-call-start\ndata: {\"type\":\"tool-call-start\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}}}}\n\nevent: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TOOL_CALL\",\"usage\":{\"tokens\":{\"input_tokens\":1,\"output_tokens\":2}}}}\n\ndata: [DONE]\n\n",
    ),
];

/// Answers that are no chat.
const LISTS: [(Wire, Endpoint, &str); 11] = [
    (
        Wire::OpenAi,
        Endpoint::BatchEmbedContents,
        r#"{"object":"list","data":[{"embedding":[0.5],"index":0}],"usage":{"total_tokens":4}}"#,
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
    (
        Wire::Cohere,
        Endpoint::Embeddings,
        r#"{"id":"i","embeddings":{"float":[[0.5,-1]],"base64":["AAAA"]},"meta":{"billed_units":{"input_tokens":4}}}"#,
    ),
    (
        Wire::Voyage,
        Endpoint::Embeddings,
        r#"{"object":"list","data":[{"embedding":[0.5],"index":0}],"usage":{"total_tokens":4}}"#,
    ),
    (
        Wire::Cohere,
        Endpoint::Rerank,
        r#"{"id":"i","results":[{"index":0,"relevance_score":0.5}],"meta":{"billed_units":{"search_units":1}}}"#,
    ),
    (
        Wire::Voyage,
        Endpoint::Rerank,
        r#"{"object":"list","data":[{"index":0,"relevance_score":0.5}],"usage":{"total_tokens":4}}"#,
    ),
];

/// Bedrock's events and what they carry; its streams are no text.
const FRAMES: [(&str, &str); 11] = [
    ("messageStart", r#"{"role":"assistant"}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"t"}}}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"s"}}}"#),
    ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"a\u00e9"},"p":"ab"}"#),
    ("contentBlockStart", r#"{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"c","name":"f"}}}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\":1}"}}}"#),
    ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
    ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ("metadata", r#"{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":1}}"#),
    ("throttlingException", r#"{"message":"m"}"#),
];

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
        for (name, payload) in FRAMES {
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
