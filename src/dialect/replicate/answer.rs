//! A prediction as an answer.
//!
//! Source: Replicate HTTP API reference, "Get a prediction": `status`, `output`, `error`, `metrics`.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::{
    chat::{
        Answer, Choice, Malformed,
        fields::{Str, TextOr},
    },
    usage::Usage,
};

/// A prediction.
#[derive(Deserialize)]
pub(super) struct Prediction<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    model: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) status: Cow<'a, str>,
    /// Texts, which together are the answer; of some models one text.
    #[serde(borrow)]
    output: Option<TextOr<'a, Str<'a>>>,
    #[serde(borrow)]
    pub(super) error: Option<Str<'a>>,
    metrics: Option<Metrics>,
}

#[derive(Deserialize)]
struct Metrics {
    input_token_count: Option<u64>,
    output_token_count: Option<u64>,
}

impl Metrics {
    fn usage(self) -> Option<Usage> {
        self.input_token_count.or(self.output_token_count)?;
        let prompt_tokens = self.input_token_count.unwrap_or(0);
        let completion_tokens = self.output_token_count.unwrap_or(0);
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        Some(Usage { prompt_tokens, completion_tokens, total_tokens, ..Usage::default() })
    }
}

/// How far a prediction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is under way. To be asked for at this path below the API's version.
    Pending(String),
    /// It is over, well or not, or is no prediction: who reads it says.
    Over,
}

/// How far a prediction is.
#[must_use]
pub fn progress(body: &[u8]) -> Progress {
    #[derive(Deserialize)]
    struct Look<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow)]
        status: Cow<'a, str>,
    }
    let Ok(look) = serde_json::from_slice::<Look<'_>>(body) else { return Progress::Over };
    // It goes into the line of a request.
    let is_id = (1..=64).contains(&look.id.len()) && look.id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match &*look.status {
        "starting" | "processing" if is_id => Progress::Pending(format!("/predictions/{}", look.id)),
        _ => Progress::Over,
    }
}

/// Whether a prediction is over and has failed, or was given up.
#[must_use]
pub fn has_failed(body: &[u8]) -> bool {
    let read = serde_json::from_slice::<Prediction<'_>>(body);
    read.is_ok_and(|prediction| matches!(&*prediction.status, "failed" | "canceled" | "aborted"))
}

/// What a prediction used, where it is over and says so.
#[must_use]
pub fn usage(body: &[u8]) -> Option<Usage> {
    serde_json::from_slice::<Prediction<'_>>(body).ok()?.metrics?.usage()
}

/// Reads a prediction that is over. Replicate does not tell why an answer ended.
///
/// # Errors
/// Where it is none, or has not succeeded.
pub fn read_answer(body: &[u8]) -> Result<Answer<'_>, Malformed> {
    let prediction: Prediction<'_> =
        serde_json::from_slice(body).map_err(|_| Malformed("the answer is not a prediction of a text"))?;
    if prediction.status != "succeeded" {
        return Err(Malformed("the prediction has not succeeded"));
    }
    let text = match prediction.output {
        None => Cow::Borrowed(""),
        Some(TextOr::Text(text)) => text,
        Some(TextOr::List(mut texts)) if texts.len() == 1 => texts.pop().unwrap_or_default().0,
        Some(TextOr::List(texts)) => texts.iter().map(|Str(text)| &**text).collect::<String>().into(),
        Some(TextOr::Object) => return Err(Malformed("the output is not a text")),
    };
    Ok(Answer {
        id: prediction.id,
        model: prediction.model.unwrap_or_default().0,
        created: 0,
        choices: vec![Choice { text: Some(text), ..Choice::default() }],
        usage: prediction.metrics.and_then(Metrics::usage),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Replicate's reference shows it, shortened.
    const WHOLE: &str = r#"{"id":"gm3qorzdhgbfurvjtvhg6dckhu","model":"meta/meta-llama-3-8b-instruct","version":"hidden","input":{"prompt":"Hi"},"logs":"","output":["He","llo \"","you\"."],"data_removed":false,"error":null,"source":"api","status":"succeeded","created_at":"2024-04-29T20:15:07.211Z","started_at":"2024-04-29T20:15:07.3Z","completed_at":"2024-04-29T20:15:07.9Z","urls":{"cancel":"https://api.replicate.com/v1/predictions/gm3q/cancel","get":"https://api.replicate.com/v1/predictions/gm3q","stream":"https://stream.replicate.com/v1/files/x"},"metrics":{"input_token_count":23,"output_token_count":4,"predict_time":0.6,"time_to_first_token":0.1,"tokens_per_second":54.2,"total_time":0.7}}"#;

    #[test]
    fn output_is_put_together() {
        let answer = read_answer(WHOLE.as_bytes()).unwrap();
        assert_eq!(
            (&*answer.id, &*answer.model),
            ("gm3qorzdhgbfurvjtvhg6dckhu", "meta/meta-llama-3-8b-instruct")
        );
        assert_eq!(answer.choices[0].text.as_deref(), Some("Hello \"you\"."));
        let usage = answer.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (23, 4, 27));
        for (output, wanted) in [("\"a\"", "a"), ("[]", ""), ("null", ""), ("[\"one\"]", "one")] {
            let body = WHOLE.replace(r#"["He","llo \"","you\"."]"#, output);
            assert_eq!(read_answer(body.as_bytes()).unwrap().choices[0].text.as_deref(), Some(wanted));
        }
        for output in ["{}", "5", "[5]", "[[\"a\"]]"] {
            let body = WHOLE.replace(r#"["He","llo \"","you\"."]"#, output);
            assert!(read_answer(body.as_bytes()).is_err(), "{output}");
        }
    }

    #[test]
    fn it_is_known_how_far_it_is() {
        let with = |status: &str| WHOLE.replace("succeeded", status);
        let pending = Progress::Pending("/predictions/gm3qorzdhgbfurvjtvhg6dckhu".into());
        for (body, wanted, failed) in [
            (with("succeeded"), Progress::Over, false),
            (with("starting"), pending.clone(), false),
            (with("processing"), pending, false),
            (with("failed"), Progress::Over, true),
            (with("canceled"), Progress::Over, true),
            (with("processing").replace("gm3qorzdhgbfurvjtvhg6dckhu", "a b"), Progress::Over, false),
            ("<html>".to_owned(), Progress::Over, false),
        ] {
            assert_eq!((progress(body.as_bytes()), has_failed(body.as_bytes())), (wanted, failed), "{body}");
            assert_eq!(read_answer(body.as_bytes()).is_ok(), body.contains("succeeded"));
        }
    }
}
