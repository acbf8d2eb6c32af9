//! Azure OpenAI's two APIs, told apart by `api_version`.
//!
//! Source: Azure OpenAI in Foundry Models, "API version lifecycle": the v1 API has the paths of OpenAI's below
//! `/openai/v1` and needs no version (`preview` is one that it takes); all others have a date and a path for each
//! deployment.

use std::fmt;

/// The first version whose streams can be asked for their usage (`stream_options`) and that knows
/// `max_completion_tokens`; it became `2024-10-21`. Source: "What's new in Azure OpenAI", September 2024.
const ASKS_USAGE: &str = "2024-09-01";

/// The value of `api-version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiVersion {
    /// Of the v1 API: `preview`, `latest` or `v1`.
    Word(String),
    /// `2024-10-21`, perhaps with `-preview`: there is a URL for each deployment.
    Dated(String),
}

impl ApiVersion {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "an API version is a date such as 2024-10-21, or `preview` for the v1 API";
        let digits =
            |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        let date = text.strip_suffix("-preview").unwrap_or(text);
        let parts: Vec<&str> = date.split('-').collect();
        match parts.as_slice() {
            [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2) => {
                Ok(Self::Dated(text.to_owned()))
            }
            // The last two are what client libraries take for the API itself.
            ["preview" | "latest" | "v1"] => Ok(Self::Word(text.to_owned())),
            _ => Err(WRONG),
        }
    }

    /// Whether the model stands in the path.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        matches!(self, Self::Dated(_))
    }

    /// Whether streams can be asked for their usage and `max_completion_tokens` is known.
    #[must_use]
    pub fn asks_usage(&self) -> bool {
        match self {
            Self::Word(_) => true,
            Self::Dated(date) => date.as_str() >= ASKS_USAGE,
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Dated(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_words_or_dates() {
        for (text, dated, asks) in [
            ("preview", false, true),
            ("v1", false, true),
            ("2024-10-21", true, true),
            ("2025-04-01-preview", true, true),
            ("2024-09-01-preview", true, true),
            ("2024-06-01", true, false),
        ] {
            let version = ApiVersion::parse(text).unwrap();
            assert_eq!((version.is_dated(), version.asks_usage()), (dated, asks), "{text}");
            assert_eq!(version.to_string(), text);
        }
        for text in
            ["", "2024-10", "2024-1-1", "20241021", "2024-10-21-beta", "a b", "x&y=z", "Preview", "today"]
        {
            assert!(ApiVersion::parse(text).is_err(), "{text}");
        }
    }
}
