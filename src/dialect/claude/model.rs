//! What the families of Claude take, by their names: a request that is right for one is an error for another.
//!
//! Source: Claude documentation, "Models overview", "Thinking" (configuring, by model), "Effort", "Structured
//! outputs", and the migration guides of Claude 4.5, 4.6, 4.7, Sonnet 5, Opus 5, Fable 5, Fable 5.1, Haiku 5.5,
//! Sonnet 5.5 and Opus 5.5.

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// How it is told to think.
    pub thinking: Thinking,
    /// How it is told not to.
    pub off: Off,
    /// Which of `temperature`, `top_p` and `top_k`.
    pub sampling: Sampling,
    /// Whether it can be made to call a tool (`tool_choice` `any` and `tool`).
    pub forced_tools: bool,
    /// `output_config.format` and `strict` tools.
    pub structured: bool,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// It cannot.
    Never,
    /// `enabled` with `budget_tokens`.
    Budget,
    /// `enabled` with `budget_tokens`, or `adaptive` with `output_config.effort`.
    Either,
    /// `adaptive` with `output_config.effort`.
    Adaptive,
}

/// How a model is told not to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// It does not unless told to.
    Unsaid,
    /// By this `thinking.type`.
    Said(&'static str),
    /// It always thinks.
    Never,
}

/// Which sampling parameters a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// All.
    All,
    /// All, but not `temperature` together with `top_p`.
    One,
    /// None but their defaults.
    Fixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos.
    Fable,
    Other,
}

impl Model {
    /// By the name that the provider knows the model by, also with what clouds put before and after it.
    ///
    /// A Claude whose version the name does not tell is taken for the newest: each took less than the one before it.
    /// Where the name is not a Claude's, someone else serves their model over this API, as it was first published.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let Some((_, rest)) = name.split_once("claude") else {
            return Self {
                thinking: Thinking::Budget,
                off: Off::Unsaid,
                sampling: Sampling::All,
                forced_tools: true,
                structured: true,
            };
        };
        let (family, version) = read(rest);
        let version = version.unwrap_or((u32::MAX, 0));
        Self {
            thinking: match version {
                old if old < (3, 7) => Thinking::Never,
                old if old < (4, 6) => Thinking::Budget,
                (4, 6) => Thinking::Either,
                _ => Thinking::Adaptive,
            },
            off: match (family, version) {
                (Family::Fable, _) => Off::Never,
                (_, old) if old < (5, 0) => Off::Unsaid,
                (_, (5, 0)) | (Family::Haiku, _) => Off::Said("disabled"),
                (Family::Sonnet, _) => Off::Said("between_tools"),
                _ => Off::Never,
            },
            sampling: match version {
                old if old < (4, 1) => Sampling::All,
                old if old < (4, 7) => Sampling::One,
                _ => Sampling::Fixed,
            },
            forced_tools: version < (5, 1) || family == Family::Haiku,
            structured: version >= (4, 1),
        }
    }
}

/// The family and version of what follows `claude`: `-opus-4-5-20251101-v1:0`, `-3-7-sonnet-latest`, `-sonnet-4.5`.
fn read(name: &str) -> (Family, Option<(u32, u32)>) {
    let mut family = Family::Other;
    let mut version = None;
    let mut open = true;
    for token in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|token| !token.is_empty()) {
        family = match token {
            "opus" => Family::Opus,
            "sonnet" => Family::Sonnet,
            "haiku" => Family::Haiku,
            "fable" | "mythos" => Family::Fable,
            _ => family,
        };
        // Longer numbers are dates.
        let number = if token.len() <= 2 { token.parse::<u32>().ok() } else { None };
        match (number, version) {
            (Some(major), None) => version = Some((major, 0)),
            (Some(minor), Some((major, _))) if open => {
                version = Some((major, minor));
                open = false;
            }
            (None, Some(_)) => open = false,
            _ => {}
        }
    }
    (family, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names() {
        for (name, family, version) in [
            ("-3-haiku-20240307", Family::Haiku, Some((3, 0))),
            ("-3-7-sonnet-latest", Family::Sonnet, Some((3, 7))),
            ("-4-opus-20250514", Family::Opus, Some((4, 0))),
            ("-opus-4-20250514", Family::Opus, Some((4, 0))),
            ("-sonnet-4@20250514", Family::Sonnet, Some((4, 0))),
            ("-opus-4-5-20251101-v1:0", Family::Opus, Some((4, 5))),
            ("-opus-5-v1:0", Family::Opus, Some((5, 0))),
            ("-sonnet-4.5", Family::Sonnet, Some((4, 5))),
            ("-fable-5-1", Family::Fable, Some((5, 1))),
            ("-mythos-preview", Family::Fable, None),
            ("-latest", Family::Other, None),
        ] {
            assert_eq!(read(name), (family, version), "{name}");
        }
    }

    #[test]
    fn each_family_takes_what_its_guide_says() {
        use Off::{Never, Said, Unsaid};
        use Sampling::{All, Fixed, One};
        use Thinking::{Adaptive, Budget, Either};
        for (name, thinking, off, sampling, forced_tools, structured) in [
            ("claude-3-5-haiku-20241022", Thinking::Never, Unsaid, All, true, false),
            ("claude-3-7-sonnet-20250219", Budget, Unsaid, All, true, false),
            ("anthropic.claude-opus-4-1-20250805-v1:0", Budget, Unsaid, One, true, true),
            ("claude-haiku-4-5", Budget, Unsaid, One, true, true),
            ("claude-sonnet-4-6", Either, Unsaid, One, true, true),
            ("claude-opus-4-8", Adaptive, Unsaid, Fixed, true, true),
            ("claude-sonnet-5", Adaptive, Said("disabled"), Fixed, true, true),
            ("claude-fable-5", Adaptive, Never, Fixed, true, true),
            ("claude-fable-5-1", Adaptive, Never, Fixed, false, true),
            ("claude-haiku-5-5", Adaptive, Said("disabled"), Fixed, true, true),
            ("claude-sonnet-5-5", Adaptive, Said("between_tools"), Fixed, false, true),
            ("claude-opus-5-5", Adaptive, Never, Fixed, false, true),
            ("claude-latest", Adaptive, Never, Fixed, false, true),
            ("glm-4.6", Budget, Unsaid, All, true, true),
        ] {
            let wanted = Model { thinking, off, sampling, forced_tools, structured };
            assert_eq!(Model::named(name), wanted, "{name}");
        }
    }
}
