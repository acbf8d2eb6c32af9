//! What is written reads back as what was meant.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{
    ChunkWriter, Family, StreamReader, Target, read_answer, read_request, write_answer, write_request,
};
use crate::dialect::chat::{
    Answer, AssistantMessage, Audio, Call, Choice, Effort, Face, File, Finish, Image, Losses, Message, Part,
    Piece, Request, ResponseFormat, Source, Tool, ToolChoice,
};
use crate::dialect::provider_error::ProviderError;
use crate::dialect::usage::Usage;

const FACE: Face<'_> = Face { id: "chatcmpl-1", model: "claude:opus", created: 17 };

type Text = std::borrow::Cow<'static, str>;

fn text() -> impl Strategy<Value = Text> {
    prop_oneof!["[a-z\"\\\\\n é😀]{0,12}", any::<String>()].prop_map(Into::into)
}

fn word() -> impl Strategy<Value = Text> {
    "[a-zA-Z0-9_/+=]{1,12}".prop_map(Into::into)
}

fn raw() -> impl Strategy<Value = &'static RawValue> {
    prop_oneof![
        Just(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#),
        Just("{}"),
        Just("[1, \"x\"]")
    ]
    .prop_map(|json| serde_json::from_str(json).unwrap())
}

/// In hundredths: serde_json reads a number of seventeen digits to the next but one.
fn fraction() -> impl Strategy<Value = f64> {
    (-200..=200).prop_map(|hundredths| f64::from(hundredths) / 100.0)
}

fn part() -> impl Strategy<Value = Part<'static>> {
    let data = || (word(), word()).prop_map(|(media_type, data)| Source::Data { media_type, data });
    let url = word().prop_map(|path| Source::Url(format!("https://x/{path}").into()));
    let id = (word().prop_map(Source::Id), option::of(text()));
    prop_oneof![
        text().prop_map(Part::Text),
        (prop_oneof![url, data()], option::of(word()))
            .prop_map(|(source, detail)| Part::Image(Image { source, detail })),
        (word(), word()).prop_map(|(data, format)| Part::Audio(Audio { data, format })),
        prop_oneof![id, (data(), text().prop_map(Some))]
            .prop_map(|(source, name)| Part::File(File { source, name })),
    ]
}

fn texts() -> impl Strategy<Value = Vec<Part<'static>>> {
    vec(text().prop_map(Part::Text), 1..3)
}

fn call() -> impl Strategy<Value = Call<'static>> {
    (word(), word(), text()).prop_map(|(id, name, arguments)| Call { id, name, arguments })
}

/// An assistant's message that says something. An empty text beside calls is none.
fn assistant() -> impl Strategy<Value = AssistantMessage<'static>> {
    let said = word().prop_map(|text| vec![Part::Text(text)]);
    let filled = text().prop_filter("empty", |text| !text.is_empty());
    (option::of(said), vec(call(), 0..3), option::of(filled)).prop_map(|(parts, calls, refusal)| {
        let silent = parts.is_none() && calls.is_empty() && refusal.is_none();
        let parts = if silent { vec![Part::Text("".into())] } else { parts.unwrap_or_default() };
        AssistantMessage { parts, calls, refusal, ..AssistantMessage::default() }
    })
}

fn message() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        texts().prop_map(Message::System),
        vec(part(), 1..4).prop_map(Message::User),
        assistant().prop_map(Message::Assistant),
        (word(), texts()).prop_map(|(call_id, parts)| Message::Tool { call_id, parts, is_error: false }),
    ]
}

fn tool() -> impl Strategy<Value = Tool<'static>> {
    (
        word(),
        option::of(text()),
        option::of(raw().prop_map(std::borrow::Cow::Borrowed)),
        option::of(any::<bool>()),
    )
        .prop_map(|(name, description, parameters, strict)| Tool {
            name,
            description,
            parameters,
            strict,
        })
}

fn tool_choice() -> impl Strategy<Value = ToolChoice<'static>> {
    prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        text().prop_map(ToolChoice::Function),
    ]
}

fn response_format() -> impl Strategy<Value = ResponseFormat<'static>> {
    prop_oneof![
        Just(ResponseFormat::Text),
        Just(ResponseFormat::JsonObject),
        (
            word(),
            option::of(text()),
            option::of(raw().prop_map(std::borrow::Cow::Borrowed)),
            option::of(any::<bool>())
        )
            .prop_map(|(name, description, schema, strict)| ResponseFormat::JsonSchema {
                name,
                description,
                schema,
                strict
            }),
    ]
}

prop_compose! {
    fn request()(
        (model, messages, tools, tool_choice, response_format, stop, user) in (
            text(), vec(message(), 1..5), vec(tool(), 0..3), option::of(tool_choice()),
            option::of(response_format()), vec(text(), 0..3), option::of(text())),
        (temperature, top_p, frequency_penalty, presence_penalty) in (
            option::of(fraction()), option::of(fraction()), option::of(fraction()), option::of(fraction())),
        (max_tokens, n, top_logprobs, seed) in (
            option::of(any::<u64>()), option::of(any::<u64>()), option::of(any::<u64>()), option::of(any::<i64>())),
        (parallel_tool_calls, logprobs, stream) in (
            option::of(any::<bool>()), option::of(any::<bool>()), any::<bool>()),
        effort in option::of(0..Effort::NAMES.len()),
        other in option::of(raw()),
    ) -> Request<'static> {
        Request {
            model, messages, tools, tool_choice, parallel_tool_calls, response_format, stop, max_tokens, temperature,
            top_p, frequency_penalty, presence_penalty, seed, n, logprobs, top_logprobs, stream, user,
            reasoning_effort: effort.map(|effort| Effort::NAMES[effort].1),
            include_usage: stream,
            other: other.into_iter().map(|raw| ("prediction".into(), raw)).collect(),
            ..Request::default()
        }
    }
}

fn usage() -> impl Strategy<Value = Usage> {
    any::<[u32; 6]>().prop_map(|counts| {
        let counts = counts.map(u64::from);
        let [prompt_tokens, completion_tokens, total_tokens, ..] = counts;
        let [.., cached_tokens, cache_write_tokens, reasoning_tokens] = counts;
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            cached_tokens,
            cache_write_tokens,
            reasoning_tokens,
            ..Usage::default()
        }
    })
}

fn finish() -> impl Strategy<Value = Finish> {
    prop_oneof![
        Just(Finish::Stop),
        Just(Finish::Length),
        Just(Finish::ToolCalls),
        Just(Finish::ContentFilter)
    ]
}

fn json() -> impl Strategy<Value = Text> {
    prop_oneof![Just(r#"{"content":[{"token":"a"}]}"#), Just(r#"[{"type":"url_citation"}]"#)]
        .prop_map(Into::into)
}

/// What was thought: one thought, or several of which one at least is signed.
fn reasoning() -> impl Strategy<Value = Vec<(Text, Option<Text>)>> {
    prop_oneof![
        Just(Vec::new()),
        word().prop_map(|text| vec![(text, None)]),
        (vec((word(), option::of(word())), 0..2), word(), word()).prop_map(
            |(mut thoughts, text, signature)| {
                thoughts.push((text, Some(signature)));
                thoughts
            }
        ),
    ]
}

fn choice() -> impl Strategy<Value = Choice<'static>> {
    let said = (option::of(word()), vec(call(), 0..3), option::of(word()));
    let ended = (finish(), option::of("[A-Z]{1,3}!"));
    (said, reasoning(), ended, option::of(json()), option::of(json())).prop_map(
        |((text, calls, refusal), reasoning, (finish, stop), logprobs, annotations)| Choice {
            text,
            calls,
            refusal,
            reasoning,
            finish,
            stop_sequence: stop.map(Into::into),
            logprobs,
            annotations,
        },
    )
}

/// A piece between start and end.
fn piece() -> impl Strategy<Value = Piece<'static>> {
    let choice = 0..3_u32;
    prop_oneof![
        (choice.clone(), word()).prop_map(|(choice, text)| Piece::Text { choice, text }),
        (choice.clone(), word()).prop_map(|(choice, text)| Piece::Reasoning { choice, text }),
        (choice.clone(), word()).prop_map(|(choice, signature)| Piece::Signature { choice, signature }),
        (choice.clone(), word()).prop_map(|(choice, text)| Piece::Refusal { choice, text }),
        (choice.clone(), json()).prop_map(|(choice, json)| Piece::Annotations { choice, json }),
        (choice.clone(), json()).prop_map(|(choice, json)| Piece::Logprobs { choice, json }),
        (choice, finish()).prop_map(|(choice, reason)| Piece::Finish { choice, reason }),
    ]
}

prop_compose! {
    /// A stream: some pieces, calls with their arguments among them, and its end.
    fn pieces()(
        id in word(),
        groups in vec(prop_oneof![
            piece().prop_map(Ok),
            (0..3_u32, word(), word(), vec(text(), 0..3)).prop_map(Err),
        ], 0..8),
        usage in option::of(usage()),
        failed in any::<bool>(),
    ) -> Vec<Piece<'static>> {
        let mut pieces = vec![Piece::Start { id, model: FACE.model.into() }];
        let mut calls = [0; 3];
        for group in groups {
            match group {
                Ok(piece) => pieces.push(piece),
                Err((choice, id, name, parts)) => {
                    let index = calls[choice as usize];
                    calls[choice as usize] += 1;
                    pieces.push(Piece::Call { choice, index, id, name });
                    pieces.extend(parts.into_iter().filter(|json| !json.is_empty()).map(|json| {
                        Piece::Arguments { choice, index, json }
                    }));
                }
            }
        }
        if failed {
            pieces.push(Piece::Error(ProviderError {
                status: 429,
                kind: "rate_limit_error",
                code: Some("rate_limit_exceeded"),
                param: None,
                message: "Slow down.".to_owned(),
            }));
        } else {
            pieces.extend(usage.map(Piece::Usage));
            pieces.push(Piece::Done);
        }
        pieces
    }
}

fn read_cut(stream: &[u8], at: usize) -> Vec<String> {
    let mut reader = StreamReader::new();
    let mut told = Vec::new();
    let mut each = |piece: Piece<'_>| told.push(format!("{piece:?}"));
    let (first, second) = stream.split_at(at);
    reader.feed(first, &mut each).unwrap();
    reader.feed(second, &mut each).unwrap();
    reader.finish(&mut each).unwrap();
    told
}

proptest! {
    #[test]
    fn a_request_keeps_its_meaning(request in request(), new_name: bool) {
        let to = Target {
            model: &request.model,
            provider: "openai",
            ask_usage: request.include_usage,
            max_completion_tokens: new_name,
            family: Family::OpenAi,
        };
        let mut losses = Losses::new(false);
        let mut body = Vec::new();
        write_request(&request, &to, &mut losses, &mut body).unwrap();
        let read = read_request(&body).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{request:?}"));
    }

    #[test]
    fn an_answer_keeps_its_meaning(
        id in word(), created in 1..u64::from(u32::MAX), choices in vec(choice(), 0..3), usage in option::of(usage()),
    ) {
        let answer = Answer { id, model: FACE.model.into(), created, choices, usage };
        let mut body = Vec::new();
        write_answer(&answer, &FACE, &mut body);
        prop_assert_eq!(read_answer(&body).unwrap(), answer);
    }

    #[test]
    fn an_answer_sent_back_is_what_was_said(choice in choice()) {
        let wanted = AssistantMessage {
            parts: choice.text.clone().into_iter().map(Part::Text).collect(),
            calls: choice.calls.clone(),
            refusal: choice.refusal.clone(),
            reasoning: choice.reasoning.clone(),
        };
        prop_assume!(choice.text.is_some() || choice.refusal.is_some() || !choice.calls.is_empty());
        let mut body = Vec::new();
        write_answer(&Answer { choices: vec![choice], ..Answer::default() }, &FACE, &mut body);
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let body = serde_json::json!({"model": "m", "messages": [answer["choices"][0]["message"]]}).to_string();
        let request = read_request(body.as_bytes()).unwrap();
        prop_assert_eq!(format!("{:?}", request.messages), format!("{:?}", [Message::Assistant(wanted)]));
        prop_assert!(request.other.is_empty());
    }

    #[test]
    fn a_stream_keeps_its_meaning(pieces in pieces(), at in any::<prop::sample::Index>()) {
        let mut writer = ChunkWriter::new(&FACE, true);
        let mut stream = Vec::new();
        for piece in &pieces {
            writer.write(piece, &mut stream);
        }
        let wanted: Vec<_> = pieces.iter().map(|piece| format!("{piece:?}")).collect();
        prop_assert_eq!(read_cut(&stream, at.index(stream.len())), wanted);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..64), words in vec(0..8_usize, 0..16)) {
        const WORDS: [&str; 8] =
            ["data: ", "{\"choices\":[", "{\"delta\":{\"content\":\"", "\"}}]}", "\n\n", "[DONE]", "null", "\r"];
        let mut mixed: Vec<u8> = words.iter().flat_map(|word| WORDS[*word].bytes()).collect();
        mixed.extend(&bytes);
        let _ = read_request(&mixed);
        let _ = read_answer(&mixed);
        let _ = super::read_error(500, &mixed);
        let mut reader = StreamReader::new();
        let _ = reader.feed(&mixed, &mut |_| {});
        let _ = reader.finish(&mut |_| {});
    }
}
