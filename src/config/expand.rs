//! `${VAR}` and `${VAR:-default}` inside scalars.
//!
//! Expansion happens in the tree, not in the text: a value with YAML metacharacters stays one
//! value. `$${` is a literal `${`; any other `$` is itself.

use std::fmt;

use super::limits;
use super::load::Env;
use super::yaml::{Node, Value};

/// Why a scalar could not be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExpandError {
    Unset(String),
    Unclosed,
    BadName,
    TooLong,
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(name) => {
                write!(f, "the environment variable `{name}` is not set, and `${{{name}}}` has no default")
            }
            Self::Unclosed => f.write_str("`${` without its `}`; write `$${` for a literal `${`"),
            Self::BadName => f.write_str(
                "only `${NAME}` and `${NAME:-default}` are understood; write `$${` for a literal `${`",
            ),
            Self::TooLong => f.write_str("too long once its variables are expanded"),
        }
    }
}

/// Expands every scalar below `node`. A scalar that cannot be expanded keeps its text and the
/// reason: it matters only if its key is read.
pub(super) fn expand_tree(node: &mut Node, env: &dyn Env) {
    let mut budget = limits::MAX_TREE_BYTES;
    walk(node, env, &mut budget);
}

fn walk(node: &mut Node, env: &dyn Env, budget: &mut usize) {
    match &mut node.value {
        Value::Scalar(scalar) if scalar.text.contains("${") => {
            let mut outcome = expand(&scalar.text, env);
            if let Ok(text) = &outcome {
                match budget.checked_sub(text.len()) {
                    Some(left) => *budget = left,
                    None => outcome = Err(ExpandError::TooLong),
                }
            }
            match outcome {
                Ok(text) => scalar.raw = Some(std::mem::replace(&mut scalar.text, text)),
                Err(error) => {
                    scalar.raw = Some(scalar.text.clone());
                    scalar.problem = Some(error.to_string());
                }
            }
        }
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| walk(item, env, budget)),
        Value::Map(entries) => {
            for entry in entries {
                walk(&mut entry.value, env, budget);
            }
        }
    }
}

/// Expands one text.
pub(super) fn expand(text: &str, env: &dyn Env) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let inner = after.strip_prefix("${").unwrap_or(after);
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = inner;
            continue;
        }
        out.push_str(before);
        let (inside, after) = inner.split_once('}').ok_or(ExpandError::Unclosed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(ExpandError::BadName);
        }
        match (env.var(name), default) {
            (Some(value), Some(default)) if value.is_empty() => out.push_str(default),
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => return Err(ExpandError::Unset(name.to_owned())),
        }
        if out.len() > limits::MAX_SCALAR_BYTES {
            return Err(ExpandError::TooLong);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether this is a variable's name as shells know it.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Env for Fixed {
        fn var(&self, name: &str) -> Option<String> {
            match name {
                "A" => Some("alpha".into()),
                "EMPTY" => Some(String::new()),
                "YAML" => Some("]: {#\"\n- x".into()),
                "NESTED" => Some("${A}".into()),
                "LONG" => Some("x".repeat(100_000)),
                _ => None,
            }
        }
    }

    #[test]
    fn expands() {
        for (text, expected) in [
            ("plain $A $ {A}", "plain $A $ {A}"),
            ("${A}", "alpha"),
            ("x${A}y${A}", "xalphayalpha"),
            ("${NO:-default}", "default"),
            ("${NO:-}", ""),
            ("${NO:-a:-b}", "a:-b"),
            ("${EMPTY}", ""),
            ("${EMPTY:-default}", "default"),
            ("${A:-default}", "alpha"),
            ("$${A}", "${A}"),
            ("cost: $5 $${A} ${A}", "cost: $5 ${A} alpha"),
            ("${YAML}", "]: {#\"\n- x"),
            ("${NESTED}", "${A}"),
        ] {
            assert_eq!(expand(text, &Fixed).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, error) in [
            ("${NO}", ExpandError::Unset("NO".into())),
            ("a ${A", ExpandError::Unclosed),
            ("${}", ExpandError::BadName),
            ("${1A}", ExpandError::BadName),
            ("${A:?message}", ExpandError::BadName),
            ("${LONG}${LONG}", ExpandError::TooLong),
        ] {
            assert_eq!(expand(text, &Fixed), Err(error), "{text}");
        }
    }
}
