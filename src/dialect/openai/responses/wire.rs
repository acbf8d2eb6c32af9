//! The events of the Responses API as they are written.
//!
//! Source: OpenAI API reference, "Streaming events".

use serde::Serialize;
use serde_json::value::RawValue;

use super::object::{Annotation, Item, Part, Response};
use crate::dialect::json::write_value;

/// Appends an event: its type and number, and the members of `body`.
pub fn event(number: &mut u64, name: &str, body: &impl Serialize, out: &mut Vec<u8>) {
    for part in ["event: ", name, "\ndata: {\"type\":\"", name, "\",\"sequence_number\":"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
    *number += 1;
    let start = out.len();
    write_value(out, body);
    for (index, byte) in out.iter_mut().skip(start).enumerate() {
        // The body's opening brace continues our object. A line end can only be space between what a provider wrote.
        match *byte {
            _ if index == 0 => *byte = b',',
            b'\n' | b'\r' => *byte = b' ',
            _ => {}
        }
    }
    out.extend_from_slice(b"\n\n");
}

#[derive(Serialize)]
pub struct Lifecycle<'a> {
    pub response: Response<'a>,
}

#[derive(Serialize)]
pub struct ItemEvent<'a> {
    pub output_index: usize,
    pub item: Item<'a>,
}

#[derive(Clone, Copy, Serialize)]
pub struct Place<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub content_index: usize,
}

#[derive(Clone, Copy, Serialize)]
pub struct SummaryPlace<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub summary_index: usize,
}

#[derive(Serialize)]
pub struct PartEvent<'a> {
    #[serde(flatten)]
    pub at: Place<'a>,
    pub part: Part<'a>,
}

#[derive(Serialize)]
pub struct TextDelta<'a> {
    #[serde(flatten)]
    pub at: Place<'a>,
    pub delta: &'a str,
    pub logprobs: [(); 0],
}

#[derive(Serialize)]
pub struct TextDone<'a> {
    #[serde(flatten)]
    pub at: Place<'a>,
    pub text: &'a str,
    pub logprobs: &'a [Box<RawValue>],
}

#[derive(Serialize)]
pub struct RefusalDelta<'a> {
    #[serde(flatten)]
    pub at: Place<'a>,
    pub delta: &'a str,
}

#[derive(Serialize)]
pub struct RefusalDone<'a> {
    #[serde(flatten)]
    pub at: Place<'a>,
    pub refusal: &'a str,
}

#[derive(Serialize)]
pub struct AnnotationAdded<'a> {
    #[serde(flatten)]
    pub at: Place<'a>,
    pub annotation_index: usize,
    pub annotation: &'a Annotation,
}

#[derive(Serialize)]
pub struct SummaryPart<'a> {
    #[serde(flatten)]
    pub at: SummaryPlace<'a>,
    pub part: Part<'a>,
}

#[derive(Serialize)]
pub struct SummaryDelta<'a> {
    #[serde(flatten)]
    pub at: SummaryPlace<'a>,
    pub delta: &'a str,
}

#[derive(Serialize)]
pub struct SummaryDone<'a> {
    #[serde(flatten)]
    pub at: SummaryPlace<'a>,
    pub text: &'a str,
}

#[derive(Serialize)]
pub struct ArgumentsDelta<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub delta: &'a str,
}

#[derive(Serialize)]
pub struct ArgumentsDone<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub arguments: &'a str,
}
