//! What went wrong, as JavaScript gets it: a stable `code` (the name of the variant of the library's error), the
//! library's sentence, and what else is known.

use std::borrow::Cow;

use meshwork::artifacts::ArtifactError;
use meshwork::broker::{BroadcastError, RegisterError, SendError};
use meshwork::controller::ControlError;
use meshwork::detector::DetectorError;
use meshwork::memory::MemoryError;
use meshwork::messaging::MessageBrokerError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// An error on its way into JavaScript, or out of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    /// Further properties of the error.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) details: Map<String, Value>,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), details: Map::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn closed(what: &str) -> Self {
        Self::new("Closed", format!("the {what} is closed; nothing changed"))
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let text = error.to_string();
        match error {
            SendError::UnknownPeer { peer } => Self::new("UnknownPeer", text).with("peerId", json!(&*peer)),
            SendError::RecipientGone { peer } => Self::new("RecipientGone", text).with("peerId", json!(&*peer)),
            SendError::MailboxFull { peer, limit, waited } => Self::new("MailboxFull", text)
                .with("peerId", json!(&*peer))
                .with("limit", json!(limit))
                .with("waitedMs", json!(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX))),
            SendError::TooLarge { limit, found } => {
                Self::new("TooLarge", text).with("limit", json!(limit)).with("found", json!(found))
            }
            SendError::TokenDead => Self::new("TokenDead", text),
            SendError::MustWait { peer } => Self::new("MustWait", text).with("peerId", json!(&*peer)),
            SendError::Store { peer, .. } => Self::new("Store", text).with("peerId", json!(&*peer)),
        }
    }
}

impl From<BroadcastError> for Failure {
    fn from(error: BroadcastError) -> Self {
        let text = error.to_string();
        let reached: Vec<&str> = error.reached.iter().map(|peer| &**peer).collect();
        let reached = json!(reached);
        let missed = error.missed.into_iter().map(|(peer, error)| {
            let Self { code, message, .. } = error.into();
            json!({ "peerId": &*peer, "code": code, "message": message })
        });
        let missed = Value::Array(missed.collect());
        Self::new("BroadcastIncomplete", text).with("reached", reached).with("missed", missed)
    }
}

impl From<RegisterError> for Failure {
    fn from(error: RegisterError) -> Self {
        let code = match error {
            RegisterError::AlreadyRegistered { .. } => "AlreadyRegistered",
            RegisterError::Closed => "Closed",
            RegisterError::Store { .. } => "Store",
        };
        Self::new(code, error.to_string())
    }
}

impl From<MessageBrokerError> for Failure {
    fn from(error: MessageBrokerError) -> Self {
        match error {
            MessageBrokerError::Topic(error) => Self::new("InvalidTopic", error.to_string()),
            MessageBrokerError::ReservedName { .. } => Self::new("ReservedName", error.to_string()),
            MessageBrokerError::Send(error) => error.into(),
            MessageBrokerError::Broadcast(error) => error.into(),
            MessageBrokerError::Register(error) => error.into(),
            MessageBrokerError::Foreign(text) => Self::new("Foreign", text),
        }
    }
}

impl From<DetectorError> for Failure {
    fn from(error: DetectorError) -> Self {
        let text = error.to_string();
        match error {
            DetectorError::NotInitialized => Self::new("NotInitialized", text),
            DetectorError::UnknownPeer { peer } => Self::new("UnknownPeer", text).with("peerId", json!(peer)),
            DetectorError::TwoSides { peer } => Self::new("TwoSides", text).with("peerId", json!(peer)),
            DetectorError::TooManyPeers { limit, found } => {
                Self::new("TooManyPeers", text).with("limit", json!(limit)).with("found", json!(found))
            }
            DetectorError::RetryInterval { .. } => {
                Self::new("InvalidConfig", text).with("field", json!("probeRetryIntervalMs"))
            }
            DetectorError::Swarm(_) => Self::new("InvalidTopic", text),
            DetectorError::Broker(error) => error.into(),
            DetectorError::DetectionRuns { running } => {
                Self::new("DetectionRuns", text).with("running", json!(running))
            }
        }
    }
}

impl From<MemoryError> for Failure {
    fn from(error: MemoryError) -> Self {
        let text = error.to_string();
        match error {
            MemoryError::UnknownEntry { id } => Self::new("UnknownEntry", text).with("id", json!(id)),
            MemoryError::Private { id, author } => {
                Self::new("Private", text).with("id", json!(id)).with("author", json!(author))
            }
            MemoryError::Invalid { field, .. } => Self::new("Invalid", text).with("field", json!(field)),
            MemoryError::TooLarge { found, most } => {
                Self::new("TooLarge", text).with("found", json!(found)).with("limit", json!(most))
            }
            MemoryError::Storage(_) => Self::new("Storage", text),
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let text = error.to_string();
        match error {
            ControlError::UnknownAgent { id } => Self::new("UnknownAgent", text).with("id", json!(id)),
            ControlError::UnknownCheckpoint { agent, checkpoint } => Self::new("UnknownCheckpoint", text)
                .with("agentId", json!(agent))
                .with("checkpointId", json!(checkpoint)),
            ControlError::UnknownReason { .. } => Self::new("UnknownReason", text),
            ControlError::AlreadyAttached { id, .. } => Self::new("AlreadyAttached", text).with("id", json!(id)),
            ControlError::TooMany { limit } => Self::new("TooMany", text).with("limit", json!(limit)),
            ControlError::Invalid { field, .. } => Self::new("Invalid", text).with("field", json!(field)),
            ControlError::Several { failures } => {
                let failures = failures.into_iter().map(|(id, error)| {
                    let Self { code, message, .. } = error.into();
                    json!({ "id": id, "code": code, "message": message })
                });
                let failures = Value::Array(failures.collect());
                Self::new("Several", text).with("failures", failures)
            }
            ControlError::Failed(_) => Self::new("Failed", text),
        }
    }
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        let text = error.to_string();
        match error {
            ArtifactError::Key(_) => Self::new("InvalidKey", text),
            ArtifactError::NotFound { key } => Self::new("NotFound", text).with("key", json!(key)),
            ArtifactError::TooLarge { key, limit } => {
                Self::new("TooLarge", text).with("key", json!(key)).with("limit", json!(limit))
            }
            ArtifactError::Full { .. } => Self::new("Full", text),
            ArtifactError::Damaged { .. } => Self::new("Damaged", text),
            ArtifactError::Source { .. } => Self::new("Source", text),
            ArtifactError::ReadOnly { .. } => Self::new("ReadOnly", text),
            ArtifactError::OtherLayout { .. } => Self::new("OtherLayout", text),
            ArtifactError::Stopped => Self::new("Stopped", text),
            ArtifactError::Io { .. } => Self::new("Io", text),
            ArtifactError::Foreign { .. } => Self::new("Foreign", text),
        }
    }
}
