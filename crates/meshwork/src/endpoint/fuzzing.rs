//! What requests hold, without a node that would do it: for the fuzz targets.

use super::{ErrorBody, Failure, TaskRequest, artifacts, base64, messages, request, task_request, tasks, verbs};
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use meshwork_core::TaskSpec;

fn body(failure: Failure) -> ErrorBody {
    failure.body
}

/// The verbs, sorted.
pub(crate) fn known_verbs() -> &'static [&'static str] {
    verbs::KNOWN
}

/// Reads a body as the verb's handler does; the tasks or the artifact that it holds.
pub(crate) fn verb_body(verb: &str, bytes: &[u8]) -> Result<Read, ErrorBody> {
    let read = |done: Result<(), Failure>| done.map(|()| Read::Other).map_err(body);
    match verb {
        "submit_task" => task_specs(task_request::parse(bytes).map_err(body)?).map(Read::Tasks),
        "put_artifact" => {
            let put: artifacts::Put = request::json(bytes).map_err(body)?;
            let content = artifacts::content_of(put.text, put.base64).map_err(body)?;
            Ok(Read::Artifact { key: put.key, content })
        }
        "wait_for_tasks" => read(request::json::<tasks::Wait>(bytes).map(drop)),
        "find_peers" => read(request::json::<verbs::FindPeers>(bytes).map(drop)),
        "send_message" => read(request::json::<messages::Send>(bytes).map(drop)),
        "broadcast" => read(request::json::<messages::Broadcast>(bytes).map(drop)),
        "read_messages" => read(request::json::<messages::Read>(bytes).map(drop)),
        "get_artifact" => read(request::json::<artifacts::Get>(bytes).map(drop)),
        "list_artifacts" => read(request::json::<artifacts::List>(bytes).map(drop)),
        "report_progress" => read(request::json::<verbs::Progress>(bytes).map(drop)),
        "report_usage" => read(request::json::<verbs::Usage>(bytes).map(drop)),
        _ => read(request::json::<verbs::Empty>(bytes).map(drop)),
    }
}

/// What a body held.
#[derive(Debug)]
pub enum Read {
    /// Tasks, as the log would have them.
    Tasks(Vec<TaskSpec>),
    /// An artifact.
    Artifact {
        /// Its key, not judged yet.
        key: String,
        /// Its content.
        content: Bytes,
    },
    /// Anything else.
    Other,
}

/// The tasks as the log has them, with ids made for those that have none.
pub(crate) fn task_specs(tasks: Vec<TaskRequest>) -> Result<Vec<TaskSpec>, ErrorBody> {
    let missing = tasks.iter().filter(|task| task.id.is_none()).count();
    let ids = (1..=missing).map(|number| format!("made/{number}")).collect();
    task_request::into_specs(tasks, ids).map_err(body)
}

/// A body that comes in pieces, with what its headers say of it, read up to `most` bytes.
pub(crate) fn read(
    pieces: Vec<Bytes>,
    length: Option<u64>,
    encoding: Option<&str>,
    most: usize,
) -> Result<Bytes, ErrorBody> {
    let mut headers = HeaderMap::new();
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if let Some(encoding) = encoding.and_then(|text| text.parse().ok()) {
        headers.insert(CONTENT_ENCODING, encoding);
    }
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, std::convert::Infallible>));
    let read = request::read(&headers, Body::from_stream(pieces), most).now_or_never();
    read.expect("all of it is there").map_err(body)
}

/// The key in a query.
pub(crate) fn key_of(query: &str) -> Result<String, ErrorBody> {
    artifacts::key_of(query).map_err(body)
}

/// Bytes as text, and back.
pub(crate) fn base64(bytes: &[u8]) -> (String, Option<Vec<u8>>) {
    let text = base64::encode(bytes);
    let back = base64::decode(&text);
    (text, back)
}

/// The bytes that a text stands for, and the text that is written for them.
pub(crate) fn from_base64(text: &str) -> Option<(Vec<u8>, String)> {
    let bytes = base64::decode(text)?;
    let text = base64::encode(&bytes);
    Some((bytes, text))
}
