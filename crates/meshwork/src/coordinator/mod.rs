//! The seed's coordinator (section 1): a mesh of agents, composed of parts that also work alone.
//!
//! [`MeshCoordinator`] holds one node of a swarm. What it decides is in the swarm's log, so it is as true as the log:
//! a task is assigned when its entry is durable, and completion is a position. Around it stand the parts that the seed
//! names: the message bus (any [`MessageBroker`](crate::messaging::MessageBroker)), the stand-alone completion detector
//! over that bus, discovery, the query controller, artifacts and memory. Completion is both: the log's round is closed,
//! and no message of a peer is on its way.
//!
//! Clones are the same coordinator. Dropping the last one stops its node at once; [`MeshCoordinator::cleanup`] does so
//! in order.

mod agents;
mod books;
mod bus;
mod completion;
mod config;
mod error;
mod form;
mod log;
mod measure;
mod select;
mod start;
mod tasks;
#[cfg(test)]
mod tests;
mod upkeep;
mod vote;
mod words;

pub use crate::controller::AgentDefinition;
pub use config::{AgentOptions, ConfigError, Dependencies, MeshCoordinatorConfig};
pub use error::CoordinatorError;
pub use log::{Level, Logger, TracingLogger};
pub use select::{SelectError, SwarmConfig};
pub use words::{AgentSession, CheckpointInfo, MeshMetrics, MeshTask, PeerAgent};

use crate::consensus::Consensus;
use crate::detector::CompletionDetector;
use crate::discovery::PeerDiscovery;
use crate::mesh::{Mesh, MeshError, Stop};
use books::Shared;
use bus::Traffic;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A mesh of agents. See the module.
///
/// ```
/// use meshwork::artifacts::FolderArtifacts;
/// use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
/// use meshwork::controller::{AgentController, AgentDefinition, ControllerConfig};
/// use meshwork::coordinator::{Dependencies, MeshCoordinator, MeshCoordinatorConfig, MeshTask};
/// use meshwork::memory::{MemoryConfig, SqliteMemory};
/// use meshwork::mesh::{AttemptEnd, FnAgent, Output};
/// use std::sync::Arc;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("artifacts");
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let (bus, _) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
/// let controller = AgentController::new(ControllerConfig::default())?;
/// controller.register(AgentDefinition {
///     capabilities: vec!["code-review".to_owned(), "security".to_owned()],
///     agent: Arc::new(FnAgent::new(|attempt| async move {
///         AttemptEnd::ok(Output::Json(format!(r#"{{"reviewed": "{}"}}"#, attempt.spec().description)))
///     })),
///     kind: "function".to_owned(),
///     max_concurrent_tasks: None,
///     wake: None,
/// })?;
/// let deps = Dependencies::new(
///     Arc::new(bus),
///     Arc::new(controller),
///     Arc::new(FolderArtifacts::open(path)?),
///     Arc::new(SqliteMemory::in_memory(MemoryConfig::default())?),
/// );
/// let config = MeshCoordinatorConfig { swarm_id: "swarm-001".to_owned(), peer_count: 5, ..Default::default() };
/// let mesh = MeshCoordinator::new(config, deps)?;
/// mesh.initialize().await?;
///
/// let task = MeshTask {
///     kind: "code-review".to_owned(),
///     description: "the authentication module".to_owned(),
///     required_capabilities: vec!["code-review".to_owned(), "security".to_owned()],
///     priority: 8,
///     ..MeshTask::new("task-001")
/// };
/// let peer = mesh.assign_task_to_peer(task).await?;
/// assert!(peer.starts_with("swarm-001-peer-"));
/// assert!(mesh.wait_for_mesh_completion().await?);
/// assert_eq!(mesh.mesh_metrics().completed_tasks, 1);
/// mesh.cleanup().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MeshCoordinator(Arc<Inner>);

struct Inner {
    config: MeshCoordinatorConfig,
    deps: Dependencies,
    definitions: Vec<AgentDefinition>,
    life: Mutex<Life>,
}

enum Life {
    New,
    Starting,
    Runs(Arc<Running>),
    Over,
}

/// A node that runs, and what belongs to it.
struct Running {
    config: MeshCoordinatorConfig,
    deps: Dependencies,
    mesh: Mesh,
    /// Taken by whoever ends it.
    ended: Mutex<Option<JoinHandle<Result<(), MeshError>>>>,
    shared: Arc<Shared>,
    detector: CompletionDetector,
    /// `None`: only the first peers exist.
    discovery: Option<PeerDiscovery>,
    /// `None`: proposals are not voted on.
    consensus: Option<Consensus>,
    /// What workers are made of, one after the other, and how many were.
    pool: Vec<AgentDefinition>,
    hired: AtomicUsize,
    /// Agents that the controller took.
    taken: Arc<Mutex<HashSet<String>>>,
    traffic: Traffic,
    /// Peers whose messages are counted: hooks can't be taken back.
    watched: Mutex<HashSet<String>>,
    agents: Mutex<BTreeMap<String, AgentDefinition>>,
    /// Ends the upkeep.
    over: CancellationToken,
    /// Taken by whoever ends it.
    upkeep: Mutex<Option<JoinHandle<()>>>,
    started: Instant,
    discovery_ms: Mutex<f64>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.over.cancel();
        self.mesh.stop(Stop::Now);
        // A controller that outlives its coordinator would pause what is not there.
        let taken = std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner));
        taken.iter().for_each(|id| self.deps.query_controller.detach(id));
    }
}

impl MeshCoordinator {
    /// A coordinator whose peers are made by the query controller's definitions.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::{MeshCoordinator, MeshCoordinatorConfig};
    ///
    /// # let (deps, _folder) = parts()?;
    /// // `deps` is made in the example of the type.
    /// let mesh = MeshCoordinator::new(MeshCoordinatorConfig::default(), deps.clone())?;
    /// assert!(!mesh.is_ready());
    ///
    /// let config = MeshCoordinatorConfig { peer_count: 0, ..MeshCoordinatorConfig::default() };
    /// let error = MeshCoordinator::new(config, deps).err().expect("nobody");
    /// assert_eq!(error.to_string(), "peerCount is 0, expected 1 to 10000; nothing was started");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Names the first field of the configuration that is wrong.
    pub fn new(config: MeshCoordinatorConfig, deps: Dependencies) -> Result<Self, ConfigError> {
        Self::with_agents(config, deps, Vec::new())
    }

    /// A coordinator whose peers are made by these definitions, one after the other; with none, by the query
    /// controller's.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::controller::AgentDefinition;
    /// use meshwork::coordinator::{MeshCoordinator, MeshCoordinatorConfig};
    /// use meshwork::mesh::{AttemptEnd, FnAgent, Output};
    /// use std::sync::Arc;
    ///
    /// # let (deps, _folder) = parts()?;
    /// let definition = AgentDefinition {
    ///     capabilities: vec!["code".to_owned()],
    ///     agent: Arc::new(FnAgent::new(|_| async { AttemptEnd::ok(Output::None) })),
    ///     kind: "function".to_owned(),
    ///     max_concurrent_tasks: Some(1),
    ///     wake: None,
    /// };
    /// // All three peers are made of the one definition.
    /// let mesh = MeshCoordinator::with_agents(MeshCoordinatorConfig::default(), deps, vec![definition])?;
    /// mesh.initialize().await?;
    /// assert_eq!(mesh.find_peers_by_capabilities(&["code".to_owned()]).await.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Names the first field of the configuration that is wrong.
    pub fn with_agents(
        config: MeshCoordinatorConfig,
        deps: Dependencies,
        definitions: Vec<AgentDefinition>,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self(Arc::new(Inner { config, deps, definitions, life: Mutex::new(Life::New) })))
    }

    /// Starts the peers. Resolves when all of them are up and know each other.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::{MeshCoordinator, MeshCoordinatorConfig};
    ///
    /// # let (deps, _folder) = parts()?;
    /// # let definitions = vec![echo(&["code"])];
    /// let mesh = MeshCoordinator::with_agents(MeshCoordinatorConfig::default(), deps, definitions)?;
    /// mesh.initialize().await?;
    /// assert!(mesh.is_ready());
    /// assert_eq!(mesh.initialize().await.unwrap_err().code(), "AlreadyInitialized");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::AlreadyInitialized`], [`CoordinatorError::NoAgentDefinition`], or what keeps the state
    /// folder or the log from being used. It may be called again after an error.
    pub async fn initialize(&self) -> Result<(), CoordinatorError> {
        {
            let mut life = self.life();
            match &*life {
                Life::New => *life = Life::Starting,
                Life::Starting | Life::Runs(_) => return Err(CoordinatorError::AlreadyInitialized),
                Life::Over => return Err(CoordinatorError::Closing),
            }
        }
        let starting = Starting(&self.0);
        let running = start::start(&self.0).await?;
        std::mem::forget(starting);
        let over = {
            let mut life = self.life();
            let over = matches!(*life, Life::Over);
            if !over {
                *life = Life::Runs(running.clone());
            }
            over
        };
        if over {
            // Somebody ended it meanwhile.
            running.end().await?;
            return Err(CoordinatorError::Closing);
        }
        Ok(())
    }

    /// Ends the peers and the node, in order: what runs is asked to stop, and what was decided is kept. Resolves when
    /// nothing of it runs any more; further calls resolve at once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    ///
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// mesh.cleanup().await?;
    /// mesh.cleanup().await?;
    /// assert_eq!(mesh.submit_task(MeshTask::new("late")).await.unwrap_err().code(), "Closing");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the log could not be closed in order; it has ended all the same.
    pub async fn cleanup(&self) -> Result<(), CoordinatorError> {
        let life = std::mem::replace(&mut *self.life(), Life::Over);
        match life {
            Life::Runs(running) => running.end().await,
            Life::New | Life::Starting | Life::Over => Ok(()),
        }
    }

    /// Whether it is initialized, and goes on.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// assert!(mesh.is_ready());
    /// mesh.cleanup().await?;
    /// assert!(!mesh.is_ready());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.running().is_ok()
    }

    /// The swarm's id.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::{MeshCoordinator, MeshCoordinatorConfig};
    ///
    /// # let (deps, _folder) = parts()?;
    /// let config = MeshCoordinatorConfig { swarm_id: "reviews".to_owned(), ..MeshCoordinatorConfig::default() };
    /// assert_eq!(MeshCoordinator::new(config, deps)?.swarm_id(), "reviews");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn swarm_id(&self) -> &str {
        &self.0.config.swarm_id
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.0.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Result<Arc<Running>, CoordinatorError> {
        match &*self.life() {
            Life::Runs(running) => Ok(running.clone()),
            Life::New | Life::Starting => Err(CoordinatorError::NotInitialized),
            Life::Over => Err(CoordinatorError::Closing),
        }
    }
}

/// A start that fails, or is given up, may be tried again.
struct Starting<'a>(&'a Inner);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut life = self.0.life.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*life, Life::Starting) {
            *life = Life::New;
        }
    }
}

impl Running {
    fn agents(&self) -> MutexGuard<'_, BTreeMap<String, AgentDefinition>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(&self) -> Result<(), CoordinatorError> {
        // First what goes on beside the tasks, so that nothing is told after the end.
        self.over.cancel();
        let upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(upkeep) = upkeep {
            // One that panicked has ended, too.
            let _ended = upkeep.await;
        }
        self.info("the coordinator ends", &Value::Null);
        self.mesh.stop(Stop::Gently);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = match ended {
            // A node that panicked has stopped; what it had appended is in the log.
            Some(ended) => ended.await.unwrap_or(Err(MeshError::Stopped)),
            None => Ok(()),
        };
        self.farewell().await;
        Ok(ended?)
    }

    fn info(&self, message: &str, context: &Value) {
        self.tell(Level::Info, message, context);
    }

    fn tell(&self, level: Level, message: &str, context: &Value) {
        let mut context = context.clone();
        if let Value::Object(fields) = &mut context {
            fields.insert("swarmId".to_owned(), self.config.swarm_id.clone().into());
        } else {
            context = serde_json::json!({ "swarmId": self.config.swarm_id });
        }
        self.deps.logger.log(level, message, context);
    }
}
