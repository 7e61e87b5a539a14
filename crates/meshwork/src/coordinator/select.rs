//! The seed's `selectCoordinator` (section 5): the router chooses a topology, and this makes its coordinator.

use super::{AgentDefinition, ConfigError, Dependencies, MeshCoordinator, MeshCoordinatorConfig};
use crate::topology::{Topology, TopologyConfig, TopologyError, TopologyRouter};
use thiserror::Error;

/// The seed's `SwarmConfig`: what chooses a topology, and what the coordinator is otherwise made with.
#[derive(Clone, Debug, Default)]
pub struct SwarmConfig {
    /// Topology, agents, strategy, the queen, consensus.
    pub topology: TopologyConfig,
    /// The rest; `peer_count`, `topology`, `branching`, `scaling` and `consensus` follow from the choice.
    pub mesh: MeshCoordinatorConfig,
}

/// Why there is no coordinator. Nothing was started.
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
    /// Chooses a topology and makes its coordinator, with `max_agents` peers; a queen begins with herself and as few
    /// workers as she may have, and adds more by load.
    ///
    /// # Errors
    /// [`SelectError`] names what is wrong; nothing was made.
    pub fn select_coordinator(
        &self,
        config: &SwarmConfig,
        deps: Dependencies,
        agents: Vec<AgentDefinition>,
    ) -> Result<MeshCoordinator, SelectError> {
        let chosen = self.choose(&config.topology)?;
        let queen = config.topology.hierarchical_config.clone().unwrap_or_default();
        let scaling = chosen.scaling.filter(|_| chosen.topology == Topology::Hierarchical);
        let peer_count = scaling.map_or(config.topology.max_agents, |scaling| scaling.min_workers.saturating_add(1));
        let settings = MeshCoordinatorConfig {
            peer_count,
            topology: chosen.topology,
            strategy: config.topology.strategy.unwrap_or_default().into(),
            branching: queen.branching,
            scaling,
            consensus: chosen.consensus,
            ..config.mesh.clone()
        };
        Ok(MeshCoordinator::with_agents(settings, deps, agents)?)
    }
}
