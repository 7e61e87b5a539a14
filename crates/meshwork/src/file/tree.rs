//! A document of any of the three formats as one tree whose nodes know their byte offset.
//!
//! TOML gives spans. For JSON and YAML the offset is read off the strings that the parsers lend us
//! out of the text itself: a key that lies in the text tells where it stands. A node without such
//! a string of its own (a number, an escaped string) has the offset of the last one before it,
//! which is its key.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::error::Code;
use super::findings::{Finding, quoted};

/// Nesting beyond this is refused while parsing, whatever it is for. Above the limit for `input`
/// (64), so that the answer there names that limit.
const PARSE_DEPTH: usize = 72;

/// A value and where it starts.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) at: u32,
    pub(super) value: Value<'t>,
}

/// What a document can hold.
#[derive(Debug)]
pub(super) enum Value<'t> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(Cow<'t, str>),
    Date(String),
    List(Vec<Node<'t>>),
    Table(Vec<(Key<'t>, Node<'t>)>),
}

/// A key and where it stands.
#[derive(Debug)]
pub(super) struct Key<'t> {
    pub(super) at: u32,
    pub(super) text: Cow<'t, str>,
}

impl Node<'_> {
    /// Levels of lists and tables; a plain value has none. The parsers bound the recursion.
    pub(super) fn depth(&self) -> usize {
        match &self.value {
            Value::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Table(items) => 1 + items.iter().map(|(_, n)| n.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Offsets fit because a file has at most 512 MiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Reads TOML.
pub(super) fn from_toml(text: &str) -> Result<Node<'_>, Finding> {
    let root = DeTable::parse(text).map_err(|error| {
        let code = match error.message() {
            "duplicate key" => Code::DuplicateKey,
            message if message.contains("recursion limit") => Code::TooDeep,
            _ => Code::Syntax,
        };
        let at = error.span().map(|span| offset(span.start));
        let message = match code {
            Code::DuplicateKey => "a key stands twice in one table".to_owned(),
            Code::TooDeep => "nested too deeply".to_owned(),
            _ => format!("not well-formed TOML: {}", error.message()),
        };
        let found = error.span().and_then(|span| text.get(span));
        let found = found.filter(|found| !found.trim().is_empty());
        Finding::new(code, at, message).found(found.map(quoted).unwrap_or_default())
    })?;
    let at = offset(root.span().start);
    Ok(Node { at, value: toml_table(root.into_inner())? })
}

fn toml_table(table: DeTable<'_>) -> Result<Value<'_>, Finding> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let at = offset(key.span().start);
        let key = Key { at, text: key.into_inner() };
        entries.push((key, toml_value(value)?));
    }
    Ok(Value::Table(entries))
}

fn toml_value(value: toml::Spanned<DeValue<'_>>) -> Result<Node<'_>, Finding> {
    let at = offset(value.span().start);
    let number =
        |message: &str, found: &str| Finding::new(Code::InvalidValue, Some(at), message).found(found.to_owned());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => {
            let items: Result<_, _> = items.into_iter().map(toml_value).collect();
            Value::List(items?)
        }
        DeValue::Table(table) => toml_table(table)?,
        DeValue::Integer(digits) => {
            let (text, radix) = (digits.as_str(), digits.radix());
            match (i64::from_str_radix(text, radix), u64::from_str_radix(text, radix)) {
                (Ok(value), _) => Value::Int(value),
                (_, Ok(value)) => Value::UInt(value),
                _ => return Err(number("a number that does not fit into 64 bits", text)),
            }
        }
        DeValue::Float(digits) => match digits.as_str().parse() {
            Ok(value) => Value::Float(value),
            Err(_) => return Err(number("not a number", digits.as_str())),
        },
    };
    Ok(Node { at, value })
}

/// Reads JSON.
pub(super) fn from_json(text: &str) -> Result<Node<'_>, Finding> {
    let reading = Reading::new(text);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = reading.seed().deserialize(&mut deserializer).and_then(|node| deserializer.end().map(|()| node));
    node.map_err(|error| {
        reading.refusal.take().unwrap_or_else(|| {
            let at = offset_of_place(text, error.line(), error.column());
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            Finding::new(Code::Syntax, at, format!("not well-formed JSON: {message}"))
        })
    })
}

/// Reads YAML: one document, booleans as in YAML 1.2.
///
/// The parser recurses and takes tens of kilobytes of stack a level, more than a thread of a runtime
/// is sure to have left; so it gets a stack of its own.
pub(super) fn from_yaml(text: &str) -> Result<Node<'_>, Finding> {
    const STACK_BYTES: usize = 16 << 20;
    let failed = || Finding::new(Code::Unreadable, None, "no thread for reading YAML");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let reader = thread.spawn_scoped(scope, || yaml_document(text));
        let reader = reader.map_err(|error| failed().found(error.to_string()))?;
        match reader.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn yaml_document(text: &str) -> Result<Node<'_>, Finding> {
    let reading = Reading::new(text);
    // A file within its size limit may have as many nodes as it likes; what the parser's budget
    // is for here is what a small file can blow up to: aliases, anchors, depth.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_depth: PARSE_DEPTH + 1,
        },
        strict_booleans: true,
        emit_comments: false,
    };
    let node = serde_saphyr::with_deserializer_from_str_with_options(text, options, |document| {
        reading.seed().deserialize(document)
    });
    node.map_err(|error| match reading.refusal.take() {
        Some(refusal) => refusal,
        None => yaml_finding(text, error.without_snippet()),
    })
}

fn yaml_finding(text: &str, error: &serde_saphyr::Error) -> Finding {
    let place = error.location();
    let place = place.map(|place| (place.line() as usize, place.column() as usize));
    let at = place.and_then(|(line, column)| offset_of_place(text, line, column));
    if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error {
        let finding = Finding::new(Code::DuplicateKey, at, "a key stands twice in one table");
        return finding.found(key.as_deref().map(quoted).unwrap_or_default());
    }
    if let serde_saphyr::Error::MultipleDocuments { .. } = error {
        return Finding::new(Code::Syntax, at, "more than one YAML document").expected("one");
    }
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or_default();
    Finding::new(Code::Syntax, at, format!("not well-formed YAML: {message}"))
}

/// The offset of a line and column, both from 1; 0 means that the parser did not know.
fn offset_of_place(text: &str, line: usize, column: usize) -> Option<u32> {
    let before: usize = match line.checked_sub(1)? {
        0 => 0,
        lines => text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .nth(lines - 1)
            .map_or(text.len(), |(at, _)| at + 1),
    };
    let rest = text.get(before..)?.lines().next().unwrap_or_default();
    let chars = rest.char_indices().nth(column.saturating_sub(1));
    Some(offset(before + chars.map_or(rest.len(), |(at, _)| at)))
}

/// What a serde parser is led through: the text, the last known offset, and a refusal of ours that
/// is better than the parser's account of it.
struct Reading<'t> {
    text: &'t str,
    last: Cell<u32>,
    refusal: RefCell<Option<Finding>>,
}

impl<'t> Reading<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, last: Cell::new(0), refusal: RefCell::new(None) }
    }

    fn seed(&self) -> Seed<'t, '_> {
        Seed { reading: self, depth: 0 }
    }

    /// Notes where a string lies if it lies in the text.
    fn see(&self, string: &str) -> u32 {
        let start = string.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        if start <= self.text.len() && !string.is_empty() {
            let quote = start > 0 && matches!(self.text.as_bytes()[start - 1], b'"' | b'\'');
            self.last.set(offset(start - usize::from(quote)));
        }
        self.last.get()
    }

    fn refuse<E: de::Error>(&self, code: Code, at: u32, message: &str, found: String) -> E {
        let finding = Finding::new(code, Some(at), message).found(found);
        *self.refusal.borrow_mut() = Some(finding);
        E::custom(message)
    }
}

#[derive(Clone, Copy)]
struct Seed<'t, 'r> {
    reading: &'r Reading<'t>,
    depth: usize,
}

impl<'t> Seed<'t, '_> {
    fn node<E>(self, value: Value<'t>) -> Result<Node<'t>, E> {
        let at = self.reading.last.get();
        Ok(Node { at, value })
    }

    /// The seed for what is inside, unless that is too deep.
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= PARSE_DEPTH {
            let (at, found) = (self.reading.last.get(), String::new());
            return Err(self.reading.refuse(Code::TooDeep, at, "nested too deeply", found));
        }
        Ok(Self { reading: self.reading, depth: self.depth + 1 })
    }
}

impl<'t> DeserializeSeed<'t> for Seed<'t, '_> {
    type Value = Node<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Node<'t>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Seed<'t, '_> {
    type Value = Node<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node<'t>, E> {
        self.node(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node<'t>, E> {
        self.node(Value::Null)
    }

    fn visit_some<D: Deserializer<'t>>(self, inner: D) -> Result<Node<'t>, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'t>>(self, inner: D) -> Result<Node<'t>, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node<'t>, E> {
        self.node(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node<'t>, E> {
        self.node(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node<'t>, E> {
        self.node(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node<'t>, E> {
        self.node(Value::Float(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'t str) -> Result<Node<'t>, E> {
        self.reading.see(value);
        self.node(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node<'t>, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Node<'t>, E> {
        self.node(Value::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<Node<'t>, A::Error> {
        let inside = self.inside()?;
        let at = self.reading.last.get();
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        let value = Value::List(list);
        Ok(Node { at, value })
    }

    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<Node<'t>, A::Error> {
        let inside = self.inside()?;
        let mut table: Vec<(Key<'t>, Node<'t>)> = Vec::new();
        while let Some(key) = entries.next_key_seed(KeySeed(self.reading))? {
            table.push((key, entries.next_value_seed(inside)?));
        }
        if let Some(key) = duplicate(&table) {
            let found = quoted(&key.text);
            let message = "a key stands twice in one table";
            return Err(self.reading.refuse(Code::DuplicateKey, key.at, message, found));
        }
        let at = table.first().map(|(key, _)| key.at);
        let at = at.unwrap_or_else(|| self.reading.last.get());
        let value = Value::Table(table);
        Ok(Node { at, value })
    }
}

/// The first key that stands twice.
fn duplicate<'a, 't>(table: &'a [(Key<'t>, Node<'t>)]) -> Option<&'a Key<'t>> {
    /// Up to here, comparing all with all is faster than hashing.
    const FEW: usize = 16;
    if table.len() <= FEW {
        return (1..table.len())
            .map(|at| &table[at].0)
            .zip(1..)
            .find(|(key, at)| table[..*at].iter().any(|(other, _)| other.text == key.text))
            .map(|(key, _)| key);
    }
    let mut seen = HashSet::with_capacity(table.len());
    table.iter().map(|(key, _)| key).find(|key| !seen.insert(key.text.as_ref()))
}

struct KeySeed<'t, 'r>(&'r Reading<'t>);

impl<'t> DeserializeSeed<'t> for KeySeed<'t, '_> {
    type Value = Key<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Key<'t>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for KeySeed<'t, '_> {
    type Value = Key<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'t str) -> Result<Key<'t>, E> {
        let at = self.0.see(text);
        let text = Cow::Borrowed(text);
        Ok(Key { at, text })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Key<'t>, E> {
        let at = self.0.last.get();
        let text = Cow::Owned(text.to_owned());
        Ok(Key { at, text })
    }
}
