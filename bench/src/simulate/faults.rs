//! Every way to misbehave, in one table. A request chooses a fault by the end of its model's name
//! (`my/sim-stall`), or by the header `x-sim: fault=stall`.

/// How an answer is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error answer with this status, in the provider's form.
    Error(u16),
    /// 429 with code `insufficient_quota`: waiting does not help.
    Quota,
    /// 400 with code `context_length_exceeded`.
    Context,
    /// Half of the body, then RST.
    Reset,
    /// Nothing at all, forever.
    Stall,
    /// Half of the answer, then nothing.
    StallMid,
    /// Half of the answer, then FIN: before its content-length, or without the last chunk.
    Cut,
    /// Bytes that are not HTTP, then FIN.
    Garbage,
    /// A content-length (or chunk size) beyond the body that comes; the connection stays open.
    LyingLong,
    /// A content-length below the body that comes: the rest looks like another answer.
    LyingShort,
    /// In pieces, 100 ms apart.
    Slow,
    /// A body without length, ended by closing.
    CloseDelimited,
    /// A head of more than 128 KiB.
    HugeHead,
    /// Each byte in a segment of its own.
    Split,
    /// All of a stream in one piece.
    Burst,
    /// A stream without `data: [DONE]`.
    NoDone,
    /// A stream whose `data: [DONE]` lacks its blank line.
    NoBlank,
    /// A stream that ends right behind its last chunk: no line end, no `[DONE]`.
    NoBlankUsage,
    /// Usage in the last chunk that has choices, though nobody asked for it.
    UsageLastChoice,
    /// Comment lines between the events of a stream.
    Comments,
    /// An error event in the middle of a stream, which then ends.
    StreamError,
    /// A proper answer, then FIN without having announced it.
    CloseAfter,
    /// A body in several chunks with trailers where a length would do.
    Chunked,
    /// 100 and 103 responses before the answer.
    Interim,
    /// No fault: the answer quotes the last user message.
    Echo,
}

/// The faults by name; a model's name chooses one by ending in `sim-` and the name. `error-NNN` is any status.
pub const FAULTS: &[(&str, Fault, &str)] = &[
    ("error-quota", Fault::Quota, "429, code insufficient_quota"),
    ("error-context", Fault::Context, "400, code context_length_exceeded"),
    ("reset", Fault::Reset, "half of the body, then a reset"),
    ("stall", Fault::Stall, "never answers"),
    ("stall-mid", Fault::StallMid, "half of the answer, then nothing"),
    ("cut", Fault::Cut, "half of the answer, then closes"),
    ("garbage", Fault::Garbage, "bytes that are not HTTP"),
    ("lying-length", Fault::LyingLong, "announces more bytes than it sends"),
    ("lying-short", Fault::LyingShort, "announces fewer bytes than it sends"),
    ("slow", Fault::Slow, "pieces 100 ms apart"),
    ("close-delimited", Fault::CloseDelimited, "a body ended by closing"),
    ("huge-head", Fault::HugeHead, "a head of more than 128 KiB"),
    ("split", Fault::Split, "one byte at a time"),
    ("burst", Fault::Burst, "all of a stream in one piece"),
    ("no-done", Fault::NoDone, "a stream without [DONE]"),
    ("no-blank", Fault::NoBlank, "a stream whose [DONE] lacks its blank line"),
    (
        "no-blank-usage",
        Fault::NoBlankUsage,
        "a stream that ends behind its last chunk, without line end or [DONE]",
    ),
    ("usage-last-choice", Fault::UsageLastChoice, "usage inside the last chunk with choices, unasked"),
    ("comments", Fault::Comments, "comment lines between events"),
    ("stream-error", Fault::StreamError, "an error event in the middle of a stream"),
    ("close-after", Fault::CloseAfter, "closes after the answer without announcing it"),
    ("chunked", Fault::Chunked, "a chunked body with trailers"),
    ("100", Fault::Interim, "100 and 103 responses first"),
    ("echo", Fault::Echo, "the answer quotes the last user message"),
];

impl Fault {
    /// The fault of a name in [`FAULTS`], or of `error-NNN`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if let Some((_, fault, _)) = FAULTS.iter().find(|(known, ..)| *known == name) {
            return Some(*fault);
        }
        let status: u16 = name.strip_prefix("error-")?.parse().ok()?;
        (400..600).contains(&status).then_some(Fault::Error(status))
    }

    /// The fault that a model's name ends in.
    #[must_use]
    pub fn of_model(model: &str) -> Option<Self> {
        let at = model.rfind("sim-")?;
        Self::named(model.get(at + 4..)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_choose_faults_by_their_end() {
        for (model, fault) in [
            ("sim-error-500", Some(Fault::Error(500))),
            ("openai/sim-error-529", Some(Fault::Error(529))),
            ("gpt-4o-sim-stall-mid", Some(Fault::StallMid)),
            ("sim-stall", Some(Fault::Stall)),
            ("sim-100", Some(Fault::Interim)),
            ("gpt-4o-mini", None),
            ("sim-stall-more", None),
            ("sim-error-200", None),
            ("sim-", None),
            ("", None),
        ] {
            assert_eq!(Fault::of_model(model), fault, "{model}");
        }
    }

    #[test]
    fn names_are_unique() {
        for (i, (name, ..)) in FAULTS.iter().enumerate() {
            assert!(FAULTS.iter().skip(i + 1).all(|(other, ..)| other != name), "{name}");
        }
    }
}
