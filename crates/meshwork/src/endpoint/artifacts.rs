//! Artifacts, small ones within JSON, large ones as they are.

use super::failure::Failure;
use super::request;
use super::session::Session;
use super::{base64, verbs};
use crate::artifacts::{ArtifactInfo, ByteStream};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use std::time::UNIX_EPOCH;
use tokio_util::io::{ReaderStream, StreamReader};

/// Bytes of a request or an answer that carries an artifact within JSON. Larger ones go as they are.
const JSON_BYTES: usize = 16 << 20;
/// Artifacts of one list.
const LISTED: usize = 10_000;
/// Where the node keeps the large inputs and results of tasks: an attempt that wrote there would forge them.
const OF_THE_NODE: [&str; 2] = ["inputs/", "results/"];

const RAW: &str = "application/octet-stream";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    key: String,
    size: u64,
    digest: String,
    stored_at: u64,
}

impl From<ArtifactInfo> for Stored {
    fn from(info: ArtifactInfo) -> Self {
        let since = info.stored.duration_since(UNIX_EPOCH).unwrap_or_default();
        let stored_at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { key: info.key, size: info.size, digest: info.digest, stored_at }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Put {
    pub(super) key: String,
    pub(super) text: Option<String>,
    pub(super) base64: Option<String>,
}

/// Stores an artifact: `{key, text | base64}`, or the bytes as they are with the key in the query.
pub(super) async fn put(session: &Session, parts: &Parts, body: Body) -> Result<Response, Failure> {
    session.check_present().await?;
    let artifacts = session.tools.artifacts();
    let info = if is_raw(parts, header::CONTENT_TYPE) {
        let key = key_of(parts.uri.query().unwrap_or_default())?;
        check_owner(&key)?;
        request::check_plain(&parts.headers)?;
        let stream = body.into_data_stream().map_err(std::io::Error::other);
        let content: ByteStream = Box::pin(StreamReader::new(stream));
        artifacts.store_stream(&key, content).await?
    } else if let Some(query) = parts.uri.query() {
        let message = format!("found the query {query:?} with JSON, expected the key in it or `Content-Type: {RAW}`");
        return Err(Failure::bad_request("BadRequest", format!("{message}; nothing was changed")));
    } else {
        let body = request::read(&parts.headers, body, JSON_BYTES).await?;
        let put: Put = request::json(&body)?;
        check_owner(&put.key)?;
        artifacts.store(&put.key, content_of(put.text, put.base64)?).await?
    };
    Ok(verbs::done(Stored::from(info)))
}

pub(super) fn content_of(text: Option<String>, base64: Option<String>) -> Result<Bytes, Failure> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into()),
        (None, Some(coded)) => base64::decode(&coded).map(Bytes::from).ok_or_else(|| {
            Failure::bad_request("BadBase64", "`base64` is not padded standard base64; nothing was changed")
        }),
        _ => Err(Failure::bad_request("BadRequest", "expected one of `text` and `base64`; nothing was changed")),
    }
}

fn check_owner(key: &str) -> Result<(), Failure> {
    if let Some(prefix) = OF_THE_NODE.into_iter().find(|prefix| key.starts_with(prefix)) {
        let message = format!("keys under {prefix} are the node's, found {key:?}; nothing was changed");
        return Err(Failure::new(StatusCode::CONFLICT, "ReservedKey", message));
    }
    Ok(())
}

fn is_raw(parts: &Parts, name: header::HeaderName) -> bool {
    let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(RAW)))
}

/// The key in a query that holds nothing else.
pub(super) fn key_of(query: &str) -> Result<String, Failure> {
    let coded = query.strip_prefix("key=").filter(|key| !key.contains('&'));
    coded.and_then(decode_percent).ok_or_else(|| {
        let message = format!("the query is {query:?}, expected `key=<the key, percent-encoded>`; nothing was changed");
        Failure::bad_request("BadRequest", message)
    })
}

fn decode_percent(coded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(coded.len());
    let mut rest = coded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Get {
    key: String,
}

#[derive(Serialize)]
struct Got {
    #[serde(flatten)]
    stored: Stored,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// An artifact: as JSON with `text` or `base64`, or with `Accept: application/octet-stream` as it is.
pub(super) async fn get(session: &Session, parts: &Parts, get: Get) -> Result<Response, Failure> {
    let artifacts = session.tools.artifacts();
    let opened = artifacts.open(&get.key).await?;
    if is_raw(parts, header::ACCEPT) {
        // One that turns out to be damaged ends before the length that is announced here: no client takes it for whole.
        let mut response = Response::new(Body::from_stream(ReaderStream::new(opened.content)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(RAW));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(opened.info.size));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        return Ok(response);
    }
    if opened.info.size > JSON_BYTES as u64 {
        let message = format!(
            "artifact {:?} has {} bytes, within JSON at most {JSON_BYTES}: ask for it with `Accept: {RAW}`",
            get.key, opened.info.size
        );
        return Err(verbs::not_acceptable(message));
    }
    drop(opened.content);
    let content = artifacts.retrieve(&get.key).await?;
    let (text, base64) = match std::str::from_utf8(&content) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(base64::encode(&content))),
    };
    Ok(verbs::done(Got { stored: opened.info.into(), text, base64 }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default)]
    prefix: String,
}

#[derive(Serialize)]
pub(super) struct Listed {
    artifacts: Vec<Stored>,
    /// There are more than are listed; a longer prefix finds them.
    more: bool,
}

/// The artifacts whose keys start with a prefix, by key.
pub(super) async fn list(session: &Session, list: List) -> Result<Listed, Failure> {
    let mut found = session.tools.artifacts().list(&list.prefix).await?;
    let more = found.len() > LISTED;
    found.truncate(LISTED);
    Ok(Listed { artifacts: found.into_iter().map(Stored::from).collect(), more })
}
