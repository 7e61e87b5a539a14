//! What somebody wants to remember, checked: it comes from agents, and from programs in other languages.

use serde_json::{Map, Value};

use super::{EntryKind, EntryMetadata, MemoryError, ShareLevel};
use crate::file::check_id;
use crate::peers::PeerState;

/// Values may be so deep: the JSON reader takes 128 levels, and an entry has to come back.
pub(super) const DEPTH_MAX: usize = 100;

fn invalid(field: &'static str, found: impl Into<String>, expected: impl Into<String>) -> MemoryError {
    MemoryError::Invalid { field, found: found.into(), expected: expected.into() }
}

/// An id of an agent or a swarm follows the rule for all names.
pub(super) fn id(field: &'static str, id: &str) -> Result<(), MemoryError> {
    let expected = "1 to 256 bytes of printable text without a leading dash";
    check_id(id).map_err(|_| invalid(field, shown(id), expected))
}

/// At most so much of what somebody else wrote gets into a message.
fn shown(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?} and {} bytes more", &text[..end], text.len() - end),
        None => format!("{text:?}"),
    }
}

/// One of the five words.
pub(super) fn kind(word: &str) -> Result<EntryKind, MemoryError> {
    let kind = EntryKind::ALL.into_iter().find(|kind| kind.word() == word);
    kind.ok_or_else(|| invalid("type", shown(word), "one of knowledge, result, state, communication, error"))
}

/// Nothing, or an object whose known fields are of their types. Fields that nobody knows are kept.
pub(super) fn metadata(value: Option<Value>) -> Result<EntryMetadata, MemoryError> {
    let mut given = match value {
        None | Some(Value::Null) => return Ok(EntryMetadata::default()),
        Some(Value::Object(given)) => given,
        Some(other) => return Err(invalid("metadata", sort_of(&other), "an object")),
    };
    for field in ["metadata.originalId", "metadata.sharedFrom", "metadata.sharedTo", "metadata.sharedAt"] {
        if let Some(value) = take(&mut given, field) {
            return Err(invalid(field, sort_of(&value), "nothing: the memory sets it when an entry is shared"));
        }
    }
    Ok(EntryMetadata {
        task_id: text(&mut given, "metadata.taskId")?,
        objective_id: text(&mut given, "metadata.objectiveId")?,
        tags: tags(&mut given)?,
        priority: priority(&mut given)?,
        share_level: share_level(&mut given)?,
        extra: given,
        ..EntryMetadata::default()
    })
}

/// The field's value; `null` is none.
fn take(given: &mut Map<String, Value>, field: &'static str) -> Option<Value> {
    let key = field.rsplit('.').next().unwrap_or(field);
    given.shift_remove(key).filter(|value| !value.is_null())
}

fn text(given: &mut Map<String, Value>, field: &'static str) -> Result<Option<String>, MemoryError> {
    match take(given, field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(field, sort_of(&other), "a string")),
    }
}

fn tags(given: &mut Map<String, Value>) -> Result<Option<Vec<String>>, MemoryError> {
    let field = "metadata.tags";
    let wrong = |found: String| invalid(field, found, "an array of strings");
    match take(given, field) {
        None => Ok(None),
        Some(Value::Array(values)) => {
            let tag = |value| match value {
                Value::String(tag) => Ok(tag),
                other => Err(wrong(format!("an array with {}", sort_of(&other)))),
            };
            values.into_iter().map(tag).collect::<Result<_, _>>().map(Some)
        }
        Some(other) => Err(wrong(sort_of(&other))),
    }
}

fn priority(given: &mut Map<String, Value>) -> Result<Option<f64>, MemoryError> {
    let field = "metadata.priority";
    match take(given, field) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| invalid(field, sort_of(&value), "a number")),
    }
}

fn share_level(given: &mut Map<String, Value>) -> Result<Option<ShareLevel>, MemoryError> {
    let Some(word) = text(given, "metadata.shareLevel")? else { return Ok(None) };
    let level = ShareLevel::ALL.into_iter().find(|level| level.word() == word);
    level.map(Some).ok_or_else(|| invalid("metadata.shareLevel", shown(&word), "one of private, team, public"))
}

/// What a value is, without showing it.
fn sort_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the string {}", shown(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Refuses what could not be read back. Without recursion, because it may be deep.
pub(super) fn depth<'a>(field: &'static str, values: impl IntoIterator<Item = &'a Value>) -> Result<(), MemoryError> {
    let mut open: Vec<(usize, &Value)> = values.into_iter().map(|value| (1, value)).collect();
    while let Some((level, value)) = open.pop() {
        if level > DEPTH_MAX {
            return Err(invalid(field, "nested deeper", format!("at most {DEPTH_MAX} levels")));
        }
        match value {
            Value::Array(values) => open.extend(values.iter().map(|value| (level + 1, value))),
            Value::Object(fields) => open.extend(fields.values().map(|value| (level + 1, value))),
            _ => {}
        }
    }
    Ok(())
}

/// A load is a number of tasks, or parts of one.
pub(super) fn load(field: &'static str, load: f64) -> Result<(), MemoryError> {
    if load.is_finite() && load >= 0.0 {
        return Ok(());
    }
    Err(invalid(field, load.to_string(), "a number that is not below 0"))
}

/// What a peer says of itself, and of nobody else.
pub(super) fn peer_state(peer_id: &str, state: &PeerState) -> Result<(), MemoryError> {
    id("peerId", peer_id)?;
    if state.peer_id != peer_id {
        return Err(invalid("state.peerId", shown(&state.peer_id), format!("{peer_id:?}")));
    }
    load("state.load", state.load)?;
    load("state.metrics.successRate", state.metrics.success_rate)?;
    load("state.metrics.averageResponseTime", state.metrics.average_response_time)
}
