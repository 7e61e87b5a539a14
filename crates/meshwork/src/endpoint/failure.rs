//! What a request is answered with when it was not done: a status, a code for programs, a sentence for people, and
//! whether state changed.

use crate::artifacts::ArtifactError;
use crate::broker::{ReadError, SendError};
use crate::mesh::{MeshError, ToolsError};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use meshwork_core::Refusal;
use serde::{Deserialize, Serialize};

/// The error document of every interface (contracts, section 3).
///
/// ```
/// use meshwork::endpoint::{ErrorBody, ErrorDocument};
///
/// let (code, message) = ("TaskNotFound".to_owned(), "there is no task \"biuld\"".to_owned());
/// let document = ErrorDocument::from(ErrorBody { code, message, state_changed: false });
/// let json = serde_json::to_value(&document)?;
/// assert_eq!((&json["schemaVersion"], &json["error"]["stateChanged"]), (&1.into(), &false.into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDocument {
    /// 1.
    pub schema_version: u32,
    /// What went wrong.
    pub error: ErrorBody,
}

/// The error of an [`ErrorDocument`].
///
/// ```
/// use meshwork::endpoint::parse_tasks;
///
/// let error = parse_tasks(b"no JSON").expect_err("it is refused");
/// assert!(!error.state_changed && !error.message.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// Its name for programs, in upper camel case.
    pub code: String,
    /// What was found and what was expected, for people.
    pub message: String,
    /// Whether something changed, or may have.
    pub state_changed: bool,
}

impl From<ErrorBody> for ErrorDocument {
    fn from(error: ErrorBody) -> Self {
        Self { schema_version: 1, error }
    }
}

/// Why a request was not done.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) body: ErrorBody,
}

impl Failure {
    /// A failure that changed nothing.
    pub(crate) fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { code: code.into(), message: message.into(), state_changed: false } }
    }

    pub(crate) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn too_large(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    /// The token names no attempt that runs.
    pub(crate) fn unauthorized() -> Self {
        let message = "no valid token: expected the header `Authorization: Bearer $MESHWORK_TOKEN` of an attempt \
                       that runs; nothing was changed";
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    pub(crate) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Stopping", "the node stops; nothing was changed by this request")
    }

    fn unavailable(code: &str, message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// Something may have changed, or did.
    #[must_use]
    pub(crate) fn changed(mut self) -> Self {
        self.body.state_changed = true;
        self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorDocument::from(self.body))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// The variant's name.
fn code_of(refusal: &Refusal) -> String {
    match serde_json::to_value(refusal) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().next().map_or_else(String::new, |(name, _)| name),
        _ => "Refused".to_owned(),
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::NoSuchTask { .. } | Refusal::NoSuchPeer { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, code_of(&refusal), format!("{refusal}; nothing was changed"))
    }
}

impl From<MeshError> for Failure {
    fn from(error: MeshError) -> Self {
        let text = error.to_string();
        match error {
            MeshError::Refused(refusal) => refusal.into(),
            MeshError::TooLarge { .. } => Self::too_large("EntryTooLarge", text),
            MeshError::NodeLost => Self::unavailable("NodeLost", text),
            MeshError::NodeNotPresent { .. } => Self::new(StatusCode::NOT_FOUND, "NodeNotPresent", text),
            MeshError::NoAgent { .. } => Self::new(StatusCode::CONFLICT, "NoAgent", text),
            // What was on its way may have been stored.
            MeshError::Stopped => Self::unavailable("Stopping", text).changed(),
            MeshError::Log(_)
            | MeshError::Fault(_)
            | MeshError::Codec(_)
            | MeshError::Ledger(_)
            | MeshError::OtherSwarm { .. } => Self::unavailable("LogUnusable", text).changed(),
            MeshError::Artifact(error) => Self::from(&*error),
            MeshError::Output { .. } => Self::unavailable("OutputUnreadable", text),
        }
    }
}

impl From<ToolsError> for Failure {
    fn from(error: ToolsError) -> Self {
        let text = format!("{error}; nothing was changed");
        match error {
            ToolsError::Mesh(error) => error.into(),
            ToolsError::WouldDeadlock => Self::new(StatusCode::CONFLICT, "WouldDeadlock", text),
            ToolsError::NotAChild { .. } => Self::new(StatusCode::NOT_FOUND, "NotAChild", text),
        }
    }
}

impl From<&ArtifactError> for Failure {
    fn from(error: &ArtifactError) -> Self {
        let text = error.to_string();
        match error {
            ArtifactError::Key(_) => Self::bad_request("BadKey", text),
            ArtifactError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "NoSuchArtifact", text),
            ArtifactError::TooLarge { .. } => Self::too_large("ArtifactTooLarge", text),
            ArtifactError::Source { .. } => Self::bad_request("BodyUnreadable", text),
            ArtifactError::Full { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, "DiskFull", text),
            ArtifactError::Damaged { .. } => Self::unavailable("ArtifactDamaged", text),
            _ => Self::unavailable("ArtifactsUnusable", text),
        }
    }
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        Self::from(&error)
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let text = error.to_string();
        match error {
            SendError::UnknownPeer { .. } => Self::new(StatusCode::NOT_FOUND, "UnknownPeer", text),
            SendError::RecipientGone { .. } => Self::new(StatusCode::CONFLICT, "RecipientGone", text),
            SendError::MailboxFull { .. } => Self::new(StatusCode::CONFLICT, "MailboxFull", text),
            SendError::TooLarge { .. } => Self::too_large("MessageTooLarge", text),
            SendError::TokenDead => Self::new(StatusCode::CONFLICT, "AttemptEnded", text),
            SendError::MustWait { .. } => Self::new(StatusCode::CONFLICT, "MustWait", text),
            SendError::Store { .. } => Self::unavailable("MailUnusable", text).changed(),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let text = error.to_string();
        match error {
            ReadError::NoMailbox { .. } => Self::new(StatusCode::CONFLICT, "NoMailbox", text),
            ReadError::Store { .. } => Self::unavailable("MailUnusable", text),
        }
    }
}
