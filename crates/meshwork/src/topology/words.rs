//! The seed's configurations and answers, in its own JSON.

use meshwork_core::topology::{self as core, Scaling};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::consensus::{ConsensusConfig, ConsensusError};

/// The seed's `TopologyType`.
///
/// ```
/// use meshwork::topology::TopologyType;
///
/// assert_eq!(serde_json::from_str::<TopologyType>(r#""hybrid""#)?, TopologyType::Hybrid);
/// assert_eq!(TopologyType::default(), TopologyType::Auto);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopologyType {
    /// Everybody knows everybody: recommended for 1 to 7 agents.
    Mesh,
    /// A queen and workers in a tree: recommended for 8 to 49 agents.
    Hierarchical,
    /// Cells of a mesh, their leads in a tree: recommended for 50 agents and more.
    Hybrid,
    /// What is recommended for the number of agents.
    #[default]
    Auto,
}

impl TopologyType {
    /// The word.
    ///
    /// ```
    /// use meshwork::topology::TopologyType;
    ///
    /// assert_eq!((TopologyType::Hierarchical.word(), TopologyType::Auto.word()), ("hierarchical", "auto"));
    /// ```
    #[must_use]
    pub fn word(self) -> &'static str {
        core::Requested::from(self).word()
    }
}

impl From<TopologyType> for core::Requested {
    fn from(topology: TopologyType) -> Self {
        match topology {
            TopologyType::Mesh => Self::Explicit(core::Topology::Mesh),
            TopologyType::Hierarchical => Self::Explicit(core::Topology::Hierarchical),
            TopologyType::Hybrid => Self::Explicit(core::Topology::Hybrid),
            TopologyType::Auto => Self::Auto,
        }
    }
}

impl From<core::Topology> for TopologyType {
    fn from(topology: core::Topology) -> Self {
        match topology {
            core::Topology::Mesh => Self::Mesh,
            core::Topology::Hierarchical => Self::Hierarchical,
            core::Topology::Hybrid => Self::Hybrid,
        }
    }
}

/// The seed's `strategy`, as far as it chooses a topology.
///
/// ```
/// use meshwork::topology::{CoordinationStrategy, Topology, TopologyConfig, TopologyRouter};
///
/// let choose = |strategy| {
///     let config = TopologyConfig { max_agents: 12, strategy: Some(strategy), ..TopologyConfig::default() };
///     TopologyRouter::new().choose(&config).map(|chosen| chosen.topology)
/// };
/// assert_eq!(choose(CoordinationStrategy::Balanced)?, Topology::Hierarchical);
/// assert_eq!(choose(CoordinationStrategy::Performance)?, Topology::Mesh);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoordinationStrategy {
    /// Mesh for 1 to 7 agents, hierarchical for 8 to 49, hybrid from 50.
    #[default]
    Balanced,
    /// The same, and looked at again when the number of live agents crosses 8 or 50.
    Adaptive,
    /// Mesh to 14, hierarchical to 98: more messages, fewer steps from a task to its worker.
    Performance,
}

impl From<CoordinationStrategy> for core::Strategy {
    fn from(strategy: CoordinationStrategy) -> Self {
        match strategy {
            CoordinationStrategy::Balanced => Self::Balanced,
            CoordinationStrategy::Adaptive => Self::Adaptive,
            CoordinationStrategy::Performance => Self::Performance,
        }
    }
}

/// The seed's `TopologyValidationResult`.
///
/// ```
/// use meshwork::topology::{TopologyRouter, TopologyType, TopologyValidationResult};
///
/// let judged: TopologyValidationResult = TopologyRouter::new().validate_topology(TopologyType::Hierarchical, 3);
/// assert!(judged.valid && judged.errors.is_empty());
/// assert_eq!(judged.suggestions[0], "use `mesh` or `auto` for 3 agents");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologyValidationResult {
    /// No errors.
    pub valid: bool,
    /// Why it can't work.
    pub errors: Vec<String>,
    /// Why it is not the best choice; it is honoured all the same.
    pub warnings: Vec<String>,
    /// What is recommended, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommended_topology: Option<TopologyType>,
    /// What could be done.
    pub suggestions: Vec<String>,
}

impl From<core::Validation> for TopologyValidationResult {
    fn from(validation: core::Validation) -> Self {
        let core::Validation { valid, errors, warnings, recommended, suggestions } = validation;
        Self { valid, errors, warnings, recommended_topology: recommended.map(TopologyType::from), suggestions }
    }
}

/// The seed's `TopologyRouterMetrics`: counted since the router was made.
///
/// ```
/// use meshwork::topology::{TopologyRouter, TopologyRouterMetrics, TopologyType};
///
/// let router = TopologyRouter::new();
/// assert!(!router.validate_topology(TopologyType::Mesh, 0).valid);
/// assert_eq!(router.metrics(), TopologyRouterMetrics { validation_errors: 1, ..Default::default() });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologyRouterMetrics {
    /// Topologies that were chosen.
    pub total_selections: u64,
    /// Of these, meshes.
    pub mesh_selections: u64,
    /// Of these, hierarchies.
    pub hierarchical_selections: u64,
    /// Of these, hybrids.
    pub hybrid_selections: u64,
    /// Of these, what somebody insisted on against the recommendation.
    pub topology_overrides: u64,
    /// Errors that validations found, asked for or in a choice.
    pub validation_errors: u64,
}

/// The seed's `QueenAgentConfig`.
///
/// ```
/// use meshwork::topology::QueenAgentConfig;
///
/// let config: QueenAgentConfig = serde_json::from_str(r#"{ "minWorkers": 2, "maxWorkers": 6 }"#)?;
/// assert_eq!((config.min_workers, config.max_workers, config.branching), (2, Some(6), 7));
/// // What is not known is refused.
/// assert!(serde_json::from_str::<QueenAgentConfig>(r#"{ "minWorker": 2 }"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct QueenAgentConfig {
    /// Never fewer workers; at least 1.
    pub min_workers: u32,
    /// Never more. Default: one less than the swarm's agents, and the minimum at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_workers: Option<u32>,
    /// The most peers right below another; at least 1.
    pub branching: u32,
    /// Whether the load decides how many workers there are; otherwise only the limits do.
    pub auto_scale: bool,
    /// The share of busy slots from which on there are too few workers: above 0, at most 1, in steps of a thousandth.
    pub scaling_threshold: f64,
}

impl Default for QueenAgentConfig {
    fn default() -> Self {
        Self {
            min_workers: 1,
            max_workers: None,
            branching: core::BRANCHING as u32, // 7
            auto_scale: true,
            scaling_threshold: 0.8,
        }
    }
}

impl QueenAgentConfig {
    /// How a queen of so many agents scales, itself one of them.
    ///
    /// ```
    /// use meshwork::topology::QueenAgentConfig;
    ///
    /// let scaling = QueenAgentConfig::default().scaling(10)?;
    /// assert_eq!((scaling.min_workers, scaling.max_workers, scaling.threshold_permille), (1, 9, 800));
    ///
    /// let error = QueenAgentConfig { min_workers: 0, ..QueenAgentConfig::default() }.scaling(10).unwrap_err();
    /// assert_eq!(error.to_string(), "hierarchicalConfig.minWorkers is 0: expected at least 1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Names the field, what was found and what was expected.
    pub fn scaling(&self, max_agents: u32) -> Result<Scaling, TopologyError> {
        let wrong = |field, found: String, expected: String| Err(TopologyError::Config { field, found, expected });
        let min_workers = self.min_workers;
        if min_workers == 0 {
            return wrong("hierarchicalConfig.minWorkers", "0".to_owned(), "at least 1".to_owned());
        }
        if let Some(max) = self.max_workers.filter(|max| *max < min_workers) {
            let expected = format!("at least minWorkers, {min_workers}");
            return wrong("hierarchicalConfig.maxWorkers", max.to_string(), expected);
        }
        if self.branching == 0 {
            return wrong("hierarchicalConfig.branching", "0".to_owned(), "at least 1".to_owned());
        }
        let permille = (self.scaling_threshold * 1_000.0).round();
        if !(permille >= 1.0 && self.scaling_threshold <= 1.0) {
            let expected = "a share of at least 0.001 and at most 1".to_owned();
            return wrong("hierarchicalConfig.scalingThreshold", self.scaling_threshold.to_string(), expected);
        }
        let max_workers = self.max_workers.unwrap_or_else(|| max_agents.saturating_sub(1).max(min_workers));
        let threshold_permille = permille as u32; // 1 to 1000
        Ok(Scaling { min_workers, max_workers, auto: self.auto_scale, threshold_permille })
    }
}

/// The seed's `SwarmConfig`, as far as it chooses a topology; the mesh's own configuration is the coordinator's.
///
/// ```
/// use meshwork::topology::{TopologyConfig, TopologyType};
///
/// let config: TopologyConfig = serde_json::from_str(r#"{ "topology": "mesh", "maxAgents": 5 }"#)?;
/// assert_eq!(config, TopologyConfig { topology: TopologyType::Mesh, max_agents: 5, ..TopologyConfig::default() });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologyConfig {
    /// Which topology.
    #[serde(default)]
    pub topology: TopologyType,
    /// The most agents: at least 1. The recommendation is for so many.
    pub max_agents: u32,
    /// What the choice is to be good at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<CoordinationStrategy>,
    /// The queen's, where a hierarchy is chosen; `branching` is a hybrid's, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hierarchical_config: Option<QueenAgentConfig>,
    /// Whether proposals are voted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_consensus: Option<bool>,
    /// How, where they are. Default: `quorum` in a mesh and a hybrid, `leader` in a hierarchy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus_config: Option<ConsensusConfig>,
}

/// Why no topology was chosen. A failed choice is counted as validation errors, and nothing else.
///
/// ```
/// use meshwork::topology::{TopologyConfig, TopologyError, TopologyRouter};
///
/// let error = TopologyRouter::new().choose(&TopologyConfig::default()).unwrap_err();
/// let TopologyError::Invalid { validation } = error else { panic!("there are no agents") };
/// assert!(!validation.valid);
/// ```
#[derive(Debug, Clone, Error)]
pub enum TopologyError {
    /// The topology can't work with so many agents.
    #[error("{}", validation.errors.join("; "))]
    Invalid {
        /// In sentences.
        validation: TopologyValidationResult,
    },
    /// A field of the configuration can't be what it is.
    #[error("{field} is {found}: expected {expected}")]
    Config {
        /// The field, by its name in JSON.
        field: &'static str,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The configuration of the consensus can't be.
    #[error("in consensusConfig: {0}")]
    Consensus(#[from] ConsensusError),
}
