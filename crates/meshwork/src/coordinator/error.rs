//! Why a coordinator did not do what it was asked.

use super::config::ConfigError;
use crate::artifacts::ArtifactError;
use crate::consensus::ConsensusError;
use crate::controller::ControlError;
use crate::detector::DetectorError;
use crate::high_water::LedgerError;
use crate::log::LogError;
use crate::mesh::MeshError;
use crate::messaging::MessageBrokerError;
use crate::state::StateError;
use std::sync::Arc;
use thiserror::Error;

/// Why a coordinator did not do what it was asked. Nothing changed, where it does not say so.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::coordinator::{CoordinatorError, MeshTask};
///
/// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
/// let task = MeshTask { required_capabilities: vec!["gpu".to_owned()], ..MeshTask::new("render") };
/// match mesh.assign_task_to_peer(task).await {
///     Err(CoordinatorError::NoCapablePeer { task, missing }) => {
///         assert_eq!((task.as_str(), missing), ("render", vec!["gpu".to_owned()]));
///     }
///     other => panic!("nobody has a GPU here: {other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Error)]
pub enum CoordinatorError {
    /// The configuration is not one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `initialize` was not called yet.
    #[error("the coordinator is not initialized; nothing changed")]
    NotInitialized,
    /// `initialize` was called before.
    #[error("the coordinator is initialized already; nothing changed")]
    AlreadyInitialized,
    /// The coordinator ends, or has ended.
    #[error("the coordinator is closing; nothing changed")]
    Closing,
    /// Neither the configuration nor the query controller says what peers are.
    #[error("there is no agent definition to start {peers} peers from; nothing was started")]
    NoAgentDefinition {
        /// How many peers were wanted.
        peers: u32,
    },
    /// A field of a task is not what it may be.
    #[error("{field} of task {task:?} is {found}, expected {expected}; nothing changed")]
    InvalidTask {
        /// The task.
        task: String,
        /// The field, in the seed's words.
        field: &'static str,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// No known peer has all capabilities that the task needs.
    #[error("no peer can take task {task:?}: {}; nothing changed", missing_text(.missing))]
    NoCapablePeer {
        /// The task.
        task: String,
        /// Capabilities that no peer has; empty when each has a peer, and no peer has all.
        missing: Vec<String>,
    },
    /// A task of that id exists with other content.
    #[error("task {task:?} exists with other content; nothing changed")]
    IdTaken {
        /// The task.
        task: String,
    },
    /// A task that it depends on did not complete, so that it was never assigned.
    #[error("task {task:?} was not assigned: {why}")]
    DependencyFailed {
        /// The task.
        task: String,
        /// Which dependency, and how it ended.
        why: String,
    },
    /// It was cancelled before it was assigned.
    #[error("task {task:?} was cancelled before it was assigned")]
    Cancelled {
        /// The task.
        task: String,
    },
    /// Nobody knows such a peer.
    #[error("there is no peer {peer:?}; nothing changed")]
    UnknownPeer {
        /// What was asked for.
        peer: String,
    },
    /// A peer of that id is there.
    #[error("a peer {peer:?} is there already; nothing changed")]
    PeerTaken {
        /// The id.
        peer: String,
    },
    /// Peers that come later would not be discovered.
    #[error("peer {peer:?} can't join: enablePeerDiscovery is false, so only the first peers exist; nothing changed")]
    DiscoveryDisabled {
        /// Who wanted to join.
        peer: String,
    },
    /// There is no such task.
    #[error("there is no task {task:?}; nothing changed")]
    UnknownTask {
        /// What was asked for.
        task: String,
    },
    /// The peer has no such checkpoint.
    #[error("peer {peer:?} has no checkpoint {checkpoint:?}; it is as it was")]
    UnknownCheckpoint {
        /// The peer.
        peer: String,
        /// What was asked for.
        checkpoint: String,
    },
    /// The agent could not say what it knows, or take it back.
    #[error("agent {peer:?} could not {what}: {why}")]
    Agent {
        /// The peer.
        peer: String,
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// The pause reason is none.
    #[error("the pause reason is {found:?}, expected one of idle, user, budget, rate-limit, shutdown; nothing changed")]
    UnknownReason {
        /// What was found.
        found: String,
    },
    /// The mesh refused, or cannot go on.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(Arc<StateError>),
    /// The log is not the one that the swarm had.
    #[error(transparent)]
    Ledger(Arc<LedgerError>),
    /// The artifact storage failed.
    #[error(transparent)]
    Artifact(Arc<ArtifactError>),
    /// The message bus failed.
    #[error(transparent)]
    Bus(#[from] MessageBrokerError),
    /// The completion detector failed.
    #[error(transparent)]
    Detector(Arc<DetectorError>),
    /// The query controller failed; the pause itself is decided.
    #[error("the query controller failed: {0}")]
    Controller(#[from] ControlError),
    /// The configuration enables no consensus.
    #[error("consensus is not enabled in this swarm; nothing changed")]
    ConsensusDisabled,
    /// A vote could not be held, or did not come to a decision.
    #[error(transparent)]
    Consensus(Arc<ConsensusError>),
    /// Discovery failed.
    #[error("discovery failed: {0}")]
    Discovery(String),
}

fn missing_text(missing: &[String]) -> String {
    if missing.is_empty() {
        "each capability has a peer, but no peer has all of them".to_owned()
    } else {
        format!("nobody has {}", missing.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "))
    }
}

impl From<StateError> for CoordinatorError {
    fn from(error: StateError) -> Self {
        Self::State(Arc::new(error))
    }
}

impl From<LedgerError> for CoordinatorError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Arc::new(error))
    }
}

impl From<LogError> for CoordinatorError {
    fn from(error: LogError) -> Self {
        Self::Mesh(error.into())
    }
}

impl From<ArtifactError> for CoordinatorError {
    fn from(error: ArtifactError) -> Self {
        Self::Artifact(Arc::new(error))
    }
}

impl From<ConsensusError> for CoordinatorError {
    fn from(error: ConsensusError) -> Self {
        Self::Consensus(Arc::new(error))
    }
}

impl From<DetectorError> for CoordinatorError {
    fn from(error: DetectorError) -> Self {
        Self::Detector(Arc::new(error))
    }
}

impl CoordinatorError {
    /// A stable word for programs; the same as the npm package's `code`.
    ///
    /// ```
    /// use meshwork::coordinator::CoordinatorError;
    ///
    /// let error = CoordinatorError::UnknownPeer { peer: "nobody".to_owned() };
    /// assert_eq!(error.code(), "UnknownPeer");
    /// assert_eq!(error.to_string(), r#"there is no peer "nobody"; nothing changed"#);
    /// ```
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "InvalidConfig",
            Self::NotInitialized => "NotInitialized",
            Self::AlreadyInitialized => "AlreadyInitialized",
            Self::Closing => "Closing",
            Self::NoAgentDefinition { .. } => "NoAgentDefinition",
            Self::InvalidTask { .. } => "InvalidTask",
            Self::NoCapablePeer { .. } => "NoCapablePeer",
            Self::IdTaken { .. } => "IdTaken",
            Self::DependencyFailed { .. } => "DependencyFailed",
            Self::Cancelled { .. } => "Cancelled",
            Self::UnknownPeer { .. } => "UnknownPeer",
            Self::PeerTaken { .. } => "PeerTaken",
            Self::DiscoveryDisabled { .. } => "DiscoveryDisabled",
            Self::UnknownTask { .. } => "UnknownTask",
            Self::UnknownCheckpoint { .. } => "UnknownCheckpoint",
            Self::Agent { .. } => "AgentFailed",
            Self::UnknownReason { .. } => "UnknownReason",
            Self::Mesh(MeshError::Refused(_)) => "Refused",
            Self::Mesh(MeshError::TooLarge { .. }) => "EntryTooLarge",
            Self::Mesh(MeshError::Artifact(_)) | Self::Artifact(_) => "ArtifactFailed",
            Self::Mesh(_) | Self::Ledger(_) => "LogUnusable",
            Self::State(_) => "StateUnusable",
            Self::Bus(_) => "BusFailed",
            Self::Detector(_) => "DetectorFailed",
            Self::Controller(_) => "ControllerFailed",
            Self::ConsensusDisabled => "ConsensusDisabled",
            Self::Consensus(error) if matches!(**error, ConsensusError::Undecided { .. }) => "Undecided",
            Self::Consensus(_) => "ConsensusFailed",
            Self::Discovery(_) => "DiscoveryFailed",
        }
    }
}
