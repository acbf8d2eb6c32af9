//! Access tokens as the control plane sends them: each the line of a request's head that it is for.

use std::{cell::RefCell, rc::Rc};

use crate::config::Secret;

/// The tokens of all providers that have them, by the provider's number.
#[derive(Default)]
pub struct Tokens(RefCell<Vec<Option<Rc<[u8]>>>>);

impl Tokens {
    /// The line for a provider's requests, where there is one.
    #[must_use]
    pub fn of(&self, provider: usize) -> Option<Rc<[u8]>> {
        self.0.borrow().get(provider)?.clone()
    }

    /// Takes a provider's next token, or that there is none now.
    pub fn set(&self, provider: usize, token: Option<&Secret>) {
        let mut lines = self.0.borrow_mut();
        if lines.len() <= provider {
            lines.resize(provider + 1, None);
        }
        let line =
            token.map(|token| format!("authorization: Bearer {}\r\n", token.expose()).into_bytes().into());
        if let Some(place) = lines.get_mut(provider) {
            *place = line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_there_until_it_is_taken_back() {
        let tokens = Tokens::default();
        assert_eq!(tokens.of(1), None);
        tokens.set(1, Some(&Secret::new("t1")));
        assert_eq!(tokens.of(1).as_deref(), Some(&b"authorization: Bearer t1\r\n"[..]));
        assert_eq!((tokens.of(0), tokens.of(2)), (None, None));
        tokens.set(1, None);
        assert_eq!(tokens.of(1), None);
    }
}
