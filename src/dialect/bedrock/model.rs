//! Models: their paths, and what their ids tell of what they take beside what all do.
//!
//! Source: Amazon Bedrock User Guide, "Supported foundation models", "Inference request parameters" of each maker,
//! "Structured outputs"; Amazon Nova User Guide, "Extended thinking".

use crate::dialect::{claude, path::strict};

/// The path of a request below the API's root. AWS's SDKs escape all but unreserved characters (RFC 3986 section 2.3)
/// in a model's id: the colons of versions and ARNs and the slashes of profiles.
#[must_use]
pub fn path(model: &str, stream: bool) -> String {
    let end = if stream { "converse-stream" } else { "converse" };
    format!("/model/{}/{end}", strict(model, b""))
}

/// Whose model it is, as far as that decides what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Anthropic's.
    Claude(claude::model::Model),
    /// Amazon's Nova; whether it can be told to think (its second generation).
    Nova {
        /// Whether it can be told to think.
        thinks: bool,
    },
    /// OpenAI's open models.
    GptOss,
    /// Meta's.
    Llama,
    /// Mistral's.
    Mistral,
    /// Cohere's.
    Cohere,
    /// Any other, or one whose id does not say, such as the ARN of a profile.
    Other,
}

impl Family {
    /// By the model's id, or the ARN or profile that names it.
    #[must_use]
    pub fn of(model: &str) -> Self {
        let is = |maker: &str| model.contains(maker);
        if is("claude") {
            Self::Claude(claude::model::Model::named(model))
        } else if is("amazon.nova") {
            Self::Nova { thinks: is("nova-2") }
        } else if is("openai.gpt-oss") {
            Self::GptOss
        } else if is("meta.llama") {
            Self::Llama
        } else if is("mistral.") {
            Self::Mistral
        } else if is("cohere.") {
            Self::Cohere
        } else {
            Self::Other
        }
    }

    /// Whether its answer, and its calls, can be held to a schema. Of models that are not known the API itself says.
    #[must_use]
    pub fn is_structured(self) -> bool {
        match self {
            Self::Claude(claude) => claude.structured,
            Self::Nova { .. } | Self::Llama | Self::Cohere => false,
            Self::GptOss | Self::Mistral | Self::Other => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_as_aws_escapes_them() {
        for (model, stream, wanted) in [
            ("amazon.nova-lite-v1:0", false, "/model/amazon.nova-lite-v1%3A0/converse"),
            (
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                true,
                "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/my_one~",
                false,
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fmy_one~/converse",
            ),
            ("a b/../é?", false, "/model/a%20b%2F..%2F%C3%A9%3F/converse"),
        ] {
            assert_eq!(path(model, stream), wanted);
        }
    }

    #[test]
    fn ids_tell_whose_models_they_are() {
        for (model, family, structured) in [
            ("amazon.nova-pro-v1:0", Family::Nova { thinks: false }, false),
            ("global.amazon.nova-2-lite-v1:0", Family::Nova { thinks: true }, false),
            ("openai.gpt-oss-120b-1:0", Family::GptOss, true),
            ("us.meta.llama3-3-70b-instruct-v1:0", Family::Llama, false),
            ("mistral.mistral-large-2407-v1:0", Family::Mistral, true),
            ("cohere.command-r-plus-v1:0", Family::Cohere, false),
            ("deepseek.v3-v1:0", Family::Other, true),
            ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", Family::Other, true),
        ] {
            assert_eq!(
                (Family::of(model), Family::of(model).is_structured()),
                (family, structured),
                "{model}"
            );
        }
        let old = Family::of("anthropic.claude-3-haiku-20240307-v1:0");
        let new = Family::of("eu.anthropic.claude-sonnet-4-5-20250929-v1:0");
        assert!(matches!((old, new), (Family::Claude(_), Family::Claude(_))));
        assert_eq!((old.is_structured(), new.is_structured()), (false, true));
    }
}
