//! What an entry is found by: tokens of one full-text index, which answers every condition at once.
//!
//! A *key* is a condition that holds or not (a tag, an author, who may read it); a *word* comes out of the content or
//! the tags. Both are made here, of letters and digits alone, so that nothing a user writes is ever read as a query.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::memory::{EntryKind, EntryMetadata, MemoryEntry, MemoryQuery, ShareLevel};

/// Begins every key. It is for private use and no letter, so no word has it.
const MARK: char = '\u{E000}';
/// What is longer, in bytes, is found by its hash: the index cuts tokens at 32 KiB, and long ones fill it.
const LONG: usize = 64;

/// The tokens of an entry of a swarm, each once, with a space between.
pub(super) fn of(swarm: &str, entry: &MemoryEntry) -> String {
    let EntryMetadata { task_id, objective_id, tags, share_level, .. } = &entry.metadata;
    let level = share_level.unwrap_or_default();
    let mut tokens = BTreeSet::from([
        key('s', &[swarm]),
        key('a', &[&entry.agent_id]),
        kind(entry.kind),
        level_key(level),
        match level {
            ShareLevel::Private => private(swarm, &entry.agent_id),
            ShareLevel::Team => team(swarm),
            ShareLevel::Public => public(),
        },
    ]);
    tokens.extend(task_id.as_ref().map(|id| key('t', &[id])));
    tokens.extend(objective_id.as_ref().map(|id| key('o', &[id])));
    for tag in tags.iter().flatten() {
        tokens.insert(key('g', &[tag]));
        words(tag, &mut tokens);
    }
    words_of(&entry.content, &mut tokens);
    let tokens: Vec<String> = tokens.into_iter().collect();
    tokens.join(" ")
}

/// The tokens that an entry must have to be found.
#[derive(Debug)]
pub(super) struct Wanted {
    /// All of these.
    pub(super) all: BTreeSet<String>,
    /// One of these: who asks may read it.
    pub(super) one: Vec<String>,
    /// Nothing can be found: the text has no word.
    pub(super) nothing: bool,
}

impl Wanted {
    pub(super) fn of(swarm: &str, query: &MemoryQuery) -> Self {
        let mut all = BTreeSet::new();
        all.extend(query.agent_id.as_ref().map(|id| key('a', &[id])));
        all.extend(query.kind.map(kind));
        all.extend(query.task_id.as_ref().map(|id| key('t', &[id])));
        all.extend(query.objective_id.as_ref().map(|id| key('o', &[id])));
        all.extend(query.share_level.map(level_key));
        all.extend(query.tags.iter().flatten().map(|tag| key('g', &[tag])));
        let keys = all.len();
        let text = query.text.as_deref().unwrap_or_default();
        words(text, &mut all);
        let nothing = !text.trim().is_empty() && all.len() == keys;
        let one = match &query.requester_id {
            Some(requester) => vec![public(), team(swarm), private(swarm, requester)],
            None => vec![public(), key('s', &[swarm])],
        };
        Self { all, one, nothing }
    }

    /// In the words of the index, where a quoted string is nothing but itself.
    pub(super) fn expression(&self) -> String {
        let quoted = |token: &String| format!("\"{token}\"");
        let one: Vec<String> = self.one.iter().map(quoted).collect();
        let mut terms: Vec<String> = self.all.iter().map(quoted).collect();
        terms.push(format!("({})", one.join(" OR ")));
        terms.join(" AND ")
    }
}

fn kind(kind: EntryKind) -> String {
    key('k', &[kind.word()])
}

fn level_key(level: ShareLevel) -> String {
    key('l', &[level.word()])
}

fn public() -> String {
    key('p', &[])
}

fn team(swarm: &str) -> String {
    key('q', &[swarm])
}

fn private(swarm: &str, author: &str) -> String {
    key('r', &[swarm, author])
}

/// A key: its sort and the bytes of its values, which no two lists of values share.
fn key(sort: char, values: &[&str]) -> String {
    let mut key = format!("{MARK}{sort}");
    for value in values {
        if value.len() > LONG {
            key.push_str(&format!("h{}", blake3::hash(value.as_bytes()).to_hex()));
        } else {
            key.push('x');
            value.bytes().for_each(|byte| key.push_str(&format!("{byte:02x}")));
        }
    }
    key
}

/// Words are runs of letters and digits of any script; upper and lower case are one.
fn words(text: &str, into: &mut BTreeSet<String>) {
    let runs = text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty());
    into.extend(runs.map(|run| match run.to_lowercase() {
        word if word.len() > LONG => format!("{MARK}w{}", blake3::hash(word.as_bytes()).to_hex()),
        word => word,
    }));
}

/// The words of a JSON value: of its strings, numbers and truth values, and of the names of its fields.
fn words_of(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Null => {}
        Value::Bool(value) => words(if *value { "true" } else { "false" }, into),
        Value::Number(number) => words(&number.to_string(), into),
        Value::String(text) => words(text, into),
        Value::Array(values) => values.iter().for_each(|value| words_of(value, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            words(name, into);
            words_of(value, into);
        }),
    }
}
