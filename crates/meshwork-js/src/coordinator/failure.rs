//! A coordinator's errors, and those of its attempts, on their way into JavaScript.

use meshwork::coordinator::{ConfigError, CoordinatorError};
use meshwork::mesh::ToolsError;
use serde_json::{Value, json};

use crate::failure::Failure;

impl From<CoordinatorError> for Failure {
    fn from(error: CoordinatorError) -> Self {
        let mut failure = Self::new(error.code(), error.to_string());
        let mut about = |name: &str, value: Value| _ = failure.details.insert(name.to_owned(), value);
        match &error {
            CoordinatorError::Config(ConfigError { field, .. }) => about("field", json!(field)),
            CoordinatorError::InvalidTask { task, field, .. } => {
                about("taskId", json!(task));
                about("field", json!(field));
            }
            CoordinatorError::NoCapablePeer { task, missing } => {
                about("taskId", json!(task));
                about("missing", json!(missing));
            }
            CoordinatorError::IdTaken { task }
            | CoordinatorError::DependencyFailed { task, .. }
            | CoordinatorError::Cancelled { task }
            | CoordinatorError::UnknownTask { task } => about("taskId", json!(task)),
            CoordinatorError::UnknownPeer { peer }
            | CoordinatorError::PeerTaken { peer }
            | CoordinatorError::DiscoveryDisabled { peer }
            | CoordinatorError::Agent { peer, .. } => about("peerId", json!(peer)),
            CoordinatorError::UnknownCheckpoint { peer, checkpoint } => {
                about("peerId", json!(peer));
                about("checkpointId", json!(checkpoint));
            }
            _ => {}
        }
        failure
    }
}

impl From<ToolsError> for Failure {
    fn from(error: ToolsError) -> Self {
        match error {
            ToolsError::Mesh(error) => CoordinatorError::from(error).into(),
            ToolsError::WouldDeadlock => Self::new("WouldDeadlock", error.to_string()),
            ToolsError::NotAChild { .. } => Self::new("NotAChild", error.to_string()),
        }
    }
}
