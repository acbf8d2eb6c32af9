//! A whole answer, and the shapes that streams share with it.
//!
//! Source: Cohere API reference, "Chat" (response).

use std::borrow::Cow;

use serde::Deserialize;

use super::{citations, logprobs};
use crate::dialect::chat::{Answer, Choice, Finish, Malformed, ToolCall, fields::Str};
use crate::dialect::json::{Cursor, JsonError};
use crate::dialect::usage::Usage;

/// The text, or none.
pub(super) fn text(text: Option<Str<'_>>) -> Cow<'_, str> {
    text.map(|Str(text)| text).unwrap_or_default()
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Str<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    usage: Option<Counts>,
    #[serde(borrow)]
    logprobs: Option<Vec<logprobs::Item<'a>>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    tool_plan: Option<Str<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    content: Option<Vec<Content<'a>>>,
    #[serde(borrow)]
    citations: Option<Vec<citations::Citation<'a>>>,
}

/// A content block, or the next part of one: a text or a thought.
#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Str<'a>>,
}

/// A call, or the next part of one.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub arguments: Option<Str<'a>>,
}

/// The usage object, and the `meta` of embeddings and ranks. Its numbers are of a type that has fractions.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Counts {
    billed_units: Option<Units>,
    tokens: Option<Units>,
    cached_tokens: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Units {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
    search_units: Option<f64>,
}

impl Counts {
    /// As the gateway counts: what is billed, else what was processed; `None` where neither tokens nor
    /// searches are told.
    pub(super) fn usage(self) -> Option<Usage> {
        let (billed, tokens) = (self.billed_units.unwrap_or_default(), self.tokens.unwrap_or_default());
        let input = billed.input_tokens.or(tokens.input_tokens);
        let output = billed.output_tokens.or(tokens.output_tokens);
        input.or(output).or(billed.search_units)?;
        // Below zero is zero, and what is too much the most there is.
        let whole = |count: Option<f64>| count.map_or(0, |count| count.ceil() as u64);
        let (prompt, completion) = (whole(input), whole(output));
        Some(Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            cached_tokens: whole(self.cached_tokens).min(prompt),
            searches: whole(billed.search_units),
            ..Usage::default()
        })
    }
}

/// Reads a usage object, or a `meta`, out of an answer that is passed on as it is.
///
/// # Errors
/// Where it is not JSON, or not all of it is there.
pub fn read_usage(cursor: &mut Cursor<'_>, answer: &[u8]) -> Result<Option<Usage>, JsonError> {
    let object = cursor.value()?.of(answer);
    Ok(serde_json::from_slice::<Counts>(object).ok().and_then(Counts::usage))
}

/// Why it ended; an error where it failed. One that is not known is taken for an end like any other.
pub(super) fn finish(reason: &str) -> Result<Finish, Malformed> {
    match reason {
        "MAX_TOKENS" => Ok(Finish::Length),
        "TOOL_CALL" => Ok(Finish::ToolCalls),
        "ERROR" => Err(Malformed("the model failed to answer")),
        "TIMEOUT" => Err(Malformed("the model did not answer in time")),
        _ => Ok(Finish::Stop),
    }
}

/// Characters, in which both sides count places.
pub(super) fn characters(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// Reads the body of a successful answer.
///
/// # Errors
/// Where it is none, or says that the model failed.
pub fn read_answer(body: &[u8]) -> Result<Answer<'_>, Malformed> {
    let response: Response<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not Cohere's"))?;
    let message = response.message.ok_or(Malformed("the answer has no message"))?;
    let mut choice = Choice { finish: finish(&text(response.finish_reason))?, ..Choice::default() };
    let plan = text(message.tool_plan);
    if !plan.is_empty() {
        choice.reasoning.push((plan, None));
    }
    // Where each content block begins in the text.
    let mut starts = Vec::new();
    let mut length = 0;
    for content in message.content.into_iter().flatten() {
        starts.push(length);
        if let Some(Str(thought)) = content.thinking.filter(|Str(thought)| !thought.is_empty()) {
            choice.reasoning.push((thought, None));
        }
        if let Some(Str(more)) = content.text {
            length += characters(&more);
            match &mut choice.text {
                Some(before) => before.to_mut().push_str(&more),
                none => *none = Some(more),
            }
        }
    }
    for call in message.tool_calls.into_iter().flatten() {
        let function = call.function.unwrap_or_default();
        let arguments = text(function.arguments);
        choice.calls.push(ToolCall {
            id: text(call.id),
            name: text(function.name),
            arguments: if arguments.is_empty() { "{}".into() } else { arguments },
        });
    }
    let cited = message.citations.unwrap_or_default();
    choice.annotations = citations::annotations(&cited, &starts).map(Cow::Owned);
    choice.logprobs = response.logprobs.and_then(|items| logprobs::openai(&items)).map(Cow::Owned);
    Ok(Answer {
        id: text(response.id),
        model: "".into(),
        created: 0,
        choices: vec![choice],
        usage: response.usage.and_then(Counts::usage),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(body: &[u8]) -> (Choice<'_>, Option<Usage>) {
        let mut answer = read_answer(body).unwrap();
        assert_eq!(answer.choices.len(), 1);
        (answer.choices.pop().unwrap(), answer.usage)
    }

    #[test]
    fn the_answers_of_the_reference() {
        let (choice, usage) = only(include_bytes!("fixtures/text.json"));
        assert_eq!(choice.text.as_deref(), Some("LLMs stand for \"Large Language Models\"."));
        assert_eq!((choice.finish, choice.calls.len()), (Finish::Stop, 0));
        let wanted = Usage {
            prompt_tokens: 5,
            completion_tokens: 418,
            total_tokens: 423,
            cached_tokens: 2,
            ..Usage::default()
        };
        assert_eq!(usage, Some(wanted));

        let (choice, _) = only(include_bytes!("fixtures/tools.json"));
        let wanted = Choice {
            reasoning: vec![("I will look up the weather in Madrid and Brasilia.".into(), None)],
            calls: vec![
                ToolCall {
                    id: "get_weather_1byjy32y4hvq".into(),
                    name: "get_weather".into(),
                    arguments: "{\"location\":\"Madrid\"}".into(),
                },
                ToolCall { id: "now_2".into(), name: "now".into(), arguments: "{}".into() },
            ],
            finish: Finish::ToolCalls,
            ..Choice::default()
        };
        assert_eq!(choice, wanted);

        let (choice, _) = only(include_bytes!("fixtures/thinking.json"));
        assert_eq!(choice.reasoning, [("Nine, or é?".into(), None)]);
        assert_eq!((choice.text.as_deref(), choice.finish), (Some("Nine."), Finish::Length));

        let (choice, _) = only(include_bytes!("fixtures/citations.json"));
        let annotations: serde_json::Value = serde_json::from_str(&choice.annotations.unwrap()).unwrap();
        let wanted = serde_json::json!([
            {"type": "url_citation", "url_citation":
                {"start_index": 4, "end_index": 12, "url": "https://penguins.example/", "title": "Größe"}},
            {"type": "url_citation", "url_citation":
                {"start_index": 20, "end_index": 27, "url": "https://tool.example/", "title": "https://tool.example/"}},
        ]);
        assert_eq!(annotations, wanted);
        let logprobs: serde_json::Value = serde_json::from_str(&choice.logprobs.unwrap()).unwrap();
        assert_eq!(logprobs["content"][0]["token"], "The emperor");
    }

    #[test]
    fn reasons_have_names() {
        for (reason, wanted) in [
            ("COMPLETE", Ok(Finish::Stop)),
            ("STOP_SEQUENCE", Ok(Finish::Stop)),
            ("MAX_TOKENS", Ok(Finish::Length)),
            ("TOOL_CALL", Ok(Finish::ToolCalls)),
            ("ONE_OF_NEXT_YEAR", Ok(Finish::Stop)),
        ] {
            assert_eq!(finish(reason), wanted, "{reason}");
        }
        assert!(finish("ERROR").is_err() && finish("TIMEOUT").is_err());
    }

    #[test]
    fn tokens_are_those_that_are_billed() {
        for (usage, wanted) in [
            (
                r#"{"billed_units":{"input_tokens":3,"output_tokens":4},"tokens":{"input_tokens":9}}"#,
                Some((3, 4)),
            ),
            (r#"{"tokens":{"input_tokens":9.0,"output_tokens":1.5}}"#, Some((9, 2))),
            (r#"{"billed_units":{"search_units":1}}"#, Some((0, 0))),
            (r#"{"billed_units":{}}"#, None),
            (r#"{"billed_units":{"input_tokens":-1e300,"output_tokens":1e300}}"#, Some((0, u64::MAX))),
        ] {
            let counted = serde_json::from_str::<Counts>(usage).unwrap().usage();
            let counted = counted.map(|usage| (usage.prompt_tokens, usage.completion_tokens));
            assert_eq!(counted, wanted, "{usage}");
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for body in ["", "{", "[]", "{}", "{\"message\":null}", "<html>"] {
            assert!(read_answer(body.as_bytes()).is_err(), "{body}");
        }
        assert!(read_answer(br#"{"finish_reason":"ERROR","message":{"role":"assistant"}}"#).is_err());
    }
}
