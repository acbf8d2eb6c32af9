//! Typed getters over the tree. Each reports what is wrong and gives `None`, so that reading
//! goes on and every problem is found in one run.

use std::fmt::Display;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::context::Context;
use super::duration::{self, Bare};
use super::expand;
use super::limits;
use super::money;
use super::secret::Secret;
use super::suggest;
use super::yaml::{Entry, Node, Scalar, Span, Value};

/// A mapping, perhaps an absent one: then every getter gives `None`.
#[derive(Clone)]
pub(super) struct Section<'a> {
    cx: &'a Context<'a>,
    path: String,
    at: Span,
    entries: &'a [Entry],
}

impl<'a> Section<'a> {
    /// The whole document; reported and `None` if it is no mapping.
    pub(super) fn of(cx: &'a Context<'a>, root: &'a Node) -> Option<Self> {
        Field::new(cx, String::new(), root, root.at).section()
    }

    /// A document of nothing.
    pub(super) fn empty(cx: &'a Context<'a>) -> Self {
        let at = Span { line: 1, column: 1, ..Span::default() };
        Self { cx, path: String::new(), at, entries: &[] }
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let field = self.field(entry);
        (!field.node.is_null()).then_some(field)
    }

    /// The mapping under a key; empty if absent.
    pub(super) fn section(&self, key: &str) -> Self {
        let found = self.get(key).and_then(|field| field.section());
        found.unwrap_or_else(|| Self { cx: self.cx, path: self.path_of(key), at: self.at, entries: &[] })
    }

    /// Every key with its value, null ones too.
    pub(super) fn entries(&self) -> Vec<(&'a str, Field<'a>)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), self.field(entry))).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// An error about the section as a whole.
    pub(super) fn error(&self, message: impl Into<String>, help: Option<String>) {
        self.cx.error(self.at, &self.path, message.into(), help);
    }

    /// An error about a key that should be there.
    pub(super) fn missing(&self, key: &str, help: Option<String>) {
        if let Some(entry) = self.entries.iter().find(|entry| entry.key == key) {
            let message = "a value is required, and this is empty".to_owned();
            return self.cx.error(entry.value.at, &self.path_of(key), message, help);
        }
        let message = format!("`{key}` is required");
        self.cx.error(self.at, &self.path, message, help);
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    /// A default path, relative to the folder of the configuration file.
    pub(super) fn folder_path(&self, path: &str) -> PathBuf {
        self.cx.folder().join(path)
    }

    pub(super) fn truth(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(|field| field.truth()).unwrap_or(default)
    }

    /// An integer within a range, or `default`.
    pub(super) fn count(&self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.get(key).and_then(|field| field.integer(range)).unwrap_or(default)
    }

    /// As [`count`](Self::count), for sizes; the bounds of `limits` all fit.
    pub(super) fn size(&self, key: &str, range: RangeInclusive<u64>, default: usize) -> usize {
        let found = self.get(key).and_then(|field| field.integer(range));
        found.and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
    }

    /// A timeout in seconds or with a unit.
    pub(super) fn timeout(&self, key: &str) -> Option<Duration> {
        let range = limits::MIN_TIMEOUT..=limits::MAX_TIMEOUT;
        self.get(key)?.duration(Bare::Seconds, range)
    }

    pub(super) fn secret(&self, key: &str) -> Option<Secret> {
        self.get(key)?.secret()
    }

    /// One of a list of words.
    pub(super) fn choice<T: Copy>(&self, key: &str, allowed: &[(&str, T)]) -> Option<T> {
        self.get(key)?.choice(allowed)
    }

    /// Words; `None` if the key is absent.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        let items = self.get(key)?.texts();
        Some(items.into_iter().map(|(_, text)| text).collect())
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn field(&self, entry: &'a Entry) -> Field<'a> {
        Field::new(self.cx, self.path_of(&entry.key), &entry.value, entry.key_at)
    }
}

/// One value with its path.
#[derive(Clone)]
pub(super) struct Field<'a> {
    cx: &'a Context<'a>,
    path: String,
    node: &'a Node,
    /// Place of the key; that of the value for an item of a list.
    key_at: Span,
    on_key: bool,
}

impl<'a> Field<'a> {
    fn new(cx: &'a Context<'a>, path: String, node: &'a Node, key_at: Span) -> Self {
        Self { cx, path, node, key_at, on_key: false }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The same field, with problems marked on its key: for a mapping whose keys are names.
    pub(super) fn on_key(self) -> Self {
        Self { on_key: true, ..self }
    }

    fn at(&self) -> Span {
        if self.on_key { self.key_at } else { self.node.at }
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// Whether nothing is in this list, or in the text that stands for one.
    pub(super) fn is_empty_list(&self) -> bool {
        match &self.node.value {
            Value::List(items) => items.is_empty(),
            _ => self.is_empty_text(),
        }
    }

    /// A text of nothing, such as `""` or a variable that is set to nothing.
    pub(super) fn is_empty_text(&self) -> bool {
        match &self.node.value {
            Value::Scalar(scalar) => scalar.problem.is_none() && scalar.text.trim().is_empty(),
            _ => false,
        }
    }

    pub(super) fn error(&self, message: impl Into<String>, help: Option<String>) {
        self.cx.error(self.at(), &self.path, message.into(), help);
    }

    pub(super) fn warn(&self, message: impl Into<String>, help: Option<String>) {
        self.cx.warn(self.at(), &self.path, message.into(), help);
    }

    /// The value for a message: as the file has it (never what a variable held), cut if long,
    /// and only if it is no secret.
    pub(super) fn quoted(&self) -> String {
        const MAX_CHARS: usize = 60;
        let Value::Scalar(scalar) = &self.node.value else {
            return "this value".to_owned();
        };
        if !scalar.may_show {
            return "this value".to_owned();
        }
        let raw = scalar.raw.as_deref().unwrap_or(&scalar.text);
        if raw.is_empty() {
            return "an empty text".to_owned();
        }
        let short: String = raw.chars().take(MAX_CHARS).collect();
        let dots = if short.len() < raw.len() { "..." } else { "" };
        format!("`{short}{dots}`")
    }

    /// The key, or part of this value, for a message, under the same rule.
    pub(super) fn quoted_part(&self, part: &str) -> String {
        match &self.node.value {
            _ if self.on_key => format!("`{part}`"),
            Value::Scalar(scalar) if scalar.may_show && scalar.raw.is_none() => format!("`{part}`"),
            _ => self.quoted(),
        }
    }

    fn wrong_type(&self, expected: &str) {
        let found = match &self.node.value {
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        self.error(format!("expected {expected}, found {found}"), None);
    }

    fn scalar(&self, expected: &str) -> Option<&'a Scalar> {
        let Value::Scalar(scalar) = &self.node.value else {
            self.wrong_type(expected);
            return None;
        };
        if let Some(problem) = &scalar.problem {
            self.error(problem.clone(), None);
            return None;
        }
        Some(scalar)
    }

    pub(super) fn text(&self) -> Option<String> {
        self.scalar("a text").map(|scalar| scalar.text.clone())
    }

    /// Reads the text with `read`; its error becomes ours.
    pub(super) fn parse<T, E: Display>(
        &self,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let scalar = self.scalar(expected)?;
        match read(&scalar.text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(format!("{}: {error}", self.quoted()), None);
                None
            }
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        self.parse("true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(true),
            "false" | "no" | "off" => Ok(false),
            _ => Err("expected true or false"),
        })
    }

    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (*range.start(), *range.end());
        self.parse("a whole number", |text| {
            let digits = text.replace('_', "");
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            match digits.parse::<u64>() {
                Ok(value) if is_number && range.contains(&value) => Ok(value),
                _ if is_number || text.starts_with('-') => Err(format!("must be from {low} to {high}")),
                _ => Err("expected a whole number".to_owned()),
            }
        })
    }

    /// A decimal in micro-units, of at most `max` whole units.
    pub(super) fn micro_units(&self, max: u64) -> Option<u64> {
        self.parse("a number", |text| money::micro_units(text, max))
    }

    /// A share from 0 to 1.
    pub(super) fn share(&self) -> Option<f64> {
        let micro = self.micro_units(1)?;
        u32::try_from(micro).ok().map(|micro| f64::from(micro) / 1e6)
    }

    pub(super) fn duration(&self, bare: Bare, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (low, high) = (duration::show(*range.start()), duration::show(*range.end()));
        self.parse("a duration", |text| match duration::parse(text, bare) {
            Ok(value) if range.contains(&value) => Ok(value),
            Ok(_) => Err(format!("must be from {low} to {high}")),
            Err(error) => Err(error.to_string()),
        })
    }

    pub(super) fn choice<T: Copy>(&self, allowed: &[(&str, T)]) -> Option<T> {
        let scalar = self.scalar("a word")?;
        let found = allowed.iter().find(|(name, _)| *name == scalar.text);
        if let Some((_, value)) = found {
            return Some(*value);
        }
        let names: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
        let help = suggest::closest(&scalar.text, names.iter().copied())
            .map(|near| format!("did you mean `{near}`?"));
        let message = format!("{} is not one of: {}", self.quoted(), names.join(", "));
        self.error(message, help);
        None
    }

    /// A path, relative to the folder of the configuration file.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let text = self.text()?;
        if text.is_empty() || text.contains('\0') {
            self.error("expected a path", None);
            return None;
        }
        Some(self.cx.folder().join(text))
    }

    /// A path to a file that exists.
    pub(super) fn existing_file(&self) -> Option<PathBuf> {
        let path = self.file()?;
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => Some(path),
            Ok(_) => {
                self.error(format!("{} is not a file", self.quoted()), None);
                None
            }
            Err(error) => {
                self.error(format!("cannot read {}: {error}", self.quoted()), None);
                None
            }
        }
    }

    pub(super) fn section(&self) -> Option<Section<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_type("a mapping");
            return None;
        };
        Some(Section { cx: self.cx, path: self.path.clone(), at: self.node.at, entries })
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Field<'a>> {
        let Value::List(items) = &self.node.value else {
            self.wrong_type("a list");
            return Vec::new();
        };
        let item = |(index, node): (usize, &'a Node)| {
            Field::new(self.cx, format!("{}[{index}]", self.path), node, node.at)
        };
        items.iter().enumerate().map(item).collect()
    }

    /// A list of words. A single value is split at commas, as the original did.
    pub(super) fn texts(&self) -> Vec<(Field<'a>, String)> {
        if let Value::Scalar(_) = &self.node.value {
            let text = self.text().unwrap_or_default();
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            return words.map(|word| (self.clone(), word.to_owned())).collect();
        }
        let mut out = Vec::new();
        for item in self.items() {
            if item.node.is_null() {
                item.error("an empty item", None);
            } else if let Some(text) = item.text() {
                out.push((item, text));
            }
        }
        out
    }

    /// A secret, given in place or as `file:/path`.
    pub(super) fn secret(&self) -> Option<Secret> {
        let text = self.text()?;
        self.secret_from(&text)
    }

    /// Secrets of a list, each with its place.
    pub(super) fn secrets(&self) -> Vec<(Field<'a>, Secret)> {
        let texts = self.texts().into_iter();
        texts.filter_map(|(item, text)| item.secret_from(&text).map(|secret| (item, secret))).collect()
    }

    /// The secret in the file at `path`.
    pub(super) fn secret_in(&self, path: &str) -> Option<Secret> {
        self.secret_from(&format!("file:{path}"))
    }

    fn secret_from(&self, text: &str) -> Option<Secret> {
        let value = match text.strip_prefix("file:") {
            Some(path) => self.read_secret(path)?,
            None => text.to_owned(),
        };
        if value.is_empty() {
            self.error("the secret is empty", None);
            return None;
        }
        let name = value.strip_prefix('$').filter(|name| expand::is_name(name));
        if name.is_some_and(|name| !name.bytes().any(|b| b.is_ascii_lowercase())) {
            let help = "an environment variable is written `${NAME}`".to_owned();
            self.warn("this secret looks like a variable's name, and is used as it stands", Some(help));
        }
        Some(Secret::new(value))
    }

    fn read_secret(&self, path: &str) -> Option<String> {
        let path = self.cx.folder().join(path);
        let mut content = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| {
            let limit = limits::MAX_SECRET_BYTES as u64 + 1;
            file.take(limit).read_to_end(&mut content)
        });
        let problem = match read {
            Err(error) => error.to_string(),
            Ok(_) if content.len() > limits::MAX_SECRET_BYTES => {
                format!("it is larger than {} bytes", limits::MAX_SECRET_BYTES)
            }
            Ok(_) => match String::from_utf8(content) {
                Ok(text) => return Some(without_newline(&text).to_owned()),
                Err(_) => "it is not UTF-8 text".to_owned(),
            },
        };
        self.error(format!("cannot read the secret's file: {problem}"), None);
        None
    }
}

/// Editors end a file with a newline that is not part of the secret.
fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
