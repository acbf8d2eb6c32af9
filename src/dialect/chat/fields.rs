//! Reading a client's request field by field, so that what is wrong with it is said with the field's name.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::losses::Refused;

/// A string that is part of the body where it needs no unescaping. (serde borrows a `Cow` only where it is the
/// field itself, not inside an `Option` or a `Vec`.)
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Str<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A text or a list, as many fields may be.
#[derive(Clone, Debug)]
pub enum TextOr<'a, T> {
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<T>),
    /// An object, which is not read: what has one is refused by what it is part of.
    Object,
}

/// The members of the object that `body` is, each as it was written, without those that are null.
///
/// # Errors
/// Where it is no JSON object.
pub fn members(body: &[u8]) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Refused> {
    let members: Members<'_> = serde_json::from_slice(body)
        .map_err(|error| refused("body", &format!("The body is not what this endpoint takes: {error}.")))?;
    Ok(members.0)
}

/// Reads the value of a field.
///
/// # Errors
/// Where it is of another form.
pub fn value<'a, T: Deserialize<'a>>(param: impl fmt::Display, raw: &'a RawValue) -> Result<T, Refused> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let error = error.to_string();
        // Lines and columns count from the field's beginning, which helps nobody.
        let what = error.rsplit_once(" at line ").map_or(&*error, |(what, _)| what);
        refused(&param, &format!("{param}: {what}."))
    })
}

/// What must be there.
///
/// # Errors
/// Where it is not.
pub fn required<T>(value: Option<T>, param: impl fmt::Display) -> Result<T, Refused> {
    value.ok_or_else(|| refused(&param, &format!("{param}: this field is required.")))
}

fn refused(param: impl fmt::Display, message: &str) -> Refused {
    Refused { param: param.to_string().into(), message: message.to_owned().into() }
}

/// Where in a request we are: written out only where something is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Path<'p> {
    within: Option<&'p Path<'p>>,
    name: &'static str,
    index: Option<usize>,
}

impl<'p> Path<'p> {
    /// A field of the request.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { within: None, name, index: None }
    }

    /// An element of this array.
    #[must_use]
    pub fn at(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }

    /// A field of this object.
    #[must_use]
    pub fn field(&'p self, name: &'static str) -> Self {
        Self { within: Some(self), name, index: None }
    }

    /// A refusal of what stands here.
    ///
    /// # Errors
    /// Always.
    pub fn refuse<T>(&self, message: impl Into<Cow<'static, str>>) -> Result<T, Refused> {
        Err(Refused { param: self.to_string().into(), message: message.into() })
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(within) = self.within {
            write!(f, "{within}.")?;
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// What may be a text, or something else in its place.
pub trait TextOrElse<'de>: Sized {
    /// Writes what it may be, for messages: `a string or an array`.
    ///
    /// # Errors
    /// Those of the formatter.
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// A text.
    fn text(text: Cow<'de, str>) -> Self;

    /// An array.
    ///
    /// # Errors
    /// Where it is none that may be there.
    fn list<A: SeqAccess<'de>>(elements: A) -> Result<Self, A::Error>;

    /// An object.
    ///
    /// # Errors
    /// Where it is none that may be there.
    fn object<A: MapAccess<'de>>(members: A) -> Result<Self, A::Error>;
}

/// Reads what may be a text or something else. The text is part of the body where it needs no unescaping.
///
/// # Errors
/// Where it is neither.
pub fn text_or_else<'de, T: TextOrElse<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Read<T>(PhantomData<T>);
    impl<'de, T: TextOrElse<'de>> Visitor<'de> for Read<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            T::expected(f)
        }

        fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<T, E> {
            Ok(T::text(Cow::Borrowed(text)))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            Ok(T::text(Cow::Owned(text.to_owned())))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<T, A::Error> {
            T::list(elements)
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::object(members)
        }
    }
    deserializer.deserialize_any(Read(PhantomData))
}

impl<'de, T: Deserialize<'de>> TextOrElse<'de> for TextOr<'de, T> {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array")
    }

    fn text(text: Cow<'de, str>) -> Self {
        Self::Text(text)
    }

    fn list<A: SeqAccess<'de>>(elements: A) -> Result<Self, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(elements)).map(Self::List)
    }

    fn object<A: MapAccess<'de>>(mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::Object)
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for TextOr<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_else::<TextOr<'de, T>, D>(deserializer)
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(Str(name)) = map.next_key::<Str<'de>>()? {
                    let value: &'de RawValue = map.next_value()?;
                    if value.get() != "null" {
                        members.push((name, value));
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_borrowed_and_errors_name_their_field() {
        let body = br#"{"a": "x", "b\u0063": [1, 2], "d": null}"#;
        let members = members(body).unwrap();
        assert_eq!(members.len(), 2);
        assert!(matches!(members[0].0, Cow::Borrowed("a")));
        assert_eq!((&*members[1].0, members[1].1.get()), ("bc", "[1, 2]"));
        let Str(text) = value("a", members[0].1).unwrap();
        assert!(matches!(text, Cow::Borrowed("x")));
        let refused = value::<u64>("a", members[0].1).unwrap_err();
        assert_eq!(refused.param, "a");
        assert_eq!(refused.message, "a: invalid type: string \"x\", expected u64.");
        assert!(required::<u8>(None, "z").unwrap_err().message.contains("z: this field is required"));
        let messages = Path::new("messages").at(2);
        assert_eq!(
            messages.field("content").at(0).field("source").to_string(),
            "messages[2].content[0].source"
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", "[]", "{", "{\"a\":1}}", "{\"a\"}", "\u{feff}{}", "{\"\\ud800\":1}"] {
            let refused = members(body.as_bytes()).unwrap_err();
            assert_eq!(refused.param, "body", "{body}");
        }
    }
}
