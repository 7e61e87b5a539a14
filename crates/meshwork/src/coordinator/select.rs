//! The seed's `selectCoordinator` (section 5): the router chooses a topology, and this makes its coordinator.

use super::{AgentDefinition, ConfigError, Dependencies, MeshCoordinator, MeshCoordinatorConfig};
use crate::topology::{Topology, TopologyConfig, TopologyError, TopologyRouter};
use thiserror::Error;

/// The seed's `SwarmConfig`: what chooses a topology, and what the coordinator is otherwise made with.
///
/// ```
/// use meshwork::coordinator::{MeshCoordinatorConfig, SwarmConfig};
/// use meshwork::topology::{TopologyConfig, TopologyType};
///
/// let config = SwarmConfig {
///     topology: TopologyConfig { topology: TopologyType::Hybrid, max_agents: 60, ..TopologyConfig::default() },
///     mesh: MeshCoordinatorConfig { swarm_id: "reviews".to_owned(), ..MeshCoordinatorConfig::default() },
///     peer_count: Some(50),
/// };
/// assert!(config.mesh.validate().is_ok());
/// ```
#[derive(Clone, Debug, Default)]
pub struct SwarmConfig {
    /// Topology, agents, strategy, the queen, consensus.
    pub topology: TopologyConfig,
    /// The rest; `peer_count`, `topology`, `strategy`, `branching`, `scaling` and `consensus` follow from the choice.
    pub mesh: MeshCoordinatorConfig,
    /// Peers to begin with, the queen among them. `None`: as many as there may be, and under a queen as few.
    pub peer_count: Option<u32>,
}

/// Why there is no coordinator. Nothing was started.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::coordinator::{SelectError, SwarmConfig};
/// use meshwork::topology::{TopologyConfig, TopologyRouter};
///
/// # let (deps, _folder) = parts()?;
/// # let agents = vec![echo(&["code"])];
/// let topology = TopologyConfig { max_agents: 3, ..TopologyConfig::default() };
/// let config = SwarmConfig { topology, peer_count: Some(4), ..SwarmConfig::default() };
/// let error = TopologyRouter::new().select_coordinator(&config, deps, agents).err().expect("too many");
/// assert!(matches!(error, SelectError::Config(_)));
/// assert_eq!(error.to_string(), "peerCount is 4, expected 1 to maxAgents; nothing was started");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Error)]
pub enum SelectError {
    /// No topology was chosen.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The coordinator's own configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl TopologyRouter {
    /// Chooses a topology and makes its coordinator, with `max_agents` peers unless fewer are asked for; a queen begins
    /// with herself and as few workers as she may have, and adds more by load.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::SwarmConfig;
    /// use meshwork::topology::{Topology, TopologyConfig, TopologyRouter};
    ///
    /// # let (deps, _folder) = parts()?;
    /// # let agents = vec![echo(&["code"])];
    /// let topology = TopologyConfig { max_agents: 12, ..TopologyConfig::default() };
    /// let config = SwarmConfig { topology, ..SwarmConfig::default() };
    /// // `deps` and `agents` are what `MeshCoordinator::with_agents` takes.
    /// let mesh = TopologyRouter::new().select_coordinator(&config, deps, agents)?;
    /// assert_eq!(mesh.topology(), Topology::Hierarchical);
    /// mesh.initialize().await?;
    /// // A queen, and one worker until there is more to do.
    /// assert_eq!(mesh.active_agents().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SelectError`] names what is wrong; nothing was made.
    pub fn select_coordinator(
        &self,
        config: &SwarmConfig,
        deps: Dependencies,
        agents: Vec<AgentDefinition>,
    ) -> Result<MeshCoordinator, SelectError> {
        let chosen = self.consider(&config.topology)?;
        let queen = config.topology.hierarchical_config.clone().unwrap_or_default();
        let scaling = chosen.scaling.filter(|_| chosen.topology == Topology::Hierarchical);
        let (least, most) = match scaling {
            None => (1, config.topology.max_agents),
            Some(scaling) => (scaling.min_workers.saturating_add(1), scaling.max_workers.saturating_add(1)),
        };
        let peer_count = config.peer_count.unwrap_or(if scaling.is_some() { least } else { most });
        if !(least..=most).contains(&peer_count) {
            let expected = match scaling {
                None => "1 to maxAgents",
                Some(_) => "a queen, and minWorkers to maxWorkers",
            };
            return Err(ConfigError { field: "peerCount", found: peer_count.to_string(), expected }.into());
        }
        let settings = MeshCoordinatorConfig {
            peer_count,
            topology: chosen.topology,
            strategy: config.topology.strategy.unwrap_or_default().into(),
            branching: queen.branching,
            scaling,
            consensus: chosen.consensus,
            ..config.mesh.clone()
        };
        let coordinator = MeshCoordinator::with_agents(settings, deps, agents)?;
        self.chose(&chosen);
        Ok(coordinator)
    }
}
