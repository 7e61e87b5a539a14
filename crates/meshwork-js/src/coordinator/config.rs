//! The seed's `MeshCoordinatorConfig` as JavaScript writes it.

use std::path::PathBuf;

use meshwork::consensus::ConsensusConfig;
use meshwork::coordinator::{ConfigError, MeshCoordinatorConfig};
use meshwork::topology::{CoordinationStrategy, QueenAgentConfig, Topology, TopologyError, TopologyType};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::broker;
use crate::config::{millis, whole};
use crate::failure::Failure;

/// Fields that were not given keep the library's defaults. `lib/coordinator.js` looked at their types.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Config {
    swarm_id: Option<String>,
    peer_count: Option<f64>,
    max_concurrent_tasks_per_peer: Option<f64>,
    enable_peer_discovery: Option<bool>,
    enable_load_balancing: Option<bool>,
    discovery_interval_ms: Option<f64>,
    completion_timeout_ms: Option<f64>,
    artifact_storage_path: Option<PathBuf>,
    message_bus_config: Option<broker::Config>,
    enable_auto_rebalance: Option<bool>,
    rebalance_interval_ms: Option<f64>,
    load_imbalance_threshold: Option<f64>,
    /// `null`: never.
    #[serde(deserialize_with = "given")]
    pause_idle_after_ms: Option<Option<f64>>,
    topology: Option<TopologyType>,
    strategy: Option<CoordinationStrategy>,
    branching: Option<f64>,
    hierarchical_config: Option<QueenAgentConfig>,
    consensus_config: Option<ConsensusConfig>,
}

/// What is there, were it `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<f64>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn invalid(field: &str, text: String) -> Failure {
    let mut failure = Failure::new("InvalidConfig", text);
    failure.details.insert("field".to_owned(), json!(field));
    failure
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        invalid(error.field, error.to_string())
    }
}

fn small(field: &str, found: Option<f64>, default: u32) -> Result<u32, Failure> {
    Ok(whole(field, found, 0, u64::from(u32::MAX))?.and_then(|found| u32::try_from(found).ok()).unwrap_or(default))
}

/// `auto` takes what is recommended for so many peers.
fn topology(asked: Option<TopologyType>, peers: u32) -> Topology {
    match asked {
        None | Some(TopologyType::Mesh) => Topology::Mesh,
        Some(TopologyType::Hierarchical) => Topology::Hierarchical,
        Some(TopologyType::Hybrid) => Topology::Hybrid,
        Some(TopologyType::Auto) => meshwork_core::topology::recommended(u64::from(peers)),
    }
}

impl Config {
    /// Whether it says how many peers there are to be.
    pub(super) fn names_peers(&self) -> bool {
        self.peer_count.is_some()
    }

    pub(super) fn judged(self) -> Result<MeshCoordinatorConfig, Failure> {
        let default = MeshCoordinatorConfig::default();
        let peer_count = small("peerCount", self.peer_count, default.peer_count)?;
        let queen = self.hierarchical_config;
        let scaling =
            queen.as_ref().map(|queen| queen.scaling(peer_count)).transpose().map_err(|error| match error {
                TopologyError::Config { field, .. } => invalid(field, format!("{error}; nothing was made")),
                other => invalid("hierarchicalConfig", format!("{other}; nothing was made")),
            })?;
        let topology = topology(self.topology, peer_count);
        let branching = queen.map_or(default.branching, |queen| queen.branching);
        let pause_idle_after = match self.pause_idle_after_ms {
            None => default.pause_idle_after,
            Some(after) => millis("pauseIdleAfterMs", after, 0)?,
        };
        let slots = self.max_concurrent_tasks_per_peer;
        let config = MeshCoordinatorConfig {
            swarm_id: self.swarm_id.unwrap_or(default.swarm_id),
            peer_count,
            max_concurrent_tasks_per_peer: small(
                "maxConcurrentTasksPerPeer",
                slots,
                default.max_concurrent_tasks_per_peer,
            )?,
            enable_peer_discovery: self.enable_peer_discovery.unwrap_or(default.enable_peer_discovery),
            enable_load_balancing: self.enable_load_balancing.unwrap_or(default.enable_load_balancing),
            discovery_interval: millis("discoveryIntervalMs", self.discovery_interval_ms, 0)?
                .unwrap_or(default.discovery_interval),
            completion_timeout: millis("completionTimeoutMs", self.completion_timeout_ms, 0)?
                .unwrap_or(default.completion_timeout),
            artifact_storage_path: self.artifact_storage_path,
            message_bus_config: match self.message_bus_config {
                Some(bus) => bus.judged()?,
                None => default.message_bus_config,
            },
            enable_auto_rebalance: self.enable_auto_rebalance.unwrap_or(default.enable_auto_rebalance),
            rebalance_interval: millis("rebalanceIntervalMs", self.rebalance_interval_ms, 0)?
                .unwrap_or(default.rebalance_interval),
            load_imbalance_threshold: self.load_imbalance_threshold.unwrap_or(default.load_imbalance_threshold),
            pause_idle_after,
            topology,
            strategy: self.strategy.map_or(default.strategy, Into::into),
            branching: small("branching", self.branching, branching)?,
            scaling: scaling.filter(|_| topology == Topology::Hierarchical),
            consensus: self.consensus_config,
        };
        config.validate()?;
        Ok(config)
    }
}
