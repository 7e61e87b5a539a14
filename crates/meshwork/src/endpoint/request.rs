//! The body of a request: bounded before it is read, its depth before it is parsed.

use super::failure::Failure;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Deserialize;

/// Levels of nesting that JSON may have.
pub(crate) const JSON_DEPTH: usize = 64;

/// The whole body, at most `most` bytes.
pub(super) async fn read(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Failure> {
    check_plain(headers)?;
    let too_large = |found: String| {
        let message = format!("the request has {found} bytes, the limit is {most}; nothing was changed");
        Failure::too_large("RequestTooLarge", message)
    };
    if let Some(length) = announced(headers)
        && length > most as u64
    {
        return Err(too_large(length.to_string()));
    }
    let mut stream: BodyDataStream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            Failure::bad_request("BodyUnreadable", format!("the request ended early: {error}; nothing was changed"))
        })?;
        if bytes.len() + piece.len() > most {
            return Err(too_large(format!("more than {most}")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// A body is taken as it is: one that unpacks to something else is refused before it can grow.
pub(super) fn check_plain(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            let message = format!("the content encoding is {encoding:?}, expected none; nothing was changed");
            Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedEncoding", message))
        }
        _ => Ok(()),
    }
}

/// The length that the request announces.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The JSON of a body; an empty body is an empty object.
pub(crate) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Failure> {
    let bytes = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    if is_deeper(bytes, JSON_DEPTH) {
        let message = format!("the JSON is nested deeper than {JSON_DEPTH} levels, the limit; nothing was changed");
        return Err(Failure::bad_request("TooDeep", message));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::bad_request("BadRequest", format!("the request cannot be read: {error}; nothing was changed"))
    })
}

/// Whether brackets are nested deeper than that. Reads every byte once and keeps nothing.
fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_that_of_brackets_outside_texts() {
        for (json, depth) in [("1", 0), ("[]", 1), (r#"{"a":[1]}"#, 2), (r#"["[[[\"[["]"#, 1), ("[[],[[]]]", 3)] {
            assert!(!is_deeper(json.as_bytes(), depth), "{json}");
            assert!(depth == 0 || is_deeper(json.as_bytes(), depth - 1), "{json}");
        }
    }
}
