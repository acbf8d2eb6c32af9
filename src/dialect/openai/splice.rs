//! The body that goes upstream: the client's bytes with the model's name
//! replaced and, for streams, the usage chunk asked for.
//!
//! Nothing is parsed again and nothing else is touched, so members this gateway
//! has never heard of reach the provider byte for byte.

use std::iter;

use crate::dialect::json::{self, Escaped, Span};
use crate::dialect::openai::request::{RequestFacts, StreamOptions};
use crate::dialect::vertex::ANTHROPIC_VERSION;

/// [`ANTHROPIC_VERSION`] before another member.
const ANTHROPIC_VERSION_FIRST: &[u8] = b"\"anthropic_version\":\"vertex-2023-10-16\",";

/// A body with at most two edits, as borrowed pieces.
#[derive(Debug, Clone)]
pub struct Splice<'a> {
    body: &'a [u8],
    /// In the order they stand in the body, not overlapping.
    edits: [Edit<'a>; 2],
    len: usize,
}

/// The bytes of `span` give way to `with`.
#[derive(Debug, Clone)]
struct Edit<'a> {
    span: Span,
    with: With<'a>,
}

#[derive(Debug, Clone)]
enum With<'a> {
    Text(Escaped<'a>),
    Raw(iter::Once<&'a [u8]>),
}

impl<'a> Iterator for With<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            With::Text(pieces) => pieces.next(),
            With::Raw(piece) => piece.next(),
        }
    }
}

impl<'a> Splice<'a> {
    /// Makes `body`, whose facts these are, ask for `model`. With `ask_usage` a
    /// stream is also asked to end with the usage chunk; the client must then
    /// not see that chunk unless [`RequestFacts::asks_usage`].
    pub fn new(body: &'a [u8], facts: &RequestFacts, model: &'a str, ask_usage: bool) -> Self {
        let nothing = || Edit { span: Span::empty(body.len()), with: raw(b"") };
        let model = if facts.model(body) == model {
            nothing()
        } else {
            Edit { span: facts.model.span, with: With::Text(json::escaped(model)) }
        };
        let usage = match ask_usage && facts.stream {
            true => usage_edit(facts).unwrap_or_else(nothing),
            false => nothing(),
        };
        let edits = if model.span.start <= usage.span.start { [model, usage] } else { [usage, model] };
        Self::of(body, edits)
    }

    /// Makes a body for Anthropic's Messages one for Vertex AI, where the model is in the path: its member gives way
    /// to the one that says which version of the API is meant.
    pub fn for_vertex(body: &'a [u8], facts: &RequestFacts) -> Self {
        let edits = [
            Edit { span: member_of(body, facts.model.span), with: raw(ANTHROPIC_VERSION) },
            Edit { span: Span::empty(body.len()), with: raw(b"") },
        ];
        Self::of(body, edits)
    }

    /// The same for a count of tokens, where the model stays.
    pub fn counted_at_vertex(body: &'a [u8], facts: &RequestFacts, model: &'a str) -> Self {
        let first = body.iter().position(|&byte| byte == b'{').map_or(0, |at| at + 1);
        let edits = [
            Edit { span: Span::empty(first), with: raw(ANTHROPIC_VERSION_FIRST) },
            Edit { span: facts.model.span, with: With::Text(json::escaped(model)) },
        ];
        Self::of(body, edits)
    }

    /// The same of a form, in which the model's name stands as it is.
    pub fn form(body: &'a [u8], facts: &RequestFacts, model: &'a str) -> Self {
        let edit = Edit { span: facts.model.span, with: raw(model.as_bytes()) };
        Self::of(body, [edit, Edit { span: Span::empty(body.len()), with: raw(b"") }])
    }

    /// A body that goes as it is.
    pub fn nothing(body: &'a [u8]) -> Self {
        let nothing = || Edit { span: Span::empty(body.len()), with: raw(b"") };
        Self::of(body, [nothing(), nothing()])
    }

    fn of(body: &'a [u8], edits: [Edit<'a>; 2]) -> Self {
        let mut splice = Splice { body, edits, len: 0 };
        splice.len = splice.segments().map(<[u8]>::len).sum();
        splice
    }

    /// Length in bytes, for `Content-Length`.
    // A request body is never empty, so there is no `is_empty`.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The pieces in order, none of them empty. One piece, the body itself, when
    /// nothing changes.
    pub fn segments(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let [first, second] = self.edits.clone();
        let kept = |start, end| iter::once(Span { start, end }.of(self.body));
        kept(0, first.span.start)
            .chain(first.with)
            .chain(kept(first.span.end, second.span.start))
            .chain(second.with)
            .chain(kept(second.span.end, self.body.len()))
            .filter(|piece| !piece.is_empty())
    }

    /// Appends the whole body.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        out.reserve(self.len);
        for piece in self.segments() {
            out.extend_from_slice(piece);
        }
    }
}

fn raw(text: &[u8]) -> With<'_> {
    With::Raw(iter::once(text))
}

/// The whole member whose value is the text with this inside: nothing but space and a colon stands between the two,
/// and no key is written with an escaped quote that means one without.
fn member_of(body: &[u8], inside: Span) -> Span {
    let before = body.get(..inside.start.saturating_sub(1)).unwrap_or_default();
    let end = before.iter().rposition(|&byte| byte == b'"').unwrap_or(0);
    let start = before.get(..end).and_then(|key| key.iter().rposition(|&byte| byte == b'"')).unwrap_or(end);
    Span { start, end: inside.end + 1 }
}

/// What makes `stream_options.include_usage` true; `None` when it is.
fn usage_edit(facts: &RequestFacts) -> Option<Edit<'static>> {
    let (span, text): (Span, &'static [u8]) = match facts.stream_options {
        StreamOptions::Absent => {
            (Span::empty(facts.insert_at), b",\"stream_options\":{\"include_usage\":true}")
        }
        StreamOptions::Null(span) => (span, b"{\"include_usage\":true}"),
        StreamOptions::Object { include_usage: Some((_, true)), .. } => return None,
        StreamOptions::Object { include_usage: Some((span, false)), .. } => (span, b"true"),
        StreamOptions::Object { empty: true, insert_at, .. } => {
            (Span::empty(insert_at), b"\"include_usage\":true")
        }
        StreamOptions::Object { empty: false, insert_at, .. } => {
            (Span::empty(insert_at), b",\"include_usage\":true")
        }
    };
    Some(Edit { span, with: raw(text) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::openai::request::{Endpoint, scan};

    fn splice(body: &str, model: &str, ask_usage: bool) -> String {
        let facts = scan(body.as_bytes(), Endpoint::ChatCompletions).unwrap();
        let splice = Splice::new(body.as_bytes(), &facts, model, ask_usage);
        let mut out = Vec::new();
        splice.write_into(&mut out);
        assert_eq!(splice.len(), out.len());
        assert_eq!(splice.segments().collect::<Vec<_>>().concat(), out);
        assert!(splice.segments().all(|piece| !piece.is_empty()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn touches_only_what_it_must() {
        let body = r#" {"a":"model", "model" : "x:y" , "messages":[{"model":"x:y"}] , "stream":true } "#;
        assert_eq!(
            splice(body, "up", true),
            r#" {"a":"model", "model" : "up" , "messages":[{"model":"x:y"}] , "stream":true,"stream_options":{"include_usage":true} } "#
        );
        assert_eq!(splice(body, "up", false), body.replacen("x:y", "up", 1));
    }

    #[test]
    fn vertex_has_a_version_and_no_model() {
        for (body, wanted, counted) in [
            (
                r#"{"model":"v:m","messages":[1],"n":1.50}"#,
                r#"{"anthropic_version":"vertex-2023-10-16","messages":[1],"n":1.50}"#,
                r#"{"anthropic_version":"vertex-2023-10-16","model":"up","messages":[1],"n":1.50}"#,
            ),
            (
                " {\"messages\":[1],\"a\":\"model\\\"\" , \"m\\u006fdel\"\n:\t\"v:m\\\"\" }",
                " {\"messages\":[1],\"a\":\"model\\\"\" , \"anthropic_version\":\"vertex-2023-10-16\" }",
                " {\"anthropic_version\":\"vertex-2023-10-16\",\"messages\":[1],\"a\":\"model\\\"\" , \"m\\u006fdel\"\n:\t\"up\" }",
            ),
        ] {
            let facts = scan(body.as_bytes(), Endpoint::CountTokens).unwrap();
            let written = |splice: Splice<'_>| {
                let mut out = Vec::new();
                splice.write_into(&mut out);
                assert_eq!(splice.len(), out.len());
                String::from_utf8(out).unwrap()
            };
            assert_eq!(written(Splice::for_vertex(body.as_bytes(), &facts)), wanted);
            assert_eq!(written(Splice::counted_at_vertex(body.as_bytes(), &facts, "up")), counted);
        }
    }

    #[test]
    fn nothing_to_change_is_one_segment() {
        for body in [
            r#"{"model":"m","messages":[1],"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"model":"\u006d","messages":[1]}"#,
        ] {
            let facts = scan(body.as_bytes(), Endpoint::ChatCompletions).unwrap();
            let splice = Splice::new(body.as_bytes(), &facts, "m", true);
            let segments: Vec<_> = splice.segments().collect();
            assert_eq!(segments, [body.as_bytes()]);
            assert!(std::ptr::eq(segments[0], body.as_bytes()));
        }
    }

    #[test]
    fn sets_include_usage_in_every_form_of_the_options() {
        for (options, wanted) in [
            ("null", r#"{"include_usage":true}"#),
            ("{}", r#"{"include_usage":true}"#),
            ("{ }", r#"{"include_usage":true }"#),
            (r#"{"a":{} }"#, r#"{"a":{},"include_usage":true }"#),
            (r#"{"include_usage" : false , "a":1}"#, r#"{"include_usage" : true , "a":1}"#),
            (r#"{"include_usage":null}"#, r#"{"include_usage":true}"#),
        ] {
            // Before and after the model.
            let before = |o| format!(r#"{{"stream":true,"stream_options":{o},"messages":[1],"model":"M"}}"#);
            let after = |o| format!(r#"{{"model":"M","messages":[1],"stream_options":{o},"stream":true}}"#);
            assert_eq!(splice(&before(options), "up", true), before(wanted).replace('M', "up"));
            assert_eq!(splice(&after(options), "up", true), after(wanted).replace('M', "up"));
        }
        let plain = r#"{"model":"m","messages":[1]}"#;
        assert_eq!(splice(plain, "m", true), plain, "not a stream");
    }

    #[test]
    fn the_model_of_a_form_stands_as_it_is() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx:y\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx:y\r\n--b--\r\n";
        let facts =
            crate::dialect::openai::form::scan(body.as_bytes(), b"multipart/form-data; boundary=b").unwrap();
        let splice = Splice::form(body.as_bytes(), &facts, "a\"b");
        let mut out = Vec::new();
        splice.write_into(&mut out);
        assert_eq!(splice.len(), out.len());
        let (before, after) = body.rsplit_once("x:y").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{before}a\"b{after}"));
    }

    #[test]
    fn escapes_the_model() {
        let body = r#"{"model":"m","messages":[1]}"#;
        let spliced = splice(body, "a\"b\\c\u{1}é", false);
        assert_eq!(spliced, r#"{"model":"a\"b\\c\u0001é","messages":[1]}"#);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(json!("\"model\":\"x\",\"stream_options\":{")),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec!["model", "stream", "stream_options", "include_usage", "messages"])
                .prop_map(String::from),
            any::<String>(),
        ]
    }

    fn options() -> impl Strategy<Value = Option<Value>> {
        let members = prop::collection::vec(("[a-z]{1,3}", value()), 0..3);
        let usage = prop::option::of(prop_oneof![Just(json!(true)), Just(json!(false)), Just(Value::Null)]);
        prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            (members, usage).prop_map(|(members, usage)| {
                let usage = usage.map(|usage| ("include_usage".to_owned(), usage));
                Some(Value::Object(members.into_iter().chain(usage).collect()))
            }),
        ]
    }

    /// Writes members in this order, with space and escapes as `style` draws them.
    fn render(members: &[(String, Value)], style: &[u8]) -> String {
        let mut style = style.iter().copied().cycle();
        let mut space = || [" ", "", "\n\t", "", ""][usize::from(style.next().unwrap_or(0)) % 5];
        let mut out = String::from(space());
        out.push('{');
        for (index, (name, value)) in members.iter().enumerate() {
            if index > 0 {
                out += space();
                out.push(',');
            }
            out += space();
            let quoted = serde_json::to_string(name).unwrap();
            if space() == " " {
                // The same name written otherwise.
                out += &quoted.replace('m', "\\u006d").replace('s', "\\u0073");
            } else {
                out += &quoted;
            }
            out += space();
            out.push(':');
            out += space();
            if space() == " " {
                out += &serde_json::to_string_pretty(value).unwrap();
            } else {
                out += &value.to_string();
            }
        }
        out += space();
        out.push('}');
        out += space();
        out
    }

    proptest! {
        #[test]
        fn changes_only_the_model_and_include_usage(
            others in prop::collection::vec(("[a-km-z_]{5,9}", value()), 0..4),
            model in "[^\\x00]{1,12}",
            upstream: String,
            options in options(),
            ask_usage: bool,
            order in any::<[prop::sample::Index; 4]>(),
            style in prop::collection::vec(any::<u8>(), 1..40),
            messages in prop::collection::vec(value(), 1..3),
        ) {
            const ACTED_ON: [&str; 4] = ["model", "messages", "stream", "stream_options"];
            let mut members: Vec<(String, Value)> =
                others.into_iter().filter(|(name, _)| !ACTED_ON.contains(&name.as_str())).collect();
            let streams = options.as_ref().is_some_and(Value::is_object) || style[0] > 128;
            let mut own = vec![("model", json!(model)), ("messages", json!(messages)), ("stream", json!(streams))];
            own.extend(options.map(|options| ("stream_options", options)));
            for ((name, value), place) in own.into_iter().zip(order) {
                members.insert(place.index(members.len() + 1), (name.to_owned(), value));
            }
            let body = render(&members, &style);

            let mut wanted: Value = serde_json::from_str(&body).unwrap();
            wanted["model"] = json!(upstream);
            if ask_usage && streams {
                if !wanted["stream_options"].is_object() {
                    wanted["stream_options"] = json!({});
                }
                wanted["stream_options"]["include_usage"] = json!(true);
            }
            let spliced = splice(&body, &upstream, ask_usage);
            prop_assert_eq!(serde_json::from_str::<Value>(&spliced).unwrap(), wanted, "{}", body);
        }
    }
}
