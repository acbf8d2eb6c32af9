//! Reading JSON into types, with the path of what does not fit.
//!
//! serde names a line and a column of the body; a client's developer wants `messages[1].content`. So every object and
//! list puts its own step before an error that comes from inside it, and [`refused`] makes a path of the steps. That
//! costs nothing where nothing is wrong.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::dialect::chat::Refused;
pub(super) use crate::dialect::chat::fields::Str;
use crate::dialect::chat::fields::{TextOrElse, text_or_else};

/// Stands after each step of a path. A control character occurs in no text of serde's own.
pub(super) const STEP: char = '\u{1}';

/// The most characters of serde's words that are repeated: they quote the client's own text.
const MAX_QUOTED_CHARS: usize = 160;

/// What a type looks like in JSON, for messages.
pub(super) trait Shape {
    /// With its article.
    const NAME: &'static str;
}

/// An array.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Shape for List<T> {
    const NAME: &'static str = "an array";
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                loop {
                    match elements.next_element() {
                        Ok(Some(element)) => list.push(element),
                        Ok(None) => return Ok(List(list)),
                        Err(error) => {
                            return Err(A::Error::custom(format_args!("[{}]{STEP}{error}", list.len())));
                        }
                    }
                }
            }
        }
        deserializer.deserialize_seq(Read(PhantomData))
    }
}

/// A string, or something else that the API takes in its place.
#[derive(Debug)]
pub(super) enum TextOr<'a, T> {
    Text(Cow<'a, str>),
    Other(T),
}

impl<'de, T: Deserialize<'de> + Shape> TextOrElse<'de> for TextOr<'de, T> {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string or {}", T::NAME)
    }

    fn text(text: Cow<'de, str>) -> Self {
        Self::Text(text)
    }

    fn list<A: SeqAccess<'de>>(elements: A) -> Result<Self, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(elements)).map(Self::Other)
    }

    fn object<A: MapAccess<'de>>(members: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Self::Other)
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de> + Shape> Deserialize<'de> for TextOr<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_else::<TextOr<'de, T>, D>(deserializer)
    }
}

/// Reads a known member: null is as good as absent, and twice is once too often.
pub(super) fn member<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    slot: &mut Option<T>,
    name: &str,
    members: &mut A,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(A::Error::custom(format_args!("{name}{STEP}it is given twice")));
    }
    *slot = members.next_value().map_err(|error| A::Error::custom(format_args!("{name}{STEP}{error}")))?;
    Ok(())
}

/// Defines an object of optional members. Members that are not known are kept in `other`, as they were written.
macro_rules! object {
    ($name:ident<$a:lifetime> { $($field:ident = $key:literal: $type:ty,)* }) => {
        #[derive(Default)]
        pub(super) struct $name<$a> {
            $(pub(super) $field: Option<$type>,)*
            pub(super) other: Vec<(std::borrow::Cow<$a, str>, &$a serde_json::value::RawValue)>,
        }

        impl $crate::dialect::openai::chat::wire::Shape for $name<'_> {
            const NAME: &'static str = "an object";
        }

        impl<'de> serde::de::Deserialize<'de> for $name<'de> {
            fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Read;
                impl<'de> serde::de::Visitor<'de> for Read {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut members: A,
                    ) -> Result<Self::Value, A::Error> {
                        use $crate::dialect::openai::chat::wire;
                        let mut object = $name::default();
                        while let Some(wire::Str(key)) = members.next_key()? {
                            match &*key {
                                $($key => wire::member(&mut object.$field, $key, &mut members)?,)*
                                _ => {
                                    if let Some(value) = members.next_value()? {
                                        object.other.push((key, value));
                                    }
                                }
                            }
                        }
                        Ok(object)
                    }
                }
                deserializer.deserialize_map(Read)
            }
        }
    };
}
pub(super) use object;

/// What a client is told where its body does not fit.
pub(super) fn refused(error: &serde_json::Error) -> Refused {
    let said = error.to_string();
    let mut path = String::new();
    let mut rest = said.as_str();
    while let Some((step, after)) = rest.split_once(STEP) {
        if !path.is_empty() && !step.starts_with('[') {
            path.push('.');
        }
        path.push_str(step);
        rest = after;
    }
    // Where it stands in the body is said better by the path.
    let what = rest.rsplit_once(" at line ").map_or(rest, |(what, _)| what);
    let end = what.char_indices().nth(MAX_QUOTED_CHARS).map(|(at, _)| at);
    let (what, more) = match end.and_then(|end| what.get(..end)) {
        Some(start) => (start, "..."),
        None => (what, ""),
    };
    let message = if path.is_empty() {
        format!(
            "The body is not a chat request: {what}{more}. Send a JSON object with 'model' and 'messages'."
        )
    } else {
        format!("'{path}' is not what the API takes: {what}{more}. Correct it, or leave it out.")
    };
    Refused { param: path.into(), message: message.into() }
}
