//! From the tree to the model. The model's own serde description says which keys and words exist;
//! this deserializer adds where, and tells "not built yet" from "unknown".

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Display};

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, Unexpected, Visitor};

use super::error::Code;
use super::findings::{Finding, Findings, quoted, suggestion};
use super::model::{EXPECTED_PRIORITY, SwarmFile};
use super::timespan;
use super::tree::{Key, Node, Value};

/// Levels of lists and tables that a task's `input` may have (contracts, limits: JSON depth).
pub const MAX_INPUT_DEPTH: usize = 64;

/// The tables and keys of the whole file.
const ROOT: (&str, &[&str]) = ("SwarmFile", &["$schema", "swarm", "limits", "mesh", "hierarchical", "peers", "tasks"]);

/// Keys and words of the design that this version does not have, by the model's type.
pub(super) const NOT_YET: [(&str, &[&str]); 4] = [
    ("SwarmFile", &["discovery", "completion", "balance", "broker"]),
    ("Mesh", &["enable_peer_discovery", "discovery_interval", "completion_timeout"]),
    ("Workspace", &["worktree"]),
    ("AgentKind", &["acp", "llm"]),
];

/// Tables that other parts of meshwork have and a swarm file does not need: what stands for them here.
const INSTEAD: [(&str, &str, &str); 1] =
    [("SwarmFile", "consensus", "`[tasks.review]` with `approvals` and `of`: votes on a result are tasks in the log")];

/// True if the design knows the word at that place and this version does not.
fn is_not_yet(place: &str, word: &str) -> bool {
    NOT_YET.iter().any(|(name, words)| *name == place && words.contains(&word))
}

/// The table of a type of the model, as it is written in a file.
fn table_name(place: &str) -> &str {
    match place {
        "SwarmFile" => "the file",
        "Swarm" => "[swarm]",
        "Limits" => "[limits]",
        "Mesh" => "[mesh]",
        "Hierarchical" => "[hierarchical]",
        "Peer" => "[[peers]]",
        "Agent" => "[peers.agent]",
        "Task" => "[[tasks]]",
        "Verify" => "[tasks.verify]",
        "Review" => "[tasks.review]",
        other => other,
    }
}

/// The table that stands under a key of the file.
fn table_of(key: &str) -> String {
    match key {
        "peers" | "tasks" => format!("[[{key}]]"),
        _ => format!("[{key}]"),
    }
}

/// Where the parts of a file stand, as byte offsets; empty for a file that was never text.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The id of each peer entry.
    pub(super) peers: Vec<u32>,
    /// The id of each task.
    pub(super) tasks: Vec<u32>,
    /// The dependencies of each task that has some, else its id.
    pub(super) dependencies: Vec<u32>,
    /// The keys of the plain tables, such as `limits.tasks`.
    pub(super) settings: HashMap<String, u32>,
}

/// Decodes a whole file. Problems go to `findings`; what has problems is left out of the result.
pub(super) fn swarm_file(root: Node<'_>, findings: &mut Findings) -> (SwarmFile, Places) {
    let (mut file, mut places) = (SwarmFile::default(), Places::default());
    let mut entries = match root.value {
        Value::Table(entries) => entries,
        Value::Null => return (file, places),
        other => {
            let finding = Finding::new(Code::WrongType, Some(root.at), "not a swarm file");
            let finding = finding.found(describe(&other));
            findings.push(finding.expected("a table with [swarm], [[peers]] and [[tasks]]"));
            return (file, places);
        }
    };
    let context = Context::default();
    context.keep_known(ROOT.0, ROOT.1, &mut entries);
    for (key, node) in entries {
        match key.text.as_ref() {
            "$schema" => context.one(&key, node, &mut file.schema),
            "swarm" => {
                places.note_settings("swarm", &node);
                context.one(&key, node, &mut file.swarm);
            }
            "limits" => {
                places.note_settings("limits", &node);
                context.one(&key, node, &mut file.limits);
            }
            "mesh" => {
                places.note_settings("mesh", &node);
                context.one(&key, node, &mut file.mesh);
            }
            "hierarchical" => {
                places.note_settings("hierarchical", &node);
                context.one(&key, node, &mut file.hierarchical);
            }
            "peers" => {
                file.peers = context.list(&key, node, |node| {
                    places.peers.push(place_of(node, "id"));
                });
            }
            _ => {
                file.tasks = context.list(&key, node, |node| {
                    let id = place_of(node, "id");
                    places.tasks.push(id);
                    let dependencies = entry(node, "dependencies");
                    places.dependencies.push(dependencies.map_or(id, |(key, _)| key.at));
                });
            }
        }
    }
    for finding in context.findings.into_inner() {
        findings.push(finding);
    }
    (file, places)
}

impl Places {
    fn note_settings(&mut self, table: &str, node: &Node<'_>) {
        if let Value::Table(entries) = &node.value {
            for (key, _) in entries {
                self.settings.insert(format!("{table}.{}", key.text), key.at);
            }
        }
    }
}

fn entry<'a, 't>(node: &'a Node<'t>, name: &str) -> Option<&'a (Key<'t>, Node<'t>)> {
    match &node.value {
        Value::Table(entries) => entries.iter().find(|(key, _)| key.text == name),
        _ => None,
    }
}

fn place_of(node: &Node<'_>, name: &str) -> u32 {
    entry(node, name).map_or(node.at, |(key, _)| key.at)
}

/// What decoding shares: problems that do not stop it.
#[derive(Default)]
struct Context {
    findings: RefCell<Vec<Finding>>,
}

impl Context {
    fn push(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    /// Decodes one value into its place.
    fn one<'t, T: Deserialize<'t>>(&self, key: &Key<'t>, node: Node<'t>, place: &mut T) {
        let at = node.at;
        match T::deserialize(Decoder { node, context: self }) {
            Ok(value) => *place = value,
            Err(error) => self.push(error.into_finding(key, at)),
        }
    }

    /// Decodes a list element by element, so that each can have its problem.
    fn list<'t, T: Deserialize<'t>>(&self, key: &Key<'t>, node: Node<'t>, mut note: impl FnMut(&Node<'t>)) -> Vec<T> {
        let items = match node.value {
            Value::List(items) => items,
            Value::Null => Vec::new(),
            other => {
                let message = format!("wrong type for `{}`", key.text);
                let finding = Finding::new(Code::WrongType, Some(key.at), message);
                let expected = format!("a list of tables ([[{}]])", key.text);
                self.push(finding.found(describe(&other)).expected(expected));
                Vec::new()
            }
        };
        let mut list = Vec::with_capacity(items.len());
        for node in items {
            note(&node);
            let at = node.at;
            if let Some(finding) = too_deep(&node) {
                self.push(finding);
                continue;
            }
            match T::deserialize(Decoder { node, context: self }) {
                Ok(value) => list.push(value),
                Err(error) => self.push(error.into_finding(key, at)),
            }
        }
        list
    }

    /// Reports the keys that `known` does not have, and takes them out.
    fn keep_known(&self, place: &str, known: &[&str], entries: &mut Vec<(Key<'_>, Node<'_>)>) {
        entries.retain(|(key, _)| {
            let text = key.text.as_ref();
            if known.contains(&text) {
                return true;
            }
            let table = table_name(place);
            let finding = if is_not_yet(place, text) {
                not_yet(text, Some(key.at), &format!("key in {table}"))
            } else {
                let message = format!("unknown key in {table}");
                let instead = INSTEAD.iter().find(|(at, word, _)| (*at, *word) == (place, text));
                let expected = instead.map_or_else(|| suggestion(text, known), |(.., words)| (*words).to_owned());
                Finding::new(Code::UnknownKey, Some(key.at), message).found(quoted(text)).expected(expected)
            };
            self.push(finding);
            false
        });
    }
}

/// The refusal of a word that is designed and not built.
fn not_yet(word: &str, at: Option<u32>, what: &str) -> Finding {
    let message = format!("`{word}` is a {what} that this version has not built yet");
    Finding::new(Code::NotYet, at, message)
}

fn too_deep(task: &Node<'_>) -> Option<Finding> {
    let (key, input) = entry(task, "input")?;
    let depth = input.depth();
    (depth > MAX_INPUT_DEPTH).then(|| {
        Finding::new(Code::TooDeep, Some(key.at), "`input` is nested too deeply")
            .found(format!("{depth} levels"))
            .expected(format!("at most {MAX_INPUT_DEPTH}"))
    })
}

/// A value in words, for "found …".
fn describe(value: &Value<'_>) -> String {
    match value {
        Value::Null => "nothing (null)".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => format!("the number {value}"),
        Value::UInt(value) => format!("the number {value}"),
        Value::Float(value) => format!("the number {value}"),
        Value::Text(text) => format!("the string {}", quoted(text)),
        Value::Date(date) => format!("the date {date}"),
        Value::List(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

/// What serde expected, in the words of a swarm file.
fn expectation(expected: &str) -> String {
    match expected {
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "u64" | "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a string (in quotes)".to_owned(),
        other => match other.strip_prefix("struct ") {
            Some(_) => "a table".to_owned(),
            None => other.to_owned(),
        },
    }
}

fn unexpected(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("the string {}", quoted(text)),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unit | Unexpected::Option => "nothing (null)".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// A problem on its way out of the model's description.
#[derive(Debug)]
pub(super) struct DecodeError {
    code: Code,
    at: Option<u32>,
    key: Option<String>,
    message: Option<String>,
    found: String,
    expected: String,
}

impl DecodeError {
    fn new(code: Code, found: String, expected: String) -> Self {
        Self { code, at: None, key: None, message: None, found, expected }
    }

    fn wrong_type(value: &Value<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expectation(&expected.to_string());
        Self::new(Code::WrongType, describe(value), expected)
    }

    fn at(mut self, at: u32) -> Self {
        self.at.get_or_insert(at);
        self
    }

    fn into_finding(self, outer: &Key<'_>, at: u32) -> Finding {
        let key = self.key.as_deref().unwrap_or(&outer.text);
        let message = self.message.unwrap_or_else(|| match self.code {
            Code::WrongType => format!("wrong type for `{key}`"),
            Code::MissingKey => format!("a key is missing in {}", table_of(&outer.text)),
            Code::UnknownWord => format!("unknown word for `{key}`"),
            Code::PriorityOutOfRange => "priority out of range".to_owned(),
            Code::InvalidDuration => format!("not a duration in `{key}`"),
            _ => format!("value not allowed for `{key}`"),
        });
        Finding::new(self.code, Some(self.at.unwrap_or(at)), message).found(self.found).expected(self.expected)
    }
}

impl Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found {}, expected {}", self.found, self.expected)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: Display>(message: T) -> Self {
        let mut error = Self::new(Code::InvalidValue, String::new(), String::new());
        error.message = Some(message.to_string());
        error
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expectation(&expected.to_string());
        Self::new(Code::WrongType, unexpected(&found), expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let code = match expected.as_str() {
            timespan::EXPECTED => Code::InvalidDuration,
            EXPECTED_PRIORITY => Code::PriorityOutOfRange,
            _ => Code::OutOfRange,
        };
        Self::new(code, unexpected(&found), expectation(&expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Code::MissingKey, String::new(), format!("`{field}`"))
    }
}

/// Gives one node to the model's description.
struct Decoder<'t, 'c> {
    node: Node<'t>,
    context: &'c Context,
}

impl<'t> Deserializer<'t> for Decoder<'t, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let (at, context) = (self.node.at, self.context);
        let result = match self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Int(value) => visitor.visit_i64(value),
            Value::UInt(value) => visitor.visit_u64(value),
            Value::Float(value) if !value.is_finite() => {
                Err(DecodeError::new(Code::InvalidValue, format!("the number {value}"), "a finite number".to_owned()))
            }
            Value::Float(value) => visitor.visit_f64(value),
            Value::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Value::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Value::Date(text) => visitor.visit_string(text),
            Value::List(items) => visitor.visit_seq(Items { items: items.into_iter(), context }),
            Value::Table(entries) => visitor.visit_map(Entries::new(entries, context)),
        };
        result.map_err(|error| error.at(at))
    }

    /// TOML dates are strings only where any value may stand.
    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if let Value::Date(_) = self.node.value {
            let error = DecodeError::wrong_type(&self.node.value, &visitor);
            return Err(error.at(self.node.at));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let (at, context) = (self.node.at, self.context);
        let Value::Table(mut entries) = self.node.value else {
            return Err(DecodeError::wrong_type(&self.node.value, &visitor).at(at));
        };
        context.keep_known(name, fields, &mut entries);
        let result = visitor.visit_map(Entries::new(entries, context));
        result.map_err(|error| error.at(at))
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let at = self.node.at;
        let Value::Text(word) = &self.node.value else {
            let found = describe(&self.node.value);
            let expected = suggestion("", variants);
            return Err(DecodeError::new(Code::WrongType, found, expected).at(at));
        };
        if let Some(word) = variants.iter().find(|variant| *variant == word) {
            return visitor.visit_enum(BorrowedStrDeserializer::new(word));
        }
        let mut error = DecodeError::new(Code::UnknownWord, quoted(word), suggestion(word, variants));
        if is_not_yet(name, word) {
            let finding = not_yet(word, None, "word");
            error = DecodeError::new(Code::NotYet, String::new(), suggestion("", variants));
            error.message = Some(finding.message);
        }
        Err(error.at(at))
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'t, 'c> {
    items: std::vec::IntoIter<Node<'t>>,
    context: &'c Context,
}

impl<'t> de::SeqAccess<'t> for Items<'t, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.items.next() else {
            return Ok(None);
        };
        let context = self.context;
        seed.deserialize(Decoder { node, context }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'t, 'c> {
    entries: std::vec::IntoIter<(Key<'t>, Node<'t>)>,
    value: Option<(Key<'t>, Node<'t>)>,
    context: &'c Context,
}

impl<'t, 'c> Entries<'t, 'c> {
    fn new(entries: Vec<(Key<'t>, Node<'t>)>, context: &'c Context) -> Self {
        Self { entries: entries.into_iter(), value: None, context }
    }
}

impl<'t> de::MapAccess<'t> for Entries<'t, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, node)) = self.entries.next() else {
            return Ok(None);
        };
        let text = key.text.clone();
        self.value = Some((key, node));
        match text {
            Cow::Borrowed(text) => seed.deserialize(BorrowedStrDeserializer::new(text)),
            Cow::Owned(text) => seed.deserialize(StringDeserializer::new(text)),
        }
        .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let context = self.context;
        let Some((key, node)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let at = node.at;
        seed.deserialize(Decoder { node, context }).map_err(|mut error| {
            error.key.get_or_insert_with(|| key.text.into_owned());
            error.at(at)
        })
    }
}
