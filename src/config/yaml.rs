//! YAML text to a tree in which every node knows where it stands.
//!
//! The parser gives events; this file builds the tree from them without recursion, expands
//! aliases and merge keys within a budget, and refuses what a configuration has no use for:
//! repeated keys, keys that are not words, foreign tags, a second document.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::limits;

/// A place in the text: where it starts, for people, and its extent in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Offset in characters.
    pub start: usize,
    /// Offset in characters, exclusive.
    pub end: usize,
}

/// One value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub value: Value,
    pub at: Span,
    /// Against the budget: text and [`limits::NODE_BYTES`], children included.
    pub weight: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// Text that a key's type decides how to read.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// The text, after variables once `expand` has run.
    pub text: String,
    /// The text in the file, where `expand` changed it or could not.
    pub raw: Option<String>,
    /// Why a variable could not be expanded: reported only if the key is read.
    pub problem: Option<String>,
    /// Not quoted: `null`, `~` and nothing mean "absent".
    pub plain: bool,
    /// Whether a diagnostic may quote it; set by `keys`.
    pub may_show: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Span,
    pub value: Node,
}

impl Node {
    /// Whether the value is absent in all but name: YAML's null, or a variable set to nothing.
    pub(super) fn is_null(&self) -> bool {
        let Value::Scalar(scalar) = &self.value else {
            return false;
        };
        match scalar.text.as_str() {
            _ if scalar.problem.is_some() => false,
            "" => scalar.plain || scalar.raw.is_some(),
            "~" | "null" | "Null" | "NULL" => scalar.plain,
            _ => false,
        }
    }
}

/// Something wrong with the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub at: Span,
    pub message: String,
}

impl Problem {
    fn new(at: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { at, message }
    }
}

/// What became of the text. `root` is `None` for an empty document, and after a problem that
/// left no tree.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub root: Option<Node>,
    pub problems: Vec<Problem>,
}

/// Parses one document.
pub(super) fn parse(text: &str) -> Parsed {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let outcome = match next {
            Ok((event, span)) => builder.event(event, place(span)),
            Err(error) => {
                let mark = saphyr_parser::Span::empty(*error.marker());
                Err(Problem::new(place(mark), format!("YAML: {}", error.info())))
            }
        };
        if let Err(problem) = outcome {
            builder.problems.push(problem);
            builder.root = None;
            break;
        }
    }
    Parsed { root: builder.root, problems: builder.problems }
}

fn place(span: saphyr_parser::Span) -> Span {
    Span {
        line: span.start.line(),
        column: span.start.col() + 1,
        start: span.start.index(),
        end: span.end.index(),
    }
}

/// A list or mapping whose end has not been seen.
struct Frame {
    at: Span,
    anchor: usize,
    weight: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Line of the first use of each key.
        seen: HashMap<String, usize>,
        /// A key whose value is still to come.
        key: Option<(String, Span)>,
    },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    spent: usize,
    problems: Vec<Problem>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, at: Span) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::new(at, "a configuration is one YAML document"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                check_tag(tag.as_deref(), at)?;
                self.scalar(text.into_owned(), style, anchor, at)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), at)?;
                self.open(at, anchor, FrameKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), at)?;
                let kind = FrameKind::Map { entries: Vec::new(), seen: HashMap::new(), key: None };
                self.open(at, anchor, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(Problem::new(at, "an alias inside its own anchor"));
                };
                let weight = node.weight;
                // Spend before copying: this is where an alias bomb ends.
                self.spend(weight, at)?;
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Ok(());
                };
                // Aliases stack subtrees without opening them, and later walks recurse.
                if self.stack.len() + height(&node) > limits::MAX_DEPTH {
                    return Err(too_deep(at));
                }
                self.place_node(node, at)
            }
        }
    }

    fn spend(&mut self, weight: usize, at: Span) -> Result<(), Problem> {
        self.spent = self.spent.saturating_add(weight);
        if self.spent > limits::MAX_TREE_BYTES {
            return Err(Problem::new(at, "the document is too large once expanded"));
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        anchor: usize,
        mut at: Span,
    ) -> Result<(), Problem> {
        let weight = limits::NODE_BYTES + text.len();
        self.spend(weight, at)?;
        // The parser's end may lie beyond a closing quote; the decoded text is never longer
        // than its source, so this keeps a comment behind it out of the span.
        at.end = at.end.min(at.start + text.chars().count() + 2);
        let scalar =
            Scalar { text, raw: None, problem: None, plain: style == ScalarStyle::Plain, may_show: false };
        let node = Node { value: Value::Scalar(scalar), at, weight };
        self.remember(anchor, &node)?;
        self.place_node(node, at)
    }

    fn open(&mut self, at: Span, anchor: usize, kind: FrameKind) -> Result<(), Problem> {
        if self.stack.len() >= limits::MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.spend(limits::NODE_BYTES, at)?;
        self.stack.push(Frame { at, anchor, weight: limits::NODE_BYTES, kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let (value, merged) = match frame.kind {
            FrameKind::List(items) => (Value::List(items), 0),
            FrameKind::Map { entries, seen, .. } => {
                let (entries, merged) = self.merge(entries, seen)?;
                (Value::Map(entries), merged)
            }
        };
        let node = Node { value, at: frame.at, weight: frame.weight + merged };
        self.remember(frame.anchor, &node)?;
        self.place_node(node, frame.at)
    }

    /// Keeps a copy of an anchored node for its aliases.
    fn remember(&mut self, anchor: usize, node: &Node) -> Result<(), Problem> {
        if anchor != 0 {
            self.spend(node.weight, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: a key, a value, an item or the root.
    fn place_node(&mut self, node: Node, at: Span) -> Result<(), Problem> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.weight = frame.weight.saturating_add(node.weight);
        match &mut frame.kind {
            FrameKind::List(items) => items.push(node),
            FrameKind::Map { entries, seen, key } => match (key.take(), node.value) {
                (None, Value::Scalar(scalar)) => *key = Some((scalar.text, at)),
                (None, _) => {
                    return Err(Problem::new(at, "a key must be a word, not a list or mapping"));
                }
                (Some((key, key_at)), value) => {
                    if let Some(line) = seen.get(&key) {
                        let message =
                            format!("this key is set twice in the same mapping; the first is on line {line}");
                        self.problems.push(Problem::new(key_at, message));
                        return Ok(());
                    }
                    seen.insert(key.clone(), key_at.line);
                    let node = Node { value, ..node };
                    entries.push(Entry { key, key_at, value: node });
                }
            },
        }
        Ok(())
    }

    /// Resolves `<<: *anchor` (one mapping or a list of them); keys set in place win. Also says
    /// how much the mapping grew.
    fn merge(
        &mut self,
        mut entries: Vec<Entry>,
        mut seen: HashMap<String, usize>,
    ) -> Result<(Vec<Entry>, usize), Problem> {
        let Some(position) = entries.iter().position(|entry| entry.key == "<<") else {
            return Ok((entries, 0));
        };
        let merge = entries.remove(position);
        let sources = match merge.value.value {
            Value::List(items) => items,
            value => vec![Node { value, at: merge.value.at, weight: 0 }],
        };
        let mut grown = 0;
        for source in sources {
            let Value::Map(found) = source.value else {
                let message = "`<<` takes a mapping or a list of mappings";
                return Err(Problem::new(merge.key_at, message));
            };
            for entry in found {
                if !seen.contains_key(&entry.key) {
                    seen.insert(entry.key.clone(), entry.key_at.line);
                    grown += entry.value.weight;
                    entries.push(entry);
                }
            }
        }
        self.spend(grown, merge.key_at)?;
        Ok((entries, grown))
    }
}

/// Levels of lists and mappings in a node; a scalar has none. Bounded by how nodes are placed.
fn height(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::List(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|e| height(&e.value)).max().unwrap_or(0),
    }
}

fn too_deep(at: Span) -> Problem {
    let depth = limits::MAX_DEPTH;
    Problem::new(at, format!("nested deeper than {depth} levels"))
}

fn check_tag(tag: Option<&Tag>, at: Span) -> Result<(), Problem> {
    const HARMLESS: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && HARMLESS.contains(&tag.suffix.as_str()) => Ok(()),
        Some(_) => Err(Problem::new(at, "YAML tags are not used here")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    /// The tree on one line, for comparison.
    fn flat(node: &Node) -> String {
        match &node.value {
            Value::Scalar(scalar) => scalar.text.clone(),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(flat).collect();
                format!("[{}]", items.join(","))
            }
            Value::Map(entries) => {
                let one = |e: &Entry| format!("{}:{}", e.key, flat(&e.value));
                let entries: Vec<_> = entries.iter().map(one).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }

    fn tree(text: &str) -> String {
        let parsed = parse(text);
        assert_eq!(parsed.problems, [], "{text}");
        parsed.root.as_ref().map(flat).unwrap_or_default()
    }

    fn problem(text: &str) -> (usize, usize, String) {
        let parsed = parse(text);
        let problem = parsed.problems.first().unwrap_or_else(|| panic!("{text}"));
        (problem.at.line, problem.at.column, problem.message.clone())
    }

    #[test]
    fn builds_trees() {
        for (text, expected) in [
            ("", ""),
            ("a: 1\nb: [x, 'y z']\n", "{a:1,b:[x,y z]}"),
            ("a: {b: {c: d}}", "{a:{b:{c:d}}}"),
            ("a: &x [1, 2]\nb: *x", "{a:[1,2],b:[1,2]}"),
            ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", "{a:{p:1,q:2},b:{q:3,p:1}}"),
            ("a: &x {p: 1}\nb: &y {q: 2}\nc: {<<: [*x, *y]}", "{a:{p:1},b:{q:2},c:{p:1,q:2}}"),
            ("a: !!str 1", "{a:1}"),
        ] {
            assert_eq!(tree(text), expected);
        }
    }

    #[test]
    fn places_are_those_of_the_text() {
        let root = parse("a:\n  bé: \"x\" # 'x'\n").root.unwrap();
        let Value::Map(a) = root.value else { panic!() };
        let Value::Map(b) = &a.first().unwrap().value.value else { panic!() };
        let entry = b.first().unwrap();
        assert_eq!((entry.key_at.line, entry.key_at.column), (2, 3));
        let at = entry.value.at;
        assert_eq!((at.line, at.column, at.end - at.start), (2, 7, 3));
    }

    #[test]
    fn refuses_what_a_configuration_does_not_need() {
        for (text, line, column, part) in [
            ("a: 1\nb: 2\na: 3\n", 3, 1, "set twice in the same mapping; the first is on line 1"),
            ("? [a]\n: b\n", 1, 3, "a key must be a word"),
            ("a: !secret x", 1, 4, "tags are not used"),
            ("a: 1\n---\nb: 2\n", 2, 1, "one YAML document"),
            ("a: [1, 2", 2, 1, "YAML: "),
            ("a: *nope", 1, 4, "YAML: "),
            ("a: &x {b: *x}", 1, 11, "inside its own anchor"),
            ("a: {<<: 3}", 1, 5, "`<<` takes a mapping"),
        ] {
            let found = problem(text);
            assert!(found.2.contains(part), "{text}: {found:?}");
            assert_eq!((found.0, found.1), (line, column), "{text}: {found:?}");
        }
    }

    #[test]
    fn bombs_end_early() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let item = format!("*a{}", level - 1);
            let items = vec![item; 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(problem(&bomb).2.contains("too large once expanded"));

        let mut tower = String::from("a0: &a0 [x]\n");
        for level in 1..100 {
            tower.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(problem(&tower).2.contains("nested deeper"));
        assert!(problem(&"- ".repeat(100)).2.contains("nested deeper"));
    }
}
