//! What a dialect cannot express.

use std::{borrow::Cow, fmt};

/// A request that a dialect cannot express, or that makes no sense to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The field, as the client's dialect names it: `messages[2].content[0]`.
    pub param: Cow<'static, str>,
    /// What is wrong with it and what to do, for the client's developer: a sentence with its full stop.
    pub message: Cow<'static, str>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

/// Where writers name what their dialect cannot express: refused, or left out and told to the client.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    drop: bool,
    /// What the client's dialect calls what others call so.
    names: &'static [(&'static str, &'static str)],
    dropped: Vec<Cow<'static, str>>,
}

impl Losses {
    /// `drop` is `policy.drop_unsupported_params`.
    #[must_use]
    pub fn new(drop: bool) -> Self {
        Self { drop, names: &[], dropped: Vec::new() }
    }

    /// The same for a client whose dialect has other names than OpenAI's: these, each behind OpenAI's.
    #[must_use]
    pub fn with_names(self, names: &'static [(&'static str, &'static str)]) -> Self {
        Self { names, ..self }
    }

    /// A field as the client calls it.
    fn named(&self, param: Cow<'static, str>) -> Cow<'static, str> {
        let own = self.names.iter().find(|(known, _)| *known == param);
        own.map_or(param, |(_, own)| Cow::Borrowed(own))
    }

    /// Names a field that is left out. Only what the answer can do without: content goes through
    /// [`Losses::refuse`].
    ///
    /// # Errors
    /// Where such fields are to be refused.
    pub fn cannot(&mut self, param: impl Into<Cow<'static, str>>, provider: &str) -> Result<(), Refused> {
        let param = self.named(param.into());
        if self.drop {
            self.leave_out(param);
            return Ok(());
        }
        let message = format!(
            "The provider of this model ({provider}) has nothing like '{param}'. Leave it out, or have the operator set \
             policy.drop_unsupported_params."
        );
        Err(Refused { param, message: message.into() })
    }

    /// Names a field that is left out whatever the rule is, since it changes nothing of the answer: whose request it
    /// is, which Anthropic's own tools always say.
    pub fn leave_out(&mut self, param: impl Into<Cow<'static, str>>) {
        let param = self.named(param.into());
        if !self.dropped.contains(&param) {
            self.dropped.push(param);
        }
    }

    /// Refuses what cannot be left out.
    ///
    /// # Errors
    /// Always.
    pub fn refuse<T>(
        param: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Result<T, Refused> {
        Err(Refused { param: param.into(), message: message.into() })
    }

    /// What was left out: the value of `x-coo-dropped-params`. Empty where nothing was.
    #[must_use]
    pub fn dropped(&self) -> &[Cow<'static, str>] {
        &self.dropped
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_refused_or_named() {
        let refused = Losses::new(false).cannot("seed", "claude").unwrap_err();
        assert_eq!(refused.param, "seed");
        assert!(refused.to_string().contains("drop_unsupported_params"));
        let mut losses = Losses::new(true);
        for param in ["seed", "logprobs", "seed"] {
            losses.cannot(param, "claude").unwrap();
        }
        assert_eq!(losses.dropped(), ["seed", "logprobs"]);
        let mut losses = Losses::new(true).with_names(&[("top_k", "k")]);
        for param in ["top_k", "k", "seed"] {
            losses.cannot(param, "claude").unwrap();
        }
        assert_eq!(losses.dropped(), ["k", "seed"]);
        let mut losses = Losses::new(false);
        losses.leave_out("user");
        assert_eq!(losses.dropped(), ["user"]);
    }
}
