//! How a coordinator is set up, and with what.

use super::log::{Logger, TracingLogger};
use crate::artifacts::Artifacts;
use crate::broker::BrokerConfig;
use crate::consensus::ConsensusConfig;
use crate::controller::AgentDefinition;
use crate::controller::QueryController;
use crate::memory::SwarmMemory;
use crate::messaging::MessageBroker;
use crate::topology::{Choice, Requested, Scaling, Strategy, Topology};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// The most peers that a coordinator starts.
const PEERS_MAX: u32 = 10_000;

/// The seed's `MeshCoordinatorConfig` (section 1.1), with its defaults.
///
/// ```
/// use meshwork::coordinator::MeshCoordinatorConfig;
/// use std::time::Duration;
///
/// let config = MeshCoordinatorConfig {
///     swarm_id: "reviews".to_owned(),
///     peer_count: 5,
///     completion_timeout: Duration::from_secs(10),
///     ..MeshCoordinatorConfig::default()
/// };
/// assert!(config.validate().is_ok());
/// assert_eq!(config.max_concurrent_tasks_per_peer, 3);
/// ```
#[derive(Clone, Debug)]
pub struct MeshCoordinatorConfig {
    /// The swarm's id: 1 to 256 bytes of printable text without a leading `-`.
    pub swarm_id: String,
    /// Peers that `initialize` starts; 2 to 7 suit a mesh. Default 3.
    pub peer_count: u32,
    /// Tasks that each of them runs at once. Default 3.
    pub max_concurrent_tasks_per_peer: u32,
    /// Whether peers announce themselves, and others may join later. Default on.
    pub enable_peer_discovery: bool,
    /// Whether the least loaded peer gets a task, and waiting tasks move; else the first that can. Default on.
    pub enable_load_balancing: bool,
    /// Peers ask who is there this often. Default 30 s.
    pub discovery_interval: Duration,
    /// How long completion is waited for once all work has returned, or nothing can go on. Default 2 s.
    pub completion_timeout: Duration,
    /// Where the swarm's log is kept: `<path>/<swarm>/swarm.db`, and a coordinator that is made again goes on with it.
    /// `None`, the default: in memory, gone with the coordinator.
    pub artifact_storage_path: Option<PathBuf>,
    /// Limits of the messages that tasks send with their own tools; the message bus has its own.
    pub message_bus_config: BrokerConfig,
    /// Whether waiting tasks move by themselves when the mesh is out of balance. Default on.
    pub enable_auto_rebalance: bool,
    /// How often the balance is looked at. Default 5 s.
    pub rebalance_interval: Duration,
    /// Out of balance: the highest load is over this multiple of the mean; at least 1. Default 1.5.
    pub load_imbalance_threshold: f64,
    /// A peer with nothing to do for this long is paused as idle; work resumes it. `None`: never. Default 1 s.
    pub pause_idle_after: Option<Duration>,
    /// Who knows whom, and how work finds its way. Default: a mesh.
    pub topology: Topology,
    /// What makes one peer better for a task than another. Default: balanced, the least relative load.
    pub strategy: Strategy,
    /// The most peers right below another, in a tree. Default 7.
    pub branching: u32,
    /// How many workers a queen has; `None`: as many peers as there are. Default `None`.
    pub scaling: Option<Scaling>,
    /// How peers vote on proposals; `None`, the default: they do not.
    pub consensus: Option<ConsensusConfig>,
}

impl Default for MeshCoordinatorConfig {
    fn default() -> Self {
        Self {
            swarm_id: "swarm".to_owned(),
            peer_count: 3,
            max_concurrent_tasks_per_peer: 3,
            enable_peer_discovery: true,
            enable_load_balancing: true,
            discovery_interval: Duration::from_secs(30),
            completion_timeout: Duration::from_secs(2),
            artifact_storage_path: None,
            message_bus_config: BrokerConfig::default(),
            enable_auto_rebalance: true,
            rebalance_interval: Duration::from_secs(5),
            load_imbalance_threshold: 1.5,
            pause_idle_after: Some(Duration::from_secs(1)),
            topology: Topology::Mesh,
            strategy: Strategy::Balanced,
            branching: 7,
            scaling: None,
            consensus: None,
        }
    }
}

/// A field of a configuration is not what it may be. Nothing was started.
///
/// ```
/// use meshwork::coordinator::{ConfigError, MeshCoordinatorConfig};
///
/// let config = MeshCoordinatorConfig { load_imbalance_threshold: 0.5, ..MeshCoordinatorConfig::default() };
/// let error: ConfigError = config.validate().unwrap_err();
/// assert_eq!((error.field, error.found.as_str()), ("loadImbalanceThreshold", "0.5"));
/// assert_eq!(error.expected, "a ratio of at least 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} is {found}, expected {expected}; nothing was started")]
pub struct ConfigError {
    /// The field, in the seed's words.
    pub field: &'static str,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: &'static str,
}

impl MeshCoordinatorConfig {
    /// The topology as the log has it.
    pub(super) fn choice(&self) -> Choice {
        let agents = self.scaling.map_or(self.peer_count, |scaling| scaling.max_workers.saturating_add(1));
        // Checked to be at least 1.
        let branching = NonZeroU32::new(self.branching).unwrap_or(NonZeroU32::MIN);
        Choice { requested: Requested::Explicit(self.topology), strategy: self.strategy, agents, branching }
    }

    /// Whether a coordinator can be made of this.
    ///
    /// ```
    /// use meshwork::coordinator::MeshCoordinatorConfig;
    ///
    /// let config = MeshCoordinatorConfig { swarm_id: "-reviews".to_owned(), ..MeshCoordinatorConfig::default() };
    /// assert_eq!(config.validate().unwrap_err().field, "swarmId");
    /// ```
    ///
    /// # Errors
    /// Names the first field that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong =
            |field, found: &dyn ToString, expected| Err(ConfigError { field, found: found.to_string(), expected });
        let quoted = format!("{:?}", self.swarm_id);
        if !meshwork_core::is_id(&self.swarm_id) {
            return wrong("swarmId", &quoted, "1 to 256 bytes of printable text without a leading '-'");
        }
        if self.peer_count == 0 || self.peer_count > PEERS_MAX {
            return wrong("peerCount", &self.peer_count, "1 to 10000");
        }
        if self.max_concurrent_tasks_per_peer == 0 {
            return wrong("maxConcurrentTasksPerPeer", &0, "at least 1");
        }
        if self.discovery_interval.is_zero() {
            return wrong("discoveryIntervalMs", &0, "more than 0");
        }
        if self.completion_timeout.is_zero() {
            return wrong("completionTimeoutMs", &0, "more than 0");
        }
        if self.rebalance_interval.is_zero() {
            return wrong("rebalanceIntervalMs", &0, "more than 0");
        }
        if !(self.load_imbalance_threshold >= 1.0 && self.load_imbalance_threshold.is_finite()) {
            return wrong("loadImbalanceThreshold", &self.load_imbalance_threshold, "a ratio of at least 1");
        }
        if let Some(error) = self.consensus.and_then(|consensus| consensus.validate().err()) {
            return wrong("consensusConfig", &error, "a consensus that can be");
        }
        if self.branching == 0 {
            return wrong("branching", &0, "at least 1");
        }
        if let Some(error) = self.scaling.and_then(|scaling| scaling.validate().err()) {
            return wrong("scaling", &error, "limits and a threshold that can be met");
        }
        Ok(())
    }
}

/// What a coordinator works with (the seed's `dependencies`): ours, or anybody's.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::artifacts::FolderArtifacts;
/// use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
/// use meshwork::controller::{AgentController, ControllerConfig};
/// use meshwork::coordinator::{Dependencies, TracingLogger};
/// use meshwork::memory::{MemoryConfig, SqliteMemory};
/// use std::sync::Arc;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// let (bus, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
/// let deps = Dependencies {
///     message_bus: Arc::new(bus),
///     query_controller: Arc::new(AgentController::new(ControllerConfig::default())?),
///     artifact_storage: Arc::new(FolderArtifacts::open(path)?),
///     swarm_memory: Arc::new(SqliteMemory::in_memory(MemoryConfig::default())?),
///     logger: Arc::new(TracingLogger),
/// };
/// assert!(deps.query_controller.definitions().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Dependencies {
    /// Messages between peers. Completion waits for those that are not acknowledged.
    pub message_bus: Arc<dyn MessageBroker>,
    /// Defines agents, and pauses and resumes them.
    pub query_controller: Arc<dyn QueryController>,
    /// Large inputs and results, checkpoints, and states of peers.
    pub artifact_storage: Arc<dyn Artifacts>,
    /// Is told the state and load of each peer when they change.
    pub swarm_memory: Arc<dyn SwarmMemory>,
    /// Is told what happens. Default: `tracing`.
    pub logger: Arc<dyn Logger>,
}

impl Dependencies {
    /// With `tracing` as its logger.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::artifacts::FolderArtifacts;
    /// use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
    /// use meshwork::controller::{AgentController, ControllerConfig};
    /// use meshwork::coordinator::Dependencies;
    /// use meshwork::memory::{MemoryConfig, SqliteMemory};
    /// use std::sync::Arc;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path();
    /// let (bus, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    /// let controller = AgentController::new(ControllerConfig::default())?;
    /// let memory = SqliteMemory::in_memory(MemoryConfig::default())?;
    /// let artifacts = FolderArtifacts::open(path)?;
    /// let deps = Dependencies::new(Arc::new(bus), Arc::new(controller), Arc::new(artifacts), Arc::new(memory));
    /// assert!(deps.artifact_storage.list("").await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(
        message_bus: Arc<dyn MessageBroker>,
        query_controller: Arc<dyn QueryController>,
        artifact_storage: Arc<dyn Artifacts>,
        swarm_memory: Arc<dyn SwarmMemory>,
    ) -> Self {
        Self { message_bus, query_controller, artifact_storage, swarm_memory, logger: Arc::new(TracingLogger) }
    }
}

/// An agent that is to join (`spawnAgent`).
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::coordinator::{AgentDefinition, AgentOptions};
/// use meshwork::mesh::{AttemptEnd, FnAgent, Output};
/// use std::sync::Arc;
///
/// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
/// let definition = AgentDefinition {
///     capabilities: vec!["rust".to_owned()],
///     agent: Arc::new(FnAgent::new(|_| async { AttemptEnd::ok(Output::None) })),
///     kind: "function".to_owned(),
///     max_concurrent_tasks: Some(1),
///     wake: None,
/// };
/// let options = AgentOptions { id: Some("expert".to_owned()), definition };
/// assert_eq!(mesh.spawn_agent(options).await?, "expert");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AgentOptions {
    /// Its id; `None`: the next free `<swarm>-peer-N`.
    pub id: Option<String>,
    /// What it is.
    pub definition: AgentDefinition,
}
