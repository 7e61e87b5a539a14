//! A way in for the fuzz targets to decoders that are nobody else's business. Behind the feature `fuzzing`; nothing
//! outside `fuzz/` may rely on it.

use crate::control::{Answer, Request, line};
use crate::endpoint::{ErrorBody, fuzzing as endpoint, json};
use crate::log::Letter;
use bytes::Bytes;
use meshwork_core::TaskSpec;

pub use crate::endpoint::fuzzing::Read;

/// A line as the control socket reads it, written again; with the tasks that it asks for.
///
/// # Errors
/// What the asker is told.
pub fn control_request(text: &[u8]) -> Result<(Vec<u8>, Vec<TaskSpec>), ErrorBody> {
    let request = json::<Request>(text).map_err(|failure| failure.body)?;
    let again = line(&request).expect("what was read can be written");
    let tasks = match request {
        Request::Submit { tasks } => endpoint::task_specs(tasks)?,
        _ => Vec::new(),
    };
    Ok((again, tasks))
}

/// A line as a command reads the node's answer, written again.
pub fn control_answer(text: &[u8]) -> Option<Vec<u8>> {
    let answer: Answer = serde_json::from_slice(text).ok()?;
    Some(line(&answer).expect("what was read can be written"))
}

/// The verbs of the tool endpoint, sorted.
#[must_use]
pub fn verbs() -> &'static [&'static str] {
    endpoint::known_verbs()
}

/// What the body of a verb holds.
///
/// # Errors
/// What the attempt is told.
pub fn verb_body(verb: &str, body: &[u8]) -> Result<Read, ErrorBody> {
    endpoint::verb_body(verb, body)
}

/// A body that comes in pieces, with what its headers say of it, read up to `most` bytes.
///
/// # Errors
/// What the attempt is told.
pub fn read_body(
    pieces: Vec<Bytes>,
    length: Option<u64>,
    encoding: Option<&str>,
    most: usize,
) -> Result<Bytes, ErrorBody> {
    endpoint::read(pieces, length, encoding, most)
}

/// The artifact key in the query of an upload.
///
/// # Errors
/// What the attempt is told.
pub fn key_of_query(query: &str) -> Result<String, ErrorBody> {
    endpoint::key_of(query)
}

/// Bytes as base64, and back.
#[must_use]
pub fn base64(bytes: &[u8]) -> (String, Option<Vec<u8>>) {
    endpoint::base64(bytes)
}

/// The bytes that a base64 text stands for, and the text that is written for them.
#[must_use]
pub fn from_base64(text: &str) -> Option<(Vec<u8>, String)> {
    endpoint::from_base64(text)
}

/// A letter of a mailbox as a message, kept again.
#[must_use]
pub fn letter(bytes: &[u8]) -> Option<Vec<u8>> {
    let letter = Letter { number: 1, id: "id".to_owned(), bytes: Bytes::copy_from_slice(bytes) };
    crate::mail::kept_again(&letter)
}

/// A result as the log holds it: JSON as it is, anything else as a string.
#[must_use]
pub fn as_json(output: &[u8]) -> String {
    crate::mesh::output_as_json(output)
}

/// What is kept of standard error that comes in pieces.
#[must_use]
pub fn stderr_tail(pieces: &[&[u8]], most: usize) -> String {
    crate::process::fuzzing::stderr_tail(pieces, most)
}

/// The parent of a process, out of its line in `/proc`.
#[must_use]
pub fn parent_of(stat: &str) -> Option<i32> {
    crate::process::fuzzing::parent_of(stat)
}

/// The swarm's and the attempt's part of a mark, out of a process's environment.
#[must_use]
pub fn mark_of(environment: &[u8]) -> Option<(&str, &str)> {
    crate::process::fuzzing::mark_of(environment)
}
