//! One attempt from its start to its report: a conversation with one agent, so an `async fn`.

use super::agent::{Agent, Attempt, AttemptEnd, Output};
use super::driver::Event;
use super::{INLINE_BYTES, MeshError};
use crate::artifacts::Artifacts;
use crate::failpoint::{self, Point};
use crate::review::{Vote, vote_of};
use futures_util::FutureExt;
use meshwork_core::node::BodyEnd;
use meshwork_core::{AttemptOutcome, Payload};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

/// What an error text may have; the log is not a place for core dumps.
const ERROR_BYTES: usize = 4 << 10;
/// What is read of an output that is a file, in order to find a vote at its end: a reason is no essay.
const VOTE_BYTES: u64 = 64 << 10;

/// Runs the attempt and reports its end. Reports in every case, whatever the agent does.
pub(super) async fn run(
    agent: Arc<dyn Agent>,
    attempt: Attempt,
    started_ms: u64,
    events: mpsc::UnboundedSender<Event>,
) {
    let (task, grant, number) = (attempt.task, attempt.grant, attempt.number);
    let artifacts = attempt.tools.artifacts().clone();
    // The number is for people: it starts again with the task's next generation, and an interruption keeps it. The
    // grant never comes again, so no attempt overwrites what another's `Return` names.
    let key = format!("results/{}/{number}-{:x}", safe_key(&attempt.spec().id), grant.as_u64());
    let is_review = attempt.spec.is_review();
    let started = Instant::now();
    let body = AssertUnwindSafe(async move { agent.run(attempt).await });
    let end = body.catch_unwind().await.unwrap_or_else(|panic| AttemptEnd::failed(panic_text(&*panic)));
    let ran_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let AttemptEnd { mut outcome, output, mut error, usage } = end;
    if is_review && outcome == Some(AttemptOutcome::Ok) {
        (outcome, error) = voted(&output).await;
    }
    failpoint::reach(Point::Result);
    let result = match keep(output, &key, &artifacts).await {
        Ok(result) => result,
        Err(failed) => {
            outcome = outcome.map(|_| AttemptOutcome::Failed);
            error = Some(format!("the result could not be kept: {failed}"));
            None
        }
    };
    failpoint::reach(Point::ResultKept);
    let error = error.map(|text| cut(text, ERROR_BYTES));
    let end = BodyEnd { task, grant, outcome, result, error, usage, started_ms, ran_ms, messages_open: false };
    // A driver that is gone has no use for it: the log says that the attempt was interrupted.
    let _gone = events.send(Event::BodyEnded(end));
}

/// How a review that ended ok has voted, and why it does not approve.
async fn voted(output: &Output) -> (Option<AttemptOutcome>, Option<String>) {
    let vote = match output {
        Output::None => Ok(Vote::Approve),
        Output::Json(text) => Ok(vote_of(text.as_bytes())),
        Output::Bytes(bytes) => Ok(vote_of(bytes)),
        Output::File(path) => end_of(path).await.map(|end| vote_of(&end)).map_err(|error| unreadable(path, error)),
    };
    match vote {
        Ok(Vote::Approve) => (Some(AttemptOutcome::Ok), None),
        Ok(Vote::Reject(why)) => (Some(AttemptOutcome::Rejected), why),
        Ok(Vote::Unclear(why)) => (Some(AttemptOutcome::Failed), Some(why)),
        Err(error) => (Some(AttemptOutcome::Failed), Some(format!("its vote could not be read: {error}"))),
    }
}

/// The last line of a long text, from whose end on a vote may be told.
async fn end_of(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut file = tokio::fs::File::open(path).await?;
    let bytes = file.metadata().await?.len();
    file.seek(std::io::SeekFrom::Start(bytes.saturating_sub(VOTE_BYTES))).await?;
    let mut end = Vec::new();
    file.take(VOTE_BYTES).read_to_end(&mut end).await?;
    Ok(end)
}

/// The result as the log holds it. Larger ones become artifacts; files are streamed, never read whole.
async fn keep(output: Output, key: &str, artifacts: &Arc<dyn Artifacts>) -> Result<Option<Payload>, MeshError> {
    let text = match output {
        Output::None => return Ok(None),
        Output::Json(text) => text,
        Output::Bytes(bytes) => as_json(&bytes),
        Output::File(path) => {
            let file = tokio::fs::File::open(&path).await.map_err(|e| unreadable(&path, e))?;
            let bytes = file.metadata().await.map_err(|e| unreadable(&path, e))?.len();
            let stored = artifacts.store_stream(key, Box::pin(file)).await;
            // It is in the store now, or lost with its attempt: on a full disk it must not stay either. A file that
            // cannot be removed is swept with its folder.
            let _left_behind = tokio::fs::remove_file(&path).await;
            stored?;
            return Ok(Some(Payload::Artifact { key: key.to_owned(), bytes }));
        }
    };
    if text.len() <= INLINE_BYTES {
        return Ok(Some(Payload::Json(text)));
    }
    let bytes = text.len() as u64;
    artifacts.store(key, text.into()).await?;
    Ok(Some(Payload::Artifact { key: key.to_owned(), bytes }))
}

fn unreadable(path: &std::path::Path, error: std::io::Error) -> MeshError {
    MeshError::Output { path: path.to_path_buf(), error: Arc::new(error) }
}

/// Output that is JSON as JSON, anything else as a string; nothing but white space is nothing said.
pub(super) fn as_json(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let trimmed = text.trim();
    match serde_json::from_str::<&serde_json::value::RawValue>(trimmed) {
        Ok(json) => json.get().to_owned(),
        Err(_) => serde_json::Value::String(text.trim_end_matches('\n').to_owned()).to_string(),
    }
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the agent panicked: {}", text.unwrap_or("no message"))
}

/// The end of a text that is too long.
pub(super) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut start = text.len() - most;
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text = format!("…{}", &text[start..]);
    }
    text
}

/// A task id as one component of an artifact key.
fn safe_key(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if id.chars().all(plain) && !id.starts_with(['.', '-']) {
        return id.to_owned();
    }
    format!("id-{}", blake3::hash(id.as_bytes()).to_hex())
}
