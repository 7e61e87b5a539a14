//! The client of the tool endpoint. Blocking: a command asks once.

use crate::failure::{CliFailure, ExitCode};
use crate::output::SCHEMA_VERSION;
use meshwork::endpoint::ErrorDocument;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Read;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, AsSendBody, Body};

/// Bytes of an answer in JSON: results are at most 32 KiB each and messages 256 KiB, so this is over a thousand.
const ANSWER_BYTES: u64 = 256 << 20;
/// To reach a node on the same machine.
const CONNECT: Duration = Duration::from_secs(10);

const RAW: &str = "application/octet-stream";

/// The tools of one attempt.
pub(super) struct Tools {
    agent: Agent,
    url: String,
    authorization: String,
    swarm_id: Option<String>,
}

impl Tools {
    /// # Errors
    /// When the address is none of a node.
    pub(super) fn new(url: &str, token: &str, swarm_id: Option<String>) -> Result<Self, CliFailure> {
        if !url.starts_with("http://") {
            let message =
                format!("MESHWORK_URL is {url:?}, expected one that begins with http://; nothing was changed");
            return Err(CliFailure::usage("BadEnvironment", message));
        }
        let config = Agent::config_builder()
            // The node is on this machine: a proxy would only see the token.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .build();
        let (url, authorization) = (url.trim_end_matches('/').to_owned(), format!("Bearer {token}"));
        Ok(Self { agent: config.new_agent(), url, authorization, swarm_id })
    }

    /// Asks for a verb; its answer as the document that `--format json` prints.
    ///
    /// # Errors
    /// What the node refused, or why it cannot be asked.
    pub(super) fn ask(&self, verb: &str, body: &impl Serialize) -> Result<Value, CliFailure> {
        let body = serde_json::to_vec(body).expect("what a command asks for is plain data");
        self.ask_with(verb, &body)
    }

    /// The same with a body that is JSON already.
    ///
    /// # Errors
    /// As [`Tools::ask`].
    pub(super) fn ask_with(&self, verb: &str, body: &[u8]) -> Result<Value, CliFailure> {
        let request = self.agent.post(format!("{}/v1/{verb}", self.url));
        let request = request.header("Authorization", &self.authorization).content_type("application/json");
        self.document(checked(request.send(body))?)
    }

    /// Stores an artifact as it is.
    ///
    /// # Errors
    /// As [`Tools::ask`].
    pub(super) fn put(&self, key: &str, content: impl AsSendBody) -> Result<Value, CliFailure> {
        let url = format!("{}/v1/put_artifact?key={}", self.url, percent_encoded(key));
        let request = self.agent.post(url).header("Authorization", &self.authorization).content_type(RAW);
        self.document(checked(request.send(content))?)
    }

    /// An artifact as it is, and its size.
    ///
    /// # Errors
    /// As [`Tools::ask`].
    pub(super) fn get(&self, key: &str) -> Result<(impl Read + use<>, u64), CliFailure> {
        let request = self.agent.post(format!("{}/v1/get_artifact", self.url));
        let request = request.header("Authorization", &self.authorization).header("Accept", RAW);
        let response =
            checked(request.content_type("application/json").send(serde_json::json!({ "key": key }).to_string()))?;
        let body = response.into_body();
        let size = body.content_length().ok_or_else(|| not_an_answer("it does not say how long it is"))?;
        Ok((body.into_with_config().limit(u64::MAX).reader(), size))
    }

    fn document(&self, mut response: Response<Body>) -> Result<Value, CliFailure> {
        let bytes =
            response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().map_err(|error| unreachable(&error))?;
        let answer: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|error| not_an_answer(&error.to_string()))?;
        let mut document = Map::new();
        document.insert("schemaVersion".to_owned(), SCHEMA_VERSION.into());
        if let Some(id) = &self.swarm_id {
            document.insert("swarmId".to_owned(), id.clone().into());
        }
        document.extend(answer);
        Ok(Value::Object(document))
    }
}

fn checked(sent: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, CliFailure> {
    let mut response = sent.map_err(|error| unreachable(&error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let bytes =
        response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().map_err(|error| unreachable(&error))?;
    let Ok(ErrorDocument { error, .. }) = serde_json::from_slice(&bytes) else {
        return Err(not_an_answer(&format!("status {status} without a reason")));
    };
    let code = if status.is_server_error() { ExitCode::Unusable } else { ExitCode::Usage };
    Err(CliFailure::new(code, error.code, error.message).changed(error.state_changed))
}

fn unreachable(error: &ureq::Error) -> CliFailure {
    let message = format!("the node cannot be asked: {error}; whether something was changed is not known");
    CliFailure::unusable("Unreachable", message).changed(true)
}

fn not_an_answer(what: &str) -> CliFailure {
    let message = format!("the node's answer cannot be read: {what}; whether something was changed is not known");
    CliFailure::unusable("NotAnAnswer", message).changed(true)
}

/// A text as one value of a query.
fn percent_encoded(text: &str) -> String {
    let mut coded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            coded.push(char::from(byte));
        } else {
            coded.push_str(&format!("%{byte:02X}"));
        }
    }
    coded
}
