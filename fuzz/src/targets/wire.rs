//! What comes over sockets and HTTP.

use crate::reader::Reader;
use bytes::Bytes;
use meshwork::endpoint::{ErrorBody, TASKS_BYTES, parse_tasks};
use meshwork::file::MAX_TIMEOUT_MS;
use meshwork::fuzzing::{self, Read};
use meshwork::view::EventRow;
use meshwork_core::{Payload, TaskSpec};

/// A refusal that has a name and a sentence, and changed nothing.
fn refused(error: &ErrorBody) {
    assert!(error.code.starts_with(|first: char| first.is_ascii_uppercase()), "{error:?}");
    assert!(error.message.len() > 10 && !error.state_changed, "{error:?}");
}

/// Tasks that were read keep to what a request may ask for.
fn specs(tasks: &[TaskSpec]) {
    assert!(tasks.len() <= 1_000_000);
    for task in tasks {
        assert!(task.timeout_ms.is_none_or(|ms| (1..=MAX_TIMEOUT_MS).contains(&ms)), "{task:?}");
        assert!(task.run.as_ref().is_none_or(|line| !line.contains('\0')), "{task:?}");
        assert!(task.verify.as_ref().is_none_or(|verify| verify.run.is_some() || !verify.artifacts.is_empty()));
        if let Some(Payload::Json(text)) = &task.input {
            serde_json::from_str::<&serde_json::value::RawValue>(text).expect("an input is JSON");
        }
    }
}

/// JSON that was handed over as it is may be spread over lines; what is sent is not.
fn on_one_line(mut task: TaskSpec) -> TaskSpec {
    if let Some(Payload::Json(text)) = &mut task.input {
        *text = text.replace(['\n', '\r'], " ");
    }
    task
}

/// A line that a command sends to a node.
pub(super) fn control_request(data: &[u8]) {
    match fuzzing::control_request(data) {
        Ok((line, tasks)) => {
            specs(&tasks);
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "a request is one line");
            let (same, again) = fuzzing::control_request(&line).expect("what was written can be read");
            assert_eq!(same, line, "what was written is written so again");
            assert_eq!(again, tasks.into_iter().map(on_one_line).collect::<Vec<_>>(), "it asks for the same");
        }
        Err(error) => refused(&error),
    }
}

/// A line that a node answers.
pub(super) fn control_answer(data: &[u8]) {
    if let Some(line) = fuzzing::control_answer(data) {
        assert_eq!(fuzzing::control_answer(&line).as_ref(), Some(&line));
        assert!(line.ends_with(b"\n"));
    }
}

/// The body of a tool call: the first byte says which verb.
pub(super) fn tool_call(data: &[u8]) {
    let mut reader = Reader::new(data);
    let verb = reader.pick(fuzzing::verbs());
    let body = reader.rest();
    match fuzzing::verb_body(verb, body) {
        Ok(Read::Tasks(tasks)) => {
            assert!((1..=1_000).contains(&tasks.len()), "between one task and the limit");
            assert_eq!(parse_tasks(body).map(|tasks| tasks.len()), Ok(tasks.len()));
            specs(&tasks);
        }
        Ok(Read::Artifact { content, .. }) => assert!(content.len() <= body.len()),
        Ok(Read::Other) => {}
        Err(error) => refused(&error),
    }
}

/// A request's body as it comes: in pieces, with what its headers say of it, and never more than the limit.
pub(super) fn http_body(data: &[u8]) {
    let mut reader = Reader::new(data);
    let most = reader.below(200) * 8;
    let length = reader.chance(50).then(|| reader.number());
    let encoding = reader.pick(&[None, None, None, Some("identity"), Some("gzip"), Some("br"), Some("\u{7f}")]);
    let pieces: Vec<Bytes> =
        std::iter::from_fn(|| (!reader.is_empty()).then(|| reader.part().to_vec().into())).collect();
    let all: Vec<u8> = pieces.concat();
    match fuzzing::read_body(pieces, length, encoding, most) {
        Ok(read) => {
            assert!(read.len() <= most);
            assert_eq!(read, all, "all of it, in order");
        }
        Err(error) => {
            refused(&error);
            let announced = length.is_some_and(|length| length > most as u64);
            let packed = encoding.is_some_and(|encoding| encoding != "identity");
            assert!(announced || packed || all.len() > most, "{error:?} without a reason");
        }
    }
    assert!(most <= TASKS_BYTES);
}

/// The query of an upload, and base64.
pub(super) fn upload_query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match fuzzing::key_of_query(&text) {
        Ok(key) => {
            let coded: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
            assert_eq!(fuzzing::key_of_query(&format!("key={coded}")).ok(), Some(key));
        }
        Err(error) => refused(&error),
    }
    let (coded, back) = fuzzing::base64(data);
    assert_eq!(back.as_deref(), Some(data), "{coded}");
    if let Some((_, again)) = fuzzing::from_base64(&text) {
        assert_eq!(again, *text, "one text for the same bytes");
    }
}

/// A letter as a mailbox has it.
pub(super) fn letter(data: &[u8]) {
    if let Some(kept) = fuzzing::letter(data) {
        assert_eq!(fuzzing::letter(&kept).as_ref(), Some(&kept), "what was read is kept and read again");
    }
}

/// An event as it is printed for programs, and for people.
pub(super) fn event_row(data: &[u8]) {
    let Ok(row) = serde_json::from_slice::<EventRow>(data) else { return };
    let written = serde_json::to_string(&row).expect("an event can be written");
    let again: EventRow = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(again, row);
    let line = row.to_string();
    assert!(!line.contains(|char: char| char.is_control()), "a line for people moves no cursor: {line:?}");
}
