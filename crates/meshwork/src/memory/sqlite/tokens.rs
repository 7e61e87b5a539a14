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
    let mut tokens = BTreeSet::from([every(), key('a', &[&entry.agent_id]), kind(entry.kind), level_key(level)]);
    if level == ShareLevel::Private {
        tokens.insert(private_to(swarm, &entry.agent_id));
    }
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
    /// This one if it is private: then it is private to who asks. `None`: that does not matter.
    pub(super) own: Option<String>,
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
        if all.is_empty() {
            all.insert(every());
        }
        let own = query.requester_id.as_ref().map(|requester| private_to(swarm, requester));
        Self { all, own, nothing }
    }

    /// In the words of the index, where a quoted string is nothing but itself. Finds what is hidden too.
    pub(super) fn expression(&self) -> String {
        let all: Vec<String> = self.all.iter().map(|token| format!("\"{token}\"")).collect();
        all.join(" AND ")
    }

    /// The same without what is hidden from who asks: that is taken out of what is found, so that it costs as little as
    /// there is of it.
    pub(super) fn visible(&self) -> String {
        let all = self.expression();
        match &self.own {
            None => all,
            Some(own) => format!("({all}) NOT (\"{}\" NOT \"{own}\")", level_key(ShareLevel::Private)),
        }
    }
}

/// What every entry has.
fn every() -> String {
    key('e', &[])
}

fn kind(kind: EntryKind) -> String {
    key('k', &[kind.word()])
}

fn level_key(level: ShareLevel) -> String {
    key('l', &[level.word()])
}

fn private_to(swarm: &str, author: &str) -> String {
    key('p', &[swarm, author])
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
