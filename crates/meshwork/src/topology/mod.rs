//! Which topology a swarm gets: the seed's `TopologyRouter`, without the coordinator that it leads to.
//!
//! The rules are in [`meshwork_core::topology`]; here they get the seed's words, and what was chosen is counted. What a
//! chosen topology does, who knows whom and how work finds its way, is [`Shape`] and what belongs to it.

#[cfg(test)]
mod tests;
mod words;

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use meshwork_core::topology as core;
pub use meshwork_core::topology::{
    Capacity, Choice, Delegation, Nobody, Queen, Requested, Rewired, Scaling, ScalingDecision, ScalingError, Shape,
    ShapeError, Step, Strategy, Summary, Tally, Topology, Worker, Workers, delegate, next_step, recommended, summaries,
    tallies,
};

use crate::consensus::{ConsensusConfig, ConsensusProtocol};
pub use words::{
    CoordinationStrategy, QueenAgentConfig, TopologyConfig, TopologyError, TopologyRouterMetrics, TopologyType,
    TopologyValidationResult,
};

/// What was chosen: everything that a coordinator of that topology has to be made with.
///
/// ```
/// use meshwork::topology::{Chosen, Topology, TopologyConfig, TopologyRouter};
///
/// let config = TopologyConfig { max_agents: 12, enable_consensus: Some(true), ..TopologyConfig::default() };
/// let chosen: Chosen = TopologyRouter::new().choose(&config)?;
/// assert_eq!(chosen.topology, Topology::Hierarchical);
/// assert_eq!(chosen.scaling.map(|scaling| scaling.max_workers), Some(11));
/// assert!(chosen.consensus.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// What it was chosen by, as a log has it.
    pub choice: Choice,
    /// The topology.
    pub topology: Topology,
    /// What there is to say about it; valid.
    pub validation: TopologyValidationResult,
    /// The shape, without peers.
    pub shape: Shape,
    /// How the queen scales, in a hierarchy.
    pub scaling: Option<Scaling>,
    /// How votes are held, where they are enabled.
    pub consensus: Option<ConsensusConfig>,
}

impl Chosen {
    /// The topology for new work, now that so many agents are alive instead of so many: under `adaptive`, where that number
    /// crossed 8 or 50.
    ///
    /// ```
    /// use meshwork::topology::{CoordinationStrategy, Topology, TopologyConfig, TopologyRouter};
    ///
    /// let strategy = Some(CoordinationStrategy::Adaptive);
    /// let config = TopologyConfig { max_agents: 10, strategy, ..TopologyConfig::default() };
    /// let chosen = TopologyRouter::new().choose(&config)?;
    /// assert_eq!(chosen.reconsidered(10, 9), None);
    /// assert_eq!(chosen.reconsidered(8, 7), Some(Topology::Mesh));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn reconsidered(&self, alive_before: u64, alive: u64) -> Option<Topology> {
        self.choice.strategy.reconsidered(alive_before, alive)
    }
}

/// The seed's `TopologyRouter`: recommends, judges, chooses, and counts.
///
/// ```
/// use meshwork::topology::{Topology, TopologyConfig, TopologyRouter, TopologyType};
///
/// let router = TopologyRouter::new();
/// assert_eq!(router.recommended_topology(12), TopologyType::Hierarchical);
/// let chosen = router.choose(&TopologyConfig { max_agents: 60, ..TopologyConfig::default() })?;
/// assert_eq!(chosen.topology, Topology::Hybrid);
/// assert_eq!(router.metrics().hybrid_selections, 1);
/// # Ok::<(), meshwork::topology::TopologyError>(())
/// ```
#[derive(Debug, Default)]
pub struct TopologyRouter {
    metrics: Mutex<TopologyRouterMetrics>,
}

impl TopologyRouter {
    /// A router that has chosen nothing.
    ///
    /// ```
    /// use meshwork::topology::{TopologyRouter, TopologyRouterMetrics};
    ///
    /// assert_eq!(TopologyRouter::new().metrics(), TopologyRouterMetrics::default());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges a topology for a number of agents, under the balanced strategy. Its errors are counted.
    ///
    /// ```
    /// use meshwork::topology::{TopologyRouter, TopologyType};
    ///
    /// let router = TopologyRouter::new();
    /// let judged = router.validate_topology(TopologyType::Mesh, 60);
    /// assert!(judged.valid && !judged.warnings.is_empty());
    /// assert_eq!(judged.recommended_topology, Some(TopologyType::Hybrid));
    /// assert!(!router.validate_topology(TopologyType::Mesh, 0).valid);
    /// ```
    #[must_use]
    pub fn validate_topology(&self, topology: TopologyType, agent_count: u64) -> TopologyValidationResult {
        self.judge(topology, agent_count, Strategy::Balanced)
    }

    /// The topology for a number of agents, under the balanced strategy.
    ///
    /// ```
    /// use meshwork::topology::{TopologyRouter, TopologyType};
    ///
    /// let recommended = [7, 8, 49, 50].map(|agents| TopologyRouter::new().recommended_topology(agents));
    /// let (tree, cells) = (TopologyType::Hierarchical, TopologyType::Hybrid);
    /// assert_eq!(recommended, [TopologyType::Mesh, tree, tree, cells]);
    /// ```
    #[must_use]
    pub fn recommended_topology(&self, agent_count: u64) -> TopologyType {
        core::recommended(agent_count).into()
    }

    /// Chooses a topology: the one that is asked for, with a warning where another one would suit better, or for `auto` the
    /// recommended one.
    ///
    /// ```
    /// use meshwork::topology::{Topology, TopologyConfig, TopologyRouter, TopologyType};
    ///
    /// let router = TopologyRouter::new();
    /// let insists = TopologyConfig { topology: TopologyType::Mesh, max_agents: 20, ..TopologyConfig::default() };
    /// let chosen = router.choose(&insists)?;
    /// assert_eq!((chosen.topology, chosen.validation.warnings.len()), (Topology::Mesh, 1));
    ///
    /// let error = router.choose(&TopologyConfig { max_agents: 0, ..TopologyConfig::default() }).unwrap_err();
    /// assert_eq!(error.to_string(), "a swarm of 0 agents can do nothing: found 0, expected at least 1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// No agents, or a field that can't be what it is. Counted as validation errors; nothing was chosen.
    pub fn choose(&self, config: &TopologyConfig) -> Result<Chosen, TopologyError> {
        let chosen = self.consider(config)?;
        self.chose(&chosen);
        Ok(chosen)
    }

    /// What [`choose`](Self::choose) would choose; only what is wrong is counted.
    pub(crate) fn consider(&self, config: &TopologyConfig) -> Result<Chosen, TopologyError> {
        let agents = u64::from(config.max_agents);
        let strategy = Strategy::from(config.strategy.unwrap_or_default());
        let validation = self.judge(config.topology, agents, strategy);
        if !validation.valid {
            return Err(TopologyError::Invalid { validation });
        }
        let chosen = self.complete(config, strategy, validation);
        self.books().validation_errors += u64::from(chosen.is_err());
        chosen
    }

    /// Counts a choice that something was made of.
    pub(crate) fn chose(&self, chosen: &Chosen) {
        let mut metrics = self.books();
        metrics.total_selections += 1;
        *match chosen.topology {
            Topology::Mesh => &mut metrics.mesh_selections,
            Topology::Hierarchical => &mut metrics.hierarchical_selections,
            Topology::Hybrid => &mut metrics.hybrid_selections,
        } += 1;
        metrics.topology_overrides += u64::from(chosen.validation.recommended_topology.is_some());
    }

    /// What was counted.
    ///
    /// ```
    /// use meshwork::topology::{TopologyConfig, TopologyRouter, TopologyType};
    ///
    /// let router = TopologyRouter::new();
    /// let insists = TopologyConfig { topology: TopologyType::Mesh, max_agents: 20, ..TopologyConfig::default() };
    /// router.choose(&insists)?;
    /// let metrics = router.metrics();
    /// assert_eq!((metrics.total_selections, metrics.mesh_selections, metrics.topology_overrides), (1, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> TopologyRouterMetrics {
        *self.books()
    }

    fn books(&self) -> MutexGuard<'_, TopologyRouterMetrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, topology: TopologyType, agent_count: u64, strategy: Strategy) -> TopologyValidationResult {
        let validation = core::validate_with(topology.into(), agent_count, strategy);
        self.books().validation_errors += validation.errors.len() as u64;
        validation.into()
    }

    fn complete(
        &self,
        config: &TopologyConfig,
        strategy: Strategy,
        validation: TopologyValidationResult,
    ) -> Result<Chosen, TopologyError> {
        let queen = config.hierarchical_config.clone().unwrap_or_default();
        // Judged whatever was chosen: what is wrong in a file is said when it is read, not when the swarm has grown.
        let scaling = queen.scaling(config.max_agents)?;
        let branching = NonZeroU32::new(queen.branching).ok_or_else(|| TopologyError::Config {
            field: "hierarchicalConfig.branching",
            found: "0".to_owned(),
            expected: "at least 1".to_owned(),
        })?;
        let choice = Choice { requested: config.topology.into(), strategy, agents: config.max_agents, branching };
        let topology = choice.topology();
        let protocol = match topology {
            Topology::Hierarchical => ConsensusProtocol::Leader,
            Topology::Mesh | Topology::Hybrid => ConsensusProtocol::Quorum,
        };
        let given = config.consensus_config.unwrap_or_default();
        let consensus = ConsensusConfig { protocol: given.protocol.or(Some(protocol)), ..given };
        consensus.validate()?;
        Ok(Chosen {
            choice,
            topology,
            validation,
            shape: choice.shape(),
            scaling: (topology == Topology::Hierarchical).then_some(scaling),
            consensus: config.enable_consensus.unwrap_or(false).then_some(consensus),
        })
    }
}
